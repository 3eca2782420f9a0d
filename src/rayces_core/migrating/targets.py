"""Which migrations a target means: a number, a name, or the newest of those that are applied."""

from __future__ import annotations

from collections.abc import Sequence

from rayces_core.errors import MigrationError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.history import HistoryRow
from rayces_core.migrating.squashing import known_number
from rayces_core.migrating.status import is_applied


def file_named(files: Sequence[MigrationFile], name: str) -> MigrationFile:
    """The migration of this name; MigrationError when there is none."""
    for file in files:
        if file.name == name:
            return file
    raise MigrationError(f"there is no migration {name!r}")


def number_of(files: Sequence[MigrationFile], target: int | str | None, *, default: int) -> int:
    """The number that a target means, by number or by name; MigrationError when there is no such migration."""
    if target is None:
        return default
    number = str(target)
    return known_number(files, int(number)) if number.isdigit() else file_named(files, number).number


def to_apply(files: Sequence[MigrationFile], rows: dict[str, HistoryRow], last: int) -> list[MigrationFile]:
    """What is not applied yet, up to a number, oldest first."""
    return [file for file in files if file.number <= last and not is_applied(rows, file)]


def to_undo(
    files: Sequence[MigrationFile], rows: dict[str, HistoryRow], to: int | str | None, count: int | None
) -> list[MigrationFile]:
    """What is applied beyond `to`, or the newest `count` (default 1), newest first; MigrationError for both at once."""
    if to is not None and count is not None:
        raise MigrationError("give down() either to= or count=, not both")
    recorded = [file for file in reversed(files) if file.name in rows]
    if to is None:
        return recorded[: 1 if count is None else max(count, 0)]
    last = number_of(files, to, default=0)
    return [file for file in recorded if file.number > last]
