"""What the live tables lack of what a host's models stand for, and where a write by such a model would fail.

Rule it guards: types are compared by what the server calls them, so two words for one type are no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from rayces_core.migrating.modelled import STAMPS, TENANT, ModelledColumn, ModelledTable, table_of
from rayces_core.migrations.session import MigrationDatabase, connected, quote_identifier
from rayces_core.migrations.tenant_tables import LONGEST_NAME_BYTES, Parent, foreign_key, in_tenant, quoted_table

_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, NULL), CASE WHEN a.atttypmod > 0 AND t.typname IN ('varchar', 'bpchar')
       THEN a.atttypmod - 4 END, a.attnotnull, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
       CASE WHEN a.atttypmod > 0 AND t.typname = 'numeric' THEN format_type(a.atttypid, a.atttypmod) END
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_KEYS = """
SELECT k.contype::text, confrelid::regclass::oid, k.conname::text, k.confdeltype::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) AS n JOIN pg_attribute a ON a.attrelid = k.conrelid
              AND a.attnum = n)
  FROM pg_constraint k WHERE k.conrelid = to_regclass(%s) AND k.contype IN ('p', 'u', 'f')
UNION ALL
SELECT 'u', 0, NULL, NULL, ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) AS n JOIN pg_attribute a
                      ON a.attrelid = i.indrelid AND a.attnum = n)
  FROM pg_index i WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid
   AND i.indpred IS NULL AND i.indexprs IS NULL
"""
# The columns that an index of all rows begins with, in their order, and its method.
_INDEXES = """
SELECT m.amname::text, ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n(attnum, place)
                               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = n.attnum
                              WHERE n.place <= i.indnkeyatts ORDER BY n.place)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
 WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""
# What the catalogue calls what deleting a parent does; RESTRICT and NO ACTION both refuse it.
_ON_DELETE = {"a": "NO ACTION", "r": "NO ACTION", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
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
        return any("CONCURRENTLY" in sql or "VALIDATE" in sql for sql in self.remedy)


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
    # A column that is missing has a line of its own; its keys and indexes are made behind it.
    yield from _of_keys(database, table, name, live.keys())
    yield from _of_indexes(database, table, name, live.keys())


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


def index_of(
    table: ModelledTable, columns: tuple[str, ...], what: str, method: str = "btree"
) -> tuple[tuple[str], tuple[str]]:
    """What makes an index beside the application, `what` being unique or idx, and what drops it.

    Rows that are there twice refuse a unique one. Only a btree begins with organization_id.
    """
    schema, _, plain = table.name.rpartition(".")
    name = "_".join((plain, *columns, what))
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = f"{plain[:12]}_{sha256(name.encode()).hexdigest()[:16]}_{what}"
    within = f"{quote_identifier(schema)}." if schema else ""
    held = f"({in_tenant(columns)})" if method == "btree" else f"USING {method} ({quote_identifier(*columns)})"
    made = f"{quote_identifier(name)} ON {quoted_table(table.name)} {held}"
    kind = "UNIQUE INDEX" if what == "unique" else "INDEX"
    return (
        (f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {made}",),
        (f"DROP INDEX CONCURRENTLY IF EXISTS {within}{quote_identifier(name)}",),
    )


def _length(kind: str) -> int | None:
    digits = kind.partition("(")[2].rstrip(")")
    return int(digits) if digits.isdigit() else None


def _of_keys(database: MigrationDatabase, table: ModelledTable, name: str, live: Iterable[str]) -> Iterator[Lack]:
    keys = database.execute_sql(_KEYS, (name, name)).fetchall()
    uniques = {frozenset(columns) for kind, *_, columns in keys if kind in ("p", "u")}
    for columns in [(table.key.name,), *table.unique]:
        if frozenset({TENANT, *columns}) not in uniques:
            line = f"model {table.model}: unique ({', '.join((TENANT, *columns))}) on {table.name}"
            remedy, back = index_of(table, columns, "unique")
            yield Lack("missing", line, table, remedy=remedy, way_back=back)
    there = set(live)
    for column, parent in table.parents.items():
        target = database.one("SELECT to_regclass(%s)::oid", quoted_table(parent.table))
        found = [
            (key, _ON_DELETE[action])
            for kind, other, key, action, columns in keys
            if kind == "f" and target == other and set(columns) == {TENANT, column}
        ]
        yield from _of_reference(table, column, found) if column in there else ()


def _of_reference(table: ModelledTable, column: str, found: list[tuple[str, str]]) -> Iterator[Lack]:
    """Of a reference, whose keys are there by name and action."""
    parent = table.parents[column]
    about = f"model {table.model}: foreign key {table.name} ({TENANT}, {column}) references {parent.table}"
    if not found:
        yield Lack("missing", about, table)
    for key, action in found:
        if action != parent.on_delete.replace("RESTRICT", "NO ACTION"):
            line = f"{about} is on delete {action}, the model says {parent.on_delete}"
            remedy = _referring(table, key, column, parent)
            back = _referring(table, key, column, replace(parent, on_delete=action))
            yield Lack("missing", line, table, remedy=remedy, way_back=back)


def _referring(table: ModelledTable, key: str, column: str, parent: Parent) -> tuple[str, str]:
    """The key anew, with another action; rows that are there are looked at beside the application."""
    altered, name = f"ALTER TABLE {quoted_table(table.name)}", quote_identifier(key)
    made = f"ADD CONSTRAINT {name} {foreign_key(column, parent)} NOT VALID"
    return f"{altered} DROP CONSTRAINT IF EXISTS {name}, {made}", f"{altered} VALIDATE CONSTRAINT {name}"


def _of_indexes(database: MigrationDatabase, table: ModelledTable, name: str, live: Iterable[str]) -> Iterator[Lack]:
    """Any index serves that begins with the columns; organization_id may stand anywhere in it, or be left out."""
    there = [
        (method, tuple(column for column in columns if column != TENANT))
        for method, columns in database.execute_sql(_INDEXES, (name,)).fetchall()
    ]
    # A parent's column that is missing comes with its index.
    present = set(live)
    parents = [(column,) for column in table.parents if column in present]
    wanted = [(columns, "btree") for columns in dict.fromkeys([*table.indexes, *parents])]
    for columns, method in [*wanted, *(((column,), method) for column, method in table.searched)]:
        if not any(kind == method and has[: len(columns)] == columns for kind, has in there):
            said = ", ".join(columns if method != "btree" else (TENANT, *columns))
            line = f"model {table.model}: index {method} ({said}) on {table.name}"
            remedy, back = index_of(table, columns, "idx", method)
            yield Lack("missing", line, table, remedy=remedy, way_back=back)
