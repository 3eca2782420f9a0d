"""SIGKILL to nodes of Citus while many processes move credits, and hours are booked; afterwards everything adds up.

    python -m tests.citus.killing FOLDER_OF_BINARIES --processes 8 --seconds 120 --seed 1

It starts a laboratory of its own. The workers and what has to add up are the jack-hammer's (tests/credits): whoever got
no answer asks again with the same idempotency key, and in the end the entries that callers were told of are those of
the ledger. A node that is killed comes up again a little later, with what its log has.
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rayces_core import Database, credits
from tests.citus import suite
from tests.citus.booking import RIVALS, booked_meanwhile
from tests.citus.lab import Node, laboratory, run
from tests.credits.jack_hammer import Report, audit, build_site, read_diaries, run_workers

DOWN_SECONDS = 3.0
PAUSE = 0.2
# A node that is killed has to have in its log what it has said to be committed.
DURABLE = ("synchronous_commit=on",)


@contextlib.contextmanager
def killed_now_and_then(nodes: list[Node], dice: random.Random, report: Report) -> Iterator[None]:
    """For the block, kill one of the nodes every few seconds, and start it again."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(dice.uniform(2, 6)):
            node = dice.choice(nodes)
            node.kill()
            report.killed += 1
            over.wait(dice.uniform(0, DOWN_SECONDS))
            node.start()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def settled(url: str) -> None:
    """Wait until Citus has ended, one way or the other, each transaction that a killed node left prepared."""
    for _ in range(60):
        run(url, "SELECT recover_prepared_transactions()")
        left = "SELECT sum(result::bigint) FROM run_command_on_all_nodes('SELECT count(*) FROM pg_prepared_xacts')"
        if run(url, left) == [(0,)]:
            return
        time.sleep(1)
    raise AssertionError("a transaction stays prepared")


def hammer(nodes: list[Node], url: str, *, processes: int, seconds: float, seed: int, coordinator: bool) -> Report:
    """Run the workers on a distributed database, kill nodes meanwhile, and see whether everything adds up."""
    report, dice = Report(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, Database.connect(url) as database:
        site = replace(build_site(database, folder), pause=PAUSE)
        started = time.monotonic()
        killing = killed_now_and_then(nodes if coordinator else nodes[1:], dice, report)
        with booked_meanwhile(database) as booking, killing:
            run_workers(site, processes, 0, time.time() + seconds, seed, dice, report, harm=False)
        report.seconds = time.monotonic() - started
        settled(url)
        audit(database, site, read_diaries(folder, report), report)
        report.failures += booking.failures()
        report.outcomes["hours booked once"] = len(booking.told) // RIVALS
        with database.privileged(reason="all of the ledger adds up"):
            report.failures += [str(found) for found in credits.verify().discrepancies]
    return report


def main() -> int:
    """Hammer once; the exit code says whether everything added up."""
    parser = argparse.ArgumentParser(prog="python -m tests.citus.killing", description=__doc__)
    parser.add_argument("binaries", type=Path, help="the bin of a PostgreSQL that has Citus")
    parser.add_argument("--processes", type=int, default=8, help="workers at the same time")
    parser.add_argument("--seconds", type=float, default=60, help="how long they work")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is asked for and who is killed")
    parser.add_argument("--coordinator", action="store_true", help="kill the coordinator as well")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with laboratory(given.binaries, *DURABLE) as nodes:
        os.environ["RAYCES_TEST_CITUS_URL"] = nodes[0].url  # for the workers
        suite.install()
        with suite.template(nodes[0].url) as template, suite.cloned(nodes[0].url, template) as url:
            report = hammer(
                nodes,
                url,
                processes=given.processes,
                seconds=given.seconds,
                seed=given.seed,
                coordinator=given.coordinator,
            )
            print(str(report).replace("workers killed, 0 connections cut", "nodes killed"))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
