"""The formats of exports: how each value is written, so that it can be read again as the same.

Rule it guards: a spreadsheet runs nothing that came from a row. Texts that would run are escaped in CSV (see
`rayces_core.archive.cells`); in Excel every text is a cell of text, and other formats hold them as they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from pathlib import PurePath
from typing import IO, Any, Final

from rayces_core.archive.cells import escaped, is_phone
from rayces_core.errors import InvalidDataError
from rayces_core.exporting.agenda import calendar
from rayces_core.exporting.layout import Layout, Rows, Write, document, local, wanted
from rayces_core.exporting.records.shape import Kind
from rayces_core.exporting.sheets import sheets

BYTE_ORDER_MARK: Final = "\ufeff"


def format_of(given: str | None, target: object) -> str:
    """The format that is named, or that the target's ending says; CSV where nothing does.

    Raises:
        InvalidDataError: there is no such format.
    """
    ending = PurePath(str(target)).suffix.lower().removeprefix(".")
    wanted = given or (_ENDINGS.get(ending, ending) if ending and not hasattr(target, "write") else "csv")
    if wanted not in FORMATS:
        raise InvalidDataError("format", wanted, f"is no format; there are {', '.join(FORMATS)}")
    return wanted


def writer_of(kind: str, layout: Layout, file: IO[bytes]) -> AbstractContextManager[Write]:
    """A function that writes rows to `file` in the format `kind`; the file is complete when the block ends."""
    if kind != "csv" and (layout.delimiter or layout.excel):
        raise InvalidDataError("delimiter", layout.delimiter, f"is for CSV, not for {kind}; leave it out")
    return FORMATS[kind](layout, file)


# -- CSV --------------------------------------------------------------------------------------------------------


@contextmanager
def _csv(layout: Layout, file: IO[bytes]) -> Iterator[Write]:
    delimiter = layout.delimiter or (";" if layout.excel else ",")
    if len(delimiter) != 1 or delimiter in '"\r\n\x00' or not delimiter.isascii():
        raise InvalidDataError("delimiter", delimiter, "must be one character, such as , ; | or a tab")
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")  # ended by CR LF, so line breaks within are quoted
    try:
        text.write(BYTE_ORDER_MARK if layout.excel else "")
        writer = csv.writer(text, delimiter=delimiter)
        writer.writerow(layout.header)
        shown = [_cell(column.kind, layout) for column in layout.columns]
        yield lambda rows: writer.writerows([_each(shown, row) for row in rows])
        text.flush()
    finally:
        text.detach()


def _cell(kind: Kind, layout: Layout) -> Callable[[Any], Any]:
    comma = layout.excel
    shown: dict[Kind, Callable[[Any], Any]] = {
        Kind.TEXT: escaped if layout.excel else _text,
        Kind.INTEGER: str,
        Kind.BOOLEAN: _word,
        Kind.DATE: lambda day: day.isoformat(),
        Kind.MOMENT: lambda moment: local(moment, layout.zone).isoformat(),
        Kind.MONEY: lambda cents: money(cents).replace(".", ",") if comma else money(cents),
        Kind.DOCUMENT: document,
    }
    return shown[kind]


def _text(text: str) -> str:
    # A phone number alone runs nothing, and other programs that read the CSV want it as it is.
    return text if is_phone(text) else escaped(text)


def _each(shown: list[Callable[[Any], Any]], row: tuple[Any, ...]) -> list[Any]:
    return [None if value is None else show(value) for show, value in zip(shown, row, strict=True)]


def _word(value: bool) -> str:
    return "true" if value else "false"


def money(cents: int) -> str:
    """Cents as an amount: 150050 is 1500.50."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


# -- JSON Lines -------------------------------------------------------------------------------------------------


@contextmanager
def _jsonl(layout: Layout, file: IO[bytes]) -> Iterator[Write]:
    names = layout.header
    shown = [_plain(column.kind, layout) for column in layout.columns]
    encode = json.JSONEncoder(ensure_ascii=False).encode

    def write(rows: Rows) -> None:
        lines = [encode(dict(zip(names, _each(shown, row), strict=True))) for row in rows]
        file.write("".join([f"{line}\n" for line in lines]).encode())

    yield write


def _plain(kind: Kind, layout: Layout) -> Callable[[Any], Any]:
    readable = (Kind.DATE, Kind.MOMENT, Kind.MONEY)
    return _cell(kind, layout) if kind in readable else lambda value: value


# -- Parquet ----------------------------------------------------------------------------------------------------


@contextmanager
def _parquet(layout: Layout, file: IO[bytes]) -> Iterator[Write]:
    arrow, parquet = wanted("pyarrow"), wanted("pyarrow.parquet")
    types = {
        Kind.TEXT: arrow.string(),
        Kind.INTEGER: arrow.int64(),
        Kind.BOOLEAN: arrow.bool_(),
        Kind.DATE: arrow.date32(),
        Kind.MOMENT: arrow.timestamp("us", tz="UTC"),
        Kind.MONEY: arrow.decimal128(18, 2),
        Kind.DOCUMENT: arrow.string(),
    }
    made: dict[Kind, Callable[[Any], Any]] = {Kind.MONEY: lambda c: Decimal(money(c)), Kind.DOCUMENT: document}
    schema = arrow.schema([(column.name, types[column.kind]) for column in layout.columns])
    shown = [made.get(column.kind, lambda value: value) for column in layout.columns]
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(rows: Rows) -> None:
            if not rows:
                return
            columns = zip(*[_each(shown, row) for row in rows], strict=True)
            arrays = [arrow.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))

        yield write


FORMATS: Final[dict[str, Callable[[Layout, IO[bytes]], AbstractContextManager[Write]]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "xlsx": sheets,
    "ics": calendar,
}
_ENDINGS: Final = {"txt": "csv", "ndjson": "jsonl", "json": "jsonl", "pq": "parquet"}
