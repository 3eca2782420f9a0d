"""Rows of a CSV file, with whatever delimiter, quotes and encoding it was written.

Rule: a quote that is not closed is an error and never swallows rows; a line, a value and the number of columns are
limited, so memory stays flat whatever the file holds.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rayces_core.errors import SourceError
from rayces_core.importing.sources.encodings import Inspected, decoded
from rayces_core.importing.sources.layout import Layout, find_header
from rayces_core.importing.sources.source import BATCH_ROWS, MAX_LINE_CHARACTERS, Row, fitted, in_batches, without_lost

DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_LINES: Final = 50
_FEW_CONTROLS: Final = 20
_CONTROLS: Final = frozenset(map(chr, range(32))) - set("\t\r\n\v\f\x1c\x1d\x1e\x1f\x1a")


class DelimitedSource:
    """A CSV file, read anew by each call of `batches`; see `Source`.

    Args:
        delimiter: one character; None finds it out from the first lines.
    """

    notes: tuple[str, ...] = ()
    sheets: tuple[tuple[int, str], ...] = ()

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
        self._record = 0  # characters since the last row was complete
        self._newline = "\n"
        sample = self._sample()
        self._newline = "\r" if sample and "\n" not in sample[0] and "\r" in sample[0] else "\n"
        if self._newline == "\r":
            sample = self._sample()
        self.delimiter = _checked(delimiter, name) or _announced(sample) or _likely(sample)
        header = find_header(self._below_announcement(), layout or Layout(), name)
        self._header_row, self.header = header.row, header.names
        self.notes += header.notes

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        return in_batches(without_lost(self._rows()) if self._has_lost else self._rows(), rows, lambda: self._read)

    def progress(self) -> float | None:
        """Give the share of the bytes that is read so far."""
        return min(1.0, self._read / self._size) if self._size else 1.0

    def _rows(self) -> Iterator[Row]:
        width = len(self.header)
        for number, values in self._records():
            if number <= self._header_row:
                continue
            row = [value if value and not value.isspace() else None for value in values]
            if len(row) != width:
                if any(value is not None for value in row):
                    yield number, fitted(row, width)
            elif any(row):
                yield number, row

    def _below_announcement(self) -> Iterator[tuple[int, list[str]]]:
        for number, names in self._records():
            if number > 1 or not _announced([self.delimiter.join(names)]):
                yield number, names

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line where it begins, values) of each record that is not a blank line."""
        reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        begins = 1
        try:
            for values in reader:
                self._record = 0
                if values:
                    yield begins, values
                begins = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(self.name, _explained(error), begins) from None

    def _lines(self) -> Iterator[str]:
        rest, line, newline = "", 1, self._newline
        self._record = 0
        with self._path.open("rb") as file:
            for piece in decoded(file, self.encoding, self.name):
                self._read = file.tell()
                *lines, rest = (rest + piece).split(newline)
                for text in lines:
                    self._record += len(text) + 1
                    if self._record > MAX_LINE_CHARACTERS and len(text) < self._record - 1:
                        limit = f"a row of several lines is longer than {MAX_LINE_CHARACTERS:,} characters"
                        raise SourceError(self.name, f"{limit}; a quote may not be closed", line)
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
            self._record = 0
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
    widths = []
    try:
        for values in csv.reader(sample, delimiter=delimiter):
            if any(value.strip() for value in values):
                widths.append(len(values))
    except csv.Error:
        pass  # the sample may end within a quoted value
    if not widths or widths[0] < 2:
        return 0.0, 0
    (_, most), *_ = Counter(widths).most_common(1)
    return widths.count(widths[0]) / len(widths) + most / len(widths), widths[0]


def _explained(error: csv.Error) -> str:
    said = str(error)
    if "field limit" in said:
        return f"a value is longer than {csv.field_size_limit():,} characters; a quote may not be closed"
    if "unexpected end" in said:
        return 'a value begins with a quote (") that is never closed; close it, or double it within a value'
    if "expected after" in said:
        return 'a quote (") stands within a quoted value; double it ("") there'
    return f"cannot be read as CSV ({said}); save it anew from its program"
