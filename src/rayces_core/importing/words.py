"""The headers that a record type's columns are known by, from words.toml: data, in one place for all languages.

Rule it guards: a header is a column's for certain, or somebody is asked; what the file says nothing of is not read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from rayces_core.importing.columns import Column, Words
from rayces_core.importing.values import fold

LANGUAGES: Final = ("en", "es", "pt", "programs")


def named(record: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Give the columns of a record type with the headers that the file has for them."""
    known = table().get(record, {})
    return tuple(_named(column, known.get(column.name, {})) for column in columns)


def why(header: str) -> str:
    """What a header that is asked about may say, or an empty text."""
    return _reasons().get(fold(header), "")


def is_hint(bracketed: str) -> bool:
    """Whether what stands in brackets says only how a value is written, as "(dd/mm/aaaa)" and "(obligatorio)" do."""
    spaced = "".join(character if character.isalnum() else " " for character in bracketed)
    return all(word.isdigit() or fold(word) in _hints() for word in spaced.split())


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """All of the file: record type → column → its headers, and beside them `why` and `hints`."""
    return tomllib.loads(files("rayces_core.importing").joinpath("words.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _reasons() -> dict[str, str]:
    return {fold(header): reason for header, reason in table()["why"].items()}


@lru_cache(maxsize=1)
def _hints() -> frozenset[str]:
    return frozenset(fold(word) for word in table()["hints"]["words"])


def _named(column: Column, known: dict[str, Any]) -> Column:
    names = tuple(name for language in LANGUAGES for name in known.get(language, ()))
    words = Words(
        last=tuple(known.get("last", ())),
        beside={other: tuple(names) for other, names in known.get("beside", {}).items()},
        without={other: tuple(names) for other, names in known.get("without", {}).items()},
        perhaps=tuple(known.get("perhaps", ())),
        never=tuple(known.get("never", ())),
    )
    return replace(column, names=(*column.names, *names), words=words)
