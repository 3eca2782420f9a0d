"""Replicas: real streaming replication of embedded servers. A read never misses what was committed here."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from typing import Any, NamedTuple

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peewee import fn
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import (
    ConfigurationError,
    ConnectionLostError,
    Database,
    DatabaseUnreachableError,
    DuplicateError,
    Organization,
    Post,
    ReadOnlyError,
    SerializationError,
    Student,
    UnknownTableError,
    User,
    credits,
)
from rayces_core.database.observing import Query
from rayces_core.embedded.server import EmbeddedServer
from tests.factory import make_organization, make_student, make_user
from tests.patience import wait_until
from tests.replication import (
    beside,
    caught_up,
    following,
    pause,
    primary_server,
    resume,
    run,
    server_of_version,
    wait_for,
)
from tests.sizes import EVERYTHING
from tests.test_docs import ROOT, code_blocks
from tests.wire import wire

pytestmark = pytest.mark.slow

DOCUMENT = ROOT / "docs" / "replicas.md"


class Pair(NamedTuple):
    """A primary with a migrated database, and a replica of it."""

    primary: EmbeddedServer
    url: str
    replica: str


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with primary_server() as primary:
        run(primary.url, "CREATE DATABASE clinic")
        url = make_dsn(primary.url, dbname="clinic")
        with Database.connect(url) as database:
            database.migrate()
        with following(primary) as replica:
            yield Pair(primary, url, beside(url, replica))


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    """Them, the replica up to date and replaying before and after the test."""
    caught_up(servers.url, servers.replica)
    yield servers
    resume(servers.replica)


@pytest.fixture
def north(pair: Pair) -> Any:
    with Database.connect(pair.url) as database:
        return make_organization(database)


class Watching:
    """A Database with a replica, and where each of its statements went: "primary", "replica", or "refused" by one."""

    def __init__(self, pair: Pair, *replicas: str, **options: Any) -> None:
        self.db = Database.connect(pair.url, replicas=replicas or [pair.replica], **options)
        self.went: list[str] = []
        self.db.on_query(self._note)

    def _note(self, query: Query) -> None:
        server = "primary" if query.replica is None else "replica"
        self.went.append("refused" if query.replica is not None and query.error is not None else server)

    def let_it_be_tried(self) -> None:
        """As if the replica had been left alone for long enough."""
        for standing in self.db._routing.standings.values():
            standing.rest(0)

    def where(self) -> list[str]:
        """Where they went since it was asked last."""
        went, self.went[:] = list(self.went), []
        return went

    @property
    def status(self) -> Any:
        return self.db.pool_status().replicas[0]


@contextmanager
def watching(pair: Pair, north: Any, *replicas: str, **options: Any) -> Iterator[Watching]:
    made = Watching(pair, *replicas, **options)
    with made.db:
        with made.db.tenant(north):
            Student.select().count()
        caught_up(pair.url, pair.replica)
        made.where()
        yield made


@pytest.fixture
def watched(pair: Pair, north: Any) -> Iterator[Watching]:
    with watching(pair, north) as made:
        yield made


def seen(db: Any, north: Any, **options: Any) -> int:
    """How many students a block that only reads sees."""
    with db.tenant(north, read_only=True, **options):
        return Student.select().count()


def write(db: Any, north: Any) -> None:
    with db.tenant(north):
        make_student()


# -- where it is read --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_block_that_only_reads_goes_to_the_replica_and_others_to_the_primary(watched, north):
    assert seen(watched.db, north) == 0
    assert watched.where() == ["replica"]
    with watched.db.tenant(north):
        Student.select().count()
        with watched.db.atomic():
            Student.select().count()
    assert watched.where() == ["primary"] * 2
    with watched.db.tenant(north, read_only=True), watched.db.atomic():
        Student.select().count()
        with watched.db.atomic():
            Student.select().count()
    assert watched.where() == ["replica"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("in_unit", [False, True], ids=["alone", "in a unit"])
def test_what_the_replica_has_not_yet_is_read_from_the_primary(watched, pair, north, in_unit):
    pause(pair.replica)
    write(watched.db, north)
    watched.where()
    with watched.db.tenant(north, read_only=True):
        if in_unit:
            with watched.db.atomic("REPEATABLE READ"):
                assert Student.select().count() == 1
        else:
            assert Student.select().count() == 1
        assert Student.select().count() == 1  # and so is what comes after it in the block, without asking again
    assert [each for each in watched.where() if each != "refused"] == ["primary"] * 2
    assert (watched.status.behind, watched.status.failures) == (1, 0)
    resume(pair.replica)
    caught_up(pair.url, pair.replica)
    assert seen(watched.db, north) == 1
    assert watched.where() == ["replica"]


def test_what_others_wrote_is_not_waited_for(watched, pair, north):
    pause(pair.replica)
    with Database.connect(pair.url) as other:
        write(other, north)
    assert seen(watched.db, north) == 0
    assert watched.where() == ["replica"]


def test_a_unit_that_is_undone_or_only_reads_asks_nothing_of_the_replica(watched, pair, north):
    pause(pair.replica)
    with watched.db.tenant(north):
        with suppress(ZeroDivisionError), watched.db.atomic():
            make_student()
            raise ZeroDivisionError
        with watched.db.atomic():
            Student.select().count()
    watched.where()
    assert seen(watched.db, north) == 0
    assert watched.where() == ["replica"]


def test_only_a_write_makes_the_primary_be_asked_and_only_once(pair, north):
    with wire(pair.url) as proxy, Database.connect(proxy.url, replicas=[pair.replica]) as db:
        write(db, north)
        caught_up(pair.url, pair.replica)
        proxy.sent.clear()
        for _ in range(3):
            assert seen(db, north) == 1
        assert len(proxy.sent) == 1
        assert "pg_current_wal_insert_lsn" in proxy.sent[0]


def test_a_read_on_the_replica_is_one_message(pair, north):
    with wire(pair.replica) as proxy, Database.connect(pair.url, replicas=[proxy.url]) as db:
        seen(db, north)
        proxy.sent.clear()
        with db.tenant(north, read_only=True):
            Student.select().count()
            Student.get_or_none(Student.id == 1)
            assert len(proxy.sent) == 2
            with db.atomic():
                Student.select().count()
        assert len(proxy.sent) == 2 + 3


def test_ordinary_blocks_send_what_they_sent_without_replicas(pair, north):
    def sent(**options: Any) -> list[str]:
        with wire(pair.url) as proxy, Database.connect(proxy.url, **options) as db, db.tenant(north):
            Student.select().count()
            proxy.sent.clear()
            make_student()
            with db.atomic():
                make_user()
            return [message.split(";")[0].split("'")[0].split("rayces_")[0] for message in proxy.sent]

    assert sent(replicas=[pair.replica]) == sent()


@pytest.mark.slow
def test_another_replica_is_read_where_one_lags(pair, north):
    with following(pair.primary) as other:
        with watching(pair, north, pair.replica, beside(pair.url, other)) as watched:
            pause(pair.replica)
            write(watched.db, north)
            caught_up(pair.url, beside(pair.url, other))
            watched.where()
            for _ in range(4):
                assert seen(watched.db, north) == 1
            assert "primary" not in watched.where()
            resume(pair.replica)


def test_the_end_of_the_log_is_reached_also_where_nothing_follows_a_switch(watched, pair, north):
    for _ in range(2):
        write(watched.db, north)
        run(pair.url, "SELECT pg_switch_wal()")  # the next record would lie behind the header of the segment's page
        caught_up(pair.url, pair.replica)
        watched.where()
        seen(watched.db, north)
        assert watched.where() == ["replica"]


# -- what counts as written here ---------------------------------------------------------------------------------------


def by_cursor(db: Any) -> None:
    db.engine.connection().cursor().execute(
        "INSERT INTO posts (organization_id, user_id, content, created_at, updated_at) "
        "SELECT organization_id, id, 'x', now(), now() FROM users"
    )


def by_unit(db: Any) -> None:
    with db.atomic():
        make_student()


def by_begin(db: Any) -> None:
    db.engine.begin()
    make_student()
    db.engine.commit()


WAYS = {
    "a row": lambda db: make_student(),
    "a unit": by_unit,
    "begin and commit": by_begin,
    "a cursor of one's own": by_cursor,
    "raw SQL": lambda db: db.execute_sql("UPDATE users SET updated_at = now()"),
    "a posting": lambda db: credits.purchase(make_user(), 5),
    "an update": lambda db: User.update(first_name="Luz").execute(),
    "another's": lambda db: db.create_organization("Other", subdomain=f"o{time.monotonic_ns()}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_whatever_writes_is_waited_for(watched, pair, north, way):
    with watched.db.tenant(north):
        make_user()
    caught_up(pair.url, pair.replica)
    assert seen(watched.db, north) == 0
    pause(pair.replica)
    with watched.db.tenant(north):
        way(watched.db)
    watched.where()
    seen(watched.db, north)
    assert watched.where()[-2:] == ["refused", "primary"]


def test_a_write_within_a_block_that_only_reads_is_seen_in_it(watched, pair, north):
    pause(pair.replica)
    with watched.db.tenant(north, read_only=True):
        assert Student.select().count() == 0
        with watched.db.tenant(north, read_only=False):
            make_student()
        assert Student.select().count() == 1
        with watched.db.privileged(reason="test"):
            Organization.update(name="Renamed").where(Organization.id == north.id).execute()
        assert Organization.get().name == "Renamed"
    assert watched.where()[0] == "replica"


def test_threads_and_tasks_of_a_block_see_each_others_writes(watched, pair, north):
    pause(pair.replica)

    def in_thread(act: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(copy_context().run, act).result()

    with watched.db.tenant(north):
        in_thread(make_student)
        assert in_thread(lambda: seen(watched.db, north)) == 1

        async def both() -> int:
            await asyncio.create_task(asyncio.to_thread(make_student))
            return await asyncio.create_task(asyncio.to_thread(seen, watched.db, north))

        assert asyncio.run(both()) == 2


def test_what_was_written_before_a_task_or_thread_began_is_seen_in_it(watched, pair, north):
    pause(pair.replica)

    async def later() -> list[int]:
        write(watched.db, north)
        own = [asyncio.create_task(asyncio.to_thread(seen, watched.db, north)) for _ in range(2)]
        return [*await asyncio.gather(*own), await asyncio.create_task(read())]

    async def read() -> int:
        return seen(watched.db, north)

    write(watched.db, north)
    assert asyncio.run(later()) == [2, 2, 2]


# -- tokens ------------------------------------------------------------------------------------------------------------


def elsewhere(act: Any) -> Any:
    """In a thread of its own, which knows nothing of what was written here."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]


def test_a_token_carries_what_was_written_to_elsewhere(watched, pair, north):
    pause(pair.replica)
    assert watched.db.causal_token() is None
    write(watched.db, north)
    token = watched.db.causal_token()
    with Database.connect(pair.url, replicas=[pair.replica]) as other:
        assert elsewhere(lambda: seen(other, north)) == 0
        assert elsewhere(lambda: seen(other, north, after=token)) == 1
        assert elsewhere(lambda: seen(watched.db, north, after=token)) == 1
    resume(pair.replica)
    caught_up(pair.url, pair.replica)
    watched.where()
    assert seen(watched.db, north, after=token) == 1
    assert watched.where() == ["replica"]


def test_a_token_of_another_database_is_read_at_the_primary(watched, north):
    assert seen(watched.db, north, after="00000000.1") == 0
    assert watched.where() == ["refused", "primary"]


# -- lag and waiting ---------------------------------------------------------------------------------------------------


def test_a_replica_may_be_waited_for(pair, north):
    with watching(pair, north, replica_wait_seconds=120) as watched:
        pause(pair.replica)
        write(watched.db, north)
        threading.Timer(0.2, resume, [pair.replica]).start()
        watched.where()
        assert seen(watched.db, north) == 1
        assert watched.where()[-1] == "replica"
        pause(pair.replica)
        write(watched.db, north)

        async def in_loop() -> int:
            return seen(watched.db, north)

        began = time.monotonic()
        assert asyncio.run(in_loop()) == 2  # a loop is not made to wait
        assert time.monotonic() - began < 60


def test_a_replica_that_lags_more_than_it_may_is_not_read(pair, north):
    with watching(pair, north, replica_lag_seconds=0.05) as watched:
        pause(pair.replica)
        with Database.connect(pair.url) as other:
            write(other, north)
        time.sleep(0.1)
        assert seen(watched.db, north) == 1
        assert watched.where() == ["refused", "primary"]
        assert (watched.status.lagging, watched.status.behind) == (1, 0)
        resume(pair.replica)
        caught_up(pair.url, pair.replica)
        time.sleep(0.1)

        def is_read() -> bool:
            assert seen(watched.db, north) == 1
            return watched.where() == ["replica"]

        wait_until(is_read)  # it has all, but what the server itself writes into its log now and then


# -- replicas that fail ------------------------------------------------------------------------------------------------


def postmaster(server: EmbeddedServer) -> int:
    return int((server.path / "postmaster.pid").read_text().splitlines()[0])


@pytest.mark.exhaustive
def test_a_replica_that_is_killed_is_left_alone_for_a_while_and_read_again(pair, north):
    """`make test` keeps the replica that cannot be reached."""
    with following(pair.primary) as server:
        url = beside(pair.url, server)
        with watching(pair, north, url, replica_rest_seconds=600) as watched:
            with watched.db.tenant(north, read_only=True):
                assert Student.select().count() == 0
                os.kill(postmaster(server), signal.SIGQUIT)
                with suppress(psycopg2.OperationalError):
                    while run(url, "SELECT 1"):
                        time.sleep(0.01)
                assert Student.select().count() == 0
                assert watched.where()[-1] == "primary"
            assert seen(watched.db, north) == 0
            tried = watched.status.failures
            assert watched.status.resting_seconds > 0
            watched.where()
            assert seen(watched.db, north) == 0
            assert watched.where() == ["primary"]
            assert watched.status.failures == tried  # nobody has tried
            watched.let_it_be_tried()
            assert seen(watched.db, north) == 0
            assert watched.status.failures == tried + 1
            with server_of_version(server.path):
                watched.let_it_be_tried()
                caught_up(pair.url, url)
                watched.where()
                assert seen(watched.db, north) == 0
                assert watched.where() == ["replica"]
                assert watched.status.resting_seconds == 0


def test_in_the_middle_of_a_unit_the_error_says_to_run_it_again_and_then_it_is_read_elsewhere(watched, pair, north):
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'clinic' AND pid <> pg_backend_pid()"
    runs = []

    def read() -> int:
        runs.append(1)
        count = Student.select().count()
        if len(runs) == 1:
            run(pair.replica, ends)
        return Student.select().count() + count

    with watched.db.tenant(north, read_only=True):
        assert watched.db.retrying(2)(read)() == 0
    assert len(runs) == 2
    assert watched.where() == ["replica", "refused", "primary", "primary"]


def test_an_unreachable_replica_is_none_to_read_from(pair, north):
    nowhere = make_dsn(pair.url, host="127.0.0.1", port="1")
    with watching(pair, north, nowhere) as watched:
        for _ in range(2):
            assert seen(watched.db, north) == 0
        with watched.db.tenant(north, read_only=True), watched.db.atomic():
            assert Student.select().count() == 0
        assert (watched.status.failures, watched.status.blocks) == (1, 1)
        assert watched.status.name == "127.0.0.1:1/clinic"


@pytest.mark.exhaustive
def test_a_promoted_replica_is_none_any_more(pair, north):
    """`make test` keeps the server that is no replica, and the promoted one that is named as a primary."""
    with following(pair.primary) as server:
        url = beside(pair.url, server)
        with watching(pair, north, url) as watched:
            with watched.db.tenant(north, read_only=True):
                assert Student.select().count() == 0
                run(url, "SELECT pg_promote()")
                run(url, "UPDATE organizations SET name = 'Diverged'")
                assert Organization.get().name != "Diverged"  # the connection is open yet, and not read
                with pytest.raises(ReadOnlyError):
                    make_student()
            assert watched.where()[:3] == ["replica", "refused", "primary"]
            assert watched.status.failures == 1


@pytest.mark.slow
def test_a_promoted_replica_is_a_primary_for_who_names_it_so(pair, north):
    with following(pair.primary) as server:
        url = beside(pair.url, server)
        caught_up(pair.url, url)
        run(url, "SELECT pg_promote()")
        wait_for(url, "SELECT NOT pg_is_in_recovery()")
        with Database.connect(url, replicas=[url]) as db:
            write(db, north)
            assert seen(db, north) == 1


@pytest.mark.slow
def test_a_server_that_is_no_replica_of_the_primary_is_refused(pair, north):
    with server_of_version() as stranger:
        run(stranger.url, "CREATE DATABASE clinic")
        url = make_dsn(stranger.url, dbname="clinic")
        with Database.connect(pair.url, replicas=[url]) as db:
            with pytest.raises(ConfigurationError, match="no replica of the primary"):
                seen(db, north)
    run(pair.primary.url, "CREATE DATABASE twin TEMPLATE clinic")
    try:
        with Database.connect(pair.url, replicas=[make_dsn(pair.replica, dbname="twin")]) as db:
            caught_up(pair.url, pair.replica)
            with pytest.raises(ConfigurationError, match="another database"):
                seen(db, north)
    finally:
        run(pair.primary.url, "DROP DATABASE twin WITH (FORCE)")


def test_the_primary_may_be_away_where_nothing_was_written(pair, north):
    with wire(pair.url) as proxy, Database.connect(proxy.url, replicas=[pair.replica]) as db:
        write(db, north)
        assert seen(db, north) == 1  # it is asked now
        proxy.close()
        db._tenants.pool.close()
        db.engine.dsn = make_dsn(proxy.url, port="1")
        caught_up(pair.url, pair.replica)
        assert seen(db, north) == 1
        db._tenants.note_write()
        with pytest.raises(DatabaseUnreachableError):
            seen(db, north)
        assert db.pool_status().replicas[0].failures == 0


# -- recovery conflicts ------------------------------------------------------------------------------------------------


@contextmanager
def impatient(pair: Pair) -> Iterator[None]:
    """The replica cancels at once what is in the way of what it replays."""
    run(pair.replica, "ALTER SYSTEM SET max_standby_streaming_delay = 0")
    run(pair.replica, "SELECT pg_reload_conf()")
    wait_for(pair.replica, "SELECT current_setting('max_standby_streaming_delay') = '0'")
    try:
        yield
    finally:
        run(pair.replica, "ALTER SYSTEM RESET max_standby_streaming_delay")
        run(pair.replica, "SELECT pg_reload_conf()")
        wait_for(pair.replica, "SELECT current_setting('max_standby_streaming_delay') <> '0'")


SLEEPING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def conflict(pair: Pair) -> None:
    """What no query on posts can go on beside."""
    run(pair.url, "ALTER TABLE posts FORCE ROW LEVEL SECURITY")


@contextmanager
def conflict_while_it_sleeps(pair: Pair) -> Iterator[None]:
    """It comes once a statement sleeps at the replica."""

    def come() -> None:
        wait_for(pair.replica, SLEEPING)
        conflict(pair)

    coming = threading.Thread(target=come)
    coming.start()
    yield
    coming.join()


@pytest.mark.slow
def test_a_statement_that_is_cancelled_for_what_is_replayed_is_read_from_the_primary(watched, pair, north):
    with impatient(pair), watched.db.tenant(north, read_only=True):
        Post.select().count()
        with conflict_while_it_sleeps(pair):
            sleeps = "pg_sleep(CASE WHEN pg_is_in_recovery() THEN 600 ELSE 0 END)"
            assert watched.db.execute_sql(f"SELECT count(*), {sleeps}::text FROM posts").fetchone() == (0, "")
    assert watched.where() == ["replica", "refused", "primary"]
    assert watched.status.conflicts == 1
    assert watched.status.failures == 0


@pytest.mark.slow
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "idle"])
def test_a_unit_that_is_cancelled_so_says_to_run_it_again(watched, pair, north, is_busy):
    with impatient(pair), watched.db.tenant(north, read_only=True):
        meanwhile = conflict_while_it_sleeps(pair) if is_busy else nullcontext()
        with meanwhile, pytest.raises((SerializationError, ConnectionLostError)) as told, watched.db.atomic():
            Post.select().count()
            if not is_busy:  # who is idle in a transaction loses the connection
                conflict(pair)
                caught_up(pair.url, pair.replica)
            watched.db.execute_sql("SELECT pg_sleep(600)")
        assert (told.value.retryable, told.value.outcome) == (True, "not committed")
        watched.where()
        assert Post.select().count() == 0
        assert watched.where() == ["primary"]
        assert type(told.value) is (SerializationError if is_busy else ConnectionLostError)
    assert (watched.status.conflicts, watched.status.failures) == ((1, 0) if is_busy else (0, 1))
    assert seen(watched.db, north) == 0
    assert watched.where() == ["replica"]  # it is well


def test_a_table_that_nobody_has_is_no_fault_of_the_replica(watched, north):
    with watched.db.tenant(north, read_only=True), pytest.raises(UnknownTableError):
        watched.db.execute_sql("SELECT 1 FROM no_such_table")
    assert watched.where() == ["refused", "primary"]
    assert (watched.status.failures, watched.status.resting_seconds) == (0, 0)
    assert seen(watched.db, north) == 0
    assert watched.where() == ["replica"]


def test_a_column_that_has_not_come_yet_is_read_from_the_primary(watched, pair, north):
    pause(pair.replica)
    run(pair.url, "ALTER TABLE posts ADD COLUMN mood text")
    try:
        with watched.db.tenant(north, read_only=True):
            assert watched.db.execute_sql("SELECT mood FROM posts").fetchall() == []
        assert watched.where() == ["refused", "primary"]
    finally:
        run(pair.url, "ALTER TABLE posts DROP COLUMN mood")


# -- the walls ---------------------------------------------------------------------------------------------------------


def test_a_tenant_sees_its_own_rows_there_and_no_others(watched, pair, north):
    south = make_organization(watched.db)
    write(watched.db, south)
    for each in (north, south):
        seen(watched.db, each)
    caught_up(pair.url, pair.replica)
    watched.where()
    with watched.db.tenant(north, read_only=True):
        rows = "SELECT current_user::text, count(*) FROM students"
        assert watched.db.execute_sql(rows).fetchone() == ("rayces_app", 0)
        with watched.db.tenant(south):
            assert watched.db.execute_sql(rows).fetchone() == ("rayces_app", 1)
        assert watched.db.execute_sql(rows).fetchone() == ("rayces_app", 0)
        assert watched.db.current_tenant == north
    assert set(watched.where()) == {"replica"}


def test_what_writes_is_refused_there(watched, north):
    with watched.db.tenant(north, read_only=True):
        for act in (make_student, lambda: credits.purchase(1, 5), lambda: watched.db.execute_sql("DELETE FROM posts")):
            with pytest.raises(ReadOnlyError, match="this block only reads"):
                act()
    assert "primary" not in watched.where()


def test_rows_are_streamed_and_copied_from_there(watched, pair, north):
    import io

    from playhouse.postgres_ext import ServerSide

    write(watched.db, north)
    caught_up(pair.url, pair.replica)
    watched.where()
    with watched.db.tenant(north, read_only=True), watched.db.atomic():
        assert [each.first_name for each in ServerSide(Student.select(), array_size=1)] != []
        copied = io.StringIO()
        watched.db.engine.cursor().copy_expert("COPY students (first_name) TO STDOUT", copied)
        assert copied.getvalue()


def test_statements_are_prepared_there_and_their_plans_outlive_a_change_of_the_table(watched, pair, north):
    run(pair.url, "ALTER TABLE posts ADD COLUMN mood text")
    try:
        caught_up(pair.url, pair.replica)
        with watched.db.tenant(north, read_only=True):
            for _ in range(7):
                assert Student.get_or_none(Student.id == 1) is None
                watched.db.execute_sql("SELECT * FROM posts").fetchall()
                assert list(Post.select()) == []
            run(pair.url, "ALTER TABLE posts DROP COLUMN mood")
            caught_up(pair.url, pair.replica)
            assert list(Post.select()) == []
            assert Student.get_or_none(Student.id == 1) is None
        assert "primary" not in watched.where()
    finally:
        run(pair.url, "ALTER TABLE posts DROP COLUMN IF EXISTS mood")


def test_first_use_is_checked_there_as_well(pair, north):
    run(pair.primary.url, "CREATE ROLE nobody_here LOGIN")
    try:
        caught_up(pair.url, pair.replica)
        with watching(pair, north, make_dsn(pair.replica, user="nobody_here")) as watched:
            assert seen(watched.db, north) == 0
            assert watched.where()[-1] == "primary"
            assert watched.status.failures == 1  # the login may not become the role
    finally:
        run(pair.primary.url, "DROP ROLE nobody_here")


@pytest.mark.parametrize("in_unit", [None, "", "REPEATABLE READ"], ids=["alone", "in a unit", "one moment"])
def test_behind_a_proxy_that_pools_transactions_it_is_the_same(pair, north, monkeypatch, in_unit):
    monkeypatch.setattr("rayces_core.database.connection.TenantConnection.is_direct", lambda _: False)
    with watching(pair, north) as watched:
        for paused, sent in ((False, ["replica"]), (True, ["primary"])):
            if paused:
                pause(pair.replica)
                write(watched.db, north)
            watched.where()
            with watched.db.tenant(north, read_only=True):
                with nullcontext() if in_unit is None else watched.db.atomic(in_unit or None):
                    assert Student.select().count() == int(paused)
                    with pytest.raises(ReadOnlyError), watched.db.atomic() if in_unit is not None else nullcontext():
                        make_student()
            assert [each for each in watched.where() if each != "refused"][:1] == sent


def test_a_default_isolation_level_of_the_database_makes_no_difference(pair, north):
    run(pair.url, "ALTER DATABASE clinic SET default_transaction_isolation = 'repeatable read'")
    try:
        with watching(pair, north, replica_wait_seconds=120) as watched:
            pause(pair.replica)
            write(watched.db, north)
            threading.Timer(0.2, resume, [pair.replica]).start()
            watched.where()
            with watched.db.tenant(north, read_only=True), watched.db.atomic():
                assert Student.select().count() == 1
                with Database.connect(pair.url) as other:
                    write(other, north)
                caught_up(pair.url, pair.replica)
                assert Student.select().count() == 1
                assert watched.db.execute_sql("SHOW transaction_isolation").fetchone() == ("repeatable read",)
            assert "primary" not in watched.where()
    finally:
        run(pair.url, "ALTER DATABASE clinic RESET default_transaction_isolation")


def test_one_connection_of_the_primary_is_enough(pair, north):
    with Database.connect(pair.url, replicas=[pair.replica], max_connections=1, pool_timeout=1) as db:
        with db.tenant(north):
            make_student()
            assert seen(db, north) == 1
            with db.tenant(north, read_only=True), db.atomic():
                assert Student.select().count() == 1


def test_a_forked_child_sees_what_its_parent_wrote(pair, north):
    with Database.connect(pair.url, replicas=[pair.replica]) as db:
        pause(pair.replica)
        write(db, north)
        child = os.fork()
        if not child:
            os._exit(0 if seen(db, north) == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_what_a_host_s_functions_leave_behind_reaches_no_other_tenant_there(pair, north):
    run(
        pair.url,
        "CREATE FUNCTION noted() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.set_config('my.note', "
        "current_setting('rayces.organization_id'), false); RETURN 'x'; END $$; "
        "CREATE TABLE holidays (name text DEFAULT noted()); COMMENT ON TABLE holidays IS 'rayces: shared'",
    )
    try:
        caught_up(pair.url, pair.replica)
        with Database.connect(pair.url, replicas=[pair.replica], max_connections=1) as db:
            south = make_organization(db)
            caught_up(pair.url, pair.replica)
            with db.tenant(north, read_only=True):
                assert db.engine.is_cautious
                list(Student.select(fn.noted()))
                db.execute_sql("SELECT noted()")
            with db.tenant(south, read_only=True):
                (left,) = db.execute_sql("SELECT current_setting('my.note', true)").fetchone()
            assert left in (None, "")
    finally:
        run(pair.url, "DROP TABLE holidays; DROP FUNCTION noted()")


def test_replicas_are_named_in_the_environment_too(pair, north, monkeypatch):
    monkeypatch.setenv("RAYCES_DATABASE_URL", pair.url)
    monkeypatch.setenv("RAYCES_REPLICA_DATABASE_URLS", f" {as_url(pair.replica)} {as_url(pair.url)}\n")
    with Database.from_env() as db:
        assert len(db.pool_status().replicas) == 2
        assert seen(db, north) == 0


def as_url(dsn: str) -> str:
    given = parse_dsn(dsn)
    return f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}&port={given['port']}"


# -- the document ------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_document_run_as_they_stand(pair, monkeypatch, capsys):
    from fastapi.testclient import TestClient

    first, second, *_ = code_blocks(DOCUMENT, "python")
    given = dict(zip(re.findall(r'"(postgresql://[^"]+)"', first), (pair.url, pair.replica), strict=True))
    connect = Database.connect
    monkeypatch.setattr(
        Database, "connect", lambda url, replicas: connect(given[url], replicas=[given[each] for each in replicas])
    )
    with connect(pair.url) as database, suppress(DuplicateError):
        database.create_organization("North", subdomain="north")
    names: dict[str, Any] = {}
    exec(compile(first, "replicas.md", "exec"), names)
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*# (.*)", first)
    pause(pair.replica)
    exec(compile(second, "replicas.md", "exec"), names)
    with names["db"], TestClient(names["app"]) as client:
        assert client.get("/students").json() == 1
        client.post("/students")
        assert client.get("/students").json() == 2
        assert names["db"].pool_status().replicas[0].behind > 0


# -- whatever comes ----------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(
        ["write", "unit", "undone", "read", "read in a unit", "read one moment", "in a block", "pause", "resume"]
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.slow
@settings(max_examples=200 if EVERYTHING else 15)
@given(steps=STEPS)
def test_a_read_never_misses_an_own_committed_write(servers: Pair, steps: list[str]) -> None:
    resume(servers.replica)
    with Database.connect(servers.url, replicas=[servers.replica], replica_lag_seconds=None) as db:
        north, written = make_organization(db), 0
        for step in [*steps, "read", "read one moment"]:
            if step in ("pause", "resume"):
                {"pause": pause, "resume": resume}[step](servers.replica)
            elif step.startswith("read"):
                with db.tenant(north, read_only=True):
                    if step == "read":
                        assert Student.select().count() == written
                        continue
                    with db.atomic("REPEATABLE READ" if "moment" in step else None):
                        assert Student.select().count() == written
            elif step == "in a block":
                with db.tenant(north, read_only=True):
                    Student.select().count()
                    write_as(db, north, "write")
                    written += 1
                    assert Student.select().count() == written
            else:
                write_as(db, north, step)
                written += step != "undone"
    resume(servers.replica)


def write_as(db: Any, north: Any, step: str) -> None:
    with db.tenant(north, read_only=False):
        if step == "write":
            make_student()
            return
        with suppress(ZeroDivisionError), db.atomic():
            make_student()
            if step == "undone":
                raise ZeroDivisionError


@pytest.mark.exhaustive
def test_while_many_write_and_read_and_the_replica_stops_and_goes_on_nobody_misses_an_own_write(pair, north):
    """`make test` keeps the property, of one that writes and reads."""
    ends = time.monotonic() + (10 if EVERYTHING else 2)
    with Database.connect(pair.url, replicas=[pair.replica], max_connections=10) as db:

        def work() -> int:
            mine = 0
            while mine < 4 or time.monotonic() < ends:
                with db.tenant(north):
                    user = make_user()
                mine += 1
                with db.tenant(north, read_only=True):
                    assert Post.select().count() == 0
                    assert db.execute_sql("SELECT count(*) FROM users WHERE id = %s", (user.id,)).fetchone() == (1,)
            return mine

        def stop_and_go() -> int:
            while time.monotonic() < ends:
                pause(pair.replica)
                time.sleep(0.05)
                resume(pair.replica)
                time.sleep(0.05)
            return 0

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(each) for each in (work, work, work, stop_and_go)]
            assert sum(job.result() for job in jobs) >= 12
        assert db.pool_status().replicas[0].failures == 0
