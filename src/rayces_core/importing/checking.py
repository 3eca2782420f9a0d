"""The first pass: every value by the rules of the models, then all rows by sets against the database.

Rule it guards: a check leaves nothing behind: what it stages is undone, and what it found is in its report.
"""

from __future__ import annotations

from typing import IO

from rayces_core.importing.job import Job
from rayces_core.importing.report import Report
from rayces_core.importing.spooling import Spool, spool
from rayces_core.importing.staging import Staging


def read(job: Job) -> Spool:
    """Read all of the source, with the faults that single rows have."""
    return spool(job.source, job.record, job.mapping.places, job.reading, job.now, job.progress, job.fixed)


def check_spooled(job: Job, rows: Spool, report: Report, chosen: IO[bytes] | None = None, last_row: int = 0) -> None:
    """Compare the rows with each other and with the database, and tell `report`.

    Args:
        chosen: gets the rows that there is something to do for, in order, in COPY's text format.
        last_row: number of the last row that an earlier run has committed; it and those before are left out.
    """
    staging = Staging(job.binding, job.record, job.now, str(job.reading.zone))
    job.progress("check", 0, None)
    report.samples = rows.samples
    report.notes += tuple(f"{report.columns.get(name, name)!r} {note}" for name, note in rows.notes.items())
    with staging.engine.atomic() as unit:
        staging.stage(rows.columns, rows.rows, rows.faults)
        if rows.doubted:
            staging.mark_faulty()
        if last_row:
            staging.forget_until(last_row)
        _ask(staging, job.options.update)
        report.add(staging.problems())
        staging.drop_faulty()
        report.created, report.updated, report.unchanged = staging.outcomes()
        report.rows = rows.count
        report.skipped = staging.skipped()
        if chosen is not None:
            staging.take_out(chosen)
        unit.rollback()
    job.progress("check", rows.count, rows.count)


def _ask(staging: Staging, update: bool) -> None:
    staging.resolve()
    staging.match()
    for statement in staging.record.checks:
        staging.run(statement)
    staging.note_repetitions()
    staging.note_differences(update)
    if staging.record.conflicts:
        staging.run(staging.record.conflicts)
    if staging.record.among_themselves is not None:
        staging.record.among_themselves(staging)
