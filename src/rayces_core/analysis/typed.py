"""Frames with declared types: what a metric returns, of polars, which is imported when the first one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.dimensions import LEADS
from rayces_core.analysis.needed import wanted

if TYPE_CHECKING:
    import polars as pl

# Kind of a column → its type. Money is integer cents, ratios are null where the denominator is 0.
KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "integer": lambda polars: polars.Int64,
    "day": lambda polars: polars.Date,
    "moment": lambda polars: polars.Datetime("us", "UTC"),
    "ratio": lambda polars: polars.Float64,
    "number": lambda polars: polars.Float64,
    "text": lambda polars: polars.String,
    "boolean": lambda polars: polars.Boolean,
    "lead": lambda polars: polars.Enum(LEADS),
}


def typed(rows: Iterable[tuple[Any, ...]], schema: Mapping[str, str]) -> pl.DataFrame:
    """Give rows as a frame whose columns are of these kinds.

    Raises:
        MissingExtraError: polars is not installed.
    """
    polars = wanted("polars")
    declared = {name: KINDS[kind](polars) for name, kind in schema.items()}
    frame: pl.DataFrame = polars.DataFrame(list(rows), schema=declared, orient="row")
    return frame
