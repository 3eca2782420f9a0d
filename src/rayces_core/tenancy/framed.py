"""Queries as frames. What reads them is a later layer's, which the package hands down where it begins.

Rule it guards: nothing here knows Arrow, polars or pandas, nor loads them before a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import polars

_reading: Callable[[], Any]


def read_by(reading: Callable[[], Any]) -> None:
    """Have the module that `reading` gives read queries: it is asked for when the first frame is."""
    global _reading
    _reading = reading


class Framed:
    """A query that can be read as a frame, under the same walls as its rows; see `rayces_core.analysis`."""

    def to_arrow(self, batch_rows: int | None = None, *, json: Mapping[str, Any] | None = None) -> Any:
        """Read the rows as a pyarrow.Table, or in batches, as `rayces_core.analysis.to_arrow` tells."""
        return _reading().to_arrow(self, batch_rows, json=json)

    def to_polars(self, *, json: Mapping[str, Any] | None = None) -> polars.DataFrame:
        """Read the rows as a polars.DataFrame, as `rayces_core.analysis.to_polars` tells."""
        frame: polars.DataFrame = _reading().to_polars(self, json=json)
        return frame

    def to_pandas(self, *, json: Mapping[str, Any] | None = None) -> pandas.DataFrame:
        """Read the rows as a pandas.DataFrame, as `rayces_core.analysis.to_pandas` tells."""
        frame: pandas.DataFrame = _reading().to_pandas(self, json=json)
        return frame
