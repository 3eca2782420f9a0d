"""How many sessions there were, by what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted
from rayces_core.analysis.definition import LOCAL, Definition, metric

if TYPE_CHECKING:
    import polars as pl

EXECUTED: Final = "count(*) FILTER (WHERE state = 'executed')"
NO_SHOW: Final = "count(*) FILTER (WHERE state = 'no_show')"
CANCELLED: Final = "count(*) FILTER (WHERE state = 'cancelled')"
OPEN: Final = "count(*) FILTER (WHERE state IN ('pre_confirmed', 'confirmed'))"
HELD_MINUTES: Final = "sum(duration_minutes) FILTER (WHERE state = 'executed')"

DEFINITION: Final = Definition(
    text="Appointments whose start lies in the period, by the state they are in now; held are the executed ones. "
    "Drafts take no time and are not counted.",
    numerator=EXECUTED,
    denominator=None,
    source="appointments",
    zone=LOCAL,
    columns={
        "executed": "sessions that took place",
        "no_show": "sessions to which the student did not come",
        "cancelled": "sessions that were cancelled, holds that expired among them",
        "open": "sessions that are held or confirmed, and neither cancelled nor closed",
        "held_minutes": "minutes of the executed sessions, without buffers",
    },
)


@metric(DEFINITION)
def sessions(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Count sessions by what became of them.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: what rows are told apart by: names of `dimensions.DIMENSIONS`.
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now)
    needed = {"state": "a.state", "duration_minutes": "a.duration_minutes"}
    figures = {
        "executed": Figure(EXECUTED),
        "no_show": Figure(NO_SHOW),
        "cancelled": Figure(CANCELLED),
        "open": Figure(OPEN),
        "held_minutes": Figure(HELD_MINUTES),
    }
    return counted(asked, appointments(asked, needed), tuple(needed), figures)
