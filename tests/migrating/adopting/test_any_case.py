"""Addresses that are equal in any case until `--finish`: the old application goes on finding them, this library too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rayces_core import Database, User
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import Expected, unlike

from .conftest import MyHub
from .test_addresses import ADDRESSES, GIVEN
from .test_killed import Stopped, Stopping, until_done
from .writes import writes_of_several

pytestmark = pytest.mark.slow

ANY_CASE = {"email-spelling": "any-case", "unique-indexes": "at-finish"}
ASKED = ("User3@Example.com", "user3@example.com", "USER3@EXAMPLE.COM")
BY_TEXT = "SELECT id FROM users WHERE email = %s LIMIT 1"
NO_BLANKS = "UPDATE users SET email = btrim(email)"


def adopt_in_any_case(myhub: MyHub) -> None:
    myhub.sql(f"{NO_BLANKS}; CREATE UNIQUE INDEX index_users_on_email ON users (email)")
    myhub.adoption(choices=ANY_CASE).run()


@pytest.fixture(scope="module")
def any_case_template(prepared: Callable[..., str]) -> str:
    return prepared(adopt_in_any_case)


@pytest.fixture
def in_any_case(any_case_template: str, copy_of: Callable[[str], MyHub]) -> MyHub:
    """A MyHub adopted so."""
    return copy_of(any_case_template)


@pytest.mark.slow
def test_an_address_is_found_in_any_case_by_old_and_new_and_taken_in_any_case(in_any_case: MyHub) -> None:
    old = in_any_case.application()
    assert [old.ask(BY_TEXT, address) for address in ASKED] == [[(3,)]] * 3
    assert old.one("SELECT email FROM users WHERE id = 3") == "user3@example.com"
    with pytest.raises(Exception, match=r"index_users_on_email|users_organization_id_email_key"):
        old.ask("INSERT INTO users (email, created_at, updated_at) VALUES ('USER3@example.com', now(), now())")
    with Database.connect(in_any_case.url) as database, database.tenant("north"):
        assert [User.get(User.email == address).id for address in ASKED] == [3, 3, 3]
        assert User.select().where(User.email.in_(ASKED)).count() == 1


@pytest.mark.slow
def test_every_write_of_the_library_works_and_nothing_is_called_wrong(in_any_case: MyHub, expected: Expected) -> None:
    assert [each for each in unlike(Runner(in_any_case.url), expected) if each.is_drift] == []
    in_any_case.sql("DROP INDEX index_users_on_email")  # over all organizations, as MyHub's
    with Database.connect(in_any_case.url) as database:
        assert writes_of_several(database, "north") == {}


@pytest.mark.slow
def test_a_finish_ends_it_and_leaves_what_another_finish_leaves(
    in_any_case: MyHub, copy_of: Any, prepared: Any
) -> None:
    given = in_any_case.sql(GIVEN)
    assert until_done(in_any_case.again(on_step=Stopping(every=1)).finish) == 8
    kept = "SELECT (row ->> 'id')::int, row ->> 'email' FROM rayces_set_aside ORDER BY 1"
    assert in_any_case.sql(kept) == given
    found = {line for line in fingerprint(in_any_case.connection) if " users" in line or line.startswith("extension")}
    other = copy_of(prepared(adopt_in_lower_case_for_good))
    assert {line for line in fingerprint(other.connection) if " users" in line or line.startswith("extension")} == found
    assert in_any_case.application().ask(BY_TEXT, ASKED[0]) == []


def adopt_in_lower_case_for_good(myhub: MyHub) -> None:
    myhub.sql(f"{NO_BLANKS}; CREATE UNIQUE INDEX index_users_on_email ON users (email)")
    myhub.adoption(choices={"unique-indexes": "at-finish"}).run()
    myhub.again().finish()


@pytest.mark.exhaustive  # `make test` stops one whose addresses become normal (test_killed.py), and the finish of this
def test_stopped_at_any_step_and_undone_it_is_what_it_was(myhub: MyHub) -> None:
    myhub.sql(NO_BLANKS)
    was, catalogue = myhub.sql(ADDRESSES), fingerprint(myhub.connection)
    stops = {"006": 0}

    def stop(name: str, step: int, _steps: int) -> None:
        if name.startswith("006") and step > stops["006"]:
            stops["006"] = step
            raise Stopped

    until_done(myhub.adoption(choices=ANY_CASE, on_step=stop).run)
    assert stops["006"] > 6
    assert myhub.application().ask(BY_TEXT, ASKED[0]) == [(3,)]
    stops["006"] = 0
    until_done(myhub.again(on_step=stop).undo)
    assert stops["006"] == 4
    assert myhub.sql(ADDRESSES) == was
    # What a session has prepared with the type fails without it.
    assert [line for line in fingerprint(myhub.connection) if "rayces_set_aside" not in line] == sorted(
        [*catalogue, "extension citext"]
    )
    assert myhub.adoption(choices=ANY_CASE).run().stage == "adopted"


OBSTACLES = {
    "view": ("CREATE VIEW addresses AS SELECT id, email FROM users", "view addresses"),
    "trigger": (
        (
            "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; "
            "CREATE TRIGGER seen BEFORE UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION seen()"
        ),
        "trigger seen on table users",
    ),
    "generated": ("ALTER TABLE users ADD host text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED", "host"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_would_keep_the_column_from_it_is_found_before(myhub: MyHub, kind: str) -> None:
    statement, named = OBSTACLES[kind]
    myhub.sql(statement)
    (found,) = [each for each in myhub.adoption(choices=ANY_CASE).report().open if each.kind == "email-spelling"]
    assert (found.severity, named in found.what) == ("refusal", True)
    assert "email-spelling" not in [each.kind for each in myhub.adoption().report().open]


def test_a_login_that_may_not_make_the_type_is_told_before(myhub: MyHub) -> None:
    myhub.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END $$")
    asked = myhub.adoption(url=myhub.owner_url, choices=ANY_CASE).report().open
    assert [each.advice for each in asked if each.kind == "email-spelling"] == [
        "as a DBA: CREATE EXTENSION citext; or choose --fix email-spelling=lower-case"
    ]
    myhub.sql("CREATE EXTENSION citext")
    assert "email-spelling" not in [
        each.kind for each in myhub.adoption(url=myhub.owner_url, choices=ANY_CASE).report().open
    ]


def test_what_was_chosen_for_addresses_is_not_changed_half_way(in_any_case: MyHub) -> None:
    with pytest.raises(MigrationError, match="begun with --fix email-spelling=any-case"):
        in_any_case.adoption().run()
