"""`python -m bench.outbox`: what writing a message costs an event, a booking and a posting, next to not writing it.

Two databases of the library on one PostgreSQL database, in turns, batch by batch: one with `outbox=False`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import click

from bench.server import migrated_database, set_flush
from rayces_core import Appointment, Database, Professional, Role, Student, User, credits, scheduling

MORNING = datetime(2031, 3, 3, 9, tzinfo=UTC)
NOW = MORNING - timedelta(days=30)
MOST = 1.10


class Centre:
    """An organization with a professional who works all day, a family, and appointments that wait to be confirmed."""

    def __init__(self) -> None:
        self.client = User.create(email="ana@example.org")
        everyday = {day: [{"start": "00:00", "end": "23:45"}] for day in scheduling_days()}
        user = User.create(email="bea@example.org", role=Role.PROFESSIONAL)
        self.professional = Professional.create(user=user, weekly_schedule=everyday, buffer_minutes=0)
        self.student = Student.create(first_name="Luz", last_name="Sosa", primary_contact=self.client)
        for event in ("apply", "admit", "enroll"):
            getattr(self.student, event)()
        credits.purchase(self.client, 10_000_000)
        self._slots = self._starts()

    def _starts(self) -> Iterator[datetime]:
        for day in count():
            for hour in range(23):
                yield MORNING.replace(hour=hour) + timedelta(days=day)

    def booked(self) -> Appointment:
        """A booking at the next free hour."""
        return scheduling.book(
            student=self.student,
            professional=self.professional,
            client=self.client,
            scheduled_at=next(self._slots),
            override_window=True,
            now=NOW,
        )

    def confirm(self, times: int) -> float:
        """Seconds of confirming so many that wait."""
        waiting = [self.booked() for _ in range(times)]
        began = time.perf_counter()
        for appointment in waiting:
            appointment.confirm(now=NOW)
        return time.perf_counter() - began

    def book(self, times: int) -> float:
        """Seconds of booking so many."""
        began = time.perf_counter()
        for _ in range(times):
            self.booked()
        return time.perf_counter() - began

    def debit(self, times: int) -> float:
        """Seconds of so many debits of one balance."""
        began = time.perf_counter()
        for _ in range(times):
            credits.debit(self.client, 1)
        return time.perf_counter() - began


def scheduling_days() -> tuple[str, ...]:
    """Every day of the week."""
    return ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def compared(url: str, rounds: int, batch: int) -> dict[str, tuple[float, float, float]]:
    """Of each operation: microseconds without and with a message, and the ratio; medians of the rounds."""
    with Database.connect(url) as telling, Database.connect(url, outbox=False) as silent:
        sides = []
        for name, db in (("silent", silent), ("telling", telling)):
            organization = db.create_organization(name.title(), subdomain=name, time_zone="UTC")
            with db.tenant(organization):
                sides.append((db, organization, Centre()))
        samples: dict[str, list[list[float]]] = {name: [[], []] for name in ("confirm", "book", "debit")}
        for number in range(rounds + 1):
            for name, taken in samples.items():
                for at in (0, 1) if number % 2 else (1, 0):
                    db, organization, centre = sides[at]
                    with db.tenant(organization):
                        seconds = getattr(centre, name)(batch)
                    if number:  # the first round warms up
                        taken[at].append(seconds / batch * 1e6)
    return {
        name: (
            statistics.median(without),
            statistics.median(with_it),
            statistics.median(b / a for a, b in zip(without, with_it, strict=True)),
        )
        for name, (without, with_it) in samples.items()
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Turns of each.")
@click.option("--batch", type=click.IntRange(min=1), default=60, show_default=True, help="Operations in a turn.")
@click.option("--flush/--no-flush", default=True, show_default=True, help="Whether commits wait for the disk.")
@click.option("--database-url", help="Measure on this server, in a database made for it, instead of an embedded one.")
def main(rounds: int, batch: int, flush: bool, database_url: str | None) -> None:
    """Measure events with and without the message that each writes."""
    with migrated_database(database_url) as url:
        set_flush(url, flushed=flush)
        results = compared(url, rounds, batch)
    click.echo(f"medians of {rounds} interleaved rounds of {batch}")
    for name, (without, with_it, ratio) in results.items():
        promised = f"  at most {MOST:.2f}" if name == "confirm" else ""
        click.echo(
            f"{name:10} without {without:6.0f} µs   with its message {with_it:6.0f} µs   x {ratio:.2f}{promised}"
        )


if __name__ == "__main__":
    main()
