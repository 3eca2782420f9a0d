"""Where a block that only reads does so: on a replica, on another one, at last on the primary.

Rule it guards: a read never misses what was committed here, and never fails for what a replica alone has: it goes on to
the next server, and the rest of the block with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any, Final, Protocol, TypeVar

from rayces_core.database.binding import Binding, entered_here, trails_here
from rayces_core.database.blocks import TenantBlock
from rayces_core.database.pool import ReplicaStatus
from rayces_core.database.positions import Refusal, position_of, refusal_of, written_before
from rayces_core.database.runners import loop_runs_here
from rayces_core.database.session import Session
from rayces_core.errors import (
    ConnectionLostError,
    DatabaseUnreachableError,
    DeadlockError,
    RaycesError,
    RoleNotHeldError,
    SchemaMissingError,
    SerializationError,
    UnknownColumnError,
    UnknownFunctionError,
    UnknownTableError,
)

logger = logging.getLogger("rayces_core")

PAUSE_SECONDS: Final = 0.005
Result = TypeVar("Result")


class Place(Protocol):
    """What this module knows of an engine."""

    replica: str | None
    session: Session

    def reading(self, organization_id: int | None) -> Binding:
        """The binding of an organization whose work here is read-only."""

    def position(self) -> int:
        """Where its server's log is."""


class Standing:
    """How a replica has done so far, and until when it is left alone."""

    __slots__ = ("behind", "blocks", "conflicts", "failures", "lagging", "rests_until")

    def __init__(self) -> None:
        self.blocks = self.behind = self.lagging = self.conflicts = self.failures = 0
        self.rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it is left alone."""
        return self.rests_until > time.monotonic()

    def rest(self, seconds: float) -> None:
        """Leave it alone for so long."""
        self.rests_until = time.monotonic() + seconds


class Route:
    """Where a block reads now. Attributes: `place`, the engine; `left`, those that it has read from, or would have."""

    __slots__ = ("left", "place", "waits_until")

    def __init__(self, place: Any) -> None:
        self.place, self.left = place, set[Any]()
        self.waits_until: float | None = None


class Routing:
    """The replicas of a Database, and what is known of them.

    Args:
        primary: the engine of tenants' work. others: engines whose writes are to be seen as well.
        wait_seconds: how long to wait for a replica that lacks what was written here. rest_seconds: how long to leave
            one alone that failed. lag_seconds: how far one may be behind the primary's clock; None for no limit.
    """

    def __init__(
        self,
        primary: Any,
        others: Iterable[Any],
        *,
        wait_seconds: float,
        rest_seconds: float,
        lag_seconds: float | None,
    ) -> None:
        self.primary, self._writers = primary, (primary, *others)
        self._wait_seconds, self._rest_seconds, self.lag_seconds = wait_seconds, rest_seconds, lag_seconds
        self.standings: dict[Any, Standing] = {}
        self._turns = count()

    def add(self, replica: Any) -> None:
        """One more."""
        self.standings[replica] = Standing()

    # -- what was written here --------------------------------------------------------------------------------

    def needed(self) -> int:
        """The position that a replica must have reached to be read here; asks the primary where something was written.

        Raises:
            DatabaseUnreachableError: the primary does not answer, so nobody knows.
        """
        mine = (each.session.trail for each in self._writers)
        return position_of([*mine, *written_before(self), *trails_here()], self.primary.position)

    # -- where to read ----------------------------------------------------------------------------------------

    def begin(self) -> Route:
        """The route of a block: it begins at a replica, if there is one to read from; nothing is sent."""
        route = Route(self.primary)
        self._go_on(route)
        if route.place is not self.primary:
            self.standings[route.place].blocks += 1
        return route

    def _go_on(self, route: Route) -> None:
        able = [each for each, standing in self.standings.items() if each not in route.left and not standing.rests]
        route.place = able[next(self._turns) % len(able)] if able else self.primary
        standing = self.standings.get(route.place)
        if standing is not None and standing.rests_until:
            standing.rest(self._rest_seconds)  # it failed before: whoever is first tries, the others do without it
        route.waits_until = None

    def run(self, act: Callable[[Any], Result]) -> Result:
        """What `act` gives for the engine where the block here reads."""
        route = self.route_here()
        while True:
            place = route.place
            if place is self.primary:
                return act(place)
            self.needed()  # where the primary does not say, that is no fault of the replica's
            try:
                result = act(place)
            except RaycesError as error:
                if not self.leave(route, place, error):
                    raise
            else:
                self.standings[place].rests_until = 0.0
                return result

    def route_here(self) -> Route:
        """The route of the block that goes on here."""
        block = entered_here()
        found = None if block is None else block.route
        return found if isinstance(found, Route) else Route(self.primary)

    def bound_to(self, place: Any, here: Any) -> AbstractContextManager[object]:
        """The organization that is bound here, bound to another engine for the block."""
        if place is here:
            return nullcontext()
        block = entered_here()
        assert block is not None  # noqa: S101 - whoever comes here has a binding of `here`
        binding, route = place.reading(block.binding.organization_id), block.route
        return TenantBlock(lambda: (binding, None), lambda: None, way=lambda _: (binding, None, route))

    def holder(self) -> Binding | None:
        """Whose unit of work is open on a replica in this thread or task, if any."""
        found = (each.holder_of_transaction() for each in self.standings)
        return next((one for one in found if one is not None), None)

    def leave(self, route: Route, place: Any, error: RaycesError) -> bool:
        """Whether another server may do what failed with this error on a replica; if so the route leads to it now."""
        standing = self.standings.get(place)
        if standing is None or not self._note(standing, place, error):
            return False
        if route.place is place and not self._waits(route, refusal_of(error.orig)):
            route.left.add(place)
            self._go_on(route)
        return True

    def _note(self, standing: Standing, place: Any, error: RaycesError) -> bool:
        """Count what went wrong; whether it is for the replica's own reasons."""
        refusal = refusal_of(error.orig)
        if refusal is not None and refusal.is_standby:
            standing.behind += not refusal.is_there
            standing.lagging += refusal.is_there
        elif isinstance(error, SerializationError | DeadlockError) and refusal is None:
            standing.conflicts += 1
        elif isinstance(error, UnknownColumnError | UnknownFunctionError | UnknownTableError):
            standing.behind += 1  # a migration has not come there yet; if it is none, the primary says the same
        elif refusal is not None or isinstance(error, _AWAY):
            standing.failures += 1
            # A connection may be lost to a DBA, or to what is replayed; a server that is gone takes no other.
            if not isinstance(error, ConnectionLostError):
                standing.rest(self._rest_seconds)
            logger.warning("replica %s was left, %s: %s", place.replica, error.code, error)
        else:
            return False
        return True

    def _waits(self, route: Route, refusal: Refusal | None) -> bool:
        """Whether to ask the same one again, after a pause."""
        if refusal is None or not refusal.is_standby or refusal.is_there or not self._wait_seconds or loop_runs_here():
            return False
        now = time.monotonic()
        route.waits_until = now + self._wait_seconds if route.waits_until is None else route.waits_until
        if now >= route.waits_until:
            return False
        time.sleep(PAUSE_SECONDS)
        return True

    # -- what monitoring asks ---------------------------------------------------------------------------------

    def status(self) -> tuple[ReplicaStatus, ...]:
        """How they stand now."""
        now = time.monotonic()
        return tuple(
            ReplicaStatus(
                str(each.replica),
                *(one.blocks, one.behind, one.lagging, one.conflicts, one.failures),
                max(0.0, one.rests_until - now),
                each.pool.status(),
            )
            for each, one in self.standings.items()
        )


# A schema and roles that are missing there have not come yet.
_AWAY: Final = (DatabaseUnreachableError, ConnectionLostError, SchemaMissingError, RoleNotHeldError)
