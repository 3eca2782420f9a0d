"""A bounded pool of connections: waits up to a limit, replaces what the server dropped, pings nobody.

Whether a connection still lives is read off its socket, so taking one costs no round trip.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from rayces_core.errors import ConfigurationError, PoolTimeoutError


class Lendable(Protocol):
    """What a pool lends: it can be closed, and it knows whether it still lives and may be lent again."""

    @property
    def closed(self) -> int | bool:
        """Whether it is closed."""

    @property
    def is_foreign(self) -> bool:
        """Whether another process made it."""

    def dropped(self) -> bool:
        """Whether the server has left."""

    def may_be_lent_again(self) -> bool:
        """Whether somebody else may have it next."""

    def close(self) -> None:
        """End it."""


L = TypeVar("L", bound=Lendable)


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
        self._in_use: set[L] = set()
        self._opening = 0
        self._changed = threading.Condition()
        self._process = os.getpid()

    def take(self) -> L:
        """A live connection; raises PoolTimeoutError when none gets free in time."""
        deadline = time.monotonic() + self.timeout_seconds
        with self._changed:
            while True:
                while self._free:
                    connection = self._free.pop()
                    if not connection.dropped():
                        self._in_use.add(connection)
                        return connection
                    connection.close()
                if len(self._in_use) + self._opening < self.max_connections:
                    self._opening += 1
                    break
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._changed.wait(remaining):
                    raise PoolTimeoutError(self.max_connections, self.timeout_seconds)
        return self._open()

    def _open(self) -> L:
        # Outside the lock: a slow handshake must not hold up the threads that only give back.
        connection = None
        try:
            connection = self._make()
        finally:
            with self._changed:
                self._opening -= 1
                if connection is None:
                    self._changed.notify()
                else:
                    self._in_use.add(connection)
        return connection

    def give_back(self, connection: L) -> None:
        """Return a connection; one that is broken, used up or still in a transaction is closed instead."""
        if connection.is_foreign:
            _ABANDONED.append(connection)
            return
        with self._changed:
            if connection in self._in_use:
                self._in_use.discard(connection)
                if connection.may_be_lent_again():
                    self._free.append(connection)
                elif not connection.closed:
                    connection.close()
                self._changed.notify()
            else:
                connection.close()

    def close(self) -> None:
        """Close every connection, those in use as well."""
        with self._changed:
            for connection in [*self._free, *self._in_use]:
                connection.close()
            self._free, self._in_use = [], set()
            self._changed.notify_all()

    def forget_in_child(self) -> None:
        """After a fork the sockets are the parent's: drop them without a word to the server."""
        _ABANDONED.extend([*self._free, *self._in_use])
        self._start_empty()


_POOLS: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()
# Kept alive, because collecting a connection object would say goodbye on the parent's socket.
_ABANDONED: list[Any] = []


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool.forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
