"""The calendars of professionals: what decides their time, read in one statement for any number of them and of days."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import (
    BlockedDates,
    BlockedPeriod,
    DatedSchedule,
    DatedSchedules,
    DateOverride,
    DateOverrides,
    OrganizationSettings,
    WeeklySchedule,
)
from rayces_core.models.appointment_time import holds_time
from rayces_core.scheduling.calendar import EARLIEST, LATEST, Calendar
from rayces_core.scheduling.elsewhere import MOVING_COLUMNS
from rayces_core.scheduling.services import Booked, check_found
from rayces_core.scheduling.terms import COLUMN_COUNT as SERVICE_COLUMN_COUNT
from rayces_core.scheduling.terms import OF_SERVICE, OWN, Terms
from rayces_core.scheduling.wall_clock import ALL_HOURS, LocalDays, Span, WorkingHours, merged, microseconds

# The zero of PostgreSQL's timestamps, in microseconds since 1970.
SERVER_EPOCH: Final = 946_684_800_000_000

# How long before its start a session may need the professional, at most.
LONGEST_BEFORE: Final = 1440
COLUMN_COUNT: Final = 14


# What working hours are made of, as `hours_of` takes them. A local day is at most one off the day in UTC.
HOURS: Final = """professional.weekly_schedule::text, professional.blocked_dates::text,
professional.dated_schedules::text, professional.date_overrides::text,
(SELECT string_agg((closed.day - DATE '1970-01-01')::text, ',' ORDER BY closed.day) FROM closed_days AS closed
  WHERE closed.organization_id = %(tenant)s AND NOT closed.is_open
    AND closed.day BETWEEN (%(start)s AT TIME ZONE 'UTC')::date - 1 AND (%(end)s AT TIME ZONE 'UTC')::date + 1),
(SELECT string_agg(timestamptz_send(outside.begins_at) || timestamptz_send(outside.ends_at), ''
                   ORDER BY outside.begins_at)
   FROM outside_busy AS outside
  WHERE outside.organization_id = %(tenant)s AND outside.professional_id = professional.user_id
    AND outside.ends_at > %(start)s AND outside.begins_at < %(end)s)"""


def calendar_columns(terms: Terms) -> str:
    """The columns that a calendar is made of, COLUMN_COUNT in number."""
    return f"""
professional.user_id, professional.active, {terms.minutes}, {terms.before}, {terms.after},
{HOURS}, organization.time_zone, organization.settings::text, busy.spans
"""


# Values: those of calendar_values(). A professional's occupying appointments exclude each other, so of those that hold
# time and began by `start` only the latest can reach beyond it: the index on (organization_id, professional_id,
# scheduled_at) needs no other bound. It stands in a join, because row-level security keeps a condition with a sub-query
# or COALESCE out of the index. A group session has its time once, attended or not: its appointments add none.
# Those in which somebody is the second professional are few.
# timestamptz_send gives microseconds since 2000 as eight bytes, exactly.
def calendar_source(terms: Terms, joined: str = "") -> str:
    """What the columns come from, after what is `joined` and what the terms need."""
    since = f"%(start)s - make_interval(mins => {terms.before})"
    return f"""
professionals AS professional
JOIN organizations AS organization ON organization.id = %(tenant)s {joined} {terms.joined}
CROSS JOIN LATERAL (
    SELECT coalesce(max(reaching.scheduled_at), {since}) AS start
      FROM appointments AS reaching
     WHERE reaching.organization_id = %(tenant)s
       AND reaching.professional_id = professional.user_id
       AND reaching.scheduled_at <= {since}
       AND {holds_time("reaching")}
) AS latest
CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(span.begins) || timestamptz_send(span.ends), '' ORDER BY span.begins) AS spans
      FROM (
        SELECT taken.occupied_from AS begins, taken.occupied_until AS ends
          FROM appointments AS taken
         WHERE taken.organization_id = %(tenant)s
           AND taken.professional_id = professional.user_id
           AND taken.scheduled_at >= latest.start
           AND taken.scheduled_at < %(end)s + make_interval(mins => {terms.after} + {LONGEST_BEFORE})
           AND taken.occupied_from < %(end)s + make_interval(mins => {terms.after})
           AND taken.group_session_id IS NULL
           AND {holds_time("taken")}
           AND taken.id IS DISTINCT FROM %(moving)s
         UNION ALL
        SELECT beside.occupied_from, beside.occupied_until
          FROM appointments AS beside
         WHERE beside.organization_id = %(tenant)s
           AND beside.second_professional_id = professional.user_id
           AND beside.scheduled_at > {since} - interval '32 hours'
           AND beside.scheduled_at < %(end)s + make_interval(mins => {terms.after} + {LONGEST_BEFORE})
           AND beside.group_session_id IS NULL
           AND {holds_time("beside")}
           AND beside.id IS DISTINCT FROM %(moving)s
         UNION ALL
        {_held_by_groups("professional_id", since, terms)}
         UNION ALL
        {_held_by_groups("second_professional_id", since, terms)}
      ) AS span
) AS busy
"""


def _held_by_groups(column: str, since: str, terms: Terms) -> str:
    return f"""SELECT held.scheduled_at, held.occupied_until
          FROM group_sessions AS held
         WHERE held.organization_id = %(tenant)s
           AND held.{column} = professional.user_id
           AND held.scheduled_at > {since} - interval '32 hours'
           AND held.scheduled_at < %(end)s + make_interval(mins => {terms.after})
           AND held.state = 'open'
           AND held.id IS DISTINCT FROM %(group)s"""


def _reading(terms: Terms, further: str) -> str:
    columns = f"{calendar_columns(terms)}, {terms.columns}{further}"
    return f"SELECT {columns} FROM {calendar_source(terms)} WHERE professional.organization_id = %(tenant)s"


# By whether there is a service, and whether an appointment is to be moved.
READINGS: Final = {
    (of_service, moving): _reading(OF_SERVICE if of_service else OWN, f", {MOVING_COLUMNS}" if moving else "")
    for of_service in (False, True)
    for moving in (False, True)
}
READ: Final = READINGS[False, False]
BY_ID: Final = " AND professional.user_id = ANY(%(ids)s)"
# Of those who are not asked for by name; where there is no such service, somebody has to say so.
WHO_GIVE_IT: Final = " AND (giving.id IS NOT NULL OR service.id IS NULL)"
BY_SPECIALIZATION: Final = " AND professional.specialization = %(specialization)s"
IN_ORDER: Final = " ORDER BY professional.user_id"

Stored = TypeVar("Stored")

_blocked_periods: TypeAdapter[list[BlockedPeriod]] = TypeAdapter(BlockedDates)
_dated_schedules: TypeAdapter[list[DatedSchedule]] = TypeAdapter(DatedSchedules)
_date_overrides: TypeAdapter[list[DateOverride]] = TypeAdapter(DateOverrides)


def reading() -> AbstractContextManager[Any]:
    """For reads that follow each other: one unit of work where the tenant is a message of its own for each unit."""
    binding = current()
    engine = binding.engine
    is_shorter = engine.kind.binds_apart and not binding.privileged and not engine.session.in_transaction
    return engine.atomic() if is_shorter else nullcontext()


def read_calendars(
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    moving: int | None = None,
    service: int | None = None,
    ids: Sequence[int] | None = None,
    specialization: str | None = None,
) -> list[Calendar]:
    """Read what decides the time of the organization's professionals from `start` to `end`, by one statement.

    Args:
        start, end: moments in UTC, `end` after `start`.
        now: the present, at which overdue holds hold nothing. moving: as for `calendar_values`.
        service: id of the service that is to be given: lengths and buffers are then of it, and whoever does not give
            it, or all where it is not offered, are as if not active. One that is moved is offered all the same.
        ids: only professionals with these user ids.
        specialization: only professionals who have exactly this one.

    Returns:
        A calendar for each professional, active or not, by user id.

    Raises:
        TenantNotSetError: no tenant is bound, or the work is privileged.
        ReferenceNotFoundError: there is no such service.
        InvalidDataError: a moment is too close to the ends of what dates can tell, or what is stored is not a schedule.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("free time needs a tenant; wrap the code in `with db.tenant(...):`")
    sql = READINGS[service is not None, moving is not None]
    sql += (BY_ID if ids is not None else "") + (BY_SPECIALIZATION if specialization is not None else "")
    sql += WHO_GIVE_IT if service is not None and moving is None and ids is None else ""
    further = {"ids": ids, "specialization": specialization, "service": service}
    given = calendar_values(start, end, now, moving=moving) | further
    rows = binding.engine.run_prepared(sql + IN_ORDER, given).fetchall()
    calendars = calendars_of(rows, start, end)
    if service is not None:
        calendars = [_for_service(each, row, service, moving) for each, row in zip(calendars, rows, strict=True)]
    if moving is None:
        return calendars
    return [_for_moving(each, *row[-2:]) for each, row in zip(calendars, rows, strict=True)]


def _for_service(calendar: Calendar, row: Sequence[Any], wanted: int, moving: int | None) -> Calendar:
    service = Booked.of(row[COLUMN_COUNT : COLUMN_COUNT + SERVICE_COLUMN_COUNT])
    check_found(wanted, service)
    is_given = service is not None and service.giving_version is not None and (service.active or moving is not None)
    needed = () if service is None else service.room_features
    return replace(calendar, active=calendar.active and is_given, room_features=needed)


def _for_moving(calendar: Calendar, is_movable: bool | None, elsewhere: Any) -> Calendar:
    return replace(calendar, elsewhere=spans(elsewhere) if is_movable else [(calendar.days.start, calendar.days.end)])


def calendar_values(
    start: datetime, end: datetime, now: datetime, *, moving: int | None = None, group: int | None = None
) -> dict[str, Any]:
    """Give the values that `calendar_source` needs, for the bound tenant.

    Args:
        start, end: moments in UTC, `end` after `start`. now: the present.
        moving: id of an appointment that does not stand in the way, because it is the one to be moved.
        group: id of a group session that does not, because it is attended or moved.

    Raises:
        InvalidDataError: a moment outside the years 2 to 9998, near which dates of other zones end.
    """
    for field, moment in (("start", start), ("end", end)):
        if not EARLIEST <= moment <= LATEST:
            raise InvalidDataError(field, moment, "must lie in the years 2 to 9998")
    period = {"start": start, "end": end, "now": now}
    return {"tenant": current().organization_id, "moving": moving, "group": group, **period}


def calendars_of(rows: Iterable[Sequence[Any]], start: datetime, end: datetime) -> list[Calendar]:
    """Turn rows of `calendar_columns` into calendars.

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
        days = days or LocalDays(ZoneInfo(row[11]), microseconds(start), microseconds(end))
        calendars.append(_calendar_of(row, days))
    return calendars


def _calendar_of(row: Sequence[Any], days: LocalDays) -> Calendar:
    user_id, active, duration, before, after, *stored, _, settings, busy = row[:COLUMN_COUNT]
    hours, policy = hours_of(user_id, *stored), _stored_for(user_id, lambda: policy_of(settings))
    return Calendar(
        professional_id=user_id,
        active=active,
        session_duration_minutes=duration,
        buffer_minutes=after,
        buffer_before_minutes=before,
        hours=hours,
        minimum_notice_minutes=policy.minimum_notice_minutes,
        booking_window_days=policy.booking_window_days,
        days=days,
        busy=spans(busy),
        start_every_minutes=policy.start_every_minutes,
    )


def hours_of(
    user_id: int,
    schedule: str,
    blocked: str,
    dated: str,
    overrides: str,
    closed: str | None,
    elsewhere: Any = None,
) -> WorkingHours:
    """The working hours that are stored for a professional, from their JSON, and when there are none after all.

    `closed` are the days on which the organization is, `elsewhere` what calendars elsewhere say, as it was sent.

    Raises:
        InvalidDataError: what is stored is no schedule, or no list of blocked dates, dated schedules or overrides.
    """
    hours = _stored_for(user_id, lambda: _hours(schedule, blocked, dated, overrides))
    hours = replace(hours, closed=_closed(closed)) if closed else hours
    return replace(hours, elsewhere=tuple(merged(spans(elsewhere)))) if elsewhere else hours


def _stored_for(user_id: int, read: Callable[[], Stored]) -> Stored:
    try:
        return read()
    except ValidationError as error:
        reason = f"the {error.title} stored for user {user_id} is none: {problems(error)}"
        raise InvalidDataError("professional", user_id, reason) from None


@lru_cache(maxsize=1024)
def _hours(schedule: str, blocked: str, dated: str, overrides: str) -> WorkingHours:
    return WorkingHours.of(
        WeeklySchedule.model_validate_json(schedule),
        _blocked_periods.validate_json(blocked),
        _dated_schedules.validate_json(dated),
        _date_overrides.validate_json(overrides),
    )


@lru_cache(maxsize=256)
def hours_but(blocked: str) -> WorkingHours | None:
    """All hours but those of blocked dates, from their JSON; None where there is no such date."""
    periods = _blocked_periods.validate_json(blocked)
    return replace(WorkingHours.of(WeeklySchedule(), periods), week=ALL_HOURS) if periods else None


@lru_cache(maxsize=256)
def _closed(days: str) -> tuple[int, ...]:
    return tuple(map(int, days.split(",")))


@lru_cache(maxsize=256)
def policy_of(settings: str) -> OrganizationSettings:
    """The organization's settings, from their JSON, with the defaults filled in."""
    return OrganizationSettings.model_validate_json(settings)


def spans(sent: Any) -> list[Span]:
    """The spans that a statement sent as moments, each as timestamptz_send gives it."""
    if sent is None:
        return []
    moments = [at + SERVER_EPOCH for at in struct.unpack(f">{len(sent) // 8}q", sent)]
    return list(zip(moments[::2], moments[1::2], strict=True))
