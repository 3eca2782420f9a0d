"""The Peewee database under `Database`, for one role: pooled connections, and every statement as the bound tenant."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import IO, Any, Final

import peewee
import psycopg2

from rayces_core.database.binding import Binding, Home, current
from rayces_core.database.connecting import find_footing, find_home, open_connection
from rayces_core.database.connection import TenantConnection
from rayces_core.database.constraints import translate
from rayces_core.database.copied_file import CopiedFile, is_ctrl_c
from rayces_core.database.cursor import OwnSQL, Send, StainingSQL, TenantCursor, traced
from rayces_core.database.finding_out import is_over
from rayces_core.database.followed import Followed
from rayces_core.database.messages import Message
from rayces_core.database.observing import Observer, Query, described
from rayces_core.database.options import FIND_OUT_SECONDS
from rayces_core.database.pool import Pool
from rayces_core.database.reaching import prove
from rayces_core.database.session import Loops, Session, Sessions, open_unit
from rayces_core.database.sql_guard import check
from rayces_core.database.tenants import Remembered
from rayces_core.database.traces import leaves_traces
from rayces_core.database.transaction import Atomic, begin_on, control, run_callbacks
from rayces_core.errors import RaycesError, TransactionFailedError
from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN, Outcome

_NOW: Final = Message("SELECT clock_timestamp()", types={})
COPY_BYTES: Final = 1 << 16  # read from or written to the file at a time


class Engine(Followed, peewee.PostgresqlDatabase):
    """A Peewee database without a way round the tenant.

    Attributes:
        role: that its connections work as. home: the database, as its rows know it.
        settings: of its sessions, beside the role. kind: of its connections, by where the rows are.
        organizations: those looked up. observers: called with each query that was run.
        loops: whether statements in the thread of a running event loop are refused.
        checked: whether server, schema and role were looked at; done with the first connection made.
        is_cautious: whether any statement may leave something on its connection, as host's functions run unnamed.
    """

    def __init__(
        self,
        dsn: str,
        role: str,
        *,
        max_connections: int,
        pool_timeout: float,
        idle_limit_ms: int | None,
        refuses_loops: bool,
        organizations: Remembered,
        first_look: Callable[[TenantConnection], bool],
        look_again: Callable[[TenantConnection], None],
        find_out_seconds: float = FIND_OUT_SECONDS,
        writes_messages: bool = True,
        settings: Mapping[str, str] | None = None,
        kind: type[TenantConnection] = TenantConnection,
    ) -> None:
        self.dsn, self.role, self.kind = dsn, role, kind
        self._first_look, self._look_again = first_look, look_again
        self.find_out_seconds, self.writes_messages = find_out_seconds, writes_messages
        self._home: Home | None = None
        self._reading: dict[int, Binding] = {}
        self._idle_limit_ms, self.settings = idle_limit_ms, dict(settings or {})
        self.checked = self.is_cautious = False
        self.organizations, self.observers = organizations, list[Observer]()
        self.pool: Pool[TenantConnection] = Pool(self._open, max_connections, pool_timeout)
        self.loops = Loops(refuses_loops)
        self._sessions = Sessions(self.pool, self, self.loops)
        super().__init__(dsn)
        _ENGINES.add(self)

    # Peewee keeps its connection state per thread; ours is per thread or task.
    @property
    def _state(self) -> Session:
        return self._sessions.current()

    @_state.setter
    def _state(self, _: object) -> None:
        pass

    @property
    def reads_only(self) -> bool:
        """Whether its sessions write nothing, as those of a reader."""
        return "default_transaction_read_only" in self.settings

    @property
    def home(self) -> Home:
        """The database, as its rows know it; the server is asked if there was no connection yet."""
        if self._home is None:
            self.pool.give_back(self.pool.take())
        assert self._home is not None  # noqa: S101 - found with the first connection
        return self._home

    @property
    def session(self) -> Session:
        """The session of this thread or task."""
        return self._sessions.current()

    def _open(self) -> TenantConnection:
        connection = open_connection(self.dsn, self.kind)
        try:
            connection.open_for(self)
            connection.notes_writes, connection.check = self.followers is not None, self.check
            self.server_version = connection.server_version
            if was_checked := self.checked:
                self._look_again(connection)
            else:
                self.is_cautious, self._home = self._first_look(connection), find_home(connection)
                self._footing = find_footing(connection, self.role, self._idle_limit_ms, self.settings)
            connection.stand_on(self._footing)
            if not was_checked:
                prove(connection, Binding(self, self.role, 0))
                self.checked = True
        except psycopg2.Error as error:
            connection.close()
            raise translate(error, outcome=NOT_COMMITTED) from error
        except BaseException:
            connection.close()
            raise
        return connection

    # -- connections ------------------------------------------------------------------------------------------

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection now; Peewee calls this, applications need not."""
        session = self.session
        if session.conn is not None:
            if reuse_if_open:
                return False
            raise TransactionFailedError("this thread or task holds a connection already; connect(reuse_if_open=True)")
        session.check_out()
        return True

    def close(self) -> bool:
        """Give this thread's or task's connection back."""
        session = self.session
        if session.transactions:
            raise TransactionFailedError("a transaction is open; leave its block before closing")
        was_open = session.conn is not None
        session.give_back()
        return was_open

    def is_closed(self) -> bool:
        """Whether this thread or task holds no connection."""
        return self.session.conn is None

    def connection(self) -> TenantConnection:
        """The psycopg2 connection of this thread or task; its cursors carry the tenant too."""
        current()
        return self.session.check_out()

    def cursor(self, named_cursor: str | None = None) -> Any:
        """A cursor whose statements carry the tenant."""
        connection = self.session.check_out()
        return connection.cursor(name=named_cursor) if named_cursor else connection.cursor()

    # -- statements -------------------------------------------------------------------------------------------

    def execute(self, query: Any, **context_options: Any) -> Any:
        """Run a query that Peewee compiles."""
        sql, params = self.get_sql_context(**context_options).sql(query).query()
        check(sql, (lambda: self.filled(sql, params)) if params else None)
        kind = StainingSQL if self.is_cautious or leaves_traces(sql) else OwnSQL
        return self._send(TenantCursor.execute, kind(sql), params)

    def filled(self, sql: str, params: Any) -> str:
        """The text with its values in place, as the server gets it."""
        session = self._sessions.current()
        try:
            return TenantCursor(session.check_out()).filled(sql, params)
        finally:
            session.release()

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run one statement as the bound tenant; alone it commits by itself, in one round trip."""
        current()
        return self._send(TenantCursor.execute, sql, params)

    def run_prepared(self, sql: str, params: tuple[Any, ...] | dict[str, Any]) -> Any:
        """Like execute_sql for SQL rendered by this library: no second look at its text."""
        return self._send(TenantCursor.execute, StainingSQL(sql) if self.is_cautious else OwnSQL(sql), params)

    def run_shape(self, sql: str, params: tuple[Any, ...]) -> Any:
        """Like run_prepared for SQL that is run again and again: the server keeps it, where no proxy stands between."""
        if self.is_cautious:
            return self._send(TenantCursor.execute, StainingSQL(sql), params)
        return self._send(TenantCursor.run_shape, sql, params)

    def run_message(self, message: Message, values: Mapping[str, Any], *, made: Message | None = None) -> Any:
        """Run a message of the library's own, in one round trip; returns the cursor of its last statement.

        Args:
            made: asks for the rows that the message has made, as its last statement gives them: run where the message
                commits by itself and its answer is lost. It may use %(sent_at)s, when that was by the server's clock.
        """
        began = time.monotonic()
        try:
            return self._run_message(message, values)
        except RaycesError as error:
            if made is None or error.outcome != UNKNOWN or not isinstance(error.orig, psycopg2.Error):
                raise
            return self._made(made, values, error.orig, began)

    def _made(self, made: Message, values: Mapping[str, Any], lost: psycopg2.Error, began: float) -> Any:
        """What was made by a message whose answer is lost; an error that says what became of it if nothing was."""
        outcome: Outcome = UNKNOWN
        if lost.cursor is not None and is_over(lost.cursor.connection):
            outcome = NOT_COMMITTED
        try:
            cursor = self._run_message(made, {**values, "sent_at": self._server_moment(began)})
        except RaycesError:
            raise translate(lost, outcome=UNKNOWN) from lost
        if cursor.rowcount == 0:
            raise translate(lost, outcome=outcome) from lost
        return cursor

    def _server_moment(self, began: float) -> datetime:
        """The server's moment of `began`, of time.monotonic(): not later, and earlier by a round trip at most."""
        # Each answer is older than the moment it is read at; the nearest is that of a connection which is open already.
        asked = ((self._run_message(_NOW, {}).fetchone()[0], time.monotonic()) for _ in range(3))
        return max(now - timedelta(seconds=read - began) for now, read in asked)

    def note_transaction(self, transaction_id: str) -> None:
        """Keep the id of the open unit of work, which a statement of it has told; nothing outside one."""
        connection = self._sessions.current().conn
        if connection is not None and connection.holder is not None:
            connection.transaction_id = transaction_id

    def _run_message(self, message: Message, values: Mapping[str, Any]) -> Any:
        if self.is_cautious:
            return self._send(TenantCursor.execute, StainingSQL(message.plain), values)
        return self._send(TenantCursor.run_message, message, values)

    def copy(self, sql: str, file: IO[bytes], *, stains: bool = False) -> int:
        """COPY … FROM STDIN out of `file`, or TO STDOUT into it, in the open unit of work; returns how many rows.

        `stains` says that its SQL may leave something on the connection; it is looked at then.
        """
        current()
        watched = file if isinstance(file, CopiedFile) else CopiedFile(file)

        def send(cursor: Any, statement: str, _: object) -> None:
            cursor.copy_expert(statement, watched, COPY_BYTES)

        try:
            cursor = self._send(send, sql if stains else OwnSQL(sql), None)
        except Exception as error:
            if watched.failure is not None:
                raise watched.failure from error
            if is_ctrl_c(error):
                raise KeyboardInterrupt from error
            raise
        return int(cursor.rowcount)

    def _send(self, send: Send, sql: Any, values: Any) -> Any:
        session = self._sessions.current()
        connection = session.check_out()
        if connection.tracer is None:
            cursor: Any = TenantCursor(connection)
        else:
            cursor, send = connection.tracer(), traced(send)
        if self.observers or self.query_hooks:
            send = self._observed(send)
        try:
            self._log_query(sql, values)
            send(cursor, sql, values)
        except psycopg2.Error as error:
            raise translate(error) from error
        finally:
            session.release()
        return cursor

    def _observed(self, send: Send) -> Send:
        def observed(cursor: Any, sql: Any, values: Any) -> None:
            binding, started = current(), time.perf_counter()
            text, failure = getattr(sql, "plain", sql), None
            try:
                send(cursor, sql, values)
            except RaycesError as error:
                failure = error
                raise
            except psycopg2.Error as error:
                failure = translate(error)
                raise failure from error
            finally:
                seconds = time.perf_counter() - started
                if self.query_hooks:
                    self._notify_hooks(text, values, started, failure)
                rows = cursor.rowcount if failure is None and cursor.rowcount >= 0 else None
                operation, table = described(str(text))
                query = Query(operation, table, seconds, binding.organization_id, rows, failure, self.replica)
                for observer in self.observers:
                    observer(query)

        return observed

    # -- transactions -----------------------------------------------------------------------------------------

    def atomic(self, isolation_level: str | None = None, *, findable: bool = False) -> Atomic:
        """A transaction, or a savepoint inside one."""
        return Atomic(self._sessions, isolation_level, findable=findable)

    transaction = atomic

    def savepoint(self) -> Atomic:
        """A savepoint; outside a transaction, a transaction."""
        return Atomic(self._sessions)

    def begin(self, isolation_level: str | None = None) -> None:
        """Open a transaction of the bound tenant."""
        begin_on(self.session, isolation_level)

    def commit(self) -> None:
        """Commit the transaction that begin() opened."""
        session = self.session
        try:
            control(session.conn, "COMMIT")
        except BaseException:
            session.undo_in_memory()
            raise
        session.commits += 1
        run_callbacks(session.kept())

    def rollback(self) -> None:
        """Roll back the transaction that begin() opened."""
        session = self.session
        session.undo_in_memory()
        control(session.conn, "ROLLBACK")

    def session_commit(self) -> bool:
        """Commit the unit of work that session_start() opened; False without one."""
        return self._end_unit(keep=True)

    def session_rollback(self) -> bool:
        """Undo the unit of work that session_start() opened; False without one."""
        return self._end_unit(keep=False)

    def _end_unit(self, *, keep: bool) -> bool:
        units = self.session.transactions
        if not units:
            return False
        (units[-1].commit if keep else units[-1].rollback)(begin=False)
        return True

    def push_transaction(self, transaction: Any) -> None:
        """Note a unit of work of Peewee's, manual_commit()."""
        self.session.lease_anyway().transactions.append(transaction)

    def after_commit(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Run `callback` after the outermost commit, or at once outside a transaction."""
        session = self.session
        if session.in_transaction:
            session.lease_anyway().commit_callbacks.append(callback)
        else:
            run_callbacks([callback])
        return callback

    def restore_if_undone(self, restore: Callable[[], object]) -> None:
        """Run `restore` should the open transaction, or the savepoint in it, be undone."""
        if (session := self.session).in_transaction:
            session.lease_anyway().restorers.append(restore)

    def forget_organizations(self) -> None:
        """Have the next tenant() look again."""
        self.organizations.forget()

    def is_within_unit_on(self, connection: TenantConnection) -> bool:
        """Whether what runs here is within the unit of work that is open on `connection`."""
        session, unit = self._sessions.there(), open_unit.get()
        leases = (None if session is None else session.lease, None if unit is None else unit())
        return connection in [lease and lease.connection for lease in leases]

    def holder_of_transaction(self) -> Binding | None:
        """Whose transaction is open in this thread or task, if any."""
        session = self._sessions.there()
        connection = None if session is None else session.conn
        return connection.holder if connection is not None and not connection.idle else None


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_ENGINES):
        engine._sessions.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
