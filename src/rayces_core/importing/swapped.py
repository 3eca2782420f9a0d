"""Tells a column of dates of which a spreadsheet has swapped day and month.

A spreadsheet of another country that opens 31/12/2014 and 03/04/2015 leaves the first a text, as it knows no month 31,
and makes a date of the second, of the wrong day. So every date cell of the column lies before the 13th, and every text
after the 12th.

Rule: such a column is refused where chance makes hardly any like it; where one cell or text does not fit, it is none.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from typing import IO, Final

# The share of days after the 12th, and up to it; and how seldom chance alone may make a column that is refused.
_AFTER: Final = 0.61
_UP_TO: Final = 0.39
_CHANCE: Final = 0.01
_LAST: Final = 12
REASON: Final = (
    "may have day and month swapped by a spreadsheet: dates up to the 12th are cells here, later ones are texts; "
    'compare it with the original, and say --date-order (date_order="dmy") where it is right'
)


class Swapped:
    """What was seen of the date cells of one column."""

    def __init__(self) -> None:
        self._cells = 0
        self._innocent = False
        self._open: IO[str] | None = None

    def cell(self, number: int, value: dt.date) -> None:
        """Look at a date that is one in its format."""
        self._innocent |= value.day > _LAST
        self._cells += 1
        if not self._innocent and value.day != value.month:
            if self._open is None:
                self._open = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - close() ends it
            self._open.write(f"{number}\t{value}\n")

    def refusals(self, texts: int) -> Iterator[tuple[int, str, str]]:
        """(row, value, reason) of each date cell, where the column is such a one.

        Args:
            texts: how many dates of the column are texts, where each of them fits one order alone.
        """
        if self._innocent or self._open is None or _AFTER**texts * _UP_TO**self._cells > _CHANCE:
            return
        if texts > 1:
            self._open.seek(0)
            for line in self._open:
                number, _, written = line.rstrip("\n").partition("\t")
                yield int(number), written, REASON

    def close(self) -> None:
        """End the file of what is open."""
        if self._open is not None:
            self._open.close()
