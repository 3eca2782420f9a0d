"""The house's docstrings as reStructuredText: names in single backticks, several parameters on a line, code by indent.

Args:
        student, client: the child and the user who books for it.
        path: a file. now: the moment.

Raises:
        BookingError: it cannot be. NotPermittedError: `by` may not.

They are written for `help()`; here each entry gets a line of its own, which napoleon then makes fields of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from sphinx.application import Sphinx

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
LISTS = ("Args", "Attributes", "Raises")
_NAME = r"\*{0,2}[A-Za-z_][\w.]*"
_ENTRY = re.compile(rf"(?:^|(?<=[.;)`] )){_NAME}(?:, {_NAME})*(?: and {_NAME})?:(?= |$)")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_DRAWN = re.compile("[├│└─┌]")


def setup(app: Sphinx) -> None:
    """Register it, before napoleon's own reading."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-bases", _bases)


def _process(_app: Sphinx, kind: str, _name: str, value: object, _options: object, lines: list[str]) -> None:
    is_its_types = kind in ("data", "attribute") and value.__doc__ == type(value).__doc__
    is_pythons = (
        kind in ("data", "attribute", "property") and lines[:1] and lines[0].startswith("Alias for field number")
    )
    lines[:] = [] if is_its_types or is_pythons else converted(lines)


def _bases(_app: Sphinx, _name: str, _object: object, _options: object, bases: list[type]) -> None:
    """That a class is an object is not worth a line."""
    bases[:] = [base for base in bases if base is not object] or bases


def converted(lines: Iterable[str]) -> list[str]:
    """The docstring's lines, unindented, in reStructuredText with napoleon's sections."""
    lines = list(lines)
    for index, (title, under) in enumerate(pairwise(lines)):
        if title and set(under) == {"-"}:
            return [*_sections(lines[:index]), *_definition(title, lines[index + 2 :])]
    return _sections(lines)


def _definition(title: str, lines: list[str]) -> list[str]:
    """What a metric adds to its docstring: a fact a line, and its columns."""
    found = ["", f".. rubric:: {title}", ""]
    for line in filter(str.strip, lines):
        name, _, text = line.strip().partition(": ")
        if line.startswith(" "):
            found.append(f"   - ``{name}``: {_spans(text)}")
        elif line.endswith(":"):
            found += ["", f"- {line}", ""]
        else:
            is_sql = name in ("Numerator", "Denominator", "Source")
            found += ["", f"- {name}: ``{text}``" if is_sql else f"- {_spans(line.strip())}"]
    return [*found, ""]


def _sections(lines: list[str]) -> list[str]:
    prose: list[str] = []
    found: list[str] = []
    section = None
    for line in [*lines, "End:"]:
        heading = line.strip()[:-1] if re.fullmatch(r"[A-Z]\w+:", line) else None
        if heading in (*SECTIONS, "End"):
            found += _section(section, prose) if section else _prose(prose)
            section, prose = heading, []
        elif section and line.strip() and not line.startswith(" "):  # the section is over
            found += _section(section, prose)
            section, prose = None, [line]
        else:
            prose.append(line)
    return found


def _section(heading: str, body: list[str]) -> list[str]:
    text = [line for line in body if line.strip()]
    entries = _entries(text) if heading in LISTS else [" ".join(line.strip() for line in text)]
    return ["", f"{heading}:", *(f"    {_spans(entry)}" for entry in entries), ""]


def _entries(body: list[str]) -> Iterator[str]:
    """One line an entry: each name, or names together, with what is said of it."""
    text = ""
    for line in body:
        if re.match(r" {4}\S", line) and _ENTRY.match(line.strip()):
            yield from _split(text)
            text = line.strip()
        else:
            text = f"{text} {line.strip()}".strip()
    yield from _split(text)


def _split(text: str) -> Iterator[str]:
    starts = [match.start() for match in _ENTRY.finditer(text)]
    if not starts:  # names alone, or a sentence, or nothing
        yield from filter(None, [text.rstrip(".")])
    for start, end in pairwise([*starts, len(text)]):
        yield text[start:end].strip()


def _prose(lines: list[str]) -> list[str]:
    """Paragraphs with their names as code; what is indented, or drawn, stays as it is."""
    found: list[str] = []
    literal = False
    for index, line in enumerate(lines):
        verbatim = bool(_DRAWN.search(line)) or (line.startswith("    ") and (literal or _begins(lines, index)))
        if line.strip() and verbatim != literal:
            found += ["", "::", ""] if verbatim else [""]
            literal = verbatim
        found.append(f"    {line}" if verbatim and line.strip() else line if literal else _spans(line))
    return found


def _begins(lines: list[str], index: int) -> bool:
    """Whether an indented line begins code: one after a blank line or at the start."""
    return index == 0 or not lines[index - 1].strip()


def _spans(text: str) -> str:
    """Names in backticks become code, and what reStructuredText would read as markup is itself."""
    parts = _CODE.split(text)
    return "".join(_code(part, parts[at + 1]) if at % 2 else _escaped(part) for at, part in enumerate(parts))


def _code(span: str, following: str) -> str:
    return f"``{span.strip('`')}``" + ("\\ " if following[:1].isalnum() else "")


def _escaped(text: str) -> str:
    return re.sub(r"(?<!\*)\*(?!\*)|\||(?<=\w)_(?!\w)", lambda found: f"\\{found[0]}", text)
