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
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from functools import partial
from typing import IO, Any, Final

from rayces_core.archive.cells import unescaped
from rayces_core.errors import InvalidDataError
from rayces_core.fields.jsonb import EncodedJson, to_text
from rayces_core.importing.columns import Column, ExactText, Reading, Unreadable
from rayces_core.importing.dates import DATED
from rayces_core.importing.hours import end
from rayces_core.importing.making import Making
from rayces_core.importing.orders import Orders
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

SAMPLES: Final = 3

Progress = Callable[[str, int, int | None], None]
Storing = Callable[[Any], Any] | None
See = Callable[[int, object], None] | None
Sample = tuple[str, str]


@dataclass
class Spool:
    """The rows of a source as COPY reads them, and the faults that were found on the way; closed by `with`.

    Attributes:
        rows, faults: temporary files, at their ends. columns: the columns that were read.
        count: rows. fault_count: faults. doubted: whether some of them came after their row was spooled as right.
        fingerprint: SHA-256 of the rows as they were read. samples: column → a few values as they are written, and as
            they are stored. notes: column → what has to be known about how it was read.
    """

    columns: tuple[str, ...]
    rows: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    faults: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    count: int = 0
    fault_count: int = 0
    doubted: bool = False
    fingerprint: str = ""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def write(self, lines: list[str], faults: list[str]) -> bytes:
        """Add rows and faults; returns the rows' bytes."""
        block = "".join(lines).encode()
        self.rows.write(block)
        self.faults.write("".join(faults).encode(errors="replace"))
        self.count += len(lines)
        self.fault_count += len(faults)
        return block

    def doubt(self, faults: Iterable[str]) -> None:
        """Add faults of rows that were spooled as right."""
        for line in faults:
            self.faults.write(line.encode(errors="replace"))
            self.fault_count += 1
            self.doubted = True

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
    with Orders(_dated(record, places, reading), reading.days_first) as orders:
        for rows in source.batches():
            batch = [(number, (*row, *fixed)) for number, row in rows] if fixed else rows
            if not made.count:
                orders.settle(batch)
                reader.hold_to(orders)
                made.samples = reader.samples(batch)
            digest.update(made.write(*reader.read_all(batch)))
            share = source.progress()
            progress("read", made.count, int(made.count / share) if share else None)
        found = orders.refusals(partial(place_of, source.sheets))
        made.doubt(_line(number, name, given, why) for name, (number, given, why) in found)
        made.notes = dict(orders.told(partial(place_of, source.sheets)))
    made.fingerprint = digest.hexdigest()
    return made


def place_of(sheets: Sequence[tuple[int, str]], row: int) -> str:
    """Where a row is, as people find it: its number, and its sheet where several are read."""
    before, sheet = next((each for each in reversed(sheets) if each[0] < row), (0, ""))
    return f"{row - before} of {sheet!r:.60}" if sheet else str(row)


def _dated(record: Record, places: Mapping[str, int], reading: Reading) -> dict[str, int]:
    """The columns whose order of day and month has to be found out."""
    dated = (*DATED, end)
    found = {each.name: places[each.name] for each in record.readable if each.name in places and each.read in dated}
    return found if reading.day_first is None else {}


class _Reader:
    """Turns rows into lines of COPY's text format."""

    def __init__(
        self, source: Source, record: Record, places: Mapping[str, int], reading: Reading, now: datetime
    ) -> None:
        self._rules, self._now = record.rules, now
        # An export puts an apostrophe before what a spreadsheet would run; other formats have no need of it.
        self._escapes = isinstance(source, DelimitedSource | SheetSource)
        self._exact = isinstance(source, JsonLinesSource | ParquetSource)
        staged = [column for column in record.readable if column.name in places and column.name in record.types]
        self._columns: list[tuple[str, int, Column, Storing, Reading, See]] = [
            (each.name, places[each.name], each, _storing(record, each.name), reading, None) for each in staged
        ]
        self._required = {column.name for column in staged if record.needs(column)}
        self._making = Making(record, places, reading)
        self.names = (*(column.name for column in staged), *self._making.names)
        self._cell_of = {name: place for place, name in enumerate(self.names)}
        self._storing = {name: _storing(record, name) for name in self.names}

    def hold_to(self, orders: Orders) -> None:
        """Read each column of dates in the order that was found for it, and let it see every value."""
        for number, (name, place, column, storing, reading, _) in enumerate(self._columns):
            if (order := orders.columns.get(name)) is not None:
                held = replace(reading, day_first=order.day_first)
                self._columns[number] = (name, place, column, storing, held, order.see)
        self._making.hold_to(orders)

    def samples(self, batch: Sequence[tuple[int, Sequence[Any]]]) -> dict[str, list[Sample]]:
        """Column → a few different values as they are written, and as they are stored."""
        found: dict[str, list[Sample]] = {}
        for name, place, column, _, reading, _ in self._columns:
            shown: dict[str, str] = {}
            for given in (row[place] for _, row in batch if row[place] is not None):
                if len(shown) == SAMPLES:
                    break
                with suppress(ValueError, OverflowError, RecursionError):
                    meant = self._meant(given) if type(given) is str else given
                    shown.setdefault(_shown(meant), _shown(_stored(column.read(meant, reading))))
            found[name] = list(shown.items())
        return found

    def _meant(self, given: str) -> str:
        """A text without what its format puts before it, marked where it is to be taken as it stands."""
        if self._escapes and given[:1] == "'" and (bare := unescaped(given)) != given:
            return ExactText(bare)
        return ExactText(given) if self._exact and given[:2] == '="' else given

    def read_all(self, batch: Iterable[tuple[int, Sequence[Any]]]) -> tuple[list[str], list[str]]:
        """The lines of the rows, and of the faults they have."""
        lines, faults = [], []
        for number, row in batch:
            line, wrong = self.read(number, row)
            lines.append(line)
            faults.extend(wrong)
        return lines, faults

    def read(self, number: int, row: Sequence[Any]) -> tuple[str, list[str]]:
        """The row's line, and a line for each fault it has."""
        values: dict[str, Any] = {}
        cells: list[str] = []
        faults: list[tuple[str, Any, str]] = []
        for name, place, column, storing, reading, see in self._columns:
            given = row[place]
            if type(given) is str and given[:1] in "'=":
                given = self._meant(given)
            if see is not None:
                see(number, given)
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
            for name, value in self._making.add(number, row, values, faults):
                storing = self._storing[name]
                cells[self._cell_of[name]] = _cell(value if storing is None else storing(value))
        if not faults or values:
            broken = self._rules(values, self._now)
            faults += [(name, values.get(name), f"{what}; {todo}") for name, what, todo in broken]
        if not faults:
            return f"{number}\tf\t" + "\t".join(cells) + "\n", []
        return f"{number}\tt\t" + "\t".join(cells) + "\n", [_line(number, *each) for each in _once(faults)]


def _storing(record: Record, name: str) -> Storing:
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


def _stored(value: Any) -> Any:
    """A value as it is shown to people: a choice by its name."""
    return value.name.lower() if isinstance(value, Enum) else value


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
