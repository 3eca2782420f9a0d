"""The axes of charts: places of periods beside each other, and amounts upwards, whose numbers are those of people.

Rule it guards: no number stands twice on an axis, and none is written in prefixes that no director reads (500m for a
half, 4G for four thousand millions).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import altair

Axis = dict[str, Any]  # what a channel of altair's is told of its axis and scale
PERCENT: Final = ".0%"
NUMBER: Final = ",~f"
TICKS: Final = 5
_BARE: Final[dict[str, Any]] = {"title": None, "ticks": False, "domain": False}
MILLION, THOUSAND = 1_000_000, 1_000
FROM_THOUSANDS: Final = 10_000  # from here on noughts are more in the way than a letter


def time_axis(order: Sequence[str]) -> altair.X:
    """The axis of periods: a place for each, names that do not run into each other."""
    turned = -45 if len(order) > 7 else 0
    names = {"labelAngle": turned, "labelOverlap": "parity", "labelPadding": 5}
    axis = altair.Axis.from_dict({"title": None, "ticks": False, "grid": False, "zindex": 1, **names})
    places = altair.Scale(domain=list(order), paddingInner=0.25, paddingOuter=0.15)
    return altair.X("at:N", sort=list(order), axis=axis, scale=places)


def amounts(number: str, values: Iterable[float | None]) -> Axis:
    """An axis of amounts in that format, from 0 on."""
    return {"axis": altair.Axis(format=number, tickCount=TICKS, **_BARE), "scale": _from_zero(values)}


def whole_numbers(values: Iterable[float | None], **axis: Any) -> Axis:
    """An axis of whole numbers alone, however few there are, from 0 to the first number on it above them all."""
    largest = max((value or 0 for value in values), default=0)
    step = _step(largest / TICKS)
    ticks = list(range(0, max(math.ceil(largest / step), 1) * step + 1, step))
    scale = altair.Scale(domain=[0, ticks[-1]], nice=False)
    return {"axis": altair.Axis(values=ticks, format=",d", **{**_BARE, **axis}), "scale": scale}


def money(largest: float) -> Axis:
    """An axis of amounts of money up to the largest, in units, thousands (k) or millions (M) throughout."""
    unit, sign = unit_of(largest)
    label = f"datum.value == 0 ? '0' : format(datum.value / {unit}, '{NUMBER}') + '{sign}'"
    return {"axis": altair.Axis(labelExpr=label, tickCount=TICKS, **_BARE)}


def unit_of(amount: float) -> tuple[int, str]:
    """What amounts of that size are written in, and its sign."""
    if amount >= MILLION:
        return MILLION, "M"
    return (THOUSAND, "k") if amount >= FROM_THOUSANDS else (1, "")


def _from_zero(values: Iterable[float | None]) -> altair.Scale:
    """A scale that begins with 0; where there is nothing else, 0 is at the bottom all the same."""
    return altair.Scale(zero=True) if any(values) else altair.Scale(domain=[0, 1])


def _step(least: float) -> int:
    """The first of 1, 2, 5, 10, 20 … that is not below."""
    power = 10 ** max(math.floor(math.log10(least)), 0) if least > 0 else 1
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least)
