"""Copies a tenant's rows from one cell into another, as they are: with their ids, and every column.

Rule it guards: they come in whole or not at all, in one unit of work. All tables are written by one statement, at whose
end the keys between them are checked, so no order of them and no circle is in the way.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells.connecting import rows, unit
from rayces_core.cells.freezing import as_mover, open_for
from rayces_core.cells.tables import MESSAGES, Moved
from rayces_core.database.waiting import waited_for_by
from rayces_core.errors import MoveError
from rayces_core.migrations.session import deaf_to_signals, quote_identifier

Progress = Callable[[str], None]
# One snapshot of all tables.
AS_OF_ONE_MOMENT: Final = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('rayces_cells ' || %s, 0))"
# Tables of which the admin role's policies let nothing be deleted.
_KEPT: Final = """
SELECT name FROM unnest(%(tables)s) AS c(name)
 WHERE NOT EXISTS (
       SELECT FROM pg_policy p WHERE p.polrelid = name::regclass AND p.polpermissive AND p.polcmd IN ('*', 'd')
          AND (SELECT oid FROM pg_roles WHERE rolname = %(role)s) = ANY (p.polroles))
"""
_NEEDED: Final = """
SELECT c.oid::regclass::text FROM unnest(%s::regclass[]) AS c(oid) WHERE NOT has_table_privilege(%s, c.oid, 'DELETE')
"""


def as_admin(admin_role: str) -> tuple[str, ...]:
    """The settings of a unit of work that reads every tenant."""
    return (f"SET LOCAL ROLE {quote_identifier(admin_role)}",)


def copy(
    source: Connection,
    target: Connection,
    tables: list[Moved],
    organization_id: int,
    *,
    roles: tuple[str, str],
    source_cell: str,
    progress: Progress | None,
) -> int:
    """Write the tenant's rows into the target; returns how many. Nothing is done where they are there already.

    Args:
        roles: the admin role in the source and in the target.
    """
    with unit(target, local=as_mover(roles[1], organization_id)) as into:
        into.execute(_LOCK, (organization_id,))  # a mover that was killed may still be at it on the server
        into.execute("SELECT moving FROM organizations WHERE id = %s", (organization_id,))
        if (there := into.fetchone()) is not None:
            return _refuse_other(there[0], into, tables, organization_id)
        with unit(source, begin=AS_OF_ONE_MOMENT, local=as_admin(roles[0])) as out, waited_for_by(None):
            filled = _filled(out, tables, organization_id)
            for number, table in enumerate(filled):
                if progress:
                    progress(table.name)
                into.execute(
                    f"CREATE TEMP TABLE rayces_moved_{number} ON COMMIT DROP AS "
                    f"SELECT {table.listed} FROM {table.sql} WITH NO DATA"
                )
                _pipe(out, f"COPY ({table.rows_of(organization_id)}) TO STDOUT", into, number)
        into.execute(_writing(filled), {"cell": source_cell})
        return sum(into.fetchone())


def _filled(cursor: Any, tables: list[Moved], organization_id: int) -> list[Moved]:
    """The tables that have rows of the tenant; most tenants have none in half of them."""
    exists = (f"EXISTS (SELECT FROM {table.sql} WHERE {table.held_by} = {organization_id:d})" for table in tables)
    cursor.execute(f"SELECT {', '.join(exists)}")
    return [table for table, has_rows in zip(tables, cursor.fetchone(), strict=True) if has_rows]


def _refuse_other(moving: str | None, cursor: Any, tables: list[Moved], organization_id: int) -> int:
    if moving not in ("arriving", "opening"):
        raise MoveError(
            f"the other cell has an organization {organization_id} of its own; `rayces cells doctor` says more"
        )
    return sum(_counted(cursor, table, organization_id) for table in tables)


def _counted(cursor: Any, table: Moved, organization_id: int) -> int:
    cursor.execute(f"SELECT count(*) FROM {table.sql} WHERE {table.held_by} = {organization_id:d}")
    return int(cursor.fetchone()[0])


def _writing(tables: list[Moved]) -> str:
    """One statement that writes what was staged, and counts it."""
    made = []
    for number, table in enumerate(tables):
        root = table.held_by == "id"
        listed, sql = (name.replace("%", "%%") for name in (table.listed, table.sql))
        into = f"{listed}{', moving, moving_cell' if root else ''}"
        values = f"{listed}{', $$arriving$$, %(cell)s' if root else ''}"
        made.append(
            f"m{number} AS (INSERT INTO {sql} ({into}) OVERRIDING SYSTEM VALUE "
            f"SELECT {values} FROM pg_temp.rayces_moved_{number} RETURNING 1)"
        )
    counts = ", ".join(f"(SELECT count(*) FROM m{number})" for number in range(len(tables)))
    return f"WITH {', '.join(made)} SELECT {counts}"


def _pipe(out: Any, query: str, into: Any, number: int) -> None:
    """Have the target read what the source writes, a piece at a time."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def send() -> None:
        deaf_to_signals()
        with os.fdopen(writing, "wb") as sink:
            try:
                out.copy_expert(query, sink)
            except BaseException as error:
                failed.append(error)

    sender = threading.Thread(target=send, name="rayces move", daemon=True)
    sender.start()
    try:
        with os.fdopen(reading, "rb") as source:
            into.copy_expert(f"COPY pg_temp.rayces_moved_{number} FROM STDIN", source)
    finally:
        sender.join()
    if failed:
        raise failed[0]


_NUMBERED_ANEW: Final = """
WITH gone AS (
    DELETE FROM {messages} WHERE organization_id = %(tenant)s AND settled_at IS NULL
       AND id NOT BETWEEN %(lowest)s AND %(highest)s
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = '{messages}'::regclass)
    RETURNING *
), made AS (
    INSERT INTO {messages} ({listed}) SELECT {listed} FROM gone ORDER BY id RETURNING id, message_id
)
UPDATE notices SET cause_id = made.id FROM made JOIN gone USING (message_id)
 WHERE notices.organization_id = %(tenant)s AND notices.event <> 'reminder' AND notices.cause_id = gone.id
"""


def number_anew(
    target: Connection, tables: list[Moved], organization_id: int, *, admin_role: str, ids: tuple[int, int]
) -> None:
    """Give the messages that wait ids of their new cell, in the order that they had: those of a subject go by ids.

    Done again it finds none. What was made of a message goes on knowing it. Where a table of the host refers to them
    they keep their ids.

    Args:
        ids: the lowest and the highest one of the cell.
    """
    messages = next(table for table in tables if table.name == MESSAGES)
    listed = ", ".join(quote_identifier(name) for name in messages.columns if name != "id")
    sql = _NUMBERED_ANEW.format(messages=messages.sql, listed=listed)
    with unit(target, local=as_mover(admin_role, organization_id)) as cursor:
        cursor.execute(sql, {"tenant": organization_id, "lowest": ids[0], "highest": ids[1]})


class _Digest:
    """A file that only counts and digests."""

    def __init__(self) -> None:
        self.sha256, self.rows = hashlib.sha256(), 0

    def write(self, piece: bytes) -> int:
        """What COPY TO STDOUT gives: a line in each piece."""
        self.sha256.update(piece)
        self.rows += piece.count(b"\n")
        return len(piece)


def checksums(
    connection: Connection, tables: list[Moved], organization_id: int, *, admin_role: str
) -> dict[str, tuple[str, int]]:
    """Table → the SHA-256 of the tenant's rows, ids included, and how many there are; as of one moment."""
    found = {table.name: (_Digest().sha256.hexdigest(), 0) for table in tables}
    with unit(connection, begin=AS_OF_ONE_MOMENT, local=as_admin(admin_role)) as cursor, waited_for_by(None):
        for table in _filled(cursor, tables, organization_id):
            digest: Any = _Digest()
            cursor.copy_expert(f"COPY ({table.rows_of(organization_id)}) TO STDOUT", digest)
            found[table.name] = (digest.sha256.hexdigest(), digest.rows)
    return found


def remove(
    connection: Connection, tables: list[Moved], organization_id: int, *, admin_role: str, states: tuple[str, ...]
) -> int:
    """Delete the tenant's rows from a cell that is not its home; returns how many, 0 where there are none any more.

    The ledger and the journal are kept for ever, so no role may delete from them. A policy opens the rows of this one
    tenant alone, until it is let go; the right itself is given within the unit of work that deletes, and by its end
    it is taken away, so that nobody else ever has it.

    Args:
        states: what the tenant's own row has to say of its move there.
    """
    _open(connection, tables, organization_id, admin_role)
    with unit(connection, local=(f"SET LOCAL rayces.moving TO '{organization_id:d}'",)) as cursor:
        cursor.execute(_LOCK, (organization_id,))
        with _deleting(cursor, tables, admin_role):
            cursor.execute("SELECT moving FROM organizations WHERE id = %s", (organization_id,))
            there = cursor.fetchone()
            if there is None:
                return 0
            if there[0] not in states:
                raise MoveError(f"organization {organization_id} is at home in that cell, so nothing is deleted there")
            gone = ", ".join(
                f"d{number} AS (DELETE FROM {table.sql} WHERE {table.held_by} = {organization_id:d} RETURNING 1)"
                for number, table in enumerate(tables)
            )
            counts = " + ".join(f"(SELECT count(*) FROM d{number})" for number in range(len(tables)))
            cursor.execute(f"WITH {gone} SELECT {counts}")
            return int(cursor.fetchone()[0])


def _open(connection: Connection, tables: list[Moved], organization_id: int, admin_role: str) -> None:
    by_sql = {table.sql: table for table in tables}
    kept = rows(connection, _KEPT, {"tables": list(by_sql), "role": admin_role})
    open_for(connection, [by_sql[name] for (name,) in kept], organization_id, admin_role)


@contextmanager
def _deleting(cursor: Any, tables: list[Moved], admin_role: str) -> Iterator[None]:
    role = quote_identifier(admin_role)
    cursor.execute(_NEEDED, ([table.sql for table in tables], admin_role))
    needed = [name for (name,) in cursor.fetchall()]
    if needed:
        cursor.execute(f"GRANT DELETE ON {', '.join(needed)} TO {role}")
    cursor.execute(f"SET LOCAL ROLE {role}")
    yield
    cursor.execute("RESET ROLE")
    if needed:
        cursor.execute(f"REVOKE DELETE ON {', '.join(needed)} FROM {role}")
