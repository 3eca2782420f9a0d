"""Several of a host's migrations as one file, which does what they did, one after the other.

Rule it guards: nothing is removed before the new file is written, loads, and holds each of the old ones unchanged.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rayces_core.errors import ConfigurationError, MigrationFileError
from rayces_core.migrating.embedding import INDENT, embedded
from rayces_core.migrating.execution import limits_of
from rayces_core.migrating.files import NAME, PACKAGE, MigrationFile, is_atomic, read_directory
from rayces_core.migrating.places import OURS
from rayces_core.migrating.replaced import first_number
from rayces_core.migrating.requirements import required_by

_SIGNATURE = "(migrator, database, *, fake=False)"
_LIMITS = ("LOCK_TIMEOUT_MS", "STATEMENT_TIMEOUT_MS")


@dataclass(frozen=True, slots=True)
class Squashed:
    """What was written and what it replaces; `by_itself` names those that said ATOMIC = False, if not all did."""

    path: Path
    replaced: tuple[str, ...]
    by_itself: tuple[str, ...]


def squash(directory: str | Path, first: str, last: str, name: str | None = None) -> Squashed:
    """Write the migrations `first` to `last` of a directory (numbers or names) into one file, and remove them.

    Args:
        name: of the new file, with or without the number, which is that of `last`.

    Raises:
        ConfigurationError: the directory is this library's own.
        MigrationFileError: there are no such files, or one that cannot be put into a function; nothing was written.
    """
    folder = Path(directory)
    if folder.resolve() == Path(str(importlib.resources.files(PACKAGE))).resolve():
        raise ConfigurationError("the migrations of this library are not squashed; give --directory of your own")
    chosen = _between(read_directory(folder), first, last)
    path = folder / f"{_named(chosen, name)}.py"
    text = _text(chosen)
    compile(text, str(path), "exec", dont_inherit=True)
    with path.open("x", encoding="utf-8", newline="\n") as new:
        new.write(text)
    for file in chosen:
        (folder / f"{file.name}.py").unlink()
    alone = tuple(file.name for file in chosen if not is_atomic(file.load()))
    return Squashed(path, tuple(file.name for file in chosen), alone if len(alone) < len(chosen) else ())


def _between(files: Sequence[MigrationFile], first: str, last: str) -> list[MigrationFile]:
    start, end = (_position(files, word) for word in (first, last))
    chosen = list(files[start : end + 1])
    if len(chosen) < 2:
        raise MigrationFileError(
            f"there is nothing to squash from {first} to {last}; name two migrations, the older one first"
        )
    return chosen


def _position(files: Sequence[MigrationFile], word: str) -> int:
    for position, file in enumerate(files):
        numbers = range(first_number(file.number, file.replacements), file.number + 1)
        if word == file.name or (word.isdigit() and int(word) in numbers):
            return position
    raise MigrationFileError(
        f"there is no migration {word}; there are {', '.join(file.name for file in files) or 'none'}"
    )


def _named(chosen: Sequence[MigrationFile], name: str | None) -> str:
    first = first_number(chosen[0].number, chosen[0].replacements)
    number = chosen[-1].name.partition("_")[0]
    full = name or f"squashed_{first:03}_to_{number}"
    full = full.removesuffix(".py") if full.startswith(f"{number}_") else f"{number}_{full.removesuffix('.py')}"
    if not NAME.fullmatch(full):
        raise MigrationFileError(f"{name!r} is no name of a migration: small letters, digits and _, as in first_tables")
    if full in {file.name for file in chosen}:
        raise MigrationFileError(f"{full} is one of those that are squashed; give --name another one")
    return full


def _text(chosen: Sequence[MigrationFile]) -> str:
    bodies = [embedded(file) for file in chosen]
    modules = [file.load() for file in chosen]
    futures = sorted({name for _, names in bodies for name in names})
    functions = [
        f"def _{file.name}():\n{body}\n{INDENT}return migrate, {_way_back(module)}"
        for file, (body, _), module in zip(chosen, bodies, modules, strict=True)
    ]
    head = [
        f'"""Migrations {chosen[0].name} to {chosen[-1].name} as one."""',
        *([f"from __future__ import {', '.join(futures)}"] if futures else []),
        "\n".join(_said(chosen, modules)),
    ]
    return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join([*functions, *_bodies(chosen)]) + "\n"


def _said(chosen: Sequence[MigrationFile], modules: Sequence[ModuleType]) -> list[str]:
    lines = [_dictionary("REPLACES", {file.name: file.checksum for file in chosen})]
    before = {each.name: dict(each.replaced) for file in chosen for each in file.replacements}
    if before:
        lines.append(_dictionary("REPLACED_BEFORE", before))
    if not all(map(is_atomic, modules)):
        lines.append("ATOMIC = False  # as some of them are; what it runs must bear a run that was stopped half way")
    required = _required(chosen)
    if required:
        lines.append(f"REQUIRES = {_quoted(required[0]) if len(required) == 1 else _listed(required)}")
    for place, constant in enumerate(_LIMITS):
        if any(hasattr(module, constant) for module in modules):
            each = [limits_of(module)[place] for module in modules]
            lines.append(f"{constant} = {0 if 0 in each else max(each)}")
    reasons = [f"{file.name}: {why}" for file, module in zip(chosen, modules, strict=True) if (why := _no_way(module))]
    if reasons:
        lines.append(f"IRREVERSIBLE = {_quoted('; '.join(reasons))}")
    return lines


def _required(chosen: Sequence[MigrationFile]) -> list[str]:
    newest: dict[str, int] = {}
    for file in chosen:
        for needed in required_by(file):
            newest[needed.history] = max(needed.number, newest.get(needed.history, 0))
    return [f"{number:03}" if name == OURS else f"{name}:{number:03}" for name, number in newest.items()]


def _no_way(module: ModuleType) -> str | None:
    return getattr(module, "IRREVERSIBLE", None) or (None if _has_rollback(module) else "it has no rollback()")


def _has_rollback(module: ModuleType) -> bool:
    return callable(getattr(module, "rollback", None))


def _way_back(module: ModuleType) -> str:
    return "rollback" if _has_rollback(module) else "None"


def _bodies(chosen: Sequence[MigrationFile]) -> list[str]:
    def calls(place: int, files: Sequence[MigrationFile], keep: Callable[[ModuleType], bool]) -> str:
        each = [file for file in files if keep(file.load())]
        lines = [f"{INDENT}_{file.name}()[{place}](migrator, database, fake=fake)" for file in each]
        return "\n".join(lines) or f"{INDENT}pass"

    up = calls(0, chosen, lambda _: True)
    down = calls(1, chosen[::-1], _has_rollback)
    return [f"def migrate{_SIGNATURE}:\n{up}", f"def rollback{_SIGNATURE}:\n{down}"]


def _dictionary(name: str, entries: dict[str, object] | dict[str, str] | dict[str, dict[str, str]]) -> str:
    lines = [f"{INDENT}{_quoted(key)}: {_value(value)}," for key, value in entries.items()]
    return "\n".join([f"{name} = {{", *lines, "}"])


def _value(value: object) -> str:
    if not isinstance(value, dict):
        return _quoted(str(value))
    inner = [f"{INDENT * 2}{_quoted(key)}: {_quoted(each)}," for key, each in value.items()]
    return "\n".join(["{", *inner, f"{INDENT}}}"])


def _listed(words: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, words))}]"


def _quoted(text: str) -> str:
    return repr(text) if '"' in text or "\\" in text or "\n" in text else f'"{text}"'
