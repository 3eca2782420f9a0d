"""Group sessions: one that several students attend is made, moved and cancelled, with everybody who attends it.

Rule it guards: the group has its professional's time once, attended or not, and no two of them ever have the same.
Decided and written as bookings are: read and decide without a lock, then lock, check and write in one message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    BookingError,
    InvalidTransitionError,
    NotPermittedError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    TransitionRefusedError,
)
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import client_busy, expire_in_the_way, student_busy
from rayces_core.models.group_session import NOT_BEGUN, OPEN, GroupSession, expire_seats
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import OWN_PROFESSIONAL, STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.booking import unit_of_work
from rayces_core.scheduling.calendars import reading
from rayces_core.scheduling.deciding import check_time
from rayces_core.scheduling.facts import TO_GATHER, Facts, Wish, needing, read_facts
from rayces_core.scheduling.gathering import (
    INSERT,
    UPDATE,
    UPDATE_APART,
    lock_and_expire,
    locking,
    message_of,
    noting_apart,
)
from rayces_core.scheduling.holdings import (
    COLUMNS,
    SAME,
    Kept,
    beside_of,
    beside_of_moved,
    beside_values,
    check_second,
    held_by,
    said_of_moved,
    would_hold,
)
from rayces_core.scheduling.requests import check_overrides, set_aside, wish_of
from rayces_core.scheduling.settling import until_settled
from rayces_core.state_machine import StateChange, check_actor
from rayces_core.state_machine.telling import is_told
from rayces_core.tenancy.scoping import check_saved

CANCELLED: Final = "group session cancelled"
MAKE: Final = "make it with scheduling.create_group_session(...)"
MAY: Final = (STAFF, OWN_PROFESSIONAL)


def create_group_session(
    *,
    professional: Professional | User | int,
    scheduled_at: datetime,
    capacity: int,
    duration_minutes: int | None = None,
    name: str | None = None,
    second_professional: Professional | User | int | None = None,
    room: Resource | int | None = None,
    device: Resource | int | None = None,
    room_with: Iterable[str] | None = None,
    by: User | None = None,
    override_schedule: bool = False,
    override_blocked: bool = False,
    override_window: bool = False,
    override_notice: bool = False,
    now: datetime | None = None,
) -> GroupSession:
    """Make a session that several students can attend: it has the professional's time from now on.

    Args:
        professional: a Professional, its User, or the user's id.
        scheduled_at: the start, aware, on a whole minute.
        capacity: how many seats it has, 1 to 500.
        duration_minutes: 15 to 480; without it the professional's own.
        name: what families see, such as "Social skills, 8 to 10 years".
        second_professional, room, device, room_with: as for `book`; who attends holds them with the group.
        by: the acting user: staff, admins, or the professional, who sets no rule aside and leaves the room, the device
            and who else takes part to the centre.
        override_schedule, override_blocked, override_window, override_notice, now: as for `book`.

    Raises:
        BookingError: SlotTakenError, OutsideScheduleError, TooSoonError, BookingWindowError, ProfessionalInactiveError,
            SecondProfessionalTakenError, RoomTakenError, DeviceTakenError, ResourceUnfitError.
        NotPermittedError: `by` may not make one. ReferenceNotFoundError: there is no such professional.
        InvalidDataError, CrossTenantError: an argument is malformed, or another organization's.
    """
    professional_id = id_of(professional)
    aside = set_aside(override_schedule, override_blocked, override_window, override_notice)
    beside = beside_of(second_professional, room, device, room_with)
    check_second(beside, professional_id)
    wish = wish_of(scheduled_at, duration_minutes, aside, False, now, beside=beside)
    values = {"name": GroupSession.name.db_value(name), "capacity": GroupSession.capacity.db_value(capacity)}
    _check_permitted("create a group session", professional_id, by)
    check_overrides(by, wish, "create a group session")
    with unit_of_work(GroupSession.lifecycle.has_effects("create")):
        turns = count()
        group = until_settled(lambda: _try_to_create(professional_id, replace(wish, again=next(turns) > 0), by, values))
        GroupSession.lifecycle.announce(StateChange(group, "create", OPEN, OPEN, by, None, wish.now, {}))
    return group


def reschedule_group(
    group: GroupSession,
    scheduled_at: datetime,
    *,
    duration_minutes: int | None = None,
    second_professional: Professional | User | int | Kept | None = SAME,
    room: Resource | int | Kept | None = SAME,
    device: Resource | int | Kept | None = SAME,
    room_with: Iterable[str] | None = None,
    by: User | None = None,
    reason: str | None = None,
    override_schedule: bool = False,
    override_blocked: bool = False,
    override_window: bool = False,
    override_notice: bool = False,
    allow_overlap: bool = False,
    now: datetime | None = None,
) -> GroupSession:
    """Move a group session and every appointment in it, in one statement; each keeps its state and its seat.

    Who held a seat and let it pass is not moved: the hold is expired first, as whenever it is met.

    Each appointment has its own row of the journal and is announced; reminders of it begin anew. A hold that is not
    confirmed ends when it did, and at the new start at the latest. Onto the time that it has nothing happens.

    Args:
        scheduled_at, duration_minutes: the new time; without a duration it stays as long as it is.
        second_professional, room, device, room_with: as for `reschedule`.
        by: the acting user: staff, admins, or the professional, as for `create_group_session`.
        reason: goes into the journal, after the time that it was moved from.
        allow_overlap: staff may move it although somebody in it has another appointment at that time.
        override_schedule, override_blocked, override_window, override_notice, now: as for `book`.

    Returns:
        The same object, with its new time.

    Raises:
        InvalidTransitionError: it is cancelled. TransitionRefusedError: `begun`. StudentBusyError, ClientBusyError:
            somebody who attends is elsewhere at that time. BookingError, NotPermittedError, InvalidDataError,
            CrossTenantError: as for `create_group_session`.
    """
    check_saved(group, GroupSession, "group", MAKE)
    aside = set_aside(override_schedule, override_blocked, override_window, override_notice)
    said = {"second_professional": second_professional, "room": room, "device": device, "room_with": room_with}
    named = said_of_moved(beside_of_moved((None, None, None), said), said)
    wish = wish_of(scheduled_at, duration_minutes, aside, allow_overlap, now)
    StateTransition.reason.db_value(reason)
    _check_permitted("reschedule this GroupSession", group.professional_id, by)
    check_overrides(by, wish, "reschedule this GroupSession", named)
    with unit_of_work(_anything_runs_with_moves()):
        turns = count()
        moved, note = until_settled(lambda: _try_to_move(group, replace(wish, again=next(turns) > 0), by, reason, said))
        GroupSession.lifecycle.take_up(group, moved.__data__)
        if note is not None:
            _announce_move(group, wish, by, note)
    return group


def cancel_group_session(
    group: GroupSession,
    *,
    by: User | None = None,
    reason: str | None = None,
    refund: bool | None = True,
    now: datetime | None = None,
) -> GroupSession:
    """Cancel a group session and every appointment in it, in one unit of work; what was paid for them comes back.

    Args:
        by: the acting user: staff, admins, or the professional. At least one of `by` and `reason` says who or why.
        refund: as for `Appointment.cancel`; None leaves it to the organization's `cancellation_notice_hours`.
        now: the present; without it the clock's.

    Raises:
        TransitionRefusedError: `begun`, or `no_reason`. InvalidTransitionError: it is cancelled already.
        NotPermittedError, CrossTenantError.
    """
    check_saved(group, GroupSession, "group", MAKE)
    of = {"of_organization": group.organization_id, "group": group.id}
    given: dict[str, Any] = {"by": by, "reason": reason, "now": now}
    with current().engine.atomic():
        lock_and_expire(group.id, clock.moment(now), group.organization_id)
        Appointment.lifecycle.move_many(
            "cancel",
            "organization_id = %(of_organization)s AND group_session_id = %(group)s",
            of,
            organization=group.organization_id,
            refund=refund,
            **given,
        )
        group.cancel(**given)
    return group


# -- one attempt ------------------------------------------------------------------------------------------------------


def _check_permitted(action: str, professional_id: int, by: User | None) -> None:
    if by is None:
        return
    check_actor(by, User)
    if not (STAFF(None, by) or by.id == professional_id):
        raise NotPermittedError(action, by.id, tuple(permission.who for permission in MAY))


def _read(professional_id: int, wish: Wish) -> Facts:
    with reading():
        facts = read_facts(TO_GATHER, wish, professional=professional_id)
        if facts is None:
            message = "there is no such professional in this organization"
            raise ReferenceNotFoundError(message, table="group_sessions", fields=("professional_id",))
        return needing(facts, wish)


def _try_to_create(professional_id: int, wish: Wish, by: User | None, values: dict[str, Any]) -> GroupSession | None:
    facts = _read(professional_id, wish)
    if not facts.calendar.active:
        raise ProfessionalInactiveError("the professional is not active; choose another one")
    _check(facts, wish)
    return _write(INSERT, facts, wish, by, event="create", reason=None, **values)


def _try_to_move(
    group: GroupSession, wish: Wish, by: User | None, reason: str | None, said: dict[str, Any]
) -> tuple[GroupSession, str | None] | None:
    """The row as it now is, and the journal's note, None where nothing was to be done; None if it has changed."""
    stored = GroupSession.get_by_id(group.id)
    if stored.state != OPEN:
        raise InvalidTransitionError("GroupSession", "reschedule", stored.state, ())
    if not NOT_BEGUN.holds(stored, wish.now):
        raise TransitionRefusedError("reschedule", NOT_BEGUN.reason, NOT_BEGUN.refusal)
    has = [getattr(stored, column) for column in COLUMNS]
    minutes, beside = wish.duration_minutes or stored.duration_minutes, beside_of_moved(has, said)
    check_second(beside, stored.professional_id)
    wish = replace(wish, group=stored.id, duration_minutes=minutes, beside=beside)
    stays = (wish.start, minutes) == (stored.scheduled_at, stored.duration_minutes)
    if stays and not beside.changes(has):
        return stored, None
    facts = _read(stored.professional_id, wish)
    facts = replace(facts, calendar=replace(facts.calendar, active=True))
    _check(facts, wish)
    if stays and would_hold(facts.calendar, wish.start, minutes, wish.aside) == has:
        return stored, None
    note = f"from {stored.scheduled_at.isoformat()}" + (f": {reason}" if reason else "")
    was = {"was_start": stored.scheduled_at, "was_minutes": stored.duration_minutes}
    was |= {f"was_{column.removesuffix('_id')}": key for column, key in zip(COLUMNS, has, strict=True)}
    moved = _write(UPDATE, facts, wish, by, event="reschedule", reason=note, **was)
    return None if moved is None else (moved, note)


def _check(facts: Facts, wish: Wish) -> None:
    """Raise the BookingError that says why the time cannot be had; those who attend come along."""
    try:
        check_time(facts, wish, False)
        if not wish.allow_overlap:
            student, client, _ = facts.further
            if student is not None:
                raise student_busy(student, "choose another time, or allow_overlap=True")
            if client is not None:
                raise client_busy(client, "choose another time, or allow_overlap=True")
    except BookingError as error:
        error.scheduled_at = wish.start
        raise


def _write(sql: str, facts: Facts, wish: Wish, by: User | None, **values: Any) -> GroupSession | None:
    """Lock, check and write; None if what was decided on has changed."""
    calendar, until = facts.calendar, wish.start + timedelta(minutes=facts.minutes)
    given = {
        "tenant": current().organization_id,
        "professional": calendar.professional_id,
        "version": facts.version,
        "moving": None,
        "group": wish.group,
        "start": wish.start,
        "until": until,
        "occupied_from": wish.start,
        "occupied_until": until + timedelta(minutes=calendar.buffer_minutes),
        "minutes": facts.minutes,
        "buffer": calendar.buffer_minutes,
        "actor": None if by is None else by.id,
        "now": wish.now,
    }
    held = held_by(calendar, wish.start, facts.minutes, wish.aside, again=wish.again)
    given |= beside_values(held) | values
    engine, needs_more = current().engine, bool(held)
    apart = sql is UPDATE and engine.kind.binds_apart
    message = message_of(UPDATE_APART if apart else sql, wish.allow_overlap, is_told(), needs_more)
    meets_overdue = facts.meets_overdue or any(each.meets_overdue for each in held.values())
    *_, seats_overdue = facts.further
    with unit_of_work(meets_overdue or seats_overdue or apart):
        if meets_overdue or seats_overdue:
            engine.run_message(locking(sql, needs_more), given)
        if seats_overdue:
            expire_seats(wish.group, wish.now)
        if meets_overdue:
            expire_in_the_way(Appointment, wish.now, given | dict.fromkeys(("own", "student", "client")))
        cursor = engine.run_message(message, given)
        rows = cursor.fetchall()
        if rows and apart:
            engine.run_message(noting_apart(is_told()), given)
        return GroupSession._from_rows(cursor.description, rows)[0] if rows else None


# -- announcing -------------------------------------------------------------------------------------------------------


def _anything_runs_with_moves() -> bool:
    return any(model.lifecycle.has_effects("reschedule") for model in (GroupSession, Appointment))


def _announce_move(group: GroupSession, wish: Wish, by: User | None, note: str) -> None:
    given = {"scheduled_at": wish.start, "duration_minutes": wish.duration_minutes}
    announced: list[tuple[Callable[[StateChange], None], Any]] = [(GroupSession.lifecycle.announce, group)]
    if Appointment.lifecycle.is_heard("reschedule"):
        seated = Appointment.select().where(Appointment.group_session == group.id, Appointment.seat.is_null(False))
        announced += [(Appointment.lifecycle.announce, each) for each in seated.order_by(Appointment.seat)]
    for announce, row in announced:
        announce(StateChange(row, "reschedule", row.state, row.state, by, note, wish.now, given))
