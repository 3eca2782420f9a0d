"""Holds one tenant's rows in one cell: whoever writes them is told TenantMovingError, and whoever reads them is not.

Triggers do it, for the time of a move and with a condition that no other tenant's row meets. Making one waits for the
units of work that have written the table and keeps new ones waiting behind it, so it asks for a moment only, gives way
and asks again; once it is made, whatever was written before is committed or gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells.connecting import one, rows, unit
from rayces_core.cells.tables import MESSAGES, Moved
from rayces_core.errors import LockTimeoutError, MoveError
from rayces_core.migrations.session import quote_identifier

MOMENT_MS: Final = 100  # how long others may have to wait behind it
PAUSE_SECONDS: Final = 0.4
PATIENCE_SECONDS: Final = 120.0
DRAIN_SECONDS: Final = 10.0

_UNSETTLED: Final = """
SELECT count(*) FROM outbox_messages
 WHERE organization_id = %s AND settled_at IS NULL AND attempts > 0 AND last_error IS NULL
   AND available_at > clock_timestamp()"""


def say(connection: Connection, admin_role: str, organization_id: int, state: str | None, cell: str | None) -> None:
    """Note in the tenant's own row how far it is."""
    with unit(connection, local=as_mover(admin_role, organization_id)) as cursor:
        cursor.execute(
            "UPDATE organizations SET moving = %s, moving_cell = %s "
            "WHERE id = %s AND (moving, moving_cell) IS DISTINCT FROM (%s::varchar, %s::varchar)",
            (state, cell, organization_id, state, cell),
        )


def as_mover(admin_role: str, organization_id: int) -> tuple[str, ...]:
    """The settings of a unit of work that may write a tenant who is held, as privileged work."""
    return (
        f"SET LOCAL ROLE {quote_identifier(admin_role)}",
        f"SET LOCAL rayces.moving TO '{organization_id:d}'",
        "SET LOCAL rayces.restoring TO 'on'",
    )


def drain(connection: Connection, admin_role: str, organization_id: int) -> None:
    """Wait a while for what a relay is delivering, so that it is told once; what comes back later is told again."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        with unit(connection, local=(f"SET LOCAL ROLE {quote_identifier(admin_role)}",)) as cursor:
            cursor.execute(_UNSETTLED, (organization_id,))
            if cursor.fetchone()[0] == 0:
                return
        time.sleep(PAUSE_SECONDS)


def freeze(connection: Connection, tables: Iterable[Moved], organization_id: int) -> None:
    """Hold the tenant's rows of every table; messages last, so that what was delivered is noted."""
    for table in sorted(tables, key=lambda each: each.name == MESSAGES):
        patiently(lambda table=table: _hold(connection, table, organization_id), table)  # type: ignore[misc]


def thaw(connection: Connection, tables: Iterable[Moved], organization_id: int) -> None:
    """Let the tenant's rows be written again."""
    for table in tables:
        if _held(connection, table, organization_id):
            patiently(lambda table=table: _let_go(connection, table, organization_id), table)  # type: ignore[misc]


def _hold(connection: Connection, table: Moved, organization_id: int) -> None:
    kind = ", 'messages'" if table.name == MESSAGES else ""
    does = f"EXECUTE FUNCTION rayces_cells.refuse_moving('{organization_id:d}'{kind})"
    inserting, changing = _names(organization_id)
    held = table.held_by
    with unit(connection, local=(f"SET LOCAL lock_timeout TO '{MOMENT_MS}ms'",)) as cursor:
        cursor.execute(
            f"CREATE OR REPLACE TRIGGER {inserting} BEFORE INSERT ON {table.sql} FOR EACH ROW "
            f"WHEN (NEW.{held} = {organization_id:d}) {does}; "
            f"CREATE OR REPLACE TRIGGER {changing} BEFORE UPDATE OR DELETE ON {table.sql} FOR EACH ROW "
            f"WHEN (OLD.{held} = {organization_id:d}) {does}"
        )


def open_for(connection: Connection, table: Moved, organization_id: int, role: str) -> None:
    """Let a role delete the tenant's rows of a table, as far as policies go, until it is let go."""
    with unit(connection, local=(f"SET LOCAL lock_timeout TO '{MOMENT_MS}ms'",)) as cursor:
        cursor.execute(
            f"DROP POLICY IF EXISTS rayces_moving_{organization_id:d} ON {table.sql}; "
            f"CREATE POLICY rayces_moving_{organization_id:d} ON {table.sql} FOR DELETE TO {quote_identifier(role)} "
            f"USING ({table.held_by} = {organization_id:d})"
        )


def _let_go(connection: Connection, table: Moved, organization_id: int) -> None:
    with unit(connection, local=(f"SET LOCAL lock_timeout TO '{MOMENT_MS}ms'",)) as cursor:
        for name in _names(organization_id):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table.sql}")
        cursor.execute(f"DROP POLICY IF EXISTS rayces_moving_{organization_id:d} ON {table.sql}")


def _held(connection: Connection, table: Moved, organization_id: int) -> bool:
    found = one(
        connection,
        "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND tgname = ANY (%(names)s)) "
        "     + (SELECT count(*) FROM pg_policy WHERE polrelid = %(table)s::regclass AND polname = %(policy)s)",
        {
            "table": table.sql,
            "names": list(_names(organization_id)),
            "policy": f"rayces_moving_{organization_id:d}",
        },
    )
    return bool(found[0])


def _names(organization_id: int) -> tuple[str, str]:
    return f"rayces_moving_{organization_id:d}_insert", f"rayces_moving_{organization_id:d}_change"


def patiently(attempt: Callable[[], None], table: Moved) -> None:
    """Try it until it has the lock; raises MoveError after two minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except LockTimeoutError as error:
            if time.monotonic() > until:
                raise MoveError(
                    f"somebody has kept {table.name} locked for {PATIENCE_SECONDS:g} s, such as a long import; run "
                    "the command again once that has ended, or cancel the move"
                ) from error
        time.sleep(PAUSE_SECONDS)


def held_tenants(connection: Connection) -> dict[int, list[str]]:
    """The tenants that are held in a cell → the tables that hold them."""
    found: dict[int, list[str]] = {}
    for name, table in rows(
        connection,
        "SELECT tgname::text, tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ '^rayces_moving_[0-9]+_change$' "
        "ORDER BY 2",
    ):
        found.setdefault(int(name.split("_")[2]), []).append(table)
    return found
