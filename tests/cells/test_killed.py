"""A mover that is killed at any moment loses and doubles nothing, while its tenant and the neighbours go on writing."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from datetime import timedelta

import pytest

from rayces_core import CreditTransaction, Student, User, credits
from tests.cells.conftest import everything, make_tenant
from tests.cells.killing import cancel, finish, move, write
from tests.cells.test_moving import stopped_at
from tests.exporting.worlds import fill
from tests.factory import make_user
from tests.sizes import quick_or_whole

ROUNDS, KILLS = quick_or_whole((1, 2), (3, 6))
GRACE_SECONDS = 0.5
FORKING = multiprocessing.get_context("forkserver")


@pytest.fixture(params=["directly", "behind PgBouncer"])
def urls(request, cells):
    """Where mover and writers find the cells: their own addresses, or those of PgBouncer."""
    listed = cells if request.param == "directly" else request.getfixturevalue("behind")
    return {name: database.url for name, database in listed.items()}


@pytest.fixture
def writers(cells, urls, north, tmp_path):
    """Two processes that write, the tenant and a neighbour in the same cell; gives tenant → what was committed."""
    other, stop = make_tenant(cells), FORKING.Event()
    for tenant in (north, other):
        with cells.tenant(tenant):
            fill(f"mark{tenant.id}")
            make_user(email="payer@example.org")

    def start(tenant, *, held):
        name, ready = tenant.subdomain, FORKING.Event()
        process = FORKING.Process(target=write, args=(urls, name, str(tmp_path / name), held, ready, stop))
        process.start()
        assert ready.wait(60)
        return process

    running = {north.subdomain: start(north, held=True), other.subdomain: start(other, held=False)}

    def end() -> dict[str, list[list[str]]]:
        stop.set()
        for process in running.values():
            process.join(60)
            assert process.exitcode == 0
        return {name: [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in running}

    yield end
    for process in running.values():
        process.kill()
        process.join()


def finished(cells, tenant, to):
    """Move it to the end, and clear up behind it."""
    if cells.placement(tenant.id).cell != to or cells.moves()[0].step != "opened":
        cells.move(tenant.subdomain, to=to)
    time.sleep(GRACE_SECONDS)  # they write in the new place, and what they have begun in the old one ends
    cells.finish_move(tenant.subdomain, grace=timedelta(0))


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_however_often_the_mover_is_killed(cells, urls, north, writers):
    seeded = random.Random(17)
    began = time.monotonic()
    cells.move(north.subdomain, to="b")
    whole = time.monotonic() - began  # what a mover takes here while they write
    finished(cells, north, "b")
    here, there = "b", "a"
    for _ in range(ROUNDS):
        for _ in range(KILLS):
            mover = FORKING.Process(target=move, args=(urls, north.subdomain, there))
            mover.start()
            time.sleep(seeded.uniform(0, 1.5) * whole)
            mover.kill()
            mover.join()
            if not any(each.subdomain == north.subdomain for each in cells.moves()):
                continue
            if cells.placement(north.id).cell == here and seeded.random() < 0.3:
                cells.cancel_move(north.subdomain)
        finished(cells, north, there)
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


def killed(act, urls, tenant, seconds):
    process = FORKING.Process(target=act, args=(urls, tenant.subdomain))
    process.start()
    time.sleep(seconds)
    process.kill()
    process.join()


def is_under_way(cells, tenant):
    return any(each.subdomain == tenant.subdomain for each in cells.moves())


@pytest.mark.exhaustive
def test_finishing_and_cancelling_are_killed_and_done_again(own_cells):
    """`make test` keeps both of them stopped, and done again, in tests/cells/test_moving.py."""
    seeded, tenant = random.Random(5), make_tenant(own_cells)
    urls = {name: database.url for name, database in own_cells.items()}
    with own_cells.tenant(tenant):
        fill("mark")
        before = everything()
    for _ in range(ROUNDS * KILLS):
        stopped_at(own_cells, tenant, seeded.choice(["copying users", "comparing", "switching"]))
        killed(cancel, urls, tenant, seeded.uniform(0.5, 3))
        if is_under_way(own_cells, tenant):
            own_cells.cancel_move(tenant.subdomain)
    own_cells.move(tenant.subdomain, to="b")
    for _ in range(KILLS):
        if is_under_way(own_cells, tenant):
            killed(finish, urls, tenant, seeded.uniform(0.5, 2))
    if is_under_way(own_cells, tenant):
        own_cells.finish_move(tenant.subdomain, grace=timedelta(0))
    with own_cells.tenant(tenant.subdomain):
        assert everything() == before
        assert not credits.verify().discrepancies
    assert all(each.is_well for each in own_cells.doctor())
