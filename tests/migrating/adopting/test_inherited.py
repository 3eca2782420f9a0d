"""A login that inherits the admin role would see every organization, so it is mended before anything is adopted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rayces_core import Database
from rayces_core.doctor import audit
from rayces_core.errors import MigrationError
from rayces_core.migrating.catalogue import fingerprint
from tests.sizes import exhaustive

from .conftest import MyHub
from .rails.conftest import Rails

MODERN = 160_000
# How a login comes to inherit it; {login} is its name, {other} that of a role.
DIRECTLY = "GRANT rayces_admin TO {login}{inheriting}"
WITH_THE_OTHER = "GRANT rayces_app, rayces_admin TO {login}{inheriting}"
THROUGH_ANOTHER = (
    "CREATE ROLE {other} INHERIT; GRANT rayces_admin TO {other}{inheriting}; GRANT {other} TO {login}{inheriting}"
)


def inherit(database: MyHub | Rails, how: str, login: str, other: str = "") -> None:
    inheriting = " WITH INHERIT TRUE" if database.connection.server_version >= MODERN else ""
    database.sql(how.format(login=login, other=other, inheriting=inheriting))


def inherits(database: MyHub | Rails, login: str) -> bool:
    ((does,),) = database.sql(f"SELECT pg_has_role('{login}', 'rayces_admin', 'USAGE')")
    return bool(does)


def follow(database: MyHub | Rails, finding: Any) -> None:
    """Do as it says."""
    statements, _, _ = finding.advice.removeprefix("as a DBA: ").rpartition(";")
    database.sql(statements)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [THROUGH_ANOTHER, *exhaustive(DIRECTLY, WITH_THE_OTHER)],
    ids=["through another", "directly", "with the other"],
)
def test_it_is_refused_with_what_mends_it_and_adopted_then(
    fresh_roles: Callable[[], str], myhub: MyHub, how: str
) -> None:
    other = fresh_roles()
    inherit(myhub, how, myhub.owner, other)
    before = fingerprint(myhub.connection)
    (finding,) = myhub.adoption().report().open
    assert (finding.kind, finding.severity) == ("inherited-role", "refusal")
    through = f' (through "{other}")' if how == THROUGH_ANOTHER else ""
    assert finding.what.startswith(f'"{myhub.owner}"{through} inherits "rayces_admin": ')
    with pytest.raises(MigrationError, match=r"nothing was changed:\n  inherited-role: "):
        myhub.adoption().run()
    assert fingerprint(myhub.connection) == before
    follow(myhub, finding)
    assert not inherits(myhub, myhub.owner)
    # The owner of the database keeps what it may by that, and its other roles.
    assert myhub.adoption(url=myhub.owner_url).run().stage == "adopted"
    with Database.connect(myhub.owner_url) as database:
        errors = [f"{each.check} {each.object}" for each in audit(database) if each.severity == "error"]
    assert [error for error in errors if error.endswith((myhub.owner, other))] == []


@pytest.mark.slow
def test_an_old_login_that_owns_nothing_is_mended_by_one_statement(myhub: MyHub, login: Callable[[], str]) -> None:
    own = login()
    inherit(myhub, DIRECTLY, own)
    options = {"old_roles": [myhub.owner, own]}
    (finding,) = myhub.adoption(**options).report().open
    statement = finding.advice.removeprefix("as a DBA: ").partition(";")[0]
    assert finding.advice.count(";") == 1
    if myhub.connection.server_version < MODERN:
        assert statement == f'ALTER ROLE "{own}" NOINHERIT'
        assert "that is so for every role it is a member of" in finding.advice
    myhub.sql(statement)
    assert not inherits(myhub, own)
    assert myhub.adoption(**options).report().open == ()


@pytest.mark.slow
def test_a_login_that_adopts_and_inherits_is_refused_though_it_is_no_old_one(myhub: MyHub, login: Any) -> None:
    own = login()
    inherit(myhub, DIRECTLY, own)
    myhub.sql(f"GRANT {myhub.owner} TO {own}")
    adoption = myhub.adoption(url=myhub.owner_url.replace(myhub.owner, own))
    assert own in "".join(each.what for each in adoption.report().open if each.kind == "inherited-role")


@pytest.mark.slow
def test_roles_that_are_held_and_not_inherited_are_no_finding(myhub: MyHub) -> None:
    """As the library gives them; a superuser is one of its own notes."""
    assert myhub.adoption().report().open == ()
    assert myhub.adoption(url=myhub.owner_url).report().open == ()
    assert "inherited-role" not in {each.kind for each in myhub.adoption(old_roles=["postgres"]).report().findings}


@pytest.mark.slow
def test_it_is_no_end_of_an_adoption_while_one_inherits(myhub: MyHub) -> None:
    """What the adoption narrows it with goes at the finish."""
    myhub.adoption().run()
    inherit(myhub, DIRECTLY, myhub.owner)
    with pytest.raises(MigrationError, match=r"cannot be finished; nothing was changed:\n  inherited-role") as caught:
        myhub.again().finish()
    (finding,) = myhub.again().report().open
    assert str(finding) in str(caught.value)
    follow(myhub, finding)
    assert myhub.again().finish().stage == "finished"
