"""`python -m bench.arrow`: a tenant's appointments as Arrow, beside COPY into nothing, ADBC and connectorx.

Each reads the same rows, by the SQL that the library compiles, held by row-level security as the library is: in a
process of its own, imports and the first connection outside the clock, all of a round one after the other. Besides,
what the metrics of working time take on some sessions (`--sessions`): occupancy and its heat map, over a year.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import click
import psycopg2
from psycopg2.extensions import parse_dsn
from rich.console import Console
from rich.table import Table

from bench.asking import asked
from bench.filling import APPOINTMENTS, APPOINTMENTS_A_PROFESSIONAL, FIRST_DAY, ORGANIZATION, PEOPLE
from bench.server import described, migrated_database
from rayces_core import Appointment, Database

BASE, WHOLE, BATCHES = "COPY binary into nothing", "to_arrow", "to_arrow, batches"
BATCH_ROWS = 20_000
CLIENTS = 500
MOST_RATIO, MOST_MIB = 1.6, 250


class Nothing(io.RawIOBase):
    """A file that keeps nothing of what is written to it."""

    def write(self, piece: Any) -> int:
        """Count it at most."""
        return len(piece)


class Work:
    """One way of reading the rows of a tenant."""

    def __init__(self, url: str, subdomain: str) -> None:
        self.url, self.db, self.subdomain = url, Database.connect(url), subdomain
        with self.db.tenant(subdomain) as organization:
            engine = self.db.engine
            text, values = engine.get_sql_context().sql(Appointment.select()).query()
            with self.db.atomic():
                self.sql = engine.cursor().filled(text, values)
            self.settings = {"role": engine.role, "rayces.organization_id": str(organization.id)}

    def bound(self, *, local: bool) -> str:
        """What binds a connection of somebody else's."""
        return "SELECT " + ", ".join(f"set_config('{name}', '{to}', {local})" for name, to in self.settings.items())

    def copy(self) -> Callable[[], Any]:
        """The limit: the server's bytes, of which nothing is made."""
        connection = psycopg2.connect(self.url)
        cursor = connection.cursor()
        cursor.execute(self.bound(local=True))
        return lambda: cursor.copy_expert(f"COPY ({self.sql}) TO STDOUT (FORMAT binary)", Nothing(), 1 << 16)

    def whole(self) -> Callable[[], Any]:
        """A table."""
        self._enter()
        return lambda: Appointment.select().to_arrow()

    def batches(self) -> Callable[[], Any]:
        """Batches, of which one at a time is in memory."""
        self._enter()
        return lambda: [_facts(batch) for batch in Appointment.select().to_arrow(batch_rows=BATCH_ROWS)]

    def adbc(self) -> Callable[[], Any]:
        """ADBC, bound in the transaction that reads."""
        import adbc_driver_postgresql.dbapi as adbc

        cursor = adbc.connect(self.url).cursor()
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        cursor.execute(self.bound(local=True))
        cursor.fetchall()
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "true"})

        def read() -> Any:
            cursor.execute(self.sql)
            return cursor.fetch_arrow_table()

        return read

    def connectorx(self) -> Callable[[], Any]:
        """connectorx, whose connection is opened within the clock, as it keeps none."""
        import connectorx

        given = parse_dsn(self.url)
        host, port = quote(given["host"], safe=""), given.get("port", "5432")
        url = f"postgresql://{given['user']}:{given.get('password', '')}@{host}:{port}/{given['dbname']}"
        bound = self.bound(local=False)
        return lambda: connectorx.read_sql(url, self.sql, return_type="arrow", pre_execution_query=bound)

    def _enter(self) -> None:
        self._block = self.db.tenant(self.subdomain)
        self._block.__enter__()
        Appointment.select().limit(1).to_arrow()


WAYS: dict[str, Callable[[Work], Callable[[], Any]]] = {
    BASE: Work.copy,
    WHOLE: Work.whole,
    BATCHES: Work.batches,
    "ADBC, bound in its transaction": Work.adbc,
    "connectorx, bound for its session": Work.connectorx,
}


def _facts(read: Any) -> tuple[int, int, int]:
    """What all must agree on: how many rows, and the sums of two columns."""
    import pyarrow.compute as pc

    return read.num_rows, pc.sum(read["id"]).as_py(), pc.sum(read["duration_minutes"]).as_py()


def measured(url: str, subdomain: str, name: str) -> dict[str, Any]:
    """Seconds, peak of memory in MiB, and facts of what was read, of one way in this process."""
    work = Work(url, subdomain)
    read = WAYS[name](work)
    began = time.perf_counter()
    found = read()
    seconds = time.perf_counter() - began
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    facts = None
    if found is not None:
        facts = [sum(each) for each in zip(*(found if isinstance(found, list) else [_facts(found)]), strict=True)]
    return {"seconds": seconds, "mib": int(peak) / 1024, "facts": facts}


def _in_a_process(url: str, subdomain: str, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.arrow", "--child", url, subdomain, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{name}: {done.stderr.strip()[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _fill(url: str, subdomain: str, rows: int) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(ORGANIZATION, {"subdomain": subdomain})
        (organization,) = cursor.fetchone() or (None,)
        values = {
            "organization": organization, "rows": rows, "first_day": FIRST_DAY, "clients": CLIENTS,
            "professionals": max(1, rows // APPOINTMENTS_A_PROFESSIONAL),
        }  # fmt: skip
        cursor.execute(PEOPLE, values)
        cursor.execute(APPOINTMENTS, values)
    connection.autocommit = True
    connection.cursor().execute("VACUUM ANALYZE appointments")
    connection.close()


def _compared(url: str, subdomain: str, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds and ratios to COPY within a round, and the most memory, of each."""
    runs: list[dict[str, dict[str, Any]]] = []
    names = list(WAYS)
    for turn in range(rounds):  # each begins with another one
        order = names[turn % len(names) :] + names[: turn % len(names)]
        runs.append({name: _in_a_process(url, subdomain, name) for name in order})
        if len({tuple(run["facts"]) for run in runs[-1].values() if run["facts"]}) != 1:
            raise click.ClickException(f"not all have read the same: {runs[-1]}")
    return {
        name: {
            "seconds": median(run[name]["seconds"] for run in runs),
            "ratio": median(run[name]["seconds"] / run[BASE]["seconds"] for run in runs),
            "mib": max(run[name]["mib"] for run in runs),
        }
        for name in names
    }


def _target(name: str, found: dict[str, dict[str, float]], rows: int) -> str:
    """What is promised of this one, and whether it holds."""
    mine = found[name]
    if name == WHOLE:
        ahead = all(mine["seconds"] < each["seconds"] for other, each in found.items() if "bound" in other)
        met = mine["ratio"] <= MOST_RATIO and ahead
        return f"{MOST_RATIO} and ahead: {'met' if met else 'missed'}"
    if name == BATCHES and rows >= 1_000_000:
        return f"{MOST_MIB} MiB: {'met' if mine['mib'] <= MOST_MIB else 'missed'}"
    return ""


def _show(title: str, lines: dict[str, list[str]], *headings: str) -> None:
    shown = Table(title=title)
    for heading in ("", *headings):
        shown.add_column(heading)
    for name, cells in lines.items():
        shown.add_row(name, *cells)
    Console().print(shown)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(min=100), multiple=True, default=(100_000, 1_000_000), show_default=True)
@click.option("--sessions", type=click.IntRange(min=0), default=50_000, show_default=True, help="Of metrics; 0: none.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often each is measured.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--database-url", help="Measure on this server instead of an embedded one.")
@click.option("--child", nargs=3, hidden=True)
def main(
    rows: tuple[int, ...],
    sessions: int,
    rounds: int,
    file: Path | None,
    database_url: str | None,
    child: tuple[str, str, str] | None,
) -> None:
    """Measure metrics of working time, and appointments read into Arrow beside COPY, ADBC and connectorx."""
    if child:
        click.echo(json.dumps(measured(*child)))
        return
    figures: dict[str, Any] = {}
    with migrated_database(database_url) as url:
        about = described(url)
        if sessions:
            _fill(url, f"asked-{sessions}", sessions)
            figures["metrics"] = asked(url, f"asked-{sessions}", rounds)
            title = f"Metrics of {sessions:,} sessions, a year, {rounds} rounds, {about}"
            _show(title, {name: [f"{each['seconds']:.2f}"] for name, each in figures["metrics"].items()}, "seconds")
        for number in rows:
            _fill(url, f"rows-{number}", number)
            found = figures[str(number)] = _compared(url, f"rows-{number}", rounds)
            cells = {
                name: [
                    f"{each['seconds']:.2f}",
                    f"{each['ratio']:.2f}",
                    f"{each['mib']:.0f}",
                    _target(name, found, number),
                ]
                for name, each in found.items()
            }
            title = f"{number:,} appointments of one tenant, {rounds} rounds, {about}"
            _show(title, cells, "seconds", "ratio to COPY", "peak MiB", "target")
    if file is not None:
        file.write_text(json.dumps({"about": about, "rounds": rounds, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
