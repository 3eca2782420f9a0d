"""How long before their first start sessions are booked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.state_machine.readers import latest_told

if TYPE_CHECKING:
    import polars as pl

# Where it was moved, the journal has the start before; of several the first is the one it was booked for.
FIRST_START: Final = f"""coalesce((
    SELECT (step.details ->> 'scheduled_at')::timestamptz FROM {{state_transitions}} AS step
     WHERE step.organization_id = a.organization_id AND step.subject_type = 'Appointment' AND step.subject_id = a.id
       AND step.event = 'reschedule' AND step.details ? 'scheduled_at'
     ORDER BY {latest_told("step")}, step.id
     LIMIT 1), a.scheduled_at)"""
# Drafts are no bookings, nor is what was cancelled as one.
KNOWN: Final = """NOT a.created_at_made_up AND a.state <> 'draft'
    AND (a.state <> 'cancelled' OR a.pre_confirmed_at IS NOT NULL)"""


def _percentile(share: float) -> Figure:
    return Figure(f"percentile_cont({share}) WITHIN GROUP (ORDER BY hours)", "number")


DEFINITION: Final = Definition(
    text="Hours from the moment at which a session was booked to the start that it was booked for, before any move; of "
    "sessions whose start lies in the period. Left out are drafts, what was entered after that start, and imports that "
    "were not told when the session was booked.",
    numerator="percentile_cont(0.5) WITHIN GROUP (ORDER BY first_start - created_at) "
    "FILTER (WHERE NOT created_at_made_up AND state <> 'draft')",
    denominator=None,
    source="appointments; state_transitions (event reschedule)",
    zone=LOCAL,
    columns={
        "n": "sessions that are counted",
        "p10_hours": "a tenth of them was booked at most so many hours ahead; null without sessions",
        "median_hours": "half of them, likewise",
        "p90_hours": "nine tenths of them, likewise",
    },
)


@metric(DEFINITION)
def lead_time(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure how many hours ahead sessions are booked.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: what rows are told apart by: names of `dimensions.DIMENSIONS`.
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells. Percentiles
        lie between two sessions where there is no session at them.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now)
    columns = {"booked_at": f"CASE WHEN {KNOWN} THEN a.created_at END", "first_start": FIRST_START}
    facts = f"""SELECT *, CASE WHEN booked_at <= first_start THEN
        extract(epoch FROM first_start - booked_at)::float8 / 3600 END AS hours
      FROM ({appointments(asked, columns)}) AS session"""
    figures = {
        "n": Figure("count(hours)"),
        "p10_hours": _percentile(0.1),
        "median_hours": _percentile(0.5),
        "p90_hours": _percentile(0.9),
    }
    return counted(asked, facts, ("hours",), figures)
