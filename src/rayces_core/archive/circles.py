"""The order in which tables are filled, and the columns that wait until all rows are there since they close a circle.

Rule it guards: the order depends on the tables alone, so it is the same wherever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A table that needs rows of another; `loose` are the columns that may name them later, empty where none may."""

    table: str
    needs: str
    loose: tuple[str, ...]
    is_host: bool


@dataclass(frozen=True, slots=True)
class Order:
    """The tables' names in their order, and table → columns that are written when all of them are filled."""

    names: tuple[str, ...]
    later: Mapping[str, tuple[str, ...]]


def in_order(names: Sequence[str], links: Sequence[Link], problem: Callable[[str, str, str], Any]) -> Order:
    """Put tables in order; `problem` is told of each circle that no column opens."""
    left, later = list(links), dict[str, list[str]]()
    while (circle := _circle(names, left)) is not None:
        opened = _opening(circle, left)
        if opened is None:
            around = " → ".join(circle)
            problem(f"the rows of {around} need each other: let a column between them be NULL", "TABLE", circle[0])
            opened = [link for link in left if (link.table, link.needs) == (circle[1], circle[0])]
        for link in opened:
            left.remove(link)
            later.setdefault(link.table, []).extend(link.loose)
    order = TopologicalSorter({name: sorted(_needs(name, left)) for name in names}).static_order()
    return Order(tuple(order), {name: tuple(dict.fromkeys(columns)) for name, columns in later.items()})


def _needs(name: str, links: Sequence[Link]) -> set[str]:
    return {link.needs for link in links if link.table == name}


def _circle(names: Sequence[str], links: Sequence[Link]) -> list[str] | None:
    """Tables that need each other, each followed by one that needs it; the first one is also the last one."""
    try:
        TopologicalSorter({name: sorted(_needs(name, links)) for name in names}).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None


def _opening(circle: Sequence[str], links: Sequence[Link]) -> list[Link] | None:
    """The links between two tables of a circle that can all wait, a host's before the library's."""
    ways = []
    for needed, table in pairwise(circle):
        between = [link for link in links if (link.table, link.needs) == (table, needed)]
        if all(link.loose for link in between):
            ways.append(between)
    return min(ways, key=lambda way: (not way[0].is_host, way[0].table, way[0].needs), default=None)
