"""Reads dates and moments as people and programs write them.

Rule: the order of day and month comes from `Reading.day_first`, never from what a value would allow, so 12/31/2019 is
refused where days come first: a file that is read half one way and half the other would be wrong without a word.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from rayces_core.fields.text import unstorable
from rayces_core.importing.columns import Reading, SheetNumber, Unreadable

# Others are placeholders of programs, such as 0001-01-01 and 9999-12-31.
FIRST_YEAR: Final = 1800
LAST_YEAR: Final = 2199
# Days that five digits are, which a year or a small count is not.
SERIALS: Final = range(dt.date(1927, 5, 18).toordinal(), dt.date(2100, 1, 1).toordinal())
CENTURY_TURN: Final = 30  # spreadsheets read two digits so: 29 is 2029, 30 is 1930
LONGEST: Final = 60

_MONTHS: Final = (
    ("ene", "enero", "jan", "january"),
    ("feb", "febrero", "february"),
    ("mar", "marzo", "march"),
    ("abr", "abril", "apr", "april"),
    ("may", "mayo"),
    ("jun", "junio", "june"),
    ("jul", "julio", "july"),
    ("ago", "agosto", "aug", "august"),
    ("sep", "sept", "set", "septiembre", "setiembre", "september"),
    ("oct", "octubre", "october"),
    ("nov", "noviembre", "november"),
    ("dic", "diciembre", "dec", "december"),
)
MONTHS: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
_WEEKDAY: Final = re.compile(
    r"(?:lunes|martes|miercoles|jueves|viernes|sabado|domingo|lun|mie|jue|vie|sab|dom"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun)\.?,? +"
)
_ISO: Final = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_COMPACT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_NUMERIC: Final = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2})\2([0-9]{2}|[0-9]{4})")
_DAY_NAMED: Final = re.compile(
    r"([0-9]{1,2})(?:o|°|st|nd|rd|th)?[ /-](?:de )?([a-z]+)\.?,?[ /-](?:del? )?([0-9]{2}|[0-9]{4})"
)
_MONTH_NAMED: Final = re.compile(r"([a-z]+)\.? ([0-9]{1,2})(?:st|nd|rd|th)?,? ([0-9]{4})")
_NO_TIME: Final = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?")
_TIME: Final = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,6})[0-9]*)?)?(?: ?(a|p)\.? ?m\.?)?(?: ?h(?:s|rs)?\.?)?"
    r"(?: ?(z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)
_SPLIT: Final = re.compile(r"(.+?)(?:t|,? (?:a las )?)([0-9]{1,2}:.*)", re.DOTALL)


def date(value: Any, reading: Reading) -> dt.date:
    """Give a date: 31/12/2019, 31-12-19, 2019-12-31, "3 de marzo de 2020", a date of a sheet.

    Raises:
        ValueError: it is no date, has a time of day, or lies outside the years 1800 to 2199.
    """
    if type(value) is str:
        return _date(value, reading.day_first)
    match value:
        case dt.datetime():
            if value.timetz().replace(tzinfo=None) != dt.time():
                raise ValueError("has a time of day; give the date alone")
            return _plausible(value.date())
        case dt.date():
            return _plausible(value)
        case SheetNumber():
            return _from_serial(value)
        case str():
            return _date(str.__str__(value), reading.day_first)
    return _no_date(value)


def moment(value: Any, reading: Reading) -> dt.datetime:
    """Give a moment in dt.UTC, of a date with a time of day; without an offset it is in `reading.zone`.

    Raises:
        ValueError: it is no such thing, or the zone's clocks skipped that time or showed it twice.
    """
    if type(value) is str:
        return _moment(value, reading.day_first, reading.zone)
    match value:
        case dt.datetime():
            return _in_utc(value, reading.zone)
        case SheetNumber():
            return _in_utc(_moment_of_serial(value), reading.zone)
        case str():
            return _moment(str.__str__(value), reading.day_first, reading.zone)
        case dt.date():
            raise ValueError("has no time of day; write it as 2019-12-31 14:30")
    return _no_date(value)


def _no_date(value: object) -> NoReturn:
    if isinstance(value, Unreadable):
        raise ValueError(value.reason)  # noqa: TRY004 - what is wrong is the value
    raise ValueError(f"{value!r:.60} is no date; write it as 2019-12-31")


def _plausible(day: dt.date) -> dt.date:
    if FIRST_YEAR <= day.year <= LAST_YEAR:
        return day
    raise ValueError(f"is in the year {day.year}, outside {FIRST_YEAR} to {LAST_YEAR}; correct it or leave it empty")


def _from_serial(value: SheetNumber) -> dt.date:
    if not value.is_integer():
        raise ValueError("has a time of day; give the date alone")
    if int(value) + value.zero.toordinal() not in SERIALS:
        raise ValueError(f"{value:g} is a number, not a date; format the cell as a date")
    return value.zero + dt.timedelta(days=int(value))


def _moment_of_serial(value: SheetNumber) -> dt.datetime:
    if not SERIALS.start <= value + value.zero.toordinal() < SERIALS.stop:
        raise ValueError(f"{value:g} is a number, not a moment; format the cell as a date with time")
    if value.is_integer():
        raise ValueError("has no time of day; write it as 2019-12-31 14:30")
    return dt.datetime.combine(value.zero, dt.time()) + dt.timedelta(seconds=round(value * 86_400))


@lru_cache(maxsize=65_536)
def _date(written: str, day_first: bool) -> dt.date:
    plain = _plain(written)
    if midnight := _NO_TIME.search(plain.upper(), 6):
        plain = plain[: midnight.start()] if midnight.end() == len(plain) else plain
    if _SPLIT.fullmatch(plain) and ":" in plain:
        raise ValueError(f"{written!r:.60} has a time of day; give the date alone")
    return _day(plain, written, day_first)


@lru_cache(maxsize=16_384)
def _moment(written: str, day_first: bool, zone: ZoneInfo) -> dt.datetime:
    plain = _plain(written)
    parts = _SPLIT.fullmatch(plain)
    if parts is None:
        _day(plain, written, day_first)
        raise ValueError(f"{written!r:.60} has no time of day; write it as 2019-12-31 14:30")
    time = _TIME.fullmatch(parts[2])
    if time is None:
        raise ValueError(f"{written!r:.60} has no readable time of day; write it as 2019-12-31 14:30")
    local = dt.datetime.combine(_day(parts[1], written, day_first), _clock(time, written))
    return _in_utc(_with_offset(local, time[6], written), zone)


def _plain(written: str) -> str:
    """A date in lower case, without accents and with single blanks."""
    if problem := unstorable(written):
        raise ValueError(problem)
    if len(written) > LONGEST:
        raise ValueError("is too long for a date; write it as 2019-12-31")
    if not written.isascii():
        decomposed = unicodedata.normalize("NFKD", written)
        kept = (c for c in decomposed if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
        written = "".join(kept)
    return " ".join(written.lower().split())


def _day(plain: str, written: str, day_first: bool) -> dt.date:
    plain = _WEEKDAY.sub("", plain, count=1) if plain[:1].isalpha() else plain
    year, month, day = _parts(plain, written, day_first)
    if not 1 <= month <= 12:
        order = "day/month/year" if day_first else "month/day/year"
        raise ValueError(
            f"{written!r:.60} has no month {month}: dates here are {order}; correct it or write 2019-12-31"
        )
    try:
        return _plausible(dt.date(year, month, day))
    except ValueError as error:
        if year == 0 or "outside" not in str(error):
            raise ValueError(f"{written!r:.60} is not in the calendar; correct it") from None
        raise


def _parts(plain: str, written: str, day_first: bool) -> tuple[int, int, int]:
    """Year, month and day of a date in one of the known forms."""
    if found := _ISO.fullmatch(plain):
        return int(found[1]), int(found[3]), int(found[4])
    if found := _NUMERIC.fullmatch(plain):
        first, second = int(found[1]), int(found[3])
        return (_year(found[4]), second, first) if day_first else (_year(found[4]), first, second)
    if found := _COMPACT.fullmatch(plain):
        return int(found[1]), int(found[2]), int(found[3])
    if (found := _DAY_NAMED.fullmatch(plain)) and found[2] in MONTHS:
        return _year(found[3]), MONTHS[found[2]], int(found[1])
    if (found := _MONTH_NAMED.fullmatch(plain)) and found[1] in MONTHS:
        return int(found[3]), MONTHS[found[1]], int(found[2])
    raise ValueError(f"{written!r:.60} is no date; write it as 2019-12-31")


def _year(digits: str) -> int:
    number = int(digits)
    if len(digits) == 4:
        return number
    return number + (2000 if number < CENTURY_TURN else 1900)


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
    _plausible(value.date())
    if value.utcoffset() is not None:
        return value.astimezone(dt.UTC)
    earlier, later = value.replace(tzinfo=zone, fold=0), value.replace(tzinfo=zone, fold=1)
    moment = earlier.astimezone(dt.UTC)
    if earlier.utcoffset() == later.utcoffset():
        return moment
    if moment.astimezone(zone).replace(tzinfo=None) != value.replace(tzinfo=None):
        raise ValueError(f"{value:%Y-%m-%d %H:%M} did not exist in {zone.key}: the clocks went forward; correct it")
    raise ValueError(f"{value:%Y-%m-%d %H:%M} came twice in {zone.key}: the clocks went back; write it with its offset")
