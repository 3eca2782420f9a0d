"""What a squashed file says that it replaces: `REPLACES`, and of a squash of squashes `REPLACED_BEFORE` too."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

Checksums = dict[str, str]


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file's name, its checksum, and name and checksum of each file that it stands for, oldest first."""

    name: str
    checksum: str
    replaced: tuple[tuple[str, str], ...]


def replacements(name: str, checksum: str, source: bytes) -> tuple[Replacement, ...]:
    """What a file stands for, those that were squashed earlier first; empty of a plain migration."""
    if b"REPLACES" not in source:
        return ()
    said = _constants(source)
    own: Checksums = said.get("REPLACES", {})
    if not own:
        return ()
    before: dict[str, Checksums] = said.get("REPLACED_BEFORE", {})
    each = [Replacement(one, own.get(one, ""), tuple(those.items())) for one, those in before.items()]
    # One that was squashed within an earlier squash is known by the checksum that the earlier one has of it.
    known = {one: sum_ for those in before.values() for one, sum_ in those.items()}
    each = [Replacement(one.name, one.checksum or known.get(one.name, ""), one.replaced) for one in each]
    return (*each, Replacement(name, checksum, tuple(own.items())))


def first_number(number: int, found: tuple[Replacement, ...]) -> int:
    """The lowest number that a file covers: its own, where it replaces none."""
    names = [name for each in found for name, _ in each.replaced]
    return min((int(name.partition("_")[0]) for name in names), default=number)


def _constants(source: bytes) -> dict[str, Any]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}  # told when it is loaded
    return {
        node.targets[0].id: _dictionary(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id in ("REPLACES", "REPLACED_BEFORE")
    }


def _dictionary(node: ast.expr) -> dict[str, Any]:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
