"""Excel workbooks: texts as texts, days and moments as dates, row after row so that memory stays flat.

Rule it guards: what Excel cannot hold is refused or written as text, never cut off. Rows over a sheet's limit go on in
a further sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import IO, Any, Final

from rayces_core.archive.cells import twice_escaped
from rayces_core.archive.files import scratch_folder
from rayces_core.errors import InvalidDataError
from rayces_core.exporting.layout import Layout, Rows, document, local, wanted
from rayces_core.exporting.records.shape import Column, Kind

SHEET_ROWS: Final = 1_048_576  # the header is one of them
CELL_UNITS: Final = 32_767  # of UTF-16
EXACT: Final = 2**53
# Excel has a 29 February 1900, so days before March of that year are not what they say.
FIRST_DAY: Final = date(1900, 3, 1)


@contextmanager
def sheets(layout: Layout, file: IO[bytes]) -> Iterator[Callable[[Rows], object]]:
    """A function that writes rows into a workbook; `file` gets it when the block ends well."""
    with scratch_folder() as folder:
        options = {"constant_memory": True, "tmpdir": folder, "use_zip64": True, "strings_to_urls": False}
        book = wanted("xlsxwriter").Workbook(file, options)
        try:
            yield _Sheets(book, layout).write
            book.close()
        finally:
            book.fileclosed = 1  # what is not to be kept is not to be complained about either
            for sheet in book.worksheets():
                if sheet.row_data_fh and not sheet.row_data_fh.closed:
                    sheet.row_data_fh.close()


class _Sheets:
    """The sheets of a workbook, the next one begun when one is full."""

    def __init__(self, book: Any, layout: Layout) -> None:
        self._book, self._layout = book, layout
        self._bold, self._as_text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
        self._formats = {
            Kind.DATE: book.add_format({"num_format": "yyyy-mm-dd"}),
            Kind.MOMENT: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            Kind.MONEY: book.add_format({"num_format": "0.00"}),
        }
        self._number = 0
        self._begin()

    def write(self, rows: Rows) -> None:
        """Write rows after those that are there."""
        for row in rows:
            if self._row == SHEET_ROWS:
                self._begin()
            for place, (column, value) in enumerate(zip(self._layout.columns, row, strict=True)):
                if value is not None:
                    self._write(place, column, value)
            self._row += 1

    def _begin(self) -> None:
        self._number += 1
        name = self._layout.name if self._number == 1 else f"{self._layout.name} {self._number}"
        self._sheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        self._sheet.set_column(0, len(self._layout.columns) - 1, 18)
        for place, heading in enumerate(self._layout.header):
            self._sheet.write_string(0, place, heading, self._bold)
        self._row = 1

    def _write(self, place: int, column: Column, value: Any) -> None:
        kind, sheet = column.kind, self._sheet
        if kind is Kind.BOOLEAN:
            sheet.write_boolean(self._row, place, value)
        elif kind is Kind.INTEGER and abs(value) <= EXACT:
            sheet.write_number(self._row, place, value)
        elif kind is Kind.MONEY:
            sheet.write_number(self._row, place, value / 100, self._formats[kind])
        elif kind is Kind.DATE and value >= FIRST_DAY:
            sheet.write_datetime(self._row, place, value, self._formats[kind])
        elif kind is Kind.MOMENT and (wall := self._wall(value)):
            sheet.write_datetime(self._row, place, wall, self._formats[kind])
        else:
            # Typed as text, so that it stays one when somebody edits the cell.
            sheet.write_string(self._row, place, self._text(column, value), self._as_text)

    def _wall(self, moment: datetime) -> datetime | None:
        """What the clock on the wall shows, if that is exactly this moment and Excel can show it."""
        wall = local(moment, self._layout.zone).replace(tzinfo=None, fold=0)
        if wall.microsecond or wall.date() < FIRST_DAY:
            return None
        again = wall.replace(tzinfo=self._layout.zone).astimezone(UTC)
        return wall if again == moment else None

    def _text(self, column: Column, value: Any) -> str:
        text = self._shown(column, value)
        if len(text) > CELL_UNITS // 2 and len(text.encode("utf-16-le")) // 2 > CELL_UNITS:
            raise InvalidDataError(
                f"{self._layout.name}.{column.name}",
                f"{text[:20]}…",
                f"a text has more than the {CELL_UNITS} characters of a cell (sheet row {self._row + 1}); export CSV, "
                "JSON Lines or Parquet, or leave the column out",
            )
        return text

    def _shown(self, column: Column, value: Any) -> str:
        if column.kind is Kind.MOMENT:
            return local(value, self._layout.zone).isoformat()
        if column.kind is Kind.DATE:
            return str(value.isoformat())
        if column.kind is Kind.DOCUMENT:
            return document(value)
        # A cell of text runs nothing; what an import would take an apostrophe off gets one.
        return twice_escaped(value) if column.kind is Kind.TEXT else str(value)
