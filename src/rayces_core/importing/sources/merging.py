"""Merged cells of a sheet: one value for several rows, as people write a family's guardian.

Rule: every row that a merged cell spans has its value, in the first of its columns, which is where a spreadsheet keeps
it. In its other columns nothing is certain, so those cells are unreadable. A row that has nothing of its own is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rayces_core.importing.columns import Unreadable


class Merged(NamedTuple):
    """A range of merged cells, its ends included; rows and columns are counted from 1."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


class Spread:
    """Gives the cells of one row after the other what is merged into them."""

    def __init__(self, merged: Sequence[Merged], header_row: int = 0) -> None:
        self._header_row = header_row
        self._waiting = sorted(merged, reverse=True)
        self._open: list[tuple[Merged, Any]] = []

    def over(self, row: int, cells: list[Any], left: int) -> None:
        """Fill in the cells of a row; `left` is how many columns stand before the first of them."""
        if not self._open and (not self._waiting or self._waiting[-1].first_row > row):
            return
        self._open = [each for each in self._open if each[0].last_row >= row]
        is_blank = all(_is_nothing(cell) for cell in cells)
        while self._waiting and self._waiting[-1].first_row <= row:
            each = self._waiting.pop()
            if each.first_row == row:
                place = each.first_column - left - 1
                self._open.append((each, cells[place] if 0 <= place < len(cells) else ""))
        if not is_blank:
            for each, value in self._open:
                if not _is_nothing(value):
                    _fill(each, value, row, cells, left, is_sure=not each.first_row <= self._header_row < row)


def _fill(merged: Merged, value: Any, row: int, cells: list[Any], left: int, *, is_sure: bool) -> None:
    for column in range(max(merged.first_column, left + 1), min(merged.last_column, left + len(cells)) + 1):
        place = column - left - 1
        if column > merged.first_column or not is_sure:
            where = f"{column_letters(merged.first_column)}{merged.first_row}"
            cells[place] = Unreadable(f"the cell is merged with {where}; take the cells apart in the sheet")
        elif row > merged.first_row:
            cells[place] = value


def _is_nothing(cell: Any) -> bool:
    return cell is None or cell == ""


def column_letters(number: int) -> str:
    """Give the letters of a column counted from 1: 28 is "AB"."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
