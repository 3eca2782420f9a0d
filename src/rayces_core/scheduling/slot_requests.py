"""Asking for a time that is not free yet, and answering the offer that comes of it.

Rule it guards: a family asks for its own children alone, and what it answers is the appointment that is held for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    InvalidDataError,
    InvalidTransitionError,
    NotPermittedError,
    ReferenceNotFoundError,
    ServiceInactiveError,
    TenantNotSetError,
)
from rayces_core.fields.schemas import END_OF_DAY, WEEKDAYS
from rayces_core.models.appointment import PRE_CONFIRMED, Appointment
from rayces_core.models.permissions import STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.service import Service
from rayces_core.models.slot_request import OFFERED, WAITING, SlotRequest
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.scheduling.availability import here_of
from rayces_core.scheduling.calendar import check_duration
from rayces_core.scheduling.requests import person_id
from rayces_core.scheduling.services import service_id
from rayces_core.state_machine import check_actor
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved

LONGEST: Final = timedelta(days=365)
DECLINED: Final = "offer declined"


def request_slot(
    *,
    student: Student | int,
    client: User | int,
    until_day: date,
    from_day: date | None = None,
    service: Service | int | None = None,
    professional: Professional | User | int | None = None,
    duration_minutes: int | None = None,
    weekdays: Iterable[str] = WEEKDAYS,
    from_time: str = "00:00",
    until_time: str = END_OF_DAY,
    uses_credit: bool = False,
    by: User | None = None,
    now: datetime | None = None,
) -> SlotRequest:
    """Wait for a time: the family is offered one that is free, in its turn; nothing is held before.

    Args:
        student, client: the child and the user who asks for it, or their ids.
        from_day, until_day: the first day, today unless given, and the last one, at most 365 days later.
        service: what is given, one that families may book. professional: with whom; without it with anybody.
        duration_minutes: 15 to 480, where no service says it; without it as long as the professional's sessions are.
        weekdays: names such as "monday"; every day unless given.
        from_time, until_time: the session lies within these hours, as "14:00" and "18:30".
        uses_credit: whether confirming the offer costs a credit, or as many as the service does.
        by: the acting user. Staff and admins ask for anybody; a client for students whose contact they are.
        now: the present; without it the clock's. It is the place in the line.

    Raises:
        NotPermittedError: `by` may not ask for this. ServiceInactiveError: the service is not offered any more.
        InvalidDataError: a day, the hours or the length are none. CrossTenantError: another organization's.
        ReferenceNotFoundError: there is no such professional, service, student or client.
    """
    moment, tenant = clock.moment(now), bound_tenant()
    today = moment.astimezone(Organization.get_by_id(tenant).zone).date()
    first = today if from_day is None else from_day
    _check_days(first, until_day, today)
    people = {"student": person_id(student, Student, "student"), "client": person_id(client, User, "client")}
    _check_asker(by, **people)
    wanted = service_id(service)
    _check_service(wanted, duration_minutes)
    with current().engine.atomic():
        _check_known(**people)
        return SlotRequest.create(
            **people,
            professional=None if professional is None else here_of(professional, "slot_requests"),
            service=wanted,
            duration_minutes=None if duration_minutes is None else check_duration(duration_minutes),
            weekdays=list(weekdays) if isinstance(weekdays, Iterable) else weekdays,
            from_time=from_time,
            until_time=until_time,
            from_day=first,
            until_day=until_day,
            uses_credit=bool(uses_credit),
            place_at=moment,
        )


def accept_offer(request: SlotRequest, *, by: User | None = None, now: datetime | None = None) -> Appointment:
    """Confirm the appointment that is held for a request, which is taken by that.

    Raises:
        InvalidTransitionError: no offer is open. TransitionRefusedError: `expired`, it came too late.
        NotPermittedError, InsufficientCreditsError: as for `Appointment.confirm`.
    """
    with current().engine.atomic():
        offer = _open_offer(request, "take")
        offer.confirm(by=by, now=now)
        _refresh(request)
    return offer


def decline_offer(
    request: SlotRequest, *, by: User | None = None, reason: str = DECLINED, now: datetime | None = None
) -> None:
    """Give the offered time back; the request waits on in its place, and is not offered that time again.

    Raises:
        InvalidTransitionError: no offer is open. NotPermittedError: as for `Appointment.cancel`.
    """
    with current().engine.atomic():
        _open_offer(request, "decline").cancel(by=by, reason=reason, now=now)
        _refresh(request)


def withdraw_slot_request(
    request: SlotRequest, *, by: User | None = None, reason: str | None = None, now: datetime | None = None
) -> None:
    """Leave the line, and give an open offer back.

    Raises:
        InvalidTransitionError: it is over already. NotPermittedError: `by` is neither staff nor the one who asked.
    """
    while True:
        try:
            _withdraw(request, by, reason, now)
        except InvalidTransitionError:
            _refresh(request)
            if request.state not in (WAITING, OFFERED):
                raise
        else:
            return


def _withdraw(request: SlotRequest, by: User | None, reason: str | None, now: datetime | None) -> None:
    """Raise InvalidTransitionError also where an offer is made, or ends, between the two looks at it."""
    with current().engine.atomic():
        offer = _offer_of(request)
        if offer is not None:
            offer.cancel(by=by, reason=reason or DECLINED, now=now)
            _refresh(request)
        request.withdraw(by=by, reason=reason, now=now)


def _offer_of(request: SlotRequest) -> Appointment | None:
    """The appointment that waits for an answer, locked: what was confirmed meanwhile is none any more."""
    check_saved(request, SlotRequest, "request", "make it with scheduling.request_slot(...)")
    bound_tenant()
    held = Appointment.select().where(Appointment.slot_request == request, Appointment.state == PRE_CONFIRMED)
    offer: Appointment | None = held.for_update("FOR NO KEY UPDATE").first()  # type: ignore[arg-type]
    return offer


def _open_offer(request: SlotRequest, event: str) -> Appointment:
    offer = _offer_of(request)
    if offer is None:
        _refresh(request)
        raise InvalidTransitionError(
            "SlotRequest", event, request.state, SlotRequest.lifecycle.events_from(request.state)
        )
    return offer


def _refresh(request: SlotRequest) -> None:
    """Have the object say what its appointment's event has made of it."""
    fresh = SlotRequest.get_by_id(request.id)
    SlotRequest.lifecycle.take_up(request, {name: getattr(fresh, name) for name in ("state", "place_at", "updated_at")})


def bound_tenant() -> int:
    """The id of the organization that is bound; raises TenantNotSetError."""
    tenant = current().organization_id
    if tenant is None:
        raise TenantNotSetError("a line is one organization's; wrap the code in `with db.tenant(...):`")
    return tenant


def _check_days(first: Any, last: Any, today: date) -> None:
    for field, day in (("from_day", first), ("until_day", last)):
        if not isinstance(day, date) or isinstance(day, datetime):
            raise InvalidDataError(field, day, f"needs a date, got {type(day).__name__}")
    if last < today:
        raise InvalidDataError("until_day", last, "is over already")
    if not timedelta() <= last - first <= LONGEST:
        raise InvalidDataError("until_day", last, f"must be from_day or at most {LONGEST.days} days later")


def _check_asker(by: User | None, student: int, client: int) -> None:
    if by is None:
        return
    check_actor(by, User)
    if STAFF(None, by):
        return
    child = Student.get_or_none(Student.id == student)
    if by.id != client or child is None or by.id not in (child.primary_contact_id, child.secondary_contact_id):
        allowed = (STAFF.who, "the client, for a student whose contact they are")
        raise NotPermittedError("ask for a time for this student and client", by.id, allowed)


def _check_known(student: int, client: int) -> None:
    """Raise unless they can be booked for; locked, as who is merged or erased meanwhile waits for no time."""
    known_user = (User.id == client) & User.merged_into.is_null() & User.erased_at.is_null()
    known_student = (Student.id == student) & Student.erased_at.is_null()
    for model, known, field in ((Student, known_student, "student_id"), (User, known_user, "client_id")):
        if model.select().where(known).for_update("FOR KEY SHARE").first() is None:  # type: ignore[arg-type]
            message = f"there is no such {field.removesuffix('_id')} in this organization"
            raise ReferenceNotFoundError(message, table="slot_requests", fields=(field,))


def _check_service(wanted: int | None, duration_minutes: int | None) -> None:
    """Raise unless families may book it: an offer is decided on as the family's own booking."""
    if wanted is None:
        return
    if duration_minutes is not None:
        raise InvalidDataError("duration_minutes", duration_minutes, "the service says how long it is; leave it out")
    service = Service.get_or_none(Service.id == wanted)
    if service is None:
        message = f"there is no service {wanted} in this organization"
        raise ReferenceNotFoundError(message, table="slot_requests", fields=("service_id",))
    if not service.active:
        raise ServiceInactiveError("the service is not offered any more; choose another one", service_id=service.id)
    if not service.families_may_book:
        raise InvalidDataError("service", wanted, "families may not book it; book it for them instead")
