"""Who uses which connection: each thread and each task has a session of its own.

What hangs on a connection lives and dies with its lease: a block's `with` statement holds the lease, and where that
statement ends without having run its end, Python closes the connection, the server undoes what was begun on it, and
its place in the pool is free.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, ref

from rayces_core.database.binding import bound_here
from rayces_core.database.connection import TenantConnection
from rayces_core.database.pool import Pool
from rayces_core.database.positions import Trail
from rayces_core.database.runners import Runner, loop_runs_here, runner_here
from rayces_core.errors import ConcurrentUnitError, EventLoopError

_ASYNCIO = sys.modules["asyncio"]


class Lease:
    """A connection, once there is one, its open units of work, and what waits for their end.

    Attributes: `commit_callbacks` run after the outermost commit; `restorers` bring objects back when it is undone.
    """

    __slots__ = (
        "__weakref__",
        "commit_callbacks",
        "connection",
        "ctx",
        "restorers",
        "runner",
        "thread",
        "transactions",
    )

    def __init__(self) -> None:
        self.thread, self.runner = threading.get_ident(), runner_here()
        self.connection: TenantConnection | None = None
        self.ctx: list[
            Any
        ] = []  # Peewee's blocks that go on; each takes itself out, whatever becomes of the connection
        self.clear()

    def clear(self) -> None:
        """Forget units of work and what waits for them."""
        self.transactions: list[Any] = []
        self.commit_callbacks: list[Callable[[], object]] = []
        self.restorers: list[Callable[[], object]] = []

    @property
    def is_mine(self) -> bool:
        """Whether this thread and task began it."""
        return self.thread == threading.get_ident() and self.runner == runner_here()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by atomic() or by begin()."""
        return self.connection is not None and self.connection.holder is not None

    def is_open_on(self, serves: object) -> bool:
        """Whether a transaction of this engine is open."""
        connection = self.connection
        return connection is not None and connection.serves is serves and connection.holder is not None


# The unit of work that this context is within, for the tasks and threads that are begun in it.
open_unit: ContextVar[ref[Lease] | None] = ContextVar("rayces_unit", default=None)


class Loops:
    """Whether statements in the thread of a running event loop are refused; an engine's sessions share it."""

    __slots__ = ("are_refused",)

    def __init__(self, are_refused: bool) -> None:
        self.are_refused = are_refused


class Session:
    """The lease that one thread or task has now. Has the attributes that Peewee expects of a connection state.

    Attributes: `serves`, the engine whose bindings it works for; `trail`, of what it has written.
    """

    def __init__(self, pool: Pool[TenantConnection], serves: object, loops: Loops) -> None:
        self._pool, self.serves, self._loops = pool, serves, loops
        self.trail = Trail()
        self.commits = 0  # so far, to tell whether a unit of work has committed a part of itself
        self._known: ref[Lease] | None = None
        self._own: Lease | None = None  # of statements outside every block of this thread or task

    def __del__(self) -> None:
        # A thread or task that ended with a connection in hand: what it had begun is undone by closing.
        connection = None if self._own is None else self._own.connection
        if connection is not None:
            if not connection.is_foreign:
                connection.close()
            self._pool.give_back(connection)

    # -- the lease --------------------------------------------------------------------------------------------

    @property
    def lease(self) -> Lease | None:
        """The lease of the outermost block that goes on, or of what runs outside every block."""
        if self._own is not None:
            return self._own
        return None if self._known is None else self._known()

    def begin_block(self) -> tuple[Lease, bool]:
        """The lease that a block holds, and whether the block is the outermost one, which ends it."""
        own = self._own
        if own is not None and not (own.transactions or own.ctx or own.in_transaction):
            self.give_back()  # else the block would lose its connection after the first statement
        lease = self.lease
        if lease is not None:
            return lease, False
        lease = Lease()
        self._known = ref(lease)
        return lease, True

    def lease_anyway(self) -> Lease:
        """The lease; outside every block of this thread or task one that lasts until it is released."""
        lease = self.lease
        if lease is None:
            lease = self._own = Lease()
        return lease

    # -- the connection ---------------------------------------------------------------------------------------

    def check_out(self) -> TenantConnection:
        """The connection, replaced if the server dropped it between two transactions.

        Raises:
            ConcurrentUnitError: this task or thread was begun within an open unit of work of another.
            EventLoopError: an event loop runs here, and the Database was made to refuse that.
            PoolTimeoutError: no connection gets free in time.
        """
        lease = self.lease_anyway()
        connection = lease.connection
        if connection is not None:
            # Within a transaction a broken connection must fail, not be replaced: what came before is lost.
            if lease.transactions or connection.holder is not None:
                return connection
            if not connection.dropped() and connection.is_clean_for(bound_here()):
                return connection
            self._return(lease)
        try:
            self._check_runner()
            lease.connection = connection = self._clean_one()
        except BaseException:
            if not lease.ctx:
                self._own = None
            raise
        return connection

    def _clean_one(self) -> TenantConnection:
        """A connection on which nothing of another tenant is; one that cannot be cleansed is replaced."""
        binding = bound_here()
        while True:
            connection = self._pool.take(binding)
            if connection.is_clean_for(binding):
                return connection
            self._pool.give_back(connection)

    def _check_runner(self) -> None:
        unit = open_unit.get()
        lease = None if unit is None else unit()
        if lease is not None and lease.is_open_on(self.serves) and not lease.is_mine:
            raise ConcurrentUnitError
        if self._loops.are_refused and loop_runs_here():
            raise EventLoopError

    def release(self) -> None:
        """Give the connection back unless a block or a transaction still keeps it."""
        lease = self.lease
        if lease is None or lease.transactions:
            return
        if lease is self._own and not lease.ctx:
            self.give_back()
        elif lease.connection is not None and lease.connection.closed:
            self._return(lease)

    def give_back(self) -> None:
        """Give the connection back, whoever keeps it."""
        lease, self._own = self.lease, None
        if lease is not None:
            self._return(lease)

    def end_block(self) -> None:
        """Give the connection back at the end of the outermost block: its lease is over, whoever still knows it."""
        lease, self._own, self._known = self.lease, None, None
        if lease is not None:
            self._return(lease)

    def _return(self, lease: Lease) -> None:
        connection, lease.connection = lease.connection, None
        lease.clear()
        if connection is not None:
            self._pool.give_back(connection)

    # -- what Peewee looks at ---------------------------------------------------------------------------------

    @property
    def conn(self) -> TenantConnection | None:
        """The connection, if there is one."""
        lease = self.lease
        return None if lease is None else lease.connection

    @property
    def closed(self) -> bool:
        """Whether there is none."""
        return self.conn is None

    @property
    def ctx(self) -> list[Any]:
        """Peewee's connection contexts."""
        return self.lease_anyway().ctx

    @property
    def transactions(self) -> list[Any]:
        """The open units of work, the outermost first."""
        lease = self.lease
        return [] if lease is None else lease.transactions

    def reset(self) -> None:
        """Forget the connection."""
        lease, self._own = self.lease, None
        if lease is not None:
            lease.connection = None
            lease.clear()

    # -- units of work ----------------------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by atomic() or by begin()."""
        lease = self.lease
        return lease is not None and lease.in_transaction

    def undo_in_memory(self, callbacks: int = 0, restorers: int = 0) -> None:
        """Bring back what objects were, the last change first, and drop what waited for the commit.

        `callbacks` and `restorers` say how many there were when the unit of work that is undone began.
        """
        lease = self.lease
        if lease is None:
            return
        del lease.commit_callbacks[callbacks:]
        undone = lease.restorers[restorers:]
        del lease.restorers[restorers:]
        for restore in reversed(undone):
            restore()

    def kept(self) -> list[Callable[[], object]]:
        """The transaction is committed: forget how to restore; gives what waited for this."""
        lease = self.lease
        if lease is None:
            return []
        callbacks, lease.commit_callbacks, lease.restorers = lease.commit_callbacks, [], []
        return callbacks


class Sessions(threading.local):
    """The sessions of one engine; `current()` finds the one of the running task or thread."""

    def __init__(self, pool: Pool[TenantConnection], serves: object, loops: Loops) -> None:
        self._make: Callable[[], Session] = lambda: Session(pool, serves, loops)
        self.forget()

    def current(self) -> Session:
        """The session of the running task, or of this thread when none is running."""
        if _ASYNCIO._get_running_loop() is None and "trio" not in sys.modules:
            return self._thread
        runner = runner_here()
        if runner is None:
            return self._thread
        session = self._tasks.get(runner)
        if session is None:
            session = self._tasks[runner] = self._make()
            self._had_tasks = True
        return session

    def there(self) -> Session | None:
        """The same, if there is one already."""
        if not self._had_tasks and self._thread.conn is None:  # whichever of them is asked for, it has nothing
            return None
        runner = runner_here()
        return self._thread if runner is None else self._tasks.get(runner)

    def forget(self) -> None:
        """After a fork: the connections are the parent's; what it has written is to be seen here as well."""
        before: Session | None = getattr(self, "_thread", None)
        self._thread, self._had_tasks = self._make(), False
        if before is not None:
            self._thread.trail = before.trail
        self._tasks: WeakKeyDictionary[Runner, Session] = WeakKeyDictionary()
