"""The names that a refused row's error tells: constraint, table and column.

Another node of Citus tells them in its sentence alone, with the numbers of its shards, and of a unique key it does not
say the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg2
from psycopg2 import errorcodes as code
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.sqlstates import is_of_a_node, quoted, said

# What is left of a name that would be too long with its shard's number: its beginning, and eight digits for the rest.
_SHORTENED: Final = re.compile(r"_[0-9a-f]{8}$")


class Names(NamedTuple):
    """What a row was refused by; empty where the error does not tell."""

    constraint: str
    table: str
    column: str


def names_of(error: psycopg2.Error, state: str, cursor: PlainCursor | None) -> Names:
    """The names in an error that the server gave for a constraint."""
    diag = error.diag
    if not is_of_a_node(error):
        return Names(diag.constraint_name or "", diag.table_name or "", diag.column_name or "")
    names = [*quoted(said(error)), "", "", ""]
    if state == code.NOT_NULL_VIOLATION:
        return Names("", names[1], names[0])
    known = _known(cursor)
    if state in (code.UNIQUE_VIOLATION, code.EXCLUSION_VIOLATION):
        constraint = _whole(names[0], known)
        return Names(constraint, known.get(constraint, ""), "")
    # Of a row that others name, the error is about the table of those.
    return Names(_whole(names[1], known), names[2] or names[0], "")


def _known(cursor: PlainCursor | None) -> Mapping[str, str]:
    footing = getattr(getattr(cursor, "connection", None), "footing", None)
    known: Mapping[str, str] = {} if footing is None else footing.tables_of_constraints
    return known


def _whole(name: str, known: Mapping[str, str]) -> str:
    """The name as the migrations have it, also where a shard has it shortened."""
    beginning = _SHORTENED.sub("", name)
    if name in known or beginning == name:
        return name
    return next((each for each in known if each.startswith(beginning)), name)
