"""The Peewee database under `Database`: pooled connections, and every statement as the bound tenant."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

import peewee
import psycopg2

from rayces_core.database.binding import Binding, current
from rayces_core.database.connection import TenantConnection, TenantCursor
from rayces_core.database.constraints import translate
from rayces_core.database.messages import Message
from rayces_core.database.pool import Pool
from rayces_core.database.session import Session, Sessions
from rayces_core.database.tenants import Remembered
from rayces_core.database.transaction import Atomic, begin_on, control, run_callbacks, undo_all
from rayces_core.errors import DatabaseUnreachableError

COPY_BYTES: Final = 1 << 16  # read from or written to the file at a time


class Engine(peewee.PostgresqlDatabase):
    """A Peewee database without a way round the tenant.

    `on_first_connection` checks the server and the roles once, with the first connection made.
    """

    def __init__(
        self,
        dsn: str,
        *,
        max_connections: int,
        pool_timeout: float,
        tenant_cache_seconds: float,
        on_first_connection: Callable[[TenantConnection], None],
    ) -> None:
        self._dsn = dsn
        self._on_first_connection = on_first_connection
        self.checked = False
        self.prepares = False  # whether statements may be prepared, as no proxy stands between
        self.organizations = Remembered(tenant_cache_seconds)
        self.pool: Pool[TenantConnection] = Pool(self._open, max_connections, pool_timeout)
        self._sessions = Sessions(self.pool, self)
        super().__init__(dsn)
        _ENGINES.add(self)

    # Peewee keeps its connection state per thread; ours is per thread or task.
    @property
    def _state(self) -> Session:
        return self._sessions.current()

    @_state.setter
    def _state(self, _: object) -> None:
        pass

    def _open(self) -> TenantConnection:
        try:
            connection: TenantConnection = psycopg2.connect(self._dsn, connection_factory=TenantConnection)
        except psycopg2.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise DatabaseUnreachableError(
                f"no connection to the database: {reason}; check the URL, the server and the login"
            ) from error
        try:
            self._prepare(connection)
        except psycopg2.Error as error:
            connection.close()
            raise translate(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: TenantConnection) -> None:
        connection.open_for(self)
        self.server_version = connection.server_version
        if not self.checked:
            self._on_first_connection(connection)
            self.prepares, self.checked = connection.is_direct(), True
        connection.prepares = self.prepares

    # -- connections ------------------------------------------------------------------------------------------

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection now; Peewee calls this, applications need not."""
        session = self._state
        if session.conn is not None:
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        session.check_out()
        return True

    def close(self) -> bool:
        """Give this thread's or task's connection back."""
        session = self._state
        if session.transactions:
            raise peewee.OperationalError("a transaction is open; leave its block before closing")
        was_open = session.conn is not None
        session.give_back()
        return was_open

    def is_closed(self) -> bool:
        """Whether this thread or task holds no connection."""
        return self._state.conn is None

    def connection(self) -> TenantConnection:
        """The psycopg2 connection of this thread or task; its cursors carry the tenant too."""
        current()
        return self._state.check_out()

    def cursor(self, named_cursor: str | None = None) -> Any:
        """A cursor whose statements carry the tenant."""
        connection = self._state.check_out()
        return connection.cursor(name=named_cursor) if named_cursor else connection.cursor()

    # -- statements -------------------------------------------------------------------------------------------

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run one statement as the bound tenant; alone it commits by itself, in one round trip."""
        current()
        session = self._state
        connection = session.check_out()
        started = time.perf_counter() if self.query_hooks else 0.0
        failure: Exception | None = None
        try:
            self._log_query(sql, params)
            cursor = TenantCursor(connection)
            cursor.execute(sql, params or None)
        except psycopg2.Error as error:
            failure = translate(error)
            raise failure from error
        finally:
            if self.query_hooks:
                self._notify_hooks(sql, params, started, failure)
            if not session.blocks:
                session.release()
        return cursor

    def run_prepared(self, sql: str, params: tuple[Any, ...] | dict[str, Any]) -> Any:
        """Like execute_sql for SQL rendered once by this library: no second look at its text."""
        if self.query_hooks:
            return self.execute_sql(sql, params)
        session = self._sessions.current()
        connection = session.check_out()
        try:
            self._log_query(sql, params)
            cursor = TenantCursor(connection)
            cursor.run(sql, params)
        except psycopg2.Error as error:
            raise translate(error) from error
        finally:
            if not session.blocks:
                session.release()
        return cursor

    def run_message(self, message: Message, values: Mapping[str, Any]) -> Any:
        """Run a message of the library's own, in one round trip; returns the cursor of its last statement."""
        if self.query_hooks:
            return self.execute_sql(message.plain, values)
        session = self._sessions.current()
        connection = session.check_out()
        try:
            self._log_query(message.plain, values)
            cursor = TenantCursor(connection)
            cursor.run_message(message, values)
        except psycopg2.Error as error:
            raise translate(error) from error
        finally:
            if not session.blocks:
                session.release()
        return cursor

    def copy(self, sql: str, file: IO[bytes]) -> int:
        """COPY … FROM STDIN out of `file`, or TO STDOUT into it, in the open unit of work; returns how many rows."""
        current()
        connection, watched = self._state.check_out(), _Watched(file)
        try:
            self._log_query(sql, None)
            cursor = TenantCursor(connection)
            cursor.copy_expert(sql, watched, COPY_BYTES)
        except psycopg2.Error as error:
            if watched.failure is not None:
                raise watched.failure from error
            raise translate(error) from error
        return int(cursor.rowcount)

    # -- transactions -----------------------------------------------------------------------------------------

    def atomic(self, isolation_level: str | None = None) -> Atomic:
        """A transaction, or a savepoint inside one."""
        return Atomic(self._sessions, isolation_level)

    transaction = atomic

    def savepoint(self) -> Atomic:
        """A savepoint; outside a transaction, a transaction."""
        return Atomic(self._sessions)

    def begin(self, isolation_level: str | None = None) -> None:
        """Open a transaction of the bound tenant."""
        begin_on(self._state, isolation_level)

    def commit(self) -> None:
        """Commit the transaction that begin() opened."""
        session = self._state
        try:
            control(session.conn, "COMMIT")
        except BaseException:
            session.undo_in_memory()
            raise
        run_callbacks(session.kept())

    def rollback(self) -> None:
        """Roll back the transaction that begin() opened."""
        session = self._state
        session.undo_in_memory()
        control(session.conn, "ROLLBACK")

    def after_commit(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Run `callback` after the outermost commit, or at once outside a transaction."""
        session = self._state
        if session.in_transaction:
            session.commit_callbacks.append(callback)
        else:
            run_callbacks([callback])
        return callback

    def restore_if_undone(self, restore: Callable[[], object]) -> None:
        """Run `restore` should the open transaction, or the savepoint in it, be undone."""
        session = self._state
        if session.in_transaction:
            session.restorers.append(restore)

    def forget_organizations(self) -> None:
        """Have the next tenant() look again."""
        self.organizations.forget()

    # -- blocks -----------------------------------------------------------------------------------------------

    def enter_block(self) -> Session:
        """A tenant block begins: the connection is kept until it ends."""
        session = self._state
        session.drop_used_up()
        session.blocks += 1
        return session

    def leave_block(self, session: Session, units: int) -> bool:
        """A tenant block ends that began within `units` units of work; returns whether one was left open and undone."""
        session.blocks -= 1
        connection = session.conn
        left_open = len(session.transactions) > units or (
            not units and connection is not None and not connection.closed and connection.in_transaction
        )
        if left_open:
            undo_all(session)
            session.release()
        session.drop_used_up()
        if not session.blocks:
            session.release()
        return left_open

    def holder_of_transaction(self) -> Binding | None:
        """Whose transaction is open in this thread or task, if any."""
        connection = self._state.conn
        return connection.holder if connection is not None and not connection.idle else None


class _Watched:
    """A file whose own failure is kept: psycopg2 turns it, and Ctrl-C as well, into an error of the server's."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except BaseException as failure:
            self.failure = failure
            raise

    def write(self, piece: bytes) -> int:
        try:
            return self._file.write(piece)
        except BaseException as failure:
            self.failure = failure
            raise


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_ENGINES):
        engine._sessions.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
