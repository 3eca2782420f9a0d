"""A mover that is killed at any moment loses and doubles nothing, while its tenant and the neighbours go on writing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from rayces_core import CreditTransaction, Student, User, credits
from tests.cells.conftest import make_tenant
from tests.exporting.worlds import fill
from tests.factory import make_user
from tests.sizes import EVERYTHING

ROUNDS = 6 if EVERYTHING else 1
KILLS = 6
GRACE = timedelta(seconds=1)


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.cells.killing", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.fixture
def writers(cells, cells_file, north):
    """Two processes that write, the tenant and a neighbour in the same cell; gives tenant → what was committed."""
    other = make_tenant(cells)
    for tenant in (north, other):
        with cells.tenant(tenant):
            fill(f"mark{tenant.id}")
            make_user(email="payer@example.org")
    running = {
        north.subdomain: start("write", cells_file, north.subdomain, "held"),
        other.subdomain: start("write", cells_file, other.subdomain, "free"),
    }
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def end() -> dict[str, list[list[str]]]:
        Path(f"{cells_file}.stop").touch()
        told = {}
        for name, process in running.items():
            process.communicate(timeout=60)
            assert process.returncode == 0
            told[name] = [json.loads(line) for line in Path(f"{cells_file}.{name}").read_text().splitlines()]
        running.clear()
        return told

    yield end
    for process in running.values():
        process.kill()
        process.wait()


def test_nothing_is_lost_or_doubled_however_often_the_mover_is_killed(cells, cells_file, north, writers):
    seeded = random.Random(17)
    here, there = "a", "b"
    for _ in range(ROUNDS):
        for _ in range(KILLS):
            mover = start("move", cells_file, north.subdomain, there)
            time.sleep(seeded.uniform(0.6, 3.0))
            mover.kill()
            mover.communicate()
            if not any(each.subdomain == north.subdomain for each in cells.moves()):
                continue
            if cells.placement(north.id).cell == here and seeded.random() < 0.3:
                cells.cancel_move(north.subdomain)
        if cells.placement(north.id).cell == here or cells.moves()[0].step != "opened":
            cells.move(north.subdomain, to=there)
        time.sleep(GRACE.total_seconds())  # they write in the new place, and what they have begun in the old one ends
        cells.finish_move(north.subdomain, grace=timedelta(0))
        here, there = there, here
    told = writers()
    for tenant, lines in told.items():
        failed = [line for line in lines if line[0] == "failed"]
        assert failed == []
        wrote = {name for kind, name in lines if kind == "wrote"}
        bought = sum(kind == "bought" for kind, _ in lines)
        with cells.tenant(tenant):
            found = [student.first_name for student in Student.select().where(Student.last_name == "written")]
            assert len(found) == len(set(found))
            assert set(found) == wrote, "each committed row is there, and no other"
            payer = User.get(User.email == "payer@example.org")
            assert credits.balance(payer) == bought
            assert CreditTransaction.select().where(CreditTransaction.user == payer.id).count() == bought
            assert not credits.verify().discrepancies
    assert len(told[north.subdomain]) > 10
    assert all(each.is_well for each in cells.doctor())
