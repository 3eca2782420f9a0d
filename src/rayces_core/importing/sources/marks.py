"""What is the matter with single cells of a sheet, found on the stream before the sheet is opened.

Rule: a cell whose value is not what a person would see there is marked, eight bytes each, so a million of them are
held as well.
"""

from __future__ import annotations

import datetime as dt
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from rayces_core.importing.columns import Unreadable

FAILED: Final = 0
UNCOMPUTED: Final = 1
MIDNIGHT: Final = 2
REASONS: Final = {
    FAILED: "the formula of the cell failed; mend it in the sheet",
    UNCOMPUTED: "the cell has a formula that nobody has computed; open it in a spreadsheet program and save it",
}
PADDED: Final = MIDNIGHT  # and how many digits the cell shows: 5 is shown as 005 by three of them
MOST_DIGITS: Final = 15
_COLUMN_BITS: Final = 16
_KIND_BITS: Final = 5

_FORMULA: Final = re.compile(
    rb"<(?:[\w.-]+:)?c((?:\s[^>]*)?)>\s*<(?:[\w.-]+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:[\w.-]+:)?f\s*>)\s*"
    rb"(<(?:[\w.-]+:)?v\s*/>|<(?:[\w.-]+:)?v(?:\s[^>]*)?>([^<]*)</)?"
)
_ERROR: Final = re.compile(rb"<(?:[\w.-]+:)?c(\s(?=[^>]*\bt=[\"']e[\"'])[^>]*)>")
_PLACE: Final = re.compile(rb"\sr\s*=\s*[\"']\s*\+?([A-Za-z]{1,3})([0-9]{1,9})\s*[\"']")
_IS_TEXT: Final = re.compile(rb"\st\s*=\s*[\"']str[\"']")


class Styled:
    """What finds the cells whose style shows something else than their number: an hour, or zeros before it.

    Args:
        timed: the styles that show an hour. digits: style → how many digits it shows at least.
    """

    def __init__(self, timed: Iterable[int], digits: Mapping[int, int]) -> None:
        self.timed, self.padded, self.digits = whole_cells(timed), whole_cells(digits), digits


class Marks:
    """Places of one sheet, rows and columns counted from 1, and what is the matter there.

    `has_unplaced`: whether there are formulas without a value in cells that do not say where they are.
    """

    def __init__(self) -> None:
        self._held = array("Q")
        self.has_unplaced = False

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, row: int, column: int, kind: int) -> None:
        """Mark a cell."""
        self._held.append(((row << _COLUMN_BITS) + column << _KIND_BITS) + kind)

    def in_order(self) -> Callable[[int], Iterator[tuple[int, int]]]:
        """Give a function that is asked for one row after the other: (column, kind) of each mark there."""
        held, place = array("Q", sorted(self._held)), 0

        def of(row: int) -> Iterator[tuple[int, int]]:
            nonlocal place
            while place < len(held) and (found := held[place]) >> (_COLUMN_BITS + _KIND_BITS) <= row:
                place += 1
                if found >> (_COLUMN_BITS + _KIND_BITS) == row:
                    yield (found >> _KIND_BITS) % (1 << _COLUMN_BITS), found % (1 << _KIND_BITS)

        return of


def marked(cell: Any, kind: int) -> Any:
    """What stands for a cell that is marked."""
    if kind == MIDNIGHT:
        return dt.datetime.combine(cell, dt.time()) if type(cell) is dt.date else cell
    if kind > PADDED:
        whole = type(cell) is int or (type(cell) is float and cell.is_integer())
        return str(int(cell)).zfill(kind - PADDED) if whole and cell >= 0 else cell
    return Unreadable(REASONS[kind])


def whole_cells(styles: Iterable[int]) -> re.Pattern[bytes] | None:
    """What finds the cells of some styles whose value is a whole number, as of days; and gives the style and it."""
    wanted = b"|".join(b"%d" % style for style in sorted(styles))
    if not wanted:
        return None
    return re.compile(
        rb"<(?:[\w.-]+:)?c(\s(?=[^>]*\ss=[\"'](" + wanted + rb")[\"'])[^>]*)>"
        rb"(?:\s*<(?:[\w.-]+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:[\w.-]+:)?f\s*>))?\s*"
        rb"<(?:[\w.-]+:)?v(?:\s[^>]*)?>\s*([0-9]+)(?:\.0*)?\s*</"
    )


def note(piece: bytes, marks: Marks, styled: Styled, uncomputed: bool) -> None:
    """Mark what a piece of a sheet's XML has; a cell that is seen twice is marked twice, which does no harm."""
    if b't="e"' in piece or b"t='e'" in piece:
        for attributes in _ERROR.findall(piece):
            _mark(marks, attributes, FAILED)
    if b"<f" in piece or b":f" in piece:
        for attributes, given, value in _FORMULA.findall(piece):
            if not given or _is_open(attributes, value, uncomputed):
                _mark(marks, attributes, UNCOMPUTED)
    if styled.timed is not None:
        for attributes, _, _ in styled.timed.findall(piece):
            _mark(marks, attributes, MIDNIGHT)
    if styled.padded is not None:
        for attributes, style, digits in styled.padded.findall(piece):
            if len(digits) < (shown := styled.digits[int(style)]):
                _mark(marks, attributes, PADDED + shown)


def _is_open(attributes: bytes, value: bytes, uncomputed: bool) -> bool:
    """Whether nobody has put in what a formula gives; a formula that gives an empty text says that it is a text."""
    if not value.strip():
        return not _IS_TEXT.search(attributes)
    return uncomputed and value.strip() == b"0"


def _mark(marks: Marks, attributes: bytes, kind: int) -> None:
    if place := _PLACE.search(attributes):
        marks.add(int(place[2]), column_number(place[1]), kind)
    elif kind < MIDNIGHT:
        marks.has_unplaced = True


def column_number(letters: bytes) -> int:
    """Give the number of a column from 1: "A" is 1, "AB" is 28."""
    number = 0
    for letter in letters.upper()[:6]:
        number = number * 26 + letter - 64
    return number
