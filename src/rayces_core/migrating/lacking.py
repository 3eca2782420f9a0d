"""What the live tables lack of what a host's models stand for, and where a write by such a model would fail.

Rule it guards: types are compared by what the server calls them, so two words for one type are no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from rayces_core.migrating.modelled import STAMPS, TENANT, ModelledColumn, ModelledTable, table_of
from rayces_core.migrations.session import MigrationDatabase, connected, quote_identifier
from rayces_core.migrations.tenant_tables import LONGEST_NAME_BYTES, in_tenant, quoted_table

_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, NULL), CASE WHEN a.atttypmod > 0 AND t.typname IN ('varchar', 'bpchar')
       THEN a.atttypmod - 4 END, a.attnotnull, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
       CASE WHEN a.atttypmod > 0 AND t.typname = 'numeric' THEN format_type(a.atttypid, a.atttypmod) END
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_KEYS = """
SELECT k.contype::text, confrelid::regclass::oid,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) AS n JOIN pg_attribute a ON a.attrelid = k.conrelid
              AND a.attnum = n)
  FROM pg_constraint k WHERE k.conrelid = to_regclass(%s) AND k.contype IN ('p', 'u', 'f')
UNION ALL
SELECT 'u', 0, ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) AS n JOIN pg_attribute a
                      ON a.attrelid = i.indrelid AND a.attnum = n)
  FROM pg_index i WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
"""
_TYPE = "SELECT format_type(to_regtype(%s), NULL)"


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing: what is `missing`, or `unexpected` because a write would fail on it, as a line of text.

    `column` is the missing column where that is all; None where the whole table is missing, or something else.
    `remedy` is SQL that mends it without harm to any row, and `way_back` what undoes that; both may be empty.
    """

    kind: Literal["missing", "unexpected"]
    line: str
    table: ModelledTable
    column: str | None = None
    is_whole_table: bool = False
    remedy: tuple[str, ...] = ()
    way_back: tuple[str, ...] = ()

    @property
    def is_beside(self) -> bool:
        """Whether the remedy has to stand in no transaction."""
        return any("CONCURRENTLY" in sql for sql in self.remedy)


def lacks(database: MigrationDatabase, models: Iterable[Any]) -> list[Lack]:
    """What the tables of these models lack, model by model; empty where each of their writes finds its columns."""
    found: list[Lack] = []
    with connected(database):
        for model in models:
            found += _of_table(database, table_of(model))
    return found


def _of_table(database: MigrationDatabase, table: ModelledTable) -> Iterator[Lack]:
    name = quoted_table(table.name)
    live = {row[0]: row[1:] for row in database.execute_sql(_COLUMNS, (name,)).fetchall()}
    if not live:
        yield Lack("missing", f"model {table.model}: table {table.name}", table, is_whole_table=True)
        return
    for column in _all(table):
        yield from _of_column(database, table, column, live.get(column.name))
    wanted = {column.name for column in _all(table)} | {TENANT}
    for column_name in live.keys() - wanted:
        _, _, not_null, fills_in, _ = live[column_name]
        if not_null and not fills_in:
            line = f"model {table.model}: column {table.name}.{column_name} not null, which the model does not fill in"
            yield Lack("unexpected", line, table)
    yield from _of_keys(database, table, name, live.keys())


def _all(table: ModelledTable) -> Iterator[ModelledColumn]:
    yield table.key
    yield from table.columns
    for name, parent in table.parents.items():
        yield ModelledColumn(name, parent.type, parent.nullable)
    if table.has_stamps:
        yield from (ModelledColumn(name, "timestamptz", nullable=False) for name in STAMPS)


def _of_column(
    database: MigrationDatabase, table: ModelledTable, wanted: ModelledColumn, live: tuple[Any, ...] | None
) -> Iterator[Lack]:
    about = f"model {table.model}: column {table.name}.{wanted.name}"
    if live is None:
        yield Lack("missing", f"{about} {wanted.definition}", table, wanted.name)
        return
    kind, length, not_null, _, places = live
    named = database.one(_TYPE, wanted.type)
    if named is not None and named != kind:
        yield Lack("missing", f"{about} is {kind}, the model says {wanted.type}", table)
    elif length is not None and (_length(wanted.type) or length + 1) > length:
        line = f"{about} takes {length} characters, the model says {wanted.type}"
        yield Lack("missing", line, table, remedy=_typed(table, wanted.name, wanted.type))
    elif places is not None and "numeric" in wanted.type and places != wanted.type.replace(" ", ""):
        yield Lack("missing", f"{about} is {places}, the model says {wanted.type}", table)
    if not_null != (not wanted.nullable):
        has, says = ("not null", "null=True") if not_null else ("nullable", "not null")
        remedy, back = _emptied(table, wanted.name) if not_null else ((), ())
        yield Lack("missing", f"{about} is {has}, the model says {says}", table, remedy=remedy, way_back=back)


def _typed(table: ModelledTable, column: str, kind: str) -> tuple[str, ...]:
    """The statement for a longer type, which reads and writes no row; its way back might cut some, so there is none."""
    return (f"ALTER TABLE {quoted_table(table.name)} ALTER COLUMN {quote_identifier(column)} TYPE {kind}",)


def _emptied(table: ModelledTable, column: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    altered = f"ALTER TABLE {quoted_table(table.name)} ALTER COLUMN {quote_identifier(column)}"
    return (f"{altered} DROP NOT NULL",), (f"{altered} SET NOT NULL",)


def _unique(table: ModelledTable, columns: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A unique index, made beside the application; rows that are there twice refuse it."""
    schema, _, plain = table.name.rpartition(".")
    name = "_".join((plain, *columns, "unique"))
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = f"{plain[:12]}_{sha256(name.encode()).hexdigest()[:16]}_unique"
    within = f"{quote_identifier(schema)}." if schema else ""
    made = f"{quote_identifier(name)} ON {quoted_table(table.name)} ({in_tenant(columns)})"
    return (
        (f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {made}",),
        (f"DROP INDEX CONCURRENTLY IF EXISTS {within}{quote_identifier(name)}",),
    )


def _length(kind: str) -> int | None:
    digits = kind.partition("(")[2].rstrip(")")
    return int(digits) if digits.isdigit() else None


def _of_keys(database: MigrationDatabase, table: ModelledTable, name: str, live: Iterable[str]) -> Iterator[Lack]:
    keys = database.execute_sql(_KEYS, (name, name)).fetchall()
    there = set(live)
    uniques = {frozenset(columns) for kind, _, columns in keys if kind in ("p", "u")}
    for columns in [(table.key.name,), *table.unique]:
        if there.issuperset(columns) and frozenset({TENANT, *columns}) not in uniques:
            line = f"model {table.model}: unique ({', '.join((TENANT, *columns))}) on {table.name}"
            remedy, back = _unique(table, columns)
            yield Lack("missing", line, table, remedy=remedy, way_back=back)
    for column, parent in table.parents.items():
        target = database.one("SELECT to_regclass(%s)::oid", quoted_table(parent.table))
        if column in there and not any(
            kind == "f" and target == other and set(columns) == {TENANT, column} for kind, other, columns in keys
        ):
            line = f"model {table.model}: foreign key {table.name} ({TENANT}, {column}) references {parent.table}"
            yield Lack("missing", line, table)
