"""A workbook as it is opened: its sheets, and their cells with what is the matter with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.sources.binary_workbook import BinaryReader
from rayces_core.importing.sources.limits import MAX_MERGED
from rayces_core.importing.sources.marks import Marks, marked
from rayces_core.importing.sources.merging import Merged, Spread
from rayces_core.importing.sources.sheet_guard import Survey, survey

MAX_BINARY_BYTES: Final = 10 * 1024 * 1024  # an .xls is held in memory whole, so it must be small


@dataclass(frozen=True)
class Title:
    """A sheet's name, and whether people see it."""

    name: str
    is_hidden: bool


class Workbook:
    """An .xlsx, .ods or .xls that has been looked through.

    Attributes:
        titles: its sheets in their order. zero: the day from which it counts days.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
            if not zipped and path.stat().st_size > MAX_BINARY_BYTES:
                raise SourceError(name, "is an .xls of more than 10 MB; save it as .xlsx or CSV")
            file.seek(0)
            self._found = survey(file, name) if zipped else Survey()
        # Before it is opened: the reader makes room for every cell that it is told of.
        binary = None if zipped else BinaryReader(path, name)
        with opened(path, name) as workbook:
            self.titles = [
                Title(meta.name, str(meta.visible) != "SheetVisibleEnum.Visible") for meta in workbook.sheets_metadata
            ]
        if binary is not None:
            self._found.zero = binary.zero
            self._found.marks = dict(zip((title.name for title in self.titles), binary.marks, strict=False))
        if not self.titles:
            raise SourceError(name, "has no sheets")
        self.zero = self._found.zero

    def cells(self, title: str, header_row: int = 0) -> Iterator[tuple[int, int, list[Any]]]:
        """Give the rows of a sheet: number, how many rows there are, cells from the first column that is used.

        What is merged with the header or what stands above it is no value of the rows below.
        """
        if self._found.marks.get(title, Marks()).has_unplaced:
            reason = "has formulas without a value in cells that do not say where they are"
            raise SourceError(self._name, f"{reason}; open it in a spreadsheet program and save it")
        with opened(self._path, self._name) as workbook, explained(self._name):
            sheet = workbook.get_sheet_by_name(title)
            if sheet.start is None:
                return
            left, height = sheet.start[1], sheet.end[0] + 1
            marks = self._found.marks.get(title, Marks()).in_order()
            spread = Spread(self._merged(title, sheet), header_row)
            # The rows come from the first of the sheet, the columns from the first that is used.
            for number, cells in enumerate(sheet.iter_rows(), 1):
                for column, kind in marks(number):
                    if 0 <= column - left - 1 < len(cells):
                        cells[column - left - 1] = marked(cells[column - left - 1], kind)
                spread.over(number, cells, left)
                yield number, height, cells

    def _merged(self, title: str, sheet: Any) -> list[Merged]:
        if title in self._found.merged:
            return self._found.merged[title]
        ranges = sheet.merged_cell_ranges or ()
        if len(ranges) > MAX_MERGED:
            raise SourceError(self._name, f"has more than {MAX_MERGED:,} merged cells; take them apart")
        return [Merged(top + 1, left + 1, bottom + 1, right + 1) for (top, left), (bottom, right) in ranges]


def opened(path: Path, name: str) -> Any:
    """Open a workbook; raises `SourceError` where it cannot be, `MissingExtraError` without the extra."""
    try:
        import python_calamine
    except ImportError:
        raise MissingExtraError('Spreadsheets need: pip install "rayces-core[importing]"') from None
    with explained(name):
        return python_calamine.load_workbook(path)


@contextmanager
def explained(name: str) -> Iterator[None]:
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
