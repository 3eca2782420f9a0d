"""Asking the server what became of a transaction, also of one that has crashed meanwhile or is another server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from dataclasses import replace

import psutil
import psycopg2
import pytest

from rayces_core import ConnectionLostError, Database, credits
from rayces_core.database.finding_out import is_over, outcome_of
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.errors.base import COMMITTED, NOT_COMMITTED, UNKNOWN
from tests.cutting import cutter
from tests.factory import make_organization, make_user
from tests.patience import wait_until
from tests.sizes import exhaustive
from tests.walking import walked

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def owner(url):
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        yield connection.cursor()


@pytest.fixture(scope="module")
def crashing(tmp_path_factory):
    """A server of this module's own, that may be hurt; gives its folder and a URL."""
    path = tmp_path_factory.mktemp("crashing") / "data"
    with EmbeddedServer(path) as server:
        with Database.connect(server.url) as database:
            database.migrate()
        yield path, server.url


def crash(url):
    """Kill a server process: the server throws everybody out and recovers. Returns once it is there again."""
    with owner(url) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        os.kill(cursor.fetchone()[0], signal.SIGKILL)
        wait_for(url)


def wait_for(url):
    def is_there():
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            return False
        return True

    wait_until(is_there)


def a_transaction(database, *, ends_with):
    """A connection, and the id of its transaction, which has ended so or is still open."""
    connection = database.engine._open()
    connection.plain("BEGIN")
    (transaction_id,) = connection.plain("SELECT pg_current_xact_id()").fetchone()
    if ends_with:
        connection.plain(ends_with)
    return connection, transaction_id


@walked("end, outcome", [("COMMIT", COMMITTED), ("ROLLBACK", NOT_COMMITTED), (None, NOT_COMMITTED)])
def test_the_server_says_what_became_of_a_transaction(db, end, outcome):
    connection, transaction_id = a_transaction(db, ends_with=end)
    assert outcome_of(connection, transaction_id) == outcome


def test_without_an_id_nobody_can_say(db):
    connection, _ = a_transaction(db, ends_with="COMMIT")
    assert outcome_of(connection, None) == UNKNOWN


def test_of_a_server_that_does_not_answer_in_time_the_outcome_is_unknown(create_database, template):
    with cutter(create_database(template)) as proxy:
        with Database.connect(proxy.url, find_out_seconds=0.3) as database:
            connection, transaction_id = a_transaction(database, ends_with="COMMIT")
            proxy.lead_to("postgresql://nobody@localhost:1/none")
            began = time.monotonic()
            assert outcome_of(connection, transaction_id) == UNKNOWN
            assert time.monotonic() - began > 0.05


def test_a_pool_of_one_connection_is_no_obstacle(create_database, template):
    with cutter(create_database(template)) as proxy:
        with Database.connect(proxy.url, max_connections=1, pool_timeout=1) as database:
            with database.tenant(make_organization(database)):
                user = make_user()
                for text in ("rayces", "COMMIT"):
                    credits.purchase(user, 1)
                    proxy.cut(text)
                    database.retrying(pause_seconds=0).run(credits.purchase, user, 1)
                    assert credits.balance(user) > 0  # connects again
                    proxy.cut("rayces")
                    credits.purchase(user, 1)
                assert credits.balance(user) == 6


def test_in_an_event_loop_it_is_asked_once(db, monkeypatch):
    monkeypatch.setattr(db.engine, "find_out_seconds", 300)

    async def ask():
        connection, transaction_id = a_transaction(db, ends_with="COMMIT")
        kept = outcome_of(connection, transaction_id)
        with contextlib.closing(psycopg2.connect(db.url)) as other:
            cursor = other.cursor()
            cursor.execute("SELECT pg_current_xact_id()")
            connection, _ = a_transaction(db, ends_with="COMMIT")
            return kept, outcome_of(connection, cursor.fetchone()[0])

    began = time.monotonic()
    assert asyncio.run(ask()) == (COMMITTED, UNKNOWN)
    assert time.monotonic() - began < 60


def test_a_process_is_over_once_it_is_gone_and_one_that_stays_is_ended(db):
    connection, _ = a_transaction(db, ends_with="COMMIT")
    assert is_over(connection)


def test_behind_a_proxy_that_pools_transactions_nobody_knows_which_process_it_was(db):
    connection, _ = a_transaction(db, ends_with="COMMIT")
    connection.footing = replace(connection.footing, is_direct=False)
    assert not is_over(connection)


@pytest.mark.slow
def test_ids_that_a_crash_gives_anew_are_not_believed(crashing):
    _, url = crashing
    with Database.connect(url) as database:
        make_organization(database)
        connection, transaction_id = a_transaction(database, ends_with=None)
        crash(url)
        assert outcome_of(connection, transaction_id) == NOT_COMMITTED  # nobody has it, or whoever has is not ready
        with owner(url) as cursor:
            given = 0
            while given <= int(transaction_id):
                cursor.execute("CREATE TABLE anew (); DROP TABLE anew; SELECT pg_current_xact_id()")
                given = int(cursor.fetchone()[0])
            cursor.execute("SELECT pg_xact_status(%s::xid8)", (transaction_id,))
            assert cursor.fetchone() == ("committed",)  # another one, of the same id
        assert outcome_of(connection, transaction_id) == UNKNOWN
        assert is_over(connection)


@pytest.fixture
def hurt(crashing):
    """A Database on the server that may be hurt, by a proxy; and a user with ten credits."""
    path, url = crashing
    with cutter(url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(make_organization(database)):
            user = make_user()
            credits.purchase(user, 10)
            yield database, proxy, user, path, url


@pytest.mark.slow
def test_a_server_that_crashes_before_the_commit_came_debits_once(hurt):
    database, proxy, user, _, url = hurt
    proxy.cut("COMMIT", sent=0, then=lambda: crash(url))
    database.retrying(attempts=5, pause_seconds=0.2).run(credits.debit, user, 1)
    assert credits.balance(user) == 9


def test_a_server_that_crashes_after_the_commit_is_not_debited_twice(hurt):
    database, proxy, user, _, url = hurt
    proxy.cut("COMMIT", then=lambda: crash(url))
    with pytest.raises(ConnectionLostError) as caught:
        database.retrying(attempts=5, pause_seconds=0.2).run(credits.debit, user, 1)
    assert caught.value.outcome == UNKNOWN
    assert credits.balance(user) == 9


def test_a_keyed_unit_is_found_to_be_there_after_a_crash(hurt):
    database, proxy, user, _, url = hurt
    proxy.cut("COMMIT", then=lambda: crash(url))
    unit = database.retrying(attempts=5, idempotent=True, pause_seconds=0.2)
    entry = unit.run(credits.debit, user, 1, idempotency_key="k")
    assert (credits.balance(user), entry.balance_after) == (9, 9)


def test_a_posting_that_was_kept_before_a_crash_is_found_by_its_key(hurt):
    _, proxy, user, _, url = hurt
    proxy.cut("rayces", then=lambda: crash(url))
    assert credits.purchase(user, 5).balance_after == 15
    assert credits.balance(user) == 15


@pytest.mark.parametrize("where", [{}, *exhaustive({"sent": 0})], ids=["after", "before"])
def test_a_server_that_is_stopped_at_once_and_started_again_debits_once(hurt, where):
    database, proxy, user, path, url = hurt
    again = []

    def stop_and_start():
        with owner(url) as cursor:
            cursor.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int")
            (postmaster,) = cursor.fetchone()
        os.kill(postmaster, signal.SIGQUIT)

        def start():
            again.append(EmbeddedServer(path))
            proxy.lead_to(again[0].url)

        wait_until(lambda: not psutil.pid_exists(postmaster))
        threading.Thread(target=start).start()

    proxy.cut("COMMIT", **where, then=stop_and_start)
    with contextlib.nullcontext() if where else pytest.raises(ConnectionLostError, match="is unknown"):
        database.retrying(attempts=50, pause_seconds=0.3).run(credits.debit, user, 1)
    wait_for(proxy.url)
    assert credits.balance(user) == 9
    again[0].stop()
