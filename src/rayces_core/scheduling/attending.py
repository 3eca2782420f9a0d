"""Attending: a student takes a seat in a group session, by an appointment with its own state, price and credit.

Rule it guards: what lists groups and what takes a seat in one ask the same calendar and count the same seats, and the
database has every seat once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    GroupFullError,
    IdempotencyConflictError,
    InvalidDataError,
    InvalidTransitionError,
    NotPermittedError,
    ReferenceNotFoundError,
)
from rayces_core.models.appointment import DRAFT, PRE_CONFIRMED, Appointment
from rayces_core.models.appointment_time import held_until, student_busy
from rayces_core.models.group_session import OPEN, GroupSession
from rayces_core.models.permissions import STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.scheduling.availability import LONGEST_RANGE, id_of
from rayces_core.scheduling.booking import announce_booking, limits_of, unit_of_work
from rayces_core.scheduling.calendar import Calendar, SetAside, refusal
from rayces_core.scheduling.calendars import read_calendars
from rayces_core.scheduling.deciding import decide, is_family
from rayces_core.scheduling.facts import LONGEST, TO_ATTEND, Facts, read_facts, seats_held
from rayces_core.scheduling.gathering import lock_and_expire
from rayces_core.scheduling.requests import (
    Request,
    check_booker,
    check_overrides,
    checked_key,
    person_id,
    set_aside,
    wish_of,
)
from rayces_core.scheduling.settling import SEAT, until_settled, write
from rayces_core.state_machine import check_actor
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_reach

# Where and how long was decided when the group was made; when it can be booked is asked of each who comes.
MADE: Final = SetAside(schedule=True, blocked=True)
LISTED: Final = f"""
SELECT listed.scheduled_at, listed.duration_minutes, listed.professional_id, listed.id, listed.name, listed.capacity,
       listed.capacity - {seats_held("listed")}
  FROM group_sessions AS listed
 WHERE listed.organization_id = %(tenant)s AND listed.state = 'open'
   AND listed.scheduled_at >= %(start)s AND listed.scheduled_at < %(end)s
   AND (%(professional)s::bigint IS NULL OR listed.professional_id = %(professional)s)
 ORDER BY listed.scheduled_at, listed.professional_id
"""


class GroupSlot(NamedTuple):
    """A group session that can be attended: aware moments in UTC, ids, and how many of its seats are free."""

    start: datetime
    end: datetime
    professional_id: int
    group_session_id: int
    name: str | None
    capacity: int
    free: int


def group_slots(
    start: datetime,
    end: datetime,
    *,
    professional: Professional | User | int | None = None,
    full: bool = False,
    by: User | None = None,
    now: datetime | None = None,
) -> list[GroupSlot]:
    """List the group sessions that begin from `start` until before `end` and can be booked by families too.

    Where the setting `families_book_groups` is off, it is what staff may book.

    Args:
        start, end: aware moments, at most 366 days apart.
        professional: only this one's, as in `free_slots`.
        full: also those without a free seat.
        by: who asks; one of a family is shown none where that setting is off.
        now: the present, aware; without it the clock's.

    Returns:
        Slots, earliest first. A seat whose hold is overdue is free.

    Raises:
        CrossTenantError, InvalidDataError, NaiveDatetimeError, TenantNotSetError: as for `free_slots`.
    """
    if by is not None:
        check_actor(by, User)
    since, until, present = clock.utc(start, "start"), clock.utc(end, "end"), clock.moment(now)
    if not timedelta(0) < until - since <= LONGEST_RANGE:
        raise InvalidDataError("end", end, f"must be after start, and at most {LONGEST_RANGE.days} days after it")
    whose = None if professional is None else id_of(professional)
    if is_family(by) and not Organization.get_by_id(current().organization_id).policy.families_book_groups:
        return []
    calendars = {
        calendar.professional_id: calendar
        for calendar in read_calendars(since, until + LONGEST, now=present, ids=None if whose is None else [whose])
    }
    values = {"tenant": current().organization_id, "start": since, "end": until, "now": present, "professional": whose}
    rows = current().engine.run_prepared(LISTED, values).fetchall()
    slots = [_slot(*row) for row in rows]
    return [
        slot for slot in slots if (full or slot.free > 0) and _may_begin(calendars[slot.professional_id], slot, present)
    ]


def _slot(begins: datetime, minutes: int, *facts: Any) -> GroupSlot:
    return GroupSlot(begins, begins + timedelta(minutes=minutes), *facts)


def _may_begin(calendar: Calendar, slot: GroupSlot, now: datetime) -> bool:
    minutes = (slot.end - slot.start) // timedelta(minutes=1)
    return refusal(_of_the_group(calendar), slot.start, minutes, now=now, aside=MADE) is None


def _of_the_group(calendar: Calendar) -> Calendar:
    """The calendar of a professional whose time is the group's already."""
    return replace(calendar, busy=(), start_every_minutes=None)


def book_group(
    group: GroupSession | int,
    *,
    student: Student | int,
    client: User | int,
    uses_credit: bool = False,
    notes: str | None = None,
    by: User | None = None,
    confirm: bool = False,
    allow_overlap: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> Appointment:
    """Book a seat in a group session: an appointment at the group's time, which waits for its confirmation.

    Args:
        group: a GroupSession, or its id.
        student, client, uses_credit, notes, confirm, idempotency_key, now: as for `book`.
        by: the acting user. Staff and admins book for anybody, at any notice; a client for students whose contact they
            are, within the booking window and where the setting `families_book_groups` allows it.
        allow_overlap: staff may book a student or client who has another appointment at that time, but for a seat in
            this group. A client may bring several students to one group without it.

    Returns:
        The appointment, with its `group_session` and `seat`: pre_confirmed, or confirmed.

    Raises:
        GroupFullError: every seat is taken. InvalidTransitionError: the group is cancelled.
        BookingError: TooSoonError, BookingWindowError, ProfessionalInactiveError, NewClientsRefusedError,
            StudentNotAdmittedError, StudentBusyError, ClientBusyError, ClientLimitError.
        InsufficientCreditsError: the client has too few credits that nothing else has reserved.
        NotPermittedError: `by` may not book this. IdempotencyConflictError: the key was used for another request.
        ReferenceNotFoundError: there is no such group, student or client in this organization.
        InvalidDataError, CrossTenantError: an argument is malformed, or another organization's.
    """
    known = _known(group)
    # Of whom, and for whom; when is the group's to say.
    request = Request(
        student_id=person_id(student, Student, "student"),
        professional_id=known.professional_id,
        client_id=person_id(client, User, "client"),
        wish=wish_of(known.scheduled_at, None, set_aside(False, False, False, False), allow_overlap, now),
        uses_credit=bool(uses_credit),
        notes=Appointment.notes.db_value(notes),
        key=checked_key(idempotency_key),
        draft=False,
        confirm=bool(confirm),
        group_id=known.id,
    )
    check_overrides(by, request.wish, "book")
    with unit_of_work(confirm or Appointment.lifecycle.has_effects("pre_confirm")):
        appointment, is_new = until_settled(_Attempts(request, known, by))
        appointment.was_repeated = not is_new
        if is_new:
            announce_booking(appointment, by, request.wish.now)
            if confirm:
                appointment.confirm(by=by, now=request.wish.now)
    return appointment


def _known(group: GroupSession | int) -> GroupSession:
    if isinstance(group, GroupSession):
        check_reach(group)
        if group.id is None:
            raise InvalidDataError(
                "group", group, "is not saved yet; make it with scheduling.create_group_session(...)"
            )
        return group
    if isinstance(group, bool) or not isinstance(group, int):
        raise InvalidDataError("group", group, "needs a saved GroupSession or an id")
    return _read_group(group)


def _read_group(group_id: int) -> GroupSession:
    found = GroupSession.get_or_none(GroupSession.id == group_id)
    if found is None:
        raise ReferenceNotFoundError(
            "there is no such group session in this organization", table="appointments", fields=("group_session_id",)
        )
    return found


# -- one attempt ------------------------------------------------------------------------------------------------------


class _Attempts:
    """Each attempt at the time that the group was last seen at; None from one says that something has changed."""

    def __init__(self, request: Request, known: GroupSession, by: User | None) -> None:
        self.request, self.known, self.by = request, known, by

    def __call__(self) -> tuple[Appointment, bool] | None:
        wish = replace(self.request.wish, start=self.known.scheduled_at, group=self.known.id)
        people = {"student": self.request.student_id, "client": self.request.client_id}
        facts = read_facts(TO_ATTEND, wish, key=self.request.key, **people)
        if facts is None:
            _read_group(self.known.id)  # says that there is none
            return None
        *_, state, starts, minutes, capacity, held, any_overdue = facts.further
        if (starts, minutes) != (wish.start, facts.minutes):
            self.known = _read_group(self.known.id)
            return None
        return self._decided(facts, wish, state, capacity - held, any_overdue)

    def _decided(
        self, facts: Facts, wish: Any, state: str, free: int, any_overdue: bool
    ) -> tuple[Appointment, bool] | None:
        request, by = self.request, self.by
        _check_booker(facts, by)
        earlier_id, earlier_fingerprint, *_ = facts.further
        if earlier_id is not None:
            if earlier_fingerprint != request.fingerprint:
                raise IdempotencyConflictError(str(request.key))
            return Appointment.get_by_id(earlier_id), False
        if state != OPEN:
            raise InvalidTransitionError("GroupSession", "book", state, ())
        binds = is_family(by)
        aside = replace(MADE, window=not binds, notice=not binds)
        decide(replace(facts, calendar=_of_the_group(facts.calendar)), replace(wish, aside=aside), by)
        if wish.allow_overlap and facts.student_busy is not None:
            self._check_not_in_it(facts, wish)
        if free < 1:
            raise self._full(wish.start, facts)
        return self._written(facts, wish, any_overdue)

    def _check_not_in_it(self, facts: Facts, wish: Any) -> None:
        """Raise where the student has a seat in this very group, whatever else may overlap."""
        holds = (Appointment.state != PRE_CONFIRMED) | (Appointment.expires_at >= wish.now)
        mine = (Appointment.group_session == self.known.id) & (Appointment.student == facts.student_id)
        seated = Appointment.select().where(mine & Appointment.seat.is_null(False) & holds).first()
        if seated is not None:
            error = student_busy(seated.id, "it is a seat in this group session, and nobody has two of them")
            error.scheduled_at = wish.start
            raise error

    def _full(self, start: datetime, facts: Facts) -> GroupFullError:
        capacity = facts.further[-3]
        error = GroupFullError(
            f"all {capacity} seats of the group session are taken; choose another one from group_slots(), or have its "
            "capacity changed",
            group_session_id=self.known.id,
            capacity=capacity,
        )
        error.scheduled_at = start
        return error

    def _written(self, facts: Facts, wish: Any, any_overdue: bool) -> tuple[Appointment, bool] | None:
        request = self.request
        with unit_of_work(any_overdue):
            if any_overdue:
                lock_and_expire(self.known.id, wish.now, self.known.organization_id)
            booked = write(
                SEAT,
                facts,
                wish,
                self.by,
                limits=limits_of(facts.further[2:4], facts, request, self.by),
                reserves=request.uses_credit and request.reserves(facts),
                state=PRE_CONFIRMED,
                held_from=wish.now,
                held_until=held_until(wish.start, wish.now, facts.policy.confirmation_hours),
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


def _check_booker(facts: Facts, by: User | None) -> None:
    check_booker(facts, by)
    if is_family(by) and not facts.policy.families_book_groups:
        raise NotPermittedError("book a group session", by and by.id, (STAFF.who,))
