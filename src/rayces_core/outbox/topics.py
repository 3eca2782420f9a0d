"""What each message says: its topics, and the shape of the payload by topic and version.

Rule it guards: a payload that the library has written parses; within a version, names are added and never changed.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rayces_core.errors import InvalidDataError
from rayces_core.models import (
    Appointment,
    CreditTransaction,
    GroupSession,
    Invoice,
    SlotRequest,
    Student,
    TimeOffRequest,
)
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
    service_id: int | None = None
    credit_kind_id: int | None = None
    group_session_id: int | None = None
    second_professional_id: int | None = None
    room_id: int | None = None
    device_id: int | None = None
    slot_request_id: int | None = None


class ReschedulePayload(AppointmentPayload):
    """An appointment was moved, or given to another professional: what it was before is told too."""

    was_scheduled_at: datetime
    was_professional_id: int
    was_duration_minutes: int


class GroupSessionPayload(Payload):
    """A group session was made, changed or cancelled; what became of those in it is told of each appointment."""

    professional_id: int
    name: str | None
    scheduled_at: datetime
    duration_minutes: int
    capacity: int
    second_professional_id: int | None = None
    room_id: int | None = None
    device_id: int | None = None


class RescheduleGroupPayload(GroupSessionPayload):
    """A group session was moved with everyone in it: what it was before is told too."""

    was_scheduled_at: datetime
    was_duration_minutes: int


class TimeOffRequestPayload(Payload):
    """A request for time off was decided on or withdrawn; the hours are None where whole days were asked for."""

    professional_id: int
    starts_on: date
    ends_on: date
    from_time: str | None
    until_time: str | None
    note: str | None


class SlotRequestPayload(Payload):
    """A family's request for a time went on; which time is told of the appointment that has its `slot_request_id`."""

    client_id: int
    student_id: int
    professional_id: int | None
    service_id: int | None
    from_day: date
    until_day: date


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
    credit_kind_id: int | None = None
    credit_package_id: int | None = None


class NoticePayload(BaseModel):
    """A notice was given up: `notice` is what it told of, `reason` what went wrong. Nothing of its address."""

    model_config = ConfigDict(extra="allow")

    id: int
    event: str
    notice: str
    appointment_id: int | None
    purchase_id: int | None = None
    recipient_id: int
    minutes_before: int
    occurs_at: datetime
    channel: str
    state: str
    reason: str
    attempts: int
    occurred_at: datetime


class InvoicePayload(Payload):
    """An invoice or a credit note was issued, or its draft discarded; `number` and `total_cents` are of issued ones."""

    kind: str
    user_id: int
    currency: str
    series: str | None
    number: int | None
    total_cents: int | None


class MergedPayload(Payload):
    """A user turned out to be another one's duplicate: all that was its is the other's."""

    merged_into_id: int


class AccountPayload(BaseModel):
    """A link was asked for. It is made when the message is delivered (`sign_in.mint`), and is not in here."""

    model_config = ConfigDict(extra="allow")

    id: int
    request_id: int
    occurred_at: datetime
    expires_at: datetime


_OWN: Final[dict[Any, type[Payload]]] = {
    Appointment: AppointmentPayload,
    GroupSession: GroupSessionPayload,
    Student: StudentPayload,
    TimeOffRequest: TimeOffRequestPayload,
    SlotRequest: SlotRequestPayload,
    CreditTransaction: CreditTransactionPayload,
    Invoice: InvoicePayload,
}
_FURTHER: Final[dict[str, type[BaseModel]]] = {
    "appointment.book": AppointmentPayload,
    "appointment.reschedule": ReschedulePayload,
    "group_session.create": GroupSessionPayload,
    "group_session.reschedule": RescheduleGroupPayload,
    "credit_transaction.post": CreditTransactionPayload,
    "user.reset_requested": AccountPayload,
    "user.confirmation_requested": AccountPayload,
    "user.invited": AccountPayload,
    "notice.fail": NoticePayload,
    "user.merged": MergedPayload,
    "user.erased": Payload,
    "student.erased": Payload,
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
