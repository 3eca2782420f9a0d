"""The clock: rounds in which the contenders take turns at each operation, so that a busy machine is busy for all."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench.batch import Batch, read, repeated, timed
from bench.contender import Contender
from bench.contenders import BASELINE, OURS
from bench.crowd import Crowd
from bench.operations import Operation


@dataclass
class Samples:
    """Seconds of the clock and of the clients' CPU for one operation, by the number of the round.

    `latencies` are those of the single calls of a round, where there are enough to tell the slowest of a hundred.
    """

    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    latencies: dict[int, list[float]] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Operations per second, the median of the rounds."""
        return 1 / median(self.wall.values())

    @property
    def cpu_microseconds(self) -> float:
        """Client CPU of one operation, the median of the rounds."""
        return median(self.cpu.values()) * 1e6

    def milliseconds_of(self, percent: int) -> float | None:
        """Within which time so many of a hundred calls were done, the median of the rounds; None where not told."""
        if not self.latencies:
            return None
        return median(quantiles(calls, n=100)[percent - 1] for calls in self.latencies.values()) * 1e3

    def share_of(self, whole: Samples) -> float:
        """How much of the time of `whole` this takes, the median of the rounds."""
        return median(own / whole.wall[number] for number, own in self.wall.items())

    def ratios_to(self, baseline: Samples) -> list[float]:
        """How fast this is next to the baseline (1: as fast), round by round."""
        return [baseline.wall[number] / own for number, own in self.wall.items()]


FEWEST_CALLS = 10
Measured = dict[str, dict[str, Samples]]  # operation's title → contender's name → samples
Tidy = Callable[[Operation, int], None]


def measure(
    contenders: list[Contender],
    operations: list[Operation],
    rounds: int,
    batch_seconds: float,
    tidy: Tidy,
    progress: Callable[[str], None],
) -> Measured:
    """Run every operation `rounds` times with each contender that offers it.

    `tidy(operation, calls)` takes away what so many calls wrote.
    """
    measured: Measured = {operation.title: defaultdict(Samples) for operation in operations}
    with ExitStack() as stack:
        clock = _Clock(batch_seconds, stack)
        for number in range(rounds):
            for operation in operations:
                progress(f"round {number + 1} of {rounds}: {operation.title}")
                able = [contender for contender in contenders if _takes_part(contender, operation, number)]
                for contender in able:
                    clock.set(contender, operation)
                _round(able, operation, number, clock, measured[operation.title])
                made = clock.read_off()
                if operation.writes:
                    tidy(operation, made)
    return measured


def _takes_part(contender: Contender, operation: Operation, number: int) -> bool:
    # The others' scans take most of the time, and less hangs on them: every second round will do.
    seldom = operation.scans and contender.name not in (BASELINE, OURS)
    return contender.offers(operation.method) and not (seldom and number % 2)


class _Clock:
    """Runs batches that take about the same time, and counts the calls."""

    def __init__(self, batch_seconds: float, stack: ExitStack) -> None:
        self._batch_seconds, self._stack = batch_seconds, stack
        self._calls: dict[tuple[str, str], int] = {}
        self._crowds: dict[tuple[str, int], Crowd] = {}
        self._made = 0

    def set(self, contender: Contender, operation: Operation) -> None:
        """Find out how many calls of it fill a batch."""
        if operation.processes == 1 and (operation.title, contender.name) not in self._calls:
            self._calls[operation.title, contender.name] = self._calls_in(contender, operation)

    def _calls_in(self, contender: Contender, operation: Operation) -> int:
        if operation.scans:
            return 1
        for _ in range(2):
            batch = self._counted(run(contender, operation, FEWEST_CALLS))
        return max(FEWEST_CALLS, round(self._seconds(operation) / batch.wall_of_one))

    def _seconds(self, operation: Operation) -> float:
        return self._batch_seconds * operation.longer / operation.turns

    def batch(self, contender: Contender, operation: Operation) -> Batch:
        """One batch of the operation."""
        if operation.processes == 1:
            return self._counted(run(contender, operation, self._calls[operation.title, contender.name]))
        crowd = self._crowd(contender, operation)
        arguments = operation.arguments(contender, operation.processes)
        return self._counted(crowd.run(operation.method, arguments, self._seconds(operation)))

    def _crowd(self, contender: Contender, operation: Operation) -> Crowd:
        key = contender.name, operation.processes
        if key not in self._crowds:
            subdomain = operation.subdomain(contender.facts)
            made = Crowd(type(contender), contender.url, contender.facts, subdomain, operation.processes)
            self._crowds[key] = self._stack.enter_context(closing(made))
            # Connections, imports and what is prepared on first use are not what is measured.
            warm = operation.arguments(contender, operation.processes)
            self._counted(made.run(operation.method, warm, self._seconds(operation) / 4))
        return self._crowds[key]

    def _counted(self, batch: Batch) -> Batch:
        self._made += batch.calls
        return batch

    def read_off(self) -> int:
        """How many calls there were since this was asked last."""
        made, self._made = self._made, 0
        return made


def _round(
    contenders: list[Contender], operation: Operation, number: int, clock: _Clock, measured: dict[str, Samples]
) -> None:
    done: dict[str, list[Batch]] = {contender.name: [] for contender in contenders}
    gc.collect()
    for turn in range(operation.turns):
        for contender in _in_turn(contenders, number + turn):
            done[contender.name].append(clock.batch(contender, operation))
    for name, batches in done.items():
        samples = measured[name]
        samples.wall[number] = sum(batch.wall_of_one for batch in batches) / operation.turns
        samples.cpu[number] = sum(batch.cpu_of_one for batch in batches) / operation.turns
        if operation.longer > 1:
            samples.latencies[number] = [seconds for batch in batches for seconds in batch.latencies]


def run(contender: Contender, operation: Operation, calls: int) -> Batch:
    """Make so many calls of the operation, one after the other."""
    with ready(contender, operation, calls) as work:
        if operation.scans:
            gc.collect()
        return work()


@contextmanager
def ready(contender: Contender, operation: Operation, calls: int) -> Iterator[Callable[[], Batch]]:
    """A function that makes so many calls of the operation, with all that is not part of it done before."""
    action = getattr(contender, operation.method)
    block = nullcontext() if operation.opens_block else contender.working(operation.subdomain(contender.facts))
    with block:
        arguments = operation.arguments(contender, calls)
        if operation.scans:
            yield lambda: read(action, arguments[0])
        else:
            yield lambda: (timed if operation.longer > 1 else repeated)(action, arguments)


def _in_turn(contenders: list[Contender], number: int) -> list[Contender]:
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]
