"""Every format gives back what was written, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import python_calamine
from hypothesis import example, given
from hypothesis import strategies as st

from rayces_core import InvalidDataError, MissingExtraError
from rayces_core.archive.cells import escaped, twice_escaped, unescaped
from rayces_core.exporting import layout, sheets
from rayces_core.exporting.formats import format_of, money, writer_of
from rayces_core.exporting.layout import Layout
from rayces_core.exporting.records.shape import Column, Kind
from tests.sizes import examples
from tests.walking import walked

COLUMNS = tuple(Column(kind.value, "", kind) for kind in Kind)
ZONE = ZoneInfo("America/Argentina/Buenos_Aires")
NEW_YORK = ZoneInfo("America/New_York")
DANGEROUS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=60)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
values = {
    Kind.TEXT: texts.filter(bool),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.dates(),
    Kind.MOMENT: st.datetimes(timezones=st.just(UTC)),
    Kind.MONEY: st.integers(-(2**31), 2**31 - 1),
    Kind.DOCUMENT: documents.filter(lambda value: value is not None),
}
rows = st.tuples(*(st.none() | values[kind] for kind in Kind))
tables = st.lists(rows, max_size=5)
some = examples(20, 60)


def written(kind: str, table: list[tuple[Any, ...]], **options: Any) -> bytes:
    file = io.BytesIO()
    with writer_of(kind, Layout("things", COLUMNS, options.pop("zone", ZONE), **options), file) as write:
        write(table[:2])
        write(table[2:]) if table[2:] else None
    assert not file.closed
    return file.getvalue()


def plain(kind: Kind, value: Any) -> Any:
    """What a reader makes of a readable value."""
    if value is None or value == "":
        return None
    return {
        Kind.TEXT: unescaped,
        Kind.INTEGER: int,
        Kind.BOOLEAN: lambda word: {"true": True, "false": False}[word],
        Kind.DATE: date.fromisoformat,
        Kind.MOMENT: datetime.fromisoformat,
        Kind.MONEY: lambda text: int(Decimal(text.replace(",", ".")) * 100),
        Kind.DOCUMENT: json.loads,
    }[kind](value)


# -- cells ----------------------------------------------------------------------------------------------------


@given(st.text(st.sampled_from("'=+-@\t\r\nax") | st.characters(), max_size=8))
@example("'=1")
@example("''")
def test_an_escaped_text_runs_nothing_and_comes_back(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith(tuple(DANGEROUS))


@walked("text", ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\tx", "\rx", "\n=x", "'=x", "＝1"])  # noqa: RUF001
def test_what_would_run_gets_an_apostrophe(text: str) -> None:
    assert escaped(text) == f"'{text}"


@walked("text", ["", "Ana", "it's", "'quoted'", "a=b", "'", "1-2", " =x"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert escaped(text) == unescaped(text) == text


# -- each format ----------------------------------------------------------------------------------------------


@some
@given(st.text(st.sampled_from("'=+-@\t\r\nax1") | st.characters(), max_size=8))
@example("'=1")
@example("'+541143215678")
def test_a_cell_of_text_comes_back_as_well(text: str) -> None:
    assert unescaped(twice_escaped(text)) == text


def test_what_an_import_would_take_for_a_forced_text_is_escaped_in_a_workbook_too() -> None:
    assert (twice_escaped('="007"'), twice_escaped("=1+1")) == ('\'="007"', "=1+1")


def test_a_phone_has_no_apostrophe_but_where_excel_would_make_a_number_of_it() -> None:
    row = ("+541143215678", *[None] * (len(COLUMNS) - 1))
    assert written("csv", [row]).splitlines()[1].startswith(b"+541143215678,")
    assert written("csv", [row], excel=True).splitlines()[1].startswith(b"'+541143215678;")
    assert sheet(written("xlsx", [row]))[1][0] == "+541143215678"


@pytest.mark.slow
@given(tables, st.sampled_from([{}, {"excel": True}, {"delimiter": "\t"}, {"delimiter": "|"}, {"delimiter": "'"}]))
def test_csv_comes_back(table: list[tuple[Any, ...]], options: dict[str, Any]) -> None:
    text = written("csv", table, **options).decode("utf-8-sig" if options.get("excel") else "utf-8")
    delimiter = options.get("delimiter") or (";" if options.get("excel") else ",")
    header, *found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    assert header == [kind.value for kind in Kind]
    assert [tuple(map(plain, Kind, row)) for row in found] == table
    assert not any(cell.startswith(tuple(DANGEROUS)) for row in found for cell in row[:1])


@pytest.mark.slow
@some
@given(tables)
def test_json_lines_come_back(table: list[tuple[Any, ...]]) -> None:
    found = [json.loads(line) for line in written("jsonl", table).split(b"\n")[:-1]]
    readable = (Kind.DATE, Kind.MOMENT, Kind.MONEY)
    for line, row in zip(found, table, strict=True):
        assert list(line) == [kind.value for kind in Kind]
        for kind, value in zip(Kind, row, strict=True):
            assert (plain(kind, line[kind.value]) if kind in readable else line[kind.value]) == value


@pytest.mark.slow
@some
@given(tables)
def test_parquet_comes_back_typed(table: list[tuple[Any, ...]]) -> None:
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(io.BytesIO(written("parquet", table)))
    assert str(found.schema.field("moment").type) == "timestamp[us, tz=UTC]"
    assert str(found.schema.field("date").type) == "date32[day]"
    made = {Kind.MONEY: lambda amount: int(amount * 100), Kind.DOCUMENT: json.loads}
    for kind, column in zip(Kind, zip(*table, strict=True), strict=False):
        cells = found.column(kind.value).to_pylist()
        assert [None if cell is None else made.get(kind, lambda v: v)(cell) for cell in cells] == list(column)


def sheet(content: bytes, name: str = "things") -> list[list[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.xlsx"
        path.write_bytes(content)
        return python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_name(name).to_python()


def of_cell(kind: Kind, cell: Any) -> Any:
    """What a reader makes of a cell of a sheet."""
    if kind is Kind.MONEY and isinstance(cell, float):
        return round(cell * 100)
    if kind is Kind.INTEGER and isinstance(cell, float):
        return int(cell)
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=ZONE).astimezone(UTC)
    if not isinstance(cell, str):
        return cell
    return plain(kind, re.sub("_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code[1], 16)), cell))


# What XML cannot hold is XlsxWriter's to escape; `_x0041_` is the escape itself.
cell_texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="_"), max_size=60)


@pytest.mark.slow
@some
@given(
    st.lists(
        st.tuples(st.none() | cell_texts.filter(bool), *(st.none() | values[k] for k in list(Kind)[1:6])), max_size=4
    )
)
def test_excel_comes_back(table: list[tuple[Any, ...]]) -> None:
    header, *found = sheet(written("xlsx", [(*row, None) for row in table]))
    assert header == [kind.value for kind in Kind]
    full = [row for row in table if any(value is not None for value in row)]
    kept = [row for row in found if any(cell != "" for cell in row)]
    for row, cells in zip(full, kept, strict=True):
        for kind, value, cell in zip(Kind, row, cells, strict=False):
            assert (None if cell == "" else of_cell(kind, cell)) == value


def test_excel_has_dates_as_dates_and_formulas_as_text() -> None:
    moment = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
    content = written("xlsx", [("=HYPERLINK(1)", 5, True, date(2026, 3, 1), moment, 150050, {"a": 1})])
    _, row = sheet(content)
    assert row == ["=HYPERLINK(1)", 5.0, True, date(2026, 3, 1), datetime(2026, 3, 1, 10, 0), 1500.5, '{"a": 1}']


@walked(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 1, 30)),  # the first of two 1:30
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "2026-11-01T01:30:00-05:00"),
        (datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "2025-12-31T19:00:00.000001-05:00"),
        (datetime(1900, 1, 1, tzinfo=UTC), "1899-12-31T19:00:00-05:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00+00:00"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(9999, 12, 31, 18)),
    ],
)
def test_a_moment_that_excel_cannot_show_exactly_is_text(moment: datetime, shown: object) -> None:
    row = (None, None, None, None, moment, None, None)
    assert sheet(written("xlsx", [row], zone=NEW_YORK))[1][4] == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(2**53, float(2**53)), (2**53 + 1, str(2**53 + 1)), (-(2**60), str(-(2**60)))]
)
def test_a_number_that_excel_would_round_is_text(number: int, shown: object) -> None:
    assert sheet(written("xlsx", [(None, number, *[None] * 5)]))[1][1] == shown


def test_a_text_that_no_cell_holds_is_refused() -> None:
    row = ("😀" * 16_383, *[None] * 6)
    assert len(sheet(written("xlsx", [row]))) == 2
    for text in ("a" * 32_768, "😀" * 16_384, "=" + "a" * 32_767):
        with pytest.raises(InvalidDataError, match=r"things\.text: .* 32767 .*sheet row 2"):
            written("xlsx", [(text, *[None] * 6)])


def test_rows_beyond_a_sheet_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "SHEET_ROWS", 4)
    content = written("xlsx", [(str(number), *[None] * 6) for number in range(7)])
    for name, numbers in (("things", ["0", "1", "2"]), ("things 2", ["3", "4", "5"]), ("things 3", ["6"])):
        header, *found = sheet(content, name)
        assert header[0] == "text"
        assert [row[0] for row in found] == numbers


# -- what is asked for ----------------------------------------------------------------------------------------


@walked(
    ("given_format", "target", "expected"),
    [
        (None, "a.csv", "csv"),
        (None, "-", "csv"),
        (None, "no_ending", "csv"),
        (None, "A.XLSX", "xlsx"),
        (None, Path("b.ndjson"), "jsonl"),
        (None, "b.parquet", "parquet"),
        ("jsonl", "a.csv", "jsonl"),
        (None, io.BytesIO(), "csv"),
    ],
)
def test_the_format_is_what_is_named_or_the_ending(given_format: str | None, target: object, expected: str) -> None:
    assert format_of(given_format, target) == expected


@pytest.mark.parametrize(("given_format", "target"), [("pdf", "a.csv"), (None, "a.pdf"), (None, "a.xls")])
def test_other_formats_are_refused(given_format: str | None, target: str) -> None:
    with pytest.raises(InvalidDataError, match="csv, jsonl, parquet, xlsx"):
        format_of(given_format, target)


@walked("delimiter", ["", "ab", '"', "\n", "ñ", "\x00"])
def test_a_delimiter_that_is_none_is_refused(delimiter: str) -> None:
    if delimiter:
        with pytest.raises(InvalidDataError, match="delimiter"):
            written("csv", [], delimiter=delimiter)
    with pytest.raises(InvalidDataError, match="delimiter"):
        written("jsonl", [], delimiter=delimiter or ";")


@pytest.mark.parametrize(("kind", "module"), [("parquet", "pyarrow"), ("xlsx", "xlsxwriter")])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, kind: str, module: str) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(layout, "import_module", missing)
    with pytest.raises(MissingExtraError, match=rf"{module}.*rayces-core\[importing\]"):
        written(kind, [])


@pytest.mark.parametrize(("cents", "shown"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-150050, "-1500.50")])
def test_money_is_exact(cents: int, shown: str) -> None:
    assert money(cents) == shown
