"""An old application whose login inherits the admin role would see every organization past all policies."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest

from rayces_core.errors import MigrationError
from tests.migrating.adopting.test_inherited import DIRECTLY, WITH_THE_OTHER, follow, inherit, inherits
from tests.sizes import exhaustive

from .conftest import Rails
from .test_old_application import session


@pytest.fixture
def owned(small: Rails) -> Iterator[Rails]:
    """A database whose owner is asked for all that it may; what is given to it is taken back."""
    yield small
    # It is the owner of other tests' databases too.
    small.sql(f"REVOKE rayces_app, rayces_admin FROM {small.owner}")
    if small.connection.server_version >= 160_000:
        small.sql(f"GRANT rayces_app, rayces_admin TO {small.owner} WITH INHERIT FALSE, SET TRUE")


@pytest.mark.slow
@pytest.mark.parametrize("how", [WITH_THE_OTHER, *exhaustive(DIRECTLY)], ids=["with the other", "directly"])
def test_it_is_refused_with_what_mends_it_and_held_then(owned: Rails, how: str) -> None:
    inherit(owned, how, owned.owner)
    choices = {"roles": "rails"}
    (finding,) = owned.adoption(url=owned.owner_url, choices=choices).report().open
    assert finding.kind == "inherited-role"
    with pytest.raises(MigrationError, match=r"nothing was changed:\n  inherited-role: "):
        owned.adoption(url=owned.owner_url, choices=choices).run()
    follow(owned, finding)
    assert not inherits(owned, owned.owner)
    owned.adoption(url=owned.owner_url, choices=choices).run()
    old = session(owned, path="public").cursor()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="start the old application again with"):
        old.execute("SELECT * FROM users")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        old.execute("UPDATE credit_balances SET balance = 99")
    owned.adoption(choices={}).finish()
    old.execute("SELECT count(*) FROM posts")
    assert old.fetchall() == [(0,)]


@pytest.mark.slow
def test_it_is_no_end_of_an_adoption_while_one_inherits(owned: Rails) -> None:
    """Afterwards no policy of the old application's would be left, and the admin role's would let it see everything."""
    owned.adoption(url=owned.owner_url, choices={"roles": "rails"}).run()
    inherit(owned, DIRECTLY, owned.owner)
    with pytest.raises(MigrationError, match=r"cannot be finished; nothing was changed:\n  inherited-role") as caught:
        owned.adoption(choices={}).finish()
    owned.sql(str(caught.value).partition("as a DBA: ")[2].rpartition(";")[0])
    assert owned.adoption(choices={}).finish().stage == "finished"
