"""Reads dates and moments as people and programs write them.

Rule: the order of day and month is that of the column (`orders`), or of the place, never what a value would allow, so
12/31/2019 is refused where days come first: a file that is read half one way and half the other would be wrong without
a word.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from rayces_core.importing.columns import Reading, SheetNumber, Unreadable
from rayces_core.importing.days import compact, day_of, plain, plausible

# Days that five digits are, which a year or a small count is not.
SERIALS: Final = range(dt.date(1927, 5, 18).toordinal(), dt.date(2100, 1, 1).toordinal())
_TIME: Final = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,6})[0-9]*)?)?(?: ?(a|p)\.? ?m\.?)?(?: ?h(?:s|rs)?\.?)?"
    r"(?: ?(z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)
_SPLIT: Final = re.compile(r"(.+?)(?:t|,? (?:a las |as |at )?)([0-9]{1,2}:.*)", re.DOTALL)


def date(value: Any, reading: Reading) -> dt.date:
    """Give a date: 31/12/2019, 2019-12-31, 20191231, "3 de marzo de 2020", a date of a sheet.

    A midnight is its day, as it is written or in `reading.zone`.

    Raises:
        ValueError: it is no date, may be two, has a time of day or two digits of a year, or lies outside the years 1800
            to 2199.
    """
    if type(value) is str:
        return _date(value, reading.days_first, reading.zone)
    match value:
        case dt.datetime():
            return plausible(_midnight(value, reading.zone))
        case dt.date():
            return plausible(value)
        case int() | float() if value == value // 1 and (found := compact(int(value))):
            return found
        case SheetNumber():
            return _from_serial(value)
        case str():
            return _date(str.__str__(value), reading.days_first, reading.zone)
    return _no_date(value)


def moment(value: Any, reading: Reading) -> dt.datetime:
    """Give a moment in dt.UTC, of a date with a time of day; without an offset it is in `reading.zone`.

    Raises:
        ValueError: it is no such thing, or the zone's clocks skipped that time or showed it twice.
    """
    if type(value) is str:
        return _moment(value, reading.days_first, reading.zone)
    match value:
        case dt.datetime():
            return _in_utc(value, reading.zone)
        case SheetNumber():
            return _in_utc(_moment_of_serial(value), reading.zone)
        case str():
            return _moment(str.__str__(value), reading.days_first, reading.zone)
        case dt.date():
            raise ValueError("has no time of day; write it as 2019-12-31 14:30")
    return _no_date(value)


DATED: Final = (date, moment)  # the readers of columns that have an order of day and month


def _no_date(value: object) -> NoReturn:
    if isinstance(value, Unreadable):
        raise ValueError(value.reason)  # noqa: TRY004 - what is wrong is the value
    raise ValueError(f"{value!r:.60} is no date; write it as 2019-12-31")


def _from_serial(value: SheetNumber) -> dt.date:
    if not value.is_integer():
        raise ValueError("has a time of day; give the date alone")
    if int(value) + value.zero.toordinal() not in SERIALS:
        raise ValueError(f"{value:.15g} is a number, not a date; write it as 2019-12-31")
    return value.zero + dt.timedelta(days=int(value))


def _moment_of_serial(value: SheetNumber) -> dt.datetime:
    if not SERIALS.start <= value + value.zero.toordinal() < SERIALS.stop:
        raise ValueError(f"{value:.15g} is a number, not a moment; write it as 2019-12-31 14:30")
    if value.is_integer():
        raise ValueError("has no time of day; write it as 2019-12-31 14:30")
    return dt.datetime.combine(value.zero, dt.time()) + dt.timedelta(seconds=round(value * 86_400))


@lru_cache(maxsize=65_536)
def _date(written: str, day_first: bool | None, zone: ZoneInfo) -> dt.date:
    bare = plain(written)
    parts = _SPLIT.fullmatch(bare) if ":" in bare else None
    if parts is None:
        return day_of(bare, written, day_first)
    time = _TIME.fullmatch(parts[2])
    if time is None:
        raise ValueError(f"{written!r:.60} has a time of day; give the date alone")
    local = dt.datetime.combine(day_of(parts[1], written, day_first), _clock(time, written))
    return _midnight(_with_offset(local, time[6], written), zone, f"{written!r:.60} ")


def _midnight(value: dt.datetime, zone: ZoneInfo, called: str = "") -> dt.date:
    """The day that a midnight begins; programs write one as 2015-03-04T00:00Z, or in UTC what is one in their zone."""
    if value.time() == dt.time():
        return value.date()
    if value.tzinfo is not None and (local := value.astimezone(zone)).time() == dt.time():
        return local.date()
    raise ValueError(f"{called}has a time of day; give the date alone")


@lru_cache(maxsize=16_384)
def _moment(written: str, day_first: bool | None, zone: ZoneInfo) -> dt.datetime:
    bare = plain(written)
    parts = _SPLIT.fullmatch(bare)
    if parts is None:
        day_of(bare, written, day_first)
        raise ValueError(f"{written!r:.60} has no time of day; write it as 2019-12-31 14:30")
    time = _TIME.fullmatch(parts[2])
    if time is None:
        raise ValueError(f"{written!r:.60} has no readable time of day; write it as 2019-12-31 14:30")
    local = dt.datetime.combine(day_of(parts[1], written, day_first), _clock(time, written))
    return _in_utc(_with_offset(local, time[6], written), zone)


def _clock(time: re.Match[str], written: str) -> dt.time:
    hour, minute, second = int(time[1]), int(time[2]), int(time[3] or 0)
    try:
        if time[5]:
            hour = _twelve_hours(hour, time[5])
        return dt.time(hour, minute, second, int((time[4] or "").ljust(6, "0") or 0))
    except ValueError:
        raise ValueError(f"{written!r:.60} has no such time of day; write it as 2019-12-31 14:30") from None


def _twelve_hours(hour: int, half: str) -> int:
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + (12 if half == "p" else 0)


def _with_offset(local: dt.datetime, offset: str | None, written: str) -> dt.datetime:
    if offset is None:
        return local
    if offset in ("z", "utc", "gmt"):
        return local.replace(tzinfo=dt.UTC)
    try:
        return dt.datetime.fromisoformat(f"{local.isoformat()}{offset}")
    except ValueError:
        raise ValueError(f"{written!r:.60} has an offset that does not exist; write it as -03:00") from None


def _in_utc(value: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    plausible(value.date())
    if value.utcoffset() is not None:
        return value.astimezone(dt.UTC)
    earlier, later = value.replace(tzinfo=zone, fold=0), value.replace(tzinfo=zone, fold=1)
    moment = earlier.astimezone(dt.UTC)
    if earlier.utcoffset() == later.utcoffset():
        return moment
    if moment.astimezone(zone).replace(tzinfo=None) != value.replace(tzinfo=None):
        raise ValueError(f"{value:%Y-%m-%d %H:%M} did not exist in {zone.key}: the clocks went forward; correct it")
    raise ValueError(f"{value:%Y-%m-%d %H:%M} came twice in {zone.key}: the clocks went back; write it with its offset")
