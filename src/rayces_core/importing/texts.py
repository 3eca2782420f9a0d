"""Reads texts, and texts that a program has taken for numbers on the way.

Rule: a number that was an identifier is given back its digits where all of them are there, and refused where a
spreadsheet may have rounded some away; so the same identifier from any format is the same text.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any, Final, NoReturn

from rayces_core.fields.text import unstorable
from rayces_core.importing.columns import ExactText, Reading, Unreadable

# Copied along with text from pages, phones and spreadsheets; invisible, and never meant at an end.
INVISIBLE: Final = "\ufeff\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
BLANK: Final = INVISIBLE + " \t\r\n\v\f\u00a0\u2007\u202f\u3000"
_OVERRIDES: Final = ("\u202d", "\u202e")
_FORCED_TEXT: Final = re.compile(r'="((?:[^"]|"")*)"')  # ="00123", as spreadsheets keep zeros in a CSV
_WITH_FRACTION: Final = re.compile(r"([+-]?[0-9]+)[.,]0{1,2}")  # 1143215678.0, as data frames write it
_SCIENTIFIC: Final = re.compile(r"([+-]?[0-9](?:[.,][0-9]+)?)[eE]\+?([0-9]{1,3})")  # 1,14E+09, as spreadsheets do
_NUMBER_BEGINS: Final = frozenset("+-0123456789")
_SPREADSHEET_DIGITS: Final = 15
_LARGEST_EXACT: Final = 2**53
# What a spreadsheet shows, and writes into a CSV, where a formula failed: in English, Spanish and Portuguese.
FAILED_FORMULAS: Final = frozenset(
    (
        *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!"),
        *("#N/D", "#¡REF!", "#¡VALOR!", "#¡DIV/0!", "#¿NOMBRE?", "#¡NUM!", "#¡NULO!", "#¡CALC!"),
        *("#VALOR!", "#NOME?", "#NÚM!", "#NULO!"),
    )
)
_NOTHING: Final = frozenset(("nan", "<na>", "nat", "null", "(null)", "none", "n/a"))  # of which no key is made
_LONGEST_NOTHING: Final = 7
# What programs make of letters of a name: N??ez, Mu&ntilde;oz, Jos%C3%A9, =?UTF-8?Q?Jos=C3=A9?=
_SPOILED: Final = re.compile(r"\w\?|\?\w|&#?\w+;|%[CcEe][0-9A-Fa-f]%|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}")
ROUNDED: Final = "is a number that lost its last digits; format the column as text and write it anew"


def text(value: Any, _: Reading) -> str:
    """Give a text without blanks and invisible characters around it; 1234567.0 from a sheet is "1234567".

    Refuses what PostgreSQL cannot store, characters that turn the direction of reading by force, and numbers that are
    longer than a spreadsheet keeps.
    """
    written: str = value if type(value) is str else _as_text(value)
    while written[:2] == '="' and not isinstance(value, ExactText) and (forced := _FORCED_TEXT.fullmatch(written)):
        written = forced[1].replace('""', '"')
    if written.isascii():
        if "\x00" in written:
            raise ValueError(unstorable(written))
        stripped: str = written.strip()
        return _no_failure(stripped) if stripped[:1] == "#" else stripped or _nothing()
    if problem := unstorable(written):
        raise ValueError(problem)
    stripped = written.strip(BLANK)
    if any(override in stripped for override in _OVERRIDES):
        raise ValueError("has an invisible character that turns the direction of reading; write the text anew")
    return _no_failure(stripped) if stripped[:1] == "#" else stripped or _nothing()


def _no_failure(written: str) -> str:
    if written in FAILED_FORMULAS:
        raise ValueError(f"the formula gave {written}; mend it in the sheet")
    return written


def name(value: Any, reading: Reading) -> str:
    """Give the name of a person; refuses one without a letter, and N??ez or Mu&ntilde;oz, whose letters were lost."""
    written = text(value, reading)
    if written.isalpha():
        return written
    if _SPOILED.search(written):
        raise ValueError(f"{written!r:.60} has letters that a program has spoiled; write the name anew")
    if not any(map(str.isalpha, written)):
        raise ValueError(f"{written!r:.60} has no letter, so it is nobody's name; correct it, or leave the row out")
    return written


def identifier(value: Any, reading: Reading) -> str:
    """Give the text of a code or reference, with the digits that `digits` gives back.

    Refuses the words by which programs say that there is none: two payments with the reference "nan" are two.
    """
    written = digits(value, reading)
    if len(written) <= _LONGEST_NOTHING and written.casefold() in _NOTHING:
        raise ValueError(f"{written!r} is what programs write where nothing is; empty it, or say --null {written!r}")
    return written


def digits(value: Any, reading: Reading) -> str:
    """Give the text of a number that is none to count with: 1143215678.0 and 1.143215678E+09 are "1143215678".

    Refuses 1.14E+09, whose digits are lost.
    """
    written = text(value, reading)
    if written[0] not in _NUMBER_BEGINS or written.isdecimal():
        return written
    if found := _WITH_FRACTION.fullmatch(written):
        return found[1]
    if found := _SCIENTIFIC.fullmatch(written):
        number = Decimal(found[1].replace(",", ".")).scaleb(int(found[2]))
        if len(found[1].lstrip("+-")) - 2 < int(found[2]):
            raise ValueError(f"{written!r:.60} {ROUNDED}")
        return f"{number:f}"
    return written


def fold(written: str) -> str:
    """What is left of a name when accents, case, blanks and punctuation do not matter."""
    if written.isascii():
        bare = written
    else:
        decomposed = unicodedata.normalize("NFKD", written)
        bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return "".join(character for character in bare.casefold() if character.isalnum())


def _nothing() -> NoReturn:
    raise ValueError("has nothing but blanks and invisible characters; leave it empty")


def _as_text(value: Any) -> str:
    match value:
        case str():
            return str.__str__(value)
        case bool():
            return "true" if value else "false"
        case float():
            return _of_float(value)
        case Decimal():
            return _of_decimal(value)
        case int():
            return _of_integer(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case Unreadable():
            raise ValueError(value.reason)
    raise ValueError(f"needs text, got {type(value).__name__}; write it out")


def _of_float(number: float) -> str:
    if not math.isfinite(number):
        raise ValueError("is no number and no text; leave it empty")
    if not number.is_integer():
        return repr(float(number))
    digits = str(int(number))
    # Of more than fifteen digits a spreadsheet makes the rest zeros; a program's float is exact up to 2**53.
    too_long = len(digits.lstrip("-")) > _SPREADSHEET_DIGITS
    if abs(number) >= _LARGEST_EXACT or (too_long and digits.endswith("0")):
        raise ValueError(ROUNDED)
    return digits


def _of_decimal(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError("is no number and no text; leave it empty")
    return f"{number:f}" if number != number.to_integral_value() else f"{number.to_integral_value():f}"


def _of_integer(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python does not print integers of more than some thousand digits
        raise ValueError("is a number too long to print; correct it") from None
