"""The part of a Database that monitoring looks at: whether the server answers, how the pool stands, what was run."""

from __future__ import annotations

from dataclasses import replace

from rayces_core.database.engine import Engine
from rayces_core.database.observing import Observer
from rayces_core.database.pinging import ping
from rayces_core.database.pool import PoolStatus
from rayces_core.database.routing import Routing
from rayces_core.database.urls import with_defaults


class Watched:
    """What a Database tells of its health and its work."""

    url: str
    _tenants: Engine
    _admins: Engine
    _engines: tuple[Engine, ...]
    _routing: Routing | None

    def ping(self, timeout: float = 5.0) -> float:
        """Connect as tenants' work does and have the server answer; returns after how many seconds it did.

        On a connection of its own, so that a pool that is busy is still healthy; `pool_status` tells of that.

        Raises:
            DatabaseUnreachableError: no answer within `timeout` seconds.
        """
        return ping(with_defaults(self.url), timeout)

    def pool_status(self) -> PoolStatus:
        """How the pool of tenants' work stands: connections in use and free, threads that wait, time-outs so far.

        Its `replicas` say of each replica how it has done so far, and how its pool stands.
        """
        status = self._tenants.pool.status()
        return status if self._routing is None else replace(status, replicas=self._routing.status())

    def on_query(self, observer: Observer) -> Observer:
        """Call `observer` with each statement that was run: operation, table, seconds, tenant, rows; never its values.

        What a cursor of `engine.connection()` runs is not told. Usable as a decorator. It runs within the statement's
        own call: it should be quick, and what it raises goes on.
        """
        for engine in self._engines:
            engine.observers.append(observer)
        return observer
