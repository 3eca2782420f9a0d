"""Races: a crew of real processes, each with a connection of its own, that begin each round together.

The processes are forked from a server process that has loaded the library and holds no connection, so that fifty of
them are there at once.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

from rayces_core import (
    Appointment,
    Database,
    GroupSession,
    Resource,
    SlotRequest,
    SlotTakenError,
    TimeOffRequest,
    User,
    scheduling,
)
from tests.patience import SECONDS, wait_until

LONGEST_WAIT = 30.0  # what waits for a lock that nobody gives back waits longer
Deed = tuple[Callable[..., Any], dict[str, Any]]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["rayces_core.scheduling", "tests.scheduling.racing"])


@dataclass(frozen=True)
class Outcome:
    """What a deed returned or raised, and how long it took."""

    value: Any
    seconds: float


class Crew:
    """So many processes on one database, each in a tenant's block for as long as it lives."""

    def __init__(self, url: str, organization_id: int, size: int) -> None:
        self.size = size
        self._gate = CONTEXT.Barrier(size)
        self._lines: list[Connection] = []
        self._processes = []
        for _ in range(size):
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_work, args=(theirs, self._gate, url, organization_id), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)

    def race(self, deeds: list[Deed]) -> list[Outcome]:
        """Have each deed done by a process of its own, all from the same moment on; gives what came of them."""
        assert len(deeds) <= self.size
        for line, deed in zip(self._lines, [*deeds, *[None] * (self.size - len(deeds))], strict=True):
            line.send(deed)
        return [self._answer(line) for line in self._lines][: len(deeds)]

    @staticmethod
    def _answer(line: Connection) -> Any:
        assert line.poll(SECONDS), "a worker does not answer"
        return line.recv()

    def close(self) -> None:
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.join(SECONDS)
            assert process.exitcode == 0


@contextmanager
def crew(db: Database, size: int) -> Iterator[Crew]:
    """A crew for the bound tenant."""
    assert db.organization_id is not None
    made = Crew(db.url, db.organization_id, size)
    try:
        yield made
    finally:
        made.close()


def _work(line: Connection, gate: Any, url: str, organization_id: int) -> None:
    with Database.connect(url, max_connections=1) as database, database.tenant(organization_id):
        while True:
            try:
                deed = line.recv()
            except EOFError:
                return
            gate.wait(SECONDS)
            line.send(None if deed is None else _done(*deed))


def _done(deed: Callable[..., Any], arguments: dict[str, Any]) -> Outcome:
    began = time.monotonic()
    try:
        value = deed(**arguments)
    except Exception as error:
        value = error
    return Outcome(value, time.monotonic() - began)


# -- deeds: what comes back is plain, as it travels to another process ------------------------------------------------


def book(**wanted: Any) -> int:
    return scheduling.book(**wanted).id


def book_by(by: int, **wanted: Any) -> int:
    return scheduling.book(by=User.get_by_id(by), **wanted).id


def book_series(**wanted: Any) -> list[int]:
    return [appointment.id for appointment in scheduling.book_series(**wanted).booked]


def gather(**wanted: Any) -> int:
    return scheduling.create_group_session(**wanted).id


def join(group: int, **wanted: Any) -> int:
    return scheduling.book_group(group, **wanted).id


def move_group(group: int, scheduled_at: datetime, now: datetime) -> str:
    scheduling.reschedule_group(GroupSession.get_by_id(group), scheduled_at, now=now)
    return "moved"


def cancel_group(group: int, now: datetime) -> str:
    scheduling.cancel_group_session(GroupSession.get_by_id(group), reason="ill", now=now)
    return "cancelled"


def have_seats(group: int, capacity: int, now: datetime) -> str:
    GroupSession.get_by_id(group).change_capacity(capacity=capacity, now=now)
    return "changed"


def block(resource: int, blocked_dates: list[Any]) -> str:
    found = Resource.get_by_id(resource)
    found.blocked_dates = blocked_dates
    found.save()
    return "blocked"


def reschedule(appointment_id: int, scheduled_at: datetime, now: datetime) -> int:
    return scheduling.reschedule(Appointment.get_by_id(appointment_id), scheduled_at, now=now).id


def give_away(appointment_id: int, scheduled_at: datetime, professional: int, now: datetime, **given: Any) -> str:
    appointment = Appointment.get_by_id(appointment_id)
    scheduling.reschedule(appointment, scheduled_at, professional=professional, now=now, **given)
    return "repeated" if appointment.was_repeated else "moved"


def fire(appointment_id: int, event: str, **given: Any) -> str:
    appointment = Appointment.get_by_id(appointment_id)
    getattr(appointment, event)(**given)
    return event


def expire(now: datetime, batch_size: int) -> int:
    return scheduling.expire_overdue(now, batch_size=batch_size)


def approve_time_off(request: int, now: datetime) -> list[int]:
    """Approve, and tell which appointments it hits once that is done."""
    asked = TimeOffRequest.get_by_id(request)
    asked.approve(now=now)
    return [appointment.id for appointment in asked.hits(now=now).appointments]


def offer(now: datetime) -> list[int]:
    return [offer.slot_request_id for offer in scheduling.offer_slots(now)]


def answer(request: int, how: str, now: datetime) -> str:
    """Accept, decline or withdraw, whatever stands in the way."""
    getattr(scheduling, how)(SlotRequest.get_by_id(request), now=now)
    return how


def fire_as(appointment_id: int, event: str, by: int, now: datetime) -> str:
    return fire(appointment_id, event, by=User.get_by_id(by), now=now)


# -- killing ----------------------------------------------------------------------------------------------------------


def kill_within(db: Database, deed: Callable[..., Any], wanted: dict[str, Any], event: str, times: int) -> None:
    """Have a process of its own do the deed, and kill it in the transaction of the event, the so-manieth time."""
    _kill_when_told(db, _stop_within, (deed, wanted, event, times), 0.0)


def kill_while_booking(db: Database, first: datetime, wanted: dict[str, Any], seconds: float) -> None:
    """Have a process of its own book one free hour after the other, and kill it that time after its first one."""
    _kill_when_told(db, _book_on_and_on, (first, wanted), seconds)


def _kill_when_told(db: Database, work: Callable[..., None], arguments: tuple[Any, ...], seconds: float) -> None:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=work, args=(theirs, db.url, db.organization_id, *arguments), daemon=True)
    process.start()
    assert ours.poll(SECONDS), "the process does not come so far"
    backend = ours.recv()
    time.sleep(seconds)
    process.kill()
    process.join(SECONDS)
    assert process.exitcode == -signal.SIGKILL
    _wait_until_gone(db, backend)


def _wait_until_gone(db: Database, backend: int) -> None:
    # What the server had been sent before, it still does.
    there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: db.execute_sql(there, (backend,)).fetchone() == (0,))


def _backend(database: Database) -> int:
    (number,) = database.execute_sql("SELECT pg_backend_pid()").fetchone()
    return int(number)


def _stop_within(
    line: Connection, url: str, organization_id: int, deed: Any, wanted: dict[str, Any], event: str, times: int
) -> None:
    left = itertools.count(times, -1)
    with Database.connect(url) as database, database.tenant(organization_id):

        @Appointment.lifecycle.within(event)
        def stop(_: Any) -> None:
            if next(left) == 1:
                line.send(_backend(database))
                time.sleep(60)

        deed(**wanted)


def _book_on_and_on(line: Connection, url: str, organization_id: int, first: datetime, wanted: dict[str, Any]) -> None:
    with Database.connect(url) as database, database.tenant(organization_id):
        for number in itertools.count():
            with suppress(SlotTakenError):
                book(scheduled_at=first + timedelta(hours=number), **wanted)
                line.send(_backend(database))
