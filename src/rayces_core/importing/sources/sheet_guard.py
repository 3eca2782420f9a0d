"""Refuses spreadsheets that would fill the memory, before anything unpacks them as a whole.

An .xlsx or .ods is a zip of XML. Small ones can stand for terabytes: by compression, by two cells in opposite corners
of a sheet, by one long text that a million cells share, by cells said to be repeated. Each is counted here on the
stream, with bounds that only err towards too much.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from rayces_core.errors import SourceError
from rayces_core.importing.columns import SheetNumber
from rayces_core.importing.sources.limits import ADVICE, MAX_CELLS, MAX_ROWS, MAX_SHEET_COLUMNS, MAX_TEXT_BYTES
from rayces_core.importing.sources.marks import Marks, Styled, column_number, note
from rayces_core.importing.sources.merging import Merged
from rayces_core.importing.sources.open_document import DocumentReader
from rayces_core.importing.sources.package import Package, package_of

MAX_UNPACKED_BYTES: Final = 1024**3
MAX_MEMBERS: Final = 10_000
_CHUNK: Final = 1024 * 1024
_CELL: Final = re.compile(rb"<(?:[\w.-]+:)?c[\s/>]")
_PLACE: Final = re.compile(rb"\sr\s*=\s*[\"']\s*\+?([A-Za-z]*)([0-9]+)")
_CELL_END: Final = re.compile(rb"</(?:[\w.-]+:)?c\s*>")
_NO_CELL_AFTER: Final = re.compile(rb"[^>]*/>")
_LONGEST_CELL: Final = 256 * 1024
_SHARED: Final = re.compile(rb"</(?:[\w.-]+:)?si\s*>")


@dataclass
class Survey:
    """What a look at the parts of a workbook finds.

    Attributes:
        marks: name of a sheet → what is the matter with its cells. merged: the same → its merged cells, where the
            look finds them. zero: the day from which the workbook counts days.
    """

    marks: dict[str, Marks] = field(default_factory=dict)
    merged: dict[str, list[Merged]] = field(default_factory=dict)
    zero: dt.date = SheetNumber.zero


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
            package = package_of(archive, name)
            titles = {member: title for title, member in package.parts.items()}
            found.zero = dt.date(1904, 1, 1) if package.since_1904 else found.zero
            for member in archive.namelist():
                # By what it holds: the relations of a workbook may name a sheet's part as they like.
                if _is_sheet(archive, member, name):
                    marks = _check_sheet(archive, member, longest, package, name)
                    found.marks[titles.get(member, member)] = marks
                elif member.lower() == "content.xml":
                    _check_document(archive, member, found, name)
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
        raise SourceError(name, f"is made of {len(members):,} parts; {ADVICE}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise SourceError(name, f"unpacks to {unpacked // 1024**2:,} MB, more than a sheet may take; {ADVICE}")


def _chunks(archive: ZipFile, member: str, name: str) -> Iterator[bytes]:
    """The bytes of a member piece by piece, counted as they come: what an archive declares need not be true."""
    size = 0
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK):
            size += len(chunk)
            if size > MAX_UNPACKED_BYTES:
                raise SourceError(name, f"unpacks to more than {MAX_UNPACKED_BYTES // 1024**2:,} MB; {ADVICE}")
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


def _check_sheet(archive: ZipFile, member: str, longest: int, package: Package, name: str) -> Marks:
    cells, last_row, last_column, columns, rest = 0, 0, 0, {b""}, b""
    marks, styled = Marks(), Styled(package.timed, package.digits)
    for chunk in _chunks(archive, member, name):
        piece = rest + chunk
        # A cell that the border cuts is seen whole in the next piece; counting one twice only errs towards too much.
        rest = piece[_last_begun(piece) :]
        if len(rest) > _CHUNK:
            raise SourceError(name, "is a damaged workbook: a sheet has more than 1 MB in one piece; save it anew")
        cells += len(_CELL.findall(piece))
        for letters, digits in set(_PLACE.findall(piece)):
            last_row = max(last_row, int(digits[:12]))
            columns.add(letters)
        note(piece, marks, styled, package.uncomputed)
    last_column = max(map(column_number, columns))
    area = max(last_row, 1) * max(last_column, 1)
    if last_row > MAX_ROWS or last_column > MAX_SHEET_COLUMNS or max(area, cells) > MAX_CELLS:
        raise SourceError(name, f"has a sheet of {last_row:,} rows and {last_column:,} columns; {ADVICE}")
    if cells * longest > MAX_TEXT_BYTES and _shared_bytes(archive, member, name) > MAX_TEXT_BYTES:
        raise SourceError(name, f"has more than 1 GB of text in its cells; {ADVICE}")
    return marks


def _last_begun(piece: bytes) -> int:
    """Where the last cell begins if it may go on after the piece, else the last tag."""
    near = max(0, len(piece) - _LONGEST_CELL)
    begins = [found.start() for found in _CELL.finditer(piece, near)]
    if begins and not _NO_CELL_AFTER.match(piece, begins[-1]) and not _CELL_END.search(piece, begins[-1]):
        return begins[-1]
    return max(piece.rfind(b"<"), 0)


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


def _check_document(archive: ZipFile, member: str, found: Survey, name: str) -> None:
    reader = DocumentReader(name)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.characters
    try:
        for chunk in _chunks(archive, member, name):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise SourceError(name, f"is a damaged workbook ({error}); save it anew") from None
    found.marks, found.merged, found.zero = reader.marks, reader.merged, reader.zero
