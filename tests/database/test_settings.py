"""Whatever settings a database, a role or a URL gives its sessions, an application reads and writes the same."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import ConfigurationError, Database, Student
from rayces_core.cells import connecting
from rayces_core.citus import distributing
from rayces_core.doctor import audit_connection
from rayces_core.migrations.session import connected, dedicated
from rayces_core.migrations.settings import connect, pinned
from tests.factory import make_organization, make_student
from tests.tenancy.test_walls import run_bouncer
from tests.walking import walked

INJECTED = "\\'; SELECT 666 --"
BACKSLASHES = INJECTED + " C:\\new\\'"
READ_OTHERWISE = {
    "IntervalStyle=sql_standard": ("SELECT interval '1 day 02:03:04.5'", timedelta(1, 7384, 500000)),
    "IntervalStyle=postgres_verbose": ("SELECT interval '-1 day +02:03'", timedelta(-1, 7380)),
    "IntervalStyle=iso_8601": ("SELECT interval '1 day'", timedelta(1)),
    "extra_float_digits=-15": ("SELECT 0.1::float8 + 0.2", 0.1 + 0.2),
    "extra_float_digits=0": ("SELECT 0.1::float8 + 0.2", 0.1 + 0.2),
    "transform_null_equals=on": ("SELECT 1 WHERE NOT coalesce(NULL::int = NULL, false)", 1),
    "array_nulls=off": ("SELECT '{NULL}'::text[]", [None]),
    "bytea_output=escape": ("SELECT '\\x00'::bytea::text", "\\x00"),
}


def begun(database: Database, *settings: str) -> Database:
    """The same database, with sessions that begin under these settings."""
    return Database.connect(make_dsn(database.url, options=" ".join(f"-c {setting}" for setting in settings)))


def given(database: Database, name: str, value: str) -> None:
    """Let all sessions of the database begin under this setting."""
    with closing(psycopg2.connect(database.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {parse_dsn(database.url)['dbname']} SET {name} = {value}")
        connection.commit()


@walked("setting", READ_OTHERWISE)
def test_what_is_read_is_the_same_under_any_setting(db: Database, setting: str) -> None:
    query, value = READ_OTHERWISE[setting]
    with begun(db, setting) as odd, odd.tenant(make_organization(db)):
        assert odd.execute_sql(query).fetchone()[0] == value
    with begun(db, setting) as odd, odd.privileged(reason="test"):
        assert odd.execute_sql(query).fetchone()[0] == value


def test_no_string_of_raw_sql_ends_elsewhere_than_the_guard_saw(own_db: Database) -> None:
    north, south = make_organization(own_db, subdomain="north"), make_organization(own_db, subdomain="south")
    given(own_db, "standard_conforming_strings", "off")
    hidden = f"; SET LOCAL rayces.organization_id TO {south.id}; SELECT subdomain FROM organizations --"
    with Database.connect(own_db.url) as db:
        with db.tenant(north):
            assert db.execute_sql(f"SELECT '\\', '{hidden}'").fetchall() == [("\\", hidden)]
            make_student(last_name=BACKSLASHES)
            assert Student.get(Student.last_name == BACKSLASHES).last_name == BACKSLASHES
        with db.tenant(south):
            assert Student.select().count() == 0


def migrating(url: str) -> Any:
    database = dedicated(url)
    with connected(database):
        return database.one("SELECT %s", BACKSLASHES)


def looking(url: str) -> Any:
    with (
        closing(sys.modules[audit_connection.__module__]._connect(url)) as connection,
        connection.cursor() as cursor,
        pinned(cursor),
    ):
        cursor.execute("SELECT %s", (BACKSLASHES,))
        return cursor.fetchone()[0]


def of_cells(url: str) -> Any:
    with connecting.connected(url) as connection, connecting.unit(connection) as cursor:
        cursor.execute("SELECT %s", (BACKSLASHES,))
        return cursor.fetchone()[0]


def of_citus(url: str) -> Any:
    with closing(distributing._connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SET standard_conforming_strings TO on")
        cursor.execute("SELECT %s", (BACKSLASHES,))
        return cursor.fetchone()[0]


@pytest.mark.parametrize("read", [migrating, looking, of_cells, of_citus])
def test_no_value_runs_as_sql_where_a_session_reads_strings_by_the_standard(
    db: Database, read: Callable[[str], Any]
) -> None:
    assert read(make_dsn(db.url, options="-c standard_conforming_strings=off")) == BACKSLASHES


def test_what_else_the_url_says_of_a_session_is_kept(db: Database) -> None:
    options = "-c standard_conforming_strings=off -c statement_timeout=4711"
    with closing(connect(db.url, options=options)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('standard_conforming_strings'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("on", "4711ms")


@pytest.mark.parametrize("where", ["database", "url"])
def test_nothing_is_written_where_no_reference_and_no_trigger_holds(own_db: Database, where: str) -> None:
    make_organization(own_db, subdomain="north")
    if where == "database":
        given(own_db, "session_replication_role", "replica")
    settings = ["session_replication_role=replica"] if where == "url" else []
    refused = r"session_replication_role is replica .* RESET session_replication_role"
    with begun(own_db, *settings) as db, pytest.raises(ConfigurationError, match=refused), db.tenant("north"):
        make_student()


def test_sessions_that_begin_within_an_organization_find_the_others_all_the_same(own_db: Database) -> None:
    north, south = make_organization(own_db, subdomain="north"), make_organization(own_db, subdomain="south")
    for name, value in {"organization_id": north.id, "lookup": "north"}.items():
        given(own_db, f"rayces.{name}", f"'{value}'")
    with Database.connect(own_db.url) as db:
        assert db.find_tenant("south") == south
        with db.privileged(reason="test"):
            found = "SELECT current_setting('rayces.organization_id'), current_setting('rayces.lookup')"
            assert db.execute_sql(found).fetchone() == ("", "")


@pytest.fixture
def behind(own_db: Database, tmp_path: Path) -> Callable[..., Any]:
    """Begins a PgBouncer before the database; `ignored` are startup parameters that it swallows."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed here")
    return lambda **options: contextmanager(run_bouncer)(program, own_db.url, tmp_path, **options)


@pytest.mark.slow
def test_what_is_read_behind_a_proxy_is_the_same_too(own_db: Database, behind: Callable[..., Any]) -> None:
    for setting in READ_OTHERWISE:
        given(own_db, *setting.split("="))
    organization = make_organization(own_db)
    with behind() as url, Database.connect(url) as db, db.tenant(organization):
        for unit in (nullcontext, db.atomic):
            with unit():
                for query, value in READ_OTHERWISE.values():
                    assert db.execute_sql(query).fetchone()[0] == value


@pytest.mark.slow
@pytest.mark.parametrize("ignored", ["", "options"])
def test_strings_that_end_elsewhere_behind_a_proxy_are_told_of(
    own_db: Database, behind: Callable[..., Any], ignored: str
) -> None:
    given(own_db, "standard_conforming_strings", "off")
    with behind(ignored=ignored) as url, Database.connect(url) as db:
        with pytest.raises(ConfigurationError, match="standard_conforming_strings is off"), db.tenant("north"):
            pass
