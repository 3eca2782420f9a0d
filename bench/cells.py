"""`python -m bench.cells`: what two cells do of a load that one carries, on one machine: bookings, debits and reads.

The same processes ask for as many tenants, in turns of one server that has them all and of two that have half of them
each. Each process has tenants of its own, so that no two want the same hour.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.facts import NOW
from bench.filling_tenants import fill_tenants
from bench.scale import Centre
from bench.server import described
from rayces_core import Appointment, Cells, credits, scheduling
from rayces_core.embedded.server import EmbeddedServer

PATIENCE_SECONDS = 120
# Of ten operations: seven reads by a key, each in a block of its own, two bookings and a debit.
MIX = ("read",) * 7 + ("book",) * 2 + ("debit",)

_processes = get_context("spawn")
Urls = Mapping[str, str]


def filled(urls: Urls, tenants: int, appointments: int) -> None:
    """Make the servers cells, and fill them with so many tenants, each with as many as the others."""
    share = tenants // len(urls)
    with Cells(dict(urls), catalogue="a", outbox=False) as cells:
        cells.migrate()
        for number, url in enumerate(urls.values()):
            fill_tenants(url, share, appointments, first=number * share + 1)
        cells.migrate()  # the catalogue takes them up


class Member:
    """One process's share of the load."""

    def __init__(self, cells: Cells, tenants: list[int]) -> None:
        self._cells, self._random = cells, random.Random(tenants[0])
        self._centres = [self._read(f"centre-{number}") for number in tenants]

    def _read(self, subdomain: str) -> Centre:
        with self._cells.tenant(subdomain):
            return Centre.read(subdomain)

    def work(self, seconds: float) -> int:
        """Do what comes for so long; returns how many operations it was."""
        until, done = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            self.one(MIX[done % len(MIX)])
            done += 1
        return done

    def one(self, operation: str) -> None:
        """One operation, its block included."""
        centre = self._random.choice(self._centres)
        with self._cells.tenant(centre.subdomain):
            if operation == "read":
                Appointment.get_by_id(self._random.choice(centre.appointments))
            elif operation == "book":
                scheduling.book(**centre.next_evening(), now=NOW)
            else:
                credits.debit(centre.client, 1)


def per_second(urls: Urls, tenants: int, processes: int, seconds: float) -> float:
    """Operations a second of so many processes that begin together."""
    barrier, answers = _processes.Barrier(processes), _processes.SimpleQueue()
    shares = [list(range(number + 1, tenants + 1, processes)) for number in range(processes)]
    members = [
        _processes.Process(target=_work, args=(dict(urls), share, seconds, barrier, answers), daemon=True)
        for share in shares
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(seconds + PATIENCE_SECONDS)
        if member.exitcode != 0:
            barrier.abort()
            raise click.ClickException("a process of the load has failed")
    return sum(answers.get() for _ in members) / seconds


def _work(urls: dict[str, str], tenants: list[int], seconds: float, barrier: Any, answers: Any) -> None:
    with Cells(urls, catalogue="a", outbox=False) as cells:
        member = Member(cells, tenants)
        barrier.wait(PATIENCE_SECONDS)
        answers.put(member.work(seconds))


@contextmanager
def servers(*names: str) -> Iterator[dict[str, str]]:
    """URLs of embedded servers of these names, each with a folder of its own, so that their commits are safe."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rayces-bench-")))
        yield {name: stack.enter_context(EmbeddedServer(folder / name)).url for name in names}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tenants", type=click.IntRange(min=2), default=200, show_default=True, help="In all cells together.")
@click.option("--appointments", type=click.IntRange(min=10), default=300, show_default=True, help="Of each tenant.")
@click.option("--processes", type=click.IntRange(min=1), default=4, show_default=True, help="That work at once.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Of each turn.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
def main(tenants: int, appointments: int, processes: int, seconds: float, rounds: int, file: Path | None) -> None:
    """Measure one server and two cells under the same load."""
    samples: dict[str, list[float]] = {"one": [], "two": []}
    with servers("a") as one, servers("a", "b") as two:
        sides = {"one": one, "two": two}
        for urls in sides.values():
            filled(urls, tenants, appointments)
        about = described(one["a"])
        for number in range(rounds):
            for name in ("one", "two") if number % 2 else ("two", "one"):
                samples[name].append(per_second(sides[name], tenants, processes, seconds))
    ratio = median(b / a for a, b in zip(samples["one"], samples["two"], strict=True))
    click.echo(f"{tenants} tenants of {appointments} appointments, {processes} processes, {rounds} turns, {about}")
    for name, taken in samples.items():
        spread = f"{min(taken):,.0f} to {max(taken):,.0f}"
        click.echo(f"{name:4} {median(taken):8,.0f} operations a second ({spread})")
    click.echo(f"two to one: {ratio:.2f}")
    if file is not None:
        file.write_text(json.dumps({"about": about, "per_second": samples, "ratio": ratio}, indent=2) + "\n")


if __name__ == "__main__":
    main()
