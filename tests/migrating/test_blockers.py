"""Who is in the way of a migration is said while it waits, and in the error when the wait was in vain."""

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.blockers import QUERY_CHARACTERS
from tests.patience import in_one_of_five, wait_until

STEPS = "ATOMIC = False\ndef migrate(migrator, database, *, fake=False):\n    migrator.sql({0!r})\n"
LONG = "SELECT\n  count(*), 'a value that nobody has to read to the end, because it goes on and on' FROM t"


@pytest.fixture
def url(make_database: Any, directory: Any) -> str:
    url = make_database()
    Runner(url, directory(m001_table="CREATE TABLE t (id int)")).up()
    return url


@pytest.fixture
def blocker(url: str) -> Iterator[Any]:
    """A connection with an open transaction that has read t."""
    connection = psycopg2.connect(url)
    connection.cursor().execute(LONG)
    yield connection
    connection.close()


def _run_in_vain(url: str, folder: Any) -> str:
    """The error of a run that waits half a second; it is looked who is in the way after a third of that."""
    said: list[str] = []

    def names_somebody() -> bool:
        with pytest.raises(MigrationError) as caught:
            Runner(url, folder, retry_seconds=0).up()
        said.append(str(caught.value))
        return "server process" in said[-1]

    assert in_one_of_five(names_somebody), said
    return said[-1]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["ALTER TABLE t ADD name text", STEPS.format("ALTER TABLE t ADD name text")])
def test_the_error_names_who_was_in_the_way(url: str, directory: Any, blocker: Any, source: str) -> None:
    message = _run_in_vain(url, directory(m002_column=source))
    shown = re.search(r"\n  server process (\d+) \((.*), its transaction began (\d+\.\d) s ago\): (.*)", message)
    assert shown, message
    assert (int(shown[1]), shown[2]) == (blocker.get_backend_pid(), "idle in transaction")
    assert shown[4] == f"{' '.join(LONG.split())[:QUERY_CHARACTERS]}..."


@pytest.mark.slow
def test_the_log_says_it_once_an_attempt_and_while_the_wait_lasts(
    url: str, directory: Any, blocker: Any, caplog: Any
) -> None:
    folder = directory(m002_column="ALTER TABLE t ADD name text")

    def are_said_in_turn() -> bool:
        caplog.clear()
        with pytest.raises(MigrationError) as caught:
            Runner(url, folder, retry_seconds=0.8).up()
        told = [*caplog.messages, str(caught.value)]
        return ["canceling" in each for each in told if "canceling" in each or waits in each] == [False, True] * 2

    waits = f"002_column waits for a lock: server process {blocker.get_backend_pid()} (idle in"
    assert in_one_of_five(are_said_in_turn), caplog.text


@pytest.mark.slow
def test_a_session_that_waits_ahead_in_the_queue_is_named_too(
    url: str, directory: Any, blocker: Any, connect: Any
) -> None:
    waiting = connect(url)
    queued = threading.Thread(target=waiting.cursor().execute, args=("LOCK TABLE t IN SHARE MODE",))
    blocker.cursor().execute("INSERT INTO t VALUES (1)")
    waiting.autocommit = False
    queued.start()
    cursor = connect(url).cursor()
    there = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
    wait_until(lambda: cursor.execute(there) or cursor.fetchone() == (1,))
    message = _run_in_vain(url, directory(m002_key="ALTER TABLE t ADD name text"))
    blocker.rollback()
    queued.join()
    assert {int(pid) for pid in re.findall(r"server process (\d+)", message)} == {
        waiting.get_backend_pid(),
        blocker.get_backend_pid(),
    }


class Ending(logging.Handler):
    """Ends a transaction once it is said that it is in the way."""

    def __init__(self, blocker: Any) -> None:
        super().__init__()
        self.blocker = blocker

    def emit(self, record: logging.LogRecord) -> None:
        if "waits for a lock" in record.getMessage():
            self.blocker.rollback()


@pytest.mark.slow
def test_a_wait_of_an_index_build_for_an_old_transaction_is_named(
    url: str, directory: Any, blocker: Any, caplog: Any
) -> None:
    folder = directory(m002_index=STEPS.format("CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id)"))
    blocker.rollback()
    blocker.cursor().execute("INSERT INTO t VALUES (1)")
    runner, logger, ending = Runner(url, folder), logging.getLogger("rayces_core.migrations"), Ending(blocker)
    logger.addHandler(ending)
    try:
        assert runner.up() == ["002_index"]
    finally:
        logger.removeHandler(ending)
    assert f"002_index, step 1 waits for a lock: server process {blocker.get_backend_pid()}" in caplog.text


def test_nobody_is_named_where_nobody_was_in_the_way(url: str, directory: Any, caplog: Any) -> None:
    with pytest.raises(MigrationError) as caught:
        Runner(url, directory(m002_wrong="SELECT pg_sleep(0.2), 1/0")).up()
    assert "server process" not in str(caught.value) + caplog.text


@pytest.mark.slow
def test_a_run_goes_on_where_the_lookout_cannot_connect(
    url: str, directory: Any, connect: Any, server_url: str
) -> None:
    owner, name = connect(server_url).cursor(), psycopg2.extensions.parse_dsn(url)["dbname"]

    def close_the_door(_name: str, _step: int, _steps: int) -> None:
        owner.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')

    try:
        assert Runner(url, directory(m002_slow="SELECT pg_sleep(0.3)"), on_step=close_the_door).up() == ["002_slow"]
    finally:
        owner.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
