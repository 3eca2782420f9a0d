"""Statements by phase and kind: how many, how many failed, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from bench.adopting.session import KINDS, Record

PHASES = ("before", "during", "after")
ALL = "all"
LIMIT_MILLISECONDS = 1000.0
SLOWEST = 12


@dataclass(frozen=True)
class Figure:
    """The statements of a phase and kind; times in milliseconds."""

    phase: str
    kind: str
    statements: int
    failed: int
    p50: float
    p99: float
    slowest: float


@dataclass(frozen=True)
class Slow:
    """One of the slowest statements: when it began on the monotonic clock, and its milliseconds."""

    kind: str
    began: float
    milliseconds: float


def figures(record: Record, started: float, ended: float) -> list[Figure]:
    """Each phase by kind, and `all` kinds of it; the adoption ran from `started` to `ended` on the monotonic clock.

    A statement of which any part fell into the adoption counts as during.
    """
    times: dict[tuple[str, str], list[float]] = {}
    for kind, began, seconds in _statements(record):
        phase = phase_of(began, began + seconds, started, ended)
        times.setdefault((phase, kind), []).append(seconds * 1000)
        times.setdefault((phase, ALL), []).append(seconds * 1000)
    failed: dict[tuple[str, str], int] = {}
    for began, kind, _ in record.failures:
        for each in (kind, ALL):
            key = phase_of(began, began, started, ended), each
            failed[key] = failed.get(key, 0) + 1
    keys = [(phase, kind) for phase in PHASES for kind in (*KINDS, ALL)]
    return [_figure(*key, sorted(times.get(key, ())), failed.get(key, 0)) for key in keys if key in times]


def phase_of(began: float, done: float, started: float, ended: float) -> str:
    """The phase that a statement belongs to."""
    if done < started:
        return "before"
    return "during" if began <= ended else "after"


def slowest(record: Record) -> list[Slow]:
    """The slowest statements, the slowest first."""
    found = sorted(_statements(record), key=lambda each: -each[2])[:SLOWEST]
    return [Slow(kind, began, seconds * 1000) for kind, began, seconds in found]


def too_slow(record: Record) -> int:
    """How many statements took longer than the limit."""
    return sum(seconds * 1000 > LIMIT_MILLISECONDS for seconds in record.seconds)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the sorted values do not exceed."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _figure(phase: str, kind: str, ordered: list[float], failed: int) -> Figure:
    half, most = percentile(ordered, 50), percentile(ordered, 99)
    return Figure(phase, kind, len(ordered), failed, half, most, ordered[-1])


def _statements(record: Record) -> Iterator[tuple[str, float, float]]:
    for kind, began, seconds in zip(record.kinds, record.began, record.seconds, strict=True):
        yield KINDS[kind], began, seconds
