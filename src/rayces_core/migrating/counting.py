"""How many rows there are, whoever they belong to: read by a login that row-level security may keep from them.

Rule it guards: a count that is wrong is worse than none. Where policies would hide rows, the privileged role is asked;
where that may not read either, only whether the table is empty is known. A table that takes too long is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import peewee

from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

PATIENCE_MS = 5_000

# Instead of hiding rows, the server refuses.
_OPENLY = "SET LOCAL row_security = off"
_PATIENTLY = f"SET LOCAL statement_timeout = {PATIENCE_MS}; SET LOCAL lock_timeout = {PATIENCE_MS}"
_TOO_SLOW = ("57014", "55P03")
_DENIED = "42501"
_ESTIMATE = "SELECT greatest(reltuples, 1)::bigint FROM pg_class WHERE oid = %s::regclass"
_SIZE = "SELECT pg_relation_size(%s::regclass)"


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows; `rows` is None where there are some and nobody may count them."""

    rows: int | None
    is_estimate: bool = False

    def __bool__(self) -> bool:
        """Whether there are any, as far as is known."""
        return self.rows != 0

    def __str__(self) -> str:
        """As a sentence says it: 3 rows, about 12000 rows, rows that this login may not count."""
        if self.rows is None:
            return "rows that this login may not count"
        return f"{'about ' if self.is_estimate else ''}{self.rows} {'row' if self.rows == 1 else 'rows'}"


def counted(database: MigrationDatabase, table: str, condition: str = "") -> Count:
    """How many rows of `table`, as SQL, meet `condition`; estimated where that takes longer than five seconds.

    Raises peewee.DatabaseError where the condition is no SQL for this table.
    """
    where = f" WHERE {condition}" if condition else ""
    try:
        return Count(int(seen(database, f"SELECT count(*) FROM {table}{where}")))
    except peewee.DatabaseError as error:
        if sqlstate(error) in _TOO_SLOW:
            return Count(int(database.one(_ESTIMATE, table)), is_estimate=True)
        if sqlstate(error) != _DENIED:
            raise
        return Count(None if database.one(_SIZE, table) else 0)


def seen(database: MigrationDatabase, query: str) -> Any:
    """The first column of a query's first row, in which every row is seen; a literal % is doubled in it.

    Raises peewee.DatabaseError: rows are hidden from this login and from the privileged role (SQLSTATE 42501), it takes
    too long (57014, 55P03), or it is no SQL.
    """
    as_admin = f"SET LOCAL ROLE {quote_identifier(database.admin_role)}"
    try:
        return _asked(database, _OPENLY, query)
    except peewee.DatabaseError as error:
        if sqlstate(error) != _DENIED or not database.admin_role:
            raise
    return _asked(database, as_admin, query)


def _asked(database: MigrationDatabase, before: str, query: str) -> Any:
    with database.atomic() as asked:
        database.command(f"{before}; {_PATIENTLY}")
        row = database.execute_sql(query).fetchone()
        # What is set goes with its savepoint.
        asked.rollback(False)
    return row[0] if row else None
