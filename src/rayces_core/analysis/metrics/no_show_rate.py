"""How many of the sessions that could be kept were missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.metrics.sessions import EXECUTED, NO_SHOW, OPEN

if TYPE_CHECKING:
    import polars as pl

KEPT_OR_MISSED: Final = "count(*) FILTER (WHERE state IN ('executed', 'no_show'))"

DEFINITION: Final = Definition(
    text="Sessions to which the student did not come, of those that were kept or missed. Cancelled ones are in "
    "neither; those whose outcome nobody has recorded are told apart.",
    numerator=NO_SHOW,
    denominator=KEPT_OR_MISSED,
    source="appointments",
    zone=LOCAL,
    columns={
        "no_show": "sessions to which the student did not come",
        "executed": "sessions that took place",
        "open": "sessions that are held or confirmed, without an outcome",
        "rate": "no_show by no_show and executed, a ratio; null without either",
    },
)


@metric(DEFINITION)
def no_show_rate(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure how many sessions were missed.

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
    figures = {
        "no_show": Figure(NO_SHOW),
        "executed": Figure(EXECUTED),
        "open": Figure(OPEN),
        "rate": ratio(NO_SHOW, KEPT_OR_MISSED),
    }
    return counted(asked, appointments(asked, {"state": "a.state"}), ["state"], figures)
