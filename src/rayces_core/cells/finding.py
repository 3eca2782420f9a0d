"""The part of `Cells` that finds a tenant's cell: in the catalogue, and again where a block outlives a move.

Rule it guards: no unit of work and no statement alone begins in a cell where the tenant does not live any more.
"""

from __future__ import annotations

from collections.abc import Callable

from rayces_core.cells.catalogue import Catalogue
from rayces_core.cells.placements import Placement, Remembered
from rayces_core.database.binding import WITHIN, Binding, entered_here
from rayces_core.database.database import Database
from rayces_core.database.replicated import Way
from rayces_core.database.runners import loop_runs_here
from rayces_core.database.tenants import checked_key
from rayces_core.errors import (
    CellError,
    CellSwitchError,
    EventLoopError,
    TenantMovedError,
    TenantNotCachedError,
    UnknownTenantError,
)
from rayces_core.models import Organization


class Finding:
    """Which cell a tenant is in."""

    _databases: dict[str, Database[Organization]]
    _catalogue: Catalogue
    _known: Remembered
    _trusted_seconds: float

    def __getitem__(self, name: str) -> Database[Organization]:
        if name not in self._databases:
            raise CellError(f"there is no cell {name!r}; there are {', '.join(self._databases)}")
        return self._databases[name]

    def _bound(self, tenant: object, cached_only: bool) -> tuple[Binding, Organization]:
        if cached_only and isinstance(tenant, Organization):
            return self._where_read(tenant)
        key = tenant.id if isinstance(tenant, Organization) else checked_key(tenant)
        try:
            return self._in_cell(key, cached_only)
        except (TenantMovedError, UnknownTenantError):
            if cached_only or self._known.find(key) is None:
                raise
        # What was remembered is old: asked anew, once.
        self.forget_tenants()
        return self._in_cell(key, cached_only)

    def _where_read(self, organization: Organization) -> tuple[Binding, Organization]:
        """What binds an Organization in the cell it was read from; its first statement asks whether that is right."""
        home = organization._home
        for name, database in self._databases.items():
            if home is not None and home is database.engine._home:
                self._refuse(name)
                return database._tenant(organization, cached_only=True)
        raise UnknownTenantError(organization, "this Organization was read from none of these cells")

    def _in_cell(self, key: str | int, cached_only: bool) -> tuple[Binding, Organization]:
        placement = self._placed(key, cached_only)
        if placement is None or placement.id is None:
            raise UnknownTenantError(key)
        database = self[placement.cell]
        self._refuse(placement.cell)
        # By its id, which stays when it is renamed.
        return database._tenant(placement.id, cached_only)

    def _placed(self, key: str | int, cached_only: bool = False) -> Placement | None:
        known = self._known.find(key)
        if known is False:
            if cached_only:
                raise TenantNotCachedError(key)
            return self._known.look_up(key, lambda: self._found(key))
        return known

    def _found(self, key: str | int) -> tuple[Placement | None, float]:
        if loop_runs_here() and any(database.engine.loops.are_refused for database in self._databases.values()):
            raise EventLoopError
        found, seconds = self._catalogue.find(key)
        return found, min(seconds, self._trusted_seconds)

    def _way(self, read_only: bool | None, after: str | None, binding: Binding) -> Way:
        """Where the work of a block goes in its cell: as it says, else as the block around it, of whatever cell, does.

        Where a tenant was moved to, a replica may lack all of it: as if it had been written here, the primary says how
        far a replica must be, as long as there is an old copy.
        """
        around = entered_here()
        if read_only is None and around is not None and around.binding.read_only:
            read_only = self._is_of_a_cell(around.binding)
        database = next(each for each in self._databases.values() if binding.engine in each._engines)
        taken, trail, route = database._way(read_only, after, binding)
        placement = None if binding.organization_id is None else self._known.last(binding.organization_id)
        if route is not None and trail is not None and placement is not None and placement.state == "moved":
            trail.note()
        return taken, trail, route

    def _is_of_a_cell(self, binding: Binding) -> bool:
        return any(binding.engine in database._engines for database in self._databases.values())

    def causal_token(self, tenant: str | int) -> str | None:
        """What `tenant(…, read_only=True, after=…)` needs to see what was written here in the cell of this tenant.

        See `Database.causal_token`. In another cell, to which the tenant was moved since, it has the primary read.

        Raises:
            UnknownTenantError: there is no such tenant. DatabaseUnreachableError: the primary does not answer.
        """
        placement = self._placed(checked_key(tenant))
        if placement is None:
            raise UnknownTenantError(tenant)
        return self[placement.cell].causal_token()

    def forget_tenants(self) -> None:
        """Look up anew where each tenant lives, and what it is."""
        self._known.forget()
        for database in self._databases.values():
            database.engine.forget_organizations()

    def find_tenant(self, name: str | int, *, cached_only: bool = False) -> Organization | None:
        """The organization of this subdomain or id, switched off or not; None where there is none.

        Raises:
            TenantNotCachedError: `cached_only`, and it has not been looked up here lately.
        """
        placement = self._placed(checked_key(name), cached_only)
        if placement is None or placement.id is None:
            return None
        return self[placement.cell].find_tenant(placement.id, cached_only=cached_only)

    def _holder(self) -> Binding | None:
        """Whose unit of work is open in this thread or task, in whichever cell."""
        holders = (_holder_in(database) for database in self._databases.values())
        return next((holder for holder in holders if holder is not None), None)

    def _refusing(self, name: str) -> Callable[[], None]:
        return lambda: self._refuse(name)

    def _refuse(self, name: str) -> None:
        """Raise CellSwitchError where a unit of work is open in another cell than this one."""
        for other, database in self._databases.items():
            if other != name and _holder_in(database) is not None:
                raise CellSwitchError(other, name)

    def _refusing_moved(self, name: str) -> Callable[[Binding], None]:
        def refuse_moved(binding: Binding) -> None:
            """Raise TenantMovedError where the block here was entered before a move: this cell has an old copy."""
            block = entered_here()
            if block is None or block.route is WITHIN or block.binding is not binding:
                return
            organization_id = binding.organization_id
            placement = None if organization_id is None else self._placed(organization_id)
            if placement is not None and placement.cell != name:
                raise TenantMovedError(placement.subdomain, placement.cell)

        return refuse_moved


def _holder_in(database: Database[Organization]) -> Binding | None:
    return database._tenants.holder_of_transaction() or database._admins.holder_of_transaction()
