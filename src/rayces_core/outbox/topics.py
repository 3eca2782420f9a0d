"""What each message says: its topics, and the shape of the payload by topic and version.

Rule it guards: a payload that the library has written parses; within a version, names are added and never changed.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rayces_core.errors import InvalidDataError
from rayces_core.models import Appointment, CreditTransaction, Student
from rayces_core.state_machine.telling import VERSION, topic_of


class Payload(BaseModel):
    """What every payload of an event says: which row, what happened to it, who did it, why and when."""

    model_config = ConfigDict(extra="allow")

    id: int
    event: str
    from_state: str | None
    to_state: str
    actor_id: int | None
    reason: str | None
    occurred_at: datetime


class AppointmentPayload(Payload):
    """An appointment was booked, or went on to another state. Ids are those of users and of the student."""

    professional_id: int
    student_id: int
    client_id: int
    scheduled_at: datetime
    duration_minutes: int
    expires_at: datetime | None
    uses_credit: bool
    price_cents: int | None
    currency: str | None


class ReschedulePayload(AppointmentPayload):
    """An appointment was moved, or given to another professional: what it was before is told too."""

    was_scheduled_at: datetime
    was_professional_id: int
    was_duration_minutes: int


class ReminderPayload(AppointmentPayload):
    """A session that comes soon is to be reminded of: `minutes_ahead` is the stage, of those that were asked for."""

    minutes_ahead: int


class StudentPayload(Payload):
    """A student's admission went on."""

    primary_contact_id: int | None
    secondary_contact_id: int | None
    admission_date: date | None
    discharge_date: date | None
    on_leave_until: date | None


class CreditTransactionPayload(Payload):
    """An entry of the ledger was made, or one that waited counts or failed. `balance_after` is of one that counts."""

    user_id: int
    appointment_id: int | None
    amount: int
    transaction_type: str
    status: str
    balance_after: int | None
    payment_method: str | None
    payment_reference: str | None
    amount_cents: int | None
    currency: str | None


class AccountPayload(BaseModel):
    """A link was asked for. It is made when the message is delivered (`sign_in.mint`), and is not in here."""

    model_config = ConfigDict(extra="allow")

    id: int
    request_id: int
    occurred_at: datetime
    expires_at: datetime


_OWN: Final[dict[Any, type[Payload]]] = {
    Appointment: AppointmentPayload,
    Student: StudentPayload,
    CreditTransaction: CreditTransactionPayload,
}
_FURTHER: Final[dict[str, type[BaseModel]]] = {
    "appointment.book": AppointmentPayload,
    "appointment.reschedule": ReschedulePayload,
    "appointment.remind": ReminderPayload,
    "credit_transaction.post": CreditTransactionPayload,
    "user.reset_requested": AccountPayload,
    "user.confirmation_requested": AccountPayload,
    "user.invited": AccountPayload,
}
# (topic, version) → the shape of its payload.
TOPICS: Final[dict[tuple[str, int], type[BaseModel]]] = {
    (topic, VERSION): shape
    for topic, shape in {
        **{
            topic_of(model.__name__, event): shape
            for model, shape in _OWN.items()
            for event in model.lifecycle.transitions
        },
        **_FURTHER,
    }.items()
}
# What a host's own topics may not begin with.
RESERVED: Final = frozenset(topic.partition(".")[0] for topic, _ in TOPICS)


def parse(topic: str, version: int, payload: dict[str, Any]) -> BaseModel:
    """The payload in the shape of its topic.

    Raises:
        InvalidDataError: no such topic is known in that version, such as a host's own; or the payload does not fit it.
    """
    shape = TOPICS.get((topic, version))
    if shape is None:
        raise InvalidDataError(
            "topic", topic, f"has no shape in version {version}; a host's own payload is a plain dict"
        )
    return shape.model_validate(payload)
