"""Reads phone numbers as people write them in a country, by the rules of its numbering plan.

Rule: a number is stored only where that country has such a number and nothing of what was written is left out: an area
code that is missing is not guessed, a second number beside the first one is not dropped.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from rayces_core.errors import MissingExtraError
from rayces_core.fields.countries import name_of
from rayces_core.importing.columns import Reading
from rayces_core.importing.texts import ROUNDED, digits, fold

_ANYWHERE: Final = "+54 11 4321-5678"
_ROUND: Final = 10**6  # a float with as many zeros was rounded: nobody's number ends so
_LABELS: Final = frozenset(
    (
        *("tel", "telf", "telefono", "telefone", "phone", "ph", "cel", "celular", "mobile", "mob", "movil", "fijo"),
        *("whatsapp", "wa", "wsp", "linea", "c", "f", "m", "p", "t", "https", "api", "me", "com", "send"),
    )
)
_BEFORE: Final = re.compile(r"[^+\d]*")
_WORD: Final = re.compile(r"[^\W\d_]+")
# What was dialled before a whole number of the country, by its code, until its plan was changed: 044 55 1234 5678.
_FORMERLY: Final = {
    52: re.compile(r"(?:(?:00)?521|(?:52)?(?:01|044|045))([0-9]{10})"),
    56: re.compile(r"(?:56)?0([0-9]{9})"),
}
_SECOND: Final = re.compile(r"[;,]\s*\d|[\\/]\s*x")


def phone(value: Any, reading: Reading) -> str:
    """Give a phone number as E.164 has it, such as +541143215678, an extension kept as ";ext=12".

    A number without its country's code is one of `reading.country`.
    """
    if isinstance(value, float) and abs(value) > _ROUND and value % _ROUND == 0:
        raise ValueError(ROUNDED)
    return _phone(digits(value, reading), reading.country)


@lru_cache(maxsize=4096)
def _phone(written: str, country: str | None) -> str:
    try:
        import phonenumbers
    except ImportError:
        raise MissingExtraError('Phone numbers need: pip install "rayces-core[importing]"') from None
    known = country if country in phonenumbers.SUPPORTED_REGIONS else None
    _refuse_words(written, known)
    try:
        number = phonenumbers.parse(written, known)
    except phonenumbers.NumberParseException as error:
        raise ValueError(_unparsed(written, known, error.error_type)) from None
    if not phonenumbers.is_valid_number(number):
        number = _without_former_prefix(written, number) or number
    if not phonenumbers.is_valid_number(number):
        raise ValueError(_invalid(written, known, number))
    bare = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{bare};ext={number.extension}" if number.extension else bare


def _refuse_words(written: str, country: str | None) -> None:
    """Refuse what the parser would pass over: words before the number, another number behind it."""
    before: str = _BEFORE.match(written)[0]  # type: ignore[index]
    if before != written and any(fold(word) not in _LABELS for word in _WORD.findall(before)):
        raise ValueError(f"{written!r:.60} has words beside the number; write it as {_example(country)}")
    if _SECOND.search(written) and ";ext=" not in written and "phone-context" not in written:
        raise ValueError(f"{written!r:.60} has more than one number; keep one of them")


def _without_former_prefix(written: str, number: Any) -> Any | None:
    import phonenumbers

    former = _FORMERLY.get(number.country_code)
    found = former and former.fullmatch("".join(character for character in written if character.isdigit()))
    return phonenumbers.parse(f"+{number.country_code}{found[1]}") if found else None


def _unparsed(written: str, country: str | None, kind: int) -> str:
    import phonenumbers

    count = sum(character.isdigit() for character in written)
    if kind == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and country is None and count > 3:
        ask = 'or name the country with --country (country="AR"), or in the organization\'s settings'
        return f"{written!r:.60} has no country's code, and no country is known here; write it as {_ANYWHERE}, {ask}"
    return f"{written!r:.60} is no phone number; write it as {_example(country)}"


def _invalid(written: str, country: str | None, number: Any) -> str:
    import phonenumbers

    held = phonenumbers.is_possible_number_with_reason(number)
    example = _example(phonenumbers.region_code_for_country_code(number.country_code))
    if held == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
        return f"{written!r:.60} has too few digits, no area code; write it as {example}"
    if held != phonenumbers.ValidationResult.IS_POSSIBLE or number.italian_leading_zero:  # no trunk prefix came off
        return f"{written!r:.60} has too few or too many digits; write it as {example}"
    if country is None or number.country_code != phonenumbers.country_code_for_region(country):
        return f"{written!r:.60} is a number that nobody has; correct it"
    other = "correct it, or begin another country's number with + and its code"
    return f"{written!r:.60} is no number of {name_of(country)}; {other}"


def _example(country: str | None) -> str:
    import phonenumbers

    number = phonenumbers.example_number(country) if country else None
    if country == "AR" or number is None:
        return _ANYWHERE
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
