"""Which future sessions a change of a professional's would hit, for a desk to work through.

Nothing is cancelled or moved here: a changed schedule never breaks what is booked, it only has to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.snapshots import check_present
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import (
    BlockedDates,
    BlockedPeriod,
    DatedSchedule,
    DatedSchedules,
    DateOverride,
    DateOverrides,
    WeeklySchedule,
)
from rayces_core.models.appointment import Appointment
from rayces_core.models.closed_day import ClosedDay
from rayces_core.models.group_session import OPEN, GroupSession
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.wall_clock import MINUTE, LocalDays, WorkingHours, microseconds
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.queries import TenantSelect
from rayces_core.tenancy.scoping import known_tenant_of

_blocked: Final[TypeAdapter[list[BlockedPeriod]]] = TypeAdapter(BlockedDates)
_schedule: Final = TypeAdapter(WeeklySchedule)
_dated: Final[TypeAdapter[list[DatedSchedule]]] = TypeAdapter(DatedSchedules)
_overrides: Final[TypeAdapter[list[DateOverride]]] = TypeAdapter(DateOverrides)
Session = TypeVar("Session", Appointment, GroupSession)
A_DAY: Final = timedelta(days=1)
# What the hours of a day are made of.
SCHEDULES: Final = ("weekly_schedule", "dated_schedules", "date_overrides")


def affected_by(
    professional: Professional | User | int,
    *,
    blocked: Iterable[Any] | None = None,
    schedule: Any = None,
    dated: Iterable[Any] = (),
    overrides: Iterable[Any] | None = None,
    now: datetime | None = None,
) -> list[Appointment]:
    """List the future sessions of a professional that a change would hit; drafts and overdue holds are none.

    Args:
        professional: a Professional, its User, or the user's id.
        blocked: dates or periods to be blocked, as in `blocked_dates`: sessions that meet one of them.
        schedule: the weekly schedule to be, as in `weekly_schedule`: sessions that do not lie in it.
        dated: with `schedule`, the `dated_schedules` beside it.
        overrides: hours of single dates, as in `date_overrides`: sessions that do not lie in them; without `schedule`
            sessions of these dates alone.
        now: the present; without it the clock's.

    With nothing of this it is about a deactivation: every future session.

    Returns:
        Appointments, pre_confirmed or confirmed, by start. Also those that were booked outside the schedule on purpose.

    Raises:
        InvalidDataError: what is given is no schedule or no list of dates, or the professional is malformed.
        TenantNotSetError: privileged work gave an id, which several organizations may have.
        TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all of them.
    """
    check_seen()
    user_id, tenant = id_of(professional), current().organization_id
    if tenant is None and isinstance(professional, Professional | User):
        tenant = known_tenant_of(professional)
    if tenant is None:
        raise TenantNotSetError("an id says not which organization; give a Professional or its User, or bind a tenant")
    hours = None if schedule is None and overrides is None else _hours(schedule or {}, dated, overrides or ())
    dates = None if schedule is not None or hours is None else {day for day, _ in hours.overrides}
    days_off = None if blocked is None else _days_off(blocked)
    sessions = Appointment.upcoming(clock.moment(now)).where(Appointment.organization == tenant)
    return list(_hit(sessions.holding("professional", user_id), tenant, days_off, hours, dates))


def check_seen() -> None:
    """Raises TransactionFailedError: the unit of work would miss what was booked since it began."""
    if current().engine.session.in_transaction:
        check_present()


def affected_by_change(
    professional: Professional, changed: Iterable[str]
) -> tuple[tuple[Appointment, ...], tuple[GroupSession, ...]]:
    """The future sessions, and open groups, that a professional, just saved, hits by what has `changed` of it."""
    names = set() if "active" in changed else set(changed)
    # A row that was read in part may not know whose it is, nor all of its schedules.
    known = professional.__data__.get("user") is not None and not names.intersection(SCHEDULES)
    stored = professional if known else Professional.get(professional._pk_expr())
    days_off = _days_off(stored.blocked_dates) if "blocked_dates" in names else None
    hours = _hours(*(getattr(stored, column) for column in SCHEDULES)) if names.intersection(SCHEDULES) else None
    tenant, now = known_tenant_of(stored), clock.now()
    sessions = Appointment.upcoming(now).where(Appointment.organization == tenant)
    groups = open_groups(tenant, now).where(gives(stored.user_id))
    return (
        _hit(sessions.holding("professional", stored.user_id), tenant, days_off, hours),
        _hit(groups, tenant, days_off, hours),
    )


def affected_by_closing(closed: ClosedDay) -> tuple[list[Appointment], list[GroupSession]]:
    """The future sessions, and open groups, of all professionals, that a closed day hits."""
    if not 1 < closed.day.year < 9999:
        raise InvalidDataError("day", closed.day, "must lie in the years 2 to 9998")
    tenant, now, days_off = known_tenant_of(closed), clock.now(), _days_off([closed.day])
    around = datetime.combine(closed.day, time(), UTC)
    near = around - 2 * A_DAY, around + 3 * A_DAY
    sessions = Appointment.upcoming(now).where(Appointment.organization == tenant)
    return (
        list(_hit(sessions.where(Appointment.scheduled_at.between(*near)), tenant, days_off, None)),
        list(_hit(open_groups(tenant, now).where(GroupSession.scheduled_at.between(*near)), tenant, days_off, None)),
    )


def tell_affected_by_closings(closed: Iterable[ClosedDay]) -> None:
    """Have each closed day, all of one organization, list what it hits; however many they are it is asked once."""
    days = {each.day: each for each in closed}
    if not days:
        return
    tenant, now = known_tenant_of(next(iter(days.values()))), clock.now()
    around = [datetime.combine(day, time(), UTC) for day in (min(days), max(days))]
    near = around[0] - 2 * A_DAY, around[1] + 3 * A_DAY
    sessions = Appointment.upcoming(now).where(Appointment.organization == tenant)
    appointments = list(sessions.where(Appointment.scheduled_at.between(*near)))
    groups = list(open_groups(tenant, now).where(GroupSession.scheduled_at.between(*near)))
    if not (appointments or groups):
        return
    zone = Organization.get_by_id(tenant).zone
    for day, each in days.items():
        each.affected = tuple(session for session in appointments if meets(session, zone, [day]))
        each.affected_groups = tuple(group for group in groups if meets(group, zone, [day]))


def open_groups(tenant: int | None, now: datetime) -> TenantSelect[GroupSession]:
    """The open group sessions ahead, by start."""
    ahead = (GroupSession.state == OPEN) & (GroupSession.scheduled_at > now)
    mine = GroupSession.select().where(GroupSession.organization == tenant, ahead)
    return mine.order_by(GroupSession.scheduled_at, GroupSession.id)


def gives(user_id: int) -> Any:
    """Whether a group session takes a professional's time."""
    return (GroupSession.professional == user_id) | (GroupSession.second_professional == user_id)


def meets(session: Any, zone: ZoneInfo, blocked: list[Any]) -> bool:
    """Whether an appointment or a group session meets one of these dates or periods."""
    return _is_hit(session, zone, _days_off(blocked), None)


def _hours(schedule: Any, dated: Iterable[Any], overrides: Iterable[Any]) -> WorkingHours:
    return WorkingHours.of(
        _parsed("schedule", _schedule, schedule),
        (),
        _parsed("dated", _dated, _listed(dated)),
        _parsed("overrides", _overrides, _listed(overrides)),
    )


def _days_off(blocked: Iterable[Any]) -> WorkingHours:
    return WorkingHours.of(WeeklySchedule(), _parsed("blocked", _blocked, _listed(blocked)))


def _hit(
    asked: Iterable[Session],
    tenant: int | None,
    days_off: WorkingHours | None,
    hours: WorkingHours | None,
    dates: set[int] | None = None,
) -> tuple[Session, ...]:
    sessions = tuple(asked)
    if not sessions or (days_off is None and hours is None):
        return sessions
    zone = Organization.get_by_id(tenant).zone
    return tuple(session for session in sessions if _is_hit(session, zone, days_off, hours, dates))


def _is_hit(
    session: Any,
    zone: ZoneInfo,
    days_off: WorkingHours | None,
    hours: WorkingHours | None,
    dates: set[int] | None = None,
) -> bool:
    begins = microseconds(session.scheduled_at)
    ends = begins + session.duration_minutes * MINUTE
    days = LocalDays(zone, begins, ends)
    if days_off is not None and days.touches_blocked(days_off, begins, ends):
        return True
    if hours is None or (dates is not None and dates.isdisjoint(days.numbers)):
        return False
    return not any(opens <= begins and ends <= closes for opens, closes in days.working_time(hours))


def _listed(given: Any) -> Any:
    """As a list, which the shapes take; what is none they refuse."""
    return list(given) if isinstance(given, Iterable) else given


def _parsed(field: str, shape: TypeAdapter[Any], given: Any) -> Any:
    try:
        return shape.validate_python(given)
    except ValidationError as error:
        raise InvalidDataError(field, given, problems(error)) from None
