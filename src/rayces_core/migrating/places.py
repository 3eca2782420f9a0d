"""Where migrations are: this library's own, then those of the host, in the order in which pyproject.toml names them.

Rule it guards: the name of a history's table follows from what is written, never from where a checkout happens to lie,
so that the same directory has the same history everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from rayces_core.errors import ConfigurationError
from rayces_core.project_file import FILE, listed

OURS = "rayces"
SUFFIX = "_migrations"
LONGEST_NAME_BYTES = 63
_KEYS = {"directory", "history_table"}
_EXAMPLE = '[tool.rayces] migrations = ["myapp/migrations"]'


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of migrations and the table of its history; `directory` None is this library's own.

    `is_named` says whether the table was given, and not only derived from the directory's name.
    """

    directory: str | None = None
    history_table: str = OURS + SUFFIX
    is_named: bool = True

    @property
    def name(self) -> str:
        """What the history is called on the command line and in REQUIRES: its table without `_migrations`."""
        return self.history_table.removesuffix(SUFFIX)


def place(directory: str, history_table: str | None = None, *, beneath: Path | None = None) -> Place:
    """The place that a directory is; without `history_table` `myapp/migrations` has `myapp_migrations`.

    Args:
        beneath: the folder that a relative directory starts from; None: the current one.
    """
    path = str(directory if beneath is None else beneath / directory)
    table = history_table or _derived(directory)
    if len(table.encode()) > LONGEST_NAME_BYTES:
        raise ConfigurationError(f"{table}: the name of a table has at most {LONGEST_NAME_BYTES} bytes; name another")
    return Place(path, table, is_named=history_table is not None)


def in_order(hosts: Iterable[Place]) -> list[Place]:
    """Our own place and then those; ConfigurationError when two of them would have one history."""
    places = [Place(), *hosts]
    for number, each in enumerate(places):
        twin = next((other for other in places[:number] if other.history_table == each.history_table), None)
        if twin is not None:
            raise ConfigurationError(
                f"{each.directory} and {twin.directory or 'this library'} would both have the history "
                f"{each.history_table}; name another table for the former: --history-table, or history_table = "
                f"in {FILE}"
            )
    return places


def configured(start: Path | None = None) -> list[Place]:
    """The places that the nearest pyproject.toml names, of `start` (default: the current folder) or one above it.

    Raises ConfigurationError where it does not say what it should.
    """
    folder, named = listed("migrations", _EXAMPLE, start)
    return [_entry(folder / FILE, each) for each in named]


def _entry(file: Path, given: Any) -> Place:
    entry = {"directory": given} if isinstance(given, str) else given
    if (
        not isinstance(entry, dict)
        or not entry.get("directory")
        or entry.keys() - _KEYS
        or not all(isinstance(value, str) for value in entry.values())
    ):
        raise ConfigurationError(
            f"{file}: {given!r} is neither a directory nor {{directory = ..., history_table = ...}}: {_EXAMPLE}"
        )
    return place(entry["directory"], entry.get("history_table"), beneath=file.parent)


def _derived(directory: str) -> str:
    parts: Sequence[str] = [part for part in PurePath(directory).parts if part not in (".", "..", "/")]
    named = [part for part in parts if part != "migrations"]
    return (named[-1].lower() if named else "host") + SUFFIX
