"""How a person is known again in what others wrote: by whole name, e-mail address and telephone number."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, Literal
from unicodedata import normalize

LEAST_DIGITS: Final = 6
LEAST_LETTERS: Final = 5
# An accent is part of its letter, or a character of its own, as some keyboards and programs write it.
FORMS: Final[tuple[Literal["NFC", "NFD"], ...]] = ("NFC", "NFD")
# A number within its country; what is before it is the country's prefix.
NATIONAL_DIGITS: Final = 10
_BETWEEN: Final = r"[^0-9A-Za-z]{0,3}"
ERASED: Final = "[erased]"
# Of JSON, what may mention somebody: texts, names of values, and numbers.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


def pattern(people: Iterable[Any]) -> str | None:
    """A regular expression of PostgreSQL that finds them, in text and in the text of JSON; None where nothing would.

    A first name alone is anybody's, and is not looked for.
    """
    found: dict[str, None] = {}
    for person in people:
        found |= dict.fromkeys(_names(person.first_name, person.last_name))
        found |= dict.fromkeys(_plain(getattr(person, "email", None)))
        found |= dict.fromkeys(_digits(getattr(person, "phone", None)))
    return rf"(?<!\w)(?:{'|'.join(found)})(?!\w)" if found else None


def without(document: str, mentions: str) -> str:
    """The text of a JSON document whose texts and numbers mention nobody whom the pattern finds."""
    found = re.compile(mentions, re.IGNORECASE)

    def cleaned(token: re.Match[str]) -> str:
        said = json.loads(token[0]) if token[0].startswith('"') else token[0]
        left = found.sub(ERASED, said)
        return token[0] if left == said else json.dumps(left, ensure_ascii=False)

    return _TOKEN.sub(cleaned, document)


def _names(first: str | None, last: str | None) -> list[str]:
    if not first or not last:
        return []
    return [name for form in FORMS for name in _in_both_orders(normalize(form, first), normalize(form, last))]


def _in_both_orders(first: str, last: str) -> list[str]:
    one, other = (r"\s+".join(map(_escaped, name.split())) for name in (first, last))
    return [rf"{one}\s+{other}", rf"{other},?\s+{one}"]


def _plain(text: str | None) -> list[str]:
    return [_escaped(text)] if text and len(text) >= LEAST_LETTERS else []


def _digits(phone: str | None) -> list[str]:
    """The number with its country's prefix, and as it is written within the country, with a zero or without."""
    digits = re.sub("[^0-9]", "", phone or "")
    if len(digits) < LEAST_DIGITS:
        return []
    abroad, within = digits[:-NATIONAL_DIGITS], _BETWEEN.join(digits[-NATIONAL_DIGITS:])
    return (
        [rf"\+?{_BETWEEN.join(abroad)}{_BETWEEN}{within}", f"(?:0{_BETWEEN})?{within}"] if abroad else [rf"\+?{within}"]
    )


def _escaped(text: str) -> str:
    """As text, or as it stands within JSON where that is written otherwise."""
    plain, within = re.escape(text), re.escape(json.dumps(text, ensure_ascii=False)[1:-1])
    return plain if plain == within else f"(?:{plain}|{within})"
