"""Rows of Parquet and Arrow files, and of data frames of any library that speaks the Arrow stream interface.

Rule: one batch of records is held at a time. NaN, which pandas has where nothing is, is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.sources.source import BATCH_ROWS, Opened, Row, checked_header, whole

MAX_GROUP_BYTES: Final = 2 * 1024**3
_TEXTS: Final = ("string", "binary", "dictionary<values=string, indices=int32, ordered=0>")
MAX_BATCH_BYTES: Final = 256 * 1024**2
_INDEX: Final = "__index_level_"  # pandas' own


class ParquetSource(Opened):
    """A Parquet file, read anew by each call of `batches`; see `Source`. Rows are numbered from 1."""

    def __init__(self, path: Path, name: str, fingerprint: str) -> None:
        self.name, self.fingerprint, self._path, self._read = name, fingerprint, path, 0
        _, parquet = arrow()
        with _explained(name), parquet.ParquetFile(path) as file:
            self._rows = file.metadata.num_rows
            groups = (file.metadata.row_group(place).total_byte_size for place in range(file.metadata.num_row_groups))
            if max(groups, default=0) > MAX_GROUP_BYTES:
                raise SourceError(name, "has a row group of more than 2 GB; write it with smaller row groups")
            self._places, self.header = _columns(file.schema_arrow, name)
            # Values that are said once and used often are kept so: a few bytes may stand for gigabytes.
            self._texts = [each.name for each in file.schema_arrow if str(each.type) in _TEXTS]

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        return self.in_batches(self._numbered(rows), rows)

    def progress(self) -> float | None:
        """Give the share of the rows that is read so far."""
        return self._read / self._rows if self._rows else 1.0

    def _numbered(self, rows: int) -> Iterator[Row]:
        _, parquet = arrow()
        self._read = 0
        with _explained(self.name), parquet.ParquetFile(self._path, read_dictionary=self._texts) as file:
            for batch in file.iter_batches(batch_size=rows):
                _check_size(batch, self.name)
                yield from _rows(batch, self._places, self._read)
                self._read += batch.num_rows


class ArrowSource(Opened):
    """A data frame, table or stream with `__arrow_c_stream__`, or an Arrow file; see `Source`. Rows count from 1."""

    def __init__(self, stream: Any, name: str, fingerprint: str | None = None) -> None:
        self.name, self.fingerprint, self._read = name, fingerprint, 0
        pyarrow, _ = arrow()
        self._stream: Any = stream
        self._once = isinstance(stream, pyarrow.RecordBatchReader)
        with _explained(name):
            self._reader: Any = self._open()
            self._places, self.header = _columns(self._reader.schema, name)
        length = getattr(stream, "num_rows", None) or (len(stream) if hasattr(stream, "__len__") else None)
        self._length: int | None = length

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        reader, self._reader = self._reader, None
        if reader is None:
            if self._once:
                raise SourceError(self.name, "has been read already; give a table, or make the stream anew")
            reader = self._open()
        return self.in_batches(self._numbered(reader, rows), rows)

    def progress(self) -> float | None:
        """Give the share of the rows that is read so far; None for a stream."""
        return self._read / self._length if self._length else None

    def _open(self) -> Any:
        pyarrow, _ = arrow()
        if isinstance(self._stream, Path):
            return pyarrow.ipc.open_file(pyarrow.memory_map(str(self._stream))).read_all().to_reader()
        return pyarrow.RecordBatchReader.from_stream(self._stream)

    def _numbered(self, reader: Any, rows: int) -> Iterator[Row]:
        self._read = 0
        with _explained(self.name):
            for whole in reader:
                for begin in range(0, whole.num_rows, rows):
                    batch = whole.slice(begin, rows)
                    yield from _rows(batch, self._places, self._read)
                    self._read += batch.num_rows


def arrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet part; raises `MissingExtraError` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError('Parquet and data frames need: pip install "rayces-core[importing]"') from None


class _explained:  # noqa: N801 - reads as a statement
    """Turns what pyarrow raises into SourceError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        pyarrow, _parquet = arrow()
        if isinstance(error, pyarrow.ArrowException | OSError | MemoryError) and not isinstance(error, SourceError):
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise SourceError(self._name, f"cannot be read ({said}); write it anew") from None


def _columns(schema: Any, name: str) -> tuple[list[int], tuple[str, ...]]:
    places = [place for place, column in enumerate(schema.names) if not column.startswith(_INDEX)]
    return places, checked_header(name, [schema.names[place] for place in places])


def _check_size(batch: Any, name: str) -> None:
    pyarrow, _ = arrow()
    compute = import_module("pyarrow.compute")
    size = batch.nbytes
    for column in batch.columns:
        if pyarrow.types.is_dictionary(column.type):
            size += compute.sum(compute.take(compute.binary_length(column.dictionary), column.indices)).as_py() or 0
    if size > MAX_BATCH_BYTES:
        raise SourceError(
            name, f"has more than {MAX_BATCH_BYTES >> 20} MB in {batch.num_rows:,} rows; shorten its texts"
        )


def _rows(batch: Any, places: list[int], before: int) -> Iterator[Row]:
    columns = [_values(batch.column(place)) for place in places]
    for number, values in enumerate(zip(*columns, strict=True), before + 1):
        if any(value is not None for value in values):
            yield number, values


def _values(column: Any) -> list[Any]:
    pyarrow, _ = arrow()
    types = pyarrow.types
    if types.is_dictionary(column.type):
        held = _values(column.dictionary)
        return [None if place is None else held[place] for place in column.indices.to_pylist()]
    if types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    if types.is_floating(column.type):
        return [None if value is None else whole(value) for value in values]
    if types.is_integer(column.type) or types.is_boolean(column.type):
        return values
    return [None if type(value) is str and (not value or value.isspace()) else value for value in values]
