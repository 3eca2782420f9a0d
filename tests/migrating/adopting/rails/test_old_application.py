"""What the old application can still do, before, during and after the adoption, and once it is finished."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Role, User
from rayces_core.migrating.adopting.rails import moving
from tests.sizes import exhaustive

from . import old_application as old
from .conftest import Rails

RELATIVE = "SELECT id, email, role, sign_in_count, created_at, current_sign_in_ip FROM users WHERE id IN (1, 7, 31, 40)"

TYPES = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = 'users'::regclass AND attname IN ('created_at', 'current_sign_in_ip', 'role', 'email')
 ORDER BY attname
"""


def session(rails: Rails, user: str | None = None, path: str = old.SEARCH_PATH) -> Any:
    """A session of the old application, started again with the search path that it is told to take."""
    options = f"-c search_path={path}"
    return rails.connect(make_dsn(rails.url, user=user or rails.owner, password="x", options=options))


@pytest.mark.slow
def test_every_statement_works_before(rails: Rails) -> None:
    assert set(old.outcomes(session(rails)).values()) == {old.WORKS}


@pytest.mark.parametrize("whose", ["the owner of the tables", *exhaustive("a login of its own")])
def test_what_works_after_the_adoption_is_what_is_told(adopted: Rails, rails: Rails, login: Any, whose: str) -> None:
    if whose == "the owner of the tables":
        assert old.outcomes(session(adopted)) == {name: told for name, (_, told) in old.STATEMENTS.items()}
        return
    own = login()
    rails.sql(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {own}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {own}"
    )
    rails.adoption(old_roles=[own]).run()
    assert old.outcomes(session(rails, own)) == {name: told for name, (_, told) in old.STATEMENTS.items()}
    rails.sql(f"DROP OWNED BY {own}")


def test_its_users_look_as_before_and_their_roles_mean_the_same_to_both(adopted: Rails) -> None:
    before, after = session(adopted, path="rayces_before"), session(adopted)
    rows = []
    for connection in (before, after):
        cursor = connection.cursor()
        cursor.execute(f"{RELATIVE} ORDER BY id")
        rows.append(cursor.fetchall())
        cursor.execute(TYPES)
        rows.append(cursor.fetchall())
    assert rows[0] == rows[2]
    assert rows[1] == rows[3]
    after.cursor().execute("UPDATE users SET role = 0 WHERE id = 40")
    with Database.connect(adopted.url) as database, database.tenant("norte"):
        assert User.get_by_id(40).role == Role.ADMIN


def test_an_address_is_found_by_the_very_text_that_was_given(adopted: Rails) -> None:
    """Rails compares exactly; until the finish it goes on finding its users."""
    cursor = session(adopted).cursor()
    by_email = "SELECT email FROM users WHERE email = %s LIMIT 1"
    cursor.execute(by_email, ("User40@Example.org",))
    assert cursor.fetchall() == [("User40@Example.org",)]
    cursor.execute("UPDATE users SET phone = '2' WHERE id = 40; UPDATE users SET email = ' Eva@X.org' WHERE id = 43")
    cursor.execute("SELECT email FROM users WHERE id IN (40, 43) ORDER BY id")
    assert cursor.fetchall() == [("User40@Example.org",), (" Eva@X.org",)]
    with Database.connect(adopted.url) as database, database.tenant("norte"):
        assert [User.get_by_id(key).email for key in (40, 43)] == ["user40@example.org", "eva@x.org"]
        User.update(email="other@x.org").where(User.id == 43).execute()
    cursor.execute(by_email, ("other@x.org",))
    assert cursor.fetchall() == [("other@x.org",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM users LIMIT 1",
        "UPDATE users SET sign_in_count = 1 WHERE id = 40",
        "DELETE FROM users WHERE id = 40",
        f"INSERT INTO users (email, uid, organization_id, {old.STAMPED}) VALUES ('x@x', 'x', 2, {old.NOW}, {old.NOW})",
        "SELECT posts.* FROM posts JOIN users ON users.id = posts.user_id",
    ],
)
def test_a_session_that_was_not_started_again_is_told_so(adopted: Rails, statement: str) -> None:
    """Else it would take guardians, 0, for admins, or believe that it had written."""
    cursor = session(adopted, path="public").cursor()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="start the old application again with"):
        cursor.execute(statement)
    cursor.execute("SELECT count(*) FROM posts")
    assert cursor.fetchall() == [(1200,)]


def test_it_reads_all_organizations_and_writes_in_each(adopted: Rails) -> None:
    cursor = session(adopted).cursor()
    cursor.execute("SELECT organization_id, count(*) FROM users GROUP BY 1 ORDER BY 1")
    assert cursor.fetchall() == [(1, 300), (2, 300), (3, 300)]


def test_nothing_of_it_is_left_after_the_finish(adopted: Rails) -> None:
    adopted.adoption(choices={}).finish()
    assert adopted.sql("SELECT nspname FROM pg_namespace WHERE nspname = 'rayces_rails'") == []
    assert adopted.sql("SELECT polname FROM pg_policy WHERE polname LIKE 'rayces_adoption%'") == []
    cursor = session(adopted, path="public").cursor()
    cursor.execute("SELECT count(*) FROM posts")
    assert cursor.fetchall() == [(0,)]


@pytest.mark.exhaustive  # `make test` has a reader and a writer in test_adoption.py
def test_reading_goes_on_during_the_adoption(begun: Rails, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each moment of the one transaction before the exchange; the exchange itself is a moment."""
    seen = []
    connection = session(begun, path="public")
    reading = [statement for statement, _ in old.STATEMENTS.values() if statement.lstrip().startswith("SELECT")]

    def look(*arguments: Any, real: Any = moving.lock_for_exchange) -> None:
        for statement in reading:
            cursor = connection.cursor()
            cursor.execute(f"SET statement_timeout = 500; {statement}")
            seen.append(cursor.rowcount)
        real(*arguments)

    monkeypatch.setattr(moving, "lock_for_exchange", look)
    begun.adoption().run()
    assert len(seen) == len(reading) == 7
