"""Databases that the specification did not write: the repository's own, odd types, fewer tables, PostgreSQL 15."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, credits
from rayces_core.doctor import audit
from rayces_core.errors import MigrationError
from rayces_core.migrating.checking import differences
from rayces_core.migrating.runner import Runner
from tests.conftest import cloned
from tests.migrating.adopting.conftest import TURKISH
from tests.migrating.adopting.writes import refused_writes
from tests.migrating.restoring import restore

from .conftest import Rails, make_rails
from .database import CHOICES, SCHEMA
from .dirt import FEW
from .test_old_application import session

REPOSITORY = (Path(__file__).parent / "repository.sql").read_text()
THEIRS = (Path(__file__).parent / "repository_rows.sql").read_text()


@pytest.fixture
def made_by(login: Any, make_database: Any, connect: Any) -> Iterator[Callable[[str], Rails]]:
    """Make a database by a script, with an owner of its own."""
    every = []

    def make(script: str) -> Rails:
        every.append(make_rails(make_database(), login(), connect, script))
        return every[-1]

    yield make
    for made in every:
        made.sql(f"REASSIGN OWNED BY {made.owner} TO CURRENT_USER; DROP OWNED BY {made.owner} CASCADE")


@pytest.fixture
def repository(made_by: Callable[[str], Rails]) -> Rails:
    """A database as the repository's own migrations left it."""
    return made_by(REPOSITORY + THEIRS)


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_the_repositorys_own_schema_is_adopted_by_choices_alone(repository: Rails, server_url: str) -> None:
    aside = ["availability_rules", "busiest", "devices", "roles", "time_slots", "user_roles"]
    found = {each.kind: each for each in repository.adoption(choices={}).report().findings}
    assert sorted(found["other-tables"].what.partition(" refer")[0].split(", ")) == aside
    assert (found["orphans"].count, found["orphans"].examples) == (1, (2,))
    outcome = repository.adoption(url=repository.owner_url).run()
    assert outcome.set_aside == {"appointments": 1}
    columns = "id, price_cents, currency, uses_credit, credits_used, cancelled_by_id"
    assert repository.sql(f"SELECT {columns} FROM appointments ORDER BY id") == [
        (1, 120050, "ARS", True, 3, None),
        (3, None, None, False, 0, 3),
    ]
    assert repository.sql("SELECT primary_contact_id, parent_id, gender FROM students") == [(4, 4, "other")]
    assert repository.sql("SELECT weekly_schedule, hourly_rate::text FROM professionals") == [
        ({"monday": [{"start": "09:00", "end": "17:00"}]}, "1500.50")
    ]
    assert repository.sql("SELECT array_agg(role ORDER BY id) FROM users WHERE id < 10") == [([3, 1, 2, 0],)]
    with Database.connect(repository.url) as database:
        assert {name: refused_writes(database, name) for name in ("rayces", "demo")} == {"rayces": {}, "demo": {}}
        assert [str(each) for each in audit(database) if each.severity == "error"] == []
        with database.privileged(reason="test"):
            assert credits.verify().is_clean
    assert [each.line for each in differences(Runner(repository.url), server_url) if each.is_drift] == []
    repository.adoption(choices={}).undo(yes=True)
    assert repository.sql("SELECT name FROM devices") == [("of the old application",)]


@pytest.mark.slow
def test_its_other_tables_are_where_its_search_path_finds_them(repository: Rails) -> None:
    repository.adoption(url=repository.owner_url).run()
    cursor = session(repository).cursor()
    cursor.execute("SELECT r.key, u.email, u.encrypted_password FROM user_roles JOIN roles r ON r.id = role_id "
                   "JOIN users u ON u.id = user_id")  # fmt: skip
    assert cursor.fetchall() == [("admin", "u1.1@example.org", "$2a$x")]
    cursor.execute("INSERT INTO users (email, organization_id, jti, created_at, updated_at, encrypted_password) "
                   "VALUES ('N@x.org', 1, 'n', now(), now(), '') RETURNING role")  # fmt: skip
    assert cursor.fetchall() == [(3,)]
    with Database.connect(repository.url) as database, database.tenant("rayces"):
        assert database.execute_sql("SELECT role FROM users WHERE jti = 'n'").fetchone() == (0,)


ODD_TYPES = """
ALTER TABLE users ALTER email TYPE text, ALTER phone TYPE character varying(40);
ALTER TABLE users ALTER current_sign_in_ip TYPE inet USING NULL;
ALTER TABLE appointments ALTER scheduled_at TYPE timestamptz USING scheduled_at AT TIME ZONE 'UTC';
ALTER TABLE students ALTER id TYPE integer, ALTER documents TYPE json;
ALTER TABLE professionals ALTER weekly_schedule TYPE text, ALTER weekly_schedule SET DEFAULT '{}';
ALTER TABLE organizations ADD currency character varying DEFAULT 'usd', ADD time_zone character varying DEFAULT 'UTC';
"""


@pytest.mark.exhaustive  # the repository's schema has other types as well
def test_types_that_can_become_ours_are_taken_as_they_are(small: Rails) -> None:
    small.sql(ODD_TYPES)
    small.adoption(url=small.owner_url).run()
    assert small.sql("SELECT currency, time_zone FROM organizations") == [("USD", "UTC")] * 2
    assert small.one("SELECT scheduled_at AT TIME ZONE 'UTC' FROM appointments WHERE id = 1").hour == 10
    with Database.connect(small.url) as database:
        assert refused_writes(database, "norte") == {}


@pytest.mark.slow
def test_a_type_that_cannot_is_a_refusal_that_can_be_followed(small: Rails) -> None:
    small.sql("ALTER TABLE students DROP admission_date, ADD admission_date boolean")
    (found,) = (each for each in small.adoption().report().open)
    assert "students.admission_date is boolean" in found.what
    small.sql(found.advice.partition(": ")[2])
    small.adoption().run()
    assert small.one("SELECT count(old_admission_date) FROM students") == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE credit_transactions DROP amount", "credit_transactions has no column amount"),
        ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "users has row-level security"),
        ("CREATE SCHEMA rayces_before", "there is a schema rayces_before already"),
        ("CREATE TABLE rayces_migrations (id int)", "migrated by rayces already"),
    ],
)
def test_what_cannot_be_adopted_is_said_before_anything_is_changed(small: Rails, change: str, words: str) -> None:
    small.sql(change)
    with pytest.raises(MigrationError, match=words):
        small.adoption().run()
    assert small.sql("SELECT to_regclass('rayces_adoption')") == [(None,)]


@pytest.mark.exhaustive  # the repository's schema lacks columns as well
def test_without_the_booking_tables_too(made_by: Callable[[str], Rails]) -> None:
    """A Rails application whose newest migration was its first: organizations and users only."""
    first = SCHEMA.partition("-- Example 3")[0]
    made = made_by(first + FEW.partition("INSERT INTO professionals")[0])
    made.adoption(url=made.owner_url).run()
    with Database.connect(made.url) as database:
        assert {name: refused_writes(database, name) for name in ("norte", "sur")} == {"norte": {}, "sur": {}}
    assert made.adoption(url=made.owner_url, choices={}).undo(yes=True).differences == ()


@pytest.mark.slow
def test_rows_that_do_not_fit_and_are_written_meanwhile_stop_it(small: Rails, monkeypatch: pytest.MonkeyPatch) -> None:
    from rayces_core.migrating.adopting.rails import RailsAdoption

    made = RailsAdoption._make_ours

    def write(adoption: Any) -> list[str]:
        small.sql("UPDATE users SET email = ' ' WHERE id = 4")
        return made(adoption)

    with monkeypatch.context() as patched:
        patched.setattr(RailsAdoption, "_make_ours", write)
        with pytest.raises(MigrationError, match="written meanwhile"):
            small.adoption(choices={"roles": "rails"}).run()
    assert small.one("SELECT count(*) FROM public.users WHERE email = ' '") == 1
    small.adoption(choices=CHOICES).run()


@pytest.mark.exhaustive  # `make test` has one in Turkish there, below
def test_it_runs_on_postgresql_15(oldest_server_url: str, connect: Any) -> None:
    name = "rails_on_15"
    connect(oldest_server_url).cursor().execute(f"CREATE DATABASE {name}; ")
    url = make_dsn(oldest_server_url, dbname=name)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(SCHEMA + FEW)
    rails = Rails(url, "postgres", url, connect, connection)
    rails.adoption().run()
    with Database.connect(url) as database:
        assert {each: refused_writes(database, each) for each in ("norte", "sur")} == {"norte": {}, "sur": {}}
    assert rails.adoption(choices={}).undo(yes=True).differences == ()
    connection.close()


@pytest.mark.exhaustive  # every other test's tables are in one, public
def test_tables_in_another_schema_are_adopted_there(made_by: Callable[[str], Rails], connect: Any) -> None:
    made = made_by(
        'CREATE SCHEMA "My App"; SET search_path TO "My App", public; ' + SCHEMA + FEW + "RESET search_path;"
    )
    url = make_dsn(made.url, options='-c search_path="My\\ App",public')
    outcome = made.adoption(url=url).run()
    assert outcome.search_path == 'rayces_rails,"My App",rayces_before'
    with Database.connect(url) as database:
        assert {name: refused_writes(database, name) for name in ("norte", "sur")} == {"norte": {}, "sur": {}}
    cursor = session(made, path=outcome.search_path.replace(" ", "\\ ")).cursor()
    cursor.execute("SELECT role, (SELECT count(*) FROM organizations) FROM users WHERE id = 1")
    assert cursor.fetchall() == [(0, 2)]
    assert made.adoption(url=url, choices={}).undo(yes=True).differences == ()


CAPITALS = """
UPDATE organizations SET subdomain = 'MI-CENTRO', settings = '{"currency": "inr"}' WHERE id = 1;
UPDATE users SET email = 'INFO@X.ORG' WHERE id = 3;
UPDATE appointments SET state = 'PRE_CONFIRMED', executed_at = NULL, confirmed_at = NULL WHERE id = 1;
UPDATE students SET admission_state = 'WAITLISTED',
    emergency_contacts = '[{"name": "IDA", "relationship": "tía", "phone": "1", "email": "INFO@X.ORG"}]' WHERE id = 1;
UPDATE professionals SET weekly_schedule = '{"FRIDAY": {"start": "09:00", "end": "10:00"}}' WHERE id = 1;
UPDATE credit_transactions SET transaction_type = upper(transaction_type COLLATE "C"), status = 'FAILED' WHERE id = 1;
"""
READ = """
SELECT o.subdomain, o.currency, u.email, a.state, s.admission_state, s.emergency_contacts -> 0 ->> 'email',
       (SELECT array_agg(k) FROM jsonb_object_keys(p.weekly_schedule) AS k), c.transaction_type, c.status
  FROM organizations o, users u, appointments a, students s, professionals p, credit_transactions c
 WHERE o.id = 1 AND u.id = 3 AND a.id = 1 AND s.id = 1 AND p.id = 1 AND c.id = 1
"""


@pytest.mark.slow
def test_words_in_capitals_are_the_same_words_in_a_turkish_database(
    database_in: Callable[[str], str], connect: Callable[[str], Any]
) -> None:
    made = make_rails(database_in(TURKISH), "postgres", connect, SCHEMA + FEW + CAPITALS)
    made.adoption().run()
    assert made.sql(READ) == [
        *[("mi-centro", "INR", "info@x.org", "pre_confirmed", "waitlisted", "info@x.org", ["friday"], "purchase",
           "failed")],
    ]  # fmt: skip


@pytest.mark.exhaustive  # `make test` has a MyHub's
def test_the_way_back_on_a_restored_copy_ends_with_what_was_there(
    made_by: Callable[[str], Rails], server_url: str
) -> None:
    """PostgreSQL prints a rule and a condition otherwise once they were restored."""
    rules = (
        "ALTER TABLE users ADD CHECK (uid NOT IN ('x', 'y')); "
        "CREATE INDEX known_uids ON users (uid) WHERE uid NOT IN ('x', 'y');"
    )
    made = made_by(SCHEMA + FEW + rules)
    made.adoption().run()
    with cloned(server_url, "template0") as restored:
        restore(made.url, restored)
        assert made.adoption(url=restored, choices={}).undo().differences == ()
