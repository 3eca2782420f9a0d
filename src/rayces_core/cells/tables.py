"""The tables that a tenant has rows in, in one cell: every one, the host's and what archives leave behind as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.archive.catalogue import Found, found_tables
from rayces_core.cells.connecting import one, rows
from rayces_core.database.database import Database
from rayces_core.errors import MoveError, PermissionDeniedError
from rayces_core.migrations.session import quote_identifier
from rayces_core.models import Organization

# How far it is on its way is said of each cell's own row.
OF_THE_MOVE: Final = ("moving", "moving_cell")
MESSAGES: Final = "outbox_messages"


@dataclass(frozen=True, slots=True)
class Moved:
    """A table whose rows of one tenant are moved.

    Attributes:
        name: in messages. sql: its name in SQL. held_by: the column that says whose a row is.
        columns: column → type, of what is copied. ordered: what its rows are put in order by, as SQL.
        constraints: what its rows have to keep to, as SQL.
    """

    name: str
    sql: str
    held_by: str
    columns: dict[str, str]
    ordered: str
    constraints: frozenset[str] = frozenset()

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
        kept_to = {_qualified(*name): given for *name, given in database.execute_sql(_CONSTRAINTS).fetchall()}
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
    return [replace(each, constraints=frozenset(kept_to.get(each.sql, ()))) for each in tables]


_OF_ORGANIZATIONS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = to_regclass('organizations') AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attname COLLATE "C"
"""
# Not what is NOT NULL, which has been a constraint of its own since PostgreSQL 18 alone.
_CONSTRAINTS: Final = """
SELECT n.nspname::text, c.relname::text, array_agg(pg_get_constraintdef(k.oid))
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 GROUP BY n.nspname, c.relname
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
    """Raise MoveError unless both cells have the same tables with the same columns and constraints."""
    ours, theirs = ({each.name: (each.columns, each.constraints) for each in tables} for tables in (source, target))
    unlike = sorted(name for name in ours.keys() | theirs if ours.get(name) != theirs.get(name))
    if unlike:
        raise MoveError(
            f"the tables of cell {cell!r} are not those of the tenant's own ({', '.join(unlike)[:200]}); bring both to "
            "the same migrations with `rayces cells migrate`, and the host's own files as well"
        )


def same_migrations(source: Database[Organization], target: Database[Organization], cell: str) -> None:
    """Raise MoveError unless both cells have been through the same migrations of the library."""
    ours, theirs = _applied(source), _applied(target)
    if unlike := sorted(ours ^ theirs):
        raise MoveError(
            f"cell {cell!r} has not been through the same migrations as the tenant's own ({', '.join(unlike)[:200]}); "
            "bring both up to date with `rayces cells migrate`"
        )


def _applied(database: Database[Organization]) -> set[str]:
    with database.privileged(reason="the migrations of a cell"):
        found = database.execute_sql("SELECT name FROM rayces_migrations WHERE state = 'applied'").fetchall()
    return {name for (name,) in found}
