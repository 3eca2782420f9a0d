"""Rows of a JSON Lines file, one object a line, or of a file that is one JSON array of objects.

Rule: a line that is no object makes that row unreadable and no other; a line is limited, an array is read piece by
piece.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import SourceError
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources.encodings import Inspected, decoded
from rayces_core.importing.sources.keyed import FIRST_ROWS, Keyed, header_of, in_order
from rayces_core.importing.sources.source import BATCH_ROWS, MAX_LINE_CHARACTERS, Opened, Row, without_lost

_BLANK: Final = " \t\r\n"


class JsonLinesSource(Opened):
    """A file of JSON objects, read anew by each call of `batches`; see `Source`.

    The number of a row is its line in JSON Lines, and its place in an array from 1.
    """

    def __init__(self, path: Path, name: str, inspected: Inspected) -> None:
        self.name, self.fingerprint, self.notes = name, inspected.fingerprint, inspected.notes
        self._has_lost = inspected.has_lost
        self._path, self._size, self._encoding, self._read = path, inspected.size, inspected.encoding, 0
        self._is_array = next(self._pieces(), "").lstrip(_BLANK).startswith("[")
        self.header = header_of([_keys(each) for each in islice(self._objects(), FIRST_ROWS)], name)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        read = in_order(self._objects(), self.header)
        return self.in_batches(without_lost(read) if self._has_lost else read, rows, lambda: self._read)

    def progress(self) -> float | None:
        """Give the share of the bytes that is read so far."""
        return min(1.0, self._read / self._size) if self._size else 1.0

    def _objects(self) -> Iterator[Keyed]:
        return self._elements() if self._is_array else self._lines()

    def _lines(self) -> Iterator[Keyed]:
        rest, number = "", 0
        for piece in self._pieces():
            *lines, rest = (rest + piece).split("\n")
            for number, line in enumerate(lines, number + 1):  # noqa: B020 - goes on counting
                if line and not line.isspace():
                    yield number, _parsed(line)
            self._limit(rest, number + 1)
        if rest.strip(_BLANK):
            yield number + 1, _parsed(rest)

    def _elements(self) -> Iterator[Keyed]:
        decoder, pieces = json.JSONDecoder(parse_constant=_no_constant), self._pieces()
        rest, number = next(pieces).lstrip(_BLANK)[1:], 1
        while True:
            rest = rest.lstrip(_BLANK)
            if rest.startswith("]"):
                break
            try:
                element, after = _first(decoder, rest)
            except (ValueError, RecursionError):
                self._limit(rest, number)
                piece = next(pieces, None)
                if piece is None:
                    reason = "the array is broken off or is no JSON; save it as JSON Lines, one object a line"
                    raise SourceError(self.name, reason, number) from None
                rest += piece
                continue
            yield number, _checked(element, rest[: len(rest) - len(after)])
            number += 1
            rest = after[1:] if after[0] == "," else after

    def _pieces(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            for piece in decoded(file, self._encoding, self.name):
                self._read = file.tell()
                yield piece

    def _limit(self, rest: str, number: int) -> None:
        if len(rest) > MAX_LINE_CHARACTERS:
            advice = "write one object a line"
            raise SourceError(
                self.name, f"an object is longer than {MAX_LINE_CHARACTERS:,} characters; {advice}", number
            )


def _keys(numbered: Keyed) -> Keyed:
    number, row = numbered
    return number, dict.fromkeys(row) if isinstance(row, dict) else row


def _first(decoder: json.JSONDecoder, rest: str) -> tuple[Any, str]:
    """The first element of what is left of an array, and what follows it; ValueError where it is not all there."""
    element, end = decoder.raw_decode(rest)
    after = rest[end:].lstrip(_BLANK)
    if not after or after[0] not in ",]":
        raise ValueError("the element may go on")
    return element, after


def _parsed(line: str) -> Any:
    try:
        return _checked(json.loads(line, parse_constant=_no_constant), line)
    except (ValueError, RecursionError) as error:
        said = f" ({error.msg}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        return Unreadable(f"the line is no JSON{said}; write one object a line")


def _checked(element: Any, written: str) -> Any:
    if not isinstance(element, dict):
        return Unreadable("is no JSON object; write {...} with names of columns")
    if written.count('":') > len(element) and (key := _doubled(written)) is not None:
        return Unreadable(f"has the key {key!r:.60} twice; give each a name of its own")
    return element


def _doubled(written: str) -> str | None:
    """A key that the object itself has twice, of which a reader keeps the last alone."""
    doubled: str | None = None

    def pairs(found: list[tuple[str, Any]]) -> None:
        nonlocal doubled  # the outermost object is the last to be complete
        counts = Counter(key for key, _ in found)
        doubled = next((key for key, count in counts.items() if count > 1), None)

    json.JSONDecoder(object_pairs_hook=pairs).raw_decode(written.lstrip(_BLANK))
    return doubled


def _no_constant(name: str) -> object:
    raise ValueError(name)
