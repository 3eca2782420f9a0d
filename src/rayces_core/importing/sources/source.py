"""What every source gives, and the limits that each of them holds.

Rule: a source is never held in memory as a whole where its format allows that, and hostile input ends in a
`SourceError` or in a value that its reader refuses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from rayces_core.errors import SourceError
from rayces_core.importing.columns import Unreadable

Row = tuple[int, Sequence[Any]]

MAX_COLUMNS: Final = 1_000
MAX_HEADER_CHARACTERS: Final = 300
MAX_LINE_CHARACTERS: Final = 4 * 1024 * 1024
BATCH_ROWS: Final = 5_000
BATCH_BYTES: Final = 16 * 1024 * 1024
FIFTEEN_DIGITS: Final = 1e15
CSV_ADVICE: Final = "look for a delimiter within a value and quote that value"
SHEET_ADVICE: Final = "give the last columns names in the header, or empty their cells"


class Source(Protocol):
    """Rows under one header.

    Attributes:
        name: what it is called in messages.
        header: the names of its columns as they are written there, each once.
        fingerprint: SHA-256 of its bytes in hexadecimal; None where there are no bytes, as for an iterable.
        notes: what was found out about it and should be told, such as sheets that are not read; complete at the end.
        sheets: where several sheets are read: how many rows stand before each, and its name; else nothing.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def header(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def fingerprint(self) -> str | None: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def sheets(self) -> tuple[tuple[int, str], ...]: ...  # noqa: D102

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning, at most `rows` rows at a time.

        Yields:
            Lists of (row number, values in the order of the header). The number is the one the user's program shows:
            the line where the row begins, the row of a sheet, the place in an iterable from 1. An empty value is None;
            rows without any value are left out. A row that cannot be read has an `Unreadable` in every place.

        Raises:
            SourceError: the source cannot be read on, or was an iterable that has been read already.
        """
        ...

    def progress(self) -> float | None:
        """Give the share that is read so far, 0 to 1; None where nobody can know."""
        ...


class Opened:
    """What all sources have.

    Attributes:
        null: words that mean nothing, such as "N/A". copy: a temporary file that is removed with the source.
    """

    notes: tuple[str, ...] = ()
    sheets: tuple[tuple[int, str], ...] = ()
    null: frozenset[str] = frozenset()
    copy: Any = None

    def tell(self, note: str) -> None:
        """Note what was found out, once."""
        if note not in self.notes:
            self.notes = (*self.notes, note)

    def in_batches(self, rows: Iterator[Row], size: int, read: Callable[[], int] = int) -> Iterator[list[Row]]:
        """Gather rows into lists, without the words that mean nothing."""
        return in_batches(_emptied(rows, self.null) if self.null else rows, size, read)


def _emptied(rows: Iterator[Row], null: frozenset[str]) -> Iterator[Row]:
    for number, row in rows:
        values = [None if isinstance(value, str) and value.strip() in null else value for value in row]
        if any(value is not None for value in values):
            yield number, values


def checked_header(source: str, names: Sequence[Any], row: int | None = None) -> tuple[str, ...]:
    """Give the trimmed names of a header; one without a name is called by its place, "(column 3)".

    Two of the same name are told apart by their places: "Notas (column 2)", "Notas (column 5)".

    Raises:
        SourceError: there are none, too many, or one is too long.
    """
    header = [_header_name(name, place) for place, name in enumerate(names, 1)]
    if not header:
        raise SourceError(source, "has no columns; its first row must name them", row)
    if len(header) > MAX_COLUMNS:
        advice = "keep those to be imported, or check the delimiter"
        raise SourceError(source, f"has {len(header):,} columns, more than {MAX_COLUMNS:,}; {advice}", row)
    for place, name in enumerate(header, 1):
        if len(name) > MAX_HEADER_CHARACTERS:
            raise SourceError(source, f"column {place} has a name of {len(name):,} characters; is it a header?", row)
    counts = Counter(header)
    unique = [f"{name} (column {place})" if counts[name] > 1 else name for place, name in enumerate(header, 1)]
    if len(set(unique)) < len(unique):
        raise SourceError(source, "has names of columns that cannot be told apart; give each a name of its own", row)
    return tuple(unique)


def _header_name(name: Any, place: int) -> str:
    return " ".join(str("" if name is None else name).split()) or f"(column {place})"


def fitted(values: Sequence[Any], width: int, advice: str = CSV_ADVICE) -> Sequence[Any]:
    """Give a row as wide as the header: what is missing at the end is empty, what is too much makes it unreadable."""
    surplus = len(values) - width
    if surplus == 0:
        return values
    if surplus < 0:
        return (*values, *(None,) * -surplus)
    if all(value is None for value in values[width:]):
        return values[:width]
    return unreadable(f"the row has {len(values)} values, the header {width}; {advice}", width)


def whole(number: float, *, of_sheet: bool = False) -> Any:
    """Give a float, or the whole number that one of sixteen digits and more, such as an id, certainly is.

    A float holds whole numbers up to 2**53. Excel keeps fifteen digits and puts 0 for the others. NaN, which many
    programs have where nothing is, is None.
    """
    if -FIFTEEN_DIGITS < number < FIFTEEN_DIGITS or math.isinf(number):
        return number
    if math.isnan(number):
        return None
    if abs(number) <= 2**53 and number.is_integer() and (number % 10 or not of_sheet):
        return int(number)
    lost = "has more than fifteen digits, of which a spreadsheet or a number with a point loses the last"
    return Unreadable(f"{number:.0f} {lost}; write it as text")


def without_lost(rows: Iterator[Row]) -> Iterator[Row]:
    """Make values unreadable in which another program has put � for a letter that it could not write."""
    lost = Unreadable("has � where a letter was lost; write it anew, or save the file as UTF-8 from its first program")
    for number, row in rows:
        if any(type(value) is str and "\ufffd" in value for value in row):
            row = [lost if type(value) is str and "\ufffd" in value else value for value in row]
        yield number, row


def unreadable(reason: str, width: int) -> Sequence[Any]:
    """Give what stands for a row that cannot be read as a whole."""
    return (Unreadable(reason),) * width


def in_batches(rows: Iterator[Row], size: int, read: Callable[[], int] = int) -> Iterator[list[Row]]:
    """Gather rows into lists of at most `size`, and of little more than 16 MB where `read` says what is read so far."""
    batch: list[Row] = []
    begun = read()
    for row in rows:
        batch.append(row)
        begun = min(begun, read())  # what was read before, for the header, is read anew
        if len(batch) >= size or read() - begun > BATCH_BYTES:
            yield batch
            batch, begun = [], read()
    if batch:
        yield batch
