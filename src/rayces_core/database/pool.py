"""A bounded pool of connections: waits up to a limit, replaces what the server dropped, pings nobody.

Whether a connection still lives is read off its socket, so taking one costs no round trip. Who has one is known by
weak references: a connection that nobody holds any more, whatever kept its holder from giving it back, is closed by
Python and its place is free. The lock is taken by `with` alone, since an exception out of a signal handler can leave
the methods of a Condition half done.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from rayces_core.database.runners import loop_runs_here, refuse_late_patching
from rayces_core.errors import ConfigurationError, PoolTimeoutError

# How long one waits at most before looking again: whoever should have told may have been interrupted.
_LOOK_AGAIN_SECONDS = 0.1
# After how long a wait garbage is collected, and how seldom: it stops every thread, of a large process for a second.
_COLLECT_AFTER_SECONDS, _COLLECT_AGAIN_SECONDS = 1.0, 5.0


class Lendable(Protocol):
    """What a pool lends: it can be closed, and it knows whether it still lives and may be lent again."""

    @property
    def closed(self) -> int | bool:
        """Whether it is closed."""

    @property
    def is_foreign(self) -> bool:
        """Whether another process made it."""

    def suits(self, whom: object) -> bool:
        """Whether it can go to `whom` as it is."""

    def dropped(self) -> bool:
        """Whether the server has left."""

    def may_be_lent_again(self) -> bool:
        """Whether somebody else may have it next."""

    def close(self) -> None:
        """End it."""


L = TypeVar("L", bound=Lendable)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A pool at one moment: connections in use and free, threads that wait, the limit, and time-outs so far.

    `replicas` tells of those that a Database reads from.
    """

    in_use: int
    free: int
    waiting: int
    max_connections: int
    timeouts: int
    replicas: tuple[ReplicaStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica at one moment, as far as this process knows.

    Attributes:
        name: its host, port and database. blocks: that began to read there.
        behind: how often it had not all that was written here; lagging: how often it lagged more than it may.
        conflicts: statements that its server cancelled for what came from the primary. failures: how often it was away,
            or no replica any more.
        resting_seconds: for how long it is left alone yet. pool: of its connections.
    """

    name: str
    blocks: int
    behind: int
    lagging: int
    conflicts: int
    failures: int
    resting_seconds: float
    pool: PoolStatus


class _Place:
    """The place of a connection that is being opened."""

    __slots__ = ("__weakref__",)


class Pool(Generic[L]):
    """At most `max_connections` connections made by `make`, the last used handed out first."""

    def __init__(self, make: Callable[[], L], max_connections: int, timeout_seconds: float) -> None:
        if max_connections < 1:
            raise ConfigurationError(f"max_connections must be at least 1, not {max_connections}")
        self.max_connections, self.timeout_seconds = max_connections, timeout_seconds
        self._make = make
        self._start_empty()
        _POOLS.add(self)

    def _start_empty(self) -> None:
        self._free: list[L] = []
        self._in_use: set[weakref.ref[L]] = set()
        self._opening: set[weakref.ref[_Place]] = set()
        self._waiting: deque[Any] = deque()
        self._timeouts = 0
        self._collects_from = 0.0
        # Re-entered where Python collects, at any allocation, a session that ended with a connection in hand.
        self._lock = threading.RLock()
        self._process = os.getpid()

    def take(self, whom: object = None) -> L:
        """A live connection, rather one that suits `whom` as it is.

        Raises:
            PoolTimeoutError: none gets free in time; at once where an event loop would have to stand still for it.
        """
        refuse_late_patching(self._lock)
        deadline = None
        while True:
            place = _Place()
            with self._lock:
                connection = self._free_one(whom)
                if connection is None and self._taken() < self.max_connections:
                    self._opening.add(weakref.ref(place))
                    break
            if connection is not None:
                return connection
            now = time.monotonic()
            if deadline is None:
                deadline = self._deadline(now)
            elif self._collected(now, deadline):
                continue
            self._wait(deadline - now)
        return self._open(place)

    def _taken(self) -> int:
        """How many places are taken; those of connections that nobody has any more are not."""
        for known in (self._in_use, self._opening):
            gone = [each for each in known.copy() if each() is None]
            known.difference_update(gone)
        return len(self._in_use) + len(self._opening)

    def _free_one(self, whom: object) -> L | None:
        while self._free:
            at = len(self._free) - 1
            while at > 0 and not self._free[at].suits(whom):
                at -= 1
            at = at if self._free[at].suits(whom) else len(self._free) - 1
            connection = self._free.pop(at)
            if not connection.dropped():
                self._in_use.add(weakref.ref(connection))
                return connection
            connection.close()
        return None

    def _deadline(self, now: float) -> float:
        if loop_runs_here():
            self._timeouts += 1
            raise PoolTimeoutError(self.max_connections, 0.0, in_event_loop=True)
        return now + self.timeout_seconds

    def _collected(self, now: float, deadline: float) -> bool:
        """Whether garbage was collected now: a connection may be held by what nobody holds any more, in a circle."""
        has_waited = now >= min(deadline, deadline - self.timeout_seconds + _COLLECT_AFTER_SECONDS)
        if not has_waited or now < self._collects_from:
            return False
        self._collects_from = now + _COLLECT_AGAIN_SECONDS
        gc.collect()
        return True

    def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            self._timeouts += 1
            raise PoolTimeoutError(self.max_connections, self.timeout_seconds)
        turn = threading.Lock()
        turn.acquire()
        self._waiting.append(turn)
        try:
            turn.acquire(timeout=min(seconds, _LOOK_AGAIN_SECONDS))
        finally:
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)

    def _wake(self) -> None:
        # No exception is handled here: one that is interrupted would keep the frames, and with them the connection.
        with self._lock:
            turn = self._waiting.popleft() if self._waiting else None
        if turn is not None:
            turn.release()

    def _open(self, place: _Place) -> L:
        # Outside the lock: a slow handshake must not hold up the threads that only give back.
        try:
            connection = self._make()
        except BaseException:
            self._opening.discard(weakref.ref(place))
            self._wake()
            raise
        with self._lock:
            self._opening.discard(weakref.ref(place))
            self._in_use.add(weakref.ref(connection))
        return connection

    def give_back(self, connection: L) -> None:
        """Return a connection; one that is broken, used up or still in a transaction is closed instead."""
        if connection.is_foreign:
            _ABANDONED.append(connection)
            return
        good = connection.may_be_lent_again()
        with self._lock:
            lent = weakref.ref(connection) in self._in_use
            self._in_use.discard(weakref.ref(connection))
            if good and lent:
                self._free.append(connection)
        if not (good and lent) and not connection.closed:
            connection.close()
        self._wake()

    def status(self) -> PoolStatus:
        """How it stands now."""
        with self._lock:
            return PoolStatus(self._taken(), len(self._free), len(self._waiting), self.max_connections, self._timeouts)

    def close(self) -> None:
        """Close every connection, those in use as well."""
        with self._lock:
            connections = self._all()
            self._free, self._in_use = [], set()
        for connection in connections:
            connection.close()
        for _ in range(len(self._waiting)):
            self._wake()

    def forget_in_child(self) -> None:
        """After a fork the sockets are the parent's: drop them without a word to the server."""
        _ABANDONED.extend(self._all())
        self._start_empty()

    def _all(self) -> list[L]:
        lent = [each() for each in list(self._in_use)]
        return [*self._free, *(connection for connection in lent if connection is not None)]


_POOLS: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()
# Kept alive, because collecting a connection object would say goodbye on the parent's socket.
_ABANDONED: list[Any] = []


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool.forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
