"""psycopg2 connections and cursors on which every statement carries its tenant.

The tenant travels in the message of the statement itself, so there is no way to a cursor that forgets it:
a lone statement gets the binding's preamble, one inside a transaction must belong to the tenant that began it.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from typing import Any, Self

import psycopg2
from psycopg2 import errorcodes as code
from psycopg2 import sql as composable
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
    get_wait_callback,
    set_wait_callback,
)
from psycopg2.extensions import connection as PlainConnection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812

from rayces_core.database.binding import Binding, bound, current
from rayces_core.database.casts import read_fast
from rayces_core.database.messages import Message, Prepared
from rayces_core.database.sql_guard import check, runs_more_sql
from rayces_core.errors import TenantNotSetError, TenantSwitchError, TransactionFailedError, UnsafeSQLError

# Somebody has deallocated it, or the tables have changed under it.
NOT_PREPARED = (code.INVALID_SQL_STATEMENT_NAME, code.FEATURE_NOT_SUPPORTED)


class TenantConnection(PlainConnection):
    """A connection that knows whose bindings it serves and, while a transaction is open, which one's it is."""

    serves: object  # the engine of the bindings that may use it
    prepares = False  # whether statements may be prepared on it, as no proxy stands between
    holder: Binding | None = None
    has_cursors = False  # named cursors, to be closed with the transaction
    used_up = False  # may carry something of its tenant; not to be used for another

    def open_for(self, serves: object) -> None:
        """Prepare a fresh connection: each statement commits by itself, times come back in UTC."""
        self.serves, self._process, self.prepared = serves, os.getpid(), Prepared()
        PlainConnection.autocommit.__set__(self, True)  # type: ignore[attr-defined]
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN)
        read_fast(self)
        if self.get_parameter_status("TimeZone") not in ("UTC", "Etc/UTC"):
            self.plain("SET TIME ZONE 'UTC'")

    @property
    def is_foreign(self) -> bool:
        """Whether another process made it: after a fork the socket is the parent's."""
        return self._process != os.getpid()

    @property
    def autocommit(self) -> bool:
        """Always: transactions are opened by `db.atomic()`, with their tenant."""
        return True

    @autocommit.setter
    def autocommit(self, _: object) -> None:
        _refuse()

    def set_session(self, *_: object, **__: object) -> None:
        """Refused: what it sets would stay on the pooled connection."""
        _refuse()

    def __enter__(self) -> Self:
        _refuse()
        return self

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return self.get_transaction_status() == TRANSACTION_STATUS_IDLE

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self.get_transaction_status() in (TRANSACTION_STATUS_INTRANS, TRANSACTION_STATUS_INERROR)

    def dropped(self) -> bool:
        """Whether the server has left; asks the socket, and the server only if the socket has something to say."""
        if self.closed:
            return True
        if not self._poll.poll(0):
            return False
        try:
            self.plain("SELECT 1")
        except psycopg2.Error:
            return True
        return bool(self.closed)

    def is_direct(self) -> bool:
        """Whether the server process is this connection's own; a proxy answers with a number of its own making."""
        return self.plain("SELECT pg_backend_pid()").fetchone() == (self.get_backend_pid(),)

    def cursor(self, *args: Any, **options: Any) -> TenantCursor:  # type: ignore[override]
        """A cursor whose statements carry the tenant; another kind is refused, as it would not."""
        factory = options.setdefault("cursor_factory", TenantCursor)
        if not (isinstance(factory, type) and issubclass(factory, TenantCursor)):
            raise UnsafeSQLError("only a TenantCursor carries the tenant; leave cursor_factory out")
        if args or options.get("name") is not None:
            if options.get("withhold"):
                raise UnsafeSQLError("a cursor WITH HOLD would outlive its transaction and its tenant")
            # psycopg2 takes autocommit for "no transaction" and would refuse; end() closes what it declares.
            options["withhold"], self.has_cursors = True, True
        made: TenantCursor = super().cursor(*args, **options)
        return made

    def plain(self, statement: str, values: tuple[Any, ...] | None = None) -> PlainCursor:
        """Run the library's own statement as the login role, outside any tenant."""
        cursor = super().cursor(cursor_factory=PlainCursor)
        cursor.execute(statement, values)
        return cursor

    def may_be_lent_again(self) -> bool:
        """Whether the pool may hand it to somebody else: it is whole, idle, and nothing of its tenant is on it."""
        if self.closed or not self.idle or self.used_up:
            return False
        self.holder = None
        return True

    def begin(self, binding: Binding, isolation: str | None = None) -> None:
        """Open a transaction that is `binding`'s, in one message."""
        mode = f" ISOLATION LEVEL {isolation}" if isolation else ""
        self.plain(f"BEGIN{mode}; {binding.preamble}")
        self.holder = binding

    def end(self, verb: str) -> None:
        """COMMIT or ROLLBACK."""
        # PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK, and no error.
        failed = verb == "COMMIT" and self.get_transaction_status() == TRANSACTION_STATUS_INERROR
        verb = "ROLLBACK" if failed else verb
        try:
            self.plain(f"CLOSE ALL; {verb}" if self.has_cursors and verb == "COMMIT" else verb)
        finally:
            self.holder, self.has_cursors = None, False
        if failed:
            raise TransactionFailedError(
                "a statement of this unit of work had failed, so nothing of it was kept; "
                "let its error leave the block, or run it in an inner `with db.atomic():`"
            )


def _refuse() -> None:
    raise UnsafeSQLError("transactions are opened by `with db.atomic():`, which knows whose they are")


class TenantCursor(PlainCursor):
    """A cursor whose every statement carries the bound tenant."""

    def execute(self, query: Any, values: Any = None) -> None:
        """Run raw SQL as the bound tenant; SQL that would leave the tenant is refused."""
        text = self._as_text(query)
        check(text)
        if runs_more_sql(text):
            self.connection.used_up = True  # type: ignore[attr-defined]
        self.run(text, values)

    def run(self, query: str, values: Any = None) -> None:
        """Run SQL that the library compiled."""
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self._check_holder(connection)
            super().execute(query, values)
        elif self.name is not None:
            raise UnsafeSQLError("a server-side cursor needs a transaction; use `with db.atomic():`")
        else:
            super().execute(self._binding(connection).preamble + query, values)

    def run_message(self, message: Message, values: Mapping[str, Any]) -> None:
        """Run a message of the library's own, by what is prepared on this connection where that may be."""
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        prepared = connection.prepared
        if not connection.prepares or not prepared.has_room_for(message):
            self.run(message.plain, values)
            return
        sql, given, new = prepared.form(message, values)
        try:
            self.run(sql, given)
        except psycopg2.Error as error:
            prepared.forget(None if error.pgcode in NOT_PREPARED else new)
            # A lone message has done nothing yet.
            if error.pgcode not in NOT_PREPARED or not connection.idle:
                raise
            self.run(message.plain, values)

    def executemany(self, query: Any, rows: Any) -> None:
        """Run `query` once for each of `rows`."""
        for row in rows:
            self.execute(query, row)

    def callproc(self, *_: Any, **__: Any) -> Any:
        """Refused: psycopg2 sends it past the tenant."""
        raise UnsafeSQLError("callproc would not carry the tenant; use execute('SELECT ...')")

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """COPY within a transaction of the bound tenant."""
        self._check_copy(sql)
        # psycopg2 cannot COPY while somebody else waits for it; Ctrl-C is seen between two reads of the file.
        waiting = get_wait_callback()
        set_wait_callback(None)
        try:
            super().copy_expert(sql, file, size)
        finally:
            set_wait_callback(waiting)

    def copy_from(self, *args: Any, **options: Any) -> None:
        """COPY … FROM within a transaction of the bound tenant."""
        self._check_copy("COPY")
        super().copy_from(*args, **options)

    def copy_to(self, *args: Any, **options: Any) -> None:
        """COPY … TO within a transaction of the bound tenant."""
        self._check_copy("COPY")
        super().copy_to(*args, **options)

    def _check_copy(self, statement: Any) -> None:
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        check(self._as_text(statement))
        if connection.idle:
            current()
            raise UnsafeSQLError("COPY needs a transaction; use `with db.atomic():`")
        self._check_holder(connection)

    def _as_text(self, query: Any) -> str:
        if isinstance(query, composable.Composable):
            return query.as_string(self)
        return query.decode() if isinstance(query, bytes) else str(query)

    @staticmethod
    def _binding(connection: TenantConnection) -> Binding:
        binding = current()
        if binding.engine is not connection.serves:
            raise TenantSwitchError("this connection belongs to another database than the bound tenant")
        return binding

    @staticmethod
    def _check_holder(connection: TenantConnection) -> None:
        binding = bound.get()
        if binding is connection.holder:
            return
        if binding is None:
            raise TenantNotSetError
        raise TenantSwitchError("the open transaction belongs to another tenant; commit it first")
