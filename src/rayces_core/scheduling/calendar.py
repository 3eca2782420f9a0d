"""At which moments a professional can be booked: the one decision that listing and booking share.

Rule it guards: what `allowed_starts` leaves out cannot be booked and is not listed, what it gives can be and is. It
reads no database and no clock. Moments are whole microseconds since 1970 in UTC; wall clocks are the organization's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from rayces_core.errors import InvalidDataError
from rayces_core.fields.schemas import WEEKDAYS, BlockedPeriod, WeeklySchedule

Span = tuple[int, int]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE
EPOCH_ORDINAL: Final = EPOCH.toordinal()
EPOCH_WEEKDAY: Final = EPOCH.weekday()
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
    BLOCKED_DATE = "blocked_date"
    OUTSIDE_SCHEDULE = "outside_schedule"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """A weekly schedule and the blocked dates, as numbers.

    Attributes: `week`, for Monday to Sunday the windows in microseconds from midnight, (start, end), the end outside;
    `blocked`, (first, last) in days since 1970-01-01, both blocked.
    """

    week: tuple[tuple[Span, ...], ...]
    blocked: tuple[Span, ...] = ()

    @classmethod
    def of(cls, schedule: WeeklySchedule, blocked: Iterable[BlockedPeriod] = ()) -> WorkingHours:
        """Give the numbers of a professional's schedule and blocked dates."""
        week = tuple(
            tuple((window.start_minute * MINUTE, window.end_minute * MINUTE) for window in getattr(schedule, weekday))
            for weekday in WEEKDAYS
        )
        return cls(week, tuple((_day_number(period.start), _day_number(period.end)) for period in blocked))


def _day_number(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of UTC in which the wall clock runs evenly: it shows UTC plus `offset`."""

    start: int
    end: int
    offset: int

    def days(self, start: int, end: int) -> range:
        """Give the local days, counted from 1970-01-01, that `start` to `end` has within the piece."""
        start, end = max(start, self.start), min(end, self.end)
        return range((start + self.offset) // DAY, (end + self.offset - 1) // DAY + 1) if start < end else range(0)


class LocalDays:
    """A stretch of time as the wall clocks of one zone show it.

    Professionals of a call share one, so a change of the clock is looked for once, and working time and grid are worked
    out once for those with the same working hours.
    """

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        self.zone, self.start, self.end = zone, start, end
        self.pieces = list(_pieces(zone, start, end))
        self._working_time: dict[WorkingHours, list[Span]] = {}
        self._grids: dict[tuple[WorkingHours, int], list[int]] = {}

    def working_time(self, hours: WorkingHours) -> list[Span]:
        """Give the spans in which the wall clock shows working hours; what touches is one span."""
        known = self._working_time.get(hours)
        if known is None:
            known = self._working_time[hours] = _joined(self._windows(hours))
        return known

    def grid(self, hours: WorkingHours, step: int) -> list[int]:
        """Give the moments at which the wall clock shows a window's start or whole `step`s after it, in that window."""
        known = self._grids.get((hours, step))
        if known is None:
            known = self._grids[hours, step] = list(self._steps(hours, step))
        return known

    def touches_blocked(self, hours: WorkingHours, start: int, end: int) -> bool:
        """Say whether any moment from `start` to `end`, the end not, lies on a blocked date."""
        days = (day for piece in self.pieces for day in piece.days(start, end))
        return any(first <= day <= last for day in days for first, last in hours.blocked)

    def _windows(self, hours: WorkingHours) -> Iterator[Span]:
        for piece, opens, closes in self._windows_by_piece(hours):
            yield max(opens, piece.start), min(closes, piece.end)

    def _steps(self, hours: WorkingHours, step: int) -> Iterator[int]:
        for piece, opens, closes in self._windows_by_piece(hours):
            # The wall clock is the anchor: a window that began before the piece keeps its own steps.
            missed = max(0, -((opens - piece.start) // step))
            yield from range(opens + missed * step, min(closes, piece.end), step)

    def _windows_by_piece(self, hours: WorkingHours) -> Iterator[tuple[Piece, int, int]]:
        blocked = self._blocked_days(hours)
        for piece in self.pieces:
            for day in piece.days(self.start, self.end):
                midnight = day * DAY - piece.offset
                for opens, closes in () if day in blocked else hours.week[(day + EPOCH_WEEKDAY) % 7]:
                    yield piece, midnight + opens, midnight + closes

    def _blocked_days(self, hours: WorkingHours) -> set[int]:
        earliest, latest = self.start // DAY - 1, self.end // DAY + 1
        return {day for first, last in hours.blocked for day in range(max(first, earliest), min(last, latest) + 1)}


def _pieces(zone: ZoneInfo, start: int, end: int) -> Iterator[Piece]:
    begin, offset, last = start, _offset(zone, start // SECOND), (end - 1) // SECOND
    # A look a day is enough: no zone has ever changed its offset and changed it again within six days.
    for sample in (*range(start // SECOND, last, DAY // SECOND), last):
        if _offset(zone, sample) != offset:
            change = _first_change(zone, sample - DAY // SECOND, sample) * SECOND
            yield Piece(begin, change, offset * SECOND)
            begin, offset = change, _offset(zone, sample)
    yield Piece(begin, end, offset * SECOND)


def _first_change(zone: ZoneInfo, before: int, after: int) -> int:
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(seconds=1)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if start >= end:
            continue
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


@dataclass(frozen=True, slots=True)
class Calendar:
    """What one professional's time is decided by.

    Attributes: `professional_id`, the id of the professional's user; `days`, the stretch of time that is known of;
    `busy`, the spans that appointments occupy, buffers included, in order and without overlap: all that reach into it.
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


def allowed_starts(
    calendar: Calendar, duration_minutes: int, start: int, end: int, now: int, *, ignore_schedule: bool = False
) -> list[Span]:
    """Find the moments at which a session can begin that lies between `start` and `end`.

    Args:
        calendar: whose time; it must know of all the time from `start` to `end`.
        duration_minutes: how long the session is; the professional's buffer is added here.
        start, end: microseconds since 1970; the session begins at or after `start` and is over at `end`.
        now: the present moment in microseconds since 1970.
        ignore_schedule: drops blocked dates, weekly schedule, minimum notice and booking window; what is past, inactive
            or taken stays so.

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
    earliest, latest = _bookable_between(calendar, now, ignore_schedule=ignore_schedule)
    first, last = max(start, earliest), end - duration if latest is None else min(end - duration, latest)
    worked = [(start, end)] if ignore_schedule else calendar.days.working_time(calendar.hours)
    fitting = ((max(opens, first), min(closes - duration, last)) for opens, closes in worked)
    return _common(fitting, _gaps(calendar, duration, first, last))


def _bookable_between(calendar: Calendar, now: int, *, ignore_schedule: bool) -> tuple[int, int | None]:
    if ignore_schedule:
        return now + 1, None
    earliest = max(now + 1, now + calendar.minimum_notice_minutes * MINUTE)
    return earliest, now + calendar.booking_window_days * DAY


def _gaps(calendar: Calendar, duration: int, first: int, last: int) -> Iterator[Span]:
    """Ranges of starts, both ends in, from which a session and its buffer meet nothing; some are empty."""
    needed, free_from = duration + calendar.buffer_minutes * MINUTE, first
    for begins, ends in calendar.busy:
        yield free_from, begins - needed
        free_from = ends
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
    """Find those of the `allowed_starts` that lie on the grid of the working hours' windows.

    Args:
        step_minutes: how far apart starts are offered, from each window's start by the wall clock.

    Other arguments and errors as for `allowed_starts`.

    Returns:
        Moments in microseconds since 1970, in order.
    """
    grid = calendar.days.grid(calendar.hours, step_minutes * MINUTE)
    starts: list[int] = []
    for first, last in allowed_starts(calendar, duration_minutes, start, end, now):
        starts += grid[bisect_left(grid, first) : bisect_right(grid, last)]
    return starts


def refusal(
    calendar: Calendar, start: datetime, duration_minutes: int, *, now: datetime, ignore_schedule: bool = False
) -> Refusal | None:
    """Say why a session cannot begin at a moment, or None if it can: exactly when `allowed_starts` has the moment.

    Args:
        calendar: whose time; it must know of all the session.
        start: aware moment at which the session would begin.
        duration_minutes: how long the session is, without buffer, 15 to 480.
        now: aware present moment.
        ignore_schedule: as for `allowed_starts`.

    Raises:
        InvalidDataError: the duration is not one of a session, or the calendar does not know of all of it.
    """
    check_duration(duration_minutes)
    begins, present = microseconds(start), microseconds(now)
    ends = begins + duration_minutes * MINUTE
    if allowed_starts(calendar, duration_minutes, begins, ends, present, ignore_schedule=ignore_schedule):
        return None
    return _reason(calendar, begins, ends, present, ignore_schedule=ignore_schedule)


def _reason(calendar: Calendar, begins: int, ends: int, now: int, *, ignore_schedule: bool) -> Refusal:
    earliest, latest = _bookable_between(calendar, now, ignore_schedule=ignore_schedule)
    if not calendar.active:
        return Refusal.INACTIVE
    if begins < earliest:
        return Refusal.TOO_SOON
    if latest is not None and begins > latest:
        return Refusal.BEYOND_WINDOW
    if ignore_schedule:
        return Refusal.TAKEN
    if calendar.days.touches_blocked(calendar.hours, begins, ends):
        return Refusal.BLOCKED_DATE
    worked = calendar.days.working_time(calendar.hours)
    inside = any(opens <= begins and ends <= closes for opens, closes in worked)
    return Refusal.TAKEN if inside else Refusal.OUTSIDE_SCHEDULE


def check_duration(minutes: object, field: str = "duration_minutes") -> int:
    """Give `minutes` back if a session can be that long; raises `InvalidDataError` otherwise, naming `field`."""
    if not isinstance(minutes, int):
        raise InvalidDataError(field, minutes, f"needs whole minutes, got {type(minutes).__name__}")
    if not SHORTEST_MINUTES <= minutes <= LONGEST_MINUTES:
        raise InvalidDataError(
            field, minutes, f"{minutes} is not within {SHORTEST_MINUTES} to {LONGEST_MINUTES} minutes"
        )
    return minutes


def microseconds(moment: datetime) -> int:
    """Give an aware datetime as microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND
