"""Looks through the content of an OpenDocument sheet: how large it is, and what is the matter with single cells.

Every repetition is counted as if it were written out.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from rayces_core.errors import SourceError
from rayces_core.importing.columns import SheetNumber
from rayces_core.importing.sources.limits import ADVICE, MAX_CELLS, MAX_MERGED, MAX_ROWS, MAX_TEXT_BYTES
from rayces_core.importing.sources.marks import FAILED, MIDNIGHT, MOST_DIGITS, PADDED, UNCOMPUTED, Marks
from rayces_core.importing.sources.merging import Merged
from rayces_core.importing.texts import FAILED_FORMULAS

MAX_MARKS: Final = 5_000_000
MAX_STYLES: Final = 100_000
# As programs write what a formula could not give, in English and Spanish.


class DocumentReader:
    """Takes the parts of content.xml as an XML parser gives them.

    Attributes:
        marks, merged: name of a sheet → what is the matter with its cells, and which are merged.
        zero: the day from which the workbook counts days.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.marks: dict[str, Marks] = {}
        self.merged: dict[str, list[Merged]] = {}
        self.zero = SheetNumber.zero
        self._styles = _Styles(name)
        self._sheet, self._marks, self._marked = "", Marks(), 0
        self._rows = self._pending_rows = self._width = self._widest = self._columns = self._repeated = 0
        self._row_repeats, self._row_text, self._text, self._cell_text = 1, 0, 0, 0
        self._filled = self._failed = False
        self._cell: dict[str, str] = {}
        self._shown: list[str] = []
        self._pending: list[tuple[int, int, int]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag begins."""
        kind = tag.rpartition(":")[2]
        if kind == "table":
            self._rows = self._pending_rows = self._widest = 0
            self._sheet, self._marks = _of(attributes, "name"), Marks()
            self.marks[self._sheet], self.merged[self._sheet] = self._marks, []
            self._styles.begin_sheet()
        elif kind == "table-row":
            self._row_repeats = _count(attributes, "number-rows-repeated")
            self._columns = self._width = self._row_text = 0
            self._styles.row = _of(attributes, "default-cell-style-name")
        elif kind in ("table-cell", "covered-table-cell"):
            self._begin_cell(attributes)
        elif kind == "null-date":
            self.zero = _day(_of(attributes, "date-value")) or self.zero
        else:
            self._styles.start(kind, attributes)

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        self._cell, self._shown = {key.rpartition(":")[2]: value for key, value in attributes.items()}, []
        self._failed = "error" in attributes.values()  # calcext:value-type
        self._repeated = _number(self._cell.get("number-columns-repeated", "1"))
        self._filled = "value-type" in self._cell or "formula" in self._cell
        self._cell_text = sum(map(len, attributes.values())) if self._filled else 0

    def characters(self, text: str) -> None:
        """A piece of text."""
        self._cell_text += len(text)
        self._filled = self._filled or not text.isspace()
        if len(self._shown) < 3:
            self._shown.append(text)

    def end(self, tag: str) -> None:
        """A tag ends."""
        kind = tag.rpartition(":")[2]
        if kind in ("table-cell", "covered-table-cell"):
            self._end_cell(is_covered=kind == "covered-table-cell")
        elif kind == "table-row":
            self._end_row()

    def _end_cell(self, *, is_covered: bool) -> None:
        if self._filled and not is_covered and (kind := self._kind()) is not None:
            self._pending.append((self._columns + 1, self._repeated, kind))
        if not is_covered and ("number-rows-spanned" in self._cell or "number-columns-spanned" in self._cell):
            self._merge()
        self._columns += self._repeated
        if self._filled:
            self._width = self._columns
            self._row_text += self._cell_text * self._repeated
        self._filled = False

    def _kind(self) -> int | None:
        cell = self._cell
        if "formula" in cell:
            shown = "".join(self._shown).strip()
            if self._failed or shown in FAILED_FORMULAS or shown.startswith("Err:"):
                return FAILED
            if "value-type" not in cell:
                return UNCOMPUTED
        if len(cell.get("date-value", "")) == 10 and self._styles.is_timed(cell.get("style-name"), self._columns + 1):
            return MIDNIGHT
        shown = "".join(self._shown)
        if shown[:1] == "0" and cell.get("value-type") == "float" and 1 < len(shown) <= MOST_DIGITS:
            return PADDED + len(shown) if shown.isdecimal() and shown.isascii() else None
        return None

    def _merge(self) -> None:
        row, column = self._pending_rows + 1, self._columns + 1
        down, right = (_number(self._cell.get(f"number-{each}-spanned", "1")) for each in ("rows", "columns"))
        if down > 1 or right > 1:
            found = self.merged.setdefault(self._sheet, [])
            found.append(Merged(row, column, row + down - 1, column + right - 1))
            if len(found) > MAX_MERGED:
                raise SourceError(self._name, f"has more than {MAX_MERGED:,} merged cells; take them apart")

    def _end_row(self) -> None:
        for column, columns, kind in self._pending:
            self._mark(column, columns, kind)
        self._pending = []
        self._pending_rows += self._row_repeats
        if not self._width:
            return
        self._rows, self._widest = self._pending_rows, max(self._widest, self._width)
        self._text += self._row_text * self._row_repeats
        if self._rows > MAX_ROWS or self._rows * self._widest > MAX_CELLS or self._text > MAX_TEXT_BYTES:
            where = f"has a sheet of {self._rows:,} rows and {self._widest:,} columns"
            raise SourceError(self._name, f"{where} with its repetitions; {ADVICE}")

    def _mark(self, column: int, columns: int, kind: int) -> None:
        self._marked += columns * self._row_repeats
        if self._marked > MAX_MARKS:
            raise SourceError(self._name, f"has more than {MAX_MARKS:,} cells with failed formulas or dates; {ADVICE}")
        for row in range(self._pending_rows + 1, self._pending_rows + self._row_repeats + 1):
            for each in range(column, column + columns):
                self._marks.add(row, each, kind)


class _Styles:
    """Which cells show an hour, by their own style, their row's or their column's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._timed_formats: set[str] = set()
        self._timed: set[str] = set()
        self._format = ""
        self._columns: list[tuple[int, str]] = []
        self._counted = 0
        self.row = ""

    def begin_sheet(self) -> None:
        self._columns, self._counted, self.row = [], 0, ""

    def start(self, kind: str, attributes: dict[str, str]) -> None:
        if kind in ("date-style", "time-style"):
            self._format = _of(attributes, "name")
        elif kind == "hours":
            self._timed_formats.add(self._format)
        elif kind == "style" and _of(attributes, "data-style-name") in self._timed_formats:
            self._timed.add(_of(attributes, "name"))
        elif kind == "table-column":
            self._counted += _count(attributes, "number-columns-repeated")
            self._columns.append((self._counted, _of(attributes, "default-cell-style-name")))
        if len(self._timed_formats) + len(self._timed) + len(self._columns) > MAX_STYLES:
            raise SourceError(self._name, f"has more styles than any program writes; {ADVICE}")

    def is_timed(self, style: str | None, column: int) -> bool:
        if not self._timed:
            return False
        return (style or self.row or self._of_column(column)) in self._timed

    def _of_column(self, column: int) -> str:
        return next((style for last, style in self._columns if last >= column), "")


def _of(attributes: dict[str, str], what: str) -> str:
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == what), "")


def _day(written: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(written[:10])
    except ValueError:
        return None


def _count(attributes: dict[str, str], what: str) -> int:
    return _number(_of(attributes, what))


def _number(written: str) -> int:
    found = written.strip()
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 12 else 1 if not found else MAX_CELLS
