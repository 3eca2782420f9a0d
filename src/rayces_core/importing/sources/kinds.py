"""Tells what a file really is from how it begins, whatever it is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile
from zlib import error

from rayces_core.errors import SourceError

# What `format` may be, and what each is read as.
FORMATS: Final = {
    "csv": "csv",
    "tsv": "csv",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "xlsx": "sheet",
    "xls": "sheet",
    "ods": "sheet",
    "excel": "sheet",
    "parquet": "parquet",
    "arrow": "arrow",
    "ics": "calendar",
}
_FOREIGN: Final = (
    (b"%PDF", "a PDF; export the table as CSV or .xlsx from the program that made it"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"{\\rtf", "a text document; save the table as CSV or .xlsx"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"\x89PNG", "a picture; the table must be text"),
    (b"\xff\xd8\xff", "a picture; the table must be text"),
    (b"GIF8", "a picture; the table must be text"),
)
_HTML: Final = (b"<!doctype html", b"<html", b"<table", b"<head", b"<body", b"<meta", b"<div")
_CONTENT_TYPES, _MANIFEST = "[content_types].xml", "meta-inf/manifest.xml"
_ENOUGH: Final = 1024 * 1024
_SHEETS: Final = re.compile(rb"spreadsheetml\.(?:sheet|template)\.main|ms-excel\.(?:sheet|template)\.macroEnabled")
_DOCUMENTS: Final = (
    (b"wordprocessingml.document.main", "a text document"),
    (b"presentationml.presentation.main", "a presentation"),
    (b"opendocument.text", "a text document"),
    (b"opendocument.presentation", "a presentation"),
)
_RESAVE: Final = "open it in a spreadsheet program and save it as .xlsx or CSV"


def kind_of(path: Path, name: str, declared: str | None = None) -> str:
    """Say how a file is to be read: "csv", "json", "sheet", "parquet", "arrow" or "calendar".

    Args:
        declared: the format that the user names, one of `FORMATS`.

    Raises:
        SourceError: it is nothing that can be read, or not what is declared.
    """
    if declared is not None and declared.lower().lstrip(".") not in FORMATS:
        raise SourceError(name, f"there is no format {declared!r:.30}; name one of {', '.join(FORMATS)}")
    wanted = FORMATS[declared.lower().lstrip(".")] if declared else None
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip(b"\xef\xbb\xbf \t\r\n\x00"):
        raise SourceError(name, "is empty; its first row must name the columns")
    found = _binary(path, head, name) or wanted or _textual(head, Path(name).suffix.lower())
    if wanted is not None and found != wanted:
        raise SourceError(name, f"is no {declared} but {_called(found)}; leave format= out, or save it anew")
    if wanted in ("sheet", "parquet", "arrow", "calendar") and _binary(path, head, name) is None:
        raise SourceError(name, f"is no {declared} but a text file; leave format= out, or save it anew")
    return found


def _binary(path: Path, head: bytes, name: str) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path, name)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "sheet"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1"):
        return "arrow"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].upper() == b"BEGIN:VCALENDAR":
        return "calendar"
    for mark, what in _FOREIGN:
        if head.startswith(mark):
            raise SourceError(name, f"is {what}")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_HTML) or (start.startswith(b"<?xml") and (b"<html" in start or b"<workbook" in start)):
        what = "an HTML page" if b"<workbook" not in start else "an XML spreadsheet of 2003"
        raise SourceError(name, f"is {what}, whatever its name says; {_RESAVE}")
    if start.startswith(b"<?xml"):
        raise SourceError(name, f"is an XML file; {_RESAVE}")
    return None


def _zipped(path: Path, name: str) -> str:
    try:
        with ZipFile(path) as archive:
            inside = {member.lower().replace("\\", "/"): member for member in archive.namelist()}
            types, parts = (_begins(archive, inside.get(each)) for each in (_CONTENT_TYPES, _MANIFEST))
    except (BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError, error) as broken:
        raise SourceError(name, f"is a damaged workbook or archive ({broken}); save it anew") from None
    # First: a reader that goes by the file's ending would take it, whatever else is inside.
    if "xl/workbook.bin" in inside or b"ms-excel.sheet.binary" in types:
        raise SourceError(name, "is a binary workbook (.xlsb); save it as .xlsx")
    if b"encryption-data" in parts:
        raise SourceError(name, "is protected by a password; save it without one")
    for mark, what in _DOCUMENTS:
        if mark in types or mark in parts:
            raise SourceError(name, f"is {what}; save its table as CSV or .xlsx")
    if "xl/workbook.xml" in inside or "content.xml" in inside or _SHEETS.search(types):
        return "sheet"
    raise SourceError(name, "is a zip archive and no workbook; unpack it, and import the files in it")


def _begins(archive: ZipFile, member: str | None) -> bytes:
    if member is None:
        return b""
    with archive.open(member) as part:
        return part.read(_ENOUGH)


def _textual(head: bytes, suffix: str) -> str:
    if suffix in (".csv", ".tsv", ".txt"):
        return "csv"
    start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return "json" if start[:1] in (b"{", b"[") else "csv"


def _called(kind: str) -> str:
    names = {"sheet": "a workbook", "parquet": "a Parquet file", "arrow": "an Arrow file", "calendar": "a calendar"}
    return {**names, "json": "JSON"}.get(kind, kind)
