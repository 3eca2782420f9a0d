"""Exports the rows of one record type, streamed: memory stays flat however many there are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

from rayces_core.archive.files import whole_file
from rayces_core.archive.snapshot import bound_organization
from rayces_core.archive.streaming import stream
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.exporting.formats import format_of, writer_of
from rayces_core.exporting.layout import Layout
from rayces_core.exporting.records import record_of
from rayces_core.exporting.selection import Moment, Selection, Where, select
from rayces_core.models import Organization

STDOUT: Final = "-"
Target = str | os.PathLike[str] | IO[bytes]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: of which type, where to, as what, how many rows, which columns."""

    record: str
    target: str
    format: str
    rows: int
    columns: tuple[str, ...]


def export(
    record: object,
    target: Target,
    *,
    format: str | None = None,  # noqa: A002 - it is the word for it
    columns: Iterable[str] | None = None,
    where: Where | None = None,
    state: str | Iterable[str] | None = None,
    user: Any = None,
    start: Moment | None = None,
    end: Moment | None = None,
    delimiter: str | None = None,
    excel: bool = False,
    utc: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> Exported:
    """Write the rows of a record type of the bound tenant to `target`, by id.

    Args:
        record: a name, as in `RECORDS`, or its model.
        target: a path, whose file takes its place when it is complete and which only its owner may read; "-" for
            stdout; or an open binary file.
        format: csv, jsonl, parquet or xlsx; default: by the path's ending, else csv.
        columns: which ones, in this order; default: all of them.
        where: column → value, or several of them; None is "empty".
        state: of the records, or several. user: a User or an e-mail address that the record names.
        start, end: of the time that the record is about. Days are the organization's, and the last one counts whole; of
            moments the end does not count.
        delimiter: of CSV.
        excel: CSV as Excel opens it where the comma is the decimal sign: `;`, a byte order mark, 1500,00.
        utc: moments in UTC instead of the organization's zone; the offset stands with each.
        progress: called as progress(record, rows done, rows in all) after each batch.

    Returns:
        An Exported, with the number of rows.

    Raises:
        InvalidDataError: an argument is malformed, or a value does not fit the format. MissingExtraError: a library is
            missing. TenantNotSetError. OSError: the file cannot be written.
    """
    wanted, kind = record_of(record), format_of(format, target)
    with current().engine.atomic():
        zone = _zone()
        selection = select(
            wanted,
            organization_id=bound_organization(),
            zone=zone,
            columns=columns,
            where=where,
            state=state,
            user=user,
            start=start,
            end=end,
        )
        layout = Layout(wanted.name, selection.columns, ZoneInfo("UTC") if utc else zone, delimiter, excel)
        with _opened(target) as file, writer_of(kind, layout, file) as write:
            rows = _write_all(wanted.name, selection, write, progress)
    return Exported(wanted.name, _name(target), kind, rows, tuple(column.name for column in selection.columns))


def _write_all(
    name: str, selection: Selection, write: Callable[[list[Any]], object], progress: Callable[..., object] | None
) -> int:
    total = current().engine.execute_sql(selection.counting, selection.values).fetchone()[0] if progress else 0
    done = 0
    for rows in stream(selection.sql, selection.values):
        write(rows)
        done += len(rows)
        if progress:
            progress(name, done, max(done, total))
    return done


@contextmanager
def _opened(target: Target) -> Iterator[IO[bytes]]:
    if target == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif isinstance(target, str | os.PathLike):
        with whole_file(target) as file:
            yield file
    elif hasattr(target, "write"):
        yield target
    else:
        raise InvalidDataError("target", target, 'must be a path, "-" or an open binary file')


def _zone() -> ZoneInfo:
    return Organization.get_by_id(bound_organization()).zone


def _name(target: Target) -> str:
    if isinstance(target, str | os.PathLike):
        return STDOUT if target == STDOUT else str(Path(target))
    return str(getattr(target, "name", "a file"))
