"""One COPY of a query's rows into record batches, over the library's own connection and in its unit of work.

Rule it guards: one statement reads all rows, so they are of one moment, whatever is committed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from tempfile import TemporaryFile
from typing import IO, Any, Final, cast

import peewee
import pyarrow as pa
from psycopg2.extensions import encodings

from rayces_core.analysis.decoding import Column, Decoder
from rayces_core.analysis.kinds import JSON_TYPES, Kind, kind_of, of_documents, of_words
from rayces_core.analysis.sources import Params, Source, source_of
from rayces_core.database.binding import current
from rayces_core.database.copied_file import CopiedFile
from rayces_core.database.cursor import OwnSQL
from rayces_core.database.places import AROUND
from rayces_core.errors import InvalidDataError
from rayces_core.fields import EnumField

_UNDECLARED: Final = 0xFFFF  # what psycopg2 makes of a numeric without a precision
Documents = Mapping[str, Any]  # column → the Arrow type that its JSON is read as
Keep = Callable[[Any], object]
PIECE_ROWS, PIECE_BYTES = 8192, 1 << 22  # decoded at a time: as much as a processor's cache holds


def read(given: Any, params: Params, documents: Documents | None) -> Any:
    """All rows as a pyarrow.Table."""
    batches: list[Any] = []
    decoder = _copied(given, params, documents or {}, PIECE_ROWS, lambda _: batches.append)
    return pa.Table.from_batches(batches or [decoder.batch([])], decoder.schema)


def read_in_batches(given: Any, params: Params, documents: Documents | None, rows: int) -> Any:
    """A pyarrow.RecordBatchReader over batches of so many rows, which lie in a file without a name until then."""
    file = TemporaryFile(prefix="rayces-")  # noqa: SIM115 - the reader keeps it
    try:
        gathering = _Gathering(file, rows)
        _copied(given, params, documents or {}, min(rows, PIECE_ROWS), gathering.begin)
        gathering.end()
        file.seek(0)
        return pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    except BaseException:
        file.close()
        raise


def _copied(given: Any, params: Params, documents: Documents, rows: int, begin: Callable[[Any], Keep]) -> Decoder:
    """Give batches of at most so many rows to what `begin` gives for their schema."""
    engine = current().engine
    with engine.atomic():
        source = source_of(given, params)
        columns = described(source, documents)
        decoder = Decoder(columns, _codec(engine.connection()))
        copy = f"COPY ({_sent(source, columns)}\n) TO STDOUT (FORMAT binary)"
        with _Sink(decoder, begin(decoder.schema), rows) as sink:
            engine.copy(copy, cast(IO[bytes], sink), stains=source.stains)
            sink.end()
    return decoder


def _sent(source: Source, columns: list[Column]) -> str:
    """The SQL whose columns travel as their kinds say."""
    if all(column.kind.sent is None for column in columns):
        return source.sql
    names = [f"c{number}" for number, _ in enumerate(columns)]  # of the columns' own names some may be the same
    shown = [(column.kind.sent or "{0}").format(name) for column, name in zip(columns, names, strict=True)]
    return f"SELECT {', '.join(shown)} FROM ({source.sql}\n) AS q({', '.join(names)})"


def _codec(connection: Any) -> str | None:
    """How texts arrive, where that is not UTF-8."""
    codec = encodings[connection.encoding]
    return None if codec == "utf_8" else codec


# -- what the columns are ---------------------------------------------------------------------------------------------


def described(source: Source, documents: Documents) -> list[Column]:
    """The columns of a result, asked of the server without running the query.

    Raises:
        InvalidDataError: there is none, or `documents` names what is no column of JSON.
    """
    sql = f"{AROUND}{source.sql}\n) AS q LIMIT 0"
    found = current().engine.execute_sql(sql if source.stains else OwnSQL(sql)).description or ()
    if not found:
        raise InvalidDataError("source", source.sql, "selects no column")
    fields = _fields_of(found, source.models)
    names = peewee.CursorWrapper(None).dedupe_columns([each.name for each in found], valid_identifiers=False)
    _check_documents(documents, names)
    return [
        _column(name, each, field, documents.get(name)) for name, each, field in zip(names, found, fields, strict=True)
    ]


def _column(name: str, found: Any, field: Any, document: Any) -> Column:
    digits = None if found.precision in (None, _UNDECLARED) else (found.precision, found.scale)
    label = name if field is None else f"{field.model.__name__}.{field.name}"
    return Column(name, label, _kind(label, kind_of(found.type_code, found.name, digits), found, field, document))


def _kind(label: str, kind: Kind, found: Any, field: Any, document: Any) -> Kind:
    if document is not None:
        if found.type_code not in JSON_TYPES:
            raise InvalidDataError("json", label, f"{label} is no column of JSON")
        return of_documents(document, kind)
    if isinstance(field, EnumField) and kind.reads == "text":
        return of_words(tuple(member.value for member in field.enum_class))
    return kind


def _check_documents(documents: Documents, names: list[str]) -> None:
    for name, kind in documents.items():
        if name not in names:
            raise InvalidDataError("json", name, f"{name!r:.60} is none of the columns {', '.join(names)}")
        if not isinstance(kind, pa.DataType):
            raise InvalidDataError("json", kind, f"needs a pyarrow type for {name}, such as pa.struct(...)")


def _fields_of(found: Any, models: Mapping[str, Any]) -> list[Any]:
    """The field that each column of a result comes from unchanged, None where none is known."""
    tables = sorted({each.table_oid for each in found if each.table_oid})
    if not tables:
        return [None for _ in found]
    rows = current().engine.execute_sql(OwnSQL(_NAMES), (tables,)).fetchall()
    places = {(table, number): (name, column) for table, number, name, column in rows}
    named = (places.get((each.table_oid, each.table_column), ("", "")) for each in found)
    return [models[table]._meta.columns.get(column) if table in models else None for table, column in named]


_NAMES: Final = """
SELECT attrelid, attnum, relname, attname
  FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
 WHERE attrelid = ANY(%s::oid[]) AND attnum > 0
"""


# -- where the rows go ------------------------------------------------------------------------------------------------


class _Sink(CopiedFile):
    """The file that a COPY is written to: each message of the server's is a row.

    One piece is decoded by a thread of its own while the next one comes, so that the server need not wait for it.
    """

    def __init__(self, decoder: Decoder, keep: Keep, rows: int) -> None:
        self.failure: BaseException | None = None
        self._decoder, self._keep, self._most = decoder, keep, rows
        self._rows: list[bytes] = []
        self._bytes = 0
        self._decoding: Future[Any] | None = None

    def __enter__(self) -> _Sink:
        self._worker = ThreadPoolExecutor(1, "rayces-arrow")  # which starts with the first whole piece
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown()

    def write(self, row: bytes) -> int:
        """Take a row."""
        self._rows.append(row)
        self._bytes += len(row)
        if len(self._rows) >= self._most or self._bytes >= PIECE_BYTES:
            try:
                self._decode_beside()
            except BaseException as failure:
                self.failure = failure
                raise
        return len(row)

    def end(self) -> None:
        """Decode and keep what is left."""
        self._keep_decoded()
        self._keep_rows(self._decoder.batch(self._rows))

    def _decode_beside(self) -> None:
        self._keep_decoded()
        self._decoding = self._worker.submit(self._decoder.batch, self._rows)
        self._rows, self._bytes = [], 0

    def _keep_decoded(self) -> None:
        if self._decoding is not None:
            self._keep_rows(self._decoding.result())
            self._decoding = None

    def _keep_rows(self, batch: Any) -> None:
        if batch.num_rows:
            self._keep(batch)


class _Gathering:
    """A file of batches of so many rows each, the last perhaps of fewer."""

    def __init__(self, file: Any, rows: int) -> None:
        self._file, self._most = file, rows
        self._batches: list[Any] = []
        self._rows = 0

    def begin(self, schema: Any) -> Keep:
        """Open the file for batches of this schema; gives what takes them."""
        self._schema = schema
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema)
        return self._keep

    def _keep(self, batch: Any) -> None:
        while self._rows + batch.num_rows >= self._most:
            cut = self._most - self._rows
            self._batches.append(batch.slice(0, cut))
            self._write()
            batch = batch.slice(cut)
        if batch.num_rows:
            self._batches.append(batch)
            self._rows += batch.num_rows

    def _write(self) -> None:
        table = pa.Table.from_batches(self._batches, self._schema).combine_chunks()
        self._batches, self._rows = [], 0
        for batch in table.to_batches():
            self._writer.write_batch(batch)

    def end(self) -> None:
        """Write what is left, and what ends a file."""
        self._write()
        self._writer.close()
