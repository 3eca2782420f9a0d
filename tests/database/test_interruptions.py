"""An exception out of a signal handler, at any bytecode, leaves no tenant bound and no place of the pool lost."""

import asyncio
import dis
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import rayces_core.database.database as database_module
from rayces_core import Database, RaycesError, Student, TenantNotSetError
from rayces_core.database.binding import bound_here
from rayces_core.database.session import Loops, Session
from tests.factory import make_organization, make_student
from tests.sizes import quick_or_whole

ROOM = str(Path(database_module.__file__).parent)

MOST = quick_or_whole(100, 2000)


class Interruption(Exception):
    """What a soft time limit raises."""


@pytest.fixture(scope="module")
def small(create_database: Callable[..., str], template: str) -> Iterator[Any]:
    """A database with one connection only, and two organizations."""
    with Database.connect(create_database(template), max_connections=1, pool_timeout=3) as database:
        yield database, (make_organization(database), make_organization(database))


def work(database: Database, organization: Any, name: str) -> None:
    with database.tenant(organization):
        assert {row.organization_id for row in Student.select()} <= {organization.id}
        with database.atomic():
            make_student(first_name=name)
            with database.atomic():
                database.execute_sql("SELECT 1").fetchall()


def work_that_goes_on(database: Database, organization: Any, name: str) -> None:
    with database.tenant(organization), database.atomic() as unit:
        make_student(first_name=name)
        unit.commit()
        make_student(first_name=name)
        unit.rollback()
        assert {row.organization_id for row in Student.select()} == {organization.id}


async def bound_in_a_task() -> Any:
    """What a task that begins now would inherit."""
    return bound_here()


def assert_nothing_is_left(database: Database, organizations: tuple[Any, Any]) -> None:
    with pytest.raises(TenantNotSetError):
        Student.select().count()
    assert asyncio.run(bound_in_a_task()) is None
    status = database.pool_status()
    assert (status.in_use, status.waiting) == (0, 0)
    for organization in organizations:
        with database.tenant(organization):
            assert {row.organization_id for row in Student.select()} <= {organization.id}
            Student.delete().execute()  # reading a row is places as well
    assert database.pool_status().in_use == 0


class Interrupter:
    """Raises at the n-th place, run in the library's own room for the database, at which Python calls signal handlers.

    These are the begin of a function, after a call, and the way back to the begin of a loop; between others, as within
    `with lock:`, no handler can run.
    """

    def __init__(self, at: int) -> None:
        self._left = at
        self._last: dict[FrameType, str] = {}
        self.raised = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            here = operation(frame.f_code, frame.f_lasti)
            last, self._last[frame] = self._last.get(frame, ""), here
            if last.startswith("CALL") or here in ("RESUME", "JUMP_BACKWARD"):
                self._count()
        return self

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.raised = True
            self._last.clear()
            raise Interruption


@lru_cache(maxsize=10_000)
def operation(code: CodeType, at: int) -> str:
    return dis.opname[code.co_code[at]]


def interrupted(
    run: Callable[[], None], at: int, only: type[Exception] | tuple[type[Exception], ...] = (Interruption, RaycesError)
) -> bool:
    """Run it, interrupted at its n-th place; whether it got that far."""
    interrupter = Interrupter(at)
    sys.settrace(interrupter)
    try:
        run()
    except only as error:
        sys.settrace(None)
        if not began_with(error, Interruption):
            raise
    finally:
        sys.settrace(None)
    return interrupter.raised


def began_with(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether it, or what it was raised while handling, is of this kind."""
    while not isinstance(error, kind) and error.__context__ is not None:
        error = error.__context__
    return isinstance(error, kind)


@pytest.mark.slow
def test_an_interruption_at_any_place_leaves_nothing(small):
    database, organizations = small
    with database.tenant(organizations[0]), database.tenant(organizations[1]):
        pass  # looked up
    work(database, organizations[0], "known")
    at, step = 1, quick_or_whole(23, 1)
    while interrupted(lambda: work(database, organizations[0], "traced"), at):
        assert_nothing_is_left(database, organizations)
        at += step
    assert at > 300


@pytest.mark.slow
def test_an_interruption_of_a_unit_that_goes_on_is_what_is_raised(small):
    database, organizations = small
    work_that_goes_on(database, organizations[0], "known")
    at, step = 1, quick_or_whole(29, 1)
    while interrupted(lambda: work_that_goes_on(database, organizations[0], "traced"), at, only=Interruption):
        assert_nothing_is_left(database, organizations)
        at += step
    assert at > 300


def test_nothing_is_raised_and_handled_on_the_way(small):
    """Python may keep what it was handling when a signal came, with its frames and the connections in them."""
    database, organizations = small
    raised = []

    def watch(frame: FrameType, event: str, told: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        if event == "exception":
            raised.append((frame.f_code.co_qualname, told[0].__name__))
        return watch

    sys.settrace(watch)
    try:
        work(database, organizations[0], "watched")
    finally:
        sys.settrace(None)
    assert raised == []


def test_a_session_that_is_collected_while_the_pool_is_at_work_gives_its_connection_back(small):
    """A thread that ended with a connection in hand is cleared away by the garbage collector, at whatever moment."""
    database, organizations = small
    pool = database._tenants.pool

    def collected() -> None:
        session = Session(pool, database._tenants, Loops(False))
        session.lease_anyway().connection = pool.take()
        with pool._lock:
            del session

    thread = threading.Thread(target=collected, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert_nothing_is_left(database, organizations)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timer")
def test_thousands_of_signals_leave_nothing(small):
    database, organizations = small
    chance, interruptions, until = random.Random(5), 0, time.monotonic() + 5
    least = MOST / 10

    def interrupt(*_: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        while interruptions < least or (interruptions < MOST and time.monotonic() < until):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + chance.random() * 0.003)
                work(database, organizations[interruptions % 2], "signalled")
                signal.setitimer(signal.ITIMER_REAL, 0)
            except (Interruption, RaycesError) as error:
                signal.setitimer(signal.ITIMER_REAL, 0)
                if not began_with(error, Interruption):
                    raise
                interruptions += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert_nothing_is_left(database, organizations)
