"""Rows of a CSV file, with whatever delimiter, quotes and encoding it was written.

Rule: a quote that is not closed is an error and never swallows rows; a line, a value and the number of columns are
limited, so memory stays flat whatever the file holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rayces_core.errors import SourceError
from rayces_core.importing.sources.encodings import Inspected, decoded
from rayces_core.importing.sources.layout import Layout, find_header
from rayces_core.importing.sources.records import Broken, Dialect, likely_quote, records, sampled
from rayces_core.importing.sources.source import (
    BATCH_ROWS,
    MAX_LINE_CHARACTERS,
    Opened,
    Row,
    fitted,
    unreadable,
    without_lost,
)
from rayces_core.importing.sources.totals import without_totals

DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_LINES: Final = 50
_FEW_CONTROLS: Final = 20
_CONTROLS: Final = frozenset(map(chr, range(32))) - set("\t\r\n\v\f\x1c\x1d\x1e\x1f\x1a")


class DelimitedSource(Opened):
    """A CSV file, read anew by each call of `batches`; see `Source`.

    Args:
        delimiter: one character; None finds it out from the first lines.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        inspected: Inspected,
        delimiter: str | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.name, self.fingerprint, self.notes = name, inspected.fingerprint, inspected.notes
        self.encoding, self._has_lost = inspected.encoding, inspected.has_lost
        self._path, self._size, self._read = path, inspected.size, 0
        self._newline = "\n"
        sample = self._sample()
        self._newline = "\r" if sample and "\n" not in sample[0] and "\r" in sample[0] else "\n"
        if self._newline == "\r":
            sample = self._sample()
        self.delimiter = _checked(delimiter, name) or _announced(sample) or _likely(sample)
        quote = likely_quote(sample[1:] if _announced(sample) else sample, self.delimiter)
        self._dialect = Dialect(self.delimiter, quote, _width(sample, Dialect(self.delimiter, quote)))
        header = find_header(self._table(), layout or Layout(), name)
        self._header_row, self.header = header.row, header.names
        self._dialect = replace(self._dialect, width=len(header.names))
        self.notes += header.notes

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        read = without_totals(self._rows(), self.tell)
        return self.in_batches(without_lost(read) if self._has_lost else read, rows, lambda: self._read)

    def progress(self) -> float | None:
        """Give the share of the bytes that is read so far."""
        return min(1.0, self._read / self._size) if self._size else 1.0

    def _rows(self) -> Iterator[Row]:
        width = len(self.header)
        for number, values in self._records():
            if number <= self._header_row:
                continue
            if isinstance(values, Broken):
                yield number, unreadable(values.reason, width)
                continue
            row = [value if value and not value.isspace() else None for value in values]
            if len(row) != width:
                if any(value is not None for value in row):
                    yield number, fitted(row, width)
            elif any(row):
                yield number, row

    def _table(self) -> Iterator[tuple[int, list[str]]]:
        """The records that may be a header, which a broken one may not stand before."""
        is_first = True
        for number, values in self._records():
            if isinstance(values, Broken):
                if is_first:
                    raise SourceError(self.name, values.reason, number)
            elif number > 1 or not _announced([self.delimiter.join(values)]):
                is_first = False
                yield number, values

    def _records(self) -> Iterator[tuple[int, list[str] | Broken]]:
        return records(self._lines(), self._dialect, self.name)

    def _lines(self) -> Iterator[str]:
        rest, line, newline = "", 1, self._newline
        with self._path.open("rb") as file:
            for piece in decoded(file, self.encoding, self.name):
                self._read = file.tell()
                *lines, rest = (rest + piece).split(newline)
                for text in lines:
                    yield text + "\n"
                line += len(lines)
                if len(rest) > MAX_LINE_CHARACTERS:
                    limit = f"a line is longer than {MAX_LINE_CHARACTERS:,} characters"
                    raise SourceError(self.name, f"{limit}; is it a CSV file, with line ends?", line)
        if rest.rstrip("\x1a"):
            yield rest

    def _sample(self) -> list[str]:
        lines: list[str] = []
        for line in self._lines():
            lines.append(line)
            if len(lines) == _SAMPLE_LINES:
                break
        start = "".join(lines)[:4096]
        controls = sum(character in _CONTROLS for character in start)
        if controls > max(_FEW_CONTROLS, len(start) / 20):
            raise SourceError(self.name, "is no text file; save it as CSV or .xlsx")
        return lines


def _checked(delimiter: str | None, name: str) -> str | None:
    if delimiter is None:
        return None
    given = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
    if len(given) != 1 or given in '"\r\n\x00' or given.isalnum():
        raise SourceError(name, f"{delimiter!r:.20} cannot delimit values; name one character such as ; or ,")
    return given


def _announced(sample: list[str]) -> str | None:
    """The delimiter of a first line "sep=;", which spreadsheets write and read."""
    first = sample[0].strip("\r\n") if sample else ""
    return first[4] if len(first) == 5 and first.startswith("sep=") else None


def _likely(sample: list[str]) -> str:
    """The delimiter that cuts most lines into as many values as the header has."""
    return max(DELIMITERS, key=lambda delimiter: _fit(sample, delimiter))


def _fit(sample: list[str], delimiter: str) -> tuple[float, int]:
    widths = _widths(sample, Dialect(delimiter, likely_quote(sample, delimiter)))
    (width, most), *_ = Counter(widths).most_common(1) or [(0, 0)]
    if width >= 3 and widths[0] == 1:  # a title may stand above
        return most / len(widths), width
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths) + most / len(widths), widths[0]


def _widths(sample: list[str], dialect: Dialect) -> list[int]:
    return [len(values) for values in sampled(sample, dialect) if any(value.strip() for value in values)]


def _width(sample: list[str], dialect: Dialect) -> int:
    """How many values most rows have."""
    return max(Counter(_widths(sample, dialect)).most_common(1), default=(0, 0))[0]
