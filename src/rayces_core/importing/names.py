"""Reads whole names of people, which say for certain what is first and what is last only with a comma between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.values import email, fold, name, text
from rayces_core.importing.ways import Way

# What follows a comma without being a first name.
SUFFIXES: Final = frozenset(
    (
        *("jr", "sr", "junior", "senior", "filho", "neto", "hijo", "ii", "iii", "iv", "md", "phd", "esq", "rn"),
        *("dr", "dra", "lic", "lica", "prof", "mg", "ing", "sra", "srta", "mr", "mrs", "ms"),
    )
)
NOTHING_GIVEN: Final[Mapping[str, str]] = {}
LONGEST: Final = 400  # two names of 200 each
TWO_COLUMNS: Final = "write it as 'Sosa, Luz', or in two columns"


def whole_name(value: Any, reading: Reading) -> tuple[str, str]:
    """Give last and first name of "Sosa, Luz".

    Raises:
        ValueError: it has no comma, several, or what follows is no name, such as "King, Jr.".
    """
    written = name(value, reading)
    last, comma, first = (part.strip() for part in written.partition(","))
    if "@" in written:
        raise ValueError(f"{written!r:.60} is an e-mail address and no name; map the column to where it belongs")
    if not comma:
        raise ValueError(f"{written!r:.60} does not say which is the last name; {TWO_COLUMNS}")
    if not fold(last) or not fold(first) or "," in first or fold(first) in SUFFIXES:
        raise ValueError(f"{written!r:.60} is no last name, comma, first name; {TWO_COLUMNS}")
    return last, first


def name_or_first(value: Any, reading: Reading) -> tuple[str | None, str]:
    """Give last and first name as `whole_name` does; a single word is a first name."""
    written = name(value, reading)
    if "," in written or len(written.split()) == 1:
        return whole_name(written, reading) if "," in written else (None, written)
    raise ValueError(
        f"{written!r:.60} does not say which is the last name; {TWO_COLUMNS}, or map the column to first_name where it "
        "has nothing but first names"
    )


class Person:
    """A reader of whom a row refers to; `given` is what the user says a word means, such as a file's own number."""

    def __init__(self, given: Mapping[str, str] = NOTHING_GIVEN) -> None:
        self._given = {fold(word): meant for word, meant in given.items()}

    def __call__(self, value: Any, reading: Reading) -> str:
        """Give the e-mail address of a person, or the name as it is written where there is no @ in it.

        Raises:
            ValueError: it is neither.
        """
        written = text(value, reading)
        if self._given:
            written = self._given.get(fold(written), written)
        if "@" in written:
            return email(written, reading)
        if not fold(written) or len(written) > LONGEST:
            raise ValueError(f"{written!r:.60} is neither an e-mail address nor a name; write one of them")
        return written

    def knows(self, word: str, _: Reading) -> bool:
        """Whether a word of the user's may mean a person: it is an e-mail address."""
        return "@" in word

    def with_words(self, given: Mapping[str, str]) -> Person:
        """A reader that knows these words as well."""
        return Person(given)


person: Final = Person()


def _split(values: Mapping[str, Any], _: Reading) -> Mapping[str, Any]:
    last, first = values["full_name"]
    return {"first_name": first} if last is None else {"first_name": first, "last_name": last}


FULL_NAME: Final = Column("full_name", whole_name, about="Last name, comma, first name.")
USERS_NAME: Final = Column("full_name", name_or_first, about="Last name, comma, first name; or a first name alone.")
BY_FULL_NAME: Final = Way(("full_name",), ("first_name", "last_name"), _split)
