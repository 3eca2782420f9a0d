"""A squashed file in the history: it takes the place of the rows of the files that it replaces.

Rule it guards: a database counts as squashed only where all of the replaced files are wholly applied to it, as they
were when they were squashed. Looking writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rayces_core.errors import MigrationError, MigrationFileError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.history import APPLIED, History, HistoryRow
from rayces_core.migrating.replaced import Replacement, first_number

Rows = dict[str, HistoryRow]


class TakenOver(HistoryRow):
    """A row that is not in the table yet: `originals` are those that it will replace, oldest first."""

    originals: tuple[HistoryRow, ...] = ()


def seen(files: Sequence[MigrationFile], rows: Rows) -> Rows:
    """The history as it is once squashed files have taken over; raises MigrationFileError where one cannot."""
    for file in files:
        for replacement in file.replacements:
            rows = _replaced(file, replacement, rows)
    return rows


def originals(row: HistoryRow) -> tuple[HistoryRow, ...]:
    """The rows of the table that this one is, or will replace."""
    return row.originals if isinstance(row, TakenOver) else (row,)


def take_over(history: History, rows: Rows) -> None:
    """Write what `seen` has found: one row in place of those that are replaced, in one transaction."""
    for row in rows.values():
        if isinstance(row, TakenOver):
            model, last = history.model, row.originals[-1]
            facts = {"name": row.name, "checksum": row.checksum, "duration_ms": row.duration_ms}
            with history.database.atomic():
                model.delete().where(model.id.in_([each.id for each in row.originals[:-1]])).execute()
                model.update(**facts).where(model.id == last.id).execute()


def newest_number(files: Sequence[MigrationFile]) -> int:
    """The number of the newest file; 0 where there is none."""
    return files[-1].number if files else 0


def known_number(files: Sequence[MigrationFile], number: int) -> int:
    """`number`, if it is 0 or that of a file; else MigrationError."""
    if number > newest_number(files):
        raise MigrationError(f"there is no migration {number}; the newest is {newest_number(files)}")
    for file in files:
        if first_number(file.number, file.replacements) <= number < file.number:
            raise MigrationError(
                f"migration {number} is now within {file.name}, which is applied and undone as a whole"
            )
    return number


def _replaced(file: MigrationFile, replacement: Replacement, rows: Rows) -> Rows:
    found = [rows[name] for name, _ in replacement.replaced if name in rows]
    if not found:
        return rows
    _refuse_partial(file, replacement, rows)
    for (name, checksum), row in zip(replacement.replaced, found, strict=True):
        if row.checksum != checksum:
            raise MigrationFileError(
                f"{file.name} replaces another {name} than the one that is applied here; squash the files as they "
                "were applied"
            )
    one = TakenOver(
        name=replacement.name,
        checksum=replacement.checksum,
        state=APPLIED,
        attempts=max(row.attempts for row in found),
        duration_ms=sum(row.duration_ms for row in found),
        version=found[-1].version,
        applied_at=found[-1].applied_at,
    )
    one.originals = tuple(each for row in found for each in originals(row))
    gone, last = {row.name for row in found}, found[-1].name
    kept = [one if row.name == last else row for row in rows.values() if row.name == last or row.name not in gone]
    return {row.name: row for row in kept}


def _refuse_partial(file: MigrationFile, replacement: Replacement, rows: Rows) -> None:
    missing = [name for name, _ in replacement.replaced if name not in rows or rows[name].state != APPLIED]
    if missing or replacement.name in rows:
        what = ", ".join(missing) or "some"
        raise MigrationFileError(
            f"{file.name} replaces files of which only some are applied here, {what} not; run `rayces migrate up` with "
            "the files of before it, then with it"
        )
