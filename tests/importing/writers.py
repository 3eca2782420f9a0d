"""Writes rows of texts, numbers, dates and moments to the formats that people send, each value as the cell it is."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow
import xlsxwriter
from pyarrow import parquet

Rows = Sequence[Sequence[Any]]

_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{urn}:1.0"'
    for name, urn in (("office", "office"), ("table", "table"), ("text", "text"))
)


def write(path: Path, header: Sequence[str], rows: Rows, **how: Any) -> Path:
    """Write a file of the format that the path's ending names; `how` is for a CSV. Returns the path."""
    {".csv": _csv, ".xlsx": _xlsx, ".ods": _ods, ".parquet": _parquet}[path.suffix](path, header, rows, **how)
    return path


def _csv(
    path: Path, header: Sequence[str], rows: Rows, *, delimiter: str = ",", encoding: str = "utf-8", end: str = "\r\n"
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def _xlsx(path: Path, header: Sequence[str], rows: Rows) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Hoja 1")
        day, moment = (book.add_format({"num_format": form}) for form in ("dd/mm/yyyy", "dd/mm/yyyy hh:mm"))
        for number, row in enumerate((header, *rows)):
            for place, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(number, place, value)
                elif isinstance(value, date):
                    sheet.write_datetime(number, place, value, moment if isinstance(value, datetime) else day)
                elif value is not None:
                    sheet.write_number(number, place, value)


def _ods(path: Path, header: Sequence[str], rows: Rows) -> None:
    lines = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in (header, *rows))
    table = f'<table:table table:name="Hoja 1">{lines}</table:table>'
    body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
    content = f'<office:document-content {_NAMES} office:version="1.2">{body}</office:document-content>'
    entry = 'manifest:full-path="{}" manifest:media-type="{}"'
    entries = "".join(
        f"<manifest:file-entry {entry.format(*each)}/>" for each in (("/", _ODS), ("content.xml", "text/xml"))
    )
    names = 'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2"'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", _ODS, zipfile.ZIP_STORED)
        archive.writestr("content.xml", f'<?xml version="1.0" encoding="UTF-8"?>{content}')
        archive.writestr("META-INF/manifest.xml", f"<manifest:manifest {names}>{entries}</manifest:manifest>")


def _ods_cell(value: Any) -> str:
    if value is None:
        return "<table:table-cell/>"
    if isinstance(value, str):
        return _cell("string", "", escape(value))
    if isinstance(value, date):
        return _cell("date", f'office:date-value="{value.isoformat()}"', value.isoformat())
    return _cell("float", f'office:value="{value!r}"', repr(value))


def _cell(kind: str, attribute: str, shown: str) -> str:
    paragraphs = "".join(f"<text:p>{line}</text:p>" for line in shown.split("\n"))
    return f'<table:table-cell office:value-type="{kind}" {attribute}>{paragraphs}</table:table-cell>'


def _parquet(path: Path, header: Sequence[str], rows: Rows) -> None:
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    parquet.write_table(pyarrow.table(columns), path)
