"""Finds the row that names the columns, below whatever titles stand above it.

Rule: a row is passed over only where the one below is certainly a header: it has more of the known names, or the row
above it is a title of one or two cells over a wide table. What is passed over is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median_low
from typing import Any, Final

from rayces_core.errors import SourceError
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources.source import checked_header
from rayces_core.importing.values import fold

SAMPLE_ROWS: Final = 60
_ITSELF: Final = frozenset(("alumno", "alumna", "paciente", "estudiante", "student", "patient", "aluno", "aluna"))
_EMPTY: Final = "is empty; its first row must name the columns"


@dataclass(frozen=True)
class Layout:
    """What is known about where a table begins.

    Attributes:
        header_row: number of the row that names the columns; None finds it. no_header: whether there is none, so that
            the columns are called by their places, "(column 1)".
        words: names of columns that are known, as `values.fold` leaves them.
    """

    header_row: int | None = None
    no_header: bool = False
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Header:
    """The names of the columns; rows of higher numbers than `row` are the table's."""

    row: int
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


Numbered = tuple[int, Sequence[Any]]


def find_header(rows: Iterable[Numbered], layout: Layout, name: str) -> Header:
    """Find the header in rows as they stand in the source; a cell without anything is an empty text or None.

    Raises:
        SourceError: there is none, or it cannot be one.
    """
    if layout.header_row is not None and layout.no_header:
        raise SourceError(name, "cannot both have a header and none; leave header_row= or no_header= out")
    if layout.header_row is not None:
        return _named_row(rows, layout.header_row, name)
    sample = list(islice(((number, cells) for number, cells in rows if _filled(cells)), SAMPLE_ROWS))
    if not sample:
        raise SourceError(name, _EMPTY)
    if layout.no_header:
        width = max(len(_trimmed(cells)) for _, cells in sample)
        return Header(sample[0][0] - 1, checked_header(name, [""] * width))
    place = _place(sample, layout.words)
    number, cells = sample[place]
    above = sample[place - 1] if place else (0, ())
    if above[0] == number - 1 and 1 < len(_filled(above[1])) < len(_filled(cells)) and _are_names(above[1]):
        names = _grouped(above[1], cells, layout.words)
        notes = (*_passed_over(sample, above[0]), f"rows {above[0]} and {number} name the columns")
        return Header(number, checked_header(name, names, number), notes)
    return Header(number, checked_header(name, _names(cells), number), _passed_over(sample, number))


def _grouped(above: Sequence[Any], cells: Sequence[Any], words: frozenset[str]) -> list[str]:
    """The names of a header below another that groups them: "Nombre", "Nombre Responsable".

    The columns of the first group are called by their own names, unless some are known with the group's.
    """
    width = max(len(_trimmed(above)), len(_trimmed(cells)))
    groups, names = ([_named(cell) for cell in (*row, *[None] * width)][:width] for row in (above, cells))
    for place in range(1, width):
        groups[place] = groups[place] or groups[place - 1]
    whole = [_of_group(name, group, words) for name, group in zip(names, groups, strict=True)]
    qualifying = {group for name, group in zip(whole, groups, strict=True) if fold(name) in words}
    first = next(group for group in groups if group)
    return [
        name if name and _is_own(group, both, first, qualifying, words) else both.strip()
        for name, group, both in zip(names, groups, whole, strict=True)
    ]


def _of_group(name: str, group: str, words: frozenset[str]) -> str:
    """What a column of a group is called, as it is known: "Teléfono de contacto"."""
    if not name or not group or fold(name) == fold(group):
        return group or name
    called = [f"{name} {glue}{group}" for glue in ("", "del ", "de la ", "de ", "do ", "da ")]
    return next((each for each in called if fold(each) in words), called[0])


def _is_own(group: str, both: str, first: str, qualifying: set[str], words: frozenset[str]) -> bool:
    """Whether a column is called by its own name alone: the row is about the group, or the group is the first."""
    if group in qualifying:
        return fold(group) in _ITSELF and fold(both) not in words
    return group in ("", first)


def _named_row(rows: Iterable[Numbered], wanted: int, name: str) -> Header:
    for number, cells in rows:
        if number == wanted and _filled(cells):
            return Header(number, checked_header(name, _names(cells), number))
        if number >= wanted:
            break
    raise SourceError(name, f"row {wanted} is empty, is not there, or no row begins there; name the one with the names")


def _passed_over(sample: Sequence[Numbered], header: int) -> tuple[str, ...]:
    above = [number for number, _ in sample if number < header]
    if not above:
        return ()
    rows = f"row {above[0]}" if len(above) == 1 else f"rows {above[0]} to {above[-1]}"
    return (f"{rows} above the names of the columns, in row {header}, {'is' if len(above) == 1 else 'are'} not read",)


def _place(sample: Sequence[Numbered], words: frozenset[str]) -> int:
    """Which row of the sample is the header."""
    known = [_known(cells, words) for _, cells in sample]
    best = known.index(max(known))
    if best and known[best] > max(known[0], 1) and _are_texts(sample[best][1]) and _is_wider(sample, best):
        return best
    return 0 if known[0] else _below_titles(sample)


def _is_wider(sample: Sequence[Numbered], best: int) -> bool:
    return all(len(_filled(cells)) < len(_filled(sample[best][1])) for _, cells in sample[:best])


def _below_titles(sample: Sequence[Numbered]) -> int:
    """The first row that is as wide as the table, where all above have at most a third of its cells."""
    typical = median_low(len(_filled(cells)) for _, cells in sample)
    for place, (_, cells) in enumerate(sample):
        if len(_filled(cells)) > typical // 3 or typical < 3:
            return place if _are_names(cells) and len(sample) > place + 1 else 0
    return 0


def _known(cells: Sequence[Any], words: frozenset[str]) -> int:
    if not words:
        return 0
    texts = {cell.strip() for cell in cells if isinstance(cell, str) and len(cell) <= 60}
    return sum(1 for text in texts if text and (fold(text) in words or fold(text.partition("(")[0]) in words))


def _are_names(cells: Sequence[Any]) -> bool:
    """Whether all cells are texts that may name a column, and each is there once."""
    filled = _filled(cells)
    return _are_texts(cells) and len(set(filled)) == len(filled)


def _are_texts(cells: Sequence[Any]) -> bool:
    """Whether no cell is a date, a number or an address."""
    return all(isinstance(cell, str) and not _is_value(cell) for cell in _filled(cells))


def _is_value(text: str) -> bool:
    return "@" in text or not any(character.isalpha() for character in text)


def _filled(cells: Sequence[Any]) -> list[Any]:
    return [cell for cell in cells if not _is_nothing(cell)]


def _trimmed(cells: Sequence[Any]) -> Sequence[Any]:
    width = max((place for place, cell in enumerate(cells, 1) if not _is_nothing(cell)), default=0)
    return cells[:width]


def _is_nothing(cell: Any) -> bool:
    return cell is None or isinstance(cell, Unreadable) or (isinstance(cell, str) and (not cell or cell.isspace()))


def _names(cells: Sequence[Any]) -> list[str]:
    return [_named(cell) for cell in _trimmed(cells)]


def _named(cell: Any) -> str:
    if cell is None or isinstance(cell, Unreadable):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
