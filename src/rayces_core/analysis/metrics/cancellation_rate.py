"""How many of the sessions that were once firm were cancelled, and how many of these too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, appointments, counted, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.moments import made_up
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.appointment_states import EXPIRED as EXPIRED_REASON
from rayces_core.models.appointment_states import AppointmentState
from rayces_core.models.endings import DISCHARGED as DISCHARGED_REASON
from rayces_core.models.endings import ON_LEAVE, REJECTED

if TYPE_CHECKING:
    import polars as pl

NOTICE_HOURS: Final = OrganizationSettings.model_fields["cancellation_notice_hours"].default
ENDED: Final = ", ".join(f"'{reason}'" for reason in (DISCHARGED_REASON, REJECTED, ON_LEAVE))

NEEDED: Final = {
    "state": "a.state",
    "confirmed_at": "a.confirmed_at",
    "is_ended": f"coalesce(a.cancellation_reason, '') IN ({ENDED})",
    "is_expired": f"coalesce(a.cancellation_reason, '') = '{EXPIRED_REASON}'",
    "is_late": f"""a.cancelled_at > a.scheduled_at - make_interval(hours => coalesce(
        (organization.settings ->> 'cancellation_notice_hours')::int, {NOTICE_HOURS}))
        AND NOT {made_up("a", AppointmentState.CANCELLED)}""",
}
AFTER_CONFIRMATION: Final = "state = 'cancelled' AND confirmed_at IS NOT NULL AND NOT is_ended"

CONFIRMED: Final = "count(confirmed_at)"
CANCELLED: Final = f"count(*) FILTER (WHERE {AFTER_CONFIRMATION})"
LATE: Final = f"count(*) FILTER (WHERE {AFTER_CONFIRMATION} AND is_late)"
EXPIRED: Final = "count(*) FILTER (WHERE state = 'cancelled' AND confirmed_at IS NULL AND is_expired)"
DISCHARGED: Final = "count(*) FILTER (WHERE state = 'cancelled' AND is_ended)"

DEFINITION: Final = Definition(
    text="Sessions that were cancelled after they had been confirmed, of all that were ever confirmed. Late is within "
    "the organization's cancellation_notice_hours before the start. Holds that ran out, and sessions that a discharge, "
    "a rejection or a leave took along, are told apart and are no cancellations. One that was imported without the "
    "moment of its cancellation is not late.",
    numerator=CANCELLED,
    denominator=CONFIRMED,
    source="appointments; organizations (settings); state_transitions (made_up)",
    zone=LOCAL,
    columns={
        "confirmed": "sessions that were ever confirmed, whatever became of them",
        "cancelled": "of these, sessions that were cancelled, other than with the end or leave of the student",
        "late": "of these, sessions cancelled later than the organization's notice asks for",
        "expired": "holds that nobody confirmed in time; none of them is in the columns before",
        "discharged": "sessions cancelled with a student's discharge, rejection or leave, confirmed or not",
        "rate": "cancelled by confirmed, a ratio; null without any",
        "late_rate": "late by confirmed, a ratio; null without any",
    },
)


@metric(DEFINITION)
def cancellation_rate(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Measure how many sessions were cancelled, and how many late.

    Args:
        start, end: local days of each organization, `end` outside; a session belongs to the day it was to begin.
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
        "confirmed": Figure(CONFIRMED),
        "cancelled": Figure(CANCELLED),
        "late": Figure(LATE),
        "expired": Figure(EXPIRED),
        "discharged": Figure(DISCHARGED),
        "rate": ratio(CANCELLED, CONFIRMED),
        "late_rate": ratio(LATE, CONFIRMED),
    }
    return counted(asked, appointments(asked, NEEDED), tuple(NEEDED), figures)
