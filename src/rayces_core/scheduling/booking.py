"""Booking: an appointment is made only when nothing stands in its way, whatever else happens meanwhile.

Two messages: the facts are read and decided on without any lock; then the professional, the student and the client
are locked, in this order everywhere, and the row is written with its journal row, unless a fact has changed since.
In that case it is all asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from itertools import count
from typing import Any

from rayces_core.database.binding import current
from rayces_core.errors import IdempotencyConflictError, InvalidDataError, ReferenceNotFoundError
from rayces_core.models.appointment import DRAFT, PRE_CONFIRMED, Appointment
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.service import Service
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.calendars import reading
from rayces_core.scheduling.deciding import LIMITS, check_limits, decide, is_family
from rayces_core.scheduling.facts import TO_BOOK, TO_BOOK_A_SERVICE, Facts, needing, read_facts
from rayces_core.scheduling.holdings import beside_of, check_second
from rayces_core.scheduling.requests import (
    Request,
    check_booker,
    check_overrides,
    checked_key,
    person_id,
    set_aside,
    wish_of,
)
from rayces_core.scheduling.services import check_found, check_own_length, service_id
from rayces_core.scheduling.settling import INSERT, until_settled, write
from rayces_core.state_machine import StateChange


def book(
    *,
    student: Student | int,
    professional: Professional | User | int,
    client: User | int,
    scheduled_at: datetime,
    service: Service | int | None = None,
    second_professional: Professional | User | int | None = None,
    room: Resource | int | None = None,
    device: Resource | int | None = None,
    room_with: Iterable[str] | None = None,
    duration_minutes: int | None = None,
    uses_credit: bool = False,
    notes: str | None = None,
    by: User | None = None,
    confirm: bool = False,
    draft: bool = False,
    override_schedule: bool = False,
    override_blocked: bool = False,
    override_window: bool = False,
    override_notice: bool = False,
    allow_overlap: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> Appointment:
    """Book a session: it holds the professional's time at once, and waits for its confirmation.

    Args:
        student, client: the child and the user who books for it, or their ids.
        professional: a Professional, its User, or the user's id.
        scheduled_at: the start, aware, on a whole minute.
        service: what is given, as a Service or its id: its length, buffers, price and credits are copied.
        second_professional: another one who takes part; it takes that one's time too, by the same rules.
        room, device: a Resource or its id, held as long as the professional, buffers included.
        room_with: what a room has to have, where none is named: {"mirror"}; the first active one that has it and is
            free is taken. `set()` is any room. A service that asks for features has its room chosen by itself.
        duration_minutes: 15 to 480; without it the service's, or the professional's own. Families book a service at its
            length.
        uses_credit: whether confirming it costs a credit, or as many as the service does; until then they are reserved.
        by: the acting user. Staff and admins book for anybody; a client for students whose contact they are.
        confirm: confirm it in the same unit of work.
        draft: only prepare it: it is checked all the same, and takes no time until `pre_confirm()`.
        override_schedule, override_blocked, override_window, override_notice: staff may book outside the weekly
            schedule, on blocked dates, beyond the booking window, at shorter notice: each sets its own rule aside
            and no other. Nothing allows a start in the past or an overlap of the professional's time.
        allow_overlap: staff may book a student or client who has another appointment at that time.
        idempotency_key: a name for this request, at most 255 characters. The same request again returns the
            appointment that it made the first time, with `was_repeated` true.
        now: the present; without it the clock's.

    Returns:
        The appointment: pre_confirmed, or confirmed, or a draft.

    Raises:
        BookingError: SlotTakenError, OutsideScheduleError, TooSoonError, BookingWindowError, ProfessionalInactiveError,
            NewClientsRefusedError, ServiceInactiveError, ServiceNotGivenError, StudentNotAdmittedError,
            SecondProfessionalTakenError, RoomTakenError, DeviceTakenError, ResourceUnfitError, StudentBusyError,
            ClientBusyError; for families also StartOffGridError and ClientLimitError, by the organization's settings.
        InsufficientCreditsError: it costs credits, and the client has too few that nothing else has reserved.
        NotPermittedError: `by` may not book this. IdempotencyConflictError: the key was used for another request.
        ReferenceNotFoundError: there is no such professional, service, student or client in this organization.
        InvalidDataError, CrossTenantError: an argument is malformed, or another organization's.
    """
    return take(requested(**locals()), by)


def requested(
    *,
    by: User | None,
    scheduled_at: datetime,
    duration_minutes: int | None,
    confirm: bool,
    draft: bool,
    allow_overlap: bool,
    now: datetime | None,
    **given: Any,
) -> Request:
    """The request that the arguments of `book` make, all of them given."""
    if confirm and draft:
        raise InvalidDataError("draft", draft, "a draft is not confirmed at once; give either draft or confirm")
    aside = set_aside(*(given[f"override_{name}"] for name in ("schedule", "blocked", "window", "notice")))
    beside = beside_of(*(given[name] for name in ("second_professional", "room", "device", "room_with")))
    wish = wish_of(scheduled_at, duration_minutes, aside, allow_overlap, now, beside=beside)
    request = Request(
        student_id=person_id(given["student"], Student, "student"),
        professional_id=id_of(given["professional"]),
        client_id=person_id(given["client"], User, "client"),
        wish=wish,
        uses_credit=bool(given["uses_credit"]),
        notes=Appointment.notes.db_value(given["notes"]),
        key=checked_key(given["idempotency_key"]),
        draft=bool(draft),
        confirm=bool(confirm),
        service_id=service_id(given["service"]),
    )
    check_overrides(by, wish, "book")
    check_second(beside, request.professional_id)
    check_own_length(request.service_id, duration_minutes, by)
    return request


def take(request: Request, by: User | None) -> Appointment:
    """The appointment that a request makes, or has made; raises as `book` does."""
    now, holds = request.wish.now, not request.draft and Appointment.lifecycle.has_effects("pre_confirm")
    with unit_of_work(request.confirm or holds):
        turns = count()
        appointment, is_new = until_settled(lambda: try_to_book(request.again(next(turns)), by))
        appointment.was_repeated = not is_new
        if is_new:
            announce_booking(appointment, by, now)
            if request.confirm:
                appointment.confirm(by=by, now=now)
    return appointment


# -- one attempt ------------------------------------------------------------------------------------------------------


def try_to_book(request: Request, by: User | None, asks: User | None = None) -> tuple[Appointment, bool] | None:
    """The appointment, and whether this call made it; None if what was read has changed meanwhile.

    `asks` is for whom it is decided, where nobody acts.
    """
    asks = asks or by
    people = {"professional": request.professional_id, "student": request.student_id, "client": request.client_id}
    asked = TO_BOOK if request.service_id is None else TO_BOOK_A_SERVICE
    wish = request.wish
    with reading():
        facts = read_facts(asked, wish, key=request.key, service=request.service_id, **people)
        if facts is None:
            raise ReferenceNotFoundError(
                "there is no such professional in this organization", table="appointments", fields=("professional_id",)
            )
        check_found(request.service_id, facts.service)
        check_booker(facts, asks)
        earlier_id, earlier_fingerprint, *_ = facts.further
        if earlier_id is not None:
            if earlier_fingerprint != request.fingerprint:
                raise IdempotencyConflictError(str(request.key))
            earlier = Appointment.get_by_id(earlier_id)
            earlier.was_repeated = True
            return earlier, False
        facts = needing(facts, wish)
    decide(facts, wish, asks)
    limits = limits_of(facts.further[2:4], facts, request, asks)
    costs = request.costs(facts)
    hold_ends = min(wish.start, wish.now + request.held_for(facts.policy))
    booked = write(
        INSERT,
        facts,
        wish,
        by,
        limits=limits,
        reserves=costs > 0 and request.reserves(facts),
        state=DRAFT if request.draft else PRE_CONFIRMED,
        held_from=None if request.draft else wish.now,
        held_until=None if request.draft else hold_ends,
        uses_credit=costs > 0,
        credits_used=costs,
        notes=request.notes,
        key=request.key,
        fingerprint=request.fingerprint,
        slot_request=request.slot_request_id,
        event="pre_confirm",
        from_state=DRAFT,
        reason=None,
    )
    return None if booked is None else (booked, True)


def limits_of(counts: Sequence[int], facts: Facts, request: Request, by: User | None) -> dict[str, int]:
    """The limits that bind this booking, not reached yet. A draft holds nothing, and what is confirmed is no hold."""
    if request.draft or not is_family(by):
        return {}
    limits = {setting: limit for setting in LIMITS if (limit := getattr(facts.policy, setting)) is not None}
    if request.confirm:
        limits.pop("open_holds_per_client", None)
    check_limits(request.wish, limits, dict(zip(LIMITS, counts, strict=True)))
    return limits


def announce_booking(appointment: Appointment, by: User | None, now: datetime) -> None:
    """Have subscribers told of what was booked; a draft is not announced."""
    if appointment.state == DRAFT:
        return
    Appointment.lifecycle.announce(StateChange(appointment, "pre_confirm", DRAFT, PRE_CONFIRMED, by, None, now, {}))


def unit_of_work(needed: bool) -> AbstractContextManager[Any]:
    """A transaction, where more than one message has to be kept or undone as one."""
    return current().engine.atomic() if needed else nullcontext()
