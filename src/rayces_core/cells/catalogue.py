"""The catalogue: which cell each tenant lives in, and how far a move is. A schema of its own in one database.

Rule it guards: a subdomain and an id are there once, whatever cell they are of, and a look-up by an application's login
shows the one row that is asked for, so that no tenant's SQL lists the others.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells.connecting import connect, connected, one, rows, unit
from rayces_core.cells.freezing import LOCKING
from rayces_core.cells.placements import Placement
from rayces_core.cells.schema import CATALOGUE, OPEN_TO_ROLES
from rayces_core.cells.steps import ENDED, Move
from rayces_core.database.constraints import translate
from rayces_core.database.tenants import may_exist
from rayces_core.errors import CellError, ConnectionLostError, MoveError, UnknownTableError
from rayces_core.errors.base import NOT_COMMITTED
from rayces_core.migrations.session import quote_identifier

KEPT_CONNECTIONS: Final = 8
LOCK_SECONDS: Final = 15

_PLACEMENT: Final = "subdomain, id, cell, state"
_FIND: Final = f"""
SELECT {_PLACEMENT}, (SELECT trusted_seconds FROM rayces_cells.settings) FROM rayces_cells.tenants
 WHERE {{column}} = %(key)s AND id IS NOT NULL"""
_MOVE: Final = (
    "number, subdomain, tenant_id, source, target, step, started_at, switched_at, ended_at, rows_copied, checksums"
)


class Catalogue:
    """The catalogue in the database of these URLs; connects when first asked.

    Args:
        url: of look-ups, as the application's login. admin_url: of whoever places and moves tenants.
        app_role, admin_role: what they become where they may.
    """

    def __init__(self, url: str, admin_url: str, *, app_role: str, admin_role: str) -> None:
        self.url, self.admin_url = url, admin_url
        self._app_role, self._admin_role = app_role, admin_role
        self._idle: deque[tuple[int, str, Connection]] = deque(maxlen=KEPT_CONNECTIONS)

    def close(self) -> None:
        """Close what look-ups have kept open."""
        while self._idle:
            maker, _, connection = self._idle.pop()
            if maker == os.getpid():
                connection.close()

    # -- looking up -------------------------------------------------------------------------------------------

    def find(self, key: str | int) -> tuple[Placement | None, float]:
        """Where the tenant of this subdomain or id lives, and for how many seconds that may be trusted."""
        if not may_exist(key):
            return None, 0.0
        column, setting = ("subdomain", "lookup") if isinstance(key, str) else ("id", "organization_id")
        sql = f"SET LOCAL rayces.{setting} TO %(text)s; {_FIND.format(column=column)}"
        try:
            found = self._asked(sql, {"key": key, "text": str(key)})
        except UnknownTableError:
            raise CellError(
                "there is no catalogue of cells in that database yet; run `rayces cells migrate` (or cells.migrate())"
            ) from None
        return (Placement(*found[:4]), float(found[4])) if found else (None, 5.0)

    def _asked(self, sql: str, values: Mapping[str, Any]) -> Any:
        """The first row; on a connection that was kept and is gone, once more on another one."""
        kept = self._taken()
        if kept is not None:
            try:
                return self._ask(*kept, sql, values)
            except ConnectionLostError:
                pass
        return self._ask(*self._made(), sql, values)

    def _ask(self, becoming: str, connection: Connection, sql: str, values: Mapping[str, Any]) -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"{becoming}{sql}", values)  # one message, and so one transaction
                found = cursor.fetchone()
        except psycopg2.Error as error:
            connection.close()
            raise translate(error, outcome=NOT_COMMITTED) from error
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < KEPT_CONNECTIONS:
            self._idle.append((os.getpid(), becoming, connection))
        else:
            connection.close()
        return found

    def _taken(self) -> tuple[str, Connection] | None:
        while self._idle:
            try:
                maker, becoming, connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                return None
            if maker == os.getpid():
                return becoming, connection
        return None

    def _made(self) -> tuple[str, Connection]:
        connection = connect(self.url, "rayces catalogue")
        return _becoming(connection, self._app_role), connection

    # -- placing ----------------------------------------------------------------------------------------------

    def make(self, trusted_seconds: float, *, app_role: str, admin_role: str) -> None:
        """Make the catalogue's schema, or what it lacks."""
        with connected(self.admin_url) as connection, unit(connection) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('rayces_cells', 0))")
            cursor.execute(CATALOGUE)
            for role, allowed in ((app_role, OPEN_TO_ROLES[0]), (admin_role, OPEN_TO_ROLES[1])):
                cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,))
                if cursor.fetchone() is not None:
                    cursor.execute(allowed.format(role=quote_identifier(role)))
            cursor.execute(
                "INSERT INTO rayces_cells.settings (trusted_seconds) VALUES (%s) "
                "ON CONFLICT (one) DO UPDATE SET trusted_seconds = excluded.trusted_seconds",
                (trusted_seconds,),
            )

    @contextmanager
    def writing(self) -> Iterator[Written]:
        """What is placed and moved, for the block."""
        with connected(self.admin_url) as connection:
            yield Written(connection, _becoming(connection, self._admin_role))

    @contextmanager
    def held(self, *subdomains: str) -> Iterator[Written]:
        """The same while nobody else makes, renames or moves these tenants; raises MoveError where somebody does.

        That is a lock of a transaction which writes nothing and lasts as long as the block: it goes with this process,
        however that ends, also behind a pooling proxy.
        """
        with connected(self.admin_url, LOCKING) as connection, self.writing() as written:
            local = (f"SET LOCAL lock_timeout TO '{LOCK_SECONDS}s'",)
            with unit(connection, local=local) as cursor:
                try:
                    for subdomain in sorted(subdomains):
                        cursor.execute(
                            "SELECT pg_advisory_xact_lock(hashtextextended('rayces_cells ' || %s, 0))", (subdomain,)
                        )
                except psycopg2.errors.LockNotAvailable as error:
                    raise MoveError(
                        f"somebody else makes, renames or moves {' or '.join(subdomains)} now; wait for that to end"
                    ) from error
                written.lock = cursor
                yield written


class Written:
    """The catalogue for who changes it."""

    def __init__(self, connection: Connection, becoming: str) -> None:
        self._connection, self._becoming = connection, becoming
        self.lock: Any = None

    def _rows(self, sql: str, values: Any = None) -> list[Any]:
        return rows(self._connection, f"{self._becoming}{sql}", values)

    def _row(self, sql: str, values: Any = None) -> Any:
        return one(self._connection, f"{self._becoming}{sql}", values)

    def check_lock(self) -> None:
        """Raise ConnectionLostError where the lock is gone, since then somebody else may be at it."""
        try:
            self.lock.execute("SELECT 1")
        except psycopg2.Error as error:
            raise translate(error) from error

    # -- cells ------------------------------------------------------------------------------------------------

    def numbers(self) -> dict[str, int]:
        """Name → number of each cell, in the order of the numbers."""
        return dict(self._rows("SELECT name, number FROM rayces_cells.cells ORDER BY number"))

    def add_cell(self, name: str, number: int) -> None:
        """Note a new cell."""
        self._rows("INSERT INTO rayces_cells.cells (name, number) VALUES (%s, %s)", (name, number))

    def trusted_seconds(self) -> float:
        """For how long processes trust what they have looked up."""
        return float(self._row("SELECT trusted_seconds FROM rayces_cells.settings")[0])

    # -- tenants ----------------------------------------------------------------------------------------------

    def placement(self, key: str | int) -> Placement | None:
        """The row of a subdomain or an id."""
        column = "subdomain" if isinstance(key, str) else "id"
        found = self._row(f"SELECT {_PLACEMENT} FROM rayces_cells.tenants WHERE {column} = %s", (key,))
        return Placement(*found) if found else None

    def placements(self) -> list[Placement]:
        """All of them, by subdomain."""
        found = self._rows(f"SELECT {_PLACEMENT} FROM rayces_cells.tenants ORDER BY subdomain")
        return [Placement(*each) for each in found]

    def counted(self) -> dict[str, int]:
        """Cell → how many tenants it has."""
        return dict(self._rows("SELECT cell, count(*)::int FROM rayces_cells.tenants GROUP BY cell"))

    def reserve(self, subdomain: str, cell: str) -> None:
        """Keep a name for who makes or renames its tenant; a reservation that was left behind is taken over."""
        self._rows(
            "INSERT INTO rayces_cells.tenants (subdomain, cell, state) VALUES (%s, %s, 'reserved') "
            "ON CONFLICT (subdomain) DO UPDATE SET cell = excluded.cell, updated_at = now() "
            "WHERE tenants.state = 'reserved'",
            (subdomain, cell),
        )

    def release(self, subdomain: str) -> None:
        """Give a reserved name up."""
        self._rows("DELETE FROM rayces_cells.tenants WHERE subdomain = %s AND state = 'reserved'", (subdomain,))

    def place(self, subdomain: str, organization_id: int, cell: str) -> None:
        """Note where a tenant lives: one that was reserved, or that nobody knew."""
        self._rows(
            "INSERT INTO rayces_cells.tenants (subdomain, id, cell, state) VALUES (%s, %s, %s, 'placed') "
            "ON CONFLICT (subdomain) DO UPDATE SET id = excluded.id, cell = excluded.cell, state = 'placed', "
            "updated_at = now() WHERE tenants.state = 'reserved'",
            (subdomain, organization_id, cell),
        )

    def rename(self, organization_id: int, subdomain: str) -> None:
        """Give a tenant the name that was reserved for it."""
        self._rows(
            "WITH gone AS (DELETE FROM rayces_cells.tenants WHERE subdomain = %(new)s AND state = 'reserved') "
            "SELECT; UPDATE rayces_cells.tenants SET subdomain = %(new)s, updated_at = now() WHERE id = %(id)s; "
            "UPDATE rayces_cells.moves SET subdomain = %(new)s WHERE tenant_id = %(id)s AND step <> ALL (%(ended)s)",
            {"new": subdomain, "id": organization_id, "ended": list(ENDED)},
        )

    # -- moves ------------------------------------------------------------------------------------------------

    def move_of(self, key: str | int) -> Move | None:
        """The tenant's move that has not ended."""
        column = "subdomain" if isinstance(key, str) else "tenant_id"
        found = self._row(
            f"SELECT {_MOVE} FROM rayces_cells.moves WHERE {column} = %s AND step <> ALL (%s)", (key, list(ENDED))
        )
        return Move(*found) if found else None

    def moves(self, *, ended: bool) -> list[Move]:
        """Moves, the newest first; with `ended` also those that are over."""
        where = "" if ended else "WHERE step <> ALL (%s)"
        found = self._rows(
            f"SELECT {_MOVE} FROM rayces_cells.moves {where} ORDER BY number DESC", None if ended else (list(ENDED),)
        )
        return [Move(*each) for each in found]

    def begin_move(self, placement: Placement, target: str) -> Move:
        """Note that a tenant is to be moved."""
        found = self._row(
            "WITH tenant AS (UPDATE rayces_cells.tenants SET state = 'moving', updated_at = now() "
            "                 WHERE id = %(id)s AND state = 'placed' RETURNING subdomain, id, cell) "
            "INSERT INTO rayces_cells.moves (subdomain, tenant_id, source, target) "
            f"SELECT subdomain, id, cell, %(target)s FROM tenant RETURNING {_MOVE}",
            {"id": placement.id, "target": target},
        )
        if found is None:
            raise MoveError(f"{placement.subdomain} is not at home in a cell any more; look at `rayces move list`")
        return Move(*found)

    def step(self, move: Move, step: str, **facts: Any) -> Move:
        """Note that a step is done; raises MoveError where another process has gone on meanwhile."""
        values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in facts.items()}
        told = "".join(f", {name} = %({name})s" for name in values)
        found = self._row(
            f"UPDATE rayces_cells.moves SET step = %(step)s, changed_at = now(){told} "
            f"WHERE number = %(number)s AND step = %(before)s RETURNING {_MOVE}",
            {"step": step, "number": move.number, "before": move.step, **values},
        )
        return _moved_on(found, move)

    def switch(self, move: Move) -> Move:
        """Say that the tenant lives in the other cell: one statement, behind which no way leads back."""
        found = self._row(
            "WITH tenant AS (UPDATE rayces_cells.tenants SET cell = %(target)s, state = 'moved', updated_at = now() "
            "                 WHERE id = %(id)s AND cell = %(source)s AND state = 'moving' RETURNING id) "
            "UPDATE rayces_cells.moves SET step = 'switched', switched_at = now(), changed_at = now() FROM tenant "
            f"WHERE number = %(number)s AND step = 'opening' RETURNING {_MOVE}",
            {"target": move.target, "source": move.source, "id": move.tenant_id, "number": move.number},
        )
        return _moved_on(found, move)

    def end(self, move: Move, step: str) -> Move:
        """Note that a move is over, and its tenant at home."""
        found = self._row(
            "WITH tenant AS (UPDATE rayces_cells.tenants SET state = 'placed', updated_at = now() WHERE id = %(id)s) "
            "UPDATE rayces_cells.moves SET step = %(step)s, ended_at = now(), changed_at = now() "
            f"WHERE number = %(number)s AND step = %(before)s RETURNING {_MOVE}",
            {"step": step, "id": move.tenant_id, "number": move.number, "before": move.step},
        )
        return _moved_on(found, move)


def _moved_on(found: Any, move: Move) -> Move:
    if found is None:
        raise MoveError(f"another process has gone on with the move of {move.subdomain}; run the command again")
    return Move(*found)


def _becoming(connection: Connection, role: str) -> str:
    """What is put before a statement so that it runs as the role: nothing where the login may not become it."""
    which = "SET" if connection.server_version >= 160_000 else "MEMBER"
    found = one(
        connection,
        "SELECT pg_has_role(session_user, oid, %s) AND has_schema_privilege(oid, 'rayces_cells', 'USAGE') "
        "FROM pg_roles WHERE rolname = %s AND to_regnamespace('rayces_cells') IS NOT NULL",
        (which, role),
    )
    return f"SET LOCAL ROLE {quote_identifier(role)}; " if found and found[0] else ""
