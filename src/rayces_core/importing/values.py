"""Reads values that people wrote: text, numbers, money, yes and no, choices, phones, e-mails, dates and moments.

Rule: a value is either understood for certain or refused, with what is wrong and what to do; nothing is guessed. What
a reader gives, written out and read again, is the same value.

Each reader takes the source's value, which is never None, and a `Reading`; each raises `ValueError`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar

from rayces_core.fields.countries import is_country
from rayces_core.fields.text import CURRENCY_CODE, email_problem
from rayces_core.importing.columns import Reading, Unreadable
from rayces_core.importing.dates import date, moment
from rayces_core.importing.phones import phone
from rayces_core.importing.texts import BLANK, digits, fold, identifier, name, text

__all__ = [
    "boolean",
    "choice",
    "country",
    "currency",
    "date",
    "decimal",
    "document",
    "email",
    "fold",
    "identifier",
    "integer",
    "moment",
    "money",
    "name",
    "phone",
    "text",
]

T = TypeVar("T")

LONGEST_NUMBER: Final = 60
LARGEST_INTEGER: Final = 2**63 - 1  # of a bigint
_SHOWN: Final = Context(prec=15)
_COMPUTED_BELOW: Final = 10**9  # six decimals at least are shown of these, so that no cent is rounded away
_ENCLOSED: Final = re.compile(r"(?:[^<>@,;]*\s|\"[^<>@\"]*\"\s*)?<\s*([^<>\s]+)\s*>")
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9., ']*")
_EITHER: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
_SIGNS: Final = ("US$", "U$S", "AR$", "R$", "$", "€", "£")
_CODE: Final = re.compile(r"([A-Z]{3})?\s*(.*?)\s*([A-Z]{3})?", re.DOTALL)

YES: Final = frozenset(
    (
        *("true", "t", "yes", "y", "on", "x", "1", "✓", "✔"),
        *("si", "s", "verdadero", "v", "activo", "activa"),
        *("sim", "verdadeiro", "ativo", "ativa"),
    )
)
NO: Final = frozenset(
    (
        *("false", "f", "no", "n", "off", "0", "-"),
        *("falso", "inactivo", "inactiva"),
        *("nao", "inativo", "inativa"),
    )
)


def email(value: Any, reading: Reading) -> str:
    """Give a trimmed e-mail address in lower case, by the rule of the models' e-mail fields.

    A link's mailto: comes off, and angle brackets with or without a name before them: Ana Paz <ana@example.org>.
    """
    written = text(value, reading).lower()
    found = None if written.isascii() and written[:1].isalnum() and written[-1] != ">" else _ENCLOSED.fullmatch(written)
    address = (found[1] if found else written).removeprefix("mailto:")
    if problem := email_problem(address):
        raise ValueError(f"{problem}; write it as ana@example.org")
    return address


def integer(value: Any, reading: Reading) -> int:
    """Give a whole number of at most 64 bits; "1.234", "1,234" and "12,0" are understood, "1,5" is refused."""
    if type(value) is int:
        number = value
    elif type(value) is str and value.isdecimal() and value.isascii() and len(value) < 19:
        return int(value)
    else:
        number = _whole(_decimal(value, reading))
    if abs(number) > LARGEST_INTEGER:
        raise ValueError("is too large for a whole number; correct it")
    return number


def _whole(number: Decimal) -> int:
    if number != number.to_integral_value():
        raise ValueError(f"{number:f} is no whole number; write it without a fraction")
    return int(number)


def money(value: Any, reading: Reading) -> int:
    """Give an amount in cents: "$ 1.234,50" is 123450. Numbers of a sheet are whole units of the currency.

    Refuses more than two decimals and another currency than `reading.currency`.
    """
    amount = _as_shown(_decimal(_without_currency(value, reading), reading))
    cents = amount * 100
    if cents != cents.to_integral_value():
        raise ValueError(f"{amount:f} has more than two decimals; round it")
    if abs(cents) > LARGEST_INTEGER:
        raise ValueError("is too large for an amount; correct it")
    return int(cents)


def _as_shown(amount: Decimal) -> Decimal:
    """A sum that a program computed, 3750.2999999999997, as a spreadsheet shows it: with fifteen digits, 3750.3."""
    if len(amount.as_tuple().digits) > _SHOWN.prec and abs(amount) < _COMPUTED_BELOW:
        return _SHOWN.plus(amount)
    return amount


def decimal(value: Any, reading: Reading) -> Decimal:
    """Give a number with as many decimals as it has; "1.234,50" is 1234.50, and "1.234" is refused: it may be two."""
    if isinstance(value, str) and reading.decimal_comma is None:
        written = text(value, reading)
        if _EITHER.fullmatch(written):
            plain = written.replace(",", ".")
            raise ValueError(
                f"{written!r:.60} may have thousands or three decimals; write {plain}0, or without the mark"
            )
    return _as_shown(_decimal(value, reading))


def _without_currency(value: Any, reading: Reading) -> Any:
    if type(value) is not str:
        return value
    bare = text(value, reading)
    if len(bare) > LONGEST_NUMBER:
        raise ValueError(f"{bare!r:.60} is no amount; write digits such as 1234,50")
    negative = bare.startswith("-")
    before, bare, after = _CODE.fullmatch(bare.removeprefix("-").lstrip()).groups()  # type: ignore[union-attr]
    for code in (before, after):
        if code and code != reading.currency:
            raise ValueError(f"is in {code}, but prices here are in {reading.currency}; convert it")
    if sign := next((sign for sign in _SIGNS if bare.startswith(sign)), None):
        if sign != "$" and _currency_of(sign) != reading.currency:
            raise ValueError(f"is in {sign}, but prices here are in {reading.currency}; convert it")
        bare = bare.removeprefix(sign).strip(BLANK)
    if not negative:
        return bare
    if not bare[:1].isdecimal():
        raise ValueError(f"{value!r:.60} is no amount; write digits such as 1234,50")
    return f"-{bare}"


def _currency_of(sign: str) -> str:
    return {"US$": "USD", "U$S": "USD", "AR$": "ARS", "R$": "BRL", "€": "EUR", "£": "GBP"}[sign]


def _decimal(value: Any, reading: Reading) -> Decimal:
    match value:
        case bool() | Unreadable() | dt.date() | dt.time():
            raise ValueError(value.reason if isinstance(value, Unreadable) else "is no number; write digits")
        case int() | Decimal():
            number = Decimal(value)
        case float():
            number = Decimal(repr(value))
        case str():
            number = Decimal(_plain_number(text(value, reading), reading))
        case _:
            raise ValueError(f"needs a number, got {type(value).__name__}")
    if not number.is_finite() or number.adjusted() > 30:
        raise ValueError("is no number that can be stored; correct it")
    return number


def _plain_number(written: str, reading: Reading) -> str:
    """A number as Python writes it, of one with separators of thousands and a decimal comma or point."""
    if not written.isascii():
        written = written.replace("\u00a0", " ").replace("\u202f", " ")
    if len(written) > LONGEST_NUMBER or not written.isascii() or not _NUMBER.fullmatch(written):
        raise ValueError(f"{written!r:.60} is no number; write digits such as 1234 or 1234,50")
    decimal = _decimal_mark(written, reading)
    whole, _, fraction = written.rpartition(decimal) if decimal and decimal in written else (written, "", "")
    if not re.fullmatch(r"[+-]?[0-9]+|[+-]?[0-9]{1,3}(?P<mark>[., '])[0-9]{3}(?:(?P=mark)[0-9]{3})*", whole):
        raise ValueError(f"{written!r:.60} has separators in places where none belongs; write it as 1234,50")
    if fraction and not fraction.isdecimal():
        raise ValueError(f"{written!r:.60} has a blank or a mark within its fraction; write it as 1234,50")
    return re.sub(r"[., ']", "", whole) + (f".{fraction}" if fraction else "")


def _decimal_mark(written: str, reading: Reading) -> str:
    """Which of "." and "," begins the fraction; an empty text where neither does."""
    if reading.decimal_comma is not None:
        return "," if reading.decimal_comma else "."
    points, commas = written.count("."), written.count(",")
    if points and commas:
        return max(".", ",", key=written.rindex)
    if points + commas != 1:
        return ""
    mark = "." if points else ","
    if len(written.rpartition(mark)[2]) != 3 or re.match(r"[+-]?0", written):
        return mark
    # One mark before three digits: thousands, since nobody counts or pays in thousandths.
    return ""


def boolean(value: Any, reading: Reading) -> bool:
    """Give yes or no, from words in English, Spanish and Portuguese, x, 1 and 0, which a data frame writes as 1.0."""
    if type(value) is bool:
        return value
    return _boolean(digits(value, reading))


@lru_cache(maxsize=1024)
def _boolean(written: str) -> bool:
    word = fold(written) or written
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError(f"{written!r:.60} is neither yes nor no; write yes or no (sí o no)")


def choice(aliases: Mapping[T, Iterable[str]]) -> Callable[[Any, Reading], T]:
    """Make a reader of one of a few values.

    Args:
        aliases: value → the words for it in any language; accents, case, blanks and underscores do not matter. A value
            that is a text is a word for itself.
    """
    words = {
        fold(word): value
        for value, names in aliases.items()
        for word in (*names, *([value] if _is_text(value) else ()))
    }
    known = ", ".join(str(next(iter(names), value)) for value, names in aliases.items())

    @lru_cache(maxsize=1024)
    def chosen(written: str) -> T:
        try:
            return words[fold(written)]
        except KeyError:
            raise ValueError(f"{written!r:.60} is not known; write one of: {known}") from None

    def read(value: Any, reading: Reading) -> T:
        if isinstance(value, Enum) and value in aliases:
            return value  # type: ignore[return-value]
        return chosen(value) if type(value) is str and value.isalpha() else chosen(text(value, reading))

    return read


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def currency(value: Any, reading: Reading) -> str:
    """Give a currency code of three capital letters, as ISO 4217 has them; "ars" is "ARS"."""
    code = text(value, reading).upper()
    if not CURRENCY_CODE.fullmatch(code):
        raise ValueError(f"{code!r:.60} is no currency code; write one such as ARS")
    return code


def country(value: Any, reading: Reading) -> str:
    """Give a country's two capital letters, as ISO 3166 has them; "ar" is "AR"."""
    code = text(value, reading).upper()
    if not is_country(code):
        raise ValueError(f"{code!r:.60} is no country's code; write one such as AR")
    return code


def document(value: Any, reading: Reading) -> Any:
    """Give a JSON document: lists and dicts of a source as they are, a text parsed."""
    if isinstance(value, dict | list):
        return value
    written = text(value, reading)
    try:
        return json.loads(written, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(f"{written!r:.60} is no JSON; write a list or an object in JSON") from None


def _no_constant(name: str) -> object:
    raise ValueError(name)
