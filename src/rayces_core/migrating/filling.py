"""Made-up rows for the tables of a rehearsal, so that what a migration does for each row is run at least once.

Rule it guards: filling never fails a rehearsal. A table whose rules are not met by anything tried stays empty, and the
log says why. Columns keep their defaults; of the others the first row has a value in every one, the second one only
what it must have, and so on in turn.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import peewee

from rayces_core.migrations.session import MigrationDatabase, quote_identifier

logger = logging.getLogger("rayces_core.migrations")

_TABLES = """
SELECT c.oid::bigint, c.oid::regclass::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND c.relname <> ALL (%s)
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY c.oid
"""
_COLUMNS = """
SELECT a.attnum::int, a.attname::text, b.typname::text, b.typcategory::text,
       CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END, a.attnotnull OR t.typnotnull,
       a.atthasdef OR a.attidentity <> '',
       (SELECT min(enumlabel::text) FROM pg_enum WHERE enumtypid = b.oid)
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
 ORDER BY a.attnum
"""
_KEYS = """
SELECT confrelid::bigint, confrelid::regclass::text, conkey::int[],
       (SELECT array_agg(attname::text ORDER BY n) FROM unnest(confkey) WITH ORDINALITY AS k (number, n)
          JOIN pg_attribute ON attrelid = confrelid AND attnum = number)
  FROM pg_constraint WHERE contype = 'f' AND conrelid = %s
 ORDER BY cardinality(conkey), oid
"""
_NAMES = "SELECT attnum::int, attname::text, attnotnull FROM pg_attribute WHERE attrelid = %s AND attnum > 0"
_CHECKS = "SELECT conkey::int[], pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s"
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_HEADER_BYTES = 4

# By the category of the type (pg_type.typcategory), then by its name.
_BY_CATEGORY = {"A": "{}", "G": "(0,0)", "I": "127.0.0.1", "R": "empty", "T": "1 hour", "V": "0"}
_BY_NAME = {"json": "{}", "jsonb": "{}", "bytea": "", "xml": "<row/>", "time": "12:00", "timetz": "12:00+00"}


class MadeUpRows:
    """Fills tables that are empty with a few rows each.

    Args:
        database: of the rehearsal. rows: how many each table gets. histories: the tables that are left alone.
    """

    def __init__(self, database: MigrationDatabase, rows: int, histories: Collection[str]) -> None:
        self._database, self._rows, self._histories = database, rows, list(histories)
        self._told: set[str] = set()

    def fill(self) -> None:
        """Fill what is empty, parents before children; tables that cannot be filled are named in the log, once."""
        tables = dict(self._all(_TABLES, self._histories))
        keys = {oid: self._keys(oid) for oid in tables}
        for oid in _parents_first(keys):
            reason = self._fill(oid, tables[oid], keys[oid])
            if reason and tables[oid] not in self._told:
                logger.warning("%s is rehearsed without rows: %s", tables[oid], reason)
                self._told.add(tables[oid])

    def _fill(self, oid: int, table: str, keys: list[_Key]) -> str:
        """Why the table stays empty; nothing when it has rows."""
        if self._all(f"SELECT 1 FROM {table} LIMIT 1"):
            return ""
        columns, reason = self._columns(oid), ""
        for row in range(1, self._rows + 1):
            reason = self._insert_one(table, columns, keys, row)
            if reason:
                break
        return "" if self._all(f"SELECT 1 FROM {table} LIMIT 1") else reason

    def _insert_one(self, table: str, columns: dict[int, _Column], keys: list[_Key], row: int) -> str:
        first = row % 2 == 1
        reason = ""
        for whole, named in ((first, False), (first, True), (not first, False), (not first, True)):
            try:
                # A transaction for each, so that what is deferred is checked while something else can be tried.
                with self._database.atomic():
                    self._insert(table, self._values(columns, keys, row, whole=whole, named=named))
            except peewee.PeeweeException as error:
                reason = str(error).strip().partition("\n")[0]
            else:
                return ""
        return reason

    def _insert(self, table: str, values: dict[str, str | None]) -> None:
        names = ", ".join(map(quote_identifier, values)).replace("%", "%%")
        places = ", ".join(["%s"] * len(values))
        what = f"({names}) VALUES ({places})" if values else "DEFAULT VALUES"
        self._database.execute_sql(f"INSERT INTO {table.replace('%', '%%')} {what}", tuple(values.values()))

    def _values(
        self, columns: dict[int, _Column], keys: list[_Key], row: int, *, whole: bool, named: bool
    ) -> dict[str, str | None]:
        chosen = {
            column.name: column for column in columns.values() if column.needed or (whole and not column.has_default)
        }
        values = {name: column.named_value(row) if named else column.value(row) for name, column in chosen.items()}
        for key in keys:
            values |= {name: None for name in key.columns if name in chosen and (key.needed or not chosen[name].needed)}
        for key in keys:
            if key.needed or whole:
                values |= self._parent(key, values, row)
        return {name: value for name, value in values.items() if value is not None}

    def _parent(self, key: _Key, values: dict[str, str | None], row: int) -> dict[str, str | None]:
        """The values that refer to a row of the parent, another one for each row; none when no row fits."""
        pairs = zip(key.columns, key.parent_columns, strict=True)
        known = {there: values[here] for here, there in pairs if values.get(here) is not None}
        wanted = ", ".join(f"{quote_identifier(name)}::text" for name in key.parent_columns)
        where = " AND ".join(["true", *(f"{quote_identifier(there)} = %s" for there in known)])
        query = f"SELECT {wanted} FROM {key.parent_name} WHERE {where} ORDER BY {len(key.columns)}"
        found = self._all(query, *known.values())
        return dict(zip(key.columns, found[(row - 1) % len(found)], strict=True)) if found else {}

    def _columns(self, oid: int) -> dict[int, _Column]:
        literals: dict[int, list[str]] = {}
        for numbers, definition in self._all(_CHECKS, oid):
            if len(numbers) == 1:
                literals.setdefault(numbers[0], []).extend(_LITERAL.findall(definition))
        return {
            number: _Column(
                name,
                kind,
                category,
                modifier - _HEADER_BYTES if modifier > 0 and category == "S" else None,
                present and not has_default,
                has_default,
                label,
                tuple(literal.replace("''", "'") for literal in literals.get(number, ())),
            )
            for number, name, kind, category, modifier, present, has_default, label in self._all(_COLUMNS, oid)
        }

    def _keys(self, oid: int) -> list[_Key]:
        columns = {number: (name, present) for number, name, present in self._all(_NAMES, oid)}
        return [
            _Key(
                parent,
                name,
                tuple(columns[number][0] for number in numbers),
                tuple(parent_columns),
                all(columns[number][1] for number in numbers),
            )
            for parent, name, numbers, parent_columns in self._all(_KEYS, oid)
        ]

    def _all(self, sql: str, *values: object) -> list[Any]:
        text = sql if values else sql.replace("%", "%%")
        rows: list[Any] = self._database.execute_sql(text, values).fetchall()
        return rows


def _parents_first(keys: dict[int, list[_Key]]) -> Iterator[int]:
    """Every table after those that it must refer to; where they refer to each other, in the order of their making."""
    waiting = list(keys)
    while waiting:
        needed = {oid: {key.parent for key in keys[oid] if key.needed} - {oid} for oid in waiting}
        ready = [oid for oid in waiting if needed[oid].isdisjoint(waiting)] or waiting[:1]
        yield from ready
        waiting = [oid for oid in waiting if oid not in ready]


@dataclass(frozen=True)
class _Column:
    """A column that can be written; `literals` are what CHECKs compare it with."""

    name: str
    type: str
    category: str
    length: int | None
    needed: bool
    has_default: bool
    label: str | None
    literals: tuple[str, ...]

    def value(self, row: int) -> str | None:
        """Something of its type, another one for each row; None where nothing is known."""
        if self.category == "S":
            return f"row-{row}"[-self.length :] if self.length else f"row-{row}"
        varying = {"N": str(row), "B": str(row % 2 == 1), "E": self.label}
        if self.category in varying:
            return varying[self.category]
        if self.type == "uuid":
            return f"00000000-0000-4000-8000-{row:012d}"
        fixed = _BY_NAME.get(self.type, _BY_CATEGORY.get(self.category))
        return f"2026-01-{row % 28 + 1:02d}" if fixed is None and self.category == "D" else fixed

    def named_value(self, row: int) -> str | None:
        """The same, but one that a CHECK names where there is one."""
        return self.literals[row % len(self.literals)] if self.literals else self.value(row)


@dataclass(frozen=True)
class _Key:
    """A foreign key; `needed` says whether no column of it may be empty."""

    parent: int
    parent_name: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    needed: bool
