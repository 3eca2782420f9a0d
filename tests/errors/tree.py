"""The errors as the classes say they are: every one, and the drawing of the tree."""

from pathlib import Path

from rayces_core.errors import RaycesError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def every_error(kind: type[RaycesError] = RaycesError) -> list[type[RaycesError]]:
    """The class and all below it that are the library's own, each once; an adapter's own shape of one is that one."""
    found = [kind]
    for below in kind.__subclasses__():
        if below.__module__.startswith("rayces_core.") and not below.__name__.startswith("_"):
            found += [each for each in every_error(below) if each not in found]
    return found


def parents(kind: type[RaycesError]) -> list[type[RaycesError]]:
    return [base for base in kind.__bases__ if issubclass(base, RaycesError)]


def drawn() -> dict[str, tuple[str, str, set[str]]]:
    """What docs/errors.md draws: name → the name above it, the code, what else it is."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if "── " in line]
    found, above = {}, {0: "RaycesError"}
    for line in lines:
        marks, _, rest = line.partition("── ")
        depth = len(marks) // 4 + 1
        name, code, *others = rest.replace(",", " ").replace("(", " ").replace(")", " ").split()
        found[name] = (above[depth - 1], code, set(others))
        above[depth] = name
    return found
