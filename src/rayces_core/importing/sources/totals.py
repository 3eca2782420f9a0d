"""Leaves out the totals that people write below a table, and refuses those within it: they are nobody's row."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from rayces_core.importing.sources.source import Row, unreadable

MAX_HELD: Final = 50
_WITHIN: Final = "is a total within the table and no row of its own; leave it out"
_FIRST_LETTERS: Final = frozenset("tTsSgGpPcCaA \t")
_TOTAL: Final = re.compile(
    r"(?:(?:sub|gran |grand )?total(?:es)?|suma|sumatoria|promedio|average|cantidad|count)\b(?:[^@,]|,(?=\d)){0,40}",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"(?:[A-Z]{0,3}[$€£])?[\s0-9.,%+()-]*[0-9][\s0-9.,%+()-]*(?:[$€£]|[A-Z]{3})?")


def without_totals(rows: Iterator[Row], tell: Callable[[str], None]) -> Iterator[Row]:
    """Leave out the rows at the end that say "Total" and have nothing else but numbers; `tell` is told of them.

    Such a row that has others below it is unreadable.
    """
    held: list[Row] = []
    for numbered in rows:
        row = numbered[1]
        first = row[0]
        if first is None:
            first = next((value for value in row if value is not None), None)
        if type(first) is str and first[0] in _FIRST_LETTERS and _is_total(first, row):
            held.append(numbered)
            if len(held) <= MAX_HELD:
                continue
            numbered = held.pop()
            numbered = next(_refused([numbered]))
        if held:
            yield from _refused(held)
            held.clear()
        yield numbered
    if held:
        numbers = ", ".join(str(number) for number, _ in held[:5]) + (", …" if len(held) > 5 else "")
        rows_are = "row {} at the end is a total" if len(held) == 1 else "rows {} at the end are totals"
        tell(f"{rows_are.format(numbers)} and not read")


def _refused(totals: list[Row]) -> Iterator[Row]:
    return ((number, unreadable(_WITHIN, len(row))) for number, row in totals)


def _is_total(first: str, row: Sequence[Any]) -> bool:
    return _TOTAL.fullmatch(first.strip()) is not None and all(value is first or _is_number(value) for value in row)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value.strip()) is not None
    return not isinstance(value, dt.date)
