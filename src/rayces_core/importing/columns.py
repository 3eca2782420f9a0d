"""What a record type is made of: its columns, how each value is read, and the names under which people know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from rayces_core.fields.countries import country_of, is_day_first


@dataclass(frozen=True, slots=True)
class Reading:
    """How values written for people are read: by the habits of the organization's place.

    Attributes:
        zone: the zone of a moment that is written without an offset.
        region: the country of a phone number that is written without its code, such as "AR"; None is that of the zone.
        currency: the currency of a price that is written without one.
        day_first: whether 03/04/2026 is the third of April; None decides it for each column, by its values and, where
            they allow both, by the habit of the country.
        decimal_comma: whether 1.234,50 has a fraction; None lets each value tell by itself, and refuses what cannot.
    """

    zone: ZoneInfo
    region: str | None = None
    currency: str = "ARS"
    day_first: bool | None = None
    decimal_comma: bool | None = None

    @property
    def country(self) -> str | None:
        """The two letters of the country whose habits these are; None where nobody can know."""
        return self.region or country_of(self.zone.key)

    @property
    def days_first(self) -> bool | None:
        """Whether the day comes before the month: as it was said, or by the country; None where nobody knows."""
        return is_day_first(self.country) if self.day_first is None else self.day_first


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands where a source has a value that cannot be read, such as an error of a formula.

    It stands in every place of a row that cannot be read as a whole, so no row is lost and none is shifted: every
    function of `values` refuses it with the reason, which says what is wrong and what to do.
    """

    reason: str


class ExactText(str):
    """A text that is meant as it stands, where `="00123"` is no spreadsheet's way to write 00123."""

    __slots__ = ()


class SheetNumber(float):
    """A number of a spreadsheet, where 43466 may be a date that lost its format.

    Attributes:
        zero: the day that its workbook calls 0.
    """

    __slots__ = ()
    zero: ClassVar[date] = date(1899, 12, 30)

    @staticmethod
    @cache
    def since(zero: date) -> type[SheetNumber]:
        """Give the kind of number of workbooks that count days from another day."""
        return SheetNumber if zero == SheetNumber.zero else type("SheetNumber", (SheetNumber,), {"zero": zero})


@dataclass(frozen=True, slots=True)
class Words:
    """Headers that a column is not known by alone.

    Attributes:
        last: those that are it where no other header is; of several the first one here.
        beside, without: column → those that are this one where a header is that column, or where none is.
        perhaps: those that may mean it or something else, so that somebody has to say. never: those that it is not.
    """

    last: tuple[str, ...] = ()
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    perhaps: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


NO_WORDS: Final = Words()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a record type.

    Attributes:
        name: its name here, which is also the first header that is recognised.
        read: makes the value of what the source has, or raises ValueError whose text says what is wrong and what to do.
            It is never asked about an empty value, which is None.
        required: whether a row without it is refused.
        names: other headers it is for certain; those of a record type are in words.toml. words: all else it is called.
        example: what a template shows.
        about: one sentence for a template and for `rayces import template --help`.
    """

    name: str
    read: Callable[[Any, Reading], Any]
    required: bool = False
    names: tuple[str, ...] = ()
    words: Words = NO_WORDS
    example: str = ""
    about: str = ""
