"""What is free, found the slow and plain way: minute by minute on the wall clock, without the library's arithmetic.

It holds where offsets and windows are whole minutes, so that hours begin and end only with a minute of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
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
    step_minutes: int = 60
    notice_minutes: int = 0
    window_days: int = 90
    active: bool = True

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _seen(self) -> dict[datetime, tuple[bool, bool]]:
        return {}

    def but(self, **changes: object) -> Case:
        return replace(self, **changes)

    # -- one moment -------------------------------------------------------------------------------------------

    def clock(self, moment: datetime) -> tuple[date, float]:
        """The wall clock: local date, minutes from midnight."""
        local = moment.astimezone(self._zone)
        return local.date(), local.hour * 60 + local.minute + (local.second + local.microsecond / 1e6) / 60

    def is_blocked(self, moment: datetime) -> bool:
        day, _ = self.clock(moment)
        return any(first <= day <= last for first, last in self.blocked)

    def window_at(self, moment: datetime) -> tuple[int, int] | None:
        """The window that the wall clock is in."""
        day, minute = self.clock(moment)
        windows = self.schedule.get(WEEKDAYS[day.weekday()], [])
        return next(((opens, closes) for opens, closes in windows if opens <= minute < closes), None)

    def day_at(self, moment: datetime) -> tuple[bool, bool]:
        """Whether the date is blocked, and the wall clock in a window: the same for a whole minute of UTC."""
        minute = moment.replace(second=0, microsecond=0)
        if minute not in self._seen:
            self._seen[minute] = self.is_blocked(minute), self.window_at(minute) is not None
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
        return any(start < ends and begins < until for begins, ends in self.busy)

    def reasons(self, start: datetime) -> list[str]:
        """Everything that is against a session, in the order in which one is told."""
        days = [self.day_at(moment) for moment in self.minutes_of(start)]
        found = {
            "inactive": not self.active,
            "too_soon": start <= self.now or start < self.now + timedelta(minutes=self.notice_minutes),
            "beyond_window": self.clock(start)[0] > self.clock(self.now)[0] + timedelta(days=self.window_days),
            "blocked_date": any(blocked for blocked, _ in days),
            "outside_schedule": not all(works and not blocked for blocked, works in days),
            "taken": self.is_taken(start),
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


def every_day(*windows: tuple[int, int]) -> dict[str, list[tuple[int, int]]]:
    return {weekday: list(windows) for weekday in WEEKDAYS}


def hours(*windows: tuple[float, float]) -> dict[str, list[tuple[int, int]]]:
    """The same windows every day, given in hours."""
    return every_day(*((round(opens * 60), round(closes * 60)) for opens, closes in windows))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)
