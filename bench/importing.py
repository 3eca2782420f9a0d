"""`python -m bench.importing`: many appointments at once, through the importer and through what else writes rows.

All write the same rows, journal included, into the same tables with all indexes and constraints, in turns and each time
into an organization of its own. The importer gets e-mail addresses and names, as a file has them; the others get
finished rows with ids.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import psycopg2
from psycopg2.extras import execute_values
from rich.console import Console
from rich.table import Table

from bench.server import described, migrated_database
from rayces_core import Database, Organization, Student, User, importing

NOW = datetime(2031, 3, 3, 12, tzinfo=UTC)
FIRST = datetime(2032, 1, 1, 12, tzinfo=UTC)
PROFESSIONALS, CHILDREN = 200, 5000
STATES = ("draft", "confirmed")
BASE = "execute_values"
WRITE, FROM_DICTS, FROM_CSV = "importing.run: write", "importing.run: from dicts", "importing.run: from CSV"
TARGETS = {WRITE: 1.2, FROM_DICTS: 0.6, FROM_CSV: 0.6}
COLUMNS = (
    *("organization_id", "id", "professional_id", "student_id", "client_id", "scheduled_at", "duration_minutes"),
    *("buffer_minutes", "state", "pre_confirmed_at", "expires_at", "confirmed_at", "notes", "created_at", "updated_at"),
)
JOURNAL = (
    *("organization_id", "subject_type", "subject_id", "event", "from_state", "to_state", "reason", "occurred_at"),
)
Rows = list[tuple[Any, ...]]
_numbers = count(1)


@dataclass
class World:
    """An organization with people, and the rows to be written for it."""

    db: Database
    organization: Organization
    rows: list[dict[str, Any]]

    def finished(self) -> tuple[Rows, Rows]:
        """The appointments and journal rows with all ids, as the importer would make them."""
        with self.db.tenant(self.organization):
            users = {user.email: user.id for user in User.select()}
            children = {child.first_name: child.id for child in Student.select()}
            (first,) = self.db.execute_sql("SELECT coalesce(max(id), 0) + 1 FROM appointments").fetchone()
        own, client = self.organization.id, users["ana@example.org"]
        # The ids of one organization need not be free in another.
        appointments, journal = [], []
        for key, row in enumerate(self.rows, first):
            state, starts = row["state"], row["scheduled_at"]
            stamps = (NOW, min(starts, NOW + timedelta(hours=24)), NOW) if state == "confirmed" else (None, None, None)
            people = users[row["professional"]], children[row["student_first_name"]], client
            appointments.append((own, key, *people, starts, 60, 15, state, *stamps, row["notes"], NOW, NOW))
            if state == "confirmed":
                said = (("pre_confirm", "draft", "pre_confirmed"), ("confirm", "pre_confirmed", "confirmed"))
                journal += [(own, "Appointment", key, *step, "imported", NOW) for step in said]
        return appointments, journal


def by_execute_values(url: str, appointments: Rows, journal: Rows) -> None:
    """Write as psycopg2's own help for many rows does."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for table, columns, rows in (("appointments", COLUMNS, appointments), ("state_transitions", JOURNAL, journal)):
            execute_values(cursor, f"INSERT INTO {table} ({', '.join(columns)}) VALUES %s", rows, page_size=1000)
    connection.close()


def by_copy(url: str, appointments: Rows, journal: Rows) -> None:
    """Write by COPY, the text of the rows made within the clock."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for table, columns, rows in (("appointments", COLUMNS, appointments), ("state_transitions", JOURNAL, journal)):
            text = "".join("\t".join("\\N" if cell is None else str(cell) for cell in row) + "\n" for row in rows)
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", io.StringIO(text))
    connection.close()


def by_sqlalchemy(url: str, appointments: Rows, journal: Rows) -> None:
    """Write by SQLAlchemy's bulk insert."""
    from sqlalchemy import column, create_engine, insert, table

    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    with engine.begin() as connection:
        for name, columns, rows in (("appointments", COLUMNS, appointments), ("state_transitions", JOURNAL, journal)):
            if rows:
                values = [dict(zip(columns, row, strict=True)) for row in rows]
                connection.execute(insert(table(name, *map(column, columns))), values)
    engine.dispose()


def by_django(url: str, appointments: Rows, journal: Rows) -> None:
    """Write by Django's bulk_create."""
    from django.db import connections, transaction
    from psycopg2.extensions import parse_dsn

    from bench.contenders.django_journal import Transition
    from bench.contenders.django_orm import Appointment

    given = parse_dsn(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    options = {key: given.pop(name, "") for key, name in names.items()}
    default = {"ENGINE": "django.db.backends.postgresql", **options, "OPTIONS": given}
    connections.settings = connections.configure_settings({"default": default})
    with transaction.atomic():
        for model, columns, rows in ((Appointment, COLUMNS, appointments), (Transition, JOURNAL, journal)):
            model.objects.bulk_create([model(**dict(zip(columns, row, strict=True))) for row in rows], batch_size=1000)
    connections["default"].close()
    del connections["default"]


OTHERS: dict[str, Callable[[str, Rows, Rows], None]] = {
    BASE: by_execute_values,
    "COPY": by_copy,
    "SQLAlchemy": by_sqlalchemy,
    "Django bulk_create": by_django,
}


def imported(world: World, source: Any) -> tuple[float, float]:
    """Seconds of check and write together, and of the write pass alone."""
    checked = began = time.perf_counter()

    def progress(what: str, done: int, _: int | None) -> None:
        nonlocal checked
        if what == "check" and done:
            checked = time.perf_counter()

    with world.db.tenant(world.organization):
        report = importing.run(source, "appointments", now=NOW, progress=progress)
    ended = time.perf_counter()
    if report.created != len(world.rows):
        raise click.ClickException(f"not all rows were imported: {report}")
    return ended - began, ended - checked


def _rows(number_of: int, state: str) -> list[dict[str, Any]]:
    return [
        {
            "professional": f"p{number % PROFESSIONALS}@example.org",
            "student_first_name": f"Luz {number % CHILDREN}",
            "student_last_name": "Sosa",
            "scheduled_at": FIRST + timedelta(hours=2 * (number // PROFESSIONALS)),
            "duration_minutes": 60,
            "buffer_minutes": 15,
            "state": state,
            "notes": f"call {number}",
        }
        for number in range(number_of)
    ]


def _worlds(db: Database, rows: list[dict[str, Any]]) -> Iterator[World]:
    for number in _numbers:
        organization = db.create_organization(f"Centre {number}", subdomain=f"centre-{number}")
        with db.tenant(organization):
            users = [{"email": f"p{each}@example.org"} for each in range(PROFESSIONALS)]
            importing.run([*users, {"email": "ana@example.org"}], "users")
            importing.run(users, "professionals")
            child = {"last_name": "Sosa", "primary_contact": "ana@example.org"}
            importing.run([{"first_name": f"Luz {each}", **child} for each in range(CHILDREN)], "students")
        yield World(db, organization, rows)


def _round(url: str, worlds: Iterator[World], folder: Path, turn: int) -> dict[str, float]:
    """Seconds of each, one after the other; each round begins with another one, as the first meets colder caches."""
    took: dict[str, float] = {}
    names = [*OTHERS, FROM_DICTS, FROM_CSV]
    for name in names[turn % len(names) :] + names[: turn % len(names)]:
        world = next(worlds)
        if name in OTHERS:
            appointments, journal = world.finished()
            began = time.perf_counter()
            OTHERS[name](url, appointments, journal)
            took[name] = time.perf_counter() - began
        elif name == FROM_DICTS:
            took[name], took[WRITE] = imported(world, world.rows)
        else:
            took[name], _ = imported(world, _as_csv(world.rows, folder / "appointments.csv"))
    return took


def _as_csv(rows: list[dict[str, Any]], path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(min=100), default=200_000, show_default=True, help="Appointments each.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often each is measured.")
@click.option("--state", type=click.Choice(STATES), default="confirmed", show_default=True, help="Of the appointments.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--database-url", help="Measure on this server instead of an embedded one.")
def main(rows: int, rounds: int, state: str, file: Path | None, database_url: str | None) -> None:
    """Measure importing many appointments beside COPY, execute_values, SQLAlchemy and Django, all in one run."""
    with migrated_database(database_url) as url, Database.connect(url) as db, TemporaryDirectory() as folder:
        worlds = _worlds(db, _rows(rows, state))
        _round(url, _worlds(db, _rows(min(rows, 5000), state)), Path(folder), 0)  # not counted: all is warm after it
        measured = [_round(url, worlds, Path(folder), 2 * turn) for turn in range(rounds)]
        heading = f"{rows:,} appointments, {state}, {rounds} rounds, {described(url)}"
    shown = Table(title=heading)
    for name in ("", "rows/s", "ratio to execute_values", "least", "most", "target"):
        shown.add_column(name)
    figures = {}
    for name in measured[0]:
        ratios = [each[BASE] / each[name] for each in measured]
        rate = rows / median(each[name] for each in measured)
        figures[name] = {"rows_per_second": rate, "ratio": median(ratios), "least": min(ratios), "most": max(ratios)}
        target = TARGETS.get(name)
        shown.add_row(
            name,
            f"{rate:,.0f}",
            *(f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios))),
            "" if target is None else f"{target} {'met' if median(ratios) >= target else 'missed'}",
        )
    Console().print(shown)
    if file is not None:
        file.write_text(json.dumps({"about": heading, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
