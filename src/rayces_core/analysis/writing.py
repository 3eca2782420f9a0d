"""How figures, days and money are written for people in English and Spanish; the words themselves are in words.toml.

Rule it guards: a decimal sign is the country's. Spanish is written with a comma in Buenos Aires and with a point in
Mexico, and a reader who takes the one for the other is out by a factor of a thousand.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from rayces_core.errors import InvalidDataError

LANGUAGES: Final = ("en", "es")
# Countries where centres write Spanish, by the decimal sign that they write (Unicode CLDR 48).
_COMMA_COUNTRIES: Final = frozenset({"AR", "BO", "CL", "CO", "CR", "EC", "ES", "GQ", "PY", "UY", "VE"})
_POINT_COUNTRIES: Final = frozenset({"CU", "DO", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "SV"})
SPANISH: Final = _COMMA_COUNTRIES | _POINT_COUNTRIES
NARROW: Final = "\u202f"  # no line break between a number and its sign
NOTHING: Final = "\u2013"


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes in a language; `point` is whether a fraction follows a point and thousands are parted by commas."""

    language: str = "en"
    point: bool = True

    @classmethod
    def of(cls, language: str | None, country: str | None) -> Writing:
        """Write in that language, else in that of the country, with the country's signs.

        Raises:
            InvalidDataError: there are no words of the language.
        """
        language = language or ("es" if country in SPANISH else "en")
        if language not in LANGUAGES:
            raise InvalidDataError("language", language, f"has no words here; there are {', '.join(LANGUAGES)}")
        return cls(language, language == "en" or country in _POINT_COUNTRIES)

    def word(self, key: str, /, **facts: Any) -> str:
        """The text of that key of words.toml, such as "state.executed", with facts filled in."""
        text: str = _texts()[key][self.language]
        return text.format(**facts) if facts else text

    def knows(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in _texts()

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with its thousands parted; a dash for none."""
        if value is None:
            return NOTHING
        text = f"{value:,.{digits}f}"
        text = text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
        return text if self.point else text.translate(_COMMA)

    def percent(self, ratio: float | None, digits: int = 1) -> str:
        """A ratio of 0 to 1 as per cent."""
        if ratio is None:
            return NOTHING
        return f"{self.number(ratio * 100, digits)}{self.percent_sign}"

    def days(self, value: float) -> str:
        """A number of whole days: "34 days", "1 day"."""
        number = self.number(value)
        return self.word("unit.day" if number == "1" else "unit.days", n=number)

    @property
    def percent_sign(self) -> str:
        """The sign, with the gap before it that Spanish has."""
        return "%" if self.language == "en" else f"{NARROW}%"

    def money(self, cents: int | None, currency: str) -> str:
        """Cents as an amount of the currency, whole amounts too with both digits, as bills have them."""
        if cents is None:
            return NOTHING
        whole, rest = divmod(abs(cents), 100)  # a float would round large amounts
        sign = "." if self.point else ","
        return f"{currency}\u00a0{'-' if cents < 0 else ''}{self.number(whole)}{sign}{rest:02}"

    def month(self, day: date, *, short: bool = False) -> str:
        """The month of a day: "October 2026", or "Oct 26"."""
        name = self.word(f"month.{day.month}")
        if short:
            return f"{name[:3]} {day.year % 100:02}"
        return f"{name} {day.year}" if self.language == "en" else f"{name} de {day.year}"

    def day(self, day: date, *, short: bool = False) -> str:
        """A day: "5 October 2026", "5 de octubre de 2026"; or "5 Oct"."""
        name = self.word(f"month.{day.month}")
        if short:
            return f"{day.day} {name[:3]}"
        of = " " if self.language == "en" else " de "
        return f"{day.day}{of}{name}{of}{day.year}"

    def moment(self, local: datetime, *, short: bool = False) -> str:
        """A moment of a wall clock: "Mon 5 October 2026, 14:30"; or "Mon 5 Oct, 14:30"."""
        return f"{self.weekday(local.isoweekday())} {self.day(local, short=short)}, {local:%H:%M}"

    def weekday(self, number: int, *, short: bool = True) -> str:
        """A day of the week, 1 for Monday; its first three letters unless told otherwise."""
        name = self.word(f"weekday.{number}")
        return name[:3] if short else name


_COMMA: Final = str.maketrans(",.", ".,")


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict[str, str]]:
    table = tomllib.loads(files("rayces_core.analysis").joinpath("words.toml").read_text(encoding="utf-8"))
    return {f"{group}.{key}": texts for group, words in table.items() for key, texts in words.items()}
