"""Periods: the half-open local days that a metric is asked for, and where one period ends and the next begins.

Rule it guards: weeks begin on Monday, months on the first; the first and the last period are cut at the start and the
end that were asked for, and a period is named by its first day that counts. A period without rows is a period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from rayces_core.errors import InvalidDataError

EVERY: Final = {"1mo": "month", "1w": "week", "1d": "day"}
MOST_DAYS: Final = 36_600
MOST_PERIODS: Final = 5_300  # the weeks of MOST_DAYS, or the days of fourteen years
FIRST_DAY: Final = date(2, 1, 1)
LAST_DAY: Final = date(9998, 12, 31)
# No wall clock has been further from UTC than this.
FURTHEST: Final = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Periods:
    """The days from `start` to `end`, the end outside, whole or cut by month, week or day."""

    start: date
    end: date
    every: str | None = None

    @classmethod
    def of(cls, start: object, end: object, every: object = None) -> Periods:
        """Check what is asked for.

        Raises:
            InvalidDataError: a bound is no date, they are not in order or too far apart, `every` is not known, or there
            are more than MOST_PERIODS of it.
        """
        first, last = _day(start, "start"), _day(end, "end")
        if last <= first:
            raise InvalidDataError("end", end, f"{end} must be after start ({start}); it is the first day outside")
        if (last - first).days > MOST_DAYS:
            reason = f"must be at most {MOST_DAYS:,} days after start, and is {(last - first).days:,}; ask in parts"
            raise InvalidDataError("end", end, reason)
        if every is not None and (not isinstance(every, str) or every not in EVERY):
            raise InvalidDataError("every", every, f"{every!r} is no period; use '1mo', '1w', '1d' or None for one")
        if every == "1d" and (days := (last - first).days) > MOST_PERIODS:
            reason = f"'1d' makes {days:,} periods of these days, and {MOST_PERIODS:,} are the most; use '1w' or '1mo'"
            raise InvalidDataError("every", every, f"{reason}, or ask for fewer days")
        return cls(first, last, every)

    @property
    def firsts(self) -> list[date]:
        """The first day of each period."""
        days, day = [], self.start
        while day < self.end:
            days.append(day)
            day = self._next(day)
        return days

    @property
    def values(self) -> dict[str, Any]:
        """The values of the SQL that is written here: the bounds as days, as moments around them, and the periods."""
        return {
            "start": self.start,
            "end": self.end,
            "from": datetime.combine(self.start, time.min, UTC) - FURTHEST,
            "until": datetime.combine(self.end, time.min, UTC) + FURTHEST,
            "firsts": self.firsts,
            "lasts": [*self.firsts[1:], self.end],
        }

    def of_day(self, day: str) -> str:
        """SQL: the first day of the period that the local day `day` lies in."""
        if self.every is None:
            return "%(start)s::date"
        return f"greatest(date_trunc('{EVERY[self.every]}', ({day})::timestamp)::date, %(start)s::date)"

    def _next(self, day: date) -> date:
        if self.every is None:
            return self.end
        if self.every == "1d":
            return day + timedelta(days=1)
        if self.every == "1w":
            return day + timedelta(days=7 - day.weekday())
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)


# SQL: a table of the periods, as half-open local days.
PERIODS: Final = "unnest(%(firsts)s::date[], %(lasts)s::date[]) AS span(period, ends)"


def _day(value: object, field: str) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidDataError(field, value, f"needs a date, a local day such as date(2026, 1, 31), not {value!r:.60}")
    if not FIRST_DAY <= value <= LAST_DAY:
        raise InvalidDataError(field, value, f"must lie from {FIRST_DAY} to {LAST_DAY}")
    return value
