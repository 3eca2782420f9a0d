"""Reads days as people write them, and tells which order of day and month a text allows.

Rule: the order comes from whoever asks, never from what one value would allow. A year of two digits may be of either
century, and a weekday that does not fit says that something is wrong.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final

from rayces_core.fields.text import unstorable

# Others are placeholders of programs, such as 0001-01-01 and 9999-12-31.
FIRST_YEAR: Final = 1800
LAST_YEAR: Final = 2199
LONGEST: Final = 60

_MONTHS: Final = (
    ("ene", "enero", "jan", "january", "janeiro"),
    ("feb", "febrero", "february", "fev", "fevereiro"),
    ("mar", "marzo", "march", "marco"),
    ("abr", "abril", "apr", "april"),
    ("may", "mayo", "mai", "maio"),
    ("jun", "junio", "june", "junho"),
    ("jul", "julio", "july", "julho"),
    ("ago", "agosto", "aug", "august"),
    ("sep", "sept", "set", "septiembre", "setiembre", "september", "setembro"),
    ("oct", "octubre", "october", "out", "outubro"),
    ("nov", "noviembre", "november", "novembro"),
    ("dic", "diciembre", "dec", "december", "dez", "dezembro"),
)
MONTHS: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
_WEEKDAYS: Final = (
    ("lunes", "lun", "monday", "mon", "segunda-feira", "segunda", "seg"),
    ("martes", "mar", "tuesday", "tue", "tues", "terca-feira", "terca", "ter"),
    ("miercoles", "mie", "wednesday", "wed", "quarta-feira", "quarta", "qua"),
    ("jueves", "jue", "thursday", "thu", "thur", "thurs", "quinta-feira", "quinta", "qui"),
    ("viernes", "vie", "friday", "fri", "sexta-feira", "sexta", "sex"),
    ("sabado", "sab", "saturday", "sat"),
    ("domingo", "dom", "sunday", "sun"),
)
WEEKDAYS: Final = {name: number for number, names in enumerate(_WEEKDAYS) for name in names}
_WEEKDAY: Final = re.compile(r"([a-z]+(?:-feira)?)\.?,? +(?=[0-9]|[a-z]+\.? [0-9])")
_ISO: Final = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_COMPACT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_NUMERIC: Final = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_DAY_NAMED: Final = re.compile(
    r"([0-9]{1,2})(?:o|°|st|nd|rd|th)?[ /-](?:de )?([a-z]+)\.?,?[ /-](?:del? )?([0-9]{2}|[0-9]{4})"
)
_MONTH_NAMED: Final = re.compile(r"([a-z]+)\.? ([0-9]{1,2})(?:st|nd|rd|th)?,? ([0-9]{4})")


class Order(Enum):
    """Which orders of day and month a written date allows."""

    ANY = "the same day in each order, or none"
    BOTH = "another day in each"
    DAY_FIRST = "day/month/year"
    MONTH_FIRST = "month/day/year"


def plain(written: str) -> str:
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


@lru_cache(maxsize=65_536)
def order_of(written: str) -> Order:
    """Tell which orders a text allows that may be a date, with or without a time of day."""
    try:
        bare, _ = _without_weekday(plain(written))
    except ValueError:
        return Order.ANY
    found = _NUMERIC.match(bare)
    if found is None or bare[found.end() : found.end() + 1] not in ("", " ", "t", ","):
        return Order.ANY
    first, second = int(found[1]), int(found[3])
    if first == second or not (first and second) or (first > 12 and second > 12):
        return Order.ANY
    if first > 12 or second > 12:
        return Order.DAY_FIRST if first > 12 else Order.MONTH_FIRST
    return Order.BOTH


def day_of(bare: str, written: str, day_first: bool | None) -> dt.date:
    """Give the day of a plain text; a `day_first` of None refuses what is another day in each order."""
    bare, weekday = _without_weekday(bare)
    year, month, day = _parts(bare, written, day_first)
    if not 1 <= month <= 12:
        raise ValueError(_no_month(written, month, day_first))
    try:
        found = plausible(dt.date(year, month, day))
    except ValueError as error:
        if year == 0 or "outside" not in str(error):
            raise ValueError(f"{written!r:.60} is not in the calendar; correct it") from None
        raise
    if weekday is not None and found.weekday() != weekday:
        raise ValueError(f"{written!r:.60} names another weekday than {found} has; correct it, or write {found}")
    return found


def plausible(day: dt.date) -> dt.date:
    """Give a day that somebody may have meant; refuses placeholders of programs."""
    if FIRST_YEAR <= day.year <= LAST_YEAR:
        return day
    raise ValueError(f"is in the year {day.year}, outside {FIRST_YEAR} to {LAST_YEAR}; correct it or leave it empty")


def compact(number: int) -> dt.date | None:
    """Give the day of a number such as 20191231; None for any other."""
    year, month, day = number // 10_000, number // 100 % 100, number % 100
    try:
        return dt.date(year, month, day) if FIRST_YEAR <= year <= LAST_YEAR else None
    except ValueError:
        return None


def _without_weekday(bare: str) -> tuple[str, int | None]:
    found = _WEEKDAY.match(bare) if bare[:1].isalpha() else None
    # "mar 3 2020" is in March: a weekday never stands alone before a day and a year.
    if found is None or found[1] not in WEEKDAYS or _MONTH_NAMED.fullmatch(bare):
        return bare, None
    return bare[found.end() :], WEEKDAYS[found[1]]


def _no_month(written: str, month: int, day_first: bool | None) -> str:
    order, other = ("day/month/year", "mdy") if day_first else ("month/day/year", "dmy")
    say = f'correct it, write 2019-12-31, or say --date-order {other} (date_order="{other}")'
    return f"{written!r:.60} has no month {month}: dates here are {order}; {say}"


def _parts(bare: str, written: str, day_first: bool | None) -> tuple[int, int, int]:
    """Year, month and day of a date in one of the known forms."""
    if found := _ISO.fullmatch(bare):
        return int(found[1]), int(found[3]), int(found[4])
    if found := _NUMERIC.fullmatch(bare):
        first, second = int(found[1]), int(found[3])
        if day_first is None:
            day_first = _only_order(bare, written)
        return (_year(found[4], written), *((second, first) if day_first else (first, second)))
    if found := _COMPACT.fullmatch(bare):
        return int(found[1]), int(found[2]), int(found[3])
    if (found := _DAY_NAMED.fullmatch(bare)) and found[2] in MONTHS:
        return _year(found[3], written), MONTHS[found[2]], int(found[1])
    if (found := _MONTH_NAMED.fullmatch(bare)) and found[1] in MONTHS:
        return int(found[3]), MONTHS[found[1]], int(found[2])
    raise ValueError(f"{written!r:.60} is no date; write it as 2019-12-31")


def _only_order(bare: str, written: str) -> bool:
    order = order_of(bare)
    if order is Order.BOTH:
        raise ValueError(f"{written!r:.60} {either()}")
    return order is not Order.MONTH_FIRST


def either() -> str:
    """What is said of a date that may be two days."""
    return (
        "may have the day first or the month; say --date-order dmy or --date-order mdy "
        '(date_order="dmy" or "mdy"), or write it as 2019-12-31'
    )


def _year(digits: str, written: str) -> int:
    if len(digits) == 2:
        say = "write all four (in a spreadsheet: give the column a format of dates with four)"
        raise ValueError(f"{written!r:.60} has a year of two digits, 19{digits} or 20{digits}; {say}")
    return int(digits)
