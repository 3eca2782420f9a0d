"""Refuses spreadsheets that would fill the memory, before anything unpacks them as a whole.

An .xlsx or .ods is a zip of XML. Small ones can stand for terabytes: by compression, by two cells in opposite corners
of a sheet, by one long text that a million cells share, by cells said to be repeated. Each is counted here on the
stream, with bounds that only err towards too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from rayces_core.errors import SourceError

MAX_UNPACKED_BYTES: Final = 1024**3
MAX_CELLS: Final = 25_000_000
MAX_ROWS: Final = 1_048_576
MAX_SHEET_COLUMNS: Final = 16_384
MAX_TEXT_BYTES: Final = 1024**3
MAX_MEMBERS: Final = 10_000
_CHUNK: Final = 1024 * 1024
_ADVICE: Final = "keep the rows to be imported in a new sheet, or save it as CSV"

_CELL: Final = re.compile(rb"<(?:[\w.-]+:)?c[\s/>]")
_PLACE: Final = re.compile(rb"\sr\s*=\s*[\"']\s*\+?([A-Za-z]*)([0-9]+)")
_ERROR: Final = re.compile(
    rb"<(?:[\w.-]+:)?c\s(?=[^>]*\st=[\"']e[\"'])[^>]*\sr=[\"']([A-Z]+)([0-9]+)|<c\sr=[\"']([A-Z]+)([0-9]+)[\"'][^>]*\st=[\"']e[\"']"
)
_SHARED: Final = re.compile(rb"</(?:[\w.-]+:)?si\s*>")


@dataclass
class Survey:
    """What a look at the parts of a workbook finds. `errors`: member → (row, column) of its cells with an error."""

    errors: dict[str, set[tuple[int, int]]] = field(default_factory=dict)


def survey(file: IO[bytes], name: str) -> Survey:
    """Look through a zipped workbook without holding it.

    Raises:
        SourceError: it is damaged, encrypted, or would take too much memory.
    """
    found = Survey()
    try:
        with ZipFile(file) as archive:
            _check_members(archive, name)
            longest = _longest_shared_text(archive, name)
            for member in archive.namelist():
                lower = member.lower()
                # By what it holds: the relations of a workbook may name a sheet's part as they like.
                if _is_sheet(archive, member, name):
                    found.errors[member] = _check_sheet(archive, member, longest, name)
                elif lower == "content.xml":
                    _check_document(archive, member, name)
                else:
                    _measure(archive, member, name)
    except (BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(name, f"is a damaged or encrypted workbook ({error}); save it anew") from None
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise SourceError(name, f"is a damaged workbook ({error}); save it anew") from None
    return found


def _check_members(archive: ZipFile, name: str) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise SourceError(name, f"is made of {len(members):,} parts; {_ADVICE}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise SourceError(name, f"unpacks to {unpacked // 1024**2:,} MB, more than a sheet may take; {_ADVICE}")


def _chunks(archive: ZipFile, member: str, name: str) -> Iterator[bytes]:
    """The bytes of a member piece by piece, counted as they come: what an archive declares need not be true."""
    size = 0
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK):
            size += len(chunk)
            if size > MAX_UNPACKED_BYTES:
                raise SourceError(name, f"unpacks to more than {MAX_UNPACKED_BYTES // 1024**2:,} MB; {_ADVICE}")
            yield chunk


def _is_sheet(archive: ZipFile, member: str, name: str) -> bool:
    rest, found = b"", False
    for chunk in _chunks(archive, member, name):
        found = found or b"sheetData" in rest + chunk
        rest = chunk[-8:]
    return found


def _measure(archive: ZipFile, member: str, name: str) -> None:
    for _ in _chunks(archive, member, name):
        pass


def _longest_shared_text(archive: ZipFile, name: str) -> int:
    longest = 0
    for member in archive.namelist():
        if member.lower().endswith("sharedstrings.xml"):
            rest = b""
            for chunk in _chunks(archive, member, name):
                *texts, rest = _SHARED.split(rest + chunk)
                longest = max(longest, len(rest), *map(len, texts)) if texts else max(longest, len(rest))
    return longest


def _check_sheet(archive: ZipFile, member: str, longest: int, name: str) -> set[tuple[int, int]]:
    cells, last_row, last_column, columns, rest = 0, 0, 0, {b""}, b""
    errors: set[tuple[int, int]] = set()
    for chunk in _chunks(archive, member, name):
        piece = rest + chunk
        # A tag that the border cuts is seen whole in the next piece; counting one twice only errs towards too much.
        rest = piece[max(piece.rfind(b"<"), 0) :]
        if len(rest) > _CHUNK:
            raise SourceError(name, "is a damaged workbook: a sheet has more than 1 MB in one piece; save it anew")
        cells += len(_CELL.findall(piece))
        for letters, digits in set(_PLACE.findall(piece)):
            last_row = max(last_row, int(digits[:12]))
            columns.add(letters)
        errors.update(_error_places(piece))
    last_column = max(map(_column_number, columns))
    area = max(last_row, 1) * max(last_column, 1)
    if last_row > MAX_ROWS or last_column > MAX_SHEET_COLUMNS or max(area, cells) > MAX_CELLS:
        raise SourceError(name, f"has a sheet of {last_row:,} rows and {last_column:,} columns; {_ADVICE}")
    if cells * longest > MAX_TEXT_BYTES and _shared_bytes(archive, member, name) > MAX_TEXT_BYTES:
        raise SourceError(name, f"has more than 1 GB of text in its cells; {_ADVICE}")
    return errors


def _error_places(piece: bytes) -> Iterator[tuple[int, int]]:
    if b't="e"' in piece or b"t='e'" in piece:
        for one, two, three, four in _ERROR.findall(piece):
            yield int((two or four)[:9]), _column_number(one or three)


def _shared_bytes(archive: ZipFile, member: str, name: str) -> int:
    """The texts of a sheet with every use of a shared one counted."""
    lengths: list[int] = []
    for shared in archive.namelist():
        if shared.lower().endswith("sharedstrings.xml"):
            rest = b""
            for chunk in _chunks(archive, shared, name):
                *texts, rest = _SHARED.split(rest + chunk)
                lengths += map(len, texts)
    total, rest = 0, b""
    for chunk in _chunks(archive, member, name):
        *values, rest = (rest + chunk).rsplit(b"</", 1)
        for used in re.findall(rb"v>\s*([0-9]{1,9})\s*</", values[0] + b"</" if values else b""):
            total += lengths[int(used)] if int(used) < len(lengths) else 0
    return total


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper()[:6]:
        number = number * 26 + letter - 64
    return number


def _check_document(archive: ZipFile, member: str, name: str) -> None:
    counter = _Repeats(name)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = counter.start, counter.end
    parser.CharacterDataHandler = counter.characters
    try:
        for chunk in _chunks(archive, member, name):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise SourceError(name, f"is a damaged workbook ({error}); save it anew") from None


class _Repeats:
    """Counts the cells of an OpenDocument sheet as if every repetition were written out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = self._pending_rows = self._width = self._widest = self._columns = self._repeated = 0
        self._row_repeats, self._row_text, self._text, self._cell_text = 1, 0, 0, 0
        self._filled = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rpartition(":")[2]
        if kind == "table":
            self._rows = self._pending_rows = self._widest = 0
        elif kind == "table-row":
            self._row_repeats = _count(attributes, "number-rows-repeated")
            self._columns = self._width = self._row_text = 0
        elif kind in ("table-cell", "covered-table-cell"):
            self._repeated = _count(attributes, "number-columns-repeated")
            self._filled = any(key.endswith((":value-type", ":formula")) for key in attributes)
            self._cell_text = sum(len(value) for value in attributes.values()) if self._filled else 0

    def characters(self, text: str) -> None:
        self._cell_text += len(text)
        self._filled = self._filled or not text.isspace()

    def end(self, tag: str) -> None:
        kind = tag.rpartition(":")[2]
        if kind in ("table-cell", "covered-table-cell"):
            self._columns += self._repeated
            if self._filled:
                self._width = self._columns
                self._row_text += self._cell_text * self._repeated
            self._filled = False
        elif kind == "table-row":
            self._end_row()

    def _end_row(self) -> None:
        self._pending_rows += self._row_repeats
        if not self._width:
            return
        self._rows, self._widest = self._pending_rows, max(self._widest, self._width)
        self._text += self._row_text * self._row_repeats
        if self._rows > MAX_ROWS or self._rows * self._widest > MAX_CELLS or self._text > MAX_TEXT_BYTES:
            where = f"has a sheet of {self._rows:,} rows and {self._widest:,} columns"
            raise SourceError(self._name, f"{where} with its repetitions; {_ADVICE}")


def _count(attributes: dict[str, str], what: str) -> int:
    found = next((value for key, value in attributes.items() if key.endswith(f":{what}")), "1").strip()
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 12 else 1 if not found else MAX_CELLS
