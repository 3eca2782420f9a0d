"""Working time: when a professional gives sessions, past and future, whatever is booked.

Rule it guards: it is the time that booking decides by, read off the same wall clocks by the same arithmetic.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, ReferenceNotFoundError, TenantNotSetError
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.scheduling.calendar import EARLIEST, LATEST
from rayces_core.scheduling.calendars import HOURS, hours_of
from rayces_core.scheduling.wall_clock import EPOCH, LocalDays, microseconds

LONGEST: Final = timedelta(days=36_600)

READ: Final = f"""
SELECT {HOURS}, organization.time_zone
  FROM professionals AS professional
  JOIN organizations AS organization ON organization.id = %(tenant)s
 WHERE professional.organization_id = %(tenant)s AND professional.user_id = %(id)s
"""


class WorkingSpan(NamedTuple):
    """A span of working time: aware moments in UTC, the end outside."""

    start: datetime
    end: datetime


def working_time(professional: Professional | User | int, start: datetime, end: datetime) -> list[WorkingSpan]:
    """List when a professional gives sessions: the schedules without what is blocked or closed, by one statement.

    It is told by what is stored now, of the past too; what is booked, notice and booking window do not matter,
    nor whether the professional is active. A window that the clock skips does not exist, one that it shows twice exists
    twice, and windows that touch are one span.

    Args:
        professional: a Professional, its User, or the user's id.
        start, end: aware moments, at most 36,600 days apart; spans are cut at both.

    Raises:
        ReferenceNotFoundError: the organization has no such professional.
        CrossTenantError: the instance is another organization's.
        InvalidDataError: an argument is malformed, or what is stored is not a schedule.
        NaiveDatetimeError: a datetime without a time zone.
        TenantNotSetError: no tenant is bound, or the work is privileged.
    """
    first, last = _bounds(start, end)
    binding, user_id = current(), id_of(professional)
    if binding.privileged:
        raise TenantNotSetError("working time needs a tenant; wrap the code in `with db.tenant(...):`")
    given = {"tenant": binding.organization_id, "id": user_id, "start": first, "end": last}
    row = binding.engine.run_prepared(READ, given).fetchone()
    if row is None:
        raise ReferenceNotFoundError(
            f"there is no professional of user {user_id}; give a Professional, its User, or the user's id",
            table="professionals",
            fields=("user_id",),
        )
    *stored, zone = row
    days = LocalDays(ZoneInfo(zone), microseconds(first), microseconds(last))
    spans = days.working_time(hours_of(user_id, *stored))
    return [WorkingSpan(_moment(opens), _moment(closes)) for opens, closes in spans]


def _bounds(start: object, end: object) -> tuple[datetime, datetime]:
    first, last = clock.utc(start, "start"), clock.utc(end, "end")
    for field, moment in (("start", first), ("end", last)):
        if not EARLIEST <= moment <= LATEST:
            raise InvalidDataError(field, moment, "must lie in the years 2 to 9998")
    if last <= first:
        raise InvalidDataError("end", end, "must be after start")
    if last - first > LONGEST:
        raise InvalidDataError("end", end, f"must be at most {LONGEST.days} days after start")
    return first, last


def _moment(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)
