"""The part of a Database that reads: blocks whose work is read-only, from replicas where there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rayces_core.database.binding import Binding, entered_here
from rayces_core.database.engine import Engine
from rayces_core.database.options import Options
from rayces_core.database.positions import Trail, position_in, token_of
from rayces_core.database.replica import Replica
from rayces_core.database.routing import Route, Routing
from rayces_core.database.urls import REPLICA_DEFAULTS, place_of, with_defaults, with_options

Way = tuple[Binding, Trail | None, Route | None]


class Replicated:
    """What a Database has to do with replicas."""

    _tenants: Engine
    _admins: Engine
    _engines: tuple[Engine, ...]
    _routing: Routing | None
    _holder: Callable[[], Binding | None]
    _engine: Callable[..., Any]

    def causal_token(self) -> str | None:
        """What `tenant(…, read_only=True, after=…)` needs to see, elsewhere or later, what was written here so far.

        For a cookie, the message of a job and the like. Written here means: by this thread or task, in the context that
        it was begun in before that, and within the blocks that go on here. It asks the primary where something was
        written since it was asked last; a Database without replicas does not know, and asks each time.

        Returns: a short text, or None where nothing was written.

        Raises:
            DatabaseUnreachableError: the primary does not answer.
        """
        position = self._tenants.position() if self._routing is None else self._routing.needed()
        return token_of(self._tenants.home.mark, position) if position else None

    def _connect_replicas(self, given: Options) -> None:
        """Make their engines; nothing is sent yet."""
        self._engines, self._routing = (self._tenants, self._admins), None
        if not given.replicas:
            return
        self._routing = Routing(
            self._tenants,
            (self._admins,),
            wait_seconds=float(given.replica_wait_seconds),
            rest_seconds=float(given.replica_rest_seconds),
            lag_seconds=None if given.replica_lag_seconds is None else float(given.replica_lag_seconds),
        )
        self._tenants.followers = self._admins.followers = self._routing
        urls = [with_options(url, given.connect_options) for url in given.replicas]
        self._engines += tuple(self._replica(url, given, self._routing) for url in urls)

    def _replica(self, url: str, given: Options, routing: Routing) -> Replica:
        dsn = with_defaults(url, REPLICA_DEFAULTS)
        made: Replica = self._engine(dsn, self._tenants.role, given, Replica, name=place_of(url), routing=routing)
        return made

    def _way(self, read_only: bool | None, after: str | None, binding: Binding) -> Way:
        """Where the work of a block goes: as it says, else as the block around it does."""
        around = entered_here()
        is_within = around is not None and around.binding.read_only and around.binding.engine in self._engines
        if not (is_within if read_only is None else read_only):
            return binding, None if self._routing is None else Trail(), None
        organization_id, route = binding.organization_id, around.route if around is not None and is_within else None
        assert organization_id is not None  # noqa: S101 - it is a tenant's
        holder = self._holder()
        if holder is not None and holder.read_only and holder.organization_id == organization_id:
            return holder, None, route
        if self._routing is None:
            return self._tenants.reading(organization_id), None, None
        trail = Trail() if after is None else Trail(position_in(after, self._tenants.home.mark))
        route = self._routing.begin() if route is None else route
        return route.place.reading(organization_id), trail, route
