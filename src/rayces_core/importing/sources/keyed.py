"""Rows whose values are named: dicts, Pydantic models, objects of JSON.

Rule: the header is every key of the first rows, whatever their order; a key that only a later row has is not lost,
that row is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final

from pydantic import BaseModel

from rayces_core.errors import SourceError
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources.source import (
    BATCH_ROWS,
    MAX_COLUMNS,
    Opened,
    Row,
    checked_header,
    unreadable,
    whole,
)

FIRST_ROWS: Final = 1_000

Keyed = tuple[int, Any]


class IterableSource(Opened):
    """An iterable of dicts or Pydantic models; see `Source`. A list can be read again, an iterator once."""

    fingerprint: str | None = None

    def __init__(self, rows: Iterable[Any], name: str = "rows") -> None:
        self.name, self._read = name, 0
        self._rows, self._once = rows, iter(rows) is rows
        self._length = len(rows) if isinstance(rows, Sequence) else None
        numbered = self._numbered()
        first = list(islice(numbered, FIRST_ROWS))
        self.header = header_of(first, name)
        self._opened: Iterator[Keyed] | None = chain(first, numbered) if self._once else None

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        if not self._once:
            return self.in_batches(in_order(self._numbered(), self.header), rows)
        if self._opened is None:
            raise SourceError(self.name, "has been read already; give a list, or make the iterator anew")
        opened, self._opened = self._opened, None
        return self.in_batches(in_order(opened, self.header), rows)

    def progress(self) -> float | None:
        """Give the share of the rows that is read so far; None for what has no length."""
        return self._read / self._length if self._length else None

    def _numbered(self) -> Iterator[Keyed]:
        for number, row in enumerate(self._rows, 1):
            self._read = number
            if isinstance(row, dict):
                yield number, row
            else:
                yield number, self._dict_of(row, number)

    def _dict_of(self, row: Any, number: int) -> Any:
        if isinstance(row, BaseModel):
            return row.model_dump()
        if isinstance(row, Mapping):
            return dict(row)
        raise SourceError(self.name, f"is a {type(row).__name__}; give dicts or Pydantic models", number)


def header_of(first: Sequence[Keyed], name: str) -> tuple[str, ...]:
    """Give the keys of the first rows in the order they appear.

    Raises:
        SourceError: there is no row, no key, a key that is no text, or the names make no header.
    """
    keys: dict[str, None] = {}
    for number, row in first:
        if isinstance(row, Unreadable):
            continue
        keys.update(dict.fromkeys(row))
        if not all(isinstance(key, str) for key in row):
            raise SourceError(name, "has a key that is no text; give dicts whose keys are names of columns", number)
        if len(keys) > MAX_COLUMNS:
            break
    if not first:
        raise SourceError(name, "is empty; there is nothing to import")
    if not keys and (unread := next((row for _, row in first if isinstance(row, Unreadable)), None)):
        raise SourceError(name, unread.reason, first[0][0])
    checked_header(name, list(keys))
    return tuple(keys)


def in_order(rows: Iterable[Keyed], header: tuple[str, ...]) -> Iterator[Row]:
    """Give the values of each row in the order of the header; rows without any value are left out."""
    known, get = dict.fromkeys(header).keys(), _getter(header)
    for number, row in rows:
        if isinstance(row, Unreadable):
            yield number, unreadable(row.reason, len(header))
        elif row.keys() == known:
            values = [_empty_as_none(value) for value in get(row)]
            if any(value is not None for value in values):
                yield number, values
        elif surplus := row.keys() - known:
            key = min(map(str, surplus))
            reason = f"the key {key!r:.60} is in none of the first {FIRST_ROWS:,} rows; put it there, null will do"
            yield number, unreadable(reason, len(header))
        else:
            values = [_empty_as_none(row.get(name)) for name in header]
            if any(value is not None for value in values):
                yield number, values


def _getter(header: tuple[str, ...]) -> Callable[[Any], Sequence[Any]]:
    if len(header) == 1:
        return lambda row: (row[header[0]],)
    return itemgetter(*header)


def _empty_as_none(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value if value and not value.isspace() else None
    return whole(value) if kind is float else value
