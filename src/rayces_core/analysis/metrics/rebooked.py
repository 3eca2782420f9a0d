"""How much of the time that cancellations gave back was given to somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.moments import made_up
from rayces_core.models.appointment_states import AppointmentState
from rayces_core.models.appointment_time import holds_time

if TYPE_CHECKING:
    import polars as pl

GIVEN_BACK: Final = f"""a.state = 'cancelled' AND a.pre_confirmed_at IS NOT NULL AND a.cancelled_at < a.scheduled_at
       AND NOT {made_up("a", AppointmentState.CANCELLED)}"""
# No session is longer than 8 hours; those that hold time do not overlap, so their minutes add up.
RETAKEN: Final = f"""(
        SELECT sum(extract(epoch FROM
                   least(a.scheduled_at + make_interval(mins => a.duration_minutes),
                         other.scheduled_at + make_interval(mins => other.duration_minutes))
                   - greatest(a.scheduled_at, other.scheduled_at))::bigint / 60)
          FROM {{appointments!}} AS other
         WHERE other.organization_id = a.organization_id AND other.professional_id = a.professional_id
           AND other.scheduled_at > a.scheduled_at - interval '8 hours'
           AND other.scheduled_at < a.scheduled_at + make_interval(mins => a.duration_minutes)
           AND other.scheduled_at + make_interval(mins => other.duration_minutes) > a.scheduled_at
           AND {holds_time("other")}
           AND coalesce((
                   SELECT max(moved.occurred_at) FROM {{state_transitions}} AS moved
                    WHERE moved.organization_id = other.organization_id AND moved.subject_type = 'Appointment'
                      AND moved.subject_id = other.id AND moved.event = 'reschedule'
               ), CASE WHEN NOT {made_up("other", AppointmentState.PRE_CONFIRMED)}
                       THEN other.pre_confirmed_at END) < a.scheduled_at
    )"""

CANCELLED: Final = "sum(duration_minutes)"
REBOOKED: Final = "coalesce(sum(retaken_minutes), 0)"

DEFINITION: Final = Definition(
    text="Of the minutes that cancellations gave back before they began, those that another session of the same "
    "professional had taken, by booking or by moving, before the cancelled one was to begin. "
    "Left out are cancellations that were imported without their moment; a session that was imported without that of "
    "its booking takes nothing again.",
    numerator=REBOOKED,
    denominator=CANCELLED,
    source="appointments; state_transitions (reschedule, made_up)",
    zone=LOCAL,
    columns={
        "cancelled_minutes": "minutes of sessions that were held or confirmed, and cancelled before their start",
        "rebooked_minutes": "of these, minutes that other sessions take now, and took before that start",
        "rate": "rebooked_minutes by cancelled_minutes, a ratio; null without any",
    },
)


@metric(DEFINITION)
def rebooked(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure how much of cancelled time was taken again.

    Args:
        start, end: local days of each organization, `end` outside; a session belongs to the day it was to begin.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: what rows are told apart by, as the cancelled session has it: names of `dimensions.DIMENSIONS`.
        where: a Peewee expression over Appointment that the cancelled session has to meet; others may take its time.
        now: the present, aware, at which overdue holds take no time; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now)
    needed = {"duration_minutes": "a.duration_minutes", "retaken_minutes": RETAKEN}
    figures = {
        "cancelled_minutes": Figure(CANCELLED),
        "rebooked_minutes": Figure(REBOOKED),
        "rate": ratio(REBOOKED, CANCELLED),
    }
    return counted(asked, appointments(asked, needed, only=GIVEN_BACK), tuple(needed), figures)
