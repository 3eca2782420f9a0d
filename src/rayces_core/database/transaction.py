"""Transactions and savepoints of one session, and what runs after the outermost commit.

Rule it guards: a unit of work is kept whole or not at all, on the very connection that it began on, whatever leaves
its block in whatever order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from weakref import ref

import peewee
import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_INTRANS

from rayces_core.database.binding import current
from rayces_core.database.callbacks import Around, run_callbacks
from rayces_core.database.connection import TenantConnection
from rayces_core.database.constraints import translate
from rayces_core.database.finding_out import outcome_of
from rayces_core.database.session import Session, Sessions, open_unit
from rayces_core.errors import ConfigurationError, RaycesError, TenantSwitchError, TransactionFailedError
from rayces_core.errors.base import COMMITTED, NOT_COMMITTED, UNKNOWN, Outcome

logger = logging.getLogger("rayces_core")

ISOLATION_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


class Atomic(Around):
    """A unit of work: the outermost one is a transaction, an inner one a savepoint.

    Usable as `with db.atomic():` and as a decorator. An exception undoes the block and goes on. `findable` has the
    transaction's id told where it begins, so that the server can be asked for its outcome should the answer of COMMIT
    be lost.
    """

    def __init__(self, sessions: Sessions, isolation: str | None = None, *, findable: bool = False) -> None:
        self._sessions, self._isolation, self._findable = sessions, _checked_level(isolation), findable
        self._session: Session
        self._connection: TenantConnection
        self._savepoint: str | None = None
        self._callbacks_before = self._restorers_before = 0
        self._has_ended = False  # by commit() or rollback(), before its block

    def _recreate_cm(self) -> Atomic:
        return Atomic(self._sessions, self._isolation, findable=self._findable)

    def __enter__(self) -> Atomic:
        session = self._sessions.current()
        if self in session.transactions:
            raise TransactionFailedError("this unit of work is open already; make another with db.atomic()")
        self._session = session
        self._begin()
        return self

    def _begin(self) -> None:
        session, open_on = self._session, self._session.conn
        if open_on is None or open_on.holder is None:
            self._savepoint = None
            self._connection = begin_on(session, self._isolation, findable=self._findable)
        elif self._isolation:
            raise TransactionFailedError("an isolation level is the outermost unit's to choose")
        else:
            self._savepoint = f"s{len(session.transactions)}"
            self._connection = open_on
            save(self._connection, self._savepoint, findable=self._findable)
        lease = session.lease_anyway()
        self._has_ended = False
        lease.transactions.append(self)
        self._callbacks_before, self._restorers_before = len(lease.commit_callbacks), len(lease.restorers)
        if self._savepoint is None:
            self._token = open_unit.set(ref(lease))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._has_ended or self._connection.is_foreign:
            return  # a forked child has nothing to say on its parent's connection
        self._check_order()
        self._end(keep=kind is None)

    def _end(self, *, keep: bool) -> None:
        """Commit or undo, give the connection back where nothing else keeps it, and run what waited for this."""
        session = self._session
        session.transactions.pop()
        callbacks: list[Callable[[], object]] = []
        try:
            callbacks = self._finish(keep=keep)
        finally:
            if self._savepoint is None:
                self._leave_context()
                session.kept()
                session.release()
        run_callbacks(callbacks)

    def _finish(self, *, keep: bool) -> list[Callable[[], object]]:
        """Commit or undo; gives what is due after the outermost commit."""
        if not keep:
            self._undo()
            return []
        self._commit()
        if self._savepoint is not None:
            return []
        self._session.commits += 1
        return self._session.kept()

    def _leave_context(self) -> None:
        with suppress(ValueError, RuntimeError):  # left in another task, whose context is its own; or left before
            open_unit.reset(self._token)

    def _check_order(self) -> None:
        session = self._session
        if session.transactions and session.transactions[-1] is self:
            return
        undo_all(session)
        session.release()
        raise TransactionFailedError("units of work were left in another order than entered; all of them were undone")

    def _commit(self) -> None:
        try:
            if self._savepoint is not None:
                control(self._connection, f'RELEASE SAVEPOINT "{self._savepoint}"')
            else:
                control(self._connection, "COMMIT")
        except Exception as error:
            if isinstance(error, RaycesError | peewee.PeeweeException):
                self._undo()
            else:
                self._abandon()
            raise
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Interrupted, so nobody knows how far it came: nothing that it had begun may be committed from here on."""
        self._session.undo_in_memory(self._callbacks_before, self._restorers_before)
        self._connection.close()

    def _undo(self) -> None:
        self._session.undo_in_memory(self._callbacks_before, self._restorers_before)
        if self._connection.closed or self._connection.idle:
            return
        undo = "ROLLBACK" if self._savepoint is None else f'ROLLBACK TO SAVEPOINT "{self._savepoint}"'
        try:
            control(self._connection, undo)
        except BaseException:
            self._connection.close()  # nothing that it had begun may ever be committed
            raise

    def rollback(self, begin: bool = True) -> None:
        """Undo what the block has done so far and go on within a new one; with `begin=False` it has ended."""
        self._go_on(begin, keep=False)

    def commit(self, begin: bool = True) -> None:
        """Keep what the block has done so far and go on within a new one; with `begin=False` it has ended."""
        self._go_on(begin, keep=True)

    def _go_on(self, begin: bool, *, keep: bool) -> None:
        self._check_order()
        if not begin:
            self._has_ended = True
            self._end(keep=keep)
            return
        callbacks = self._finish(keep=keep)
        self._has_ended = True  # until it has begun again
        self._session.transactions.pop()
        if self._savepoint is None:
            self._leave_context()
        try:
            self._begin()
        finally:
            run_callbacks(callbacks)


def begin_on(session: Session, isolation: str | None, *, findable: bool = False) -> TenantConnection:
    """Open the transaction of the bound tenant on the session's connection; returns the connection."""
    binding = current()
    if binding.engine is not session.serves:
        raise TenantSwitchError("the bound tenant is another database's; open the unit of work on that one")
    connection = session.check_out()
    try:
        connection.begin(binding, isolation, findable=findable)
    except psycopg2.Error as error:
        session.release()
        raise translate(error, outcome=NOT_COMMITTED) from error
    except BaseException:
        connection.close()  # whether it has begun is unknown
        session.release()
        raise
    return connection


def save(connection: TenantConnection, name: str, *, findable: bool) -> None:
    """Make a savepoint."""
    try:
        connection.save(name, findable=findable)
    except psycopg2.Error as error:
        raise translate(error, outcome=NOT_COMMITTED) from error


def control(connection: TenantConnection | None, statement: str) -> None:
    """COMMIT, ROLLBACK and what ends savepoints, which only this library may send.

    A COMMIT whose answer is lost has succeeded if the server says so.
    """
    if connection is None:
        raise TransactionFailedError("no transaction is open")
    transaction_id, is_sent = connection.transaction_id, False
    try:
        if statement == "COMMIT" and connection.get_transaction_status() == TRANSACTION_STATUS_INTRANS:
            connection.look()  # where the server has left before, nothing is sent, and nothing has to be asked
            is_sent = True
        if statement in ("COMMIT", "ROLLBACK"):
            connection.end(statement)
        else:
            connection.plain(statement)
    except psycopg2.Error as error:
        outcome: Outcome = UNKNOWN if is_sent and connection.binds_apart else NOT_COMMITTED
        if is_sent and connection.closed:
            outcome = outcome_of(connection, transaction_id)
            logger.warning("the answer of a COMMIT was lost; transaction %s: %s", transaction_id, outcome)
        if outcome != COMMITTED:
            raise translate(error, outcome=outcome) from error


def undo_all(session: Session) -> None:
    """Undo whatever is open in the session, and forget it; the connection is not used again."""
    session.transactions.clear()
    session.undo_in_memory()
    if session.conn is not None and not session.conn.is_foreign:
        session.conn.close()


def _checked_level(isolation: str | None) -> str | None:
    if isolation is None:
        return None
    level = isolation.upper().strip() if isinstance(isolation, str) else isolation
    if level not in ISOLATION_LEVELS:
        raise ConfigurationError(f"{isolation!r} is no isolation level; there are {', '.join(ISOLATION_LEVELS)}")
    return level
