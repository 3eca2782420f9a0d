"""What a migration needs of another history: `REQUIRES = "025"` is this library's, `REQUIRES = "rooms:003"` a host's.

Rule it guards: a migration runs only where what it stands on is applied, and that is not undone beneath it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import peewee

from rayces_core.errors import MigrationError, MigrationFileError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.history import APPLIED, IS_HISTORY
from rayces_core.migrating.places import OURS, SUFFIX
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_SPELLED = re.compile(r"(?:(?P<history>[^:]+):)?(?P<number>\d{1,9})(?:_[a-z0-9_]+)?")
_HISTORIES = f"""
SELECT c.relname::text FROM pg_class c
 WHERE c.relkind = 'r' AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND {IS_HISTORY}
 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A migration that has to be applied: the name of its history, and its number."""

    history: str
    number: int

    def __str__(self) -> str:
        return f"migration {self.number:03} of {self.history}"


def required_by(file: MigrationFile) -> list[Requirement]:
    """What `file` says that it needs; MigrationFileError where that cannot be read."""
    said = getattr(file.load(), "REQUIRES", ())
    each = [said] if isinstance(said, str) else said
    if not isinstance(each, Sequence) or not all(isinstance(one, str) for one in each):
        raise _unreadable(file, said)
    found = [_SPELLED.fullmatch(one) for one in each]
    return [
        Requirement(match["history"] or OURS, int(match["number"])) if match else _refuse(file, one)
        for one, match in zip(each, found, strict=True)
    ]


def _refuse(file: MigrationFile, said: object) -> Requirement:
    raise _unreadable(file, said)


def _unreadable(file: MigrationFile, said: object) -> MigrationFileError:
    return MigrationFileError(
        f'{file.name} says REQUIRES = {said!r}; write a number of rayces\' migrations, "025", or of another history, '
        '"rooms:003"'
    )


def refuse_unmet(
    database: MigrationDatabase, files: Iterable[MigrationFile], planned: Mapping[str, int] | None = None
) -> None:
    """Raise MigrationError if one of `files`, about to be applied, needs what is not.

    Args:
        planned: name of a history -> the number up to which it will be applied before.
    """
    reached = dict(planned or {})
    for file in files:
        for needed in required_by(file):
            if needed.history not in reached:
                reached[needed.history] = applied_number(database, needed.history)
            if reached[needed.history] < needed.number:
                raise MigrationError(f"{file.name} needs {needed}, which is not applied; {_advice(needed)}")


def _advice(needed: Requirement) -> str:
    if needed.history == OURS:
        return "run `rayces migrate up --only rayces`, with a version of rayces-core that has it"
    return f"name the directory of {needed.history} before this one, or apply it first"


def refuse_leaning(
    database: MigrationDatabase, name: str, left: int, others: Iterable[tuple[str, Sequence[MigrationFile]]]
) -> None:
    """Raise MigrationError if undoing the history `name` down to `left` takes away what an applied migration needs.

    Args:
        others: of each other history its name and files.
    """
    for other, files in others:
        done = applied_number(database, other)
        for file in reversed([each for each in files if each.number <= done]):
            for needed in required_by(file):
                if needed.history == name and needed.number > left:
                    raise MigrationError(
                        f"{file.name} of {other} is applied and needs {needed}; undo it first: "
                        f"rayces migrate down --only {other} --to {file.number - 1}. Nothing was run"
                    )


def applied_number(database: MigrationDatabase, history: str) -> int:
    """The number of the newest migration of a history that is applied; 0 where there is none."""
    tables = {table for (table,) in database.execute_sql(_HISTORIES.replace("%", "%%")).fetchall()}
    table = next((each for each in (history + SUFFIX, history) if each in tables), None)
    if table is None:
        return 0
    newest = (
        f"SELECT max(substring(name FROM '^[0-9]+')::bigint) FROM {quote_identifier(table)} WHERE state = '{APPLIED}'"
    )
    return int(database.one(newest) or 0)


def history_elsewhere(database: MigrationDatabase, files: Sequence[MigrationFile], known: Iterable[str]) -> str | None:
    """Name of another table, not one of `known`, that has the history of these files; None where there is none."""
    before = [checksum for file in files for each in file.replacements for _, checksum in each.replaced]
    checksums = [*before, *(file.checksum for file in files)]
    for (table,) in database.execute_sql(_HISTORIES.replace("%", "%%")).fetchall():
        if table in known:
            continue
        try:
            sql = f"SELECT true FROM {quote_identifier(table)} WHERE checksum = ANY (%%s) LIMIT 1".replace("%%", "%")
            if checksums and database.one(sql, checksums):
                return str(table)
        except peewee.ProgrammingError:  # the login may not read it
            continue
    return None
