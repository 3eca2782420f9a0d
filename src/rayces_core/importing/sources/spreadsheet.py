"""Rows of a sheet of an Excel or OpenDocument workbook.

Rule: a number is a `SheetNumber`, a date is a date, what a formula gave is its value; a cell whose formula failed is
unreadable and not empty. The file is looked through for what would fill the memory before it is opened.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.columns import SheetNumber, Unreadable
from rayces_core.importing.sources.sheet_guard import Survey, survey
from rayces_core.importing.sources.source import BATCH_ROWS, Row, checked_header, fitted, in_batches

MAX_BINARY_BYTES: Final = 10 * 1024 * 1024  # an .xls cannot be looked through cheaply, so it must be small
_NO_DAY: Final = (1899, 12, 30)  # what zero and nonsense are as a date
_ERRORS: Final = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#¡REF!", "#¡VALOR!", "#¿NOMBRE?")


class SheetSource:
    """One sheet, read anew by each call of `batches`; see `Source`. Rows are numbered as the sheet shows them.

    Args:
        sheet: its name, or its number from 1; None is the first that is not hidden.
    """

    def __init__(self, path: Path, name: str, fingerprint: str, sheet: str | int | None = None) -> None:
        self.fingerprint, self._path, self._read, self._rows = fingerprint, path, 0, 0
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
            if not zipped and path.stat().st_size > MAX_BINARY_BYTES:
                raise SourceError(name, "is an .xls of more than 10 MB; save it as .xlsx or CSV")
            file.seek(0)
            found = survey(file, name) if zipped else Survey()
        self._sheet = _chosen(path, name, sheet)
        self.name = f"{name} ({self._sheet})"
        self._errors: dict[int, list[int]] = {}
        for row, column in _errors_of(path, self._sheet, found) if any(found.errors.values()) else ():
            self._errors.setdefault(row, []).append(column)
        self._header_row, self.header = self._read_header()

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        return in_batches(self._numbered(), rows)

    def progress(self) -> float | None:
        """Give the share of the sheet's rows that is read so far."""
        return min(1.0, self._read / self._rows) if self._rows else 1.0

    def _numbered(self) -> Iterator[Row]:
        width = len(self.header)
        for number, cells in self._cells():
            self._read = number
            if number > self._header_row:
                row = fitted([_value(cell) for cell in cells], width)
                if any(value is not None for value in row):
                    yield number, row

    def _read_header(self) -> tuple[int, tuple[str, ...]]:
        for number, cells in self._cells():
            if any(cell != "" for cell in cells):
                while cells[-1] == "":
                    cells.pop()
                return number, checked_header(self.name, [_named(cell) for cell in cells], number)
        raise SourceError(self.name, "is empty; its first row must name the columns")

    def _cells(self) -> Iterator[tuple[int, list[Any]]]:
        with opened(self._path, self.name) as workbook, _explained(self.name):
            sheet = workbook.get_sheet_by_name(self._sheet)
            if sheet.start is None:
                return
            self._rows, left = sheet.total_height, sheet.start[1]
            # The rows come from the first of the sheet, the columns from the first that is used.
            for number, cells in enumerate(sheet.iter_rows(), 1):
                for column in self._errors.get(number, ()):
                    if 0 <= column - left - 1 < len(cells):
                        cells[column - left - 1] = Unreadable("the formula of the cell failed; mend it in the sheet")
                yield number, cells


def opened(path: Path, name: str) -> Any:
    """Open a workbook; raises `SourceError` where it cannot be, `MissingExtraError` without the extra."""
    try:
        import python_calamine
    except ImportError:
        raise MissingExtraError('Spreadsheets need: pip install "rayces-core[importing]"') from None
    with _explained(name):
        return python_calamine.load_workbook(path)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns what the reader of workbooks raises into SourceError; a panic of its Rust is no Exception."""
    try:
        yield
    except SourceError:
        raise
    except BaseException as error:
        if type(error).__name__ == "PasswordError":
            raise SourceError(name, "is protected by a password; save it without one") from None
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise SourceError(name, f"cannot be read as a workbook ({error}); save it anew as .xlsx") from None
        raise


def _chosen(path: Path, name: str, sheet: str | int | None) -> str:
    with opened(path, name) as workbook:
        names: list[str] = workbook.sheet_names
        hidden = {meta.name for meta in workbook.sheets_metadata if str(meta.visible) != "SheetVisibleEnum.Visible"}
    if not names:
        raise SourceError(name, "has no sheets")
    if sheet is None:
        return next((title for title in names if title not in hidden), names[0])
    if isinstance(sheet, str) and sheet in names:
        return sheet
    if str(sheet).isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    raise SourceError(name, f"has no sheet {sheet!r:.60}; it has {', '.join(map(repr, names[:20]))}")


def _errors_of(path: Path, sheet: str, found: Survey) -> set[tuple[int, int]]:
    """The places with errors in one sheet, whose file within the workbook its relations name."""
    with ZipFile(path) as archive:
        book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
        links = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    from xml.sax.saxutils import escape

    quoted = re.escape(escape(sheet, {'"': "&quot;"}))
    relation = re.search(rf'<(?:\w+:)?sheet\s[^>]*?name="{quoted}"[^>]*?r:id="([^"]+)"', book)
    if relation is None:
        return set()
    target = next((tag for tag in re.findall(r"<Relationship\s[^>]*>", links) if f'Id="{relation[1]}"' in tag), "")
    part = re.search(r'Target="([^"]+)"', target)
    return found.errors.get(f"xl/{part[1].removeprefix('/xl/')}", set()) if part else set()


def _value(cell: Any) -> Any:
    if type(cell) is float:
        return SheetNumber(cell)
    if type(cell) is str:
        if not cell or cell.isspace():
            return None
        if cell[0] == "#" and cell in _ERRORS:
            return Unreadable(f"the formula gave {cell}; mend it in the sheet")
    if isinstance(cell, dt.date) and (cell.year, cell.month, cell.day) == _NO_DAY:
        return Unreadable("the cell has the format of a date, but no date in it; correct it or empty it")
    return cell


def _named(cell: Any) -> str:
    if isinstance(cell, Unreadable):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
