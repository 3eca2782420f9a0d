"""Reads one of a few values by the words that people write for it; a word of two meanings is refused with both.

Rule it guards: "alta" is signing up in an office and the discharge in a clinic, so nobody reads it unasked: the row
says what the word may mean, and the user what it means in this source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from rayces_core.errors import ColumnMappingError
from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.names import Person
from rayces_core.importing.record import Record
from rayces_core.importing.values import fold

NO_WORDS: Final[Mapping[str, str]] = {}


class Choice:
    """A reader of one of a few values.

    Args:
        aliases: value → the words for it, the first of which is shown. asked: word → what to say of it instead of
            reading it. given: word → a word of `aliases` that the user says it means.
    """

    def __init__(
        self, aliases: Mapping[Any, Iterable[str]], asked: Mapping[str, str], given: Mapping[str, str] = NO_WORDS
    ) -> None:
        self._aliases, self._words = aliases, asked
        self._read = values.choice(aliases)
        self._asked = {fold(word): reason for word, reason in asked.items()}
        self._given = {fold(word): meant for word, meant in given.items()}

    def __call__(self, value: Any, reading: Reading) -> Any:
        """Give the value that a word stands for.

        Raises:
            ValueError: it stands for none, or may stand for several.
        """
        if self._given and isinstance(value, str):
            value = self._given.get(fold(value), value)
        try:
            return self._read(value, reading)
        except ValueError:
            reason = self._asked.get(fold(value)) if isinstance(value, str) else None
            if reason is None:
                raise
            raise ValueError(f"{value!r:.60} {reason.format(word=value[:60])}") from None

    def knows(self, word: str, reading: Reading) -> bool:
        """Whether it reads this word."""
        try:
            self(word, reading)
        except ValueError:
            return False
        return True

    def with_words(self, given: Mapping[str, str]) -> Choice:
        """A reader that knows these words as well."""
        return Choice(self._aliases, self._words, given)


def asked(*words: str, means: tuple[str, ...]) -> dict[str, str]:
    """Say of each word that it may mean several values, and how to say which."""
    say = f'write the one that is meant, or say it of all with --word "{{word}}={means[0]}"'
    return dict.fromkeys(words, f"may mean {' or '.join(means)}; {say}")


def with_words(record: Record, given: Mapping[str, str], reading: Reading) -> Record:
    """A record type whose choices know the words that the user gives: word in the source → a value.

    Raises:
        ColumnMappingError: nothing of the record type has that value.
    """
    if not given:
        return record
    choices = {column.name: column.read for column in record.readable if isinstance(column.read, Choice | Person)}
    unknown = [value for value in given.values() if not any(each.knows(value, reading) for each in choices.values())]
    if unknown:
        has = ", ".join(choices) or "no column"
        raise ColumnMappingError(f"{unknown[0]!r:.60} is no value of {has} of {record.name}; write one that is")
    return replace(
        record,
        columns=tuple(_knowing(each, given, reading) for each in record.columns),
        also=tuple(_knowing(each, given, reading) for each in record.also),
    )


def _knowing(column: Column, given: Mapping[str, str], reading: Reading) -> Column:
    read = column.read
    if not isinstance(read, Choice | Person):
        return column
    return replace(column, read=read.with_words({word: is_ for word, is_ in given.items() if read.knows(is_, reading)}))
