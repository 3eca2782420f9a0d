"""What runs here: a thread, an asyncio task or a trio task; each has a session of its own.

Tasks of one thread interleave at every await, so a connection (and above all an open transaction) that belonged to the
thread would be shared by tasks of different tenants.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from rayces_core.errors import ConfigurationError

# A task, of either library; None is the thread itself.
Runner = Any


def runner_here() -> Runner:
    """The asyncio or trio task that runs; None where the thread's own code does."""
    loop = asyncio._get_running_loop()
    if loop is not None:
        return asyncio.current_task(loop)
    return trio_task_here()


def trio_task_here() -> Runner:
    """The trio task that runs, also where a loop of asyncio runs outside it."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    lowlevel = getattr(trio, "lowlevel", None)  # not there while trio is being loaded
    return lowlevel.current_task() if lowlevel is not None and lowlevel.in_trio_task() else None


def loop_runs_here() -> bool:
    """Whether an event loop runs in this thread: waiting here would stop every task of it."""
    return asyncio._get_running_loop() is not None or runner_here() is not None


def refuse_late_patching(lock: object) -> None:
    """Raise where gevent has patched threads after `lock` was made: a greenlet that waits for it stops them all."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and type(lock).__module__ == "_thread" and monkey.is_module_patched("threading"):
        raise ConfigurationError(
            "gevent has patched the threads after this Database was made, and a greenlet that waits for a connection "
            "would stop all others; call gevent.monkey.patch_all() first of all, or make the Database after it"
        )
