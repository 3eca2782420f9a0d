"""Who uses which connection: each thread and each asyncio task has a session of its own.

Tasks of one thread interleave at every await, so a connection (and above all an open transaction) that belonged
to the thread would be shared by tasks of different tenants.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from rayces_core.database.connection import TenantConnection


class Session:
    """The connection one thread or task holds, how many blocks keep it, and what runs when its transaction ends.

    Attributes: `commit_callbacks` run after the outermost commit; `restorers` bring objects back when it is undone.
    Has the attributes that Peewee expects of a connection state.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self.reset()

    def __del__(self) -> None:
        # A thread or task that ended with a connection in hand: what it had begun is undone by closing.
        if self.conn is not None and not self.conn.is_foreign:
            self.conn.close()
            self.conn.engine.pool.give_back(self.conn)

    def reset(self) -> None:
        """Forget the connection."""
        self.closed = True
        self.conn: TenantConnection | None = None
        self.ctx: list[Any] = []
        self.transactions: list[Any] = []
        self.commit_callbacks: list[Callable[[], object]] = []
        self.restorers: list[Callable[[], object]] = []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by atomic() or by begin()."""
        return self.conn is not None and self.conn.holder is not None

    def undo_in_memory(self, callbacks: int = 0, restorers: int = 0) -> None:
        """Bring back what objects were, the last change first, and drop what waited for the commit.

        `callbacks` and `restorers` say how many there were when the unit of work that is undone began.
        """
        del self.commit_callbacks[callbacks:]
        undone = self.restorers[restorers:]
        del self.restorers[restorers:]
        for restore in reversed(undone):
            restore()

    def kept(self) -> list[Callable[[], object]]:
        """The transaction is committed: forget how to restore; gives what waited for this."""
        callbacks, self.commit_callbacks, self.restorers = self.commit_callbacks, [], []
        return callbacks

    def set_connection(self, connection: TenantConnection) -> None:
        """Take up a connection."""
        self.conn, self.closed = connection, False


class Sessions(threading.local):
    """The sessions of one database; `current()` finds the one of the running task or thread."""

    def __init__(self) -> None:
        self._thread = Session()
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], Session] = WeakKeyDictionary()

    def current(self) -> Session:
        """The session of the running asyncio task, or of this thread when none is running."""
        if asyncio._get_running_loop() is None:
            return self._thread
        task = asyncio.current_task()
        if task is None:
            return self._thread
        session = self._tasks.get(task)
        if session is None:
            session = self._tasks[task] = Session()
        return session

    def forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._thread = Session()
        self._tasks = WeakKeyDictionary()
