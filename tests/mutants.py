"""Mutation testing of the modules that keep the three promises: what is changed there and noticed by no test.

A room's modules are mutated by mutmut in a copy under build/mutants, and each mutant meets the quick tests of its room
that run through the changed function. All share one server and one migrated template, so that a mutant costs seconds.

    python -m tests.mutants                      # a dozen of every room
    python -m tests.mutants credits --most 40
    python -m tests.mutants state_machine "*statement*"
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from psycopg2.extensions import make_dsn

from rayces_core import Database
from rayces_core.embedded.server import EmbeddedServer
from tests.conftest import on_server

CHECKOUT = Path(__file__).parents[1]
TEMPLATE = "rayces_mutants"

# Room → its modules where a promise is kept, and the quick tests that have to notice: no races, no kills, no walks.
ROOMS = {
    "credits": (
        ["credits/statements.py", "credits/ledger.py", "credits/posting.py", "credits/paid.py"],
        [
            "credits/test_operations.py",
            "credits/test_refusals.py",
            "credits/test_idempotency.py",
            "credits/test_guarantees.py",
            "credits/test_transfer.py",
            "credits/test_payments.py",
        ],
    ),
    "state_machine": (
        ["state_machine/statement.py"],
        [
            "state_machine/test_transitions.py",
            "state_machine/test_stale_objects.py",
            "state_machine/test_rollback.py",
            "state_machine/test_assignment.py",
            "scheduling/test_sweeps.py",
            "database/test_outcomes.py",
        ],
    ),
    "scheduling": (
        ["scheduling/settling.py"],
        [
            "scheduling/test_booking.py",
            "scheduling/test_booking_refusals.py",
            "scheduling/test_idempotency.py",
            "scheduling/test_series.py",
            "scheduling/test_overdue_holds.py",
            "database/test_outcomes.py",
        ],
    ),
    "tenancy": ([f"tenancy/{module}.py" for module in ("scoping", "inserting", "queries", "writing")], ["tenancy"]),
    "database": (
        [f"database/{module}.py" for module in ("connection", "cursor", "binding", "session", "blocks", "sql_rules")],
        ["database"],
    ),
}
A_FEW = 12  # of each room, where none is named
MUTMUT = [sys.executable, "-m", "mutmut"]
KILLED = 1  # what mutmut notes: the exit code of pytest, and codes of its own for what did not come to a test


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("room", nargs="?", choices=ROOMS, help="whose modules are mutated; a sample of each without")
    parser.add_argument("names", nargs="*", help="mutants by name, with wildcards; all without")
    parser.add_argument("--most", type=int, default=0, help="a sample of so many of a room, always the same")
    given = parser.parse_args()
    if given.room:
        return mutated(given.room, given.names, given.most)
    return max([mutated(room, [], given.most or A_FEW) for room in ROOMS])


def mutated(room: str, names: list[str], most: int) -> int:
    """Run the mutants of the room that are named, a sample of `most`, or all, and tell what came of them."""
    print(f"{room}:", flush=True)
    place = prepared(room)
    with EmbeddedServer() as server:
        on_server(server.url, f"CREATE DATABASE {TEMPLATE}")
        with Database.connect(make_dsn(server.url, dbname=TEMPLATE)) as database:
            database.migrate()
        environment = os.environ | {"RAYCES_TEST_DATABASE_URL": server.url, "RAYCES_TEST_TEMPLATE": TEMPLATE}
        if most:
            made = sorted(generated(place))
            names = random.Random(1).sample(made, min(most, len(made)))
        with (place / "mutmut.log").open("w") as log:
            command = [*MUTMUT, "run", "--max-children", "1", *names]
            subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=log, check=False)
    return told(place)


def prepared(room: str) -> Path:
    """A fresh copy of what mutmut needs, with its settings for the room."""
    modules, tests = ROOMS[room]
    place = CHECKOUT / "build" / "mutants" / room
    shutil.rmtree(place, ignore_errors=True)
    for folder in ("src", "tests", "docs"):
        shutil.copytree(CHECKOUT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", place)
    mutated = "\n    ".join(f"src/rayces_core/{module}" for module in modules)
    selected = "\n    ".join(f"tests/{test}" for test in tests)
    settings = {
        "source_paths": "src",
        "only_mutate": mutated,
        "also_copy": "docs",  # whose examples some tests run
        "pytest_add_cli_args_test_selection": selected,
        # A child of a process that has run the tests would find the SQL that was compiled before the mutant.
        "process_isolation": "forkserver",
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (place / "setup.cfg").write_text("\n".join(["[mutmut]", *lines, ""]))
    return place


def generated(place: Path) -> list[str]:
    """The names of all mutants, which mutmut makes before it runs any."""
    subprocess.run([sys.executable, "-c", MAKING], cwd=place, check=True, capture_output=True)
    return list(results(place))


# What `mutmut run` does before it runs anything; it has no command for that alone.
MAKING = """
import os
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants, setup_source_paths
os.makedirs("mutants", exist_ok=True)
copy_src_dir(); copy_also_copy_files(); setup_source_paths(); create_mutants(1)
"""


def results(place: Path) -> dict[str, int | None]:
    """Mutant → exit code of its tests, None where it was not run."""
    found: dict[str, int | None] = {}
    for meta in (place / "mutants").rglob("*.meta"):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def told(place: Path) -> int:
    """Print how many were noticed and each that was not; 1 if there are such."""
    ended = {name: code for name, code in results(place).items() if code is not None}
    survived = sorted(name for name, code in ended.items() if code == 0)
    killed = sum(code == KILLED for code in ended.values())
    print(
        f"{len(ended)} mutants: {killed} noticed, {len(survived)} survived, {len(ended) - killed - len(survived)} other"
    )
    for name in survived:
        shown = subprocess.run(
            [sys.executable, "-m", "mutmut", "show", name], cwd=place, capture_output=True, text=True
        )
        print(shown.stdout)
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
