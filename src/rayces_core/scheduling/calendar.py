"""At which moments a professional can be booked: the one decision that listing and booking share.

Rule it guards: what `allowed_starts` leaves out cannot be booked and is not listed, what it gives can be and is. It
reads no database and no clock. Moments are whole microseconds since 1970 in UTC; wall clocks are the organization's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from rayces_core.errors import InvalidDataError
from rayces_core.scheduling.wall_clock import EPOCH, MINUTE, LocalDays, Span, WorkingHours, microseconds

SHORTEST_MINUTES: Final = 15
LONGEST_MINUTES: Final = 480
# Offsets and windows reach beyond a stretch by less than this; wall clocks outside the years 1 to 9999 do not exist.
EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Refusal(StrEnum):
    """Why a session cannot begin at a moment; of several reasons the first one is given."""

    INACTIVE = "inactive"
    TOO_SOON = "too_soon"
    BEYOND_WINDOW = "beyond_window"
    CLOSED_DAY = "closed_day"
    BLOCKED_DATE = "blocked_date"
    BUSY_ELSEWHERE = "busy_elsewhere"
    RESOURCE_BLOCKED = "resource_blocked"
    OUTSIDE_SCHEDULE = "outside_schedule"
    TAKEN = "taken"
    BESIDE = "beside"


@dataclass(frozen=True, slots=True)
class SetAside:
    """Which rules are set aside, one by one; the past and what is taken stay so."""

    schedule: bool = False
    blocked: bool = False
    window: bool = False
    notice: bool = False


NOTHING: Final = SetAside()


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody or something that a session holds besides its professional.

    Attributes: `id`, of the second professional's user or of the resource; `busy`, in order, as of a Calendar; `hours`,
    of a professional, and of a resource that has blocked dates; `unfit`, why it cannot be had at any time; `version`,
    of its row, and `meets_overdue`, as of what is booked (`facts.Facts`); `is_resource`, a room or a device.
    """

    id: int
    busy: Sequence[Span] = ()
    hours: WorkingHours | None = None
    unfit: str | None = None
    version: str = ""
    meets_overdue: bool = False
    is_resource: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """What a session needs besides its professional: `any_of` these, the first one that is free.

    Attributes: `column`, by which the session names it; `features`, what was asked for where it was not one by its id;
    `own`, the id of the one that the session has already.
    """

    column: str
    any_of: Sequence[Held]
    features: tuple[str, ...] = ()
    own: int | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """What one professional's time is decided by.

    Attributes: `professional_id`, the id of the professional's user; `days`, the stretch of time that is known of;
    `busy`, the spans that appointments occupy, buffers included, in order and without overlap: all that reach into it,
    or into the buffer before a session that begins with it;
    `start_every_minutes`, the grid that families are bound to, or None; `elsewhere`, spans in order, in which the
    student or the client of an appointment that is to be moved cannot come: they may overlap, and need no buffer;
    `needs`, what a session needs besides, for as long as it needs the professional; `room_features`, those that the
    service asks for.
    """

    professional_id: int
    active: bool
    session_duration_minutes: int
    buffer_minutes: int
    hours: WorkingHours
    minimum_notice_minutes: int
    booking_window_days: int
    days: LocalDays
    busy: Sequence[Span] = ()
    start_every_minutes: int | None = None
    elsewhere: Sequence[Span] = ()
    buffer_before_minutes: int = 0
    needs: Sequence[Need] = ()
    room_features: tuple[str, ...] = ()

    @property
    def every(self) -> int | None:
        """The families' grid in microseconds."""
        return None if self.start_every_minutes is None else self.start_every_minutes * MINUTE


def allowed_starts(
    calendar: Calendar, duration_minutes: int, start: int, end: int, now: int, *, aside: SetAside = NOTHING
) -> list[Span]:
    """Find the moments at which a session can begin that lies between `start` and `end`.

    Args:
        calendar: whose time; it must know of all the time from `start` to `end`.
        duration_minutes: how long the session is; the buffers before and after are added here.
        start, end: microseconds since 1970; the session begins at or after `start` and is over at `end`.
        now: the present moment in microseconds since 1970.
        aside: the rules that do not count; what is past, inactive or taken stays so.

    Returns:
        Ranges of moments, (first, last), both allowed, in order.

    Raises:
        InvalidDataError: the calendar does not know of all that time.
    """
    if not calendar.days.start <= start <= end <= calendar.days.end:
        raise InvalidDataError("start", start, "the calendar was read for another stretch of time")
    if not calendar.active or not SHORTEST_MINUTES <= duration_minutes <= LONGEST_MINUTES:
        return []
    duration = duration_minutes * MINUTE
    earliest, latest = _bookable_between(calendar, now, aside)
    first, last = max(start, earliest), end - duration if latest is None else min(end - duration, latest)
    worked = _worked(calendar, aside)
    fitting = ((max(opens, first), min(closes - duration, last)) for opens, closes in worked)
    before, after = calendar.buffer_before_minutes * MINUTE, calendar.buffer_minutes * MINUTE
    free = _common(fitting, _gaps(calendar.busy, duration + after, first, last, before))
    if calendar.elsewhere:
        free = _common(free, _gaps(calendar.elsewhere, duration, first, last))
    for need in calendar.needs:
        free = _common(
            free, _united(_starts_with(calendar, held, duration, first, last, aside) for held in need.any_of)
        )
    return free


def _starts_with(calendar: Calendar, held: Held, duration: int, first: int, last: int, aside: SetAside) -> list[Span]:
    """Ranges of starts, both ends in, at which it can be had; the session's buffers are kept free there too."""
    if held.unfit is not None:
        return []
    before, after = calendar.buffer_before_minutes * MINUTE, calendar.buffer_minutes * MINUTE
    free = _common(_gaps(held.busy, duration + after, first, last, before), [(first, last)])
    if held.hours is None:
        return free
    return _common(free, ((opens, closes - duration) for opens, closes in _worked(calendar, aside, held.hours)))


def _united(several: Iterable[list[Span]]) -> list[Span]:
    """What lies in any of some series of ranges, both ends in."""
    united: list[Span] = []
    for first, last in sorted(each for ranges in several for each in ranges):
        if united and first <= united[-1][1]:
            united[-1] = united[-1][0], max(last, united[-1][1])
        else:
            united.append((first, last))
    return united


def _worked(calendar: Calendar, aside: SetAside, hours: WorkingHours | None = None) -> list[Span]:
    hours = hours or calendar.hours
    if aside.schedule or aside.blocked:
        hours = hours.without(schedule=aside.schedule, blocked=aside.blocked)
    return calendar.days.working_time(hours)


def _bookable_between(calendar: Calendar, now: int, aside: SetAside) -> tuple[int, int | None]:
    notice = 0 if aside.notice else calendar.minimum_notice_minutes
    latest = None if aside.window else calendar.days.end_of_window(now, calendar.booking_window_days)
    return max(now + 1, now + notice * MINUTE), latest


def _gaps(busy: Sequence[Span], needed: int, first: int, last: int, before: int = 0) -> Iterator[Span]:
    """Ranges of starts, both ends in, from which what needs so much time meets nothing, nor before; some are empty."""
    free_from = first
    for begins, ends in busy:
        yield free_from, begins - needed
        free_from = max(free_from, ends + before)
    yield free_from, last


def _common(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What lies in two ordered series of ranges, both ends in."""
    common: list[Span] = []
    one, other = iter(some), iter(others)
    mine, theirs = next(one, None), next(other, None)
    while mine is not None and theirs is not None:
        first, last = max(mine[0], theirs[0]), min(mine[1], theirs[1])
        if first <= last:
            common.append((first, last))
        if mine[1] <= theirs[1]:
            mine = next(one, None)
        else:
            theirs = next(other, None)
    return common


def listed_starts(
    calendar: Calendar, duration_minutes: int, step_minutes: int, start: int, end: int, now: int
) -> list[int]:
    """Find those of the `allowed_starts` that lie on the grid of the working hours' windows, and on the families' one.

    Args:
        step_minutes: how far apart starts are offered, from each window's start by the wall clock.

    Other arguments and errors as for `allowed_starts`.

    Returns:
        Moments in microseconds since 1970, in order.
    """
    grid = calendar.days.grid(calendar.hours, step_minutes * MINUTE, calendar.every)
    starts: list[int] = []
    for first, last in allowed_starts(calendar, duration_minutes, start, end, now):
        starts += grid[bisect_left(grid, first) : bisect_right(grid, last)]
    return starts


def refusal(
    calendar: Calendar, start: datetime, duration_minutes: int, *, now: datetime, aside: SetAside = NOTHING
) -> Refusal | None:
    """Say why a session cannot begin at a moment, or None if it can: exactly when `allowed_starts` has the moment.

    Args:
        calendar: whose time; it must know of all the session.
        start: aware moment at which the session would begin.
        duration_minutes: how long the session is, without buffer, 15 to 480.
        now: aware present moment.
        aside: as for `allowed_starts`.

    Raises:
        InvalidDataError: the duration is not one of a session, or the calendar does not know of all of it.
    """
    check_duration(duration_minutes)
    begins, present = microseconds(start), microseconds(now)
    ends = begins + duration_minutes * MINUTE
    if allowed_starts(calendar, duration_minutes, begins, ends, present, aside=aside):
        return None
    return _reason(calendar, begins, ends, present, aside)


def _reason(calendar: Calendar, begins: int, ends: int, now: int, aside: SetAside) -> Refusal:
    earliest, latest = _bookable_between(calendar, now, aside)
    if not calendar.active:
        return Refusal.INACTIVE
    if begins < earliest:
        return Refusal.TOO_SOON
    if latest is not None and begins > latest:
        return Refusal.BEYOND_WINDOW
    if not aside.blocked and calendar.days.touches_closed(calendar.hours, begins, ends):
        return Refusal.CLOSED_DAY
    if not aside.blocked and calendar.days.touches_blocked(calendar.hours, begins, ends):
        return Refusal.BLOCKED_DATE
    if not aside.blocked and calendar.days.touches_elsewhere(calendar.hours, begins, ends):
        return Refusal.BUSY_ELSEWHERE
    if not _is_inside(calendar, calendar.hours, begins, ends, aside):
        return Refusal.OUTSIDE_SCHEDULE
    alone = replace(calendar, needs=())
    minutes = (ends - begins) // MINUTE
    return Refusal.BESIDE if allowed_starts(alone, minutes, begins, ends, now, aside=aside) else Refusal.TAKEN


def _is_inside(calendar: Calendar, hours: WorkingHours, begins: int, ends: int, aside: SetAside) -> bool:
    return any(opens <= begins and ends <= closes for opens, closes in _worked(calendar, aside, hours))


def chosen(
    calendar: Calendar, need: Need, start: datetime, duration_minutes: int, aside: SetAside = NOTHING
) -> list[Held]:
    """Those that can be had for a session that begins at a moment, in order; none where the need cannot be met."""
    at, duration = microseconds(start), duration_minutes * MINUTE
    return [held for held in need.any_of if _starts_with(calendar, held, duration, at, at, aside)]


def refusal_of(
    calendar: Calendar, held: Held, start: datetime, duration_minutes: int, aside: SetAside = NOTHING
) -> Refusal:
    """Say why what a session needs besides cannot be had, where `chosen` does not have it."""
    begins = microseconds(start)
    ends = begins + duration_minutes * MINUTE
    if held.unfit is not None:
        return Refusal.INACTIVE
    if held.hours is None:
        return Refusal.TAKEN
    if not aside.blocked and calendar.days.touches_blocked(held.hours, begins, ends):
        return Refusal.RESOURCE_BLOCKED if held.is_resource else Refusal.BLOCKED_DATE
    if not aside.blocked and calendar.days.touches_elsewhere(held.hours, begins, ends):
        return Refusal.BUSY_ELSEWHERE
    return Refusal.TAKEN if _is_inside(calendar, held.hours, begins, ends, aside) else Refusal.OUTSIDE_SCHEDULE


def check_duration(minutes: object, field: str = "duration_minutes") -> int:
    """Give `minutes` back if a session can be that long; raises `InvalidDataError` otherwise, naming `field`."""
    if not isinstance(minutes, int):
        raise InvalidDataError(field, minutes, f"needs whole minutes, got {type(minutes).__name__}")
    if not SHORTEST_MINUTES <= minutes <= LONGEST_MINUTES:
        raise InvalidDataError(
            field, minutes, f"{minutes} is not within {SHORTEST_MINUTES} to {LONGEST_MINUTES} minutes"
        )
    return minutes


def earliest_start(calendar: Calendar, now: datetime, aside: SetAside = NOTHING) -> datetime:
    """Give the first whole minute that notice and the present moment allow."""
    earliest, _ = _bookable_between(calendar, microseconds(now), aside)
    return EPOCH + timedelta(microseconds=-(-earliest // MINUTE) * MINUTE)


def latest_start(calendar: Calendar, now: datetime) -> datetime:
    """Give the last whole minute that the booking window allows."""
    latest = calendar.days.end_of_window(microseconds(now), calendar.booking_window_days)
    return EPOCH + timedelta(microseconds=latest // MINUTE * MINUTE)
