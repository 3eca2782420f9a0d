"""Looks through an .xls: what is the matter with single cells, and since when it counts days.

The records are those of [MS-XLS]; all but the few that are needed are passed over, so it takes no memory.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.sources.marks import FAILED, MIDNIGHT, UNCOMPUTED, Marks
from rayces_core.importing.sources.package import shows_hour

FORMULA, EOF, DATE_MODE, ENCRYPTED, BOUND_SHEET = 0x0006, 0x000A, 0x0022, 0x002F, 0x0085
MANY_SHORT, EXTENDED_FORMAT, NUMBER, BOOL_OR_ERROR, SHORT, FORMAT = 0x00BD, 0x00E0, 0x0203, 0x0205, 0x027E, 0x041E
DIMENSIONS, LABEL, SHARED_LABEL, RICH_LABEL = 0x0200, 0x0204, 0x00FD, 0x00D6
MAX_ROWS, MAX_COLUMNS = 65_536, 256
_CELLS: Final = frozenset((FORMULA, NUMBER, BOOL_OR_ERROR, SHORT, MANY_SHORT, LABEL, SHARED_LABEL, RICH_LABEL))
_BUILT_IN: Final = frozenset((18, 19, 20, 21, 22, 45, 46, 47))
_ERROR, _EMPTY_TEXT = 2, 3

Record = tuple[int, bytes]


class BinaryReader:
    """Goes over the records of a workbook.

    Attributes:
        marks: what is the matter with the cells of each sheet, in the order of the sheets.
        zero: the day from which the workbook counts days.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.marks: list[Marks] = []
        self.zero = dt.date(1899, 12, 30)
        self._name = name
        self._formats: dict[int, bool] = {}
        self._styles: list[int] = []
        content, self._is_computed = _stream(path, name)
        try:
            sheets = self._read_globals(content)
            self.marks = [self._read_sheet(content, place) for place in sheets]
        except struct.error:
            raise SourceError(name, "is a damaged workbook; open it and save it as .xlsx") from None

    def _read_globals(self, content: bytes) -> list[int]:
        sheets = []
        for kind, data in _records(content, 0):
            if kind == ENCRYPTED:
                raise SourceError(self._name, "is protected by a password; save it without one")
            if kind == DATE_MODE and data[:2] == b"\x01\x00":
                self.zero = dt.date(1904, 1, 1)
            elif kind == BOUND_SHEET:
                sheets.append(struct.unpack_from("<I", data)[0])
            elif kind == FORMAT:
                self._formats[struct.unpack_from("<H", data)[0]] = shows_hour(_text(data[2:]))
            elif kind == EXTENDED_FORMAT:
                self._styles.append(struct.unpack_from("<H", data, 2)[0])
        return sheets

    def _read_sheet(self, content: bytes, place: int) -> Marks:
        marks = Marks()
        timed = {place for place, key in enumerate(self._styles) if self._formats.get(key, key in _BUILT_IN)}
        for kind, data in _records(content, place):
            if kind in _CELLS or kind == DIMENSIONS:
                self._check_place(kind, data)
            if kind == MANY_SHORT:
                row, first = struct.unpack_from("<HH", data)
                for column, (style, number) in enumerate(
                    struct.iter_unpack("<HI", data[4 : 4 + (len(data) - 6) // 6 * 6])
                ):
                    if style in timed and _short(number).is_integer():
                        marks.add(row + 1, first + column + 1, MIDNIGHT)
            elif kind in (FORMULA, BOOL_OR_ERROR, NUMBER, SHORT):
                row, column, style = struct.unpack_from("<HHH", data)
                found = self._kind(kind, data[6:], is_timed=style in timed)
                if found is not None:
                    marks.add(row + 1, column + 1, found)
        return marks

    def _check_place(self, kind: int, data: bytes) -> None:
        """Refuse a cell where no sheet has one: room would be made for all between it and the first."""
        top, rows, left, columns = 0, 0, 0, struct.unpack_from("<H", data, 2)[0] + 1
        if kind == MANY_SHORT:
            columns = struct.unpack_from("<H", data, len(data) - 2)[0] + 1
        elif kind == DIMENSIONS:
            # In Excel 95 and before, rows have two bytes.
            top, rows, left, columns = struct.unpack_from("<IIHH" if len(data) >= 14 else "<HHHH", data)
        if not top <= rows <= MAX_ROWS or not left <= columns <= MAX_COLUMNS:
            raise SourceError(self._name, "is a damaged workbook: a cell lies outside its sheet; save it as .xlsx")

    def _kind(self, kind: int, value: bytes, *, is_timed: bool) -> int | None:
        if kind == BOOL_OR_ERROR:
            return FAILED if value[1] else None
        if kind == FORMULA and value[6:8] == b"\xff\xff":
            if value[0] == _ERROR:
                return FAILED
            return UNCOMPUTED if value[0] == _EMPTY_TEXT and not self._is_computed else None
        number = _short(*struct.unpack_from("<I", value)) if kind == SHORT else struct.unpack_from("<d", value)[0]
        return MIDNIGHT if is_timed and number.is_integer() else None


def _short(packed: int) -> float:
    """A number of 30 bits, whole or the upper ones of a float, in hundredths or not."""
    number = float(struct.unpack("<i", struct.pack("<I", packed))[0] >> 2)
    if not packed & 2:
        number = struct.unpack("<d", b"\0\0\0\0" + struct.pack("<I", packed & ~3))[0]
    return number / 100 if packed & 1 else number


def _records(content: bytes, place: int) -> Iterator[Record]:
    """The records from a place on, until what begins there ends."""
    while place + 4 <= len(content):
        kind, length = struct.unpack_from("<HH", content, place)
        place += 4
        if kind == EOF:
            return
        yield kind, content[place : place + length]
        place += length


def _text(data: bytes) -> str:
    """A text as a format has it: its length, whether two bytes are a letter, the letters; of Excel 95 a byte each."""
    if data[2:3] in (b"\x00", b"\x01") and len(data) > 3:
        return data[3:].decode("utf-16-le" if data[2] else "latin-1", "replace")
    return data[1:].decode("latin-1")


def _stream(path: Path, name: str) -> tuple[bytes, bool]:
    """The workbook's bytes, and whether a program wrote them that computes: those say when and by whom."""
    try:
        olefile = import_module("olefile")
    except ImportError:
        raise MissingExtraError('Spreadsheets need: pip install "rayces-core[importing]"') from None
    try:
        with olefile.OleFileIO(path) as file:
            parts = {part[0].lower(): part for part in file.listdir() if len(part) == 1}
            part = parts.get("workbook") or parts.get("book")
            return (file.openstream(part).read() if part else b""), "\x05summaryinformation" in parts
    except Exception as error:  # whatever a damaged one makes of it
        raise SourceError(name, f"cannot be read as a workbook ({error}); save it anew as .xlsx") from None
