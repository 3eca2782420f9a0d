"""The drawing in docs/architecture.md is true: every room, every arrow, and no arrow that the code has beside it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import rayces_core
from tests.parsing import parsed

SOURCE = Path(rayces_core.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
NOT_ROOMS = {"_version", "__init__", "__main__"}


def drawn() -> dict[str, set[str]]:
    drawing = PAGE.split("```mermaid")[1].split("```")[0]
    arrows: dict[str, set[str]] = {}
    for line in drawing.splitlines()[2:]:
        names = re.findall(r"[a-z_]+", re.sub(r'\[".*?"\]', "", line))
        if names:
            arrows.setdefault(names[0], set()).update(names[1:])
    return arrows


@cache
def imported() -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room in NOT_ROOMS:
            continue
        arrows.setdefault(room, set())
        for node in ast.walk(parsed(path)):
            for name in named(node):
                arrows[room] |= {name.split(".")[1]} - {room} - NOT_ROOMS
    return arrows


def named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rayces_core":
        if node.module == "rayces_core":
            return [f"rayces_core.{alias.name}" for alias in node.names]
        return [str(node.module)]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.startswith("rayces_core.")]
    return []


def reached(arrows: dict[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    waiting = set(arrows.get(room, ()))
    while waiting:
        found |= waiting
        waiting = {further for each in waiting for further in arrows.get(each, ())} - found
    return found


@pytest.mark.slow
def test_every_room_is_drawn():
    assert set(drawn()) == set(imported())


@pytest.mark.slow
def test_every_drawn_arrow_is_an_import():
    real = imported()
    assert {(room, to) for room, targets in drawn().items() for to in targets if to not in real[room]} == set()


@pytest.mark.slow
def test_every_import_follows_drawn_arrows():
    arrows = drawn()
    astray = {(room, to) for room, targets in imported().items() for to in targets if to not in reached(arrows, room)}
    assert astray == set()


def test_the_modules_of_the_database_that_it_names_are_there():
    table = PAGE.split("## Within `database`")[1].split("##")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (SOURCE / "database" / f"{name}.py").exists()] == []
