"""The reference has every public name, once."""

import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import rayces_core
from tests.docs.site import DOCS, PAGES, ROOT

from _site.public import chosen, names_of  # isort: skip - found by the line above

PACKAGE = Path(rayces_core.__file__).parent
# What an application never imports: the command, and what only the library's own rooms are made of.
OWN_ROOMS = {"cli", "database", "integrations", "tenancy", "archive", "models", "errors", "migrations"}
DIRECTIVE = re.compile(r"^```\{public\} (\S+)\n((?::\w+: .*\n)*)```", re.MULTILINE)


def directives() -> list[tuple[ModuleType, dict[str, str]]]:
    text = "".join(page.read_text() for page in PAGES if page.parent == DOCS / "reference")
    return [
        (import_module(module), dict(re.findall(r":(\w+): (.*)", options)))
        for module, options in DIRECTIVE.findall(text)
    ]


def documented() -> list[tuple[str, Any]]:
    return [
        (f"{module.__name__}.{name}", value)
        for module, options in directives()
        for name, value in chosen(module, **options).items()
    ]


def missing(module: ModuleType, have: set[int]) -> list[str]:
    offered = [(name, getattr(module, name)) for name in names_of(module)]
    return [
        f"{module.__name__}.{name}"
        for name, value in offered
        if not isinstance(value, ModuleType) and id(value) not in have
    ]


def test_every_name_of_the_root_and_of_each_room_has_its_entry():
    have = {id(value) for _, value in documented()}
    rooms = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in OWN_ROOMS)
    modules = [rayces_core, *(import_module(f"rayces_core.{room}") for room in rooms)]
    assert len(rooms) > 12
    assert [name for module in modules for name in missing(module, have)] == []


def test_every_name_that_a_page_or_an_example_imports_has_its_entry():
    have = {id(value) for _, value in documented()}
    sources = [*PAGES, ROOT / "README.md", *sorted((ROOT / "examples").rglob("*.py"))]
    imports = re.findall(
        r"^ *from (rayces_core[\w.]*) import \(?([\w, \n]+?)\)?$",
        "\n".join(path.read_text() for path in sources),
        re.MULTILINE,
    )
    found = {(module, name) for module, names in imports for name in re.findall(r"\w+", names)}
    assert len(found) > 60
    lacking = []
    for module, name in sorted(found):
        value = getattr(import_module(module), name)
        if not isinstance(value, ModuleType) and id(value) not in have:
            lacking.append(f"{module}.{name}")
    assert lacking == []


def test_no_name_has_two_entries():
    counted = Counter(name for name, _ in documented())
    assert [name for name, times in counted.items() if times > 1] == []
    functions = Counter(id(value) for _, value in documented() if callable(value))
    assert {name for name, value in documented() if functions[id(value)] > 1} == set()


def test_every_entry_says_what_it_is():
    callables = [(name, value) for name, value in documented() if inspect.isclass(value) or inspect.isroutine(value)]
    shapes = [value for _, value in callables if inspect.isclass(value) and issubclass(value, BaseModel)]
    assert [name for name, value in callables if value not in shapes and not (value.__doc__ or "").strip()] == []
