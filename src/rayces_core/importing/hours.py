"""Reads hours of a day and lengths of a session, and makes a moment of a date and an hour, a length of an end.

Rule it guards: an hour is one of the organization's day, of 24 hours unless it says a. m. or p. m.; a bare number is
neither an hour nor refused as a length.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading, SheetNumber, Unreadable
from rayces_core.importing.ways import Way

Hours = tuple[dt.time, dt.time | None]

_HOUR: Final = (
    r"([0-9]{1,2})(?:[:.h]([0-9]{2})(?::([0-9]{2})(?:\.0+)?)?)?"
    r" ?(?:([ap])\.? ?m\.?)? ?(h(?:s|rs|oras?)?\.?)?"
)
_ONE: Final = re.compile(_HOUR)
_TWO: Final = re.compile(rf"(?:de )?{_HOUR} ?(?:[-\u2013\u2014]|a|to|hasta|às) ?(?:las )?{_HOUR}")
_MINUTES: Final = ("m", "min", "mins", "minuto", "minutos", "minute", "minutes", "'", "\u2032")
_HOURS: Final = ("h", "hs", "hr", "hrs", "hora", "horas", "hour", "hours")
_UNIT: Final = dict.fromkeys(_HOURS, 60) | dict.fromkeys(_MINUTES, 1)
_HOURS_MINUTES: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::00(?:\.0+)?)?")
_WITH_UNIT: Final = re.compile(
    r"([0-9]{1,3})(?:[.,]([0-9]{1,2}))? ?([a-z'\u2032]+)\.?(?:(?: y)? ?([0-9]{1,2}) ?(?:m|min|mins|minutos|')?\.?)?"
)
DAY: Final = dt.timedelta(days=1)
HOW: Final = "write it as 14:30"


def hours(value: Any, reading: Reading) -> Hours:
    """Give the hour that something begins, and the one it ends where both are written: "14:00", "14 a 15 hs", "2 pm".

    Raises:
        ValueError: it is no hour, or a bare number.
    """
    match value:
        case dt.datetime():
            raise ValueError(f"has a date as well; {HOW}, or map the column to scheduled_at")
        case dt.time():
            return _whole(value), None
        case dt.timedelta():
            return _of_day(value), None
        case SheetNumber() if 0 <= value < 1:
            return _of_day(dt.timedelta(minutes=round(value * 1440))), None
        case int() | float() | dt.date() | Unreadable():
            raise ValueError(value.reason if isinstance(value, Unreadable) else f"{value!s:.60} is no hour; {HOW}")
    written = values.text(value, reading)
    plain = " ".join(written.lower().split())
    if one := _ONE.fullmatch(plain):
        return _hour(one.groups(), written), None
    if two := _TWO.fullmatch(plain):
        begins, ends = two.groups()[:5], two.groups()[5:]
        said = any(part for part in (*begins[1:], *ends[1:]))
        return _hour(begins, written, said=said), _hour(ends, written, said=said, midnight=True)
    raise ValueError(f"{written!r:.60} is no hour; {HOW}")


def end(value: Any, reading: Reading) -> dt.time | dt.datetime:
    """Give the end of something: an hour of its day, or a moment of its own.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, dt.datetime):
        return values.moment(value, reading)
    if not isinstance(value, str):
        return hours(value, reading)[0]
    plain = " ".join(values.text(value, reading).lower().split())
    if one := _ONE.fullmatch(plain):
        return _hour(one.groups(), value, midnight=True)
    if _TWO.fullmatch(plain):
        raise ValueError(f"{value!r:.60} has two hours; {HOW}, or map the column to time")
    return values.moment(value, reading)


def minutes(value: Any, reading: Reading) -> int:
    """Give a length in minutes: 45, "45 min", "1 h 30", "1:30", "00:45:00", a time of a sheet.

    Raises:
        ValueError: it is no length in whole minutes.
    """
    match value:
        case dt.time():
            return _minutes_of(dt.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second), value)
        case dt.timedelta():
            return _minutes_of(value, value)
        case SheetNumber() if 0 < value < 1:
            return round(value * 1440)
        case str():
            plain = " ".join(values.text(value, reading).lower().split())
            if found := _HOURS_MINUTES.fullmatch(plain):
                return int(found[1]) * 60 + int(found[2])
            if found := _WITH_UNIT.fullmatch(plain):
                return _with_unit(found, value)
    return values.integer(value, reading)


def _with_unit(found: re.Match[str], written: str) -> int:
    unit = _UNIT.get(found[3])
    length = float(f"{found[1]}.{found[2] or 0}") * (unit or 0)
    if unit is None or not length.is_integer() or (found[4] and (unit == 1 or found[2])):
        raise ValueError(f"{written!r:.60} is no length in minutes; write a number such as 45")
    return int(length) + int(found[4] or 0)


def _minutes_of(length: dt.timedelta, written: object) -> int:
    whole, rest = divmod(length, dt.timedelta(minutes=1))
    if rest:
        raise ValueError(f"{written!s:.60} is not of whole minutes; write a number such as 45")
    return whole


def _hour(parts: tuple[str | None, ...], written: str, *, said: bool = False, midnight: bool = False) -> dt.time:
    """The hour of what was written; 24:00 is midnight where something ends."""
    hour, minute, second, half, unit = parts
    number = int(hour or 0)
    if minute is None and half is None and unit is None and not said:
        raise ValueError(f"{written!r:.60} is a number and no hour; {HOW}")
    if half is not None and not 1 <= number <= 12:
        raise ValueError(f"{written!r:.60} has no such hour; {HOW}")
    if half is not None:
        number = number % 12 + (12 if half == "p" else 0)
    rest = int(minute or 0), int(second or 0)
    try:
        return dt.time(0 if midnight and number == 24 and not any(rest) else number, *rest)
    except ValueError:
        raise ValueError(f"{written!r:.60} has no such hour; {HOW}") from None


def _of_day(length: dt.timedelta) -> dt.time:
    if not dt.timedelta() <= length < DAY:
        raise ValueError(f"{length} is no hour of a day; {HOW}")
    return dt.time(length.seconds // 3600, length.seconds // 60 % 60, length.seconds % 60)


def _whole(hour: dt.time) -> dt.time:
    if hour.tzinfo is not None:
        raise ValueError(f"has an offset, which an hour alone cannot have; {HOW}")
    return hour.replace(microsecond=0)


# -- what they make ---------------------------------------------------------------------------------------------------


def _moment(found: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    begins, _ = found["time"]
    moment = values.moment(dt.datetime.combine(found["date"], begins), reading)
    if found.get("scheduled_at") not in (None, moment):
        raise ValueError("is another moment than scheduled_at; correct one of the two")
    return {"scheduled_at": moment}


def _length_of_range(found: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    _, ends = found["time"]
    return {} if ends is None else _until(found, ends, reading)


def _length(found: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    return _until(found, found["ends_at"], reading)


def _until(found: Mapping[str, Any], ends: dt.time | dt.datetime, reading: Reading) -> Mapping[str, Any]:
    """The minutes from the beginning to an end; the end at midnight is the next day's."""
    starts: dt.datetime | None = found.get("scheduled_at")
    if starts is None:
        return {}
    if isinstance(ends, dt.time):
        day = found.get("end_date") or starts.astimezone(reading.zone).date()
        if ends == dt.time() and found.get("end_date") is None:
            day += DAY
        ends = values.moment(dt.datetime.combine(day, ends), reading)
    if ends <= starts:
        raise ValueError("is not after the beginning; correct one of the two")
    length = _minutes_of(ends - starts, ends)
    if found.get("duration_minutes") not in (None, length):
        raise ValueError(f"makes {length} minutes, and duration_minutes says another length; correct one of the two")
    return {"duration_minutes": length}


DATE: Final = Column("date", values.date, about="The day of scheduled_at, beside its time.")
TIME: Final = Column("time", hours, about="The hour of scheduled_at beside its date; 14:00-14:45 says the end as well.")
ENDS_AT: Final = Column("ends_at", end, about="The end, an hour or a moment, which says how long it takes.")
END_DATE: Final = Column("end_date", values.date, about="The day of the end, where it is another one.")
TIMES: Final = (
    Way(("date", "time"), ("scheduled_at",), _moment, compares=True),
    Way(("date", "time"), ("duration_minutes",), _length_of_range, compares=True, always=False),
    Way(("ends_at",), ("duration_minutes",), _length, compares=True, always=False),
    Way(("end_date", "ends_at"), ("duration_minutes",), _length, compares=True, always=False),
)
