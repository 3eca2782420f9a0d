"""The clock: rounds in which the contenders take turns at each operation, so that a busy machine is busy for all."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import median

from bench.contender import Contender
from bench.contenders import BASELINE, OURS
from bench.operations import Arguments, Operation


@dataclass
class Samples:
    """Seconds of the clock and of this process's CPU for one operation, by the number of the round."""

    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Operations per second, the median of the rounds."""
        return 1 / median(self.wall.values())

    @property
    def cpu_microseconds(self) -> float:
        """Client CPU of one operation, the median of the rounds."""
        return median(self.cpu.values()) * 1e6

    def share_of(self, whole: Samples) -> float:
        """How much of the time of `whole` this takes, the median of the rounds."""
        return median(own / whole.wall[number] for number, own in self.wall.items())

    def ratios_to(self, baseline: Samples) -> list[float]:
        """How fast this is next to the baseline (1: as fast), round by round."""
        return [baseline.wall[number] / own for number, own in self.wall.items()]


FEWEST_CALLS = 10
Measured = dict[str, dict[str, Samples]]  # operation's title → contender's name → samples


def measure(
    contenders: list[Contender],
    operations: list[Operation],
    rounds: int,
    batch_seconds: float,
    tidy: Callable[[], None],
    progress: Callable[[str], None],
) -> Measured:
    """Run every operation `rounds` times with each contender that offers it; `tidy` takes away what was written."""
    measured: Measured = {operation.title: defaultdict(Samples) for operation in operations}
    calls: dict[tuple[str, str], int] = {}
    for number in range(rounds):
        for operation in operations:
            progress(f"round {number + 1} of {rounds}: {operation.title}")
            able = [contender for contender in contenders if _takes_part(contender, operation, number)]
            for contender in able:
                if (operation.title, contender.name) not in calls:
                    calls[operation.title, contender.name] = _calls_in(
                        contender, operation, batch_seconds / operation.turns
                    )
            _round(able, operation, number, calls, measured[operation.title])
            if operation.writes:
                tidy()
    return measured


def _takes_part(contender: Contender, operation: Operation, number: int) -> bool:
    # The others' scans take most of the time, and less hangs on them: every second round will do.
    seldom = operation.scans and contender.name not in (BASELINE, OURS)
    return contender.offers(operation.method) and not (seldom and number % 2)


def _round(
    contenders: list[Contender],
    operation: Operation,
    number: int,
    calls: dict[tuple[str, str], int],
    measured: dict[str, Samples],
) -> None:
    turns = operation.turns
    total = {contender.name: (0.0, 0.0) for contender in contenders}
    gc.collect()
    for turn in range(turns):
        for contender in _in_turn(contenders, number + turn):
            wall, cpu = total[contender.name]
            own_wall, own_cpu = run(contender, operation, calls[operation.title, contender.name])
            total[contender.name] = (wall + own_wall / turns, cpu + own_cpu / turns)
    for name, (wall, cpu) in total.items():
        measured[name].wall[number] = wall
        measured[name].cpu[number] = cpu


def run(contender: Contender, operation: Operation, calls: int) -> tuple[float, float]:
    """Seconds of wall and of CPU that one call took, over `calls` calls."""
    with ready(contender, operation, calls) as work:
        if operation.scans:
            gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        kept = work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        del kept
    return wall / calls, cpu / calls


@contextmanager
def ready(contender: Contender, operation: Operation, calls: int) -> Iterator[Callable[[], object]]:
    """A function that makes so many calls of the operation, with all that is not part of it done before."""
    action = getattr(contender, operation.method)
    with nullcontext() if operation.opens_block else contender.working():
        arguments = operation.arguments(contender, calls)
        yield lambda: _read(action(*arguments[0])) if operation.scans else _repeat(action, arguments)


def _repeat(action: Callable[..., object], arguments: Arguments) -> None:
    for given in arguments:
        action(*given)


def _read(rows: object) -> object:
    if isinstance(rows, Iterator):
        for _ in rows:
            pass
    return rows


def _calls_in(contender: Contender, operation: Operation, seconds: float) -> int:
    if operation.scans:
        return 1
    run(contender, operation, FEWEST_CALLS)
    wall, _ = run(contender, operation, FEWEST_CALLS)
    return max(FEWEST_CALLS, round(seconds / wall))


def _in_turn(contenders: list[Contender], number: int) -> list[Contender]:
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]
