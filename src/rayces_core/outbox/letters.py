"""Letters: for each topic, to whom an e-mail goes, by which template, and what is filled in.

What happened is the message's, also where the row has gone on since; names and addresses are those of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rayces_core.models.appointment import Appointment, AppointmentState
from rayces_core.models.journal import StateTransition
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.outbox.calendar import CANCEL, CHANGES, REQUEST, uid_of
from rayces_core.outbox.message import Message
from rayces_core.tenancy.organization import Organization

WAITING: Final = (AppointmentState.DRAFT, AppointmentState.PRE_CONFIRMED)  # has not been confirmed meanwhile
# Topic → the event that an organization's rules of notices call it.
NOTICED: Final = {
    "appointment.book": "booked",
    "appointment.pre_confirm": "booked",
    "appointment.confirm": "confirmed",
    "appointment.reopen": "confirmed",
    "appointment.reschedule": "moved",
    "appointment.cancel": "cancelled",
    "appointment.expire": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the calendar is told; see `calendar.Entry`."""

    uid: str
    sequence: int
    method: str
    starts_at: datetime
    minutes: int
    stamped_at: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail to be written: to whom, by which template, with which values, with which calendar entry if any."""

    template: str
    to: User
    values: dict[str, Any] = field(default_factory=dict)
    calendar: Told | None = None
    needs_link: bool = False


Writer = Callable[[Message], Iterable[Letter]]


def booking_letter(template: str, message: Message, *, method: str | None = None, **values: Any) -> list[Letter]:
    """A letter about an appointment to whoever booked it; `method` says what its calendar entry does, if it has one."""
    payload = message.payload
    appointment = Appointment.get_by_id(message.subject[1])
    starts_at = _moment(payload.get("scheduled_at")) or appointment.scheduled_at
    minutes = payload.get("duration_minutes") or appointment.duration_minutes
    told = {
        "student": Student.get_by_id(appointment.student_id).full_name,
        "professional": User.get_by_id(payload.get("professional_id") or appointment.professional_id).full_name,
        "starts_at": starts_at,
        "minutes": minutes,
        "expires_at": _moment(payload.get("expires_at")) or appointment.expires_at,
        "reason": payload.get("reason"),
        **values,
    }
    calendar = None
    if method is not None:
        uid = uid_of("appointment", appointment.id, Organization.get_by_id(message.organization_id))
        calendar = Told(uid, _sequence(message), method, starts_at, minutes, message.occurred_at)
    return [Letter(template, User.get_by_id(appointment.client_id), told, calendar)]


def _sequence(message: Message) -> int:
    """How many changes there were with this one, the same at every attempt."""
    made = StateTransition.select().where(
        StateTransition.subject_type == "Appointment",
        StateTransition.subject_id == message.subject[1],
        StateTransition.event.in_(CHANGES),
        StateTransition.occurred_at <= message.occurred_at,
    )
    return int(made.count())


def _confirmed(message: Message) -> list[Letter]:
    starts_at = _moment(message.payload.get("scheduled_at"))
    if starts_at is not None and starts_at <= message.occurred_at:
        return []  # the record of a session that has begun is being corrected, and nobody is to come
    return booking_letter("booking_confirmed", message, method=REQUEST, moved=False)


def noticed(message: Message) -> str | None:
    """The event that an organization's rules of notices call it; None if it is none of theirs."""
    event = NOTICED.get(message.topic)
    return "offered" if event == "booked" and _is_offer(message) else event


def _is_offer(message: Message) -> bool:
    return message.payload.get("slot_request_id") is not None


def _held(message: Message) -> list[Letter]:
    if message.payload.get("to_state") != AppointmentState.PRE_CONFIRMED or not _is(message, *WAITING):
        return []  # who has confirmed meanwhile need not be asked to
    return booking_letter("slot_offered" if _is_offer(message) else "booking_held", message)


def _moved(message: Message) -> list[Letter]:
    if message.payload.get("to_state") == "confirmed":
        return booking_letter("booking_confirmed", message, method=REQUEST, moved=True)
    return _held(message)


def _cancelled(message: Message) -> list[Letter]:
    method = CANCEL if message.payload.get("from_state") == "confirmed" else None
    return (
        []
        if message.payload.get("from_state") == "draft"
        else booking_letter("booking_cancelled", message, method=method)
    )


def _is(message: Message, *states: AppointmentState) -> bool:
    """Whether the appointment is in one of these states by now."""
    return Appointment.get_by_id(message.subject[1]).state in states


def _spent(message: Message) -> list[Letter]:
    payload = message.payload
    if payload.get("transaction_type") != "appointment_debit" or payload.get("balance_after") is None:
        return []
    return [Letter("credits_low", User.get_by_id(payload["user_id"]), {"credits": payload["balance_after"]})]


def _account(template: str) -> Writer:
    def write(message: Message) -> list[Letter]:
        values = {"expires_at": _moment(message.payload.get("expires_at"))}
        return [Letter(template, User.get_by_id(message.subject[1]), values, needs_link=True)]

    return write


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


LETTERS: Final[dict[str, Writer]] = {
    "appointment.book": _held,
    "appointment.pre_confirm": _held,
    "appointment.confirm": _confirmed,
    "appointment.reopen": _confirmed,
    "appointment.reschedule": _moved,
    "appointment.cancel": _cancelled,
    "appointment.expire": _cancelled,
    "credit_transaction.post": _spent,
    "user.invited": _account("invitation"),
    "user.confirmation_requested": _account("confirmation"),
    "user.reset_requested": _account("reset"),
}
