"""Who waits for psycopg2's servers is said once for the whole process; those who say so for a while do it here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import get_wait_callback, set_wait_callback

Callback = Callable[..., Any] | None

_lock = threading.RLock()  # a handler of signals may copy, too
_blocks: list[list[Callback]] = []  # of those that are under way, the newest last: a list is itself alone
_before: Callback = None


@contextmanager
def waited_for_by(callback: Callback) -> Iterator[None]:
    """For the block `callback` waits, None for psycopg2 itself; blocks of several threads may end in any order."""
    global _before
    block = [callback]
    try:
        with _lock:
            if not _blocks:
                _before = get_wait_callback()
            _blocks.append(block)
            set_wait_callback(callback)
        yield
    finally:
        with _lock:
            _end(block)


def _end(block: list[Callback]) -> None:
    here = [place for place, other in enumerate(_blocks) if other is block]
    if not here:  # interrupted before it began
        return
    newest = _blocks[-1][0]
    del _blocks[here[0]]
    if get_wait_callback() is newest:  # else somebody has said so since, and goes on to
        set_wait_callback(_blocks[-1][0] if _blocks else _before)
