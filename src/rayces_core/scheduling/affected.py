"""Which future sessions a change of a professional's would hit, for a desk to work through.

Nothing is cancelled or moved here: a changed schedule never breaks what is booked, it only has to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import BlockedDates, BlockedPeriod, WeeklySchedule
from rayces_core.models.appointment import Appointment
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.wall_clock import MINUTE, LocalDays, WorkingHours, microseconds
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import known_tenant_of

_blocked: Final[TypeAdapter[list[BlockedPeriod]]] = TypeAdapter(BlockedDates)
_schedule: Final = TypeAdapter(WeeklySchedule)


def affected_by(
    professional: Professional | User | int,
    *,
    blocked: Iterable[Any] | None = None,
    schedule: Any = None,
    now: datetime | None = None,
) -> list[Appointment]:
    """List the future sessions of a professional that a change would hit; drafts and overdue holds are none.

    Args:
        professional: a Professional, its User, or the user's id.
        blocked: dates or periods to be blocked, as in `blocked_dates`: sessions that meet one of them.
        schedule: the weekly schedule to be, as in `weekly_schedule`: sessions that do not lie in it.
        now: the present; without it the clock's.

    With neither of the two it is about a deactivation: every future session.

    Returns:
        Appointments, pre_confirmed or confirmed, by start. Also those that were booked outside the schedule on purpose.

    Raises:
        InvalidDataError: what is given is no schedule or no list of dates, or the professional is malformed.
        TenantNotSetError: privileged work gave an id, which several organizations may have.
    """
    user_id, tenant = id_of(professional), current().organization_id
    if tenant is None and isinstance(professional, Professional | User):
        tenant = known_tenant_of(professional)
    if tenant is None:
        raise TenantNotSetError("an id says not which organization; give a Professional or its User, or bind a tenant")
    return list(_affected(user_id, tenant, blocked, schedule, clock.moment(now)))


def affected_by_change(professional: Professional, changed: Iterable[str]) -> tuple[Appointment, ...]:
    """The future sessions that a professional, just saved, hits by what has `changed` of its columns."""
    names = set(changed)
    blocked = professional.blocked_dates if "blocked_dates" in names and "active" not in names else None
    schedule = professional.weekly_schedule if "weekly_schedule" in names and "active" not in names else None
    # A row that was read in part may not know whose it is.
    stored = (
        professional if professional.__data__.get("user") is not None else Professional.get(professional._pk_expr())
    )
    return _affected(stored.user_id, known_tenant_of(stored), blocked, schedule, clock.now())


def _affected(
    user_id: int, organization_id: int | None, blocked: Any, schedule: Any, now: datetime
) -> tuple[Appointment, ...]:
    days_off = (
        None if blocked is None else WorkingHours.of(WeeklySchedule(), _parsed("blocked", _blocked, list(blocked)))
    )
    hours = None if schedule is None else WorkingHours.of(_parsed("schedule", _schedule, schedule))
    ahead = Appointment.upcoming(now).for_professional(user_id)
    sessions = tuple(ahead.where(Appointment.organization == organization_id))
    if not sessions or (days_off is None and hours is None):
        return sessions
    zone = Organization.get_by_id(organization_id).zone
    return tuple(session for session in sessions if _is_hit(session, zone, days_off, hours))


def _is_hit(session: Appointment, zone: ZoneInfo, days_off: WorkingHours | None, hours: WorkingHours | None) -> bool:
    begins = microseconds(session.scheduled_at)
    ends = begins + session.duration_minutes * MINUTE
    days = LocalDays(zone, begins, ends)
    if days_off is not None and days.touches_blocked(days_off, begins, ends):
        return True
    return hours is not None and not any(o <= begins and ends <= c for o, c in days.working_time(hours))


def _parsed(field: str, shape: TypeAdapter[Any], given: Any) -> Any:
    try:
        return shape.validate_python(given)
    except ValidationError as error:
        raise InvalidDataError(field, given, problems(error)) from None
