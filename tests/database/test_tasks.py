"""Threads and tasks: whose connection is whose, who may wait, and what a task begun within a unit of work may do."""

import asyncio
import gc
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from contextvars import copy_context
from typing import Any

import pytest
import trio

from rayces_core import (
    ConcurrentUnitError,
    ConfigurationError,
    Database,
    EventLoopError,
    PoolTimeoutError,
    Student,
    TenantNotSetError,
    TenantSwitchError,
)
from tests.factory import make_organization, make_student


@pytest.fixture(scope="module")
def url(create_database: Callable[..., str], template: str) -> str:
    return create_database(template)


@pytest.fixture
def small(url: str) -> Iterator[Any]:
    """Two connections and a long patience, and an organization that was looked up."""
    with Database.connect(url, max_connections=2, pool_timeout=120) as database:
        organization = make_organization(database)
        with database.tenant(organization):
            yield_to = database, organization
        yield yield_to


# -- event loops ----------------------------------------------------------------------------------------------


async def ask_across(database: Database, organization: Any) -> int:
    with database.tenant(organization):
        count = Student.select().count()
        await asyncio.sleep(0.02)
        return count


def test_an_exhausted_pool_never_stops_an_event_loop(small):
    database, organization = small

    async def main() -> tuple[list[Any], float]:
        began = time.monotonic()
        return (
            await asyncio.gather(*(ask_across(database, organization) for _ in range(6)), return_exceptions=True),
            time.monotonic() - began,
        )

    answers, seconds = asyncio.run(main())
    assert [type(answer) for answer in answers] == [int] * 2 + [PoolTimeoutError] * 4
    assert seconds < 100  # two minutes for each of four, were it to wait
    refused = answers[-1]
    assert refused.in_event_loop
    assert "asyncio.to_thread" in str(refused)
    assert database.pool_status().timeouts == 4


@pytest.mark.slow
def test_threads_of_an_event_loop_wait_for_a_connection(small):
    database, organization = small

    def ask() -> int:
        with database.tenant(organization):
            return Student.select().count()

    async def main() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(12)))

    assert asyncio.run(main()) == [0] * 12


def test_a_database_can_refuse_to_block_an_event_loop(url, small):
    _, organization = small
    with Database.connect(url, in_event_loop="refuse") as database:

        async def main() -> int:
            with pytest.raises(EventLoopError, match="to_thread"), database.tenant(organization):
                Student.select().count()
            return await asyncio.to_thread(ask)

        def ask() -> int:
            with database.tenant(organization):
                return Student.select().count()

        assert asyncio.run(main()) == 0
        assert ask() == 0


def test_an_unknown_way_with_event_loops_is_refused():
    with pytest.raises(ConfigurationError, match='"allow" or "refuse"'):
        Database.connect("postgresql://localhost/x", in_event_loop="sometimes")


async def by_create_task(work: Callable[[], Any]) -> Any:
    async def child() -> Any:
        return work()

    return await asyncio.create_task(child())


async def by_wait_for(work: Callable[[], Any]) -> Any:
    async def child() -> Any:
        return work()

    return await asyncio.wait_for(asyncio.create_task(child()), 5)


async def by_gather(work: Callable[[], Any]) -> Any:
    async def child() -> Any:
        return work()

    return (await asyncio.gather(child()))[0]


async def by_to_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def by_executor_with_context(work: Callable[[], Any]) -> Any:
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(work))


@pytest.mark.parametrize("way", [by_create_task, by_wait_for, by_gather, by_to_thread, by_executor_with_context])
def test_what_is_begun_within_a_unit_of_work_gets_no_connection_beside_it(small, way):
    database, organization = small

    async def main() -> int:
        with database.tenant(organization):
            with database.atomic():
                student = make_student()

                def touch() -> None:
                    student.grade_level = "3rd"
                    student.save()  # on a connection of its own it would wait for the unit, and the unit for it

                with pytest.raises(ConcurrentUnitError):
                    await way(touch)
                assert Student.select().count() == 1
            return await way(lambda: Student.select().count())

    assert asyncio.run(main()) == 1


def test_a_task_begun_before_the_unit_of_work_has_a_connection_of_its_own(small):
    database, organization = small

    async def main() -> tuple[int, int]:
        with database.tenant(organization):
            go = asyncio.Event()

            async def other() -> int:
                await go.wait()
                return Student.select().count()

            task = asyncio.create_task(other())
            await asyncio.sleep(0)
            with database.atomic():
                make_student()
                go.set()
                return await task, Student.select().count()

    assert asyncio.run(main()) == (0, 1)


def test_units_of_work_of_two_databases_nest(url, small, make_database, template):
    database, organization = small
    with Database.connect(make_database(template)) as other:
        theirs = make_organization(other)
        with database.tenant(organization), database.atomic():
            make_student()
            with other.tenant(theirs), other.atomic():
                make_student()
                assert Student.select().count() == 1


# -- trio -----------------------------------------------------------------------------------------------------


def test_each_trio_task_has_a_connection_and_a_unit_of_work_of_its_own(small):
    database, organization = small
    seen: list[int] = []

    async def importer(begun: trio.Event, answered: trio.Event) -> None:
        with database.tenant(organization), pytest.raises(RuntimeError), database.atomic():
            make_student(first_name="undone")
            begun.set()
            await answered.wait()
            raise RuntimeError("bad row")

    async def request(begun: trio.Event, answered: trio.Event) -> None:
        await begun.wait()
        with database.tenant(organization):
            seen.append(Student.select().count())
            make_student(first_name="kept")
        answered.set()

    async def main() -> None:
        begun, answered = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(importer, begun, answered)
            nursery.start_soon(request, begun, answered)

    trio.run(main)
    assert seen == [0]
    with database.tenant(organization):
        assert [student.first_name for student in Student.select()] == ["kept"]


def test_an_exhausted_pool_never_stops_trio(small):
    database, organization = small
    refused: list[BaseException] = []

    async def ask() -> None:
        try:
            with database.tenant(organization):
                Student.select().count()
                await trio.sleep(0.02)
        except PoolTimeoutError as error:
            refused.append(error)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)

    trio.run(main)
    assert len(refused) == 3


# -- blocks and threads ---------------------------------------------------------------------------------------


def test_a_block_left_in_another_thread_names_the_usual_cause_and_the_way_out(small):
    database, organization = small
    block = database.tenant(organization)

    def enter() -> None:
        block.__enter__()
        Student.select().count()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(enter).result()
        with pytest.raises(TenantSwitchError, match=r"FastAPI.*`async def`.*middleware"):
            block.__exit__(None, None, None)
    assert database.pool_status().in_use == 0


def test_a_block_works_in_an_exit_stack_and_as_a_decorator(small):
    database, organization = small
    with ExitStack() as stack:
        entered = stack.enter_context(database.tenant(organization))
        assert entered.id == organization.id
        assert Student.select().count() == 0
    with pytest.raises(TenantNotSetError):
        Student.select().count()

    @database.tenant(organization)
    def count() -> int:
        return Student.select().count()

    assert (count(), count()) == (0, 0)
    assert database.pool_status().in_use == 0


def test_a_block_is_entered_once(small):
    database, organization = small
    block = database.tenant(organization)
    with block, pytest.raises(TenantSwitchError, match="anew"), block:
        pass


def test_a_connection_whose_thread_ended_in_its_block_is_not_lost(small):
    database, organization = small

    def leave_open() -> None:
        generator = lend()
        next(generator)

    def lend() -> Iterator[None]:
        with database.tenant(organization), database.atomic():
            make_student()
            yield

    for _ in range(4):
        thread = threading.Thread(target=leave_open)
        thread.start()
        thread.join()
    with database.tenant(organization):
        assert Student.select().count() == 0


@pytest.fixture
def kept(url: str) -> Iterator[Any]:
    """A Database of one connection, an organization, and a cursor that was kept from a block of it."""
    with Database.connect(url, max_connections=1, pool_timeout=60) as database:
        organization = make_organization(database)
        with database.tenant(organization):
            yield_to = database, organization, database.engine.connection().cursor()
        yield yield_to


INSERTING = "INSERT INTO students (organization_id, first_name, last_name) VALUES (%s, 'Mine', 'x')"


@pytest.mark.parametrize("way", ["execute", "copy_expert", "executemany"])
def test_a_kept_cursor_does_not_write_in_another_threads_unit_of_work(kept, way):
    database, organization, cursor = kept
    begun, ended = threading.Event(), threading.Event()

    def theirs() -> None:
        with database.tenant(organization), database.atomic() as unit:
            make_student()
            begun.set()
            ended.wait(60)
            unit.rollback()

    calls = {
        "execute": lambda: cursor.execute(INSERTING, (organization.id,)),
        "executemany": lambda: cursor.executemany(INSERTING, [(organization.id,)]),
        "copy_expert": lambda: cursor.copy_expert("COPY students TO STDOUT", io.BytesIO()),
    }
    thread = threading.Thread(target=theirs)
    thread.start()
    begun.wait(60)
    with database.tenant(organization), pytest.raises(TenantSwitchError, match="take a new one"):
        calls[way]()
    ended.set()
    thread.join()


@pytest.mark.parametrize("in_unit", [False, True])
def test_a_kept_cursor_does_not_speak_on_the_connection_of_the_process_it_was_forked_from(kept, in_unit):
    database, organization, cursor = kept
    with database.tenant(organization), database.atomic() if in_unit else nullcontext():
        make_student()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with pytest.raises(TenantSwitchError, match="forked from"):
                    cursor.execute("SELECT 1")
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert Student.select().count() == 1


def test_a_cursor_that_a_thread_is_given_within_the_unit_of_work_writes_in_it(kept):
    database, organization, cursor = kept
    with database.tenant(organization), database.atomic():
        make_student()
        write = copy_context().run
        thread = threading.Thread(target=lambda: write(cursor.execute, INSERTING, (organization.id,)))
        thread.start()
        thread.join()
        assert Student.select().count() == 2
    with database.tenant(organization):
        cursor.execute(INSERTING, (organization.id,))
        database.engine.begin()
        cursor.execute(INSERTING, (organization.id,))
        database.engine.rollback()
        assert Student.select().count() == 3


def test_waiting_for_a_busy_pool_collects_no_garbage(small):
    """That stops all threads, those that have a connection as well: in a large process for a second each time."""
    database, organization = small
    collected: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start" and about["generation"] == 2:
            collected.append(1)

    def work() -> None:
        for _ in range(3):
            with database.tenant(organization), database.atomic():
                Student.select().count()

    threads = [threading.Thread(target=work) for _ in range(6)]
    threshold = gc.get_threshold()
    gc.set_threshold(0)  # none but what is asked for
    gc.callbacks.append(note)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*threshold)
    assert collected == []


LATE = """
import threading
from rayces_core import ConfigurationError, Database
db = Database.connect({url!r}, max_connections=1)
import gevent.monkey
gevent.monkey.patch_all()
try:
    with db.tenant("nobody"):
        pass
except ConfigurationError as error:
    print("refused:", error)
early = Database.connect({url!r}, max_connections=1)
print(early.find_tenant("nobody"))
"""


@pytest.mark.slow
def test_patching_by_gevent_after_the_database_was_made_is_refused_with_a_sentence(url):
    command = [sys.executable, "-W", "ignore", "-c", LATE.format(url=url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "refused: gevent has patched the threads" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "None"
