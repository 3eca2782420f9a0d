"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contenders import BASELINE, OURS
from bench.facts import Agenda, Facts
from bench.measuring import Samples
from bench.operations import Operation

FOOTNOTES = """\
All contenders returned and wrote the same rows, which was checked before the clock ran.
ratio: speed next to psycopg2 in the same round (above 1: faster); median, then lowest and highest of the rounds.
psycopg2: BEGIN, statement, COMMIT on one open connection; SQL written by hand with its own filter by organization. It
  logs in as a superuser, so row-level security does not hold it; that is what "by hand" means here. For models it makes
  tuples. Opening a block is BEGIN, SELECT set_config(...), COMMIT; a block with a point read is the point read alone.
others: as they come. Django and Peewee commit each statement by itself, SQLAlchemy has a session for each unit of work.
  They scan in every second round only.
no flush: with synchronous_commit off. Without the wait for the disk, which is the same for all, the rest shows.
transition, booking, free slots: psycopg2 and rayces_core only; the others have no lifecycles and no schedules. By hand
  each check is a statement of its own in three transactions; the checks and the rows written are the same. Free slots
  by hand are one query; the target of 0.67 is one and a half times its time.
credits: psycopg2 and rayces_core only, in the same tables with all their rules. A debit by hand is BEGIN, SELECT FOR
  UPDATE, INSERT of the entry, UPDATE of the balance, COMMIT; through the library credits.debit(user, 1). Several
  processes are as many clients, each with a connection, for as long for either; "one balance" is the same for all.
  Every balance was derived anew after each round, and the entries counted: they are what the callers were told.
  purchase_many by hand is a COPY of finished entries, whose text is made outside the clock, and one UPDATE of the
  balances: no check, no lock, nothing to tell an entry that comes twice.
p50, p99: milliseconds within which half of the calls, and all but one of a hundred, were done; median of the rounds.
CPU us: microseconds of the clients for an operation, or for a row, slot or purchase where these are counted. trips:
  messages to the server for one call, on the wire; not the data of a COPY.
"""


class Result:
    """What one contender did in one operation."""

    def __init__(self, operation: Operation, name: str, own: Samples, baseline: Samples, trips: int, rows: int) -> None:
        self.operation, self.name, self.trips = operation, name, trips
        self.per_second, self.cpu = own.per_second, own.cpu_microseconds
        self.rows = rows
        self.share: float | None = None  # of the time of the operation that this is a part of
        self.rounds = len(own.wall)
        self.p50, self.p99 = own.milliseconds_of(50), own.milliseconds_of(99)
        ratios = own.ratios_to(baseline)
        self.ratio, self.least, self.most = median(ratios), min(ratios), max(ratios)

    @property
    def verdict(self) -> str:
        """Whether the issue's target is met; empty where it names none or it is not ours to meet."""
        target = self.operation.target
        if target is None or self.name != OURS:
            return ""
        return f"{'ok' if self.ratio >= target else 'below'} ({target:.2f})"

    def as_row(self) -> list[str]:
        """The cells of the table."""
        unit = f" {self.operation.unit}" if self.operation.unit else ""
        same = self.name == BASELINE
        return [
            self.name,
            f"{_rounded(self.per_second * self.rows)}{unit}",
            "1" if same else f"{self.ratio:.2f}",
            "" if same else f"{self.least:.2f}-{self.most:.2f}",
            *("" if time is None else f"{time:.2f}" for time in (self.p50, self.p99)),
            _rounded(self.cpu / self.rows),
            str(self.trips),
            self.verdict,
        ]

    def as_json(self) -> dict[str, Any]:
        """The same with full precision."""
        return {
            "operation": self.operation.title,
            "contender": self.name,
            "operations_per_second": self.per_second,
            "counted_in": self.operation.unit or None,
            "rows_per_operation": self.rows if self.operation.unit else None,
            "share_of": self.operation.within if self.share is not None else None,
            "share": self.share,
            "ratio": self.ratio,
            "ratio_lowest": self.least,
            "ratio_highest": self.most,
            "rounds": self.rounds,
            "p50_milliseconds": self.p50,
            "p99_milliseconds": self.p99,
            "client_cpu_microseconds": self.cpu,
            "round_trips": self.trips,
            "target": self.operation.target if self.name == OURS else None,
        }


def show(results: Sequence[Result], facts: Facts, heading: str, console: Console) -> None:
    """Print the table: ruled on a terminal, plain columns into a pipe."""
    table = Table(title=heading, title_justify="left", box=None if not console.is_terminal else Table().box)
    table.add_column("operation", no_wrap=True)
    table.add_column("contender", no_wrap=True)
    for column in ("per second", "ratio", "lowest-highest", "p50 ms", "p99 ms", "CPU us", "trips"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    previous = None
    for result in results:
        first = result.operation is not previous
        if first and previous is not None:
            table.add_section() if console.is_terminal else table.add_row()
        table.add_row(result.operation.title if first else "", *result.as_row(), style=_style(result))
        previous = result.operation
    console.print(table)
    if shares := [result for result in results if result.share is not None]:
        console.print(_in_database(shares, facts.agenda), highlight=False)
    if any(result.operation.unit == "purchases" for result in results):
        ledger = facts.ledger
        about = f"purchase_many: {ledger.batch:,} at a time; {len(ledger.users):,} users have a balance"
        console.print(about, highlight=False)
    console.print(FOOTNOTES, highlight=False)


def save(results: Sequence[Result], file: Path, about: dict[str, Any]) -> None:
    """Write everything to a JSON file."""
    document = {**about, "results": [result.as_json() for result in results]}
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _in_database(shares: Sequence[Result], agenda: Agenda) -> str:
    found = f"{agenda.slots:,} of {agenda.professionals} professionals in {(agenda.end - agenda.start).days} days"
    parts = [f"{share.name} {1000 / share.per_second:.0f} ms, {share.share:.0%} of its time" for share in shares]
    return f"free slots: {found}, beside {agenda.appointments:,} appointments; SQL alone: {'; '.join(parts)}"


def _style(result: Result) -> str | None:
    if result.name != OURS:
        return None
    return "bold red" if result.verdict.startswith("below") else "bold"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
