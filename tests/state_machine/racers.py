"""Processes that race for rows: forked from a server that has loaded the library once, each with its own connection."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rayces_core import Database, LifecycleError, RaycesError

SECONDS = 60  # a process that hangs ends its test
SPAWNING = multiprocessing.get_context("forkserver")
SPAWNING.set_forkserver_preload(["rayces_core.models", __name__])


def race(db: Any, organization: Any, rows: Sequence[Any], racers: Sequence[Callable[[Any], object]]) -> list[list[Any]]:
    """Let every racer, in a process of its own, do its work on each of `rows` at the same moment.

    Returns for each racer what came of each row: None, or the error.
    """
    start, model = SPAWNING.Barrier(len(racers)), type(rows[0])
    with _processes(
        [(_run, (db.url, organization.id, model, [row.id for row in rows], work, start)) for work in racers]
    ) as racing:
        return [_received(pipe) for _, pipe in racing]


@contextmanager
def worker(run: Callable[..., None], *arguments: Any) -> Iterator[tuple[Any, Any]]:
    """A process that runs `run(pipe, *arguments)`, with its end of the pipe; killed at the end of the block."""
    with _processes([(run, arguments)]) as (made,):
        yield made


@contextmanager
def _processes(tasks: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]) -> Iterator[list[tuple[Any, Any]]]:
    made = []
    try:
        for run, arguments in tasks:
            ours, theirs = SPAWNING.Pipe()
            process = SPAWNING.Process(target=run, args=(theirs, *arguments), daemon=True)
            process.start()
            theirs.close()
            made.append((process, ours))
        yield made
    finally:
        for process, pipe in made:
            process.kill()
            process.join()
            pipe.close()


def _received(pipe: Any) -> Any:
    assert pipe.poll(SECONDS), "a racer hangs"
    return pipe.recv()


def _run(pipe: Any, url: str, organization_id: int, model: Any, ids: list[int], work: Any, start: Any) -> None:
    outcomes: list[Any] = []
    with Database.connect(url) as database, database.tenant(organization_id):
        for pk in ids:
            row = model.get_by_id(pk)
            start.wait(SECONDS)
            try:
                work(row)
            except (LifecycleError, RaycesError) as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
    pipe.send(outcomes)


# -- what racers do; a process finds these by name ----------------------------------------------------------------


def pre_confirm(row: Any) -> None:
    row.pre_confirm(now=_before(row))


def confirm(row: Any) -> None:
    row.confirm(now=_before(row))


def cancel(row: Any) -> None:
    row.cancel(reason="ill", now=_before(row))


def complete(row: Any) -> None:
    row.complete()


def fail(row: Any) -> None:
    row.fail(reason="the bank says no")


@dataclass(frozen=True)
class Taking:
    """Take the slot with the draft of this id, whatever row is raced for."""

    pk: int

    def __call__(self, row: Any) -> None:
        pre_confirm(type(row).get_by_id(self.pk))


@dataclass(frozen=True)
class Completing:
    """Complete the entry of this id, whatever row is raced for."""

    pk: int

    def __call__(self, row: Any) -> None:
        complete(type(row).get_by_id(self.pk))


def discharge(row: Any) -> None:
    row.discharge()


def confirm_first_appointment(student: Any) -> None:
    confirm(student.appointments.get())


def _before(row: Any) -> Any:
    return row.scheduled_at.replace(month=1)


# -- what is killed -------------------------------------------------------------------------------------------------


def discharge_and_wait(pipe: Any, url: str, organization_id: int, student_id: int, where: str) -> None:
    """Discharge a student and stop in the middle: before the appointments, after them, or just before the commit."""
    from rayces_core import Student

    def stop(*_: Any) -> None:
        pipe.send("in the middle")
        pipe.recv()

    if where != "before the commit":
        Student.lifecycle.within("discharge")(stop)
    if where == "before the appointments":
        effects = Student.lifecycle._announcements._effects["discharge"]
        effects.insert(0, effects.pop())
    with Database.connect(url) as database, database.tenant(organization_id), database.atomic():
        Student.get_by_id(student_id).discharge()
        stop()


def discharge_one_after_the_other(pipe: Any, url: str, organization_id: int, ids: list[int]) -> None:
    """Discharge many students, each with its appointments in one unit of work, until killed."""
    from rayces_core import Student

    with Database.connect(url) as database, database.tenant(organization_id):
        for pk in ids:
            Student.get_by_id(pk).discharge()
            pipe.send(pk)
    pipe.recv()
