"""Rows of a query, a model or a SELECT as a frame whose types are declared, under the library's three walls.

How columns are typed, everywhere; nothing is inferred from values:

- whole numbers, ids among them: int64, int32 or int16 as the column is stored; money, in columns named `*_cents`,
  int64 with its `currency` beside
- moments: timestamp[us, UTC]; moments without a zone, named `*_local`: timestamp[us]; days: date32; times of day:
  time64[us]; intervals: duration[us], of a month 30 days
- states and types, where the column comes from a model's: dictionary<string> with all members in their order
- texts: string, NULL and the empty text told apart; JSON: its text, or an Arrow type that `json=` names
- booleans: bool; floats: float64; numerics of up to 38 declared digits: decimal128; other numerics, as those of a
  ratio or an average: float64
- lists of numbers, booleans or texts: list; bytes: binary; whatever else there is: PostgreSQL's text of it

Columns are named as in SQL (`professional_id`); of the same names the second is `id_2`, as `.dicts()` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import peewee

from rayces_core.analysis.needed import wanted
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError

if TYPE_CHECKING:
    import pandas
    import polars

    from rayces_core.analysis.sources import Params


def to_arrow(
    source: Any, batch_rows: int | None = None, *, params: Params = None, json: Mapping[str, Any] | None = None
) -> Any:
    """Read all rows of `source`, as the bound tenant and of one moment.

    In the caller's unit of work if one is open, whose own changes are seen then.

    Args:
        source: a query, a model or the text of one SELECT.
        batch_rows: give batches of so many rows instead of a table, for what does not fit into memory. All rows are
            read before the first is given, into a file without a name in TMPDIR.
        params: values for the text's placeholders (%s), as for `db.execute_sql`.
        json: JSON columns to read as something else than text: column → pyarrow type, such as
            {"metadata": pa.struct([("room", pa.int64())])}. What the type does not name is left out.

    Returns:
        A pyarrow.Table; with `batch_rows` a pyarrow.RecordBatchReader, to be iterated over once.

    Raises:
        TenantNotSetError: no tenant is bound, nor privileged work. InvalidDataError: an argument is malformed, or a
            value does not fit its column's type. UnsafeSQLError: the text would step out of the tenant.
        MissingExtraError: pyarrow is missing.
    """
    current()
    _check_rows(batch_rows)
    for module in ("pyarrow", "numpy"):
        wanted(module)
    from rayces_core.analysis.copying import read, read_in_batches

    if batch_rows is None:
        return read(source, params, json)
    return read_in_batches(source, params, json, batch_rows)


def to_polars(source: Any, *, params: Params = None, json: Mapping[str, Any] | None = None) -> polars.DataFrame:
    """Read all rows of `source` as a polars.DataFrame; states are its Enum.

    Arguments and errors are those of `to_arrow`.
    """
    from_arrow = wanted("polars").from_arrow
    table = to_arrow(source, params=params, json=json)
    from rayces_core.analysis.frames import with_enums

    return with_enums(from_arrow(table), table.schema)


def to_pandas(source: Any, *, params: Params = None, json: Mapping[str, Any] | None = None) -> pandas.DataFrame:
    """Read all rows of `source` as a pandas.DataFrame with types of pyarrow, so that NULL changes none of them.

    States are categories. Arguments and errors are those of `to_arrow`.
    """
    wanted("pandas")
    table = to_arrow(source, params=params, json=json)
    from rayces_core.analysis.frames import as_pandas

    return as_pandas(table)


def schema(model: Any) -> Any:
    """What `to_arrow(model)` has as its schema, told by the fields alone: nothing is read, and no tenant bound.

    Returns:
        A pyarrow.Schema.

    Raises:
        InvalidDataError: it is no model. MissingExtraError: pyarrow is missing.
    """
    if not peewee.is_model(model):
        raise InvalidDataError("model", model, f"must be a model, not {type(model).__name__}")
    for module in ("pyarrow", "numpy"):
        wanted(module)
    from rayces_core.analysis.schemas import schema_of

    return schema_of(model)


def _check_rows(batch_rows: object) -> None:
    if batch_rows is not None and (type(batch_rows) is not int or batch_rows < 1):
        raise InvalidDataError("batch_rows", batch_rows, f"must be a whole number from 1 on, got {batch_rows!r:.60}")
