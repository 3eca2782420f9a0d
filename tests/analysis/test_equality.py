"""What a frame has is what the rows have, value by value, for every type that PostgreSQL's own rows are read from."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import Database, InvalidDataError, Organization, Student, analysis
from rayces_core.analysis import copying

TYPES = {
    "i2": "smallint", "flag": "boolean", "txt": "text", "i4": "integer", "late_cents": "integer", "i8": "bigint",
    "vc": "varchar", "f8": "float8", "f4": "real", "doc": "jsonb", "plain": "json", "day": "date",
    "moment": "timestamptz", "moment_local": "timestamp", "clock": "time", "span": "interval", "code": "numeric(20, 4)",
    "ratio": "numeric", "raw": "bytea", "key": "uuid", "address": "inet", "numbers": "int[]", "words": "text[]",
    "padded": "char(5)", "last": "bigint",
}  # fmt: skip
SQL = f"SELECT * FROM json_to_recordset(%s) AS t({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})"

# PostgreSQL stores no NUL, and no half of a pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", '"', '"",', "\\N", "\n", "\r\n", "NULL", "\\.", "ñandú", "𝄞" * 5, "x" * 300]
)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(str) | st.sampled_from(["infinity", "-infinity"])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
VALUES: dict[str, Any] = {
    "i2": st.integers(-(2**15), 2**15 - 1), "flag": st.booleans(), "txt": texts, "i4": st.integers(-(2**31), 2**31 - 1),
    "late_cents": st.integers(0, 2**31 - 1), "i8": st.integers(-(2**63), 2**63 - 1) | st.just(2**53 + 1), "vc": texts,
    "f8": st.floats(allow_nan=True).map(str), "f4": st.floats(width=32).map(str), "doc": documents, "plain": documents,
    "day": st.dates(date(1, 1, 2), date(9999, 12, 30)).map(str) | st.sampled_from(["infinity", "-infinity"]),
    "moment": moments.map(lambda text: text if "inf" in text else f"{text}+00"), "moment_local": moments,
    "clock": st.times().map(str),
    "span": st.sampled_from(["0", "1 year 2 mons 3 days 04:05:06.789", "-13 mons", "1 mon -1 day", "-00:00:00.000001"]),
    "code": st.decimals(-(10**15), 10**15, places=4).map(str),
    "ratio": st.decimals(-(10**6), 10**6, places=3).map(str) | st.sampled_from(["NaN", "Infinity", "9007199254740992"]),
    "raw": st.binary(max_size=9).map(lambda raw: "\\x" + raw.hex()), "key": st.uuids().map(str),
    "address": st.ip_addresses().map(str), "numbers": st.lists(st.integers(0, 9) | st.none(), max_size=3),
    "words": st.lists(texts | st.none(), max_size=3), "padded": st.sampled_from(["", "ab", "abcde"]),
    "last": st.integers(-(2**63), 2**63 - 1),
}  # fmt: skip
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), max_size=7)


def same(table: Any, rows: list[dict[str, Any]]) -> None:
    for name in TYPES:
        read = json.loads if name in ("doc", "plain") else lambda value: value
        found = [None if value is None else comparable(read(value)) for value in table[name].to_pylist()]
        as_float = float if name == "ratio" else lambda value: value
        expected = [row[name] if row[name] is None else comparable(as_float(row[name])) for row in rows]
        assert found == expected, name


def comparable(value: Any) -> Any:
    """A value as both have it: bytes and keys are objects in rows, and NaN is like nothing."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID) or (isinstance(value, float) and math.isnan(value)):
        return str(value)
    return value


@pytest.mark.slow
@given(rows=ROWS)
def test_every_type_is_read_as_rows_are(db: Database, some: Organization, rows: list[dict[str, Any]]) -> None:
    query = Student.raw(SQL, json.dumps(rows))
    with db.tenant(some):
        same(query.to_arrow(), list(query.dicts()))


@pytest.mark.slow
@given(rows=ROWS, piece=st.integers(1, 4))
def test_so_it_is_in_pieces_of_a_few_rows(
    db: Database, some: Organization, rows: list[dict[str, Any]], piece: int
) -> None:
    query = Student.raw(SQL, json.dumps(rows))
    with pytest.MonkeyPatch.context() as patch, db.tenant(some):
        patch.setattr(copying, "PIECE_ROWS", piece)
        same(query.to_arrow(), list(query.dicts()))
        same(query.to_arrow(batch_rows=3).read_all(), list(query.dicts()))


@pytest.fixture(scope="module")
def some(db: Database) -> Organization:
    from tests.factory import make_organization

    return make_organization(db)


@pytest.mark.parametrize(
    "literal",
    ["9007199254740993::numeric", "-123456789012345678.5", "sum(n) FROM (VALUES (9007199254740993)) AS t(n)"],
)
def test_a_number_that_no_float_holds_is_refused_and_not_rounded(
    db: Database, some: Organization, literal: str
) -> None:
    with db.tenant(some), pytest.raises(InvalidDataError, match="cast it in SQL"):
        analysis.to_arrow(f"SELECT {literal}")


def test_whole_numbers_beyond_floats_are_kept(db: Database, some: Organization) -> None:
    with db.tenant(some):
        table = analysis.to_arrow(
            "SELECT (2::bigint ^ 53)::bigint + 1 AS n, NULL::bigint AS m UNION ALL SELECT NULL, 7"
        )
    assert table.to_pylist() == [{"n": 2**53 + 1, "m": None}, {"n": None, "m": 7}]


def test_values_that_come_late_are_there(db: Database, some: Organization) -> None:
    sql = "SELECT CASE WHEN n > 19000 THEN n END AS late, CASE WHEN n > 19000 THEN 'x' || n END AS text FROM"
    with db.tenant(some):
        table = analysis.to_arrow(f"{sql} generate_series(1, 20000) AS n")
    assert table["late"].to_pylist() == [None] * 19000 + list(range(19001, 20001))
    assert table["text"].to_pylist() == [None] * 19000 + [f"x{n}" for n in range(19001, 20001)]


def test_moments_beyond_arrows_are_refused(db: Database, some: Organization) -> None:
    with db.tenant(some), pytest.raises(InvalidDataError, match="294246"):
        analysis.to_arrow("SELECT '294276-12-31 00:00+00'::timestamptz AS moment")


def test_decimals_know_no_infinity(db: Database, some: Organization) -> None:
    with db.tenant(some), pytest.raises(InvalidDataError, match="float8"):
        analysis.to_arrow("SELECT 'NaN'::numeric(10, 2) AS n")


def test_infinite_moments_are_those_of_rows(db: Database, some: Organization) -> None:
    sql = "SELECT 'infinity'::timestamptz AS moment, '-infinity'::date AS day, time '23:59' AS clock"
    with db.tenant(some):
        row = db.execute_sql(sql).fetchone()
        found = analysis.to_arrow(sql).to_pylist()[0]
    assert (found["moment"].replace(tzinfo=UTC), found["day"], found["clock"]) == (
        row[0].replace(tzinfo=UTC), date.min, time(23, 59)
    )  # fmt: skip


def test_decimals_have_the_digits_that_are_declared(db: Database, some: Organization) -> None:
    with db.tenant(some):
        table = analysis.to_arrow("SELECT 1.5::numeric(6, 3) AS n")
    assert (str(table.schema.field("n").type), table["n"].to_pylist()) == ("decimal128(6, 3)", [Decimal("1.500")])


def test_large_numbers_of_four_bytes_are_read_as_rows_are(db: Database, some: Organization) -> None:
    sql = "SELECT 3.4028235e38::real AS large, '-infinity'::real AS least, 0.1::real AS tenth"
    with db.tenant(some):
        assert tuple(analysis.to_arrow(sql).to_pylist()[0].values()) == db.execute_sql(sql).fetchone()
