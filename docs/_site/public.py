"""The reference has every public name: the directive that lists a module's, and what the tests ask of it.

    ```{public} rayces_core.credits
    ```

Public is what a module says in `__all__`; of a module without one, what it defines under a name without an underscore.
What two modules offer has its entry in one of them: `names` chooses, and `only` is a kind, of the root's long list.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import peewee
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

FENCE = "`" * 8
ROOT = "rayces_core"


def setup(app: Sphinx) -> None:
    """Register the directive, and that what is not public is named without a link."""
    app.add_directive("public", Public)
    app.connect("missing-reference", _plain)


def names_of(module: ModuleType) -> list[str]:
    """Its public names, as it orders them."""
    given = getattr(module, "__all__", None)
    if given is not None:
        return [name for name in given if name != "__version__"]
    return [name for name, value in vars(module).items() if not name.startswith("_") and _is_defined(module, value)]


def _is_defined(module: ModuleType, value: object) -> bool:
    return getattr(value, "__module__", None) == module.__name__ and hasattr(value, "__qualname__")


def kind_of(value: object) -> str:
    """What part of the root's reference an object belongs to: errors, models, or rest."""
    if not inspect.isclass(value):
        return "rest"
    if issubclass(value, BaseException):
        return "errors"
    return "models" if issubclass(value, peewee.Model | peewee.Field | Enum) else "rest"


def chosen(module: ModuleType, only: str | None = None, names: str | None = None) -> dict[str, Any]:
    """Name → object, of those that a directive with these options documents; modules have pages of their own."""
    if names is not None:
        return {name: getattr(module, name) for name in names.split()}
    found = {name: getattr(module, name) for name in names_of(module)}
    elsewhere = set() if module.__name__ == ROOT else {id(getattr(import_module(ROOT), name)) for name in _root()}
    first = {id(value): name for name, value in reversed(found.items())}  # of two names for one thing the first
    return {
        name: value
        for name, value in found.items()
        if not isinstance(value, ModuleType)
        and only in (None, kind_of(value))
        and id(value) not in elsewhere
        and (first[id(value)] == name or not callable(value))
    }


def _root() -> list[str]:
    return names_of(import_module(ROOT))


class Public(SphinxDirective):
    """The module's docstring, unless names are chosen, and an entry for each public name."""

    required_arguments = 1
    option_spec: ClassVar = {"only": directives.unchanged, "names": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Parse what autodoc is to be asked for."""
        module = import_module(self.arguments[0])
        self.env.note_dependency(str(Path(inspect.getfile(module))))
        text = "\n".join(self._lines(module))
        return self.parse_text_to_nodes(f"{FENCE}{{eval-rst}}\n{text}\n{FENCE}\n")

    def _lines(self, module: ModuleType) -> Iterator[str]:
        if not self.options:
            yield from (f".. automodule:: {module.__name__}", "")
        for name, value in chosen(module, **self.options).items():
            yield from _entry(f"{module.__name__}.{name}", value)


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f".. {_directive(value)}:: {name}"
    if inspect.isclass(value):
        yield "   :members:"
        if issubclass(value, Enum):
            yield "   :undoc-members:"
    elif not inspect.isroutine(value):
        yield "   :no-value:"
    yield ""


def _directive(value: object) -> str:
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"


def _plain(_app: Sphinx, _env: BuildEnvironment, node: pending_xref, shown: nodes.Node) -> nodes.Node | None:
    """Types are named, with a link where they are documented; an error of ours that is named must have its entry."""
    name = node["reftarget"].split(".")[-1]
    is_ours = name.endswith("Error") and not hasattr(builtins, name) and not node["reftarget"].startswith("peewee.")
    return None if node.get("refdomain") != "py" or is_ours else shown
