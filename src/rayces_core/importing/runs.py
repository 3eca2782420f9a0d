"""The progress of an import in the database: a row of `import_runs` that moves on with each batch."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rayces_core.importing.report import Report
from rayces_core.models.imports import ImportRun

SHORT: Final = 255


def begun_before(record_type: str, fingerprint: str) -> ImportRun | None:
    """The last run of the same rows, read by the same columns, that was not finished; None if there is none."""
    same = (ImportRun.record_type == record_type) & (ImportRun.fingerprint == fingerprint)
    newest = ImportRun.created_at.desc(), ImportRun.id.desc()  # ids of several servers tell nothing of time
    found: ImportRun | None = ImportRun.select().where(same).order_by(*newest).first()
    return None if found is None or found.is_finished else found


def begin(report: Report, fingerprint: str, now: datetime) -> ImportRun:
    """Note that an import begins, with what its check found."""
    return ImportRun.create(
        record_type=report.record_type,
        source=report.source.replace("\x00", "").encode(errors="replace").decode()[:SHORT],
        fingerprint=fingerprint,
        unchanged=report.unchanged,
        skipped=report.skipped,
        created_at=now,
        updated_at=now,
    )


def move_on(run: ImportRun, last_row: int, counts: tuple[int, int, int, int], now: datetime) -> None:
    """Note that the rows up to `last_row` are committed, in the unit of work that commits them.

    Args:
        counts: how many of them were created, updated, unchanged and skipped.
    """
    created, updated, unchanged, skipped = counts
    changes = {
        ImportRun.last_row: last_row,
        ImportRun.created: ImportRun.created + created,
        ImportRun.updated: ImportRun.updated + updated,
        ImportRun.unchanged: ImportRun.unchanged + unchanged,
        ImportRun.skipped: ImportRun.skipped + skipped,
        ImportRun.updated_at: now,
    }
    ImportRun.update(changes).where(ImportRun.id == run.id).execute()


def finish(run: ImportRun, now: datetime) -> None:
    """Note that nothing is left to do."""
    ImportRun.update({ImportRun.finished_at: now, ImportRun.updated_at: now}).where(ImportRun.id == run.id).execute()
