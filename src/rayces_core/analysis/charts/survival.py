"""Figures that charts work out: who still waits (Kaplan and Meier), and bars of equal, round width."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

MOST_BARS: Final = 9


def still_waiting(days: Sequence[float | None], censored: Sequence[bool | None]) -> list[tuple[float, float]]:
    """The share that still waits after so many days, at each number of days at which somebody got through or was lost
    sight of (E. L. Kaplan and P. Meier, "Nonparametric estimation from incomplete observations", 1958).

    Args:
        days: how long each has waited, in days. censored: whether each waits still.

    Returns:
        Pairs of days and share, 0 to 1, in their order; none where nothing is known.
    """
    through: Counter[float] = Counter()
    seen: Counter[float] = Counter()
    for waited, waits in zip(days, censored, strict=True):
        if waited is not None:
            seen[float(waited)] += 1
            through[float(waited)] += not waits
    left, share, steps = sum(seen.values()), 1.0, []
    for waited in sorted(seen):
        share *= 1 - through[waited] / left
        left -= seen[waited]
        steps.append((waited, share))
    return steps


def median_of(steps: Sequence[tuple[float, float]]) -> float | None:
    """After how many days no more than half still wait; None where that has not been seen."""
    return next((days for days, share in steps if share <= 0.5), None)


def bars_of(cents: Sequence[int]) -> list[tuple[int, int, int]]:
    """Amounts in bars of one round width: the least, the first that is outside, and how many lie between.

    A bar without anybody between two others is one too, so that the width of a gap can be seen.
    """
    if not cents:
        return []
    width = _round_width(max(cents) - min(cents), max(abs(value) for value in cents))
    counts = Counter(value // width for value in cents)
    return [(place * width, (place + 1) * width, counts[place]) for place in range(min(counts), max(counts) + 1)]


def _round_width(span: int, largest: int) -> int:
    """A width of 1, 2 or 5 and noughts, whole units at least, of which MOST_BARS cover the span."""
    exact = max(span / MOST_BARS, largest / 20, 100)
    power = 10 ** math.floor(math.log10(exact))
    return next(int(power * step) for step in (1, 2, 5, 10) if power * step >= exact)
