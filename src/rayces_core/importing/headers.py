"""Which columns the headers of a source are for certain, and which headers somebody has to be asked about.

Rule it guards: a header that may be two columns is read as neither. What stands in brackets after a header counts: it
may say how a value is written, and it may say that the value is another one, as in "Nombre (madre)".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rayces_core.importing.columns import Column
from rayces_core.importing.values import fold
from rayces_core.importing.ways import Way, made_by, with_made
from rayces_core.importing.words import is_hint


@dataclass
class Recognised:
    """What is known of a header.

    Attributes:
        chosen: header → column, or an empty text where the user left it out. doubts: header → the columns it may be.
    """

    chosen: dict[str, str]
    doubts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def placed(self) -> set[str]:
        """The columns that a header is."""
        return {column for column in self.chosen.values() if column}


def recognise(
    header: Sequence[str], columns: Sequence[Column], decided: Mapping[str, str], ways: Sequence[Way] = ()
) -> Recognised:
    """Find the columns of a header.

    Args:
        decided: header → column, or empty, as the user has said; nothing goes before it.
        ways: how columns make others, such as a date and an hour the moment.
    """
    found = Recognised(dict(decided))
    _take(found, header, {fold(column.name): column.name for column in reversed(columns)}, ways)
    own = dict(found.chosen)
    _take(found, header, {fold(name): each.name for each in reversed(columns) for name in each.names}, ways)
    _take_last(found, header, columns)
    free = [name for name in header if name not in own]
    _take_beside(found, free, columns)
    _doubt(found, header, columns, ways)
    _take_without(found, free, columns, ways)
    _drop_ways(found, decided, ways)
    _doubt(found, header, columns, ways)
    return found


def _take(found: Recognised, header: Sequence[str], known: Mapping[str, str], ways: Sequence[Way]) -> None:
    """Take the headers that are known, for the columns that are free yet."""
    taken = found.placed
    for name in header:
        if name not in found.chosen:
            column, doubt = _column_of(name, known, ways)
            if column is not None and column not in taken:
                found.chosen[name] = column
            elif doubt and not taken.issuperset(doubt):
                found.doubts[name] = doubt
    for name in found.chosen:
        found.doubts.pop(name, None)


def _column_of(name: str, known: Mapping[str, str], ways: Sequence[Way]) -> tuple[str | None, tuple[str, ...]]:
    """The column that a header is, or those that it may be, by what stands before and within its brackets."""
    if whole := known.get(fold(name)):
        return whole, ()
    before, bracket, rest = name.partition("(")
    column = known.get(fold(before)) if bracket else None
    if column is None:
        return None, ()
    within = rest.partition(")")[0]
    if is_hint(within):
        return column, ()
    said = known.get(fold(within))
    if said is not None and (said == column or column in made_by(said, ways)):
        return said, ()
    return None, (column,) if said is None else (column, said)


def _take_last(found: Recognised, header: Sequence[str], columns: Sequence[Column]) -> None:
    for column in columns:
        if column.name not in found.placed:
            for word in column.words.last:
                if taken := list(_alike(word, (name for name in header if name not in found.chosen))):
                    found.chosen |= dict.fromkeys(taken, column.name)  # more than one is said to be one too many
                    break


def _take_beside(found: Recognised, free: Sequence[str], columns: Sequence[Column]) -> None:
    for column in columns:
        for other, words in column.words.beside.items():
            names = _alike_any(words, free)
            partners = {name for name, taken in found.chosen.items() if taken == other}.difference(names)
            if names and partners and column.name not in found.placed:
                same = {fold(names[0]), _before(names[0])} - {None}
                taken = [name for name in names if {fold(name), _before(name)} & same]
                found.chosen |= dict.fromkeys(taken, column.name)


def _take_without(found: Recognised, free: Sequence[str], columns: Sequence[Column], ways: Sequence[Way]) -> None:
    for column in columns:
        for other, words in column.words.without.items():
            for name in _alike_any(words, free):
                there = with_made(found.placed, ways).union(*found.doubts.values())
                if not {other, column.name} & there:
                    found.chosen[name] = column.name


def _drop_ways(found: Recognised, decided: Mapping[str, str], ways: Sequence[Way]) -> None:
    """Leave out what makes nothing, such as a display name beside first and last, and an hour without its day."""
    there = found.placed
    open_ways = [
        way for way in ways if there.issuperset(way.needs) and (way.compares or not there.issuperset(way.makes))
    ]
    useful = {need for way in open_ways for need in way.needs}
    spare = {need for way in ways for need in way.needs} - useful
    for name in [name for name, column in found.chosen.items() if column in spare and name not in decided]:
        del found.chosen[name]


def _doubt(found: Recognised, header: Sequence[str], columns: Sequence[Column], ways: Sequence[Way]) -> None:
    """Note the headers that may be something, unless all that they may be is there already."""
    there = with_made(found.placed, ways)
    for name in header:
        if name in found.chosen:
            found.doubts.pop(name, None)
            continue
        asked = {fold(name)} | ({fold(name.partition("(")[0])} if "(" in name else set())
        may_be = tuple(
            column.name
            for column in columns
            if column.name not in there and any(fold(word) in asked for word in column.words.perhaps)
        )
        if may_be:
            found.doubts[name] = may_be
        elif name in found.doubts and there.issuperset(found.doubts[name]):
            del found.doubts[name]


def _alike(word: str, names: Iterable[str]) -> Iterator[str]:
    wanted = fold(word)
    return (name for name in names if wanted in (fold(name), _before(name)))


def _alike_any(words: Sequence[str], names: Sequence[str]) -> list[str]:
    wanted = {fold(word) for word in words}
    return [name for name in names if fold(name) in wanted or _before(name) in wanted]


def _before(name: str) -> str | None:
    """What stands before brackets that say nothing else."""
    before, bracket, rest = name.partition("(")
    return fold(before) if bracket and is_hint(rest.partition(")")[0]) else None
