"""Many processes move credits while workers are killed and connections are cut; afterwards everything has to add up.

Each worker notes what it asks for before it asks and what it was told, in a file that outlives it. Whoever takes over
asks again for what was never answered, with the same idempotency key, as a caller of the ledger should. In the end the
entries that callers were told of are the completed entries of the ledger, no more and no fewer.

    python -m tests.credits.jack_hammer --processes 20 --operations 1000 --seed 1
    python -m tests.credits.jack_hammer --processes 20 --seconds 600
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core import (
    Appointment,
    CreditTransaction,
    Database,
    Role,
    credits,
)
from rayces_core.embedded.server import EmbeddedServer
from tests.credits.jack_worker import HOT, Diary, Site, work_alone
from tests.factory import START, make_package, make_professional, make_student, make_user
from tests.patience import wait_until

SPREAD = 60
HOUR = timedelta(hours=1)
SPAWNING = multiprocessing.get_context("forkserver")
SPAWNING.set_forkserver_preload(["rayces_core.models", "rayces_core.credits", "tests.credits.jack_worker"])


@dataclass
class Report:
    """What became of a run; `failures` are sentences, and there should be none."""

    operations: int = 0
    seconds: float = 0.0
    killed: int = 0
    cut: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The run in a few lines."""
        per_second = self.operations / max(self.seconds, 0.001)
        told = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        head = f"{self.operations} operations in {self.seconds:.1f} s ({per_second:.0f}/s), {self.entries} entries"
        harm = f"{self.killed} workers killed, {self.cut} connections cut; {told}"
        return "\n".join([head, harm, *(self.failures[:20] or ["everything adds up"])])


# -- the run -----------------------------------------------------------------------------------------------------------


def hammer(
    url: str,
    *,
    processes: int = 20,
    operations: int = 1000,
    seconds: float = 0,
    seed: int = 0,
    harm: bool = True,
    appointments: int = 1000,
) -> Report:
    """Run the workers on a migrated database, harm them, and see whether everything adds up."""
    report, dice = Report(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, Database.connect(url) as database:
        site = build_site(database, folder, appointments)
        started = time.monotonic()
        deadline = time.time() + seconds if seconds else None
        run_workers(site, processes, operations, deadline, seed, dice, report, harm)
        report.seconds = time.monotonic() - started
        wait_for_the_dead(url)
        told = read_diaries(folder, report)
        audit(database, site, told, report)
    return report


def build_site(database: Database, folder: str, appointments: int = 1000) -> Site:
    organization = database.create_organization("Hammered", subdomain=f"hammered-{uuid.uuid4().hex[:12]}")
    with database.tenant(organization):
        desk = make_user(role=Role.STAFF)
        users = tuple(make_user().id for _ in range(HOT + SPREAD))
        make_package(name="ten sessions", credits=3, valid_days=30)
        people = {"professional": make_professional(), "student": make_student(), "client": users[0]}
        drafts = [people | {"scheduled_at": START}] * appointments
        booked = tuple(key for (key,) in Appointment.insert_many(drafts).execute())
        sessions = tuple(key for (key,) in Appointment.insert_many(_sessions(people, users, appointments)).execute())
    return Site(database.url, organization.id, desk.id, users, booked, folder, sessions=sessions)


def _sessions(people: dict[str, Any], users: tuple[int, ...], number: int) -> list[dict[str, Any]]:
    """Drafts of those whom everybody wants, one after the other."""
    costs = {"uses_credit": True, "allows_overlap": True}
    return [
        people | costs | {"client": users[i % HOT], "credits_used": 1 + i % 3, "scheduled_at": START + i * HOUR}
        for i in range(number)
    ]


def run_workers(
    site: Site,
    processes: int,
    operations: int,
    deadline: float | None,
    seed: int,
    dice: random.Random,
    report: Report,
    harm: bool,
) -> None:
    def start(number: int) -> Any:
        process = SPAWNING.Process(target=work_alone, args=(site, number, seed, operations, deadline), daemon=True)
        process.start()
        return process

    working = {number: start(number) for number in range(processes)}
    try:
        while working:
            time.sleep(0.1)
            for number, process in list(working.items()):
                if process.exitcode is None:
                    continue
                if process.exitcode == -signal.SIGKILL:
                    working[number] = start(number)
                    continue
                del working[number]
                if process.exitcode:
                    report.failures.append(f"worker {number} ended with {process.exitcode}")
            if harm and working:
                hurt(site, working, dice, report)
    finally:
        for process in working.values():
            process.kill()
            process.join()


def hurt(site: Site, working: dict[int, Any], dice: random.Random, report: Report) -> None:
    """Kill one of the workers, or cut one of their connections, or neither."""
    if dice.random() < 0.3:
        dice.choice(list(working.values())).kill()
        report.killed += 1
    elif dice.random() < 0.7:
        report.cut += cut_a_connection(site.url, dice)


def cut_a_connection(url: str, dice: random.Random) -> int:
    with _superuser(url) as cursor:
        cursor.execute(f"SELECT pid FROM {OTHERS} ORDER BY pid")
        found = [pid for (pid,) in cursor.fetchall()]
        if found:
            cursor.execute("SELECT pg_terminate_backend(%s)", (dice.choice(found),))
        return len(found[:1])


OTHERS = """pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND query LIKE '%rayces%'"""


def wait_for_the_dead(url: str) -> None:
    """Until no connection of a worker is in the middle of anything."""
    with _superuser(url) as cursor:
        busy = f"SELECT count(*) FROM {OTHERS} AND state <> 'idle'"
        wait_until(lambda: cursor.execute(busy) or cursor.fetchone() == (0,))


@contextlib.contextmanager
def _superuser(url: str) -> Iterator[Any]:
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        yield connection.cursor()


def read_diaries(folder: str, report: Report) -> set[int]:
    """The ids of all entries that callers were told of."""
    told: set[int] = set()
    for path in sorted(Path(folder).glob("*.jsonl")):
        diary = Diary(path)
        report.operations += diary.asked
        if (missing := diary.unanswered()) is not None:
            report.failures.append(f"{missing['kind']} {missing['key']} was never answered")
        for line in diary.lines:
            told.update(line.get("told", ()))
            report.outcomes.update([name for name in (line.get("outcome"), line.get("again")) if name])
            if "failure" in line:
                report.failures.append(line["failure"])
    return told


def audit(database: Database, site: Site, told: set[int], report: Report) -> None:
    """What was told is what is there, nothing was ever negative, and verification finds nothing."""
    with database.tenant(site.organization):
        entries = list(CreditTransaction.select().where(CreditTransaction.status == "completed"))
        report.entries = len(entries)
        there = {entry.id for entry in entries}
        if there - told:
            report.failures.append(f"nobody was told of {len(there - told)} entries")
        if told - there:
            report.failures.append(f"{len(told - there)} entries that callers were told of are not there")
        if below := [entry.id for entry in entries if min(entry.balance_before, entry.balance_after) < 0]:
            report.failures.append(f"a balance was negative at entries {below[:5]}")
        order = sorted(entries, key=lambda entry: (entry.credit_balance_id, entry.sequence))
        pairs = [(one, two) for one, two in pairwise(order) if one.credit_balance_id == two.credit_balance_id]
        if back := [two.id for one, two in pairs if two.processed_at < one.processed_at]:
            report.failures.append(f"entries {back[:5]} bear an earlier moment than the one before")
        given_back: Counter[int] = Counter()
        for entry in entries:
            if entry.appointment_id is not None:
                given_back[entry.appointment_id] += entry.amount
        if over := [appointment for appointment, total in given_back.items() if total > 0]:
            report.failures.append(f"more was given back than taken for appointments {over[:5]}")
        sums: Counter[int] = Counter()
        for entry in entries:
            sums[entry.user_id] += entry.amount if entry.id in told else 0
        for user in site.users:
            if credits.balance(user) != sums[user]:
                report.failures.append(f"user {user} was told of {sums[user]} and has {credits.balance(user)}")
        report.failures += [str(finding) for finding in credits.verify().discrepancies]


# -- the program -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def migrated_database() -> Iterator[str]:
    """A database of the run's own, on the server that RAYCES_TEST_DATABASE_URL names or on an embedded one."""
    with contextlib.ExitStack() as stack:
        named = os.environ.get("RAYCES_TEST_DATABASE_URL")
        server = named or stack.enter_context(EmbeddedServer()).url
        name = f"rayces_soak_{uuid.uuid4().hex[:12]}"
        with _superuser(server) as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        try:
            url = make_dsn(server, dbname=name)
            with Database.connect(url) as database:
                database.migrate()
            yield url
        finally:
            with _superuser(server) as cursor:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.credits.jack_hammer", description=__doc__)
    parser.add_argument("--processes", type=int, default=20, help="workers at the same time")
    parser.add_argument("--operations", type=int, default=1000, help="operations of each worker")
    parser.add_argument("--seconds", type=float, default=0, help="go on so long instead, whatever the operations")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is asked for and who is hurt")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with migrated_database() as url:
        report = hammer(
            url, processes=given.processes, operations=given.operations, seconds=given.seconds, seed=given.seed
        )
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
