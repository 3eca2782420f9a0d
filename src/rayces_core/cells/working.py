"""The part of `Cells` that works as what is bound here, in whichever cell: the same names as of a Database."""

from __future__ import annotations

from rayces_core.cells.serving import Serving
from rayces_core.database.binding import bound_here, current
from rayces_core.database.engine import Engine
from rayces_core.database.observing import Observer
from rayces_core.database.units import Units
from rayces_core.errors import TenantSwitchError
from rayces_core.models import Organization


class Working(Serving, Units):
    """Units of work, raw SQL and what is bound, so that no code of an application has to know a tenant's cell."""

    @property
    def engine(self) -> Engine:
        """The Peewee database of what is bound here, in its cell.

        Raises:
            TenantNotSetError: nothing is bound, so there is no cell. TenantSwitchError: it is of none of these cells.
        """
        binding = current()
        if not self._is_of_a_cell(binding):
            raise TenantSwitchError("what is bound here is of a database that is none of these cells")
        engine: Engine = binding.engine
        return engine

    @property
    def organization_id(self) -> int | None:
        """Id of the bound organization; None in privileged work; TenantNotSetError without a binding."""
        return current().organization_id

    @property
    def current_tenant(self) -> Organization | None:
        """The organization that is bound here, for log lines and the like; None in privileged work and outside."""
        binding = bound_here()
        cells = self._databases.values()
        cell = next((each for each in cells if binding is not None and binding.engine in each._engines), None)
        return None if cell is None else cell.current_tenant

    def on_query(self, observer: Observer) -> Observer:
        """Call `observer` with each statement that was run, in whichever cell; see `Database.on_query`."""
        for database in self._databases.values():
            database.on_query(observer)
        return observer
