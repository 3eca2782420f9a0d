"""Recurrence: the moments of a series, by a rule of RFC 5545 that is read by the wall clock of one zone.

It reads no database and no clock. A time of day that the clock skips comes as much later as the clock jumps; one that
comes twice is its first coming, unless the series begins with the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.fields.schemas import WEEKDAYS
from rayces_core.scheduling.wall_clock import end_of_day

MOST: Final = 520  # ten years of weeks
WEEK: Final = timedelta(weeks=1)
DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
WEEKLY: Final = "weekly"
MONTHLY: Final = "monthly"
# A series has one session a day at most, at the time of day of its first one.
PARTS: Final = frozenset(
    (
        "FREQ",
        "INTERVAL",
        "COUNT",
        "UNTIL",
        "BYDAY",
        "BYMONTHDAY",
        "BYMONTH",
        "BYYEARDAY",
        "BYWEEKNO",
        "BYSETPOS",
        "WKST",
    )
)
DAILY_PARTS: Final = frozenset(("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"))
FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# What dateutil reads as something else, or looks for until the year 9999.
NUMBERS: Final = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,3}")
_ORDINARY_DAYS: Final = re.compile(rf"({'|'.join(DAYS)})(,({'|'.join(DAYS)}))*")
# A fifth one is not in every month: moved to another day, it would be in other months.
_NTH_DAY: Final = re.compile(rf"(-?[1-4])({'|'.join(DAYS)})")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule with where it begins.

    Attributes: `parts`, those of the rule in their order, such as {"FREQ": "WEEKLY", "BYDAY": "MO,WE", "COUNT": "9"};
    `first`, the first moment, aware; `zone`, whose wall clock it is read by.
    """

    parts: dict[str, str]
    first: datetime
    zone: ZoneInfo

    @property
    def rule(self) -> str:
        """As RFC 5545 writes it, without its DTSTART."""
        return ";".join(f"{name}={value}" for name, value in self.parts.items())

    def starts(self) -> list[datetime]:
        """Every moment of it, in UTC; raises InvalidDataError where they are none or more than 520."""
        starts = list(islice(self._starts(), MOST + 1))
        if not starts or len(starts) > MOST:
            field = "until" if "UNTIL" in self.parts else "count"
            raise InvalidDataError(field, self.rule, f"must leave room for 1 to {MOST} sessions")
        if starts[0] != self.first:
            raise InvalidDataError(
                "scheduled_at", self.first, f"is no occurrence of {self.rule}; the first one is {starts[0].isoformat()}"
            )
        if len(starts) < int(self.parts.get("COUNT", 0)):
            raise InvalidDataError("scheduled_at", self.first, "the series must lie in the years 2 to 9998")
        return starts

    def moved(self, first: datetime, count: int) -> Recurrence:
        """The same for its next `count` sessions, whose first one is moved to `first`; `self.first` is where it was.

        Raises:
            InvalidDataError: the day moves, and the rule's days do not move with it.
        """
        was, now = self.first.astimezone(self.zone), first.astimezone(self.zone)
        days = (now.date() - was.date()).days
        parts = {name: value for name, value in self.parts.items() if name not in ("COUNT", "UNTIL")}
        if days:
            parts = _shifted(parts, was, now, days)
        return Recurrence(parts | {"COUNT": str(count)}, first.astimezone(UTC), self.zone)

    def _starts(self) -> Iterator[datetime]:
        local = self.first.astimezone(self.zone)
        plain = local.replace(tzinfo=None)
        for occurrence in self._occurrences(local):
            # The one that the series begins with is known to the hour, also where its time of day comes twice.
            is_first = occurrence.replace(tzinfo=None) == plain
            yield self.first if is_first else clock.utc(occurrence, "scheduled_at")

    def _occurrences(self, first: datetime) -> Iterator[datetime]:
        from dateutil.rrule import rrulestr

        try:
            yield from rrulestr(self.rule, dtstart=first)
        except (ValueError, IndexError) as error:  # an IndexError for the ninth Monday of a month
            raise InvalidDataError("rule", self.rule, f"cannot be read: {error}") from error


# -- making one -------------------------------------------------------------------------------------------------------


def recurrence(
    first: datetime,
    zone: ZoneInfo,
    *,
    frequency: str = WEEKLY,
    every: object = 1,
    weekdays: Sequence[str] | None = None,
    count: object = None,
    until: object = None,
    rule: str | None = None,
    year_end: str | None = None,
) -> Recurrence:
    """The recurrence that the arguments of `book_series` ask for; raises InvalidDataError.

    `year_end` is the organization's `school_year_end`.
    """
    if rule is not None:
        if (weekdays, count, until, every, frequency) != (None, None, None, 1, WEEKLY):
            raise InvalidDataError("rule", rule, "says all of it; give no count, until, every, weekdays or frequency")
        return Recurrence(_read(rule), first, zone)
    if (count is None) == (until is None):
        raise InvalidDataError("count", count, "give either count or until")
    local = first.astimezone(zone)
    parts = {"FREQ": _frequency(frequency)} | _interval(every, frequency) | _days(local, frequency, weekdays)
    return Recurrence(parts | _end(first, zone, count, until, year_end), first, zone)


def read(rule: str, first: datetime, zone: str) -> Recurrence:
    """The recurrence of a series that is stored."""
    return Recurrence(_read(rule), first, ZoneInfo(zone))


def _read(rule: object) -> dict[str, str]:
    if not isinstance(rule, str):
        raise InvalidDataError("rule", rule, f"needs an RRULE of RFC 5545, got {type(rule).__name__}")
    text = rule.strip().upper().removeprefix("RRULE:")
    pairs = [part.partition("=")[::2] for part in text.rstrip(";").split(";")]
    parts = dict(pairs)
    if len(parts) < len(pairs) or not all(parts.values()):
        raise InvalidDataError("rule", rule, 'needs parts such as "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20", each once')
    if unknown := sorted(set(parts) - PARTS):
        raise InvalidDataError("rule", rule, f"{', '.join(unknown)}: a series has none; its time of day is the first's")
    if parts.get("FREQ") not in FREQUENCIES:
        raise InvalidDataError("rule", rule, f"FREQ must be one of {', '.join(FREQUENCIES)}")
    if parts["FREQ"] == "DAILY" and (never := set(parts) - DAILY_PARTS):
        # One that never falls would be looked for day by day until the year 9999.
        raise InvalidDataError("rule", rule, f"{', '.join(sorted(never))}: of a daily series BYDAY alone; use MONTHLY")
    for name, most in NUMBERS.items():
        if name in parts and not all(_is_number(each, most) for each in parts[name].split(",")):
            raise InvalidDataError("rule", rule, f"{name} must be numbers from 1 to {most}, or from the end")
    if parts["FREQ"] in ("DAILY", "WEEKLY") and re.search(r"\d", parts.get("BYDAY", "")):
        raise InvalidDataError("rule", rule, "BYDAY: only of a month or a year there is a second Monday; use MONTHLY")
    if ("COUNT" in parts) == ("UNTIL" in parts):
        raise InvalidDataError("rule", rule, "give either COUNT or UNTIL, so that it ends")
    for name in ("INTERVAL", "COUNT"):
        if not re.fullmatch(r"[1-9]\d{0,2}", parts.get(name, "1")):
            raise InvalidDataError("rule", rule, f"{name} must be a number from 1 to {MOST}")
    if "UNTIL" in parts and not re.fullmatch(r"\d{8}T\d{6}Z", parts["UNTIL"]):
        raise InvalidDataError("rule", rule, "UNTIL must be a moment in UTC such as 20311219T235959Z")
    return {"FREQ": parts.pop("FREQ"), **parts}


def _is_number(text: str, most: int) -> bool:
    return _NUMBER.fullmatch(text) is not None and 1 <= abs(int(text)) <= most


def _frequency(frequency: object) -> str:
    if frequency not in (WEEKLY, MONTHLY):
        raise InvalidDataError("frequency", frequency, f'must be "{WEEKLY}" or "{MONTHLY}"; rule= takes any other')
    return str(frequency).upper()


def _interval(every: object, frequency: str) -> dict[str, str]:
    unit = "weeks" if frequency == WEEKLY else "months"
    if frequency == WEEKLY and isinstance(every, timedelta) and every % WEEK == timedelta(0):
        every = every // WEEK
    if isinstance(every, bool) or not isinstance(every, int) or not 1 <= every <= MOST:
        example = ", such as 1 or timedelta(weeks=2)" if frequency == WEEKLY else ""
        raise InvalidDataError("every", every, f"must be a number of whole {unit}{example}")
    return {} if every == 1 else {"INTERVAL": str(every)}


def _days(local: datetime, frequency: str, weekdays: Sequence[str] | None) -> dict[str, str]:
    own = local.weekday()
    if frequency == MONTHLY:
        if weekdays is not None:
            raise InvalidDataError("weekdays", weekdays, "a monthly series keeps the weekday of scheduled_at")
        return {"BYDAY": f"{nth(local.date())}{DAYS[own]}"}
    if weekdays is None:
        return {"BYDAY": DAYS[own]}
    is_list = isinstance(weekdays, Iterable) and not isinstance(weekdays, str)
    wrong = not is_list or not weekdays or any(day not in WEEKDAYS for day in weekdays)
    if wrong:
        raise InvalidDataError("weekdays", weekdays, f"needs a list of {', '.join(WEEKDAYS)}")
    if WEEKDAYS[own] not in weekdays:
        raise InvalidDataError("weekdays", weekdays, f"has to have {WEEKDAYS[own]}, on which scheduled_at is")
    return {"BYDAY": ",".join(DAYS[number] for number, day in enumerate(WEEKDAYS) if day in weekdays)}


def nth(day: date) -> int:
    """Which of its weekday in the month a day is: 1 to 4, or -1 for the last one where it is the fifth."""
    number = (day.day - 1) // 7 + 1
    return -1 if number == 5 else number


def _end(first: datetime, zone: ZoneInfo, count: object, until: object, year_end: str | None) -> dict[str, str]:
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            raise InvalidDataError("count", count, f"must be a whole number from 1 to {MOST}")
        return {"COUNT": str(count)}
    last = _last_moment(first, zone, until, year_end)
    return {"UNTIL": last.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ").zfill(16)}


def _last_moment(first: datetime, zone: ZoneInfo, until: object, year_end: str | None) -> datetime:
    if until == "school_year_end":
        until = _school_year_end(first.astimezone(zone).date(), year_end)
    if isinstance(until, datetime):
        return clock.utc(until, "until")
    if isinstance(until, date):
        try:
            return end_of_day(until, zone)
        except OverflowError:
            raise InvalidDataError("until", until, "must lie in the years 2 to 9998") from None
    raise InvalidDataError(
        "until", until, f'needs a date, an aware datetime or "school_year_end", got {type(until).__name__}'
    )


def _school_year_end(day: date, year_end: str | None) -> date:
    if year_end is None:
        raise InvalidDataError("until", "school_year_end", "set the organization's school_year_end, such as 12-19")
    for year in range(day.year, day.year + 9):
        try:
            end = date.fromisoformat(f"{year:04}-{year_end}")
        except ValueError:  # the 29th of February
            continue
        if end >= day:
            return end
    raise InvalidDataError("scheduled_at", day, "must lie in the years 2 to 9998")


# -- moving one -------------------------------------------------------------------------------------------------------


def _shifted(parts: dict[str, str], was: datetime, now: datetime, days: int) -> dict[str, str]:
    by_day, frequency = parts.get("BYDAY"), parts["FREQ"]
    others = set(parts) - {"FREQ", "INTERVAL", "BYDAY", "WKST"}
    if not others and frequency == "DAILY" and by_day is None:
        return parts
    if not others and frequency == "WEEKLY" and (by_day is None or _ORDINARY_DAYS.fullmatch(by_day)):
        moved = {"BYDAY": ",".join(_later(day, days) for day in by_day.split(","))} if by_day else {}
        # Where weeks are skipped they begin as many days later too, so that the same days belong to one.
        begins = {"WKST": _later(parts.get("WKST", "MO"), days)} if "INTERVAL" in parts else {}
        return parts | moved | begins
    if not others and frequency == "MONTHLY" and by_day is not None and (found := _NTH_DAY.fullmatch(by_day)):
        last = int(found[1]) < 0 and (now + WEEK).month != now.month
        return parts | {"BYDAY": f"{-1 if last else nth(now.date())}{DAYS[now.weekday()]}"}
    raise InvalidDataError(
        "scheduled_at",
        now,
        f"the days of {';'.join(f'{name}={value}' for name, value in parts.items())} do not move with {was:%Y-%m-%d}; "
        "cancel what follows, and book another series",
    )


def _later(day: str, days: int) -> str:
    return DAYS[(DAYS.index(day) + days) % len(DAYS)]
