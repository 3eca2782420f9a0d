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
from rayces_core.database.pool import Pool


class Session:
    """The connection one thread or task holds, how many blocks keep it, and what runs when its transaction ends.

    Attributes: `serves`, the engine whose bindings it works for; `commit_callbacks` run after the outermost commit;
    `restorers` bring objects back when it is undone.
    Has the attributes that Peewee expects of a connection state.
    """

    def __init__(self, pool: Pool[TenantConnection], serves: object) -> None:
        self._pool, self.serves = pool, serves
        self.blocks = 0
        self.reset()

    def __del__(self) -> None:
        # A thread or task that ended with a connection in hand: what it had begun is undone by closing.
        if self.conn is not None and not self.conn.is_foreign:
            self.conn.close()
            self._pool.give_back(self.conn)

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

    def check_out(self) -> TenantConnection:
        """The connection, replaced if the server dropped it between two transactions."""
        connection = self.conn
        if connection is not None:
            # Within a transaction a broken connection must fail, not be replaced: what came before is lost.
            if self.transactions or connection.holder is not None or not connection.dropped():
                return connection
            self.give_back()
        self.conn = connection = self._pool.take()
        self.closed = False
        return connection

    def release(self) -> None:
        """Give the connection back unless a block or a transaction still keeps it."""
        connection = self.conn
        if connection is None or self.transactions or (self.blocks and not connection.closed):
            return
        self.give_back()

    def give_back(self) -> None:
        """Give the connection back, whoever keeps it."""
        connection = self.conn
        self.reset()
        if connection is not None:
            self._pool.give_back(connection)

    def drop_used_up(self) -> None:
        """Give the connection back, to be closed, if something of its tenant may be left on it."""
        if self.conn is not None and self.conn.used_up and self.conn.holder is None:
            self.give_back()


class Sessions(threading.local):
    """The sessions of one engine; `current()` finds the one of the running task or thread."""

    def __init__(self, pool: Pool[TenantConnection], serves: object) -> None:
        self._pool, self._serves = pool, serves
        self._thread = Session(pool, serves)
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
            session = self._tasks[task] = Session(self._pool, self._serves)
        return session

    def forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._thread = Session(self._pool, self._serves)
        self._tasks = WeakKeyDictionary()
