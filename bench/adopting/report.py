"""What was measured, as tables for people and as JSON for programs, and whether it is what it has to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.adopting.adoption import Adoption
from bench.adopting.books import Sum
from bench.adopting.figures import ALL, LIMIT_MILLISECONDS, PHASES, Figure
from bench.adopting.session import KINDS

FOOTNOTES = """\
p50, p99, max: milliseconds as the old application's sessions saw them. during: from the start of the first run of
`rayces migrate adopt` to the end of the last, kills and restarts included; a statement belongs to it if any part of it
does. Sessions are opened before adoption and kept to the end; begin and commit are statements too.
failed: statements that ended with an error, gave another number of rows than they had to, or a wrong answer.
rows: expected is the database as it was before with what the old application says it did, in MyHub's own columns.\
"""
_SHOWN_FAILURES = 10
_SHOWN_LINES = 20


@dataclass
class Slowest:
    """One of the slowest statements of the old application, and what the adoption was seen to do meanwhile."""

    kind: str
    phase: str
    milliseconds: float
    meanwhile: list[str]


@dataclass
class Outcome:
    """All that a run found.

    Attributes:
        figures: the statements by phase and kind.
        slow: statements above the limit. failures: (phase, kind, text).
        expected, found: the sums of the tables. differing: table -> ids of rows that are not what they have to be.
        strangers: rows that are in another organization or in none.
        schema: lines of the catalogue that only the killed ("-") or only the undisturbed ("+") adoption made.
    """

    heading: str
    adoption: Adoption
    kills_asked: int
    undisturbed_seconds: float
    figures: list[Figure] = field(default_factory=list)
    slow: int = 0
    slowest: list[Slowest] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    expected: list[Sum] = field(default_factory=list)
    found: list[Sum] = field(default_factory=list)
    differing: dict[str, list[int]] = field(default_factory=dict)
    strangers: int = 0
    schema: list[str] = field(default_factory=list)

    def faults(self) -> Iterator[str]:
        """What is not as it has to be, a sentence each."""
        if self.failures:
            yield f"{len(self.failures)} statements of the old application failed"
        if self.slow:
            yield f"{self.slow} statements took longer than {LIMIT_MILLISECONDS:.0f} ms"
        for expected, found in zip(self.expected, self.found, strict=True):
            if expected != found:
                ids = ", ".join(map(str, self.differing.get(expected.table, ())))
                yield f"the rows of {expected.table} are not what they have to be (ids {ids}, for example)"
        if self.strangers:
            yield f"{self.strangers} rows are not in the adopted organization"
        if self.schema:
            yield f"{len(self.schema)} lines of the catalogue are not those of an undisturbed adoption"
        if len(self.adoption.kills) < self.kills_asked:
            yield f"adoption was done after {len(self.adoption.kills)} of {self.kills_asked} kills"


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables and the verdict."""
    console.print(_statements(outcome, console))
    console.print()
    console.print(_rows(outcome, console))
    console.print()
    console.print(_slowest(outcome, console))
    console.print()
    for line in _sentences(outcome):
        console.print(line, highlight=False, markup=False)
    console.print(FOOTNOTES, highlight=False, markup=False)
    faults = list(outcome.faults())
    for fault in faults:
        console.print(f"FAULT: {fault}", style="bold red", highlight=False, markup=False)
    if not faults:
        console.print("no fault", style="bold green", highlight=False)


def save(outcome: Outcome, file: Path, about: dict[str, Any]) -> None:
    """Write everything to a JSON file."""
    adoption = {
        "seconds": outcome.adoption.seconds,
        "undisturbed_small_seconds": outcome.undisturbed_seconds,
        "kills": [str(place) for place in outcome.adoption.kills],
        "output": outcome.adoption.output,
    }
    document = {
        "about": outcome.heading,
        **about,
        "faults": list(outcome.faults()),
        "adoption": adoption,
        "statements": [asdict(figure) for figure in outcome.figures],
        "slower_than_limit": outcome.slow,
        "slowest": [asdict(each) for each in outcome.slowest],
        "failures": [dict(zip(("phase", "kind", "text"), failure, strict=True)) for failure in outcome.failures],
        "rows": [
            asdict(found) | {"expected_rows": expected.rows, "expected_checksum": expected.checksum}
            for expected, found in zip(outcome.expected, outcome.found, strict=True)
        ],
        "differing_ids": outcome.differing,
        "rows_outside_organization": outcome.strangers,
        "schema_differences": outcome.schema,
    }
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _table(title: str, console: Console) -> Table:
    return Table(title=title, title_justify="left", box=None if not console.is_terminal else Table().box)


def _statements(outcome: Outcome, console: Console) -> Table:
    table = _table(outcome.heading, console)
    table.add_column("statement", no_wrap=True)
    for phase in PHASES:
        for column in (phase, "failed", "p50", "p99", "max"):
            table.add_column(column, justify="right", no_wrap=True)
    found = {(figure.phase, figure.kind): figure for figure in outcome.figures}
    for kind in (*KINDS, ALL):
        cells = [cell for phase in PHASES for cell in _cells(found.get((phase, kind)))]
        table.add_row(kind, *cells, style="bold" if kind == ALL else None)
    return table


def _cells(figure: Figure | None) -> tuple[str, ...]:
    if figure is None:
        return ("0", "", "", "", "")
    times = (f"{milliseconds:.1f}" for milliseconds in (figure.p50, figure.p99, figure.slowest))
    return (f"{figure.statements:,}", str(figure.failed or ""), *times)


def _rows(outcome: Outcome, console: Console) -> Table:
    table = _table("rows", console)
    for column in ("table", "expected", "found", "checksum expected", "checksum found", ""):
        table.add_column(column, justify="left" if column in ("table", "") else "right", no_wrap=True)
    for expected, found in zip(outcome.expected, outcome.found, strict=True):
        counts = (f"{expected.rows:,}", f"{found.rows:,}", str(expected.checksum), str(found.checksum))
        table.add_row(expected.table, *counts, "equal" if expected == found else "DIFFERENT")
    return table


def _slowest(outcome: Outcome, console: Console) -> Table:
    table = _table("slowest statements", console)
    table.add_column("ms", justify="right")
    table.add_column("statement")
    table.add_column("phase")
    table.add_column("what the adoption did meanwhile", overflow="fold")
    for each in outcome.slowest:
        table.add_row(f"{each.milliseconds:.1f}", each.kind, each.phase, " | ".join(each.meanwhile)[:200])
    return table


def _sentences(outcome: Outcome) -> Iterator[str]:
    adoption = outcome.adoption
    yield f"adoption: {adoption.seconds:.1f} s with {len(adoption.kills)} kills"
    if adoption.kills:
        yield f"killed at: {'; '.join(map(str, adoption.kills))}"
    same = "equal to that of" if not outcome.schema else "DIFFERENT from that of"
    yield f"catalogue: {same} an undisturbed adoption of a small database ({outcome.undisturbed_seconds:.1f} s)"
    yield from (f"  {line}" for line in outcome.schema[:_SHOWN_LINES])
    for phase, kind, text in outcome.failures[:_SHOWN_FAILURES]:
        yield f"failed {phase}, {kind}: {text}"
