"""Texts into what they stand for: words of a list, decimals, numbers, lists and documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rayces_core.analysis.kinds import Kind

_EXACT: Final = 2.0**53  # up to here a float has every whole number


class Failed(Exception):  # noqa: N818 - told by the column, which is known one step up
    """A value does not fit. Attributes: `value`; `reason`, as a sentence about the column."""

    def __init__(self, value: object, reason: str) -> None:
        self.value, self.reason = value, reason


def _words(texts: Any, kind: Kind) -> Any:
    places = pc.index_in(texts, value_set=kind.words)
    if places.null_count != texts.null_count:
        strange = texts.filter(pc.and_(pc.is_valid(texts), pc.is_null(places)))[0].as_py()
        known = ", ".join(map(repr, kind.words.to_pylist()))
        raise Failed(strange, f"the database holds {strange!r:.60}, which is none of {known}")
    return pa.DictionaryArray.from_arrays(places.cast(kind.type.index_type), kind.words)


def _decimals(texts: Any, kind: Kind) -> Any:
    try:
        return texts.cast(kind.type)
    except pa.ArrowInvalid as error:
        reason = f"has NaN or an infinity, which a {kind.type} cannot hold; read it as {{column}}::float8 ({error})"
        raise Failed(None, reason) from None


def _numbers(texts: Any, kind: Kind) -> Any:
    """Numbers that declare no digits: floats, refused where one would not be the number that it was."""
    numbers = texts.cast(kind.type)
    large = pc.and_(pc.greater_equal(pc.abs(numbers), _EXACT), pc.is_finite(numbers))
    for text, number in zip(texts.filter(large).to_pylist(), numbers.filter(large).to_pylist(), strict=True):
        if Decimal(text) != Decimal(number):
            raise Failed(text, f"{text} is no float64; cast it in SQL, ::bigint, ::numeric(38, 2) or ::text")
    return numbers


def _lists(texts: Any, kind: Kind) -> Any:
    inner = kind.type.value_type
    read = float if pa.types.is_floating(inner) else None
    values = [_listed(text, read) for text in texts.to_pylist()]
    return _typed(values, kind, "has an array of several dimensions; read it as to_json(column)")


def _listed(text: str | None, read: Callable[[Any], Any] | None) -> Any:
    values = None if text is None else json.loads(text)
    if values is None or read is None:
        return values
    return [value if value is None or isinstance(value, list) else read(value) for value in values]


def _documents(texts: Any, kind: Kind) -> Any:
    values = [None if text is None else json.loads(text) for text in texts.to_pylist()]
    return _typed(values, kind, f"has a document that is no {kind.type}")


def _typed(values: list[Any], kind: Kind, reason: str) -> Any:
    try:
        return pa.array(values, kind.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, OverflowError) as error:
        raise Failed(None, f"{reason}: {error}") from None


FINISHED: Final[dict[str, Callable[[Any, Kind], Any]]] = {
    "words": _words,
    "decimal": _decimals,
    "number": _numbers,
    "float text": lambda texts, kind: texts.cast(kind.type),
    "list": _lists,
    "document": _documents,
}
