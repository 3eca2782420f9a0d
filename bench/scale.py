"""`python -m bench.scale`: what ten thousand tenants cost, beside ten, each of them as large, in turns on one server.

Every turn of an operation goes to tenants drawn anew, so that pages and plans are as cold as they are in use.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Self

import click
import psycopg2
from psycopg2.extensions import make_dsn
from rich.console import Console
from rich.table import Table

from bench.counting import COUNTED, Counts, Meter, average, spent
from bench.facts import EVENING, FIRST_DAY, NOW, SESSIONS_AN_EVENING, SPACING
from bench.filling_tenants import fill_tenants
from bench.server import database_on, described, made_database, server_with
from rayces_core import (
    Appointment,
    AppointmentState,
    Database,
    Organization,
    Professional,
    Student,
    User,
    credits,
    doctor,
    scheduling,
)
from rayces_core.models import Role

MOST = 1.3
FEW = 10


@dataclass
class Centre:
    """One tenant and what is asked of it; `bookings` counts those made."""

    subdomain: str
    appointments: list[int]
    professional: int
    student: int
    client: int
    bookings: int = 0

    @classmethod
    def read(cls, subdomain: str) -> Self:
        """What there is to ask of the tenant whose block goes on."""
        ids = [row.id for row in Appointment.select(Appointment.id).order_by(Appointment.id).limit(50)]
        professional, client = Professional.select().first(), User.get(User.role == Role.GUARDIAN)
        student = Student.get(Student.primary_contact == client)
        booked = Appointment.select().where(Appointment.state == AppointmentState.PRE_CONFIRMED).count()
        return cls(subdomain, ids, professional.user_id, student.id, client.id, booked)

    def next_evening(self) -> dict[str, Any]:
        """Whom and when to book next: no two collide."""
        evening, session = divmod(self.bookings, SESSIONS_AN_EVENING)
        self.bookings += 1
        begins = FIRST_DAY + timedelta(days=evening) + EVENING + session * SPACING
        people = {"professional": self.professional, "student": self.student, "client": self.client}
        return {**people, "scheduled_at": begins}


@dataclass
class Side:
    """A database with so many tenants, and its samples: of each operation the microseconds and counts of each round."""

    url: str
    tenants: int
    seed: int = 1
    samples: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, list[Counts]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.db = Database.connect(self.url, outbox=False)
        self._random = random.Random(self.seed)
        self._known: dict[str, Centre] = {}

    def drawn(self, number: int) -> list[Centre]:
        """So many tenants, drawn evenly; their keys are read here."""
        names = [f"centre-{self._random.randint(1, self.tenants)}" for _ in range(number)]
        return [self._known.get(name) or self._read(name) for name in names]

    def _read(self, name: str) -> Centre:
        with self.db.tenant(name):
            self._known[name] = Centre.read(name)
        return self._known[name]

    # -- what is measured: each returns how many operations it was ------------------------------------------------

    def point_read(self, centres: Sequence[Centre]) -> int:
        """Its block, and a row by its key."""
        for centre in centres:
            with self.db.tenant(centre.subdomain):
                Appointment.get_by_id(self._random.choice(centre.appointments))
        return len(centres)

    def book(self, centres: Sequence[Centre]) -> int:
        """Its block, and a booking."""
        for centre in centres:
            with self.db.tenant(centre.subdomain):
                scheduling.book(**centre.next_evening(), now=NOW)
        return len(centres)

    def free_slots(self, centres: Sequence[Centre]) -> int:
        """Its block, and the free time of its professionals in the thirty days before what was filled in ends."""
        for centre in centres:
            with self.db.tenant(centre.subdomain):
                scheduling.find_slots(FIRST_DAY, FIRST_DAY + timedelta(days=30), now=NOW)
        return len(centres)

    def debit(self, centres: Sequence[Centre]) -> int:
        """Its block, and a debit."""
        for centre in centres:
            with self.db.tenant(centre.subdomain):
                credits.debit(centre.client, 1)
        return len(centres)

    def verify(self, centres: Sequence[Centre]) -> int:
        """The ledger of one tenant, derived anew."""
        for centre in centres:
            with self.db.tenant(centre.subdomain):
                assert credits.verify().is_clean
        return len(centres)

    def doctor(self, _: Sequence[Centre]) -> int:
        """Everything that the doctor looks at."""
        doctor.audit(self.db)
        return 1

    def migrate(self, _: Sequence[Centre]) -> int:
        """`migrate up` where nothing is left to do, as every deployment runs it."""
        assert self.db.migrate() == []
        return 1

    def everybody_verified(self) -> float:
        """Microseconds for each tenant of verifying all of them."""
        began = time.perf_counter()
        with self.db.privileged(reason="bench.scale"):
            assert credits.verify().is_clean
        return (time.perf_counter() - began) / self.tenants * 1e6


# Operation, and how many calls a turn has.
OPERATIONS: dict[str, tuple[Callable[[Side, Sequence[Centre]], int], int]] = {
    "point read": (Side.point_read, 200),
    "book": (Side.book, 50),
    "free slots": (Side.free_slots, 20),
    "debit": (Side.debit, 100),
    "verify a tenant": (Side.verify, 20),
    "doctor": (Side.doctor, 1),
    "migrate up": (Side.migrate, 1),
}


def compared(server: str, sides: Sequence[Side], rounds: int, share: float = 1.0) -> None:
    """Collect the samples of both sides, turn by turn; `share` of the calls of a whole turn."""
    with ExitStack() as stack:
        meters = [stack.enter_context(closing(Meter(server, side.url))) for side in sides]
        turns = list(zip(sides, meters, strict=True))
        for number in range(rounds + 1):
            for name, (operation, calls) in OPERATIONS.items():
                for side, meter in turns if number % 2 else reversed(turns):
                    centres = side.drawn(max(1, round(calls * share)))
                    before = meter.read(side.db, "centre-1") if number else {}
                    began = time.perf_counter()
                    done = operation(side, centres)
                    seconds = time.perf_counter() - began
                    if number:  # the first round warms up
                        counted = spent(before, meter.read(side.db, "centre-1"), done)
                        side.samples.setdefault(name, []).append(seconds / done * 1e6)
                        side.counts.setdefault(name, []).append(counted)


def ratios(few: Side, many: Side) -> dict[str, float]:
    """Of each operation the median of the ratios of many to few, within a round."""
    return {
        name: median(b / a for a, b in zip(few.samples[name], many.samples[name], strict=True)) for name in few.samples
    }


def bound_in_turn(url: str, tenants: int) -> dict[str, float]:
    """MiB of this process before and after every tenant was bound and read from."""
    with Database.connect(url) as db:
        before = _resident()
        for number in range(1, tenants + 1):
            with db.tenant(f"centre-{number}"):
                Appointment.select().first()
        return {"before": before, "after": _resident()}


def _resident() -> float:
    (size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
    return int(size) / 1024


def _in_a_process(url: str, tenants: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.scale", "--child", url, str(tenants)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr.strip()[-2000:])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def filled(url: str, tenants: int, each: int, console: Console) -> None:
    """Fill a database with so many tenants of so many appointments, unless they are there."""
    with Database.connect(url) as db, db.privileged(reason="bench.scale"):
        if (there := Organization.select().count()) == tenants:
            return
    if there:
        raise click.ClickException(f"there are {there:,} tenants in that folder; say --tenants {there}, or another one")
    began = time.perf_counter()
    with console.status(f"filling {tenants:,} tenants") as status:
        made = fill_tenants(url, tenants, each, lambda n: status.update(f"{tenants:,} tenants: {n:,} appointments"))
    console.print(f"{tenants:,} tenants, {made:,} appointments: filled in {time.perf_counter() - began:,.0f} s")


def measured(server: str, urls: Sequence[str], tenants: int, rounds: int) -> dict[str, Any]:
    """Everything that is measured on one server: microseconds and counts of few and many, and the ratio."""
    with ExitStack() as stack:
        sides = [Side(url, number) for url, number in zip(urls, (FEW, tenants), strict=True)]
        for side in sides:
            stack.callback(side.db.close)
        few, many = sides
        compared(server, sides, rounds)
        rows: dict[str, tuple[float, float, float]] = {
            name: (median(few.samples[name]), median(many.samples[name]), ratio)
            for name, ratio in ratios(few, many).items()
        }
        whole = [side.everybody_verified() for side in sides]
        rows["verify all, a tenant"] = (whole[0], whole[1], whole[1] / whole[0])
        counts = {name: [average(side.counts[name]) for side in sides] for name in few.counts}
        about = f"{described(server)}, shared_buffers {_asked(server, 'SHOW shared_buffers')}"
        return {"about": about, "size": _asked(many.url, SIZE), "rows": rows, "counts": counts}


SIZE = "SELECT pg_size_pretty(pg_database_size(current_database()))"


def _asked(url: str, sql: str) -> str:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        ((answer,),) = cursor.fetchall()
    return str(answer)


def show(found: dict[str, Any], tenants: int, console: Console) -> None:
    """Print what was measured on one server: the times, and beneath them the profile that says why."""
    times = Table(title=f"{found['about']}; {tenants:,} tenants: {found['size']}")
    for heading in ("", f"µs with {FEW}", f"µs with {tenants:,}", "ratio", f"at most {MOST}"):
        times.add_column(heading, justify="right" if heading else "left")
    for name, (small, large, ratio) in found["rows"].items():
        times.add_row(name, f"{small:,.0f}", f"{large:,.0f}", f"{ratio:.2f}", "met" if ratio <= MOST else "missed")
    console.print(times)
    profile = Table(title=f"for each operation, with {FEW} → with {tenants:,}")
    for heading in ("", *COUNTED):
        profile.add_column(heading, justify="right" if heading else "left")
    for name, (small, large) in found["counts"].items():
        profile.add_row(name, *(f"{small[each]:,.0f} → {large[each]:,.0f}" for each in COUNTED))
    console.print(profile)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tenants", type=click.IntRange(min=FEW), default=10_000, show_default=True, help="On the large side.")
@click.option("--appointments", type=click.IntRange(min=10), default=500, show_default=True, help="Of each tenant.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each operation.")
@click.option(
    "--shared-buffers", multiple=True, default=("128MB",), show_default=True, help="Measure with that, and with that."
)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the data there, and use them.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--database-url", help="Measure on this server, as it is set up, instead of an embedded one.")
@click.option("--child", nargs=2, hidden=True)
def main(
    tenants: int,
    appointments: int,
    rounds: int,
    shared_buffers: tuple[str, ...],
    folder: Path | None,
    file: Path | None,
    database_url: str | None,
    child: tuple[str, str] | None,
) -> None:
    """Measure a server of many tenants beside one of ten whose tenants are as large."""
    if child:
        click.echo(json.dumps(bound_in_turn(child[0], int(child[1]))))
        return
    console = Console()

    def carried_out(server: str, urls: Sequence[str]) -> dict[str, Any]:
        for url, number in zip(urls, (FEW, tenants), strict=True):
            filled(url, number, appointments, console)
        found = measured(server, urls, tenants, rounds)
        show(found, tenants, console)
        return found

    with ExitStack() as stack:
        if database_url is not None:
            urls = [stack.enter_context(database_on(database_url, suffix)) for suffix in SUFFIXES]
            everything = [carried_out(database_url, urls)]
            memory = _in_a_process(urls[1], tenants)
        else:
            data = folder or Path(stack.enter_context(TemporaryDirectory(prefix="rayces-bench-"))) / "data"
            everything = []
            for size in shared_buffers:
                with server_with(data, {"shared_buffers": size, "track_io_timing": "on"}) as server:
                    urls = [_kept(server, suffix) for suffix in SUFFIXES]
                    everything.append(carried_out(server, urls))
                    memory = _in_a_process(urls[1], tenants)
    console.print(f"a process that binds all {tenants:,} in turn: {memory['before']:.0f} → {memory['after']:.0f} MiB")
    if file is not None:
        file.write_text(json.dumps({"servers": everything, "memory": memory}, indent=2) + "\n")


SUFFIXES = ("_few", "_many")


def _kept(server: str, suffix: str) -> str:
    name = f"rayces_scale{suffix}"
    if _asked(server, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == "0":
        return made_database(server, name)
    own: str = make_dsn(server, dbname=name)
    with Database.connect(own) as database:
        database.migrate()
    return own


if __name__ == "__main__":
    main()
