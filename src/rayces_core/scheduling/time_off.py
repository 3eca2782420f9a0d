"""Asking for time off, and what it would hit.

Rule it guards: a professional asks for itself alone; staff ask for anybody.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, NotPermittedError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import BlockedPeriod, TimeWindow
from rayces_core.models.appointment import Appointment
from rayces_core.models.group_session import GroupSession
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.time_off import TimeOffRequest
from rayces_core.models.user import User
from rayces_core.scheduling.affected import affected_by, check_seen, gives, meets, open_groups
from rayces_core.scheduling.availability import here_of
from rayces_core.state_machine.actors import check_actor
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import known_tenant_of

LONGEST: Final = timedelta(days=365)
_hours: Final = TypeAdapter(TimeWindow)


class TimeOffHits(NamedTuple):
    """What time off meets: appointments, seats in groups among them, and open group sessions, each by start."""

    appointments: list[Appointment]
    groups: list[GroupSession]


def request_time_off(
    professional: Professional | User | int,
    start: date,
    end: date,
    *,
    hours: Any = None,
    note: str | None = None,
    by: User | None = None,
) -> TimeOffRequest:
    """Ask for days off, or for hours of each of them; nothing is blocked until the request is approved.

    Args:
        professional: a Professional, its User, or the user's id.
        start, end: the first and the last day, at most 365 days later.
        hours: `{"start": "09:00", "end": "13:00"}`; without it whole days.
        note: why. by: the acting user: the professional, or staff.

    Raises:
        NotPermittedError: `by` is neither. InvalidDataError: a day, the hours or the note are none.
        ReferenceNotFoundError: there is no such professional. CrossTenantError: another organization's.
    """
    user_id = here_of(professional, "time_off_requests")
    if by is not None:
        check_actor(by, User)
        if not by.is_staff and by.id != user_id:
            raise NotPermittedError("ask for time off", by.id, ("the professional", "staff and admins"))
    period = _period(start, end, hours, note)
    return TimeOffRequest.create(
        professional=user_id,
        starts_on=period.start,
        ends_on=period.end,
        from_time=period.hours and period.hours.start,
        until_time=period.hours and period.hours.end,
        note=period.reason,
    )


def _period(start: object, end: object, hours: object, note: object) -> BlockedPeriod:
    try:
        window = None if hours is None else _hours.validate_python(hours)
        given = {"start": start, "end": end, "hours": window, "reason": note or None}
        period = BlockedPeriod.model_validate(given)
    except ValidationError as error:
        raise InvalidDataError("time off", (start, end, hours, note), problems(error)) from None
    if period.end - period.start > LONGEST:
        raise InvalidDataError("end", end, f"must be at most {LONGEST.days} days after start")
    return period


def hits_of(request: TimeOffRequest, now: datetime | None) -> TimeOffHits:
    """What a request hits from now on."""
    present, tenant = clock.moment(now), known_tenant_of(request)
    professional = Professional.get(
        (Professional.user == request.professional_id) & (Professional.organization == request.organization_id)
    )
    appointments = affected_by(professional, blocked=[request.period], now=present)
    groups = list(open_groups(request.organization_id, present).where(gives(request.professional_id)))
    zone = Organization.get_by_id(tenant or request.organization_id).zone if groups else None
    return TimeOffHits(appointments, [group for group in groups if zone and meets(group, zone, [request.period])])


def hits_of_resource(resource: Resource, now: datetime | None) -> TimeOffHits:
    """The sessions from now on that hold a room or a device on its blocked dates."""
    check_seen()
    present, tenant = clock.moment(now), known_tenant_of(resource) or current().organization_id
    zone = Organization.get_by_id(tenant).zone
    held: list[Any] = []
    for model, sessions in ((Appointment, Appointment.upcoming(present)), (GroupSession, open_groups(tenant, present))):
        rows: Any = sessions.where(model.organization == tenant, _holds(model, resource)).order_by(model.scheduled_at)
        held.append([session for session in rows if meets(session, zone, resource.blocked_dates)])
    return TimeOffHits(*held)


def _holds(model: Any, resource: Resource) -> Any:
    field: Any = getattr(model, resource.kind)
    return field == resource.id
