"""PostgreSQL's types: how each travels in a binary COPY, and which Arrow type it is read as.

Rule it guards: the type of a column follows from its declaration alone, never from the values that it happens to have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

import numpy as np
import pyarrow as pa

MONEY: Final = "_cents"
MEMBERS: Final = b"members"
_DAYS_TO_2000, _MICROSECONDS_TO_2000 = 10_957, 946_684_800_000_000
EPOCHS: Final = {"moment": _MICROSECONDS_TO_2000, "day": _DAYS_TO_2000}

# As their output functions write them, which a cast does not do for every type: inet::text has the mask.
_WRITTEN: Final = "CASE WHEN {0} IS NOT NULL THEN pg_catalog.format('%s', {0}) END"
_CAST: Final = "{0}::text"
_LISTED: Final = "pg_catalog.array_to_json({0})::text"


@dataclass(frozen=True)
class Kind:
    """How one type travels and what it becomes.

    Attributes:
        reads: what reads it.
        type: the Arrow type of the column.
        stored: of the bytes on the wire, as numpy names it; None where they are as many as the value has.
        sent: what is asked of the server instead of the column itself, with {0} for it; None for the column.
        skipped: bytes before the text, jsonb's version.
    """

    reads: str
    type: Any
    stored: str | None = None
    sent: str | None = None
    skipped: int = 0
    words: Any = attribute(default=None, compare=False)  # of a dictionary, in the order they are declared

    def field(self, name: str) -> Any:
        """The field of a schema; that of a dictionary knows all its members, as JSON, where no row tells them."""
        about = None if self.words is None else {MEMBERS: json.dumps(self.words.to_pylist())}
        return pa.field(name, self.type, metadata=about)

    def nulls(self, rows: int) -> Any:
        """So many NULLs."""
        if self.words is None:
            return pa.nulls(rows, self.type)
        return pa.DictionaryArray.from_arrays(pa.nulls(rows, self.type.index_type), self.words)


def _integer(stored: str, arrow: Any) -> Kind:
    return Kind("integer", arrow, stored)


_TEXT: Final = Kind("text", pa.string())
OTHER: Final = Kind("text", pa.string(), sent=_WRITTEN)
FLOAT4: Final = Kind("float text", pa.float64(), sent=_CAST)  # by its text, as 0.1 is no float4 but was written as one

# By the object ids of pg_type.dat, fixed for good.
KINDS: Final[dict[int, Kind]] = {
    16: Kind("boolean", pa.bool_(), "i1"),
    17: Kind("bytes", pa.binary()),
    **dict.fromkeys((19, 25, 114, 1042, 1043), _TEXT),
    20: _integer(">i8", pa.int64()),
    21: _integer(">i2", pa.int16()),
    23: _integer(">i4", pa.int32()),
    700: FLOAT4,
    701: Kind("float", pa.float64(), ">f8"),
    1082: Kind("day", pa.date32(), ">i4"),
    1083: Kind("clock", pa.time64("us"), ">i8"),
    1114: Kind("moment", pa.timestamp("us"), ">i8"),
    1184: Kind("moment", pa.timestamp("us", "UTC"), ">i8"),
    1186: Kind("interval", pa.duration("us"), "V16"),
    3802: Kind("text", pa.string(), skipped=1),
}
_LISTS: Final[dict[int, Any]] = {
    1000: pa.bool_(),
    1005: pa.int16(),
    1007: pa.int32(),
    1016: pa.int64(),
    1021: pa.float64(),
    1022: pa.float64(),
    **dict.fromkeys((1009, 1014, 1015), pa.string()),
}
JSON_TYPES: Final = frozenset((114, 3802))
_NUMERIC: Final = 1700
MOST_DIGITS: Final = 38  # of a decimal that frame libraries know


def kind_of(oid: int, name: str, digits: tuple[int, int] | None = None) -> Kind:
    """The kind of a column of this type and name; `digits` are the precision and scale that a numeric declares."""
    if oid == _NUMERIC:
        return _numeric(digits)
    if oid in _LISTS:
        return Kind("list", pa.list_(_LISTS[oid]), sent=_LISTED)
    kind = KINDS.get(oid, OTHER)
    # A sum of 32 bits would run over where a centre's year does.
    return Kind("integer", pa.int64(), kind.stored) if kind.reads == "integer" and name.endswith(MONEY) else kind


def _numeric(digits: tuple[int, int] | None) -> Kind:
    if digits is None or not 0 <= digits[1] <= digits[0]:
        return Kind("number", pa.float64(), sent=_CAST)
    if digits[0] > MOST_DIGITS:
        return Kind("text", pa.string(), sent=_CAST)
    return Kind("decimal", pa.decimal128(*digits), sent=_CAST)


def of_words(words: tuple[str, ...]) -> Kind:
    """The kind of a text that is one of `words`: a dictionary that has all of them, in their order."""
    index = pa.int8() if len(words) <= np.iinfo(np.int8).max else pa.int16()
    return Kind("words", pa.dictionary(index, pa.string()), words=pa.array(words, pa.string()))


def of_documents(arrow: Any, kind: Kind) -> Kind:
    """The kind of a JSON column that is read as the Arrow type `arrow`."""
    return Kind("document", arrow, sent=kind.sent, skipped=kind.skipped)
