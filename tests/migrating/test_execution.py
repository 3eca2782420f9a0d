"""Running one migration: whole or step by step, past locks, and on from where a killed run stopped."""

import logging
import signal
import subprocess
import sys
from typing import Any

import psycopg2
import pytest

from rayces_core.errors import MigrationError, MigrationFileError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from tests.patience import wait_until

HEAD = "def migrate(migrator, database, *, fake=False):\n"
STEPS = "ATOMIC = False\n" + HEAD


def _sql(*statements: str) -> str:
    return "".join(f"    migrator.sql({statement!r})\n" for statement in statements)


def test_a_migration_that_fails_leaves_nothing_and_the_earlier_ones_stay(
    make_database: Any, directory: Any, connect: Any
) -> None:
    url = make_database()
    folder = directory(
        m001_good="CREATE TABLE good (id int)", m002_bad=HEAD + _sql("CREATE TABLE bad (id int)", "SELECT 1/0")
    )
    with pytest.raises(MigrationError, match="002_bad: division by zero"):
        Runner(url, folder).up()
    assert _tables(connect(url)) == ["good"]
    assert [status.state for status in Runner(url, folder).status()] == ["applied", "pending"]


def test_the_same_runner_can_go_on_once_the_file_is_repaired(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    folder = directory(m001_bad=HEAD + _sql("CREATE TABLE t (id int)", "SELECT 1/0"))
    runner = Runner(url, folder)
    with pytest.raises(MigrationError):
        runner.up()
    directory(m001_bad=HEAD + _sql("CREATE TABLE t (id int)"))
    assert runner.up() == ["001_bad"]
    assert _tables(connect(url)) == ["t"]


@pytest.mark.slow
def test_a_whole_migration_waits_for_its_lock_by_trying_again(
    make_database: Any, directory: Any, connect: Any, caplog: Any
) -> None:
    url = make_database()
    folder = directory(m001_table="CREATE TABLE t (id int)", m002_column="ALTER TABLE t ADD name text")
    Runner(url, folder).up(1)
    _run_past_a_lock(url, folder, caplog)
    assert _history(connect(url), "002_column") == ("applied", 2)


@pytest.mark.slow
def test_a_single_step_waits_for_its_lock_by_trying_again(
    make_database: Any, directory: Any, connect: Any, caplog: Any
) -> None:
    url = make_database()
    source = STEPS + _sql("CREATE TABLE before (id int)", "ALTER TABLE t ADD name text", "CREATE TABLE after (id int)")
    folder = directory(m001_table="CREATE TABLE t (id int)", m002_steps=source)
    Runner(url, folder).up(1)
    _run_past_a_lock(url, folder, caplog)
    assert _tables(connect(url)) == ["after", "before", "t"]
    assert _history(connect(url), "002_steps") == ("applied", 2)


def _run_past_a_lock(url: str, folder: Any, caplog: Any) -> None:
    """Apply what is pending while t is locked; the lock is let go when the first attempt has failed."""
    blocker = psycopg2.connect(url)
    blocker.cursor().execute("LOCK TABLE t IN ACCESS SHARE MODE")

    class LetGo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "attempt 1 failed" in record.getMessage():
                blocker.rollback()

    handler = LetGo()
    logging.getLogger("rayces_core.migrations").addHandler(handler)
    try:
        Runner(url, folder).up()
    finally:
        logging.getLogger("rayces_core.migrations").removeHandler(handler)
        blocker.close()
    assert "canceling statement due to lock timeout" in caplog.text


@pytest.mark.slow
def test_a_lock_that_is_never_granted_ends_the_run_within_its_budget(make_database: Any, directory: Any) -> None:
    url = make_database()
    folder = directory(m001_table="CREATE TABLE t (id int)", m002_column="ALTER TABLE t ADD name text")
    Runner(url, folder).up(1)
    blocker = psycopg2.connect(url)
    blocker.cursor().execute("LOCK TABLE t IN ACCESS SHARE MODE")
    with pytest.raises(
        MigrationError, match=r"002_column: canceling statement due to lock timeout(.|\n)*in the way for 0 s"
    ):
        Runner(url, folder, retry_seconds=0).up()
    blocker.close()
    assert Runner(url, folder).up() == ["002_column"]


def test_the_time_limits_of_a_migration_can_be_its_own(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    show = (
        "CREATE TABLE limits AS SELECT current_setting('lock_timeout') AS l, current_setting('statement_timeout') AS s"
    )
    folder = directory(m001_own="LOCK_TIMEOUT_MS = 77\nSTATEMENT_TIMEOUT_MS = 8000\n" + HEAD + _sql(show))
    Runner(url, folder).up()
    cursor = connect(url).cursor()
    cursor.execute("SELECT l, s FROM limits")
    assert cursor.fetchone() == ("77ms", "8s")


@pytest.mark.slow
def test_a_run_killed_between_steps_goes_on_with_the_rest(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE log (step int)")
    folder = directory(
        m001_steps=STEPS
        + _sql(
            "INSERT INTO log VALUES (1)",
            "SELECT pg_advisory_xact_lock(42) /* step 2 */",
            "INSERT INTO log VALUES (3)",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS log_step ON log (step)",
        )
    )
    cursor.execute("SELECT pg_advisory_lock(42)")
    program = "import sys; from rayces_core.migrating import Runner; Runner(*sys.argv[1:]).up()"
    killed = subprocess.Popen([sys.executable, "-c", program, url, str(folder)])
    _until(
        cursor,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND query LIKE '%step 2%' AND wait_event = 'advisory'",
    )
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert Runner(url, folder).status()[0].state == "dirty"
    cursor.execute("SELECT steps_done FROM rayces_migrations")
    assert cursor.fetchone() == (1,)
    cursor.execute("SELECT pg_advisory_unlock(42)")
    assert Runner(url, folder).up() == ["001_steps"]
    cursor.execute("SELECT array_agg(step ORDER BY step) FROM log")
    assert cursor.fetchone() == ([1, 3],)
    assert Runner(url, folder).status()[0].state == "applied"


def _until(cursor: Any, query: str) -> None:
    wait_until(lambda: cursor.execute(query) or cursor.fetchone()[0])


def test_a_half_done_migration_that_was_edited_is_refused(make_database: Any, directory: Any) -> None:
    url = make_database()
    folder = directory(m001_steps=STEPS + _sql("CREATE TABLE a (id int)", "SELECT 1/0"))
    with pytest.raises(MigrationError, match="division by zero"):
        Runner(url, folder).up()
    directory(m001_steps=STEPS + _sql("CREATE TABLE b (id int)", "SELECT 1"))
    with pytest.raises(MigrationFileError, match="001_steps was edited after it was begun"):
        Runner(url, folder).up()


def test_a_migration_stopped_at_its_first_step_can_be_repaired(
    make_database: Any, directory: Any, connect: Any
) -> None:
    url = make_database()
    folder = directory(m001_steps=STEPS + _sql("SELECT 1/0"))
    with pytest.raises(MigrationError):
        Runner(url, folder).up()
    directory(m001_steps=STEPS + _sql("CREATE TABLE t (id int)"))
    assert Runner(url, folder).up() == ["001_steps"]
    assert [status.state for status in Runner(url, folder).status()] == ["applied"]


def test_an_index_that_cannot_be_built_leaves_no_invalid_one(make_database: Any, directory: Any, connect: Any) -> None:
    url, build = make_database(), "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_c ON t (c)"
    folder = directory(
        m001_table="CREATE TABLE t AS SELECT 1 AS c FROM generate_series(1, 2)", m002_key=STEPS + _sql(build)
    )
    with pytest.raises(MigrationError, match=r"002_key: could not create unique index"):
        Runner(url, folder).up()
    assert [line for line in fingerprint(connect(url)) if "t_c" in line] == []


@pytest.mark.slow
def test_an_invalid_index_of_its_own_name_is_built_anew(make_database: Any, directory: Any, connect: Any) -> None:
    url, build = make_database(), "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_c ON t (c)"
    folder = directory(
        m001_table="CREATE TABLE t AS SELECT 1 AS c FROM generate_series(1, 2)", m002_key=STEPS + _sql(build)
    )
    Runner(url, folder).up(1)
    cursor = connect(url).cursor()
    for interrupted in (build, build.replace("t_c", "other")):
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute(interrupted)
    cursor.execute("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
    Runner(url, folder).up()
    indexes = [line for line in fingerprint(connect(url)) if line.startswith("index") and " ON public.t " in line]
    assert indexes == [
        "index CREATE UNIQUE INDEX other ON public.t USING btree (c) INVALID",
        "index CREATE UNIQUE INDEX t_c ON public.t USING btree (c)",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "migrator.tenant_column('rooms', 'next_id', parent='rooms')",
        "migrator.sql('VACUUM rooms')",
        "migrator.sql('SELECT 1; CREATE INDEX CONCURRENTLY r ON rooms (id)')",
    ],
)
def test_what_stands_in_no_transaction_is_refused_with_what_to_write(
    make_database: Any, directory: Any, connect: Any, body: str
) -> None:
    url = make_database()
    connect(url).cursor().execute(
        "CREATE TABLE rooms (organization_id bigint, id bigint, PRIMARY KEY (organization_id, id))"
    )
    said = "cannot .*\nSay ATOMIC = False in the module"
    with pytest.raises(MigrationError, match=said):
        Runner(url, directory(m001_a=f"{HEAD}    {body}\n")).up()


def test_each_step_is_announced_before_it_runs(make_database: Any, directory: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    folder = directory(m001_whole="SELECT 1", m002_steps=STEPS + _sql("SELECT 1", "SELECT 2"))
    Runner(make_database(), folder, on_step=lambda *facts: seen.append(facts)).up()
    assert seen == [("001_whole", 1, 1), ("002_steps", 1, 2), ("002_steps", 2, 2)]


def test_an_interruption_that_cost_the_connection_stays_one(make_database: Any, directory: Any) -> None:
    source = (
        "def migrate(migrator, database, *, fake=False):\n    migrator.run(interrupt, database)\n"
        "def interrupt(database):\n    database.server.close()\n    raise KeyboardInterrupt\n"
    )
    with pytest.raises(KeyboardInterrupt):
        Runner(make_database(), directory(m001_interrupted=source)).up()


def _tables(connection: Any) -> list[str]:
    lines = [line.split()[1] for line in fingerprint(connection) if line.startswith("table ")]
    return [name for name in lines if name != "rayces_migrations"]


def _history(connection: Any, name: str) -> tuple[str, int]:
    cursor = connection.cursor()
    cursor.execute("SELECT state, attempts FROM rayces_migrations WHERE name = %s", (name,))
    return cursor.fetchone()
