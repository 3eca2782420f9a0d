"""The first pass: every value by the rules of the models, then all rows by sets against the database.

Rule it guards: a check leaves nothing behind: what it stages is undone, and what it found is in its report.
"""

from __future__ import annotations

from typing import IO

from rayces_core.importing import identities
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
    staging = job.staging()
    job.progress("check", 0, None)
    report.samples = rows.samples
    report.notes += tuple(f"{report.columns.get(name, name)!r} {note}" for name, note in rows.notes.items())
    with staging.engine.atomic() as unit:
        staging.stage(rows.columns, rows.rows, rows.faults)
        if rows.doubted:
            staging.mark_faulty()
        if last_row:
            report.there_before = staging.forget_until(last_row)
        report.notes += tuple(_ask(staging))
        report.add(staging.problems())
        staging.drop_faulty()
        report.created, report.updated, report.unchanged = staging.outcomes()
        report.rows = rows.count
        report.skipped = staging.skipped()
        if chosen is not None:
            staging.take_out(chosen)
        unit.rollback()
    job.progress("check", rows.count, rows.count)


def _ask(staging: Staging) -> list[str]:
    """Note the faults that rows have together or here; returns what is told without keeping a row out."""
    spread = staging.record.spreading
    said = None if spread is None else spread(staging)
    staging.resolve()
    notes = [*([] if said is None else [said]), *identities.find(staging)]
    for statement in staging.record.checks:
        staging.run(statement)
    identities.note_repetitions(staging)
    identities.note_emptied(staging)
    staging.note_differences()
    for statement in staging.record.conflicts:
        staging.run(statement)
    if staging.record.among_themselves is not None:
        staging.record.among_themselves(staging)
    return notes + identities.spelled_otherwise(staging)
