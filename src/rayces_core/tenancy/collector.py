"""Holds Python's cyclic garbage collector off while many rows become objects.

Building rows makes no garbage, only objects that stay, yet the collector walks all of them again and again: half the
time of reading 100,000 rows. A pause is one chunk of rows long, some milliseconds, and one thread's at a time, so that
the collector gets its turn between two chunks whatever other threads read.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_turn = threading.Lock()


def undisturbed(build: Callable[[], Result]) -> Result:
    """Call `build` with the collector held off, unless it is off already or another thread holds it."""
    if not gc.isenabled() or not _turn.acquire(blocking=False):
        return build()
    try:
        gc.disable()
        return build()
    finally:
        gc.enable()
        _turn.release()


def _after_fork() -> None:
    # The thread that would end the pause is not in the child.
    if _turn.locked():
        gc.enable()
        _turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
