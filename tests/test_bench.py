"""The benchmark runs and measures what it says; how fast anything is, is nobody's assertion."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from bench.checking import UnequalResultsError, check_equal
from bench.contenders.by_hand import ByHand
from bench.contenders.rayces import Rayces
from bench.facts import NOW
from bench.filling import fill
from bench.operations import OPERATIONS

from rayces_core import scheduling

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


def test_the_targets_of_booking_and_free_time_are_the_issues():
    targets = {o.method: o.target for o in OPERATIONS if o.flushed}

    assert targets["confirm"] == targets["book_to_confirmed"] == 1
    assert targets["find_slots"] == pytest.approx(1 / 1.5, abs=0.005)


BOOKING = "book, pre_confirm, confirm"
# What is not BEGIN, one statement, COMMIT by hand, and one message through the library.
MORE_TRIPS = {
    ("open a tenant block", "rayces_core"): 0,
    ("transition: confirm", "psycopg2"): 5,
    (BOOKING, "psycopg2"): 20,
    (BOOKING, "rayces_core"): 4,
}


def test_a_statement_of_a_tenant_is_one_round_trip_and_by_hand_three(quick_run):
    _, figures = quick_run

    usual = {"psycopg2": 3, "rayces_core": 1}
    for result in figures["results"]:
        operation, contender = result["operation"].removesuffix(", no flush"), result["contender"]
        assert result["round_trips"] == MORE_TRIPS.get((operation, contender), usual[contender]), operation


def test_the_share_of_the_database_in_free_slots_is_told(quick_run):
    printed, figures = quick_run

    shares = {r["contender"]: r["share"] for r in figures["results"] if r["share_of"] == "free slots"}
    assert set(shares) == set(CONTENDERS)
    (line,) = [line for line in printed.splitlines() if "SQL alone:" in line]
    assert all(f"{share:.0%}" in line for share in shares.values())


def test_slots_are_counted_and_there_are_some_but_not_all(own_db):
    facts, _ = fill(own_db.url, 2000)
    with own_db.tenant(facts.agenda.subdomain):
        own_db.execute_sql(
            "UPDATE appointments SET state = 'draft', confirmed_at = NULL, pre_confirmed_at = NULL, "
            "expires_at = NULL WHERE state IN ('pre_confirmed', 'confirmed')"
        )
        undisturbed = scheduling.find_slots(facts.agenda.start, facts.agenda.end, now=facts.agenda.now)

    assert 0 < facts.agenda.slots < len(undisturbed)


def test_both_contenders_return_and_write_the_same_rows(own_db):
    _, sample = fill(own_db.url, 500)

    check_equal([ByHand, Rayces], list(OPERATIONS), own_db.url, sample)


CHECKED = ("list_50", "scan_dicts", "update", "confirm", "book_to_confirmed", "find_slots")


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method in CHECKED])
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

        def confirm(self, appointment_id):
            self._all(
                "UPDATE appointments SET state = 'confirmed', confirmed_at = %s, updated_at = %s "
                "WHERE organization_id = %s AND id = %s RETURNING id",
                (NOW, NOW, self._own, appointment_id),
            )

        def book_to_confirmed(self, booking):
            super().book_to_confirmed(booking | {"scheduled_at": booking["scheduled_at"] + timedelta(minutes=1)})

        def find_slots(self):
            return super().find_slots()[1:]

    with pytest.raises(UnequalResultsError, match="wrong"):
        check_equal([ByHand, Wrong], [operation], own_db.url, sample)
