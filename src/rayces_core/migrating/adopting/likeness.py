"""A likeness of an old application's tables on a scratch database: as they are, with rows that are made up.

Rule it guards: no row of theirs leaves them. What cannot be made there (a type or a function of its own) is left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import peewee

from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

logger = logging.getLogger("rayces_core.migrations")

# Enough that what reads a table takes longer than what does not, few enough to be made in a second.
SAMPLE_ROWS = 20_000

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_RAILS_TABLES = (
    "CREATE TABLE schema_migrations (version character varying PRIMARY KEY)",
    """CREATE TABLE ar_internal_metadata (key character varying PRIMARY KEY, value character varying,
       created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL)""",
)
_COLUMNS = f"""
SELECT c.relname::text, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, a.attidentity <> '',
       a.attname = ANY (array(SELECT k.attname FROM pg_index i JOIN pg_attribute k
                               ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey)
                            WHERE i.indrelid = c.oid AND i.indisunique))
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relname = ANY (%s) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
   AND c.relnamespace = {_NAMESPACE}
 ORDER BY 1, a.attnum
"""
_EXTENSIONS = f"""
SELECT DISTINCT quote_ident(e.extname)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = a.atttypid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE} AND a.attnum > 0 ORDER BY 1
"""
# Foreign keys last, of the three on the three only.
_CONSTRAINTS = f"""
SELECT c.relname::text, quote_ident(k.conname), pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class f ON f.oid = k.confrelid
 WHERE c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE} AND k.contype IN ('p', 'u', 'c', 'x', 'f')
   AND (f.oid IS NULL OR f.relname = ANY (%s) AND f.relnamespace = c.relnamespace)
 ORDER BY k.contype = 'f', k.contype <> 'p', 1, 2
"""
_INDEXES = f"""
SELECT pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE}
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
 ORDER BY 1
"""
_NEXT = re.compile(r"nextval\('(.+)'::regclass\)")
_LENGTH = re.compile(r"\((\d+)\)")
_REFERENCES = {("posts", "user_id"): "users", ("likes", "user_id"): "users", ("likes", "post_id"): "posts"}
# By the beginning of the type's name; the number of the row is g.
_VALUES = (
    ("timestamp", "timestamp '2026-01-01 08:00' + g * interval '1 minute'"),
    ("date", "date '2026-01-01' + g"),
    ("json", "'{}'"),
    ("boolean", "false"),
    ("uuid", "gen_random_uuid()"),
    ("bytea", "''"),
    ("inet", "'127.0.0.1'"),
    ("time", "'12:00'"),
    ("interval", "'1 hour'"),
    *((name, "g % 30000") for name in ("smallint", "integer", "bigint", "numeric", "real", "double")),
)


@dataclass(frozen=True, slots=True)
class LikeColumn:
    """A column of such a table; `name`, `type` and `default` as SQL."""

    table: str
    name: str
    type: str
    not_null: bool
    default: str | None
    is_identity: bool
    is_unique: bool


class Likeness:
    """Makes the likeness of one MyHub on another database.

    Args:
        original: where MyHub is; it is only read. copy: an empty database with the same current schema.
        tables: names of the tables, each after those that it refers to.
    """

    def __init__(self, original: MigrationDatabase, copy: MigrationDatabase, tables: Sequence[str] = TABLES) -> None:
        self.copy, self.tables = copy, tuple(tables)
        names = list(tables)
        self._columns = [LikeColumn(*row) for row in original.execute_sql(_COLUMNS, (names,)).fetchall()]
        self._extensions = [name for (name,) in original.execute_sql(_EXTENSIONS, (names,)).fetchall()]
        self._constraints = original.execute_sql(_CONSTRAINTS, (names, names)).fetchall()
        self._indexes = [text for (text,) in original.execute_sql(_INDEXES, (names,)).fetchall()]

    def make(self, rows: Mapping[str, int]) -> None:
        """Make the tables, fill them with so many rows each, then make their keys and indexes."""
        for name in self._extensions:
            self._tried(f"CREATE EXTENSION IF NOT EXISTS {name}")
        for statement in _RAILS_TABLES:
            self.copy.command(statement)
        for table in self.tables:
            self._make(table, rows)
        for table, name, definition in self._constraints:
            self._tried(f"ALTER TABLE {quote_identifier(table)} ADD CONSTRAINT {name} {definition}")
        for definition in self._indexes:
            self._tried(definition)
        self.copy.command(f"ANALYZE {', '.join(map(quote_identifier, self.tables))}")

    def _make(self, table: str, rows: Mapping[str, int]) -> None:
        columns = [column for column in self._columns if column.table == table]
        parts = [f"{each.name} {self._type(each)}{' NOT NULL' if each.not_null else ''}" for each in columns]
        name = quote_identifier(table)
        self.copy.command(f"CREATE TABLE {name} ({', '.join(parts)})")
        for column in columns:
            for statement in _own_numbers(column):
                self._tried(statement)
        values = {each.name: value for each in columns if (value := self._value(each, rows)) is not None}
        self._tried(
            f"INSERT INTO {name} ({', '.join(values)}) SELECT {', '.join(values.values())} "
            f"FROM generate_series(1, {rows[table]:d}) AS g"
            if values
            else f"INSERT INTO {name} DEFAULT VALUES"
        )

    def _type(self, column: LikeColumn) -> str:
        known = self.copy.one("SELECT to_regtype(%s)", _LENGTH.sub("", column.type)) is not None
        return column.type if known else "text"

    def _value(self, column: LikeColumn, rows: Mapping[str, int]) -> str | None:
        parent = _REFERENCES.get((column.table, column.name))
        if column.name == "id":
            return None
        if parent is not None:
            # Pairs that are all different, as long as there are as many.
            first = column.name == "user_id"
            place = "g" if first else f"(g / {max(rows['users'], 1):d} + g)"
            return f"(SELECT array_agg(id) FROM {parent})[1 + {place} % {max(rows[parent], 1):d}]"
        if column.name == "email":
            return "'User' || g || '@Example.org'"
        return self._plain(column) if column.not_null or column.is_unique or column.default is None else None

    def _plain(self, column: LikeColumn) -> str | None:
        kind = self._type(column)
        for beginning, value in _VALUES:
            if kind.startswith(beginning) and not kind.endswith("[]"):
                return "g" if column.is_unique and value.startswith("g ") else value
        if kind.endswith("[]"):
            return "'{}'"
        if kind.startswith(("character", "text", "citext")):
            length = _LENGTH.search(kind)
            return f"right('made up ' || g, {length[1] if length else 60})"
        return None

    def _tried(self, statement: str) -> None:
        try:
            with self.copy.atomic():
                self.copy.command(statement)
        except peewee.PeeweeException as error:
            logger.info("left out of the rehearsal: %s (%s)", statement, str(error).strip().partition("\n")[0])


def _own_numbers(column: LikeColumn) -> Iterator[str]:
    table = quote_identifier(column.table)
    change = f"ALTER TABLE {table} ALTER COLUMN {column.name}"
    if column.is_identity:
        yield f"{change} ADD GENERATED BY DEFAULT AS IDENTITY"
    sequence = _NEXT.fullmatch(column.default or "")
    if sequence is not None:
        yield f"CREATE SEQUENCE {sequence[1]} OWNED BY {table}.{column.name}"
    if column.default is not None:
        yield f"{change} SET DEFAULT {column.default}"


def sample_of(
    database: MigrationDatabase, tables: Sequence[str] = TABLES, most: int = SAMPLE_ROWS
) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows the tables have, and how many their likeness gets."""
    counts = {name: int(database.one(f"SELECT count(*) FROM {quote_identifier(name)}")) for name in tables}
    return counts, {name: min(count, most) for name, count in counts.items()}
