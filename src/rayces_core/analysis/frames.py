"""Arrow's tables as frames of polars and of pandas, without loss of a type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rayces_core.analysis.kinds import MEMBERS

if TYPE_CHECKING:
    import pandas
    import polars


def with_enums(frame: polars.DataFrame, schema: Any) -> polars.DataFrame:
    """The frame with the dictionaries of the schema as Enums, also where there is no row to tell the members."""
    import polars as pl

    members = {field.name: json.loads(field.metadata[MEMBERS]) for field in schema if MEMBERS in (field.metadata or {})}
    return frame.with_columns(pl.col(name).cast(pl.Enum(known)) for name, known in members.items())


def as_pandas(table: Any) -> pandas.DataFrame:
    """The table as pandas has it: dictionaries as categories, all else in Arrow's own types."""
    import pandas as pd

    def kept(kind: Any) -> Any:
        return None if pa.types.is_dictionary(kind) else pd.ArrowDtype(kind)

    frame: pandas.DataFrame = table.to_pandas(types_mapper=kept)
    return frame
