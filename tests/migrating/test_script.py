"""A script for a DBA: made without running anything; psql leaves by it what the runner would have left."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

from rayces_core.errors import IrreversibleMigrationError, MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.script import CALLS_SETTING
from rayces_core.migrations.session import connected, single_runner

from .filler import fill, rows

PSQL = shutil.which("psql") or str(Path("/usr/lib/postgresql/15/bin/psql"))
pytestmark = pytest.mark.skipif(not Path(PSQL).exists(), reason="psql is not installed")

HEAD = "def migrate(migrator, database, *, fake=False):\n"
STEPS = "ATOMIC = False\n" + HEAD


def psql(url: str, script: str, *, calls: bool = False) -> str:
    """Run the script; what psql says on stderr, empty when all went well."""
    options = {"PGOPTIONS": f"-c {CALLS_SETTING}=on"} if calls else {}
    done = subprocess.run(
        [PSQL, "-X", "-q", url], input=script, capture_output=True, text=True, env={**os.environ, **options}
    )
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert bool(errors) == bool(done.returncode), done.stderr
    return "\n".join(errors)


def history(connection: Any) -> list[Any]:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT name, checksum, state, steps_done, attempts, version, applied_at <= clock_timestamp() "
        "FROM rayces_migrations ORDER BY id"
    )
    return list(cursor.fetchall())


@pytest.mark.slow
def test_the_packaged_migrations_are_the_same_by_script(make_database: Any, migrated: str, connect: Any) -> None:
    url = make_database()
    connection = connect(url)
    before = fingerprint(connection)
    script = Runner(url).up_script()
    assert fingerprint(connection) == before
    assert psql(url, script, calls=True) == ""
    assert fingerprint(connection) == fingerprint(connect(migrated))
    assert history(connection) == history(connect(migrated))
    assert Runner(url).up() == []


@pytest.mark.slow
def test_the_packaged_migrations_are_undone_by_script(
    make_database: Any, create_database: Any, template: str, connect: Any
) -> None:
    url = create_database(template)
    assert psql(url, Runner(url).down_script(0), calls=True) == ""
    assert fingerprint(connect(url)) == fingerprint(connect(make_database()))


@pytest.mark.slow
def test_a_script_is_read_alike_whatever_the_sessions_of_the_login_begin_with(
    make_database: Any, directory: Any, connect: Any
) -> None:
    folder = directory(
        m001_t="CREATE TABLE t (name text DEFAULT 'a\\nb', ł text DEFAULT '01/02/2024'::date::text, "
        "CHECK ((name = NULL) IS NULL))"
    )
    by_runner, by_script = make_database(), make_database()
    Runner(by_runner, folder).up()
    odd = {
        "standard_conforming_strings": "off",
        "transform_null_equals": "on",
        "DateStyle": "German",
        "client_encoding": "LATIN1",
    }
    odd_url = make_dsn(by_script, options=" ".join(f"-c {name}={value}" for name, value in odd.items()))
    assert psql(odd_url, Runner(by_script, folder).up_script()) == ""
    assert fingerprint(connect(by_script)) == fingerprint(connect(by_runner))


@pytest.mark.exhaustive  # `make test` has a backfill by script, below
def test_rows_come_out_as_the_runner_would_leave_them(make_database: Any, connect: Any) -> None:
    found = []
    for by_script in (False, True):
        url = make_database()
        connection = connect(url)
        runner = Runner(url)
        runner.up(5)
        fill(connection, 5)
        if by_script:
            assert psql(url, runner.up_script(), calls=True) == ""
        else:
            runner.up()
        found.append({key: row | {"created_at": "", "updated_at": ""} for key, row in rows(connection).items()})
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_python_call_stops_the_script_unless_it_was_seen_to(make_database: Any, connect: Any) -> None:
    url = make_database()
    said = psql(url, Runner(url).up_script())
    assert "refuse_unfit_rows() of 006_assign_organization is Python" in said
    assert [status.state for status in Runner(url).status()][4:7] == ["applied", "dirty", "pending"]
    assert psql(url, Runner(url).up_script(), calls=True) == ""
    assert {status.state for status in Runner(url).status()} == {"applied"}


@pytest.mark.slow
def test_a_script_that_stopped_half_way_is_gone_on_with_by_another_or_by_the_runner(
    make_database: Any, directory: Any, connect: Any
) -> None:
    url = make_database()
    cursor = connect(url).cursor()
    cursor.execute("CREATE TABLE gate (open int); CREATE TABLE log (step int)")
    folder = directory(
        m001_steps=STEPS
        + "    migrator.sql('INSERT INTO log VALUES (1)')\n"
        + "    migrator.sql('SELECT 1 / open FROM gate')\n"
        + "    migrator.sql('INSERT INTO log VALUES (%s)', 3)\n"
        + "    migrator.sql('CREATE INDEX CONCURRENTLY IF NOT EXISTS log_step ON log (step)')\n"
    )
    cursor.execute("INSERT INTO gate VALUES (0)")
    assert "division by zero" in psql(url, Runner(url, folder).up_script())
    assert Runner(url, folder).status()[0].state == "dirty"
    assert "division by zero" in psql(url, Runner(url, folder).up_script())
    cursor.execute("UPDATE gate SET open = 1")
    assert psql(url, Runner(url, folder).up_script()) == ""
    cursor.execute("SELECT array_agg(step ORDER BY step) FROM log")
    assert cursor.fetchone() == ([1, 3],)
    assert [row[2:4] for row in history(cursor.connection)] == [("applied", 0)]


@pytest.mark.slow
def test_a_migration_that_fails_leaves_nothing(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    folder = directory(m001_bad=HEAD + "    migrator.sql('CREATE TABLE t (id int)')\n    migrator.sql('SELECT 1/0')\n")
    assert "division by zero" in psql(url, Runner(url, folder).up_script())
    assert [line for line in fingerprint(connect(url)) if line.startswith("table t ")] == []
    assert history(connect(url)) == []


@pytest.mark.slow
def test_a_script_for_another_state_stops_before_its_first_change(
    make_database: Any, directory: Any, connect: Any
) -> None:
    url, other = make_database(), make_database()
    folder = directory(m001_t="CREATE TABLE t (id int)", m002_u="CREATE TABLE u (id int)")
    whole = Runner(url, folder).up_script()
    Runner(url, folder).up(1)
    rest = Runner(url, folder).up_script()
    for database, script in ((url, whole), (other, rest)):
        before = fingerprint(connect(database))
        assert psql(database, script) != ""
        assert fingerprint(connect(database)) == before
    Runner(url, folder).up()
    assert "make a new script" in psql(url, rest)


def test_a_script_for_another_schema_stops(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    script = Runner(url, directory(m001_t="CREATE TABLE t (id int)")).up_script()
    assert "this script is for the schema public, not for <NULL>" in psql(url, "SET search_path = none;\n" + script)


@pytest.mark.slow
def test_a_script_and_a_runner_exclude_each_other(make_database: Any, directory: Any) -> None:
    url = make_database()
    runner = Runner(url, directory(m001_t="CREATE TABLE t (id int)"))
    script = runner.up_script()
    with single_runner(runner.database, "rayces_migrations", 1):
        assert "another run of migrations holds the lock" in psql(url, script)
    assert psql(url, script) == ""


@pytest.mark.slow
def test_statements_are_written_as_they_would_be_sent(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    folder = directory(
        m001_texts=HEAD
        + "    migrator.sql(\"CREATE TABLE texts (t text DEFAULT '50%') -- ends in a comment\")\n"
        + '    migrator.sql("INSERT INTO texts VALUES (%s), (%s)", "it\'s", "a\\\\b ñ")\n'
        + '    migrator.sql("INSERT INTO texts DEFAULT VALUES;")\n'
    )
    assert psql(url, Runner(url, folder).up_script()) == ""
    cursor = connect(url).cursor()
    cursor.execute("SELECT array_agg(t) FROM texts")
    assert cursor.fetchone() == (["it's", "a\\b ñ", "50%"],)


def test_each_migration_has_its_time_limits(make_database: Any, directory: Any) -> None:
    folder = directory(
        m001_own="LOCK_TIMEOUT_MS = 77\nSTATEMENT_TIMEOUT_MS = 8000\n" + HEAD + "    migrator.sql('SELECT 1')\n",
        m002_index=STEPS + "    migrator.sql('CREATE INDEX CONCURRENTLY x ON pg_class (oid)')\n",
    )
    script = Runner(make_database(), folder).up_script()
    assert "BEGIN;\nSET LOCAL lock_timeout = 77; SET LOCAL statement_timeout = 8000;\n-- step 1\nSELECT 1;" in script
    assert "SET SESSION lock_timeout = 300000; SET SESSION statement_timeout = 0;\nCREATE INDEX CONC" in script


@pytest.mark.slow
def test_an_unfinished_index_is_not_taken_for_a_built_one(make_database: Any, directory: Any, connect: Any) -> None:
    url, build = make_database(), "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_c ON t (c)"
    folder = directory(m001_key=STEPS + f"    migrator.sql('{build}')\n")
    connect(url).cursor().execute("CREATE TABLE t AS SELECT 1 AS c FROM generate_series(1, 2)")
    script = Runner(url, folder).up_script()
    assert "could not create unique index" in psql(url, script)
    connect(url).cursor().execute("DELETE FROM t")
    assert "the index t_c is not valid" in psql(url, Runner(url, folder).up_script())
    assert Runner(url, folder).up() == ["001_key"]


def test_what_a_body_does_itself_is_refused_and_not_done(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    folder = directory(m001_direct=HEAD + "    database.command('CREATE TABLE t (id int)')\n")
    with pytest.raises(MigrationError, match=r"001_direct cannot be written as a script: .*read-only"):
        Runner(url, folder).up_script()
    assert not [line for line in fingerprint(connect(url)) if line.startswith("table ")]


def test_an_irreversible_migration_has_no_script_back(make_database: Any, directory: Any) -> None:
    runner = Runner(make_database(), directory(m001_t="CREATE TABLE t (id int)"))
    runner.up()
    with pytest.raises(IrreversibleMigrationError):
        runner.down_script()


def test_nothing_to_do_is_an_empty_script(make_database: Any, directory: Any) -> None:
    runner = Runner(make_database(), directory(m001_t="SELECT 1"))
    runner.up()
    assert runner.up_script() == "-- nothing to do\n"


def test_the_connection_can_write_again_afterwards(make_database: Any, directory: Any) -> None:
    runner = Runner(make_database(), directory(m001_t="CREATE TABLE t (id int)"))
    with connected(runner.database):
        runner.up_script()
        assert runner.up() == ["001_t"]


@pytest.mark.slow
@pytest.mark.parametrize("head", [HEAD, STEPS], ids=["in one transaction", "step by step"])
def test_a_backfill_by_script_reaches_every_row(make_database: Any, directory: Any, connect: Any, head: str) -> None:
    url = make_database()
    cursor = connect(url).cursor()
    cursor.execute(
        "CREATE TABLE t AS SELECT n AS id, NULL::text AS c, n % 5 = 0 AS left_out FROM generate_series(-3, 7) n"
    )
    call = "    migrator.run(backfill, database, 't', \"c = '50%'\", 'c IS NULL AND NOT left_out', batch_rows=2)\n"
    folder = directory(m001_fill="from rayces_core.migrating.runner import backfill\n" + head + call)
    assert psql(url, Runner(url, folder).up_script()) == ""
    cursor.execute(
        "SELECT count(*) FILTER (WHERE c = '50%'), count(*) FILTER (WHERE left_out AND c IS NULL), count(*) FROM t"
    )
    assert cursor.fetchone() == (9, 2, 11)
