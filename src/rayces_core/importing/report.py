"""Report: what a check or an import found and did, row by row.

Rule it guards: every problem is kept, the first ones in memory and all of them in a temporary file, so that a source of
millions of bad rows is told of completely without filling the memory. What came from a source is shown as data: it is
escaped in HTML, and in a CSV it never begins like a formula.
"""

from __future__ import annotations

import csv
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import IO, Any, Final

from rayces_core.archive.cells import escaped
from rayces_core.archive.files import OWNER_ONLY
from rayces_core.showing import counted

KEPT: Final = 1000
SHOWN: Final = 20
HEADINGS: Final = ("row", "column", "value", "problem", "advice")


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a row out.

    Attributes:
        row: its number, as the program that made the source shows it. column: the record type's name for it.
        value: what the source has there, cut to a readable length. problem: what is wrong. advice: what to do.
        sheet: the name of its sheet, where several are read.
    """

    row: int
    column: str
    value: str
    problem: str
    advice: str
    sheet: str = ""


@dataclass
class Report:
    """What became of a source.

    Attributes:
        record_type, source: what was read, and from where.
        written: whether this was an import; a check writes nothing.
        rows: rows read. created, updated, unchanged: what became of them, or would; of a whole series each appointment
            counts. skipped: rows with problems.
        resumed_after: number of the last row that an earlier run had committed; None where none was asked for.
        there_before: how many rows that run had committed.
        problems: the first thousand; `every_problem()` gives all. problem_count: how many there are.
        columns: column → header it was read from. unused: headers that nothing was read from.
        suggestions: unused header → the column that it may mean. ignored: headers that were left out on purpose.
        notes: what was found out about the source, such as rows above its header. sheets: where several sheets are
            read, how many rows stand before each, and its name.
        samples: column → a few values as they are written, and as they are stored. seconds: how long it took.
    """

    record_type: str
    source: str
    written: bool = False
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    resumed_after: int | None = None
    there_before: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    suggestions: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sheets: tuple[tuple[int, str], ...] = ()
    samples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    seconds: float = 0.0
    _file: IO[str] | None = field(default=None, repr=False, compare=False)

    @property
    def is_clean(self) -> bool:
        """Whether no row has a problem."""
        return not self.problem_count

    def add(self, problems: Iterable[Problem]) -> None:
        """Note problems, in the order of their rows as far as they are known."""
        for found in problems:
            problem = self._in_sheet(found) if self.sheets else found
            self.problem_count += 1
            if len(self.problems) < KEPT:
                self.problems.append(problem)
            else:
                self._overflow().write(json.dumps(asdict(problem), ensure_ascii=True) + "\n")

    def _in_sheet(self, problem: Problem) -> Problem:
        before, sheet = [each for each in self.sheets if each[0] < problem.row][-1]
        return replace(problem, row=problem.row - before, sheet=sheet)

    def place(self, problem: Problem) -> str:
        """Where a row is, as people say it: its number, and its sheet where several are read."""
        return f"{problem.row} of {problem.sheet!r:.60}" if problem.sheet else str(problem.row)

    def every_problem(self) -> Iterator[Problem]:
        """All problems, also those beyond the first thousand."""
        yield from self.problems
        if self._file is not None:
            self._file.seek(0)
            for line in self._file:
                yield Problem(**json.loads(line))
            self._file.seek(0, os.SEEK_END)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write every problem to a CSV file in UTF-8; a text that a spreadsheet would run gets a ' before it."""
        with _owned(path, encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADINGS)
            for each in self.every_problem():
                writer.writerow([self.place(each) if each.sheet else each.row, *map(escaped, self.shown(each)[1:])])

    def shown(self, problem: Problem) -> tuple[str, str, str, str, str]:
        """A problem as people read it: its column is called by the source's own header."""
        names = problem.column.split(", ")  # a row is known by several columns
        column = ", ".join(self.columns.get(name, name) for name in names)
        return self.place(problem), column, problem.value, problem.problem, problem.advice

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the counts and every problem to a JSON file."""
        with _owned(path, encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(self.summary(), ensure_ascii=False)[:-1] + ', "problems": [')
            for number, each in enumerate(self.every_problem()):
                file.write((",\n" if number else "\n") + json.dumps(asdict(each), ensure_ascii=False))
            file.write("]}\n")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON to a path that ends in .json, else as CSV."""
        (self.to_json if os.fspath(path).lower().endswith(".json") else self.to_csv)(path)

    def summary(self) -> dict[str, Any]:
        """The counts, as plain data."""
        return {
            "record_type": self.record_type,
            "source": self.source,
            "written": self.written,
            "rows": self.rows,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "problem_count": self.problem_count,
            "resumed_after": self.resumed_after,
            "columns": self.columns,
            "unused": list(self.unused),
            "notes": list(self.notes),
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        done = ("created", "updated") if self.written else ("to create", "to update")
        counts = f"{self.created} {done[0]}, {self.updated} {done[1]}, {self.unchanged} unchanged"
        faulty = f", {self.skipped} with {counted(self.problem_count, 'problems')}" if self.problem_count else ""
        were = "was" if self.there_before == 1 else "were"
        rows = counted(self.there_before, "rows")
        before = f"; {rows} {were} there from the run before" if self.resumed_after else ""
        return f"{self.source}: {counted(self.rows, self.record_type)}, {counts}{faulty}{before}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in self.shown(each)) + "</tr>"
            for each in self.problems[:SHOWN]
        )
        more = self.problem_count - min(SHOWN, len(self.problems))
        rest = f"<p>and {more} more; to_csv(path) writes all of them</p>" if more > 0 else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
        unread = "".join(f"<p>{escape(line)}</p>" for line in (*self.notes, *self.not_read()))
        return f"<p>{escape(str(self))}</p>{unread}{table}{rest}"

    def not_read(self) -> list[str]:
        """Say of each header that nothing was read from, and what it may mean."""
        meant = self.suggestions
        return [
            f"{name!r} is not read" + (f"; did you mean {meant[name]}?" if name in meant else "")
            for name in self.unused
        ]

    def _overflow(self) -> IO[str]:
        if self._file is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - ends with the report
        return self._file


def _owned(path: str | os.PathLike[str], **how: Any) -> IO[str]:
    """A text file to write that only its owner may read: it has what rows say about people."""
    file: IO[str] = open(path, "w", opener=_opened, **how)  # noqa: SIM115 - the caller closes it
    return file


def _opened(path: str, flags: int) -> int:
    number = os.open(path, flags, OWNER_ONLY)
    if stat.S_ISREG(os.fstat(number).st_mode):
        os.fchmod(number, OWNER_ONLY)
    return number
