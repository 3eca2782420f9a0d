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
from fnmatch import fnmatch
from pathlib import Path

from psycopg2.extensions import make_dsn

from rayces_core import Database
from rayces_core.embedded.server import EmbeddedServer
from tests.conftest import SPARING, on_server

CHECKOUT = Path(__file__).parents[1]
TEMPLATE = "rayces_mutants"

# Room → its modules where a promise is kept, and the quick tests that have to notice: no races, no kills, no walks.
ROOMS = {
    "credits": (
        [
            f"credits/{module}.py"
            for module in ("statements", "ledger", "posting", "paid", "lot_statements", "handing_over")
        ],
        [
            "credits/test_operations.py",
            "credits/test_refusals.py",
            "credits/test_idempotency.py",
            "credits/test_guarantees.py",
            "credits/test_transfer.py",
            "credits/test_payments.py",
            "credits/test_packages.py",
            "credits/test_holds.py",
            "people/test_merging.py",
            "people/test_erasing.py",
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
        [f"scheduling/{module}.py" for module in ("settling", "holdings", "attending", "slot_offers", "slot_requests")],
        [
            "scheduling/test_booking.py",
            "scheduling/test_booking_refusals.py",
            "scheduling/test_idempotency.py",
            "scheduling/test_series.py",
            "scheduling/test_overdue_holds.py",
            "scheduling/test_rooms.py",
            "scheduling/test_groups.py",
            "scheduling/test_slot_offers.py",
            "database/test_outcomes.py",
        ],
    ),
    "invoicing": ([f"invoicing/{module}.py" for module in ("drafting", "due", "verification")], ["invoicing"]),
    "people": ([f"people/{module}.py" for module in ("merging", "erasing")], ["people"]),
    "tenancy": ([f"tenancy/{module}.py" for module in ("scoping", "inserting", "queries", "writing")], ["tenancy"]),
    "database": (
        [f"database/{module}.py" for module in ("connection", "cursor", "binding", "session", "blocks", "sql_rules")]
        + ["database/sql_guard.py", "database/watched.py"],
        [
            "database/test_callbacks.py",
            "database/test_database.py",
            "database/test_observing.py",
            "database/test_one_connection.py",
            "database/test_places.py",
            "database/test_privileges.py",
            "database/test_retrying.py",
            "database/test_round_trips.py",
            "database/test_sql_guard.py",
            "database/test_sql_guard_on_the_server.py",
            "database/test_tasks.py",
            "database/test_transaction.py",
            "tenancy/test_context.py",
            "tenancy/test_privileged.py",
            "tenancy/test_walls.py",
        ],
    ),
}
A_FEW = 12  # of each room, where none is named
MUTMUT = [sys.executable, "-m", "mutmut"]
# What mutmut notes: the exit code of pytest, and codes of its own for what did not come to a test.
KILLED, UNNOTICED, NO_TEST = 1, 0, (5, 33)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("room", nargs="?", choices=ROOMS, help="whose modules are mutated; a sample of each without")
    parser.add_argument("names", nargs="*", help="mutants by name, with wildcards; all without")
    parser.add_argument("--most", type=int, default=0, help="a sample of so many of them, always the same")
    given = parser.parse_args()
    if given.room:
        return mutated(given.room, given.names, given.most)
    return max([mutated(room, [], given.most or A_FEW) for room in ROOMS])


def mutated(room: str, names: list[str], most: int) -> int:
    """Run the mutants of the room that are named, a sample of `most`, or all, and tell what came of them."""
    print(f"{room}:", flush=True)
    place = prepared(room)
    with EmbeddedServer() as server:
        for setting in SPARING:
            on_server(server.url, f"ALTER SYSTEM SET {setting}")
        on_server(server.url, "SELECT pg_reload_conf()")
        on_server(server.url, f"CREATE DATABASE {TEMPLATE}")
        with Database.connect(make_dsn(server.url, dbname=TEMPLATE)) as database:
            database.migrate()
        environment = os.environ | {"RAYCES_TEST_DATABASE_URL": server.url, "RAYCES_TEST_TEMPLATE": TEMPLATE}
        if most:
            made = [name for name in sorted(generated(place)) if any(fnmatch(name, wanted) for wanted in names or "*")]
            names = random.Random(1).sample(made, min(most, len(made)))
        with (place / "mutmut.log").open("w") as log:
            command = [*MUTMUT, "run", "--max-children", "1", *names]
            subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=log, check=False)
        late = noticed_late(place, room, environment)
    return told(place, late)


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


def survivors(place: Path) -> list[str]:
    """The mutants that no quick test has noticed."""
    return sorted(name for name, code in results(place).items() if code in (UNNOTICED, *NO_TEST))


def noticed_late(place: Path, room: str, environment: dict[str, str]) -> set[str]:
    """Those of the survivors that all tests of the room's folder notice, in a process of their own.

    A test is known to go through a function only if it is the first to, where what is compiled or read once is kept;
    what a module does on import was done before the mutant came; and races and kills are not among the quick tests.
    """
    unnoticed = survivors(place)
    if unnoticed and not passes(place, room, environment, ""):
        raise SystemExit(f"tests/{room} fails without a mutant: see {place / 'late.log'}")
    return {name for name in unnoticed if not passes(place, room, environment, name)}


def passes(place: Path, room: str, environment: dict[str, str], mutant: str) -> bool:
    """Whether the whole folder of a room passes with this mutant, or with none."""
    folder = place / "mutants"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--rootdir=.", f"tests/{room}"]
    given = environment | {"MUTANT_UNDER_TEST": mutant, "PYTHONPATH": str(folder / "src")}
    with (place / "late.log").open("a") as log:
        log.write(f"{mutant}\n")
        log.flush()
        return not subprocess.run(command, cwd=folder, env=given, stdout=log, stderr=log, check=False).returncode


def told(place: Path, late: set[str]) -> int:
    """Print how many were noticed and each that was not; 1 if there are such."""
    ended = {name: code for name, code in results(place).items() if code is not None}
    unnoticed = survivors(place)
    survived = [name for name in unnoticed if name not in late]
    killed = sum(code == KILLED for code in ended.values())
    other = len(ended) - killed - len(unnoticed)
    print(f"{len(ended)} mutants: {killed} noticed, {len(late)} by the whole folder,", end=" ")
    print(f"{len(survived)} survived, {other} other")
    for name in [*sorted(late), *survived]:
        shown = subprocess.run(
            [sys.executable, "-m", "mutmut", "show", name], cwd=place, capture_output=True, text=True
        )
        print("by the whole folder:" if name in late else "survived:", shown.stdout)
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
