"""What became of work whose answer was lost: the server itself is asked, on a connection of its own.

Rule it guards: "committed" is said only of what the server knows to be committed. It knows a transaction by its id, but
one that has recovered from a crash gives the ids of lost transactions anew, and another server has other ids; so an id
counts on the very incarnation of the server that gave it. Citus' coordinator commits after the node that has the rows:
there "not committed" is never said. A lone statement has no id that could be known before; there
it is made sure that the server process which it was sent to is gone, so that what is not there will not come any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, Protocol, cast

import psycopg2
from psycopg2 import errors as server

from rayces_core.database.connection import INCARNATION, TenantConnection
from rayces_core.database.runners import loop_runs_here
from rayces_core.errors.base import COMMITTED, NOT_COMMITTED, UNKNOWN, Outcome

# A process whose client is gone notices when it reads or writes; one that cannot is ended after so long.
GHOST_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.5

_WHERE: Final = INCARNATION + ", pg_catalog.pg_is_in_recovery()"
_STATUS: Final = "SELECT pg_catalog.pg_xact_status(%(id)s::xid8)"
# What waits for a replica has committed here, and is left to wait.
_END: Final = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE {which} AND wait_event IS DISTINCT FROM 'SyncRep'"""
_END_TRANSACTION: Final = _END.format(which="backend_xid::text = mod(%(id)s::numeric, 4294967296)::text")
# A number is given again one day, but never to a process that began before the loss.
_PROCESS: Final = "pid = %(pid)s AND backend_start <= clock_timestamp() - %(seconds)s * interval '1 second'"
_END_PROCESS: Final = _END.format(which=_PROCESS)
_LIVES: Final = f"SELECT count(*) > 0 FROM pg_catalog.pg_stat_activity WHERE {_PROCESS}"

# What a cursor is asked, and whether patience is at its end; None to ask again a little later.
Question = Callable[[Any, bool], Outcome | None]


class Serves(Protocol):
    """What this module knows of an engine: where its server is, and how long an outcome may be looked for."""

    dsn: str
    find_out_seconds: float


def outcome_of(lost: TenantConnection, transaction_id: str | None) -> Outcome:
    """What became of the transaction whose COMMIT was under way when the connection was lost."""
    incarnation = lost.incarnation
    lost.close()
    if transaction_id is None or incarnation is None:
        return UNKNOWN

    def ask(cursor: Any, patience_is_over: bool) -> Outcome | None:
        same, in_recovery = _where(cursor, incarnation)
        if in_recovery:
            return None
        status = _status(cursor, transaction_id)
        if status == "in progress" and same:
            if patience_is_over:
                cursor.execute(_END_TRANSACTION, {"id": transaction_id})
            return None
        if status == "committed":
            return COMMITTED if same else UNKNOWN
        # Of an earlier incarnation whatever is not committed now is another's, and ours is lost.
        return UNKNOWN if status is None or lost.binds_apart else NOT_COMMITTED

    return _until_answered(lost, ask)


def _status(cursor: Any, transaction_id: str) -> str | None:
    try:
        cursor.execute(_STATUS, {"id": transaction_id})
    except server.InvalidParameterValue:  # "is in the future": a crash has taken it
        return "lost"
    except server.InsufficientPrivilege:
        return None
    (status,) = cursor.fetchone()
    return cast("str | None", status)


def is_over(lost: TenantConnection) -> bool:
    """Whether the server process of a lost connection is gone, so that nothing which was sent to it happens any more.

    Behind a proxy that pools transactions nobody can tell; there it only waits until the server answers.
    """
    incarnation, pid, began = lost.incarnation, _process_of(lost), time.monotonic()
    lost.close()

    def ask(cursor: Any, patience_is_over: bool) -> Outcome | None:
        same, in_recovery = _where(cursor, incarnation)
        if in_recovery:
            return None
        if pid is None or incarnation is None:
            return UNKNOWN
        process = {"pid": pid, "seconds": time.monotonic() - began}
        if not same or not _lives(cursor, process):
            return NOT_COMMITTED
        if patience_is_over:
            cursor.execute(_END_PROCESS, process)
        return None

    return _until_answered(lost, ask) == NOT_COMMITTED


def _process_of(lost: TenantConnection) -> int | None:
    return lost.process_id if lost.footing.is_direct and not lost.binds_apart else None


def _lives(cursor: Any, process: dict[str, Any]) -> bool:
    cursor.execute(_LIVES, process)
    return bool(cursor.fetchone()[0])


def _where(cursor: Any, incarnation: object) -> tuple[bool, bool]:
    """Whether this is the server as it was, and whether it is a standby, which may know less than its primary."""
    cursor.execute(_WHERE)
    found, in_recovery = cursor.fetchone()
    return found == incarnation, in_recovery


def _until_answered(lost: TenantConnection, ask: Question) -> Outcome:
    """Ask, again and again while there is no answer and time is left; in an event loop's thread only once."""
    engine = cast(Serves, lost.serves)
    began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
    deadline = began if loop_runs_here() else began + engine.find_out_seconds
    while True:
        answer = _answer(engine.dsn, deadline, lambda cursor: ask(cursor, time.monotonic() - began > GHOST_SECONDS))
        if answer is not None:
            return answer
        if time.monotonic() + pause > deadline:
            return UNKNOWN
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _answer(dsn: str, deadline: float, ask: Callable[[Any], Outcome | None]) -> Outcome | None:
    seconds = max(2, int(deadline - time.monotonic()))  # libpq takes whole seconds, and two at least
    try:
        connection = psycopg2.connect(dsn, connect_timeout=seconds, tcp_user_timeout=seconds * 1000)
        with closing(connection):
            connection.autocommit = True
            return ask(connection.cursor())
    except psycopg2.Error:  # it is away, or starts, or may not be asked that
        return None
