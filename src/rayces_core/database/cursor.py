"""The cursor whose every statement carries the bound tenant.

The tenant travels in the message of the statement itself, so there is no way to a cursor that forgets it: a lone
statement gets its connection's preamble, one inside a transaction must belong to the tenant that began it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from psycopg2 import errorcodes as code
from psycopg2 import sql as composable
from psycopg2.extensions import (
    TRANSACTION_STATUS_ACTIVE,
    TRANSACTION_STATUS_IDLE,
    encodings,
)
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.apart import CitusConnection, messages_of
from rayces_core.database.binding import Binding, bound_here, current
from rayces_core.database.connection import TenantConnection
from rayces_core.database.constraints import DRIVER_ERRORS, translate
from rayces_core.database.interrupting import is_on, run_interruptibly
from rayces_core.database.messages import Message
from rayces_core.database.outcomes import commits_within, may_write
from rayces_core.database.sql_guard import check
from rayces_core.database.waiting import waited_for_by
from rayces_core.errors import RaycesError, TenantNotSetError, TenantSwitchError, UnsafeSQLError
from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN, Outcome

_KEPT = "this cursor was kept, and its connection is that of {}; take a new one: db.engine.connection().cursor()"
# Somebody has deallocated it, or the tables have changed under it.
NOT_PREPARED = (code.INVALID_SQL_STATEMENT_NAME, code.FEATURE_NOT_SUPPORTED)


Send = Callable[[Any, Any, Any], None]  # what sends SQL and values through a cursor


class OwnSQL(str):
    """SQL that the library has rendered or looked at."""

    __slots__ = ()


class StainingSQL(OwnSQL):
    """Such SQL that may leave something on its connection."""

    __slots__ = ()


class TenantCursor(PlainCursor):
    """A cursor whose every statement carries the bound tenant."""

    carries_tenant = True

    def execute(self, query: Any, values: Any = None) -> None:
        """Run raw SQL as the bound tenant; SQL that would leave the tenant is refused."""
        if isinstance(query, OwnSQL):
            self.run(query, values, stains=type(query) is StainingSQL)
            return
        text = self._as_text(query)
        check(text, partial(self.filled, text, values) if values else None)
        self._check_unit()
        self.run(text, values, stains=True)

    def run(self, query: str, values: Any = None, *, stains: bool = False, meaning: str | None = None) -> None:
        """Run SQL that was checked; `stains` says that it may leave something on the connection.

        `meaning` is what it executes, where the text does not say.
        """
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        if isinstance(connection, CitusConnection):
            self._run_apart(connection, query, values, stains=stains, writes=stains or may_write(meaning or query))
            return
        alone = connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
        if not alone:
            self._check_holder(connection)
            preamble = ""
        elif self.name is not None:
            raise UnsafeSQLError("a server-side cursor needs a transaction; use `with db.atomic():`")
        else:
            preamble = connection.preamble(self._binding(connection))
        if stains:
            connection.stained_by = bound_here()
        try:
            self._waited_for(super().execute, preamble + query, values or None)
        except DRIVER_ERRORS as error:
            writes = alone and (stains or may_write(meaning or query))
            outcome: Outcome = UNKNOWN if writes else NOT_COMMITTED
            made = translate(error, cursor=self, ahead=len(preamble), outcome=outcome)
            if alone and getattr(error, "pgcode", None) == code.INVALID_SQL_STATEMENT_NAME:
                connection.bind_anew()
            if alone and not preamble and stains and isinstance(made, RaycesError) and commits_within(query):
                made.outcome, made.retryable = UNKNOWN, False
            if alone:
                connection.undo_begun()
            raise made from error
        finally:
            if connection.notes_writes and (stains or may_write(meaning or query)):
                self._note_write(connection, alone)

    @staticmethod
    def _note_write(connection: TenantConnection, alone: bool) -> None:
        """Note it for replicas; in a unit of work it counts once that is committed."""
        binding = bound_here() if alone else connection.holder
        if binding is None or binding.read_only:
            return
        if alone:
            connection.serves.note_write()
        else:
            connection.wrote = True

    def _run_apart(self, connection: CitusConnection, query: str, values: Any, *, stains: bool, writes: bool) -> None:
        """As `run` where the tenant is a message of its own; a lone statement has a transaction opened for it."""
        alone = connection.idle
        if not alone:
            self._check_holder(connection)
        elif self.name is not None:
            raise UnsafeSQLError("a server-side cursor needs a transaction; use `with db.atomic():`")
        binding = self._binding(connection) if alone else None
        outcome: Outcome = NOT_COMMITTED
        try:
            if binding is not None:
                connection.begin(binding)
            if stains:
                connection.stained_by = bound_here()
            for message in messages_of(query, values):
                self._waited_for(super().execute, message, values or None)
            if alone:
                outcome = UNKNOWN if writes else NOT_COMMITTED
                connection.end("COMMIT")
        except DRIVER_ERRORS as error:
            if alone:
                connection.give_up()
            raise translate(error, cursor=self, ahead=0, outcome=outcome) from error
        except BaseException:
            if alone:
                connection.close()
            raise

    def run_shape(self, query: str, values: tuple[Any, ...]) -> None:
        """Run SQL that was rendered once, by what is prepared on this connection where that may be."""
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        prepared = connection.prepared
        if not connection.footing.is_direct or not prepared.takes(query):
            self.run(query, values)
            return
        preparing = ""
        try:
            name, preparing = prepared.name_of(query)
            self.run(preparing + name + prepared.places(len(values)), values, meaning=query)
        except RaycesError as error:
            self._run_unprepared(connection, error, [query] if preparing else [], query, values)
        except BaseException:  # a signal's: whether it was sent is unknown
            prepared.forget([query])
            raise

    def _run_unprepared(
        self, connection: TenantConnection, error: RaycesError, new: list[str], plain: str, values: Any
    ) -> None:
        prepared = connection.prepared
        prepared.forget(None if error.sqlstate in NOT_PREPARED else new)
        # A lone message has done nothing yet.
        if error.sqlstate not in NOT_PREPARED or not connection.idle:
            raise error
        self.run(plain, values)

    def run_message(self, message: Message, values: Mapping[str, Any]) -> None:
        """Run a message of the library's own, by what is prepared on this connection where that may be."""
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        prepared = connection.prepared
        if not connection.footing.is_direct or not prepared.has_room_for(message):
            self.run(message.plain, values)
            return
        new: list[str] = []
        try:
            sql, given, new = prepared.form(message, values)
            self.run(sql, given, meaning=message.plain)
        except RaycesError as error:
            self._run_unprepared(connection, error, new, message.plain, values)
        except BaseException:  # a signal's: whether it was sent is unknown
            prepared.forget([statement.text for statement in message.statements])
            raise

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._driven(super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        """The next rows, at most `size` of them."""
        return self._driven(super().fetchmany, *(() if size is None else (size,)))

    def fetchall(self) -> Any:
        """The rows that are left."""
        return self._driven(super().fetchall)

    def __next__(self) -> Any:
        return self._driven(super().__next__)

    def _driven(self, act: Callable[..., Any], *given: Any) -> Any:
        try:
            return self._waited_for(act, *given)
        except DRIVER_ERRORS as error:
            in_unit = cast(TenantConnection, self.connection).holder is not None
            outcome: Outcome = NOT_COMMITTED if in_unit else UNKNOWN
            raise translate(error, cursor=self, outcome=outcome, answered=True) from error

    def _waited_for(self, act: Callable[..., Any], *given: Any) -> Any:
        return run_interruptibly(self.connection, act, *given) if is_on() else act(*given)

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
        self._copied(super().copy_expert, sql, file, size)

    def copy_from(self, *args: Any, **options: Any) -> None:
        """COPY … FROM within a transaction of the bound tenant."""
        self._check_copy("COPY")
        self._copied(partial(super().copy_from, *args, **options))

    def copy_to(self, *args: Any, **options: Any) -> None:
        """COPY … TO within a transaction of the bound tenant."""
        self._check_copy("COPY")
        self._copied(partial(super().copy_to, *args, **options))

    def _copied(self, act: Callable[..., Any], *given: Any) -> None:
        # psycopg2 cannot COPY while somebody else waits for it; Ctrl-C is seen between two reads of the file.
        try:
            with waited_for_by(None):
                if isinstance(self.connection, CitusConnection):
                    self._driven(self.connection.take_nodes_along)
                self._driven(act, *given)
        except BaseException:
            # Where the file of a COPY TO fails, the server goes on sending, and nothing else can be said to it.
            if self.connection.get_transaction_status() == TRANSACTION_STATUS_ACTIVE:
                self.connection.close()
            raise

    def _check_copy(self, statement: Any) -> None:
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        if not isinstance(statement, OwnSQL):
            check(self._as_text(statement))
        if connection.idle:
            current()
            raise UnsafeSQLError("COPY needs a transaction; use `with db.atomic():`")
        self._check_holder(connection)
        if not isinstance(statement, OwnSQL):
            self._check_unit()
            connection.stained_by = connection.holder
        if connection.notes_writes:
            self._note_write(connection, alone=False)

    def filled(self, text: str, values: Any) -> str:
        """The text with its values in place, as the server would get it."""
        try:
            return self.mogrify(text, values).decode(encodings[self.connection.encoding])
        except DRIVER_ERRORS as error:
            raise translate(error, cursor=self) from error

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
        binding = bound_here()
        if binding is connection.holder:
            return
        if binding is None:
            raise TenantNotSetError
        raise TenantSwitchError("the open transaction belongs to another tenant; commit it first")

    def _check_unit(self) -> None:
        connection: TenantConnection = self.connection  # type: ignore[assignment]
        if connection.is_foreign:
            raise TenantSwitchError(_KEPT.format("the process that this one was forked from"))
        if connection.holder is not None and not connection.serves.is_within_unit_on(connection):
            self._check_holder(connection)
            raise TenantSwitchError(_KEPT.format("a unit of work of another thread or task by now"))


def traced(send: Send) -> Send:
    """The same through a cursor of a monitoring agent, which looks at `execute` alone."""
    if send is TenantCursor.run_message:
        return lambda cursor, message, values: cursor.execute(OwnSQL(message.plain), values)
    if send is TenantCursor.run_shape or send is TenantCursor.execute:
        return lambda cursor, sql, values: cursor.execute(
            OwnSQL(sql) if send is TenantCursor.run_shape else sql, values
        )
    return send
