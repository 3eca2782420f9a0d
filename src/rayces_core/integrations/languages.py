"""What errors are called in English and Spanish: gettext catalogues by code, and which language a client reads."""

from __future__ import annotations

import gettext
from functools import lru_cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("en", "es")
DOMAIN: Final = "rayces"
# What stands further behind is not read.
LONGEST_HEADER: Final = 256
LOCALE: Final = Path(__file__).parent / "locale"

_declared: dict[tuple[str, str], str] = {}


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE, [language])


def text(code: str, language: str, context: str = "title") -> str | None:
    """What `code` is called, in a context: "title", "detail" (a pattern of facts) or "reason"; None if nothing.

    A language that there is no catalogue of is English.
    """
    language = language if language in LANGUAGES else LANGUAGES[0]
    if context == "title" and (declared := _declared.get((code, language))):
        return declared
    found = _catalogue(language).pgettext(context, code)
    return None if found == code else found


def declare_text(code: str, **texts: str) -> None:
    """Give a code of the host's own its text in each language."""
    _declared.update({(code, language): words for language, words in texts.items()})


def preferred(accept_language: str, default: str = LANGUAGES[0]) -> str:
    """The language of ours that an Accept-Language header likes best (RFC 9110, 12.5.4), or `default`."""
    return _preferred(accept_language[:LONGEST_HEADER], default)


@lru_cache(maxsize=1024)
def _preferred(accept_language: str, default: str) -> str:
    liked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")):
        tag, _, parameters = part.partition(";")
        language, weight = tag.strip().lower().partition("-")[0], _weight(parameters)
        language = default if language == "*" else language
        if language in LANGUAGES and weight > 0:
            liked.append((-weight, place, language))
    return min(liked)[2] if liked else default


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip().lower() == "q" and 0 <= weight <= 1 else 0.0
