"""The statements that give a tenants' table another column while the application runs.

Rule it guards: the new column is held as the others are: a reference stays within its organization, and tenants may
write what they may write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.tenant_tables import (
    LONGEST_NAME_BYTES,
    Parent,
    foreign_key,
    held_by_the_walls,
    in_tenant,
    parent_of,
    quoted_table,
)


def column_statements(
    database: MigrationDatabase,
    table: str,
    name: str,
    definition: str,
    parent: str | Parent | None,
    *,
    editable: bool,
) -> Iterator[str]:
    """What adds the column; with a parent its key, checked beside the application, and its index."""
    held, column = quoted_table(table), quote_identifier(name)
    if parent is None:
        yield f"ALTER TABLE {held} ADD COLUMN {column} {definition}"
        yield held_by_the_walls(table)
    else:
        whole = parent_of(name, parent)
        kind = definition or f"{whole.type}{'' if whole.nullable else ' NOT NULL'}"
        yield f"ALTER TABLE {held} ADD COLUMN {column} {kind}"
        key = quote_identifier(_named(table, name, "fkey"))
        yield f"ALTER TABLE {held} ADD CONSTRAINT {key} {foreign_key(name, whole)} NOT VALID"
        yield f"ALTER TABLE {held} VALIDATE CONSTRAINT {key}"
        index = quote_identifier(_named(table, name, "idx"))
        yield f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {held} ({in_tenant([name])})"
    if editable:
        yield f"GRANT UPDATE ({column}) ON {held} TO {quote_identifier(database.app_role)}"


def _named(table: str, column: str, what: str) -> str:
    """As PostgreSQL names it, as far as that is short enough."""
    name = f"{table.rpartition('.')[2]}_organization_id_{column}_{what}"
    if len(name.encode()) <= LONGEST_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    kept = name.encode()[: LONGEST_NAME_BYTES - len(what) - len(digest) - 2].decode(errors="ignore")
    return f"{kept}_{digest}_{what}"
