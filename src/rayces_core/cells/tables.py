"""The tables that a tenant has rows in, in one cell: every one, the host's and what archives leave behind as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.archive.catalogue import Found, found_tables
from rayces_core.cells.connecting import one, rows
from rayces_core.database.database import Database
from rayces_core.errors import MoveError, PermissionDeniedError
from rayces_core.migrating.history import APPLIED, IS_HISTORY
from rayces_core.migrations.session import quote_identifier
from rayces_core.models import Organization

# How far it is on its way is said of each cell's own row.
OF_THE_MOVE: Final = ("moving", "moving_cell")
MESSAGES: Final = "outbox_messages"
OURS: Final = "rayces_migrations"


@dataclass(frozen=True, slots=True)
class Moved:
    """A table whose rows of one tenant are moved.

    Attributes:
        name: in messages. sql: its name in SQL. held_by: the column that says whose a row is.
        columns: column → type, of what is copied. ordered: what its rows are put in order by, as SQL.
        rules: what its rows have to keep to, as SQL.
    """

    name: str
    sql: str
    held_by: str
    columns: dict[str, str]
    ordered: str
    rules: frozenset[str] = frozenset()

    @property
    def listed(self) -> str:
        """Its columns as SQL."""
        return ", ".join(map(quote_identifier, self.columns))

    def rows_of(self, organization_id: int) -> str:
        """The query of the tenant's rows, in an order that is the same everywhere."""
        return (
            f"SELECT {self.listed} FROM {self.sql} WHERE {self.held_by} = {organization_id:d} ORDER BY {self.ordered}"
        )


def moved_tables(database: Database[Organization]) -> list[Moved]:
    """The tables of a cell's tenants, `organizations` first.

    Raises:
        MoveError: privileged work may not read or write one of them.
    """
    with database.privileged(reason="the tables that a tenant is moved with"):
        found = found_tables()
        schema = next((each.schema for each in found if each.is_home), "public")
        types = database.execute_sql(_OF_ORGANIZATIONS).fetchall()
        kept_to = {_qualified(*name): given for *name, given in database.execute_sql(_RULES).fetchall()}
    refused = [
        f"{each.name}.{column.name}"
        for each in found
        for column in each.columns.values()
        if not column.generated and not (column.readable and column.insertable)
    ]
    if refused:
        raise MoveError(
            f"{database.admin_role} may not read or write {', '.join(refused)[:200]}: GRANT SELECT, INSERT, UPDATE, "
            "DELETE on them to it, so that a tenant can be moved with all it has"
        )
    kept = {name: type_ for name, type_ in types if name not in OF_THE_MOVE}
    root = Moved("organizations", _qualified(schema, "organizations"), "id", kept, "id")
    tables = [root, *map(_moved, found)]
    return [replace(each, rules=frozenset(kept_to.get(each.sql, ()))) for each in tables]


_OF_ORGANIZATIONS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = to_regclass('organizations') AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attname COLLATE "C"
"""
# Each row that one cell has taken the other has to take as well, and to refuse what the first would have refused: a
# constraint, a unique index that is none, and what is said of a column. NOT NULL is said of the column, as it has been
# a constraint of its own since PostgreSQL 18 alone. A name is nothing that a row keeps to.
_RULES: Final = """
SELECT n.nspname::text, c.relname::text, array_agg(said.rule)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
       SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
       UNION ALL
       SELECT concat('UNIQUE INDEX', substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'),
                     CASE WHEN NOT i.indisvalid THEN ' NOT VALID' END)
         FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
              AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid)
       UNION ALL
       SELECT concat_ws(' ', a.attname, CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                        CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
                        CASE WHEN t.typnotnull THEN 'NOT NULL of its type' END,
                        (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY pg_get_constraintdef(k.oid))
                           FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
                        (SELECT string_agg(quote_literal(e.enumlabel), ' ' ORDER BY e.enumsortorder)
                           FROM pg_enum e WHERE e.enumtypid = t.oid))
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
              LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS said (rule)
 WHERE c.relkind IN ('r', 'p') GROUP BY n.nspname, c.relname
"""


def _moved(found: Found) -> Moved:
    kept = {column.name: column.type for column in found.columns.values() if not column.generated}
    ordered = [
        quote_identifier(each) if found.columns[each].whole else f'{quote_identifier(each)}::text COLLATE "C"'
        for each in (found.key or tuple(kept))
    ]
    sql = _qualified(found.schema, found.relation)
    return Moved(found.name, sql, "organization_id", kept, ", ".join(ordered))


def _qualified(schema: str, name: str) -> str:
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"


def hanging(connection: Connection, tables: list[Moved], organization_id: int) -> list[str]:
    """The tables without organization_id whose rows refer to the tenant's, and so would neither be moved nor kept.

    A key that does not say whose the row is it refers to, or a table that may not be read, counts as well.
    """
    values = {"tables": [each.sql for each in tables], "held_by": [each.held_by for each in tables]}
    found = rows(connection, _HANGING, values)
    return sorted({name for name, column in found if _refers(connection, name, column, organization_id)})


_HANGING: Final = """
WITH moved AS (SELECT * FROM unnest(%(tables)s::regclass[], %(held_by)s::name[]) AS m(oid, held_by))
SELECT k.conrelid::regclass::text,
       (SELECT quote_ident(own.attname) FROM unnest(k.conkey, k.confkey) AS pair(own, there)
          JOIN pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = pair.own
          JOIN pg_attribute there ON there.attrelid = k.confrelid AND there.attnum = pair.there
         WHERE there.attname = moved.held_by)
  FROM pg_constraint k JOIN moved ON moved.oid = k.confrelid JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition AND k.conrelid NOT IN (SELECT oid FROM moved)
"""


def _refers(connection: Connection, table: str, column: str | None, organization_id: int) -> bool:
    whose = "" if column is None else f" WHERE {column} = {organization_id:d}"
    try:
        return bool(one(connection, f"SELECT EXISTS (SELECT FROM {table}{whose})")[0])
    except PermissionDeniedError:
        return True


def alike(source: list[Moved], target: list[Moved], cell: str) -> None:
    """Raise MoveError unless both cells have the same tables, whose columns and rules are the same."""
    ours, theirs = ({each.name: (each.columns, each.rules) for each in tables} for tables in (source, target))
    unlike = sorted(name for name in ours.keys() | theirs if ours.get(name) != theirs.get(name))
    if unlike:
        raise MoveError(
            f"the tables of cell {cell!r} are not those of the tenant's own ({', '.join(unlike)[:200]}); bring both to "
            "the same migrations with `rayces cells migrate`, and the host's own files as well"
        )


def same_migrations(source: Database[Organization], target: Database[Organization], cell: str) -> None:
    """Raise MoveError unless both cells have been through the same migrations, the host's as well as the library's."""
    ours, theirs = _applied(source), _applied(target)
    if unlike := sorted(ours ^ theirs):
        raise MoveError(
            f"cell {cell!r} has not been through the same migrations as the tenant's own ({', '.join(unlike)[:200]}); "
            "bring both up to date with `rayces cells migrate`, and with `rayces migrate up` of the host's own"
        )


def _applied(database: Database[Organization]) -> set[str]:
    """Names of migrations that are applied; those of a host with its history's before them."""
    with database.privileged(reason="the migrations of a cell"):
        histories = database.execute_sql(_HISTORIES).fetchall()
        return {
            name if table == OURS else f"{table}: {name}"
            for schema, table in histories
            for (name,) in database.execute_sql(
                f"SELECT name FROM {_qualified(schema, table)} WHERE state = '{APPLIED}'"
            ).fetchall()
        }


_HISTORIES: Final = f"""
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {IS_HISTORY}
"""
