"""A replica: an engine that reads where its server has what was written here, and elsewhere where it has not.

What it sends begins with a check of that, in the same message: so it holds of the very server that answers, whatever
stands between, at the cost of no message. Isolation there is checked as on the primary, with the first connection.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any

import psycopg2

from rayces_core.database.binding import Home
from rayces_core.database.connecting import find_home
from rayces_core.database.connection import TenantConnection
from rayces_core.database.cursor import Send
from rayces_core.database.engine import Engine
from rayces_core.database.positions import checking
from rayces_core.database.routing import Routing
from rayces_core.database.transaction import Atomic
from rayces_core.errors import ConfigurationError, RaycesError


class Replica(Engine):
    """The engine of one replica, for the bindings of blocks that only read.

    Attributes: `routing`, which knows the others.
    """

    def __init__(
        self,
        dsn: str,
        role: str,
        *,
        name: str,
        routing: Routing,
        first_look: Callable[[TenantConnection], bool],
        **options: Any,
    ) -> None:
        def look(connection: TenantConnection) -> bool:
            self._check_identity(connection)  # another server may have no schema at all
            return first_look(connection)

        super().__init__(dsn, role, first_look=look, **options)
        self.replica, self.routing = name, routing
        routing.add(self)

    @property
    def home(self) -> Home:
        """The database, as its rows know it: the primary's."""
        home: Home = self.routing.primary.home
        return home

    @property
    def is_cautious(self) -> bool:
        """Whether tables run functions of the host, as the primary's do: asked before a statement finds its server."""
        primary = self.routing.primary
        return bool(primary.home and primary.is_cautious)

    @is_cautious.setter
    def is_cautious(self, _: bool) -> None:
        pass

    def _open(self) -> TenantConnection:
        connection = super()._open()
        try:
            self._check_identity(connection)
            self._try_check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_identity(self, connection: TenantConnection) -> None:
        # Each time: an address may lead elsewhere tomorrow.
        if find_home(connection) is not self.home:
            raise ConfigurationError(
                f"{self.replica} is no replica of the primary: it is of another server (system_identifier), or another "
                "database; or pg_control_system(), which tells, is not for this login to call"
            )

    def _try_check(self, connection: TenantConnection) -> None:
        try:
            connection.plain(checking(connection.check_name, 0, None))
        except psycopg2.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"the login of the replica {self.replica} may not see how far it is ({str(error).strip()}); a DBA can "
                "grant EXECUTE on that function"
            ) from error
        except psycopg2.Error:
            pass  # it is none any more, or was lost, as the next message will say

    def check(self, name: str | None) -> str:
        """What goes ahead of a message; `name` is of what its connection has prepared."""
        return checking(name, self.routing.needed(), self.routing.lag_seconds)

    # -- what is read -----------------------------------------------------------------------------------------

    def _send(self, send: Send, sql: Any, values: Any) -> Any:
        if not self.session.in_transaction:
            return self.routing.run(lambda place: self._sent_to(place, send, sql, values))
        try:
            return super()._send(send, sql, values)
        except RaycesError as error:
            # The unit of work is lost; what comes after it is done elsewhere.
            self.routing.leave(self.routing.route_here(), self, error)
            raise

    def _sent_to(self, place: Engine, send: Send, sql: Any, values: Any) -> Any:
        with self.routing.bound_to(place, self):
            return Engine._send(place, send, sql, values)

    def filled(self, sql: str, params: Any) -> str:
        """The text with its values in place, as the server gets it."""
        return self.routing.run(lambda place: Engine.filled(place, sql, params))

    def atomic(self, isolation_level: str | None = None, *, findable: bool = False) -> Atomic:  # type: ignore[override]
        """A unit of work that only reads, or a savepoint inside one; it has no outcome to be found."""
        del findable
        return ReadingUnit(self, isolation_level)

    transaction = atomic

    def savepoint(self) -> Atomic:  # type: ignore[override]
        """A savepoint; outside a transaction, a transaction."""
        return ReadingUnit(self)


class ReadingUnit(Atomic):
    """A unit of work that only reads: where its block does so, or elsewhere if that server is not where it must be."""

    def __init__(self, replica: Replica, isolation: str | None = None) -> None:
        super().__init__(replica._sessions, isolation)
        self._replica, self._bound = replica, ExitStack()

    def _recreate_cm(self) -> ReadingUnit:
        return ReadingUnit(self._replica, self._isolation)

    def __enter__(self) -> Atomic:
        replica = self._replica
        if replica.session.in_transaction or self in replica.session.transactions:
            return super().__enter__()
        if self._isolation == "SERIALIZABLE":  # a standby has no such transactions
            return self._enter_on(replica.routing.primary)
        return replica.routing.run(self._enter_on)

    def _enter_on(self, place: Engine) -> Atomic:
        self._sessions = place._sessions
        with ExitStack() as stack:
            stack.enter_context(self._bound_to(place))
            entered = super().__enter__()
            self._bound = stack.pop_all()
        return entered

    def _bound_to(self, place: Engine) -> AbstractContextManager[object]:
        return self._replica.routing.bound_to(place, self._replica)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        bound, self._bound = self._bound, ExitStack()
        with bound:
            super().__exit__(kind, error, trace)
