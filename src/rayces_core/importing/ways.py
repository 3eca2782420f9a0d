"""Way: how some columns of a row make others, such as a whole name the first and the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayces_core.importing.columns import Reading

Making = Callable[[Mapping[str, Any], Reading], Mapping[str, Any]]


@dataclass(frozen=True)
class Way:
    """Columns that make others.

    Attributes:
        needs: the columns that have to be there. makes: those that are there then as well.
        make: gives the values of `makes` that a row's values say, or raises ValueError whose text says what is wrong
            and what to do; None where the database finds what they stand for.
        compares: whether it is asked also where what it makes is there, so that the two can be compared.
        always: whether what it makes is there for certain where a row has what it needs.
    """

    needs: tuple[str, ...]
    makes: tuple[str, ...]
    make: Making | None = None
    compares: bool = False
    always: bool = True


def made_by(column: str, ways: Sequence[Way]) -> set[str]:
    """The columns that a column makes, alone or with others."""
    return {made for way in ways if column in way.needs for made in way.makes}


def with_made(columns: set[str], ways: Sequence[Way]) -> set[str]:
    """Columns that are there, and those that they make."""
    return columns | {made for way in ways if way.always and columns.issuperset(way.needs) for made in way.makes}
