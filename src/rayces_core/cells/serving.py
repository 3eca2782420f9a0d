"""The part of `Cells` that a server of many requests asks for: what it asks of one Database, over several."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rayces_core.cells.finding import Finding
from rayces_core.database.binding import Binding
from rayces_core.database.blocks import TenantBlock
from rayces_core.database.tenants import checked_key
from rayces_core.errors import DatabaseUnreachableError, TenantMovedError, TenantNotCachedError, UnknownTenantError
from rayces_core.models import Organization

LookUp = Callable[[str | int], Organization | None]


class Serving(Finding):
    """What web servers need of cells besides their work; the same names as of a Database."""

    @property
    def max_connections(self) -> int:
        """How many units of work go on at once in one cell, at most: so many threads never wait for a connection."""
        return max(database.max_connections for database in self._databases.values())

    def refuse_event_loops(self) -> None:
        """From now on raise EventLoopError for every statement in the thread of a running event loop."""
        for database in self._databases.values():
            database.refuse_event_loops()

    def known_tenant(
        self, tenant: str | int, *, read_only: bool | None = None, after: str | None = None
    ) -> TenantBlock[Callable[[], Organization]]:
        """As `tenant(…, cached_only=True)`, in less time: `as` names a function that gives the Organization."""

        def find() -> tuple[Binding, Callable[[], Organization]]:
            placement = self._placed(checked_key(tenant), cached_only=True)
            if placement is None or placement.id is None:
                raise UnknownTenantError(tenant)
            database = self[placement.cell]
            self._refuse(placement.cell)
            try:
                return database._known_tenant(placement.id)
            except TenantMovedError:
                # What is remembered of it is older than its last move.
                self.forget_tenants()
                raise TenantNotCachedError(tenant) from None

        return TenantBlock(find, self._holder, way=partial(self._way, read_only, after))

    def looking_up(self, connections: int) -> LookUp:
        """`find_tenant` on connections of its own, at most so many in each cell, which wait behind no other work."""
        in_cells = {name: database.looking_up(connections) for name, database in self._databases.items()}

        def look_up(tenant: str | int) -> Organization | None:
            placement = self._placed(checked_key(tenant))
            if placement is None or placement.id is None:
                return None
            _ = self[placement.cell]  # CellError where the catalogue names one that is not among these
            found: Organization | None = in_cells[placement.cell](placement.id)
            return found

        return look_up

    def ping(self, timeout: float = 5.0) -> float:
        """Have one cell answer, whichever: the tenants of those that do are served. Returns after how many seconds.

        Raises:
            DatabaseUnreachableError: none answers, each within `timeout` seconds. `doctor()` looks at all of them.
        """
        failure: DatabaseUnreachableError | None = None
        for database in self._databases.values():
            try:
                return database.ping(timeout)
            except DatabaseUnreachableError as error:
                failure = error
        assert failure is not None  # noqa: S101 - there is one cell at least
        raise failure

    def disconnect(self) -> None:
        """Close every connection, those in use as well; the next statement opens a new one, and the server goes on."""
        self._catalogue.close()
        for database in self._databases.values():
            database.disconnect()
