"""Holds one tenant's rows in one cell: whoever writes them is told TenantMovingError, and whoever reads them is not.

Policies of the tenant's own refuse reading as well, on whatever way, once its row says that it has left. They are there
before anything is held, so that saying so is all that it takes, and no lock is waited for then.

Triggers do it, for the time of a move and with a condition that no other tenant's row meets. Making one waits for the
units of work that have written the table and keeps new ones waiting behind it, so it asks for a moment only, gives way
and asks again; once it is made, whatever was written before is committed or gone. Where nobody is in the way, a unit of
work changes some tables at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells.connecting import rows, unit
from rayces_core.cells.tables import MESSAGES, Moved
from rayces_core.errors import LockTimeoutError, MoveError
from rayces_core.migrations.session import quote_identifier, reader_of

MOMENT_MS: Final = 100  # how long others may have to wait behind it
TOGETHER: Final = 12  # tables of a unit of work, for whose length others wait
TOGETHER_MS: Final = 5  # how long it waits for any of them
PAUSE_SECONDS: Final = 0.4
PATIENCE_SECONDS: Final = 120.0
DRAIN_SECONDS: Final = 10.0
BOUND: Final = "nullif(current_setting('rayces.organization_id', true), '')::bigint"
LOCKING: Final = "rayces cells lock"  # the connection that holds a tenant's lock is called so

_UNSETTLED: Final = """
SELECT EXISTS (SELECT FROM outbox_messages
                WHERE organization_id = %(tenant)s AND settled_at IS NULL AND attempts > 0 AND last_error IS NULL
                  AND available_at > clock_timestamp())
    OR EXISTS (SELECT FROM notices
                WHERE organization_id = %(tenant)s AND state = 'queued' AND attempts > 0 AND reason IS NULL
                  AND retry_at > clock_timestamp())"""


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
    """Wait a while for what is being delivered, so that it is told once; what comes back later is told again."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        with unit(connection, local=(f"SET LOCAL ROLE {quote_identifier(admin_role)}",)) as cursor:
            cursor.execute(_UNSETTLED, {"tenant": organization_id})
            if not cursor.fetchone()[0]:
                return
        time.sleep(PAUSE_SECONDS)


def freeze(connection: Connection, tables: Iterable[Moved], organization_id: int) -> None:
    """Hold the tenant's rows of every table; messages last, so that what was delivered is noted."""
    in_order = sorted(tables, key=lambda each: each.name == MESSAGES)
    change(connection, in_order, lambda table: _holding(table, organization_id))


def thaw(connection: Connection, tables: Iterable[Moved], organization_id: int) -> None:
    """Let the tenant's rows be written again."""
    held = _held(connection, tables, organization_id)
    change(connection, held, lambda table: drops(organization_id, table.sql))


def watch(
    connection: Connection, tables: Iterable[Moved], organization_id: int, *, app_role: str, admin_role: str
) -> None:
    """Have statements that are bound to the tenant refused from when its row says that it has left; not yet.

    Being an equality of the tenant's column, as the table's own policy is, it is worked out before any row is looked
    for: whoever asks for what the old copy has not is refused as well. Of another tenant nothing but its number is
    compared.
    """
    roles = ", ".join(map(quote_identifier, (app_role, reader_of(admin_role))))
    admin = admin_role.replace("'", "''")
    bound = (
        f"CASE WHEN {BOUND} <> {organization_id:d} THEN {BOUND} "
        f"ELSE rayces_cells.bound_here({organization_id:d}, '{admin}') END"
    )
    name = _reading(organization_id)
    change(
        connection,
        [table for table in tables if table.held_by != "id"],  # who it is and where to is there to be read
        lambda table: (
            f"DROP POLICY IF EXISTS {name} ON {table.sql}; CREATE POLICY {name} ON {table.sql} "
            f"AS RESTRICTIVE TO {roles} USING ({table.held_by} = {bound})"
        ),
    )


def _holding(table: Moved, organization_id: int) -> str:
    kind = ", 'messages'" if table.name == MESSAGES else ""
    does = f"EXECUTE FUNCTION rayces_cells.refuse_moving('{organization_id:d}'{kind})"
    inserting, changing = _names(organization_id)
    held = table.held_by
    return (
        f"CREATE OR REPLACE TRIGGER {inserting} BEFORE INSERT ON {table.sql} FOR EACH ROW "
        f"WHEN (NEW.{held} = {organization_id:d}) {does}; "
        f"CREATE OR REPLACE TRIGGER {changing} BEFORE UPDATE OR DELETE ON {table.sql} FOR EACH ROW "
        f"WHEN (OLD.{held} = {organization_id:d}) {does}"
    )


def open_for(connection: Connection, tables: Iterable[Moved], organization_id: int, role: str) -> None:
    """Let a role delete the tenant's rows of some tables, as far as policies go, until they are let go."""
    name, to = f"rayces_moving_{organization_id:d}", quote_identifier(role)
    change(
        connection,
        tables,
        lambda table: (
            f"DROP POLICY IF EXISTS {name} ON {table.sql}; CREATE POLICY {name} ON {table.sql} "
            f"FOR DELETE TO {to} USING ({table.held_by} = {organization_id:d})"
        ),
    )


def drops(organization_id: int, table: str) -> str:
    """The SQL that takes away from a table whatever holds a tenant."""
    triggers = (f"DROP TRIGGER IF EXISTS {name} ON {table};" for name in _names(organization_id))
    policies = (f"DROP POLICY IF EXISTS {name} ON {table};" for name in _policies(organization_id))
    return " ".join((*triggers, *policies))


def unheld(connection: Connection, tables: Iterable[Moved], organization_id: int) -> list[str]:
    """The names of those of the tables that nothing holds, such as one that a migration has made meanwhile."""
    given = list(tables)
    held = {table.sql for table in _held(connection, given, organization_id)}
    return [table.name for table in given if table.sql not in held]


def _held(connection: Connection, tables: Iterable[Moved], organization_id: int) -> list[Moved]:
    """Those of the tables that have anything which holds the tenant."""
    names = {"names": list(_names(organization_id)), "policies": list(_policies(organization_id))}
    by_sql = {table.sql: table for table in tables}
    found = rows(connection, _HOLDING, {"tables": list(by_sql), **names})
    return [by_sql[name] for (name,) in found]


_HOLDING: Final = """
SELECT name FROM unnest(%(tables)s) WITH ORDINALITY AS t(name, place)
 WHERE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = name::regclass AND tgname = ANY (%(names)s))
    OR EXISTS (SELECT FROM pg_policy WHERE polrelid = name::regclass AND polname = ANY (%(policies)s))
 ORDER BY place
"""


def _names(organization_id: int) -> tuple[str, str]:
    return f"rayces_moving_{organization_id:d}_insert", f"rayces_moving_{organization_id:d}_change"


def _policies(organization_id: int) -> tuple[str, str]:
    return f"rayces_moving_{organization_id:d}", _reading(organization_id)


def _reading(organization_id: int) -> str:
    return f"rayces_moving_{organization_id:d}_read"


def outlast(connection: Connection, cell: str) -> None:
    """Wait for the units of work that go on in this database; raises MoveError after two minutes.

    Which tenant's they are cannot be seen. Those of movers, which hold a lock and read no tenant, are left out.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    begun = set(rows(connection, _UNDER_WAY, (LOCKING,)))
    while begun := begun & set(rows(connection, _UNDER_WAY, (LOCKING,))):
        if time.monotonic() > until:
            processes = ", ".join(sorted(str(process) for process, _ in begun))
            raise MoveError(
                f"units of work that were begun before go on in cell {cell!r} (processes {processes[:100]}), and one "
                "that has read the old copy would find its rows gone; let them end, or end them with "
                "pg_terminate_backend, and finish the move then"
            )
        time.sleep(PAUSE_SECONDS)


# Every transaction has a lock of its own number; whose it is, and since when, only some may see.
_UNDER_WAY: Final = """
SELECT l.pid, l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND a.usesysid IS NOT NULL
   AND l.pid <> pg_backend_pid() AND coalesce(a.application_name, '') <> %s
"""


def change(connection: Connection, tables: Iterable[Moved], sql: Callable[[Moved], str]) -> None:
    """Run what `sql` gives for each table: for some at once where nobody has them locked, else for one after the other.

    Raises:
        MoveError: somebody has had one locked for two minutes.
    """
    waiting = list(tables)
    while waiting:
        some, waiting = waiting[:TOGETHER], waiting[TOGETHER:]
        try:
            _run(connection, "; ".join(map(sql, some)), TOGETHER_MS)
        except LockTimeoutError:
            for table in some:
                _patiently(connection, table, sql(table))


def _run(connection: Connection, sql: str, milliseconds: int) -> None:
    with unit(connection, local=(f"SET LOCAL lock_timeout TO '{milliseconds}ms'",)) as cursor:
        cursor.execute(sql)


def _patiently(connection: Connection, table: Moved, sql: str) -> None:
    """Try it until it has the lock; raises MoveError after two minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _run(connection, sql, MOMENT_MS)
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
