"""Rows of the sheets of an Excel or OpenDocument workbook.

Rule: a number is a `SheetNumber`, a date is a date, what a formula gave is its value; a cell whose formula failed or
was never computed is unreadable and not empty. No sheet with rows is passed over without a word.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import SourceError
from rayces_core.importing.columns import SheetNumber, Unreadable
from rayces_core.importing.sources.layout import Layout, find_header
from rayces_core.importing.sources.source import (
    BATCH_ROWS,
    FIFTEEN_DIGITS,
    SHEET_ADVICE,
    Opened,
    Row,
    checked_header,
    fitted,
    whole,
)
from rayces_core.importing.sources.totals import without_totals
from rayces_core.importing.sources.workbook import Workbook
from rayces_core.importing.texts import FAILED_FORMULAS, fold

ALL: Final = "all"
NAMED: Final = 20
_NO_DAY: Final = (1899, 12, 30)  # what zero and nonsense are as a date


@dataclass
class _Sheet:
    """A sheet that is read: where its header stands, and where each of the source's columns is in its rows.

    `before` is how many rows the sheets before it have.
    """

    title: str
    before: int
    header_row: int
    names: tuple[str, ...]
    places: Sequence[int | None] = ()


class SheetSource(Opened):
    """One sheet or all of them, read anew by each call of `batches`; see `Source`.

    Rows are numbered as the sheet shows them; those of a second sheet go on after the last of the first.

    Args:
        sheet: its name, its number from 1, or "all"; None is the only one that has rows.
    """

    def __init__(
        self, path: Path, name: str, fingerprint: str, sheet: str | int | None = None, layout: Layout | None = None
    ) -> None:
        self.fingerprint = fingerprint
        self._read, self._rows, self._book = 0, 0, Workbook(path, name)
        self._number = SheetNumber.since(self._book.zero)
        titles = self._chosen(name, sheet)
        self.name = f"{name} ({titles[0]})" if len(titles) == 1 else name
        self._sheets = self._begun(titles, layout or Layout())
        self.header = self._joined()
        self.sheets = tuple((each.before, each.title) for each in self._sheets) if len(titles) > 1 else ()

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        return self.in_batches(self._numbered(), rows)

    def progress(self) -> float | None:
        """Give the share of the rows that is read so far."""
        return min(1.0, self._read / self._rows) if self._rows else 1.0

    def _numbered(self) -> Iterator[Row]:
        self._rows = 0
        for sheet in self._sheets:
            yield from without_totals(self._of(sheet), self.tell)

    def _of(self, sheet: _Sheet) -> Iterator[Row]:
        width, same = len(sheet.names), sheet.names == self.header
        for number, height, cells in self._book.cells(sheet.title, sheet.header_row):
            self._rows, self._read = max(self._rows, sheet.before + height), sheet.before + number
            if number <= sheet.header_row:
                continue
            row = fitted([self._value(cell) for cell in cells], width, SHEET_ADVICE)
            if any(value is not None for value in row):
                yield sheet.before + number, row if same else _placed(row, sheet.places)

    def _value(self, cell: Any) -> Any:
        if type(cell) is float or type(cell) is int:
            return self._number(cell) if -FIFTEEN_DIGITS < cell < FIFTEEN_DIGITS else whole(cell, of_sheet=True)
        if type(cell) is str:
            if not cell or cell.isspace():
                return None
            if cell[0] == "#" and cell in FAILED_FORMULAS:
                return Unreadable(f"the formula gave {cell}; mend it in the sheet")
        if isinstance(cell, dt.date) and (cell.year, cell.month, cell.day) == _NO_DAY:
            return Unreadable("the cell has the format of a date, but no date in it; correct it or empty it")
        return cell

    def _begun(self, titles: list[str], layout: Layout) -> list[_Sheet]:
        found, before = [], 0
        for title in titles:
            name = f"{self.name} ({title})" if len(titles) > 1 else self.name
            header = find_header(((number, cells) for number, _, cells in self._book.cells(title)), layout, name)
            found.append(_Sheet(title, before, header.row, header.names))
            prefix = f"{title}: " if len(titles) > 1 else ""
            self.notes += tuple(prefix + note for note in header.notes)
            before += next((height for _, height, _ in self._book.cells(title)), 0) if len(titles) > 1 else 0
        return found

    def _joined(self) -> tuple[str, ...]:
        """The columns of all sheets, each once, whatever their order; says where each sheet has them."""
        if len(self._sheets) == 1:
            return self._sheets[0].names
        header: dict[str, str] = {}
        for sheet in self._sheets:
            for key, name in zip(_keys(sheet.names), sheet.names, strict=True):
                header.setdefault(key, name)
        for sheet in self._sheets:
            own = {key: place for place, key in enumerate(_keys(sheet.names))}
            sheet.places = [own.get(key) for key in header]
        return checked_header(self.name, list(header.values()))

    def _chosen(self, name: str, sheet: str | int | None) -> list[str]:
        titles = [title.name for title in self._book.titles]
        if isinstance(sheet, str) and sheet in titles:
            return [sheet]
        if sheet is None or str(sheet).lower() == ALL:
            return self._with_rows(name, take_all=sheet is not None)
        if str(sheet).isdecimal() and 1 <= int(sheet) <= len(titles):
            return [titles[int(sheet) - 1]]
        raise SourceError(name, f"has no sheet {sheet!r:.60}; it has {', '.join(map(repr, titles[:NAMED]))}")

    def _with_rows(self, name: str, *, take_all: bool) -> list[str]:
        """The sheets that people see and that have rows under a header: the only one, or all of them."""
        shown = [title.name for title in self._book.titles if not title.is_hidden]
        hidden = [title.name for title in self._book.titles if title.is_hidden]
        if len(shown) + len(hidden) == 1:
            return [*shown, *hidden]
        rows = {title: self._filled_rows(title) for title in (*shown, *hidden)}
        self._tell(hidden, rows, "is hidden and not read")
        having = [title for title in shown if rows[title] > 1]
        if not having:
            return [next((title for title in (*shown, *hidden) if rows[title]), (*shown, *hidden)[0])]
        if len(having) == 1 or take_all:
            self._tell([title for title in shown if title not in having], rows, "has no rows under a header")
            return having
        counted = ", ".join(f"{title!r:.60} ({rows[title] - 1:,} below the first)" for title in having[:NAMED])
        advice = 'say which with sheet=, or read every one with "all"'
        raise SourceError(name, f"has {len(having)} sheets with rows: {counted}; {advice}")

    def _tell(self, titles: list[str], rows: dict[str, int], what: str) -> None:
        self.notes += tuple(f"the sheet {title!r:.60} {what}" for title in titles if rows[title])

    def _filled_rows(self, title: str) -> int:
        return sum(1 for _, _, cells in self._book.cells(title) if any(cell != "" for cell in cells))


def _keys(names: Sequence[str]) -> list[str]:
    """What makes a column the same in two sheets: its name but for accents, case and blanks."""
    folded = [fold(name) for name in names]
    return [key if key and folded.count(key) == 1 else name for key, name in zip(folded, names, strict=True)]


def _placed(row: Sequence[Any], places: Sequence[int | None]) -> Sequence[Any]:
    return [None if place is None else row[place] for place in places]
