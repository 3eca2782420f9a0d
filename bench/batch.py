"""A batch of calls, and the ways to make one: without a look at the single call, each timed, or one that reads much."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Action = Callable[..., object]
Arguments = tuple[Any, ...]


@dataclass
class Batch:
    """How many calls, when they began and ended, the clients' CPU, and the seconds of the single calls if timed."""

    calls: int
    began: float
    ended: float
    cpu: float
    latencies: array[float] = field(default_factory=lambda: array("d"))

    @property
    def wall_of_one(self) -> float:
        """Seconds of the clock for one call; where several processes made them, for each call of any of them."""
        return (self.ended - self.began) / self.calls

    @property
    def cpu_of_one(self) -> float:
        """Seconds of the clients' CPU for one call."""
        return self.cpu / self.calls


def repeated(action: Action, arguments: Sequence[Arguments]) -> Batch:
    """Make the calls one after the other."""
    wall, cpu = time.perf_counter(), time.process_time()
    for given in arguments:
        action(*given)
    cpu, ended = time.process_time() - cpu, time.perf_counter()
    return Batch(len(arguments), wall, ended, cpu)


def timed(action: Action, arguments: Iterable[Arguments], seconds: float = float("inf")) -> Batch:
    """Make the calls one after the other, at most for so many seconds, and time each."""
    latencies = array("d")
    began, cpu = time.perf_counter(), time.process_time()
    before = began
    for given in arguments:
        action(*given)
        now = time.perf_counter()
        latencies.append(now - before)
        before = now
        if now >= began + seconds:
            break
    return Batch(len(latencies), began, before, time.process_time() - cpu, latencies)


def read(action: Action, given: Arguments) -> Batch:
    """Make one call and read all that it returns; letting go of that is outside the clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    kept = action(*given)
    if isinstance(kept, Iterator):
        for _ in kept:
            pass
    cpu, ended = time.process_time() - cpu, time.perf_counter()
    return Batch(1, wall, ended, cpu)
