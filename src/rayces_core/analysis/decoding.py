"""Rows of a binary COPY into Arrow's columns, many rows at a time and without a loop over them.

The server sends each row as a message of its own, so it is known where every row begins. A row is the number of its
columns and then, for each of them, the length of its value (-1 for NULL) and the value. Where all values before a
column have a fixed length and none is NULL, it stands at the same place of each row, and as many columns as do are
taken in one go; the others are found by adding up lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from rayces_core.analysis.finishing import FINISHED, Failed
from rayces_core.analysis.kinds import EPOCHS, Kind
from rayces_core.errors import InvalidDataError, RaycesError

_HEADER: Final = 19  # PostgreSQL's signature, flags and the length of an extension that no version has
_TRAILER: Final = b"\xff\xff"
_LENGTH: Final = 4
# How the values of a column are in some rows: all of one length, all NULL, or neither.
FULL, ABSENT, VARIES = "full", "absent", "varies"
Numbers = Any  # a numpy array


@dataclass(frozen=True)
class Column:
    """A column of a result: its name, where it comes from as errors call it, and its kind."""

    name: str
    label: str
    kind: Kind

    @cached_property
    def width(self) -> int:
        """How many bytes a value has; 0 where each has its own number."""
        return np.dtype(self.kind.stored).itemsize if self.kind.stored else 0


class Decoder:
    """Makes record batches of rows as they come; `codec` is how the texts are written where that is not UTF-8."""

    def __init__(self, columns: Sequence[Column], codec: str | None = None) -> None:
        self.columns, self._codec = columns, codec
        self.schema = pa.schema([column.kind.field(column.name) for column in columns])
        self._at_begin = True
        self._guesses = [FULL if column.width else VARIES for column in columns]

    def batch(self, rows: list[bytes]) -> Any:
        """A pyarrow.RecordBatch of these messages of the server's; the first has the header, the last may be the end.

        Raises:
            InvalidDataError: a value does not fit the column's type.
        """
        if self._at_begin and rows:
            rows[0], self._at_begin = rows[0][_HEADER:], False
        if rows and rows[-1] == _TRAILER:
            rows.pop()
        arrays = self._arrays(rows) if rows else [each.kind.nulls(0) for each in self.columns]
        return pa.record_batch(arrays, schema=self.schema)

    def _arrays(self, rows: list[bytes]) -> list[Any]:
        piece = Piece(rows)
        arrays: list[Any] = []
        while len(arrays) < len(self.columns):
            arrays += self._run(piece, len(arrays))
        if not np.array_equal(piece.places, piece.ends):
            raise RaycesError("the rows of a COPY are not as PostgreSQL's protocol has them; read .dicts() instead")
        return arrays

    def _run(self, piece: Piece, first: int) -> list[Any]:
        """The columns from `first` on that stand at one place of every row, and the one that ends this.

        Which do is guessed by the rows before; where a guess fails, the run ends before that column.
        """
        last = first
        while self._guesses[last] != VARIES and last + 1 < len(self.columns):
            last += 1
        taken = piece.take(sum(map(self._span, range(first, last + 1))))
        arrays: list[Any] = []
        offset = 0
        for number in range(first, last + 1):
            column, lengths = self.columns[number], taken.numbers(">i4", offset)
            absent = lengths < 0 if lengths.min() < 0 else None
            guess, self._guesses[number] = self._guesses[number], _how(column, absent)
            if guess not in (VARIES, self._guesses[number]):
                break
            offset += _LENGTH
            if self._guesses[number] == VARIES:
                piece.places += offset
                return [*arrays, self._varying(column, piece, taken, offset, lengths, absent)]
            is_absent = self._guesses[number] == ABSENT
            arrays.append(column.kind.nulls(piece.rows) if is_absent else _fixed(column, taken, offset, None))
            offset += 0 if is_absent else column.width
        piece.places += offset
        return arrays

    def _span(self, number: int) -> int:
        """How many bytes of a row a column is guessed to take; of one that varies, at most, without its text."""
        return _LENGTH + (0 if self._guesses[number] == ABSENT else self.columns[number].width)

    def _varying(
        self, column: Column, piece: Piece, taken: Taken, offset: int, lengths: Numbers, absent: Numbers | None
    ) -> Any:
        if not column.width:
            return _variable(column, piece, lengths, absent, self._codec)
        piece.places += np.maximum(lengths, 0)
        return _fixed(column, taken, offset, absent)


def _how(column: Column, absent: Numbers | None) -> str:
    if absent is not None:
        return ABSENT if absent.all() else VARIES
    return FULL if column.width else VARIES


class Piece:
    """Some rows as one run of bytes.

    Attributes: `data`, the bytes; `places`, where the next column of each row is; `ends`, where each row ends.
    """

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = len(rows)
        lengths = np.fromiter(map(len, rows), np.int64, self.rows)
        self.ends = np.cumsum(lengths)
        self.places = self.ends - lengths + 2
        self.data = b"".join(rows)

    def take(self, width: int) -> Taken:
        """So many bytes of each row, from its place on; those beyond the last row are zeros."""
        data = self.data
        if int(self.places[-1]) + width > len(data):
            data += bytes(width)
            self.data = data
        # Bytes without a meaning are copied as they are; numbers that are not aligned take twice as long.
        windows = np.ndarray((len(data) - width + 1,), f"V{width}", buffer=data, strides=(1,))
        return Taken(windows[self.places], width)


class Taken:
    """The same stretch of every row, side by side."""

    def __init__(self, bytes_: Numbers, width: int) -> None:
        self._bytes, self._width = bytes_, width

    def raw(self, stored: str, offset: int) -> Numbers:
        """What stands at `offset` of each row, as it came."""
        return np.ndarray((len(self._bytes),), stored, buffer=self._bytes.data, offset=offset, strides=(self._width,))

    def numbers(self, stored: str, offset: int) -> Numbers:
        """The numbers at `offset` of each row, in this machine's order of bytes."""
        found = self.raw(stored, offset)
        return found.astype(found.dtype.newbyteorder("="))


def _fixed(column: Column, taken: Taken, offset: int, absent: Numbers | None) -> Any:
    kind = column.kind
    values = _microseconds(taken, offset) if kind.reads == "interval" else taken.numbers(str(kind.stored), offset)
    if absent is None:
        return _made(column, _shifted(column, values), None)
    values[absent] = 0
    return _made(column, _shifted(column, values), _bits(~absent))


def _made(column: Column, values: Numbers, bits: Any) -> Any:
    kind = column.kind
    if kind.reads == "boolean":
        return pa.Array.from_buffers(kind.type, len(values), [bits, _bits(values != 0)])
    if kind.reads == "integer":
        values = values.astype(f"i{kind.type.bit_width // 8}", copy=False)
    return pa.Array.from_buffers(kind.type, len(values), [bits, pa.py_buffer(values)])


# What psycopg2 reads infinity as, so that frames and rows tell the same.
_LEAST, _MOST = -62_135_596_800_000_000, 253_402_300_799_999_999  # 0001-01-01 and 9999-12-31 23:59:59.999999
_LEAST_DAY, _MOST_DAY = -719_162, 2_932_896


def _shifted(column: Column, values: Numbers) -> Numbers:
    """Moments and days counted from 1970 instead of 2000; infinite ones are the least and the last of the calendar."""
    epoch = EPOCHS.get(column.kind.reads)
    if epoch is None:
        return values
    bounds = np.iinfo(values.dtype)
    low, high = int(values.min()), int(values.max())
    least, most = (_LEAST, _MOST) if column.kind.reads == "moment" else (_LEAST_DAY, _MOST_DAY)
    ends = [(values == bounds.min, least)] if low == bounds.min else []
    ends += [(values == bounds.max, most)] if high == bounds.max else []
    for there, _ in ends:
        values[there] = 0
    if ends:
        high = int(values.max())
    if high > bounds.max - epoch:
        raise InvalidDataError(column.label, None, "has a moment after the year 294246, which a frame cannot hold")
    values += epoch
    for there, end in ends:
        values[there] = end
    return values


_DAY: Final = 86_400_000_000  # microseconds


def _microseconds(taken: Taken, offset: int) -> Numbers:
    """Intervals as psycopg2 reads them: a month is 30 days, twelve of them 365."""
    months = taken.numbers(">i4", offset + 12).astype(np.int64)
    years = np.sign(months) * (np.abs(months) // 12)
    days = taken.numbers(">i4", offset + 8) + years * 365 + (months - years * 12) * 30
    return taken.numbers(">i8", offset) + days * _DAY


def _variable(column: Column, piece: Piece, lengths: Numbers, absent: Numbers | None, codec: str | None) -> Any:
    """The texts at the piece's places, which go on behind them."""
    kind = column.kind
    begins, present = piece.places + kind.skipped, None
    if absent is None:
        piece.places += lengths
    else:
        present = ~absent
        piece.places += np.maximum(lengths, 0)
        begins = np.minimum(begins, piece.places)
    found = _texts(begins, piece, binary=kind.reads == "bytes" or codec is not None)
    found = found.take(_every_other(piece.rows, present))
    if kind.reads == "bytes":
        return found
    if codec is not None:
        found = pa.array([None if text is None else text.decode(codec) for text in found.to_pylist()], pa.string())
    finish = FINISHED.get(kind.reads)
    if finish is None:
        return found
    try:
        return finish(found, kind)
    except Failed as failed:
        raise InvalidDataError(column.label, failed.value, failed.reason) from None


def _texts(begins: Numbers, piece: Piece, *, binary: bool) -> Any:
    """An array whose every other element is a text, and what stands between two of them the others; nothing copied."""
    offsets = np.empty(2 * piece.rows + 1, np.int32)
    offsets[:-1:2], offsets[1::2], offsets[-1] = begins, piece.places, len(piece.data)
    kind = pa.binary() if binary else pa.string()
    return pa.Array.from_buffers(kind, 2 * piece.rows, [None, pa.py_buffer(offsets), pa.py_buffer(piece.data)])


def _every_other(rows: int, present: Numbers) -> Any:
    """The even numbers, NULL where nothing is present."""
    bits = None if present is None else _bits(present)
    return pa.Array.from_buffers(pa.int32(), rows, [bits, _evens(1 << (rows - 1).bit_length())])


@lru_cache(maxsize=4)
def _evens(most: int) -> Any:
    return pa.py_buffer(np.arange(0, 2 * most, 2, dtype=np.int32))


def _bits(flags: Numbers) -> Any:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
