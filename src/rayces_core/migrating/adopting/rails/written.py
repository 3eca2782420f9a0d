"""Whether rows were written since an adoption, so that nobody loses them by going back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_COLUMNS = """
SELECT a.attname::text FROM pg_attribute a
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1
"""
Digest = dict[str, Any]


def digests(database: MigrationDatabase, tables: Sequence[str], schema: str) -> dict[str, Digest]:
    """Table → its columns, and a number that any change of a row changes; `schema`, as SQL, is where they are."""
    with database.atomic():
        database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
        made = {}
        for table in tables:
            path = f"{schema}.{quote_identifier(table)}"
            columns = [name for (name,) in database.execute_sql(_COLUMNS, (path,)).fetchall()]
            made[table] = {"columns": columns, "sum": _sum(database, path, columns)}
        database.command("RESET ROLE")
    return made


def written_since(database: MigrationDatabase, then: Mapping[str, Digest], tables: Sequence[str]) -> list[str]:
    """The tables in which something was written since; one that was made later counts if it has a row."""
    with database.atomic():
        database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
        return [table for table in tables if _there(database, table) and _differs(database, table, then.get(table))]


def _differs(database: MigrationDatabase, table: str, then: Digest | None) -> bool:
    if then is None:
        return bool(database.one(f"SELECT true FROM {_path(database, table)} LIMIT 1"))
    return bool(_sum(database, _path(database, table), then["columns"]) != then["sum"])


def _sum(database: MigrationDatabase, path: str, columns: Sequence[str]) -> str:
    row = ", ".join(f"t.{quote_identifier(name)}" for name in columns)
    total = f"count(*) || '/' || coalesce(sum(hashtextextended(ROW({row})::text, 0)), 0)"
    return str(database.one(f"SELECT {total} FROM {path} AS t"))


def _path(database: MigrationDatabase, table: str) -> str:
    return f"{quote_identifier(database.schema)}.{quote_identifier(table)}"


def _there(database: MigrationDatabase, table: str) -> bool:
    return bool(database.one("SELECT to_regclass(%s) IS NOT NULL", _path(database, table)))
