"""Opens whatever holds records: a path, an open file, standard input, a data frame, an iterable."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from rayces_core.errors import SourceError
from rayces_core.importing.sources.agenda import CalendarSource
from rayces_core.importing.sources.delimited import DelimitedSource
from rayces_core.importing.sources.encodings import fingerprint_of, inspect
from rayces_core.importing.sources.jsonlines import JsonLinesSource
from rayces_core.importing.sources.keyed import IterableSource
from rayces_core.importing.sources.kinds import kind_of
from rayces_core.importing.sources.layout import Layout
from rayces_core.importing.sources.source import Source
from rayces_core.importing.sources.spreadsheet import SheetSource
from rayces_core.importing.sources.tabular import ArrowSource, ParquetSource
from rayces_core.importing.values import fold

_Source = (
    DelimitedSource | JsonLinesSource | CalendarSource | SheetSource | ParquetSource | ArrowSource | IterableSource
)
_COPY_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class _How:
    format: str | None
    encoding: str | None
    delimiter: str | None
    sheet: str | int | None
    layout: Layout


def open_source(
    source: Any,
    *,
    format: str | None = None,  # noqa: A002 - the word that users know
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | int | None = None,
    header_row: int | None = None,
    no_header: bool = False,
    words: Collection[str] = (),
    null: Collection[str] = (),
) -> Source:
    """Open records for reading.

    Args:
        source: a path, "-" for standard input, an open file, an object with `__arrow_c_stream__` such as a data frame
            of polars or pandas, or an iterable of dicts or Pydantic models. An open file is copied to a temporary one.
        format: "csv", "jsonl", "xlsx", "ods", "xls", "parquet" or "ics"; None finds it out from the content.
        encoding: of a text file; None finds it out.
        delimiter: of a CSV file; None finds it out.
        sheet: name of a workbook's sheet, its number from 1, or "all"; None is the only one that has rows.
        header_row: number of the row that names the columns, of a CSV or a sheet; None finds it out.
        no_header: whether no row does; the columns are then called "(column 1)", "(column 2)" and so on.
        words: names of columns that are known, by which a header is told from a title.
        null: words that mean nothing where they are all of a value, such as "N/A".

    Raises:
        SourceError: it cannot be read as what it is taken for.
        MissingExtraError: its format needs `rayces-core[importing]`.
    """
    layout = Layout(header_row, no_header, frozenset(map(fold, words)))
    opened = _opened(source, _How(format, encoding, delimiter, sheet, layout))
    opened.null = frozenset(word.strip() for word in null)
    return opened


def _opened(source: Any, how: _How) -> _Source:
    if isinstance(source, str | os.PathLike):
        if os.fspath(source) == "-":
            return _of_copy(sys.stdin.buffer, "standard input", how)
        path = Path(os.fsdecode(source))
        _check_file(path)
        return _of_file(path, path.name, how)
    if hasattr(source, "read"):
        return _of_copy(source, _name_of(source), how)
    return _of_objects(source, how)


def _of_objects(source: Any, how: _How) -> _Source:
    what = type(source).__name__
    _refuse_layout(what, how.layout)
    if hasattr(source, "__arrow_c_stream__"):
        return ArrowSource(source, what)
    if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | dict):
        return IterableSource(source)
    raise SourceError(what, "is no source; give a path, an open file, a data frame or an iterable of dicts")


def _of_file(path: Path, name: str, how: _How) -> _Source:
    try:
        kind = kind_of(path, name, how.format)
        if kind in ("csv", "json", "calendar"):
            return _of_text(path, name, kind, how)
        fingerprint = fingerprint_of(path)
    except OSError as error:
        raise SourceError(name, f"cannot be read: {error.strerror or error}") from None
    if kind == "sheet":
        return SheetSource(path, name, fingerprint, how.sheet, how.layout)
    _refuse_layout(name, how.layout)
    return ParquetSource(path, name, fingerprint) if kind == "parquet" else ArrowSource(path, name, fingerprint)


def _of_text(path: Path, name: str, kind: str, how: _How) -> _Source:
    inspected = inspect(path, name, how.encoding)
    if kind != "csv":
        _refuse_layout(name, how.layout)
        return (JsonLinesSource if kind == "json" else CalendarSource)(path, name, inspected)
    delimiter = how.delimiter or ("\t" if how.format == "tsv" else None)
    return DelimitedSource(path, name, inspected, delimiter, how.layout)


def _refuse_layout(name: str, layout: Layout) -> None:
    if layout.header_row is not None or layout.no_header:
        raise SourceError(name, "names its columns itself; leave header_row= and no_header= out")


def _of_copy(file: Any, name: str, how: _How) -> _Source:
    copy = tempfile.NamedTemporaryFile(prefix="rayces-source-")  # noqa: SIM115 - lives as long as the source
    is_text = _copy(file, copy, name)
    copy.flush()
    opened = _of_file(Path(copy.name), name, replace(how, encoding="utf-8") if is_text else how)
    opened.copy = copy
    return opened


def _copy(file: Any, copy: IO[bytes], name: str) -> bool:
    """Copy an open file; says whether it was open as text."""
    is_text = False
    while chunk := file.read(_COPY_CHUNK):
        if isinstance(chunk, str):
            is_text = True
            chunk = chunk.encode("utf-8", "surrogatepass")
        elif not isinstance(chunk, bytes | bytearray | memoryview):
            raise SourceError(name, f"its read() gives {type(chunk).__name__}; open the file in mode 'rb'")
        copy.write(chunk)
    return is_text


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(str(path), "is a directory; name a file in it")
    if not path.exists():
        raise SourceError(str(path), "is not there; check the path")


def _name_of(file: Any) -> str:
    name = getattr(file, "name", None)
    return Path(name).name if isinstance(name, str) else "file"
