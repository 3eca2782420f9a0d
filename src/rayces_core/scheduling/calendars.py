"""The calendars of professionals: what decides their time, read in one statement for any number of them and of days."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import BlockedDates, BlockedPeriod, OrganizationSettings, WeeklySchedule
from rayces_core.models.appointment_time import holds_time
from rayces_core.scheduling.calendar import EARLIEST, LATEST, Calendar
from rayces_core.scheduling.elsewhere import MOVING_COLUMNS
from rayces_core.scheduling.wall_clock import LocalDays, Span, WorkingHours, microseconds

# The zero of PostgreSQL's timestamps, in microseconds since 1970.
SERVER_EPOCH: Final = 946_684_800_000_000

CALENDAR_COLUMNS: Final = """
professional.user_id, professional.active, professional.session_duration_minutes, professional.buffer_minutes,
professional.weekly_schedule::text, professional.blocked_dates::text, organization.time_zone,
organization.settings::text, busy.spans
"""
COLUMN_COUNT: Final = 9

# Values: those of calendar_values(). A professional's occupying appointments exclude each other, so of those that hold
# time and began by `start` only the latest can reach beyond it: the index on (organization_id, professional_id,
# scheduled_at) needs no other bound. It stands in a join, because row-level security keeps a condition with a sub-query
# or COALESCE out of the index. timestamptz_send gives microseconds since 2000 as eight bytes, exactly.
CALENDAR_SOURCE: Final = f"""
professionals AS professional
JOIN organizations AS organization ON organization.id = %(tenant)s
CROSS JOIN LATERAL (
    SELECT coalesce(max(reaching.scheduled_at), %(start)s) AS start
      FROM appointments AS reaching
     WHERE reaching.organization_id = %(tenant)s
       AND reaching.professional_id = professional.user_id
       AND reaching.scheduled_at <= %(start)s
       AND {holds_time("reaching")}
) AS latest
CROSS JOIN LATERAL (
    SELECT string_agg(
               timestamptz_send(taken.scheduled_at) || timestamptz_send(taken.occupied_until), ''
               ORDER BY taken.scheduled_at
           ) AS spans
      FROM appointments AS taken
     WHERE taken.organization_id = %(tenant)s
       AND taken.professional_id = professional.user_id
       AND taken.scheduled_at >= latest.start
       AND taken.scheduled_at < %(end)s + make_interval(mins => professional.buffer_minutes)
       AND {holds_time("taken")}
       AND taken.id IS DISTINCT FROM %(moving)s
) AS busy
"""

READ: Final = f"SELECT {CALENDAR_COLUMNS} FROM {CALENDAR_SOURCE} WHERE professional.organization_id = %(tenant)s"
READ_TO_MOVE: Final = READ.replace(CALENDAR_COLUMNS, f"{CALENDAR_COLUMNS}, {MOVING_COLUMNS}", 1)
BY_ID: Final = " AND professional.user_id = ANY(%(ids)s)"
BY_SPECIALIZATION: Final = " AND professional.specialization = %(specialization)s"
IN_ORDER: Final = " ORDER BY professional.user_id"

Stored = TypeVar("Stored")

_blocked_periods: TypeAdapter[list[BlockedPeriod]] = TypeAdapter(BlockedDates)


def read_calendars(
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    moving: int | None = None,
    ids: Sequence[int] | None = None,
    specialization: str | None = None,
) -> list[Calendar]:
    """Read what decides the time of the organization's professionals from `start` to `end`, by one statement.

    Args:
        start, end: moments in UTC, `end` after `start`.
        now: the present, at which overdue holds hold nothing. moving: as for `calendar_values`.
        ids: only professionals with these user ids.
        specialization: only professionals who have exactly this one.

    Returns:
        A calendar for each professional, active or not, by user id.

    Raises:
        TenantNotSetError: no tenant is bound, or the work is privileged.
        InvalidDataError: a moment is too close to the ends of what dates can tell, or what is stored is not a schedule.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("free time needs a tenant; wrap the code in `with db.tenant(...):`")
    sql = READ if moving is None else READ_TO_MOVE
    sql += (BY_ID if ids is not None else "") + (BY_SPECIALIZATION if specialization is not None else "")
    given = calendar_values(start, end, now, moving=moving) | {"ids": ids, "specialization": specialization}
    rows = binding.engine.run_prepared(sql + IN_ORDER, given).fetchall()
    calendars = calendars_of(rows, start, end)
    if moving is None:
        return calendars
    return [_for_moving(calendar, *row[COLUMN_COUNT:]) for calendar, row in zip(calendars, rows, strict=True)]


def _for_moving(calendar: Calendar, is_movable: bool | None, elsewhere: Any) -> Calendar:
    return replace(calendar, elsewhere=_spans(elsewhere) if is_movable else [(calendar.days.start, calendar.days.end)])


def calendar_values(start: datetime, end: datetime, now: datetime, *, moving: int | None = None) -> dict[str, Any]:
    """Give the values that CALENDAR_SOURCE needs, for the bound tenant.

    Args:
        start, end: moments in UTC, `end` after `start`. now: the present.
        moving: id of an appointment that does not stand in the way, because it is the one to be moved.

    Raises:
        InvalidDataError: a moment outside the years 2 to 9998, near which dates of other zones end.
    """
    for field, moment in (("start", start), ("end", end)):
        if not EARLIEST <= moment <= LATEST:
            raise InvalidDataError(field, moment, "must lie in the years 2 to 9998")
    return {"tenant": current().organization_id, "start": start, "end": end, "now": now, "moving": moving}


def calendars_of(rows: Iterable[Sequence[Any]], start: datetime, end: datetime) -> list[Calendar]:
    """Turn rows of CALENDAR_COLUMNS into calendars.

    Args:
        rows: of one organization; columns after the first COLUMN_COUNT are left alone.
        start, end: the moments that the rows were read for.

    Raises:
        InvalidDataError: a stored schedule, or the organization's settings, is none.
    """
    days: LocalDays | None = None
    calendars = []
    for row in rows:
        # One organization, so one zone.
        days = days or LocalDays(ZoneInfo(row[6]), microseconds(start), microseconds(end))
        calendars.append(_calendar_of(row, days))
    return calendars


def _calendar_of(row: Sequence[Any], days: LocalDays) -> Calendar:
    user_id, active, duration, buffer, schedule, blocked, _, settings, spans = row[:COLUMN_COUNT]
    hours, policy = hours_of(user_id, schedule, blocked), _stored_for(user_id, lambda: policy_of(settings))
    return Calendar(
        professional_id=user_id,
        active=active,
        session_duration_minutes=duration,
        buffer_minutes=buffer,
        hours=hours,
        minimum_notice_minutes=policy.minimum_notice_minutes,
        booking_window_days=policy.booking_window_days,
        days=days,
        busy=_spans(spans),
        start_every_minutes=policy.start_every_minutes,
    )


def hours_of(user_id: int, schedule: str, blocked: str) -> WorkingHours:
    """The working hours that are stored for a professional, from their JSON.

    Raises:
        InvalidDataError: what is stored is no schedule, or no list of blocked dates.
    """
    return _stored_for(user_id, lambda: _hours(schedule, blocked))


def _stored_for(user_id: int, read: Callable[[], Stored]) -> Stored:
    try:
        return read()
    except ValidationError as error:
        reason = f"the {error.title} stored for user {user_id} is none: {problems(error)}"
        raise InvalidDataError("professional", user_id, reason) from None


@lru_cache(maxsize=1024)
def _hours(schedule: str, blocked: str) -> WorkingHours:
    return WorkingHours.of(WeeklySchedule.model_validate_json(schedule), _blocked_periods.validate_json(blocked))


@lru_cache(maxsize=256)
def policy_of(settings: str) -> OrganizationSettings:
    """The organization's settings, from their JSON, with the defaults filled in."""
    return OrganizationSettings.model_validate_json(settings)


def _spans(sent: Any) -> list[Span]:
    if sent is None:
        return []
    moments = [at + SERVER_EPOCH for at in struct.unpack(f">{len(sent) // 8}q", sent)]
    return list(zip(moments[::2], moments[1::2], strict=True))
