"""What every model says of people in its Meta, put together: what a merge and what an erasure make of its rows.

`personal` says of each column of text what it says of a person, and `merging` of each reference to a user what becomes
of it, both as kind → names. `erased_with` names the reference with whose user a row goes; `erased_as` what stands in a
column afterwards, as SQL, where that is not NULL. Tests ask the catalogue for a column or a reference without any.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from peewee import Model

from rayces_core.models import TENANT_MODELS
from rayces_core.tenancy.organization import Organization

MODELLED: Final[tuple[type[Model], ...]] = (Organization, *TENANT_MODELS)
MODELS: Final[dict[str, Any]] = {model._meta.table_name: model for model in MODELLED}


class Says(StrEnum):
    """What a column says of a person."""

    OWN = "own"  # it is the person's, and goes with it
    OWN_WORDS = "own_words"  # and it may mention others
    WORDS = "words"  # somebody wrote it, so it may mention anybody
    KEPT = "kept"  # it names a payment or a request, by which it has to be found again, or is an invoice's
    GONE = "gone"  # the row goes with the person, or by itself within a day
    PLAIN = "plain"  # it says nothing of a person


class Rule(StrEnum):
    """What becomes of rows that name the duplicate."""

    MOVED = "moved"
    KEPT = "kept"
    REMOVED = "removed"
    REFUSED = "refused"


def _said(name: str) -> Iterator[tuple[str, Any]]:
    """Table → what its model says under that name."""
    for table, model in MODELS.items():
        if said := getattr(model._meta, name, None):
            yield table, said


# Table → column → what it says.
PERSONAL: Final[dict[str, dict[str, Says]]] = {
    table: {column: Says(kind) for kind, columns in said.items() for column in columns.split()}
    for table, said in _said("personal")
}
# What happened stays with whom it happened to; what is still to come is the person's, whoever it was entered for.
RULES: Final[dict[tuple[str, str], Rule]] = {
    (table, column): Rule(kind)
    for table, said in _said("merging")
    for kind, columns in said.items()
    for column in columns.split()
}
REMOVED: Final[dict[str, str]] = dict(_said("erased_with"))


def columns(*says: Says) -> dict[str, tuple[str, ...]]:
    """Table → its columns that say one of these."""
    found = {table: tuple(name for name, word in words.items() if word in says) for table, words in PERSONAL.items()}
    return {table: names for table, names in found.items() if names}


# Table → column → what stands there afterwards.
REPLACED: Final[dict[str, dict[str, str]]] = {
    table: dict.fromkeys(names, "NULL") | getattr(MODELS[table]._meta, "erased_as", {})
    for table, names in columns(Says.OWN, Says.OWN_WORDS).items()
}
