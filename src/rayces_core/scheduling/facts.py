"""What decides whether an appointment can be booked or moved, read in one statement, and the decision.

Rule it guards: booking asks the same calendar as listing, so a listed slot can be booked and a taken one is not
listed. Every refusal says why; the time itself is refused last by the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import (
    BookingError,
    BookingWindowError,
    ClientBusyError,
    NewClientsRefusedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    SlotTakenError,
    StudentBusyError,
    StudentNotAdmittedError,
    TenantNotSetError,
    TooSoonError,
)
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.appointment import OCCUPYING_SQL, Appointment
from rayces_core.models.student import AdmissionState
from rayces_core.scheduling.availability import (
    CALENDAR_COLUMNS,
    CALENDAR_SOURCE,
    COLUMN_COUNT,
    LONGEST_RANGE,
    calendar_values,
    calendars_of,
    free_slots,
    policy_of,
)
from rayces_core.scheduling.calendar import Calendar, Refusal, check_duration, refusal

ADMITTED: Final = (AdmissionState.ADMITTED, AdmissionState.ENROLLED)
LONGEST: Final = timedelta(minutes=480)
NEAR: Final = timedelta(days=7)

# A session of the student's or the client's own, without the professional's buffer.
BUSY: Final = f"""(
    SELECT other.id FROM appointments AS other
     WHERE other.organization_id = %(tenant)s AND other.{{column}} = {{person}} AND other.state IN ({OCCUPYING_SQL})
       AND other.id IS DISTINCT FROM %(moving)s
       AND other.scheduled_at < {{until}} AND other.scheduled_at < %(start)s + interval '8 hours'
       AND other.scheduled_at > %(start)s - interval '8 hours'
       AND other.scheduled_at + make_interval(mins => other.duration_minutes) > %(start)s
     ORDER BY other.scheduled_at LIMIT 1
)"""


TYPES: Final = {
    "tenant": "bigint",
    "start": "timestamptz",
    "end": "timestamptz",
    "moving": "bigint",
    "minutes": "integer",
    "professional": "bigint",
    "student": "bigint",
    "client": "bigint",
    "key": "varchar",
}


def _facts_sql(student: str, client: str, minutes: str, joined: str, condition: str, further: str) -> Message:
    minutes = f"coalesce(%(minutes)s, {minutes})"
    until = f"%(start)s + make_interval(mins => {minutes})"
    sql = f"""
    SELECT {CALENDAR_COLUMNS}, organization.settings::text, {minutes},
           professional.xmin::text,
           student.id, student.admission_state, student.primary_contact_id, student.secondary_contact_id, client.id,
           professional.accepts_new_clients OR EXISTS (
               SELECT 1 FROM appointments AS known
                WHERE known.organization_id = %(tenant)s AND known.student_id = {student}
                  AND known.professional_id = professional.user_id AND known.state IN ({OCCUPYING_SQL})
           ),
           {BUSY.format(column="student_id", person=student, until=until)},
           {BUSY.format(column="client_id", person=client, until=until)},
           {further}
      FROM {CALENDAR_SOURCE} {joined}
      LEFT JOIN students AS student ON student.organization_id = %(tenant)s AND student.id = {student}
      LEFT JOIN users AS client ON client.organization_id = %(tenant)s AND client.id = {client}
     WHERE professional.organization_id = %(tenant)s {condition}"""
    return Message(sql, types=TYPES)


TO_BOOK: Final = _facts_sql(
    "%(student)s",
    "%(client)s",
    "professional.session_duration_minutes",
    """LEFT JOIN appointments AS earlier_request ON earlier_request.organization_id = %(tenant)s
            AND earlier_request.idempotency_key = %(key)s""",
    "AND professional.user_id = %(professional)s",
    "earlier_request.id, earlier_request.request_fingerprint",
)
TO_MOVE: Final = _facts_sql(
    "moved.student_id",
    "moved.client_id",
    "moved.duration_minutes",
    """JOIN appointments AS moved ON moved.organization_id = %(tenant)s AND moved.id = %(moving)s
            AND moved.professional_id = professional.user_id""",
    "",
    "moved.state, moved.scheduled_at, moved.expires_at",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """The time that is asked for, and which of the rules staff have set aside.

    Attributes: `moving`, id of the appointment that is to be moved there.
    """

    start: datetime
    duration_minutes: int | None
    override_schedule: bool
    allow_overlap: bool
    now: datetime
    moving: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the professional, the student and the client around the time asked for.

    Attributes: `minutes`, length of the session; `version`, which version of the professional's row it is; `contacts`,
    ids of the student's contacts; `is_welcome`, whether new clients are taken or the student has an appointment there;
    `student_busy` and `client_busy`, ids of appointments in the way; `further`, the columns after these.
    """

    calendar: Calendar
    policy: OrganizationSettings
    minutes: int
    version: str
    student_id: int | None
    admission_state: str
    contacts: tuple[int | None, int | None]
    client_id: int | None
    is_welcome: bool
    student_busy: int | None
    client_busy: int | None
    further: Sequence[Any]


def read_facts(message: Message, wish: Wish, **values: Any) -> Facts | None:
    """Read the facts for the time that is wished; None if there is no such professional or appointment."""
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("booking needs a tenant; wrap the code in `with db.tenant(...):`")
    start, until = wish.start, wish.start + LONGEST
    given = calendar_values(start, until, moving=wish.moving) | {"minutes": wish.duration_minutes} | values
    row = binding.engine.run_message(message, given).fetchone()
    if row is None:
        return None
    (calendar,) = calendars_of([row], start, until)
    settings, minutes, version, student, state, first, second, client, is_welcome, *rest = row[COLUMN_COUNT:]
    return Facts(
        calendar=calendar,
        policy=policy_of(settings),
        minutes=check_duration(minutes),
        version=version,
        student_id=student,
        admission_state=state,
        contacts=(first, second),
        client_id=client,
        is_welcome=is_welcome,
        student_busy=rest[0],
        client_busy=rest[1],
        further=rest[2:],
    )


def decide(facts: Facts, wish: Wish) -> None:
    """Raise the BookingError that says why not; return if nothing stands in the way."""
    try:
        _check_people(facts)
        _check_time(facts, wish)
        _check_busy(facts, wish)
    except BookingError as error:
        error.scheduled_at = wish.start
        raise


def _check_people(facts: Facts) -> None:
    if facts.student_id is None or facts.client_id is None:
        missing = "student" if facts.student_id is None else "client"
        raise ReferenceNotFoundError(
            f"there is no such {missing} in this organization", table="appointments", fields=(f"{missing}_id",)
        )
    if not facts.calendar.active:
        raise ProfessionalInactiveError("the professional is not active; choose another one")
    state = facts.admission_state
    if state not in ADMITTED and not (state == AdmissionState.PROSPECT and facts.policy.book_prospects):
        raise StudentNotAdmittedError(
            f"the student is {state}; only an admitted or enrolled student can be booked", admission_state=state
        )
    if not facts.is_welcome:
        raise NewClientsRefusedError(
            "the professional takes no new clients, and this student has had no appointment there"
        )


def _check_time(facts: Facts, wish: Wish) -> None:
    refused = refusal(facts.calendar, wish.start, facts.minutes, now=wish.now, ignore_schedule=wish.override_schedule)
    if refused is None:
        return
    if refused is Refusal.TAKEN:
        raise SlotTakenError(conflicting_id=_conflicting(facts, wish))
    if refused is Refusal.TOO_SOON:
        notice = 0 if wish.override_schedule else facts.calendar.minimum_notice_minutes
        # The present moment itself is over.
        earliest = wish.now + max(timedelta(minutes=notice), timedelta.resolution)
        raise TooSoonError(f"the start has to lie in the future, from {earliest.isoformat()} on", earliest=earliest)
    if refused is Refusal.BEYOND_WINDOW:
        days = facts.calendar.booking_window_days
        latest = wish.now + timedelta(days=days)
        raise BookingWindowError(f"bookings are taken {days} days ahead, until {latest.isoformat()}", latest=latest)
    blocked = refused is Refusal.BLOCKED_DATE
    nearest = _nearest(facts, wish)
    where = "meets a blocked date" if blocked else "does not lie within the professional's working time"
    advice = f"the nearest free slot begins at {nearest.start.isoformat()}" if nearest else "no free slot is near"
    raise OutsideScheduleError(f"the session {where}; {advice}", reason=refused.value, nearest=nearest)


def _check_busy(facts: Facts, wish: Wish) -> None:
    if wish.allow_overlap:
        return
    advice = "allow_overlap=True books nevertheless"
    if facts.student_busy is not None:
        raise StudentBusyError(
            f"the student has another appointment at that time; {advice}", conflicting_id=facts.student_busy
        )
    if facts.client_busy is not None:
        raise ClientBusyError(
            f"the client has another appointment at that time; {advice}", conflicting_id=facts.client_busy
        )


def _conflicting(facts: Facts, wish: Wish) -> int | None:
    until = wish.start + timedelta(minutes=facts.minutes + facts.calendar.buffer_minutes)
    others = Appointment.for_professional(facts.calendar.professional_id).occupying(wish.start, until)
    other = others.where(Appointment.id != (wish.moving or 0)).order_by(Appointment.scheduled_at).first()
    return None if other is None else other.id


def _nearest(facts: Facts, wish: Wish) -> Any:
    minutes, of = facts.minutes, facts.calendar.professional_id
    for far in (NEAR, LONGEST_RANGE / 2):
        start, end = max(wish.now, wish.start - far), wish.start + far
        slots = free_slots(of, start, end, duration_minutes=minutes, now=wish.now)
        if slots:
            return min(slots, key=lambda slot: abs(slot.start - wish.start))
    return None
