"""What an adoption would do, statement by statement, and about how long each takes: rehearsed on a likeness of MyHub.

The same code runs there as it would here, so nothing is foretold that is not done. MyHub itself is only read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from rayces_core.migrating.adopting.adoption import AdoptingRunner, Adoption
from rayces_core.migrating.adopting.finding import CHOICES, Finding, Report
from rayces_core.migrating.adopting.likeness import Likeness, sample_of
from rayces_core.migrating.adopting.transition import AdoptingExecution
from rayces_core.migrating.measuring import TABLES as FOUND
from rayces_core.migrating.measuring import MeasuredDatabase, MeasuredExecution, Measurement
from rayces_core.migrating.rehearsal import schema_of, scratch_database
from rayces_core.migrations.session import connected
from rayces_core.migrations.steps import Step


@dataclass(frozen=True, slots=True)
class Planned:
    """One statement that an adoption would run, or one Python call with all of its statements.

    Attributes:
        migration: the migration that it belongs to, or `preparation`. step: its place there, from 1.
        sql: the statement; of a call its name and what it changes rows with.
        lock: the strongest lock on tables that are there before, None where it takes none; locked: those tables.
        seconds: about how long it takes, waits for others not counted.
    """

    migration: str
    step: int
    sql: str
    lock: str | None
    locked: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Label:
    """Stands for a migration where there is none."""

    name: str


class RehearsedExecution(MeasuredExecution, AdoptingExecution):
    """Runs an adoption's steps and notes what each did and how long it took."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seconds: list[float] = []
        self._label = ""

    def run_alone(self, label: str, step: Step) -> None:
        """Run a step that belongs to no migration, measured."""
        self._label = label
        self._found = {oid: name for oid, name, _ in self.database.unmeasured(FOUND, self.history.table)}
        super().run_alone(label, step)

    def _run_bounded(
        self, step: Step, limits: tuple[int, int], perform: Callable[[], None], note: Callable[[], None]
    ) -> None:
        if perform is step:
            label: Any = _Label(self._label)
            perform = partial(self._perform, label, self.alone_steps, step)
        super()._run_bounded(step, limits, perform, note)

    def _measured(self, subject: Any, run: Callable[[], Any]) -> Any:
        taken: list[float] = []

        def timed() -> Any:
            started = time.monotonic()
            try:
                return run()
            finally:
                taken.append(time.monotonic() - started)

        before = len(self.measurements)
        try:
            return super()._measured(subject, timed)
        finally:
            self.seconds += taken[: len(self.measurements) - before]


class RehearsedRunner(AdoptingRunner):
    """Runs migrations as an adoption does, measured."""

    _database_kind = MeasuredDatabase
    _execution_kind = RehearsedExecution


class RehearsedAdoption(Adoption):
    """An adoption of the likeness, by a login that is another than MyHub's."""

    _runner_kind = RehearsedRunner

    def _inherited(self, _roles: Any) -> Iterator[Finding]:
        yield from ()


def plan(adoption: Adoption, report: Report, scratch_url: str) -> tuple[Planned, ...]:
    """What `adoption.run()` would do, rehearsed on a scratch database of another server, or of the same.

    For what is not chosen yet the first choice is taken; where something cannot be chosen, or an adoption was begun,
    there is no plan.

    Args:
        report: what `adoption.report()` found. scratch_url: a server whose login may create databases.

    Raises:
        MigrationError: it cannot be rehearsed, because something of MyHub could not be made there.
        ConfigurationError: the login of `scratch_url` may not create databases.
    """
    if report.stage is not None or any(finding.severity == "refusal" for finding in report.findings):
        return ()
    choices = {each.kind: _first(each.kind) for each in report.findings if each.severity == "choice"}
    with connected(adoption.database), scratch_database(scratch_url, schema_of(adoption.runner)) as url:
        counts, sample = sample_of(adoption.database)
        rehearsed = RehearsedAdoption(
            url,
            name=adoption.name or "MyHub",
            subdomain=adoption.subdomain or "myhub",
            choices=choices | adoption.choices,
            app_role=adoption.database.app_role,
            admin_role=adoption.database.admin_role,
        )
        with connected(rehearsed.database):
            Likeness(adoption.database, rehearsed.database).make(sample)
        rehearsed.run()
        execution: Any = rehearsed.runner.execution
        growth = {name: max(1.0, counts[name] / max(sample[name], 1)) for name in counts}
        return tuple(_planned(execution.measurements, execution.seconds, growth))


def _first(kind: str) -> str:
    """The first choice that can be taken as it is written."""
    return next(word for word in CHOICES[kind] if not word.startswith("<"))


def _planned(found: list[Measurement], seconds: list[float], growth: Mapping[str, float]) -> list[Planned]:
    together = groupby(
        zip(found, seconds, strict=True), key=lambda pair: (pair[0].migration, pair[0].step, pair[0].call)
    )
    return [_one(list(pairs), growth) for _, pairs in together]


def _one(pairs: list[tuple[Measurement, float]], growth: Mapping[str, float]) -> Planned:
    first = pairs[0][0]
    changing = [each.sql for each, _ in pairs if each.sql.startswith(("UPDATE", "INSERT", "DELETE", "WITH", "ALTER"))]
    sql = first.sql if not first.call else f"{first.call}(): {changing[0]}" if changing else f"{first.call}()"
    locking = [each for each, _ in pairs if each.lock] or [first]
    return Planned(
        first.migration,
        first.step,
        sql,
        locking[-1].lock,
        locking[-1].locked,
        sum(taken * _growth(each, growth) for each, taken in pairs),
    )


def _growth(each: Measurement, growth: Mapping[str, float]) -> float:
    """By how much longer it takes on all rows: what is read or written as a whole, or row by row by a call."""
    touched = {*each.scanned, *each.rewritten, *(each.locked if each.call else ())}
    return max((growth[name] for name in touched if name in growth), default=1.0)
