"""The files of a migrations directory: found, numbered without gaps, and loaded as real modules.

What could be skipped by mistake is an error: a number used twice or left out, a name that is no migration's.
"""

from __future__ import annotations

import codecs
import hashlib
import importlib.abc
import importlib.resources
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rayces_core.errors import IrreversibleMigrationError, MigrationFileError
from rayces_core.migrating.replaced import Replacement, first_number, replacements

NAME = re.compile(r"(\d{3,})_[a-z0-9_]+")

PACKAGE = "rayces_core.migrations"
# `conf.py` is where peewee-migrate keeps its own settings.
_OTHER_FILES = ("__init__.py", "conf.py")


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration as it stands in its directory. `checksum` does not see a BOM and line endings.

    `replacements` is what a squashed file stands for.
    """

    number: int
    name: str
    filename: str
    source: bytes
    checksum: str
    replacements: tuple[Replacement, ...] = ()

    def load(self) -> ModuleType:
        """Import the file; raises MigrationFileError when it is no migration."""
        module = _import(self)
        if not callable(getattr(module, "migrate", None)):
            raise MigrationFileError(f"{self.name} has no function migrate(migrator, database, *, fake=False)")
        return module


def is_atomic(module: ModuleType) -> bool:
    """Whether the migration runs in one transaction: unless it says `ATOMIC = False`."""
    return bool(getattr(module, "ATOMIC", True))


def refuse_irreversible(file: MigrationFile) -> None:
    """Raise IrreversibleMigrationError if the migration has no way back."""
    module = file.load()
    reason = getattr(module, "IRREVERSIBLE", None)
    if reason or not callable(getattr(module, "rollback", None)):
        why = reason or "it has no rollback()"
        raise IrreversibleMigrationError(f"{file.name} cannot be undone: {why}; nothing was run")


def read_directory(directory: str | Path | None) -> list[MigrationFile]:
    """The migrations in `directory` (None: those of this package), by number.

    Raises MigrationFileError for a missing directory, a file whose name is no migration's, and a number that is
    used twice or left out.
    """
    return list(_packaged()) if directory is None else _found(Path(directory), packaged=False)


@cache  # a run asks several times, and each reads and digests them all
def _packaged() -> tuple[MigrationFile, ...]:
    return tuple(_found(importlib.resources.files(PACKAGE), packaged=True))


def _found(root: Traversable, *, packaged: bool) -> list[MigrationFile]:
    if not root.is_dir():
        raise MigrationFileError(f"there is no directory of migrations at {root}")
    entries = [entry for entry in root.iterdir() if _concerns_us(entry.name, packaged=packaged)]
    _refuse_misnamed(entry.name for entry in entries)
    files = sorted((_read(entry) for entry in entries), key=lambda file: file.number)
    _refuse_disorder(files)
    return files


def _concerns_us(name: str, *, packaged: bool) -> bool:
    if name[:1].isdigit():
        return True
    return name.endswith(".py") and name not in _OTHER_FILES and not packaged


def _refuse_misnamed(names: Iterable[str]) -> None:
    wrong = sorted(name for name in names if not (name.endswith(".py") and NAME.fullmatch(name[:-3])))
    if wrong:
        raise MigrationFileError(
            f"{', '.join(wrong)}: not the name of a migration, so it would be passed over; "
            "call it NNN_what_it_does.py in lower case, or move it elsewhere"
        )


def _read(entry: Traversable) -> MigrationFile:
    source = entry.read_bytes()
    name = entry.name.removesuffix(".py")
    checksum = hashlib.sha256(_as_read(source)).hexdigest()
    found = replacements(name, checksum, source)
    return MigrationFile(int(name.partition("_")[0]), name, str(entry), source, checksum, found)


def _as_read(source: bytes) -> bytes:
    """The bytes without what editors change by themselves and Python does not see: a BOM, line ends, the last ones."""
    text = source.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.rstrip(b"\n") + b"\n"


def _refuse_disorder(files: list[MigrationFile]) -> None:
    _refuse_replaced(files)
    earlier, expected = "", 1
    for file in files:
        first = first_number(file.number, file.replacements)
        if first < expected:
            raise MigrationFileError(f"{earlier} and {file.name} have the same number; renumber the newer one")
        if first > expected:
            raise MigrationFileError(f"migration {expected:03} is missing before {file.name}; numbers have no gaps")
        earlier, expected = file.name, file.number + 1


def _refuse_replaced(files: list[MigrationFile]) -> None:
    for squashed in (each for each in files if each.replacements):
        covered = range(first_number(squashed.number, squashed.replacements), squashed.number)
        for file in files:
            if file is not squashed and file.number in covered:
                raise MigrationFileError(f"{file.name} is within {squashed.name}, which replaces it; remove the former")


class _SourceLoader(importlib.abc.SourceLoader):
    """Imports the bytes whose checksum was taken: no stale byte code, no second read, and it works from a zip."""

    def __init__(self, file: MigrationFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return self._file.filename

    def get_data(self, path: str | bytes) -> bytes:  # noqa: ARG002
        return self._file.source

    def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
        return _compiled(data, path)


@lru_cache(maxsize=256)
def _compiled(source: bytes, filename: str) -> CodeType:
    # A run loads each file twice, and a process that goes up and down many times.
    code: CodeType = compile(source, filename, "exec", dont_inherit=True)
    return code


def _import(file: MigrationFile) -> ModuleType:
    spec = importlib.util.spec_from_loader(file.name, _SourceLoader(file))
    if spec is None or spec.loader is None:
        raise MigrationFileError(f"{file.filename} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise MigrationFileError(f"{file.filename}, line {error.lineno}: {error.msg}") from error
    return module
