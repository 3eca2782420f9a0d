"""Booking: an appointment is made or moved only when nothing stands in its way, whatever else happens meanwhile.

Two messages: the facts are read and decided on without any lock; then the professional, the student and the client
are locked, in this order everywhere, and the row is written with its journal row, unless a fact has changed since.
In that case it is all asked again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import (
    IdempotencyConflictError,
    InvalidDataError,
    InvalidTransitionError,
    ReferenceNotFoundError,
    TransitionRefusedError,
)
from rayces_core.models.appointment import CONFIRMED, DRAFT, NOT_EXPIRED, PRE_CONFIRMED, Appointment, AppointmentState
from rayces_core.models.journal import StateTransition
from rayces_core.models.professional import Professional
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.facts import TO_BOOK, TO_MOVE, Wish, decide, read_facts
from rayces_core.scheduling.requests import (
    Request,
    check_booker,
    check_mover,
    check_overrides,
    checked_key,
    person_id,
    wish_of,
)
from rayces_core.scheduling.settling import INSERT, UPDATE, until_settled, write
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.scoping import check_reach

MOVABLE: Final = (DRAFT, PRE_CONFIRMED, CONFIRMED)
WRITTEN: Final = {"scheduled_at", "duration_minutes", "buffer_minutes", "expires_at", "reminder_minutes", "updated_at"}


def book(
    *,
    student: Student | int,
    professional: Professional | User | int,
    client: User | int,
    scheduled_at: datetime,
    duration_minutes: int | None = None,
    uses_credit: bool = False,
    notes: str | None = None,
    by: User | None = None,
    confirm: bool = False,
    draft: bool = False,
    override_schedule: bool = False,
    allow_overlap: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> Appointment:
    """Book a session: it holds the professional's time at once, and waits for its confirmation.

    Args:
        student, client: the child and the user who books for it, or their ids.
        professional: a Professional, its User, or the user's id.
        scheduled_at: the start, aware. duration_minutes: 15 to 480; without it the professional's own.
        uses_credit: whether confirming it costs a credit.
        by: the acting user. Staff and admins book for anybody; a client for students whose contact they are.
        confirm: confirm it in the same unit of work.
        draft: only prepare it: it is checked all the same, and takes no time until `pre_confirm()`.
        override_schedule: staff may book outside working time, on blocked dates, beyond the booking window and at
            shorter notice. Nothing allows a start in the past or an overlap of the professional's time.
        allow_overlap: staff may book a student or client who has another appointment at that time.
        idempotency_key: a name for this request, at most 255 characters. The same request again returns the
            appointment that it made the first time.
        now: the present; without it the clock's.

    Returns:
        The appointment: pre_confirmed, or confirmed, or a draft.

    Raises:
        BookingError: SlotTakenError, OutsideScheduleError, TooSoonError, BookingWindowError, ProfessionalInactiveError,
            NewClientsRefusedError, StudentNotAdmittedError, StudentBusyError, ClientBusyError.
        NotPermittedError: `by` may not book this. IdempotencyConflictError: the key was used for another request.
        ReferenceNotFoundError: there is no such professional, student or client in this organization.
        InvalidDataError, CrossTenantError: an argument is malformed, or another organization's.
    """
    if confirm and draft:
        raise InvalidDataError("draft", draft, "a draft is not confirmed at once; give either draft or confirm")
    wish = wish_of(scheduled_at, duration_minutes, override_schedule, allow_overlap, now)
    request = Request(
        student_id=person_id(student, Student, "student"),
        professional_id=id_of(professional),
        client_id=person_id(client, User, "client"),
        wish=wish,
        uses_credit=bool(uses_credit),
        notes=Appointment.notes.db_value(notes),
        key=checked_key(idempotency_key),
        draft=bool(draft),
        confirm=bool(confirm),
    )
    check_overrides(by, wish, "book")
    with _unit_of_work(confirm or (not draft and Appointment.lifecycle.has_effects("pre_confirm"))):
        appointment, is_new = until_settled(lambda: _try_to_book(request, by))
        appointment.was_repeated = not is_new
        if is_new:
            _announce_booking(appointment, by, wish.now)
            if confirm:
                appointment.confirm(by=by, now=wish.now)
    return appointment


def reschedule(
    appointment: Appointment,
    scheduled_at: datetime,
    *,
    duration_minutes: int | None = None,
    by: User | None = None,
    reason: str | None = None,
    override_schedule: bool = False,
    allow_overlap: bool = False,
    now: datetime | None = None,
) -> Appointment:
    """Move an appointment to another start: it keeps its state, and is checked as a booking that may overlap itself.

    Args:
        scheduled_at, duration_minutes: the new time; without a duration it stays as long as it is.
        by: the acting user. Staff and admins move any; a client their own until it is confirmed.
        reason: goes into the journal, after the time that it was moved from.
        override_schedule, allow_overlap, now: as for `book`.

    Returns:
        The same object, with its new time.

    Raises:
        InvalidTransitionError: it is executed, cancelled or a no-show. TransitionRefusedError: `expired`, its hold
            has ended. BookingError, NotPermittedError, InvalidDataError, CrossTenantError: as for `book`.
    """
    check_reach(appointment)
    if appointment.id is None:
        raise InvalidDataError("appointment", appointment, "is not saved yet; book it first")
    wish = wish_of(scheduled_at, duration_minutes, override_schedule, allow_overlap, now, moving=appointment.id)
    check_overrides(by, wish, "reschedule")
    StateTransition.reason.db_value(reason)
    with _unit_of_work(Appointment.lifecycle.has_effects("reschedule")):
        moved, note = until_settled(lambda: _try_to_move(wish, by, reason))
        unsaved = set(appointment.dirty_field_names) - WRITTEN
        Appointment.lifecycle.take_up(appointment, {k: v for k, v in moved.__data__.items() if k not in unsaved})
        given = {"scheduled_at": wish.start, "duration_minutes": duration_minutes}
        state = appointment.state
        Appointment.lifecycle.announce(StateChange(appointment, "reschedule", state, state, by, note, wish.now, given))
    return appointment


# -- one attempt ------------------------------------------------------------------------------------------------------


def _try_to_book(request: Request, by: User | None) -> tuple[Appointment, bool] | None:
    """The appointment, and whether this call made it; None if what was read has changed meanwhile."""
    people = {"professional": request.professional_id, "student": request.student_id, "client": request.client_id}
    facts = read_facts(TO_BOOK, request.wish, key=request.key, **people)
    if facts is None:
        raise ReferenceNotFoundError(
            "there is no such professional in this organization", table="appointments", fields=("professional_id",)
        )
    check_booker(facts, by)
    earlier_id, earlier_fingerprint = facts.further
    if earlier_id is not None:
        if earlier_fingerprint != request.fingerprint:
            raise IdempotencyConflictError(str(request.key))
        return Appointment.get_by_id(earlier_id), False
    wish = request.wish
    decide(facts, wish)
    held_until = min(wish.start, wish.now + timedelta(hours=facts.policy.confirmation_hours))
    booked = write(
        INSERT,
        facts,
        wish,
        by,
        state=DRAFT if request.draft else PRE_CONFIRMED,
        held_from=None if request.draft else wish.now,
        held_until=None if request.draft else held_until,
        uses_credit=request.uses_credit,
        credits_used=int(request.uses_credit),
        notes=request.notes,
        key=request.key,
        fingerprint=request.fingerprint,
        event="pre_confirm",
        from_state=DRAFT,
        reason=None,
    )
    return None if booked is None else (booked, True)


def _try_to_move(wish: Wish, by: User | None, reason: str | None) -> tuple[Appointment, str] | None:
    """The appointment with its new time, and the journal's note; None if what was read has changed meanwhile."""
    facts = read_facts(TO_MOVE, wish)
    if facts is None:
        Appointment.get_by_id(wish.moving)  # says that there is none
        return None
    state, was_start, expires_at = facts.further
    _check_movable(AppointmentState(state), expires_at, wish.now)
    check_mover(facts, state, by)
    decide(facts, wish)
    note = f"from {was_start.isoformat()}" + (f": {reason}" if reason else "")
    places = {"state": state, "from_state": state, "was_start": was_start, "event": "reschedule", "reason": note}
    moved = write(UPDATE, facts, wish, by, **places)
    return None if moved is None else (moved, note)


def _check_movable(state: AppointmentState, expires_at: Any, now: datetime) -> None:
    if state not in MOVABLE:
        raise InvalidTransitionError("Appointment", "reschedule", state, Appointment.lifecycle.events_from(state))
    if state == PRE_CONFIRMED and now > expires_at:
        raise TransitionRefusedError("reschedule", NOT_EXPIRED.reason, NOT_EXPIRED.refusal)


def _announce_booking(appointment: Appointment, by: User | None, now: datetime) -> None:
    if appointment.state == DRAFT:
        return
    Appointment.lifecycle.announce(StateChange(appointment, "pre_confirm", DRAFT, PRE_CONFIRMED, by, None, now, {}))


def _unit_of_work(needed: bool) -> AbstractContextManager[Any]:
    return current().engine.atomic() if needed else nullcontext()
