"""The part of a Database that a server of many requests asks for: pools beside it, event loops, an orderly end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from rayces_core.database.engine import Engine
from rayces_core.database.options import Options
from rayces_core.database.tenants import Remembered


class Serving:
    """What web servers need of a Database besides its work."""

    url: str
    _options: Options
    _tenants: Engine
    _admins: Engine
    _engines: tuple[Engine, ...]
    _organizations: Remembered
    _others: list[Serving]
    find_tenant: Callable[..., Any]

    def refuse_event_loops(self) -> None:
        """From now on raise EventLoopError for every statement in the thread of a running event loop.

        As `in_event_loop="refuse"` of `connect`, for one that is connected already.
        """
        for engine in self._engines:
            engine.loops.are_refused = True

    def beside(self, max_connections: int) -> Self:
        """The same database with a pool of its own, of at most so many connections; what is known of tenants is shared.

        For work that must not wait behind all other, such as looking a tenant up. It has no replicas, and is closed
        with this one.
        """
        given = replace(self._options, max_connections=max_connections, replicas=())
        other = type(self)(self.url, options=given)  # type: ignore[call-arg]
        other._organizations = self._organizations
        for engine in other._engines:
            engine.organizations = self._organizations
            engine.loops.are_refused = self._tenants.loops.are_refused
        self._others.append(other)
        return other

    def looking_up(self, connections: int) -> Callable[[str | int], Any]:
        """`find_tenant` on connections of its own, at most so many, which wait behind no other work.

        Binding what it has found asks nothing of the server.
        """
        other = self.beside(connections)

        def look_up(tenant: str | int) -> Any:
            _ = self._tenants.home
            return other.find_tenant(tenant)

        return look_up

    @property
    def max_connections(self) -> int:
        """How many units of work go on at once, at most."""
        return self._tenants.pool.max_connections

    def disconnect(self) -> None:
        """Close every connection, those in use as well; the next statement opens a new one, and the server goes on."""
        for engine in self._engines:
            engine.pool.close()
        for other in self._others:
            other.disconnect()
