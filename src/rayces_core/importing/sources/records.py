"""Cuts the lines of a CSV file into records, and goes on after one whose quotes are broken.

Rule: a broken quote refuses its row and no other. After one, a row is taken only if it is as wide as the table, until
the first that is: what may be the rest of the broken one is refused with it, and never read as a row.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rayces_core.errors import SourceError
from rayces_core.importing.sources.source import MAX_LINE_CHARACTERS

MAX_BROKEN: Final = 1_000
_TOO_LONG: Final = (
    f"a row of several lines is longer than {MAX_LINE_CHARACTERS:,} characters; a quote may not be closed"
)


@dataclass(frozen=True)
class Dialect:
    """How a file delimits and quotes values; blanks between a delimiter and a quote are no part of a value.

    Attributes:
        width: how many values most of its rows have; 0 where that is not known.
    """

    delimiter: str
    quote: str = '"'
    width: int = 0

    def cut(self, lines: Iterable[str], *, strict: bool = True) -> Iterator[list[str]]:
        """Give the values of each row; raises `csv.Error`."""
        options: Any = {"delimiter": self.delimiter, "quotechar": self.quote, "skipinitialspace": True}
        return csv.reader(lines, strict=strict, **options)


@dataclass(frozen=True)
class Broken:
    """Stands for a record that cannot be cut into values; `reason` says why, and what to do."""

    reason: str


def records(lines: Iterable[str], dialect: Dialect, name: str) -> Iterator[tuple[int, list[str] | Broken]]:
    """Give (line where it begins, values) of each record that is not a blank line.

    Raises:
        SourceError: more than a thousand records are broken, or what a broken one swallowed cannot be told from rows.
    """
    feed, begins, doubt, count = _Feed(lines, dialect), 1, "", 0
    while True:
        try:
            for values in dialect.cut(feed.lines()):
                number, begins = begins, begins + len(feed.held)
                feed.held.clear()
                if doubt and values:
                    if len(values) != dialect.width:
                        yield number, Broken(doubt)
                        continue
                    doubt = ""
                if values:
                    yield number, values
            return  # noqa: TRY300 - the end of the file
        except csv.Error as error:
            swallowed = len(feed.held)
            reason = _explained(error, dialect.quote, swallowed)
        number, begins = begins, begins + 1
        if (mended := feed.mended()) is not None:
            yield number, mended
            continue
        count += 1
        if count > MAX_BROKEN:
            raise SourceError(name, f"more than {MAX_BROKEN:,} rows have broken quotes; {reason}", number)
        if (dialect.width < 2 and swallowed > 1) or _TOO_LONG in reason:
            raise SourceError(name, reason, number)
        doubt = f"may belong to row {number}, which is broken: {reason}"
        yield number, Broken(reason)


def sampled(lines: list[str], dialect: Dialect) -> list[list[str]]:
    """Give the records of a few lines, of which the last may be cut off."""
    found: list[list[str]] = []
    with suppress(csv.Error):  # the sample may end within a quoted value
        found.extend(dialect.cut(lines, strict=False))
    return found


def likely_quote(lines: list[str], delimiter: str) -> str:
    """Give ' where every value of the first line stands in such quotes, else "."""
    names = [name.strip() for name in lines[0].split(delimiter)] if lines else []
    quoted = [name for name in names if re.fullmatch(r"'[^']*'", name)]
    return "'" if len(names) > 1 and len(quoted) == len(names) else '"'


class _Feed:
    """Gives the lines of a file to the reader, keeps those of the record that is under way, and gives them again."""

    def __init__(self, lines: Iterable[str], dialect: Dialect) -> None:
        self.held: list[str] = []
        self._lines, self._again, self._dialect = iter(lines), deque[str](), dialect
        quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
        self._before = re.compile(rf"(?:(?<={delimiter})|^)[\t\u00a0 ]*[\t\u00a0]+{quote}")
        self._after = re.compile(rf"{quote}[ \t\u00a0]+(?={delimiter}|\r?\n|$)")
        self._marks = tuple(f"{blank}{dialect.quote}" for blank in "\u00a0\t" if blank != dialect.delimiter)

    def lines(self) -> Iterator[str]:
        held, again, marks, size = self.held, self._again, self._marks, 0
        while True:
            line = again.popleft() if again else next(self._lines, "")
            if not line:
                return
            if marks[0] in line or (len(marks) > 1 and marks[1] in line):
                line = self._before.sub(self._dialect.quote, line)
            size = size + len(line) if held else len(line)
            held.append(line)
            if size > MAX_LINE_CHARACTERS and len(held) > 1:
                raise csv.Error(_TOO_LONG)
            yield line

    def mended(self) -> list[str] | None:
        """Give back all but the first line of a broken record, and its values if only blanks after a quote broke it."""
        first, *others = self.held
        self._again.extendleft(reversed(others))
        self.held.clear()
        bare = self._after.sub(self._dialect.quote, first)
        try:
            values = next(self._dialect.cut([bare]), []) if bare != first else []
        except csv.Error:
            return None
        return values if values and len(values) == self._dialect.width else None


def _explained(error: csv.Error, quote: str, lines: int) -> str:
    said = str(error)
    if _TOO_LONG in said:
        return _TOO_LONG
    if "field limit" in said:
        return f"a value is longer than {csv.field_size_limit():,} characters; a quote may not be closed"
    if "unexpected end" in said or lines > 1:
        return f"a value begins with a quote ({quote}) that is never closed; close it, or double it within a value"
    if "expected after" in said:
        return f"a quote ({quote}) stands within a quoted value; double it ({quote * 2}) there"
    return f"cannot be read as CSV ({said}); save it anew from its program"
