"""The state of each migration, as its file and the history show it, and whether the two agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from rayces_core.errors import MigrationError, MigrationFileError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.history import APPLIED, HistoryRow

State = Literal["pending", "applied", "dirty", "changed", "missing"]


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration as file and history show it.

    `state` is pending, applied, dirty (stopped half way, up or down), changed (the file was edited since) or missing
    (applied, but the file is gone). `applied_at` is aware, `duration_ms` is what applying took; None if pending.
    """

    number: int
    name: str
    state: State
    applied_at: datetime | None
    duration_ms: int | None


def statuses(files: list[MigrationFile], rows: dict[str, HistoryRow]) -> list[MigrationStatus]:
    """Every migration with its state, by number; those whose file is missing come last."""
    known = {file.name for file in files}
    states = [_status(file.number, file.name, rows.get(file.name), _state(file, rows.get(file.name))) for file in files]
    return states + [_status(_number_of(name), name, row, "missing") for name, row in rows.items() if name not in known]


def is_applied(rows: dict[str, HistoryRow], file: MigrationFile) -> bool:
    """Whether the migration is wholly applied."""
    return file.name in rows and rows[file.name].state == APPLIED


def refuse_disagreement(files: list[MigrationFile], rows: dict[str, HistoryRow]) -> None:
    """Raise MigrationFileError unless the history is the beginning of the files, none of them edited."""
    names = {file.name for file in files}
    gone = [name for name in rows if name not in names]
    if gone:
        raise MigrationFileError(
            f"{', '.join(gone)}: applied to this database, but the file is missing; install the version that has it"
        )
    for file in files:
        row = rows.get(file.name)
        if row is not None and row.checksum != file.checksum and (row.state == APPLIED or row.steps_done):
            raise MigrationFileError(
                f"{file.name} was edited after it was {'applied' if row.state == APPLIED else 'begun'}; restore it "
                "and put the change into a new migration"
            )
    for earlier, later in pairwise(files):
        if later.name in rows and not is_applied(rows, earlier):
            raise MigrationFileError(
                f"{earlier.name} is not applied although {later.name} is; numbers are out of order"
            )


def refuse_out_of_turn(
    files: list[MigrationFile], rows: dict[str, HistoryRow], file: MigrationFile, *, downgrade: bool
) -> None:
    """Raise MigrationError unless the file is the next one to be applied, or the newest one that is."""
    if downgrade:
        recorded = [each for each in files if each.name in rows]
        expected = recorded[-1] if recorded else None
    else:
        expected = next((each for each in files if not is_applied(rows, each)), None)
    if expected != file:
        raise MigrationError(f"{file.name} is not next; {expected.name if expected else 'nothing'} is")


def _state(file: MigrationFile, row: HistoryRow | None) -> State:
    if row is None:
        return "pending"
    if row.state != APPLIED:
        return "dirty"
    return "applied" if row.checksum == file.checksum else "changed"


def _status(number: int, name: str, row: HistoryRow | None, state: State) -> MigrationStatus:
    if row is None:
        return MigrationStatus(number, name, state, None, None)
    return MigrationStatus(number, name, state, row.applied_at, row.duration_ms)


def _number_of(name: str) -> int:
    digits = name.partition("_")[0]
    return int(digits) if digits.isdigit() else 0
