"""Moving: an appointment gets another start, another length or another professional, and keeps its state.

Decided and written as a booking is, in two messages. A move that changes nothing writes nothing but its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import (
    DuplicateError,
    IdempotencyConflictError,
    InvalidTransitionError,
    ReferenceNotFoundError,
    TransitionRefusedError,
)
from rayces_core.models.appointment import CONFIRMED, DRAFT, NOT_EXPIRED, PRE_CONFIRMED, Appointment, AppointmentState
from rayces_core.models.appointment_time import held_until
from rayces_core.models.journal import StateTransition
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.booking import unit_of_work
from rayces_core.scheduling.calendars import reading
from rayces_core.scheduling.deciding import decide
from rayces_core.scheduling.facts import TO_MOVE, Facts, needing, read_facts
from rayces_core.scheduling.holdings import (
    COLUMNS,
    NAMES,
    SAME,
    Kept,
    beside_of_moved,
    check_second,
    said_of_moved,
    would_hold,
)
from rayces_core.scheduling.requests import Moving, check_mover, check_overrides, checked_key, set_aside, wish_of
from rayces_core.scheduling.services import check_own_length
from rayces_core.scheduling.settling import TYPES, UPDATE, until_settled, write
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.scoping import check_saved

MOVABLE: Final = (DRAFT, PRE_CONFIRMED, CONFIRMED)
IN_A_GROUP: Final = (
    "it is one of a group session's; move them all with scheduling.reschedule_group(...), or cancel it and book another"
)
KEY: Final = "state_transitions_organization_id_idempotency_key_key"
# No reschedule: nothing was moved, and no reminder waits. A key that was noted meanwhile is found by the next attempt.
KEPT: Final = Message(
    """
    INSERT INTO state_transitions
        (organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at,
         idempotency_key, request_fingerprint)
    SELECT %(tenant)s, 'Appointment', id, 'keep_time', state, state, %(actor)s::bigint, %(reason)s::varchar,
           %(now)s, %(noted_key)s, %(noted_fingerprint)s
      FROM appointments
     WHERE organization_id = %(tenant)s AND id = %(moving)s AND state = %(state)s AND scheduled_at = %(was_start)s
       AND professional_id = %(was_professional)s AND duration_minutes = %(was_minutes)s
    ON CONFLICT (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id""",
    types=TYPES,
)


def reschedule(
    appointment: Appointment,
    scheduled_at: datetime,
    *,
    professional: Professional | User | int | None = None,
    second_professional: Professional | User | int | Kept | None = SAME,
    room: Resource | int | Kept | None = SAME,
    device: Resource | int | Kept | None = SAME,
    room_with: Iterable[str] | None = None,
    duration_minutes: int | None = None,
    by: User | None = None,
    reason: str | None = None,
    override_schedule: bool = False,
    override_blocked: bool = False,
    override_window: bool = False,
    override_notice: bool = False,
    allow_overlap: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> Appointment:
    """Move an appointment to another start or professional: it keeps its state, and is checked as a booking.

    It may overlap itself. A hold gets a new end, `confirmation_hours` from now and at the start at the latest; that of
    an offered time keeps its own. Onto the time and the professional that it has nothing happens: nobody is told, no
    reminder is repeated, and the journal gets a row (`keep_time`) only where a key is given, which is kept there.

    Args:
        scheduled_at, duration_minutes: the new time; without a duration it stays as long as it is.
        professional: another one to give it to, who has to be active: their rules and buffer count.
        second_professional, room, device: another one, or None to give back what it has; else it keeps them.
        room_with: what a room has to have, as for `book`; the own one where that has it and is free.
        by: the acting user. Staff and admins move any, and are asked nothing about people again (admission, whether the
            own professional is active or takes new clients); a client their own until it is confirmed.
        reason: goes into the journal, after the time that it was moved from.
        idempotency_key: a name for this request, at most 255 characters. The same request again changes nothing,
            whatever has happened since, and `was_repeated` is true.
        override_schedule, override_blocked, override_window, override_notice, allow_overlap, now: as for `book`.

    Returns:
        The same object, with its new time.

    Raises:
        InvalidTransitionError: it is executed, cancelled or a no-show. TransitionRefusedError: `expired`, its hold
            has ended; `in_group`, it is one of a group session's. IdempotencyConflictError: the key was used for
            another request. ReferenceNotFoundError: there is no such professional. BookingError, NotPermittedError,
            InvalidDataError, CrossTenantError: as for `book`.
    """
    check_saved(appointment, Appointment, "appointment", "book it first")
    aside = set_aside(override_schedule, override_blocked, override_window, override_notice)
    said = {"second_professional": second_professional, "room": room, "device": device, "room_with": room_with}
    beside = beside_of_moved((None, None, None), said)
    wish = wish_of(scheduled_at, duration_minutes, aside, allow_overlap, now, moving=appointment.id, beside=beside)
    said = said_of_moved(beside, said)
    check_overrides(by, wish, "reschedule", said)
    StateTransition.reason.db_value(reason)
    to = None if professional is None else id_of(professional)
    asked = Moving(to, wish, reason, checked_key(idempotency_key), said)
    turns = count()
    with unit_of_work(Appointment.lifecycle.has_effects("reschedule")):
        moved = until_settled(lambda: _try_to_move(asked.again(next(turns)), by))
        _take_up(appointment, moved)
        if moved.note is not None:
            _announce(appointment, asked, moved.note, by, duration_minutes)
    return appointment


@dataclass(frozen=True, slots=True)
class _Moved:
    """The row as it now is; the journal's note, None where nothing was changed; whether the request came again."""

    row: Appointment
    note: str | None
    was_repeated: bool = False


def _take_up(appointment: Appointment, moved: _Moved) -> None:
    unsaved = set(appointment.dirty_field_names) - {"updated_at"}
    values = {name: value for name, value in moved.row.__data__.items() if name not in unsaved}
    Appointment.lifecycle.take_up(appointment, values)
    appointment.was_repeated = moved.was_repeated


def _announce(appointment: Appointment, asked: Moving, note: str, by: User | None, minutes: int | None) -> None:
    given: dict[str, Any] = {"scheduled_at": asked.wish.start, "duration_minutes": minutes}
    if asked.professional_id is not None:
        given["professional"] = asked.professional_id
    state = appointment.state
    change = StateChange(appointment, "reschedule", state, state, by, note, asked.wish.now, given)
    Appointment.lifecycle.announce(change)


# -- one attempt ------------------------------------------------------------------------------------------------------


def _try_to_move(asked: Moving, by: User | None) -> _Moved | None:
    """What came of it; None if what was read has changed meanwhile."""
    wish = asked.wish
    with reading():
        facts = read_facts(TO_MOVE, wish, professional=asked.professional_id, key=asked.key)
        if facts is None:
            Appointment.get_by_id(wish.moving)  # says that there is none
            if asked.professional_id is None:
                return None
            raise ReferenceNotFoundError(
                "there is no such professional in this organization", table="appointments", fields=("professional_id",)
            )
        state, was_start, expires_at, was_professional, was_minutes, earlier_id, earlier_fingerprint, group, *has = (
            facts.further
        )
        if earlier_id is not None:
            check_mover(facts, state, by, repeated=True)
            if earlier_fingerprint != asked.fingerprint:
                raise IdempotencyConflictError(str(asked.key))
            return _Moved(Appointment.get_by_id(wish.moving), None, was_repeated=True)
        _check_movable(AppointmentState(state), expires_at, wish.now)
        check_mover(facts, state, by)
        if facts.service is not None and facts.minutes != was_minutes:
            check_own_length(facts.service.id, facts.minutes, by, "reschedule")
        if group is not None:
            raise TransitionRefusedError("reschedule", "in_group", IN_A_GROUP)
        of = facts.calendar.professional_id
        asked = replace(asked, wish=replace(wish, beside=beside_of_moved(has, asked.beside)))
        wish = asked.wish
        check_second(wish.beside, of)
        stays = (wish.start, facts.minutes, of) == (was_start, was_minutes, was_professional)
        is_kept = stays and not wish.beside.changes(has)
        facts = facts if is_kept else needing(facts, wish)
    if is_kept:
        return _keep(facts, asked, by)
    decide(facts, wish, by, given_away=of != was_professional)
    if stays and would_hold(facts.calendar, wish.start, facts.minutes, wish.aside) == has:
        return _keep(facts, asked, by)
    return _write(facts, asked, by)


def _keep(facts: Facts, asked: Moving, by: User | None) -> _Moved | None:
    """Leave it where it is; the key is noted, so that a repetition after a later move does not move it back."""
    if asked.key is not None:
        state, was_start, _, was_professional, was_minutes, *_ = facts.further
        values = {
            "tenant": current().organization_id,
            "moving": asked.wish.moving,
            "state": state,
            "was_start": was_start,
            "was_professional": was_professional,
            "was_minutes": was_minutes,
            "actor": None if by is None else by.id,
            "reason": asked.reason,
            "now": asked.wish.now,
            "noted_key": asked.key,
            "noted_fingerprint": asked.fingerprint,
        }
        if current().engine.run_message(KEPT, values).fetchone() is None:
            return None
    return _Moved(Appointment.get_by_id(asked.wish.moving), None)


def _write(facts: Facts, asked: Moving, by: User | None) -> _Moved | None:
    state, was_start, _, was_professional, was_minutes, _, _, _, *has = facts.further
    note = _note(was_start, None if facts.calendar.professional_id == was_professional else was_professional)
    note += _held(has) if asked.wish.beside.changes(has) else ""
    note += f": {asked.reason}" if asked.reason else ""
    places = {"state": state, "was_start": was_start, "was_professional": was_professional, "was_minutes": was_minutes}
    places |= {f"was_{column.removesuffix('_id')}": key for column, key in zip(COLUMNS, has, strict=True)}
    try:
        row = write(
            UPDATE,
            facts,
            asked.wish,
            by,
            **places,
            held_until=held_until(asked.wish.start, asked.wish.now, facts.policy.confirmation_hours),
            from_state=state,
            event="reschedule",
            reason=note,
            noted_key=asked.key,
            noted_fingerprint=asked.fingerprint,
        )
    except DuplicateError as error:
        if error.constraint != KEY:  # another appointment was moved with this key meanwhile
            raise
        raise IdempotencyConflictError(str(asked.key)) from error
    return None if row is None else _Moved(row, note)


def _note(was_start: datetime, was_professional: int | None) -> str:
    whom = "" if was_professional is None else f" with professional {was_professional}"
    return f"from {was_start.isoformat()}{whom}"


def _held(has: Sequence[int | None]) -> str:
    return "".join(f", {NAMES[column]} {key}" for column, key in zip(COLUMNS, has, strict=True) if key is not None)


def _check_movable(state: AppointmentState, expires_at: Any, now: datetime) -> None:
    if state not in MOVABLE:
        raise InvalidTransitionError("Appointment", "reschedule", state, Appointment.lifecycle.events_from(state))
    if state == PRE_CONFIRMED and now > expires_at:
        raise TransitionRefusedError("reschedule", NOT_EXPIRED.reason, NOT_EXPIRED.refusal)
