"""Wall clocks: which moments a stretch of time has as the clocks of one zone show it, and the working hours in it.

It reads no database and no clock. Moments are whole microseconds since 1970 in UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Final
from zoneinfo import ZoneInfo

from rayces_core.fields.schemas import WEEKDAYS, BlockedPeriod, DatedSchedule, DateOverride, TimeWindow, WeeklySchedule

Span = tuple[int, int]
Windows = tuple[Span, ...]
Week = tuple[Windows, ...]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE
EPOCH_ORDINAL: Final = EPOCH.toordinal()
EPOCH_WEEKDAY: Final = EPOCH.weekday()
LAST_DAY: Final = date.max.toordinal() - 1
ALL_HOURS: Final = (((0, DAY),),) * 7


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """Schedules and the days and hours that are off, as numbers.

    Attributes: `week`, for Monday to Sunday the windows in microseconds from midnight, (start, end), the end outside;
    `blocked`, (first, last) in days since 1970-01-01, both blocked; `dated`, (first, last, week), in place of `week`
    on these days; `overrides`, (day, windows), in place of both; `hours_off`, (first, last, window), blocked on each
    of these days; `closed`, the days on which the organization is; `elsewhere`, the spans in order in which calendars
    elsewhere say that the professional has no time.
    """

    week: Week
    blocked: tuple[Span, ...] = ()
    dated: tuple[tuple[int, int, Week], ...] = ()
    overrides: tuple[tuple[int, Windows], ...] = ()
    hours_off: tuple[tuple[int, int, Span], ...] = ()
    closed: tuple[int, ...] = ()
    elsewhere: tuple[Span, ...] = ()

    @classmethod
    def of(
        cls,
        schedule: WeeklySchedule,
        blocked: Iterable[BlockedPeriod] = (),
        dated: Iterable[DatedSchedule] = (),
        overrides: Iterable[DateOverride] = (),
    ) -> WorkingHours:
        """Give the numbers of a professional's schedules and blocked dates."""
        periods = [(_day_number(period.start), _day_number(period.end), period.hours) for period in blocked]
        return cls(
            _week(schedule),
            tuple((first, last) for first, last, hours in periods if hours is None),
            tuple(
                (_day_number(each.start), LAST_DAY if each.end is None else _day_number(each.end), _week(each.schedule))
                for each in dated
            ),
            tuple((_day_number(override.date), _windows_of(override.windows)) for override in overrides),
            tuple((first, last, _span(hours)) for first, last, hours in periods if hours is not None),
        )

    def without(self, *, schedule: bool, blocked: bool) -> WorkingHours:
        """Give what is left of them: all hours without the schedules, all days without those that are off."""
        nothing_off = replace(self, blocked=(), hours_off=(), closed=(), elsewhere=())
        kept = WorkingHours(ALL_HOURS) if schedule else nothing_off
        if blocked:
            return kept
        off = {name: getattr(self, name) for name in ("blocked", "hours_off", "closed", "elsewhere")}
        return replace(kept, **off)

    def week_of(self, day: int) -> Week:
        """Give the week that a day's hours are of."""
        return next((week for first, last, week in self.dated if first <= day <= last), self.week)


def _week(schedule: WeeklySchedule) -> Week:
    return tuple(_windows_of(getattr(schedule, weekday)) for weekday in WEEKDAYS)


def _windows_of(windows: Iterable[TimeWindow]) -> Windows:
    return tuple(map(_span, windows))


def _span(window: TimeWindow) -> Span:
    return window.start_minute * MINUTE, window.end_minute * MINUTE


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
        self._grids: dict[tuple[WorkingHours, int, int | None], list[int]] = {}
        self._ends: dict[tuple[int, int], int] = {}

    def working_time(self, hours: WorkingHours) -> list[Span]:
        """Give the spans in which the wall clock shows working hours; what touches is one span."""
        known = self._working_time.get(hours)
        if known is None:
            known = self._working_time[hours] = _joined(self._windows(hours))
        return known

    def grid(self, hours: WorkingHours, step: int, every: int | None = None) -> list[int]:
        """Give the moments at which the wall clock shows a window's start or whole `step`s after it, in that window.

        With `every` these are whole `every`s from midnight: the first one in the window, and steps of whole ones.
        """
        known = self._grids.get((hours, step, every))
        if known is None:
            known = self._grids[hours, step, every] = list(self._steps(hours, step, every))
        return known

    @property
    def numbers(self) -> set[int]:
        """The local days of the stretch, counted from 1970-01-01."""
        return {day for piece in self.pieces for day in piece.days(self.start, self.end)}

    def is_on_grid(self, moment: int, every: int) -> bool:
        """Say whether the wall clock shows whole `every`s from midnight."""
        offset = next((piece.offset for piece in self.pieces if piece.start <= moment < piece.end), 0)
        return (moment + offset) % DAY % every == 0

    def end_of_window(self, now: int, days: int) -> int:
        """Give the last moment of the local day that is so many days after the day of `now`."""
        known = self._ends.get((now, days))
        if known is None:
            known = self._ends[now, days] = microseconds(end_of_day(_local_day(self.zone, now, days), self.zone))
        return known

    def touches_blocked(self, hours: WorkingHours, start: int, end: int) -> bool:
        """Say whether any moment from `start` to `end`, the end not, lies on a blocked date."""
        days = (day for piece in self.pieces for day in piece.days(start, end))
        if any(first <= day <= last for day in days for first, last in hours.blocked):
            return True
        return any(begins < end and ends > start for begins, ends in self._hours_off(hours))

    def touches_closed(self, hours: WorkingHours, start: int, end: int) -> bool:
        """Say whether any moment from `start` to `end`, the end not, lies on a day on which the organization is."""
        return any(day in hours.closed for piece in self.pieces for day in piece.days(start, end))

    @staticmethod
    def touches_elsewhere(hours: WorkingHours, start: int, end: int) -> bool:
        """Say whether any moment from `start` to `end`, the end not, is taken in a calendar elsewhere."""
        return any(begins < end and ends > start for begins, ends in hours.elsewhere)

    def _windows(self, hours: WorkingHours) -> Iterator[Span]:
        spans = (
            (max(opens, piece.start), min(closes, piece.end)) for piece, opens, closes in self._windows_by_piece(hours)
        )
        off = merged((*self._hours_off(hours), *hours.elsewhere))
        return _without(spans, off) if off else spans

    def _hours_off(self, hours: WorkingHours) -> list[Span]:
        return sorted(
            (max(midnight + begins, piece.start), min(midnight + ends, piece.end))
            for first, last, (begins, ends) in hours.hours_off
            for piece in self.pieces
            for day in piece.days(self.start, self.end)
            if first <= day <= last
            for midnight in (day * DAY - piece.offset,)
            if midnight + begins < piece.end and midnight + ends > piece.start
        )

    def _steps(self, hours: WorkingHours, step: int, every: int | None) -> Iterator[int]:
        step = step if every is None else -(-step // every) * every
        for piece, opens, closes in self._windows_by_piece(hours):
            if piece.offset % MINUTE:  # local mean time: no start there is a whole minute
                continue
            if every is not None:
                opens += -((opens + piece.offset) % DAY) % every
            # The wall clock is the anchor: a window that began before the piece keeps its own steps.
            missed = max(0, -((opens - piece.start) // step))
            yield from range(opens + missed * step, min(closes, piece.end), step)

    def _windows_by_piece(self, hours: WorkingHours) -> Iterator[tuple[Piece, int, int]]:
        off, overrides = self._blocked_days(hours), dict(hours.overrides)
        for piece in self.pieces:
            for day in piece.days(self.start, self.end):
                if day in off:
                    continue
                week = hours.week_of(day) if hours.dated else hours.week
                midnight = day * DAY - piece.offset
                for opens, closes in overrides.get(day, week[(day + EPOCH_WEEKDAY) % 7]):
                    yield piece, midnight + opens, midnight + closes

    def _blocked_days(self, hours: WorkingHours) -> set[int]:
        earliest, latest = self.start // DAY - 1, self.end // DAY + 1
        blocked = {day for first, last in hours.blocked for day in range(max(first, earliest), min(last, latest) + 1)}
        return blocked.union(hours.closed)


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


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Give the last moment of a day, in UTC; of a day that the zone left out, the last one before it."""
    last = datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=zone, fold=1)
    return last.astimezone(UTC)


def _local_day(zone: ZoneInfo, now: int, days: int) -> date:
    moment = EPOCH + timedelta(microseconds=now)
    try:
        today = moment.astimezone(zone).date()
    except OverflowError:
        today = moment.date()
    return date.fromordinal(min(today.toordinal() + days, LAST_DAY))


def _without(spans: Iterable[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """What is left of the spans; both are in order, and what is taken does not overlap."""
    for opens, closes in spans:
        for begins, ends in taken[bisect_right(taken, opens, key=itemgetter(1)) :]:
            if begins >= closes:
                break
            yield opens, min(begins, closes)
            opens = max(opens, ends)
        yield opens, closes


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that overlap or touch as one."""
    together: list[Span] = []
    for begins, ends in sorted(spans):
        if together and begins <= together[-1][1]:
            together[-1] = together[-1][0], max(ends, together[-1][1])
        else:
            together.append((begins, ends))
    return together


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if start >= end:
            continue
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


def microseconds(moment: datetime) -> int:
    """Give an aware datetime as microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND
