"""Free slots: reads what decides professionals' time, in one statement, and lists the starts that are free.

Rule it guards: a listed slot can be booked, because booking asks the same calendars the same question; and one
statement answers for any number of professionals and days.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, ReferenceNotFoundError, TenantNotSetError
from rayces_core.fields.jsonb import problems
from rayces_core.fields.schemas import BlockedDates, BlockedPeriod, OrganizationSettings, WeeklySchedule
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import holds_time
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.scheduling.calendar import EARLIEST, LATEST, Calendar, check_duration, listed_starts
from rayces_core.scheduling.elsewhere import MOVING_COLUMNS
from rayces_core.scheduling.wall_clock import EPOCH, MINUTE, LocalDays, Span, WorkingHours, microseconds
from rayces_core.tenancy.scoping import check_reach

LONGEST_RANGE: Final = timedelta(days=366)
NEAR: Final = timedelta(days=7)

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


class Slot(NamedTuple):
    """A session that can be booked: aware moments in UTC, and the id of the professional's user."""

    start: datetime
    end: datetime
    professional_id: int


def free_slots(
    professional: Professional | User | int,
    start: datetime,
    end: datetime,
    *,
    duration_minutes: int | None = None,
    step_minutes: int | None = None,
    moving: Appointment | None = None,
    now: datetime | None = None,
) -> list[Slot]:
    """List the sessions that can be booked with a professional, by one statement.

    Args:
        professional: a Professional, its User, or the user's id.
        start, end: aware moments, at most 366 days apart; a session begins at or after `start` and is over at `end`.
        duration_minutes: length of a session, 15 to 480; without it the professional's own.
        step_minutes: how far apart starts are offered, counted from the start of each window of the weekly schedule by
            the organization's wall clock; without it the duration. Where the setting `start_every_minutes` binds
            families to a grid, from the window's first start on it, in steps of whole grid steps.
        moving: an appointment that is to be moved: it does not stand in its own way, but other sessions of its student
            and client do; a session is as long as it unless `duration_minutes` is given, and its own professional is
            listed even when not active any more. Of one that cannot be moved any more nothing is listed.
        now: the present, aware; without it the clock's.

    Returns:
        Slots, earliest first; none for a professional who is not active. What is listed can be booked by families too;
        with `moving` it is what staff may move that appointment to.

    Raises:
        ReferenceNotFoundError: the organization has no such professional.
        CrossTenantError: the instance is another organization's.
        InvalidDataError: an argument is of the wrong type or outside its bounds, or what is stored is not a schedule.
        NaiveDatetimeError: a datetime without a time zone.
        TenantNotSetError: no tenant is bound.
    """
    listing = _Listing(start, end, duration_minutes, step_minutes, now, moving)
    professional_id = id_of(professional)
    calendars = listing.read(ids=[professional_id])
    if not calendars:
        raise ReferenceNotFoundError(
            f"there is no professional of user {professional_id}; give a Professional, its User, or the user's id",
            table="professionals",
            fields=("user_id",),
        )
    return listing.slots(calendars)


def find_slots(
    start: datetime,
    end: datetime,
    *,
    specialization: str | None = None,
    professionals: Iterable[Professional | User | int] | None = None,
    duration_minutes: int | None = None,
    step_minutes: int | None = None,
    moving: Appointment | None = None,
    now: datetime | None = None,
    limit: int | None = None,
) -> list[Slot]:
    """List the sessions that can be booked with any of many professionals, by one statement.

    Args:
        specialization: only professionals who have exactly this one.
        professionals: only these, as in `free_slots`; those the organization does not have give no slots.
        limit: at most so many slots, the earliest.

    Other arguments as for `free_slots`.

    Returns:
        Slots by start, then by `professional_id`.

    Raises:
        CrossTenantError, InvalidDataError, NaiveDatetimeError, TenantNotSetError: as for `free_slots`.
    """
    listing = _Listing(start, end, duration_minutes, step_minutes, now, moving)
    _check_choice(specialization, limit)
    ids = None if professionals is None else [id_of(professional) for professional in professionals]
    return listing.slots(listing.read(ids=ids, specialization=specialization), limit)


def nearest_slot(
    professional_id: int,
    start: datetime,
    *,
    duration_minutes: int,
    now: datetime,
    moving: int | None = None,
    whatever_state: bool = False,
) -> Slot | None:
    """Find the free slot of a professional that is nearest to a moment; None if there is none within half a year.

    Args:
        moving: id of an appointment that does not stand in the way. whatever_state: also with one who is not active.
    """
    for far in (NEAR, LONGEST_RANGE / 2):
        listing = _Listing(max(now, start - far), start + far, duration_minutes, None, now)
        listing.moving, listing.whatever_state = moving, professional_id if whatever_state else None
        slots = listing.slots(listing.read(ids=[professional_id]))
        if slots:
            return min(slots, key=lambda slot: abs(slot.start - start))
    return None


def _check_choice(specialization: object, limit: object) -> None:
    if specialization is not None and not isinstance(specialization, str):
        raise InvalidDataError("specialization", specialization, f"needs text, got {type(specialization).__name__}")
    if limit is not None and _whole(limit, "limit") < 0:
        raise InvalidDataError("limit", limit, f"{limit} is less than 0")


def id_of(professional: object) -> int:
    """Give the user id of a professional, by which appointments name it.

    Args:
        professional: a Professional, its User, or the user's id.

    Raises:
        CrossTenantError: the instance is another organization's.
        InvalidDataError: neither of these, or an instance that is not saved.
    """
    if isinstance(professional, Professional | User):
        check_reach(professional)
        professional = professional.user_id if isinstance(professional, Professional) else professional.id
    return _whole(professional, "professional")


def _whole(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidDataError(field, value, f"needs a whole number, got {type(value).__name__}")
    return value


class _Listing:
    """What is asked for, checked.

    Attributes: `moving`, id of the appointment to be moved; `whatever_state`, id of a professional who is listed even
    when not active.
    """

    def __init__(
        self, start: object, end: object, duration: object, step: object, now: object, moving: object = None
    ) -> None:
        self.start, self.end = clock.utc(start, "start"), clock.utc(end, "end")
        self._now = clock.now() if now is None else clock.utc(now, "now")
        self.moving: int | None = None
        self.whatever_state: int | None = None
        if moving is not None:
            length = self._take_up(moving)
            duration = length if duration is None else duration
        self._duration = None if duration is None else check_duration(duration)
        self._step = None if step is None else _whole(step, "step_minutes")
        if self.end <= self.start:
            raise InvalidDataError("end", end, "must be after start")
        if self.end - self.start > LONGEST_RANGE:
            raise InvalidDataError("end", end, f"must be at most {LONGEST_RANGE.days} days after start")
        if self._step is not None and self._step < 1:
            raise InvalidDataError("step_minutes", step, f"{step} is less than 1 minute")

    def _take_up(self, moving: object) -> int:
        if not isinstance(moving, Appointment) or moving.id is None:
            raise InvalidDataError("moving", moving, f"needs a saved Appointment, got {type(moving).__name__}")
        check_reach(moving)
        self.moving, self.whatever_state = moving.id, moving.professional_id
        return moving.duration_minutes

    def read(self, **choice: Any) -> list[Calendar]:
        """Read the calendars that are asked for, for one statement."""
        calendars = read_calendars(self.start, self.end, now=self._now, moving=self.moving, **choice)
        return [
            replace(calendar, active=True) if calendar.professional_id == self.whatever_state else calendar
            for calendar in calendars
        ]

    def slots(self, calendars: list[Calendar], limit: int | None = None) -> list[Slot]:
        start, end, now = map(microseconds, (self.start, self.end, self._now))
        found: list[tuple[int, int, int]] = []
        for calendar in calendars:
            minutes = self._duration or calendar.session_duration_minutes
            starts = listed_starts(calendar, minutes, self._step or minutes, start, end, now)[:limit]
            found += [(at, at + minutes * MINUTE, calendar.professional_id) for at in starts]
        # Calendars come by professional, and the sort is stable.
        found.sort(key=itemgetter(0))
        moments = _Moments()
        return [Slot(moments[begins], moments[ends], who) for begins, ends, who in found[:limit]]


class _Moments(dict[int, datetime]):
    """Datetimes by microseconds since 1970, each made once."""

    def __missing__(self, at: int) -> datetime:
        self[at] = moment = EPOCH + timedelta(microseconds=at)
        return moment


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
