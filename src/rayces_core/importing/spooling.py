"""Reads a source once, value by value, into a file that PostgreSQL can COPY; so memory stays flat.

Rule it guards: no row is lost. One that has a fault is spooled as well, without the values at fault, so that the check
in the database finds what else is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import IO, Any, Final

from rayces_core.archive.cells import unescaped
from rayces_core.errors import InvalidDataError
from rayces_core.fields.jsonb import EncodedJson, to_text
from rayces_core.importing.columns import ExactText, Reading, Unreadable
from rayces_core.importing.making import Making
from rayces_core.importing.record import Record
from rayces_core.importing.sources import Source
from rayces_core.importing.sources.delimited import DelimitedSource
from rayces_core.importing.sources.jsonlines import JsonLinesSource
from rayces_core.importing.sources.spreadsheet import SheetSource
from rayces_core.importing.sources.tabular import ParquetSource

NOTHING: Final = r"\N"
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
SHOWN: Final = 80
ADVICE: Final = "correct the value, or empty it where it is not needed"

Progress = Callable[[str, int, int | None], None]


@dataclass
class Spool:
    """The rows of a source as COPY reads them, and the faults that were found on the way; closed by `with`.

    Attributes:
        rows, faults: temporary files, at their ends. columns: the columns that were read.
        count: rows. fault_count: faults. fingerprint: SHA-256 of the rows as they were read.
    """

    columns: tuple[str, ...]
    rows: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    faults: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    count: int = 0
    fault_count: int = 0
    fingerprint: str = ""

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self.rows.close)
            stack.callback(self.faults.close)


def spool(
    source: Source,
    record: Record,
    places: Mapping[str, int],
    reading: Reading,
    now: datetime,
    progress: Progress,
    fixed: tuple[str, ...] = (),
) -> Spool:
    """Read all of `source`, with `fixed` values after each row's own.

    Returns its rows and faults in temporary files, readable by their owner alone.
    """
    reader = _Reader(source, record, places, reading, now)
    made = Spool(reader.names)
    digest = hashlib.sha256(f"{record.name}\t{made.columns}\n".encode())
    for batch in source.batches():
        lines, faults = [], []
        for number, row in batch:
            line, wrong = reader.read(number, (*row, *fixed) if fixed else row)
            lines.append(line)
            faults.extend(wrong)
        block = "".join(lines).encode()
        digest.update(block)
        made.rows.write(block)
        made.faults.write("".join(faults).encode(errors="replace"))
        made.count += len(lines)
        made.fault_count += len(faults)
        share = source.progress()
        progress("read", made.count, int(made.count / share) if share else None)
    made.fingerprint = digest.hexdigest()
    return made


class _Reader:
    """Turns rows into lines of COPY's text format."""

    def __init__(
        self, source: Source, record: Record, places: Mapping[str, int], reading: Reading, now: datetime
    ) -> None:
        self._rules, self._reading, self._now = record.rules, reading, now
        # An export puts an apostrophe before what a spreadsheet would run; other formats have no need of it.
        self._escapes = isinstance(source, DelimitedSource | SheetSource)
        self._exact = isinstance(source, JsonLinesSource | ParquetSource)
        staged = [column for column in record.readable if column.name in places and column.name in record.types]
        self._columns = [(each.name, places[each.name], each, _storing(record, each.name)) for each in staged]
        self._required = {column.name for column in staged if record.needs(column)}
        self._making = Making(record, places, reading)
        self.names = (*(column.name for column in staged), *self._making.names)
        self._cell_of = {name: place for place, name in enumerate(self.names)}
        self._storing = {name: _storing(record, name) for name in self.names}

    def read(self, number: int, row: Sequence[Any]) -> tuple[str, list[str]]:
        """The row's line, and a line for each fault it has."""
        values: dict[str, Any] = {}
        cells: list[str] = []
        faults: list[tuple[str, Any, str]] = []
        reading, escapes, exact = self._reading, self._escapes, self._exact
        for name, place, column, storing in self._columns:
            given = row[place]
            if escapes and type(given) is str and given[:1] == "'" and (bare := unescaped(given)) != given:
                given = ExactText(bare)
            elif exact and type(given) is str and given[:2] == '="':
                given = ExactText(given)
            cell = NOTHING
            try:
                value = None if given is None or given == "" else column.read(given, reading)
                if value is not None and value != "":
                    cell = _cell(value if storing is None else storing(value))
                    values[name] = value
                elif name in self._required:
                    faults.append((name, given, "is missing; fill it in"))
            except (ValueError, OverflowError) as error:
                faults.append((name, given, error.reason if isinstance(error, InvalidDataError) else str(error)))
            except RecursionError:
                faults.append((name, given, "is nested too deeply; make it flat"))
            cells.append(cell)
        if self._making.ways:
            cells += [NOTHING] * len(self._making.names)
            for name, value in self._making.add(row, values, faults):
                storing = self._storing[name]
                cells[self._cell_of[name]] = _cell(value if storing is None else storing(value))
        if not faults or values:
            broken = self._rules(values, self._now)
            faults += [(name, values.get(name), f"{what}; {todo}") for name, what, todo in broken]
        flag = "t" if faults else "f"
        return f"{number}\t{flag}\t" + "\t".join(cells) + "\n", [_line(number, *each) for each in _once(faults)]


def _storing(record: Record, name: str) -> Callable[[Any], Any] | None:
    """What holds the value to the rules of the model's field."""
    found = record.fields.get(name)
    return None if found is None else found.db_value


def _cell(value: Any) -> str:
    """A value as COPY's text format has it."""
    kind = type(value)
    if kind is str:
        text: str = value
        return text.translate(ESCAPES) if "\\" in text or not text.isprintable() else text
    if kind is bool:
        return "t" if value else "f"
    if kind is datetime or kind is date or kind is int:
        return str(value)
    if isinstance(value, EncodedJson):
        return value.text.translate(ESCAPES)
    if isinstance(value, dict | list):
        return to_text(value).translate(ESCAPES)
    return str(getattr(value, "value", value)).translate(ESCAPES)


def _once(faults: list[tuple[str, Any, str]]) -> Iterable[tuple[str, Any, str]]:
    """The faults; a row that cannot be read as a whole has one, which is no column's."""
    places = Counter(id(given) for _, given, _ in faults if isinstance(given, Unreadable))
    for name, given, reason in faults:
        count = places.pop(id(given), 0) if isinstance(given, Unreadable) else 1
        if count:
            yield name if count == 1 else "", given, reason


def _line(number: int, column: str, given: Any, reason: str) -> str:
    problem, _, advice = reason.partition("; ")
    cells = (str(number), column, _shown(given), problem, advice or ADVICE)
    return "\t".join(_storable(cell) for cell in cells) + "\n"


def _shown(given: Any) -> str:
    if given is None or isinstance(given, Unreadable):
        return ""
    try:
        if isinstance(given, dict | list):
            return json.dumps(given, default=str, ensure_ascii=False)[:SHOWN]
        return str(given)[:SHOWN]
    except RecursionError:
        return "a value too deep to print"
    except ValueError:  # Python does not print integers of more than some thousand digits
        return "a number too long to print"


def _storable(text: str) -> str:
    bare = text.replace("\x00", "␀").encode(errors="replace").decode()
    return bare.translate(ESCAPES)
