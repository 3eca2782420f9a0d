"""The second pass: the checked rows go in by batches, each a unit of work with the run's progress.

Rule it guards: a batch is there whole or not at all, and nothing is there twice, whatever is interrupted or races. What
the check has seen may have changed meanwhile: imports of one record type into one organization take turns, and each
batch looks at the rows that came since; the constraints of the tables see to the rest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Final

from rayces_core.errors import (
    ConstraintError,
    DeadlockError,
    ImportRefusedError,
    LockTimeoutError,
    RaycesError,
    SerializationError,
)
from rayces_core.importing import runs
from rayces_core.importing.job import Job
from rayces_core.importing.newcomers import Newcomers, Range
from rayces_core.importing.report import Problem, Report
from rayces_core.importing.staging import FAULTS
from rayces_core.models.imports import ImportRun

ATTEMPTS: Final = 5
TAKE_TURNS: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('rayces import ' || %(record)s || ' ' || %(tenant)s::text, 0))"
)


@dataclass(frozen=True)
class Written:
    """What became of the rows of a batch."""

    created: int
    updated: int
    unchanged: int
    problems: list[Problem]

    @property
    def skipped(self) -> int:
        """How many rows were left out."""
        return len({problem.row for problem in self.problems})


class Writer:
    """Writes the chosen rows of one job."""

    def __init__(self, job: Job, run: ImportRun, report: Report, newcomers: Newcomers) -> None:
        self._job, self._run, self._report, self._newcomers = job, run, report, newcomers
        self._staging = job.staging()

    def write(self, chosen: IO[bytes], total: int) -> None:
        """Write all rows of `chosen`; the report counts what became of them."""
        report, done = self._report, 0
        report.created = report.updated = 0
        for lines in _batches(chosen, self._job.options.batch_rows):
            written = self._write_batch(lines)
            report.created += written.created
            report.updated += written.updated
            report.unchanged += written.unchanged
            report.skipped += written.skipped
            report.add(written.problems)
            done += len(lines)
            self._job.progress("write", done, total)

    def _write_batch(self, lines: list[bytes]) -> Written:
        careful = False
        for attempt in range(ATTEMPTS):
            try:
                return self._attempt(lines, careful)
            except ConstraintError as error:
                # Somebody was faster. Once more, with all of the table compared: now the rows can be named.
                if careful:
                    raise self._refusal(_lost(lines, error)) from error
                careful = True
            except (DeadlockError, LockTimeoutError, SerializationError):
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, lines: list[bytes], careful: bool) -> Written:
        staging, job = self._staging, self._job
        with staging.engine.atomic("READ COMMITTED"):  # whatever the server's default: it looks at what came meanwhile
            staging.run(TAKE_TURNS, record=job.record.name)
            ranges = self._newcomers.before_batch()
            staging.bring_in(io.BytesIO(b"".join(lines)))
            if staging.record.locking:
                staging.run(staging.record.locking)
            if staging.record.clearing is not None:
                staging.record.clearing(staging)
            problems = self._compare(ranges, careful)
            created, updated, unchanged = staging.outcomes()
            gone = self._put(created, updated)
            updated -= len(gone)
            problems += gone
            counts = (created, updated, unchanged, len({problem.row for problem in problems}))
            runs.move_on(self._run, _number(lines[-1]), counts, job.now)
            seen = self._newcomers.after_batch(ranges, created)
        self._newcomers.keep(*seen)
        return Written(created, updated, unchanged, problems)

    def _compare(self, ranges: list[Range], careful: bool) -> list[Problem]:
        """Compare the batch with what came since the check; leaves out the rows that do not go in any more."""
        staging, record = self._staging, self._job.record
        found = staging.match() if careful else sum(staging.match(*each) for each in ranges)
        if not found and not careful and not record.unguarded:
            return []
        staging.run(FAULTS)
        staging.note_differences("r.late")
        for statement in record.conflicts if careful else record.unguarded:
            staging.run(statement)
        problems = list(staging.problems())
        if problems and self._job.options.on_error == "stop":
            raise self._refusal(problems)
        staging.drop_faulty()
        return problems

    def _put(self, created: int, updated: int) -> list[Problem]:
        """Write the batch; returns a problem for each row that was to be updated and is not there any more."""
        staging, record = self._staging, self._job.record
        for statement in record.preparing if created + updated else ():
            staging.run(statement)
        if created and record.writer is not None:
            record.writer(staging.parameters)
        elif created:
            staging.run(
                f"{record.inserting} RETURNING 1"
            )  # else it could not be run everywhere under row-level security
        return self._gone() if updated and self._update() < updated else []

    def _update(self) -> int:
        staging, record = self._staging, self._job.record
        found = staging.run(
            f"UPDATE {record.table} AS t SET {staging.knowing.changes(record)}, updated_at = %(now)s "
            f"FROM resolved AS r WHERE t.{record.owner} = %(tenant)s AND t.id = r.existing_id "
            "AND cardinality(r.differs) > 0"
        )
        return int(found.rowcount)

    def _gone(self) -> list[Problem]:
        staging, record = self._staging, self._job.record
        there = f"SELECT 1 FROM {record.table} AS t WHERE t.{record.owner} = %(tenant)s AND t.id = r.existing_id"
        rows = staging.run(
            "SELECT r.row FROM resolved AS r WHERE r.existing_id IS NOT NULL AND cardinality(r.differs) > 0 "
            f"AND NOT EXISTS ({there}) ORDER BY r.row"
        ).fetchall()
        what, advice = "was deleted after the check", "import the file again, or leave the row out"
        problems = [Problem(row, record.key, "", what, advice) for (row,) in rows]
        if problems and self._job.options.on_error == "stop":
            raise self._refusal(problems)
        return problems

    def _refusal(self, problems: list[Problem]) -> ImportRefusedError:
        self._report.add(problems)
        self._report.skipped += len({problem.row for problem in problems})
        first = problems[0]
        place = f"row {first.row}, {first.column}: " if first.column else ""
        return ImportRefusedError(
            f"{place}{first.problem}; it came up after the check. The batch was not written, those before it were: "
            "correct the rows and import them again, what is there is left as it is",
            self._report,
        )


def _batches(chosen: IO[bytes], rows: int) -> Iterator[list[bytes]]:
    """So many lines each, and more where the next ones are of the same row."""
    chosen.seek(0)
    batch: list[bytes] = []
    for _, lines in groupby(chosen, _number):
        batch += lines
        if len(batch) >= rows:
            yield batch
            batch = []
    if batch:
        yield batch


def _number(line: bytes) -> int:
    return int(line.partition(b"\t")[0])


def _lost(lines: list[bytes], error: RaycesError) -> list[Problem]:
    """The problem of a batch of which no single row can be told to be at fault."""
    first, last = _number(lines[0]), _number(lines[-1])
    return [Problem(first, "", "", f"rows {first} to {last} were refused: {error}", "import the file again")]
