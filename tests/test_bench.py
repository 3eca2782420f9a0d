"""The benchmark runs and measures what it says; how fast anything is, is nobody's assertion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.checking import UnequalResultsError, check_equal
from bench.contenders.by_hand import ByHand
from bench.contenders.rayces import Rayces
from bench.filling import fill
from bench.operations import OPERATIONS

CHECKOUT = Path(__file__).parents[1]
CONTENDERS = ("psycopg2", "rayces_core")


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory, server_url):
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    scale = ("--quick", "--rounds", "1", "--rows", "2000", "--only", ",".join(CONTENDERS))
    command = [sys.executable, "-m", "bench", *scale, "--json", str(file), "--database-url", server_url]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_every_operation_has_a_figure_of_both_contenders(quick_run):
    _, figures = quick_run

    found = {(r["operation"], r["contender"]): r for r in figures["results"]}
    assert set(found) == {(o.title, name) for o in OPERATIONS for name in CONTENDERS}
    assert all(r["operations_per_second"] > 0 and r["client_cpu_microseconds"] > 0 for r in found.values())


def test_the_table_shows_every_operation_and_its_target(quick_run):
    printed, _ = quick_run

    for operation in OPERATIONS:
        block = printed.split(operation.title)[1]
        assert "rayces_core" in block
        assert operation.target is None or f"({operation.target:.2f})" in block.splitlines()[1]


def test_a_statement_of_a_tenant_is_one_round_trip_and_by_hand_three(quick_run):
    _, figures = quick_run

    trips = {(r["operation"], r["contender"]): r["round_trips"] for r in figures["results"]}
    assert trips.pop(("open a tenant block", "rayces_core")) == 0
    assert {(name, n) for (_, name), n in trips.items()} == {("psycopg2", 3), ("rayces_core", 1)}


def test_both_contenders_return_and_write_the_same_rows(own_db):
    _, sample = fill(own_db.url, 500)

    check_equal([ByHand, Rayces], list(OPERATIONS), own_db.url, sample)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method in ("list_50", "scan_dicts", "update")])
def test_a_contender_that_returns_or_writes_other_rows_is_found_out(own_db, operation):
    _, sample = fill(own_db.url, 500)

    class Wrong(ByHand):
        name = "wrong"

        def list_50(self, professional_id):
            return super().list_50(professional_id)[:49]

        def scan_dicts(self):
            return [row | {"notes": "another"} for row in super().scan_dicts()]

        def update(self, appointment_id, notes):
            super().update(appointment_id, notes + "!")

    with pytest.raises(UnequalResultsError, match="wrong"):
        check_equal([ByHand, Wrong], [operation], own_db.url, sample)
