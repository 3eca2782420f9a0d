"""How much of professionals' working time is booked, and how much of it was used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.occupied import ALLOWED, BOOKED, FIGURES, WORKING, occupied

if TYPE_CHECKING:
    import polars as pl

SOURCE: Final = "appointments; professionals (schedules and blocked dates of active ones, as they are now); closed_days"

DEFINITION: Final = Definition(
    text="Minutes of working time that sessions take, of all minutes of working time. Sessions that are held, "
    "confirmed, executed or missed take time; drafts, cancelled ones and overdue holds take none. Working time is the "
    "scheduler's, by today's schedule of today's active professionals. A session of two professionals takes the time "
    "of each. A minute counts in the period in which it runs.",
    numerator=BOOKED,
    denominator=WORKING,
    source=SOURCE,
    zone=LOCAL,
    columns={
        "working_minutes": "minutes of working time: the hours of each day without what is blocked or closed",
        "booked_minutes": "minutes of sessions within working time, without buffers",
        "occupied_minutes": "minutes of sessions and their buffers within working time",
        "executed_minutes": "minutes of executed sessions within working time, without buffers",
        "outside_minutes": "minutes of sessions outside working time, without buffers",
        "occupancy": "booked_minutes by working_minutes, a ratio; null without working time",
        "utilisation": "executed_minutes by working_minutes, a ratio; null without working time",
    },
)


@metric(DEFINITION)
def occupancy(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure how much of working time is booked and used, by two statements: the schedules, then the minutes.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "professional", "specialization", "weekday" or "hour", or several; the last two are of each minute.
        where: a Peewee expression over Appointment that sessions have to meet; working time stays whole.
        now: the present, aware, at which overdue holds take no time; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed, or what is
        stored is no schedule. MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now, allowed=ALLOWED)
    return occupied(asked, FIGURES)
