"""How long tests wait for what has to come: longer than any machine stops, as who gives up early fails by chance."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 60


def wait_until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.005)


def soon(took: Callable[[], float], seconds: float) -> bool:
    """Whether it takes less than so many seconds in one of five tries."""
    return in_one_of_five(lambda: took() < seconds)


def in_one_of_five(tried: Callable[[], object]) -> bool:
    """Whether it holds in one of five tries, where it has to come in time: a machine that stops spoils some of them."""
    return any(tried() for _ in range(5))
