"""What is free, found the slow and plain way: minute by minute on the wall clock, without the library's arithmetic.

It holds where offsets and windows are whole minutes, so that hours begin and end only with a minute of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from rayces_core.fields.schemas import WEEKDAYS

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Case:
    """One professional, and what is asked of the professional's time."""

    zone: str
    start: datetime
    end: datetime
    now: datetime
    schedule: dict[str, list[tuple[int, int]]]  # minutes from midnight
    blocked: tuple[tuple[date, date], ...] = ()
    busy: tuple[tuple[datetime, datetime], ...] = ()
    duration_minutes: int = 60
    buffer_minutes: int = 0
    buffer_before_minutes: int = 0
    step_minutes: int = 60
    notice_minutes: int = 0
    window_days: int = 90
    active: bool = True
    dated: tuple[tuple[date, date, dict[str, list[tuple[int, int]]]], ...] = ()  # first, last, schedule
    overrides: tuple[tuple[date, tuple[tuple[int, int], ...]], ...] = ()
    hours_off: tuple[tuple[date, date, tuple[int, int]], ...] = ()
    closed: tuple[date, ...] = ()
    elsewhere: tuple[tuple[datetime, datetime], ...] = ()  # whole minutes
    room: tuple[tuple[date, date, tuple[int, int] | None], ...] | None = None  # what blocks it, if one is needed

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _seen(self) -> dict[datetime, tuple[bool, bool, bool]]:
        return {}

    def but(self, **changes: object) -> Case:
        return replace(self, **changes)

    # -- one moment -------------------------------------------------------------------------------------------

    def clock(self, moment: datetime) -> tuple[date, float]:
        """The wall clock: local date, minutes from midnight."""
        local = moment.astimezone(self._zone)
        return local.date(), local.hour * 60 + local.minute + (local.second + local.microsecond / 1e6) / 60

    def is_blocked(self, moment: datetime) -> bool:
        day, minute = self.clock(moment)
        if any(first <= day <= last for first, last in self.blocked):
            return True
        return any(first <= day <= last and begins <= minute < ends for first, last, (begins, ends) in self.hours_off)

    def is_room_blocked(self, moment: datetime) -> bool:
        day, minute = self.clock(moment)
        return any(
            first <= day <= last and (window is None or window[0] <= minute < window[1])
            for first, last, window in self.room or ()
        )

    def is_elsewhere(self, start: datetime, end: datetime) -> bool:
        """Whether a calendar elsewhere has anything from `start` to `end`, the end not."""
        return any(begins < end and start < ends for begins, ends in self.elsewhere)

    def windows_on(self, day: date) -> list[tuple[int, int]]:
        """The windows of a date: its own, or those of the weekly schedule that holds then."""
        for date_of_its_own, windows in self.overrides:
            if date_of_its_own == day:
                return list(windows)
        for first, last, schedule in self.dated:
            if first <= day <= last:
                return schedule.get(WEEKDAYS[day.weekday()], [])
        return self.schedule.get(WEEKDAYS[day.weekday()], [])

    def window_at(self, moment: datetime) -> tuple[int, int] | None:
        """The window that the wall clock is in."""
        day, minute = self.clock(moment)
        return next(((opens, closes) for opens, closes in self.windows_on(day) if opens <= minute < closes), None)

    def day_at(self, moment: datetime) -> tuple[bool, bool, bool]:
        """Whether the date is blocked, and the wall clock in a window, and the centre closed; of a minute of UTC."""
        minute = moment.replace(second=0, microsecond=0)
        if minute not in self._seen:
            closed = self.clock(minute)[0] in self.closed
            self._seen[minute] = self.is_blocked(minute), self.window_at(minute) is not None, closed
        return self._seen[minute]

    # -- a session --------------------------------------------------------------------------------------------

    def minutes_of(self, start: datetime) -> list[datetime]:
        """A moment in each minute of UTC that a session touches."""
        end = start + timedelta(minutes=self.duration_minutes)
        touched = [start]
        while (following := touched[-1].replace(second=0, microsecond=0) + MINUTE) < end:
            touched.append(following)
        return touched

    def is_taken(self, start: datetime) -> bool:
        until = start + MINUTE * (self.duration_minutes + self.buffer_minutes)
        since = start - MINUTE * self.buffer_before_minutes
        return any(since < ends and begins < until for begins, ends in self.busy)

    def reasons(self, start: datetime) -> list[str]:
        """Everything that is against a session, in the order in which one is told."""
        minutes = self.minutes_of(start)
        days = [self.day_at(moment) for moment in minutes]
        elsewhere = self.is_elsewhere(start, start + timedelta(minutes=self.duration_minutes))
        found = {
            "inactive": not self.active,
            "too_soon": start <= self.now or start < self.now + timedelta(minutes=self.notice_minutes),
            "beyond_window": self.clock(start)[0] > self.clock(self.now)[0] + timedelta(days=self.window_days),
            "closed_day": any(closed for *_, closed in days),
            "blocked_date": any(blocked for blocked, *_ in days),
            "busy_elsewhere": elsewhere,
            "outside_schedule": not all(works and not blocked and not closed for blocked, works, closed in days),
            "taken": self.is_taken(start),
            "resource_blocked": self.room is not None and any(map(self.is_room_blocked, minutes)),
        }
        return [reason for reason, holds in found.items() if holds]

    # -- all of it --------------------------------------------------------------------------------------------

    def is_offered(self, moment: datetime) -> bool:
        window = self.window_at(moment)
        return window is not None and (self.clock(moment)[1] - window[0]) % self.step_minutes == 0

    def listed(self) -> list[datetime]:
        """The starts to be listed, in order."""
        whole = self.start.replace(second=0, microsecond=0)
        minutes = (whole + MINUTE * n for n in range((self.end - whole) // MINUTE + 1))
        long = timedelta(minutes=self.duration_minutes)
        fitting = (moment for moment in minutes if self.start <= moment and moment + long <= self.end)
        return [moment for moment in fitting if self.is_offered(moment) and not self.reasons(moment)]


def time_text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def schedule_json(schedule: dict[str, list[tuple[int, int]]]) -> dict[str, list[dict[str, str]]]:
    """The schedule as a professional's `weekly_schedule` holds it."""
    return {
        weekday: [{"start": time_text(opens), "end": time_text(closes)} for opens, closes in windows]
        for weekday, windows in schedule.items()
    }


def blocked_json(blocked: tuple[tuple[date, date], ...]) -> list[dict[str, str]]:
    return [{"start": first.isoformat(), "end": last.isoformat()} for first, last in blocked]


def room_json(case: Case) -> list[dict[str, Any]]:
    """What blocks the room of a case, as its `blocked_dates` hold it."""
    return [
        {"start": first.isoformat(), "end": last.isoformat()} | ({} if window is None else {"hours": _window(window)})
        for first, last, window in case.room or ()
    ]


def hours_of(case: Case) -> dict[str, Any]:
    """The hours of a case as the columns of a professional hold them."""
    return {
        "weekly_schedule": schedule_json(case.schedule),
        "blocked_dates": blocked_json(case.blocked)
        + [
            {"start": first.isoformat(), "end": last.isoformat(), "hours": _window(window)}
            for first, last, window in case.hours_off
        ],
        "dated_schedules": [
            {"start": first.isoformat(), "end": last.isoformat(), "schedule": schedule_json(schedule)}
            for first, last, schedule in case.dated
        ],
        "date_overrides": [
            {"date": day.isoformat(), "windows": [_window(window) for window in windows]}
            for day, windows in case.overrides
        ],
    }


def _window(window: tuple[int, int]) -> dict[str, str]:
    opens, closes = window
    return {"start": time_text(opens), "end": time_text(closes)}


def every_day(*windows: tuple[int, int]) -> dict[str, list[tuple[int, int]]]:
    return {weekday: list(windows) for weekday in WEEKDAYS}


def hours(*windows: tuple[float, float]) -> dict[str, list[tuple[int, int]]]:
    """The same windows every day, given in hours."""
    return every_day(*((round(opens * 60), round(closes * 60)) for opens, closes in windows))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)
