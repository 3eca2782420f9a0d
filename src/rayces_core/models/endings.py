"""What the ends of an admission take along: the open appointments after them, in the unit of work of the event."""

from __future__ import annotations

from typing import Final

from rayces_core.models.appointment import Appointment
from rayces_core.models.student import CANCEL, Student
from rayces_core.state_machine import StateChange

DISCHARGED, REJECTED, ON_LEAVE = "student discharged", "student rejected", "student on leave"

OPEN: Final = "organization_id = %(of_organization)s AND student_id = %(student_id)s AND scheduled_at > %(now)s"
# The day that the organization's calendar shows when the session begins.
DAY: Final = "(scheduled_at AT TIME ZONE (SELECT time_zone FROM organizations WHERE id = %(of_organization)s))::date"


@Student.lifecycle.within("discharge")
def cancel_after_discharge(change: StateChange) -> None:
    """Cancel what lies after the day of the discharge, which itself belongs to the stay."""
    _cancel(change, DISCHARGED, f"{OPEN} AND {DAY} > %(day)s", change.subject.discharge_date)


@Student.lifecycle.within("reject")
def cancel_after_rejection(change: StateChange) -> None:
    """Cancel the evaluations of a student that the centre does not take."""
    _cancel(change, REJECTED, OPEN)


@Student.lifecycle.within("suspend")
def cancel_within_leave(change: StateChange) -> None:
    """Cancel what lies within the leave, if the caller said so."""
    if change.given["appointments"] != CANCEL:
        return
    until = change.subject.on_leave_until
    _cancel(change, ON_LEAVE, OPEN if until is None else f"{OPEN} AND {DAY} <= %(day)s", until)


def _cancel(change: StateChange, reason: str, where: str, day: object = None) -> None:
    student = change.subject
    Appointment.lifecycle.move_many(
        "cancel",
        where,
        {"of_organization": student.organization_id, "student_id": student.id, "day": day},
        organization=student.organization_id,
        by=change.actor,
        reason=reason,
        refund=change.given["refund"],
        now=change.occurred_at,
    )
