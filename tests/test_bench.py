"""The benchmark runs and measures what it says; how fast anything is, is nobody's assertion."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from bench.__main__ import Plan, carry_out
from bench.books import Books, UnequalResultsError
from bench.checking import check_equal
from bench.contenders import by_hand_credits, installed
from bench.contenders.by_hand import ByHand
from bench.contenders.rayces import Rayces
from bench.crowd import Crowd
from bench.facts import NOW, Facts
from bench.filling import fill
from bench.measuring import Samples
from bench.operations import CROWD, HOT, MANY_OF_ALL, MANY_OF_FEW, OPERATIONS, SPREAD, chosen
from psycopg2.extensions import parse_dsn

from rayces_core import Database, credits, scheduling
from tests.sizes import EVERYTHING, exhaustive, quick_or_whole

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[1]
CONTENDERS = ("psycopg2", "rayces_core")
# What is run; in `make test`, an operation of each kind. A crowd has tests of its own.
SOME = [
    o for o in chosen(("point", "book", "find", "debit", "open")) if o.processes == 1 and (o.flushed or o.on_ledger)
]
RUN = quick_or_whole(SOME, list(OPERATIONS))


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory, server_url, create_database, template):
    """What the benchmark prints and writes: as a command of its own in `make test-all`."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    if EVERYTHING:
        return as_command(server_url, file)
    plan = Plan(rows=500, rounds=1, batch_seconds=0.005)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        carry_out(plan, create_database(template), installed(CONTENDERS), RUN, file)
    return printed.getvalue(), json.loads(file.read_text())


def as_command(server_url, file):
    scale = ("--quick", "--rounds", "1", "--rows", "500", "--only", ",".join(CONTENDERS))
    command = [sys.executable, "-m", "bench", *scale, "--json", str(file), "--database-url", server_url]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


@pytest.mark.slow
def test_every_operation_has_a_figure_of_both_contenders(quick_run):
    _, figures = quick_run

    found = {(r["operation"], r["contender"]): r for r in figures["results"]}
    assert set(found) == {(o.title, name) for o in RUN for name in CONTENDERS}
    assert all(r["operations_per_second"] > 0 and r["client_cpu_microseconds"] > 0 for r in found.values())


@pytest.mark.slow
def test_the_table_shows_every_operation_and_its_target(quick_run):
    printed, _ = quick_run

    for operation in RUN:
        block = printed.split(operation.title)[1]
        assert "rayces_core" in block
        assert operation.target is None or f"({operation.target:.2f})" in block.splitlines()[1]


def test_the_targets_of_booking_and_free_time_are_the_issues():
    targets = {o.method: o.target for o in OPERATIONS if o.flushed}

    assert targets["confirm"] == targets["book_to_confirmed"] == 1
    assert targets["find_slots"] == pytest.approx(1 / 1.5, abs=0.005)


DEBIT = "debit: a balance at a time"
ON_LEDGER = {DEBIT, HOT, SPREAD, MANY_OF_FEW, MANY_OF_ALL}


def test_the_targets_of_credits_are_the_issues():
    targets = {o.title: o.target for o in OPERATIONS if o.on_ledger and o.flushed}

    assert targets == {DEBIT: 1.6, HOT: 1.8, SPREAD: 1.8, MANY_OF_FEW: 0.5, MANY_OF_ALL: 0.5}


def test_half_and_the_slowest_of_a_hundred_are_told_of_debits_and_of_nothing_else(quick_run):
    printed, figures = quick_run

    for result in figures["results"]:
        half, slowest = result["p50_milliseconds"], result["p99_milliseconds"]
        if result["operation"].removesuffix(", no flush") in {DEBIT, HOT, SPREAD}:
            assert 0 < half <= slowest
            assert f"{half:.2f}" in printed
            assert f"{slowest:.2f}" in printed
        else:
            assert half is slowest is None


def test_percentiles_are_of_each_round_and_their_median():
    rounds = {0: [0.001] * 98 + [0.5, 0.5], 1: [0.002] * 100, 2: [0.003] * 100}

    assert Samples(latencies=rounds).milliseconds_of(50) == pytest.approx(2)
    assert Samples(latencies=rounds).milliseconds_of(99) == pytest.approx(3)
    assert Samples().milliseconds_of(50) is None


BOOKING = "book, pre_confirm, confirm"
# What is not BEGIN, one statement, COMMIT by hand, and one message through the library.
MORE_TRIPS = {
    ("open a tenant block", "rayces_core"): 0,
    ("transition: confirm", "psycopg2"): 5,
    (BOOKING, "psycopg2"): 21,
    (BOOKING, "rayces_core"): 5,  # what decides on a draft is read first
    **dict.fromkeys(((title, "psycopg2") for title in (DEBIT, HOT, SPREAD)), 5),
    **dict.fromkeys(((title, "psycopg2") for title in (MANY_OF_FEW, MANY_OF_ALL)), 4),
    **dict.fromkeys(((title, "rayces_core") for title in (MANY_OF_FEW, MANY_OF_ALL)), 7),
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


@dataclass(frozen=True)
class Filled:
    """A database with few rows, to be cloned, and what is known of it."""

    template: str
    facts: Facts
    sample: Facts


@pytest.fixture(scope="module")
def filled(create_database, template):
    url = create_database(template)
    return Filled(parse_dsn(url)["dbname"], *fill(url, 500))


@pytest.fixture
def own_db(make_database, filled):
    """A filled database of the test's own."""
    with Database.connect(make_database(filled.template)) as database:
        yield database


@pytest.mark.slow
def test_slots_are_counted_and_there_are_some_but_not_all(own_db, filled):
    facts = filled.facts
    with own_db.tenant(facts.agenda.subdomain):
        own_db.execute_sql(
            "UPDATE appointments SET state = 'draft', confirmed_at = NULL, pre_confirmed_at = NULL, "
            "expires_at = NULL WHERE state IN ('pre_confirmed', 'confirmed')"
        )
        undisturbed = scheduling.find_slots(facts.agenda.start, facts.agenda.end, now=facts.agenda.now)

    assert 0 < facts.agenda.slots < len(undisturbed)


@pytest.mark.slow
def test_both_contenders_return_and_write_the_same_rows(own_db, filled):
    check_equal([ByHand, Rayces], list(OPERATIONS), own_db.url, filled.sample)


CHECKED = (
    "list_50",
    "scan_dicts",
    "update",
    "confirm",
    "book_to_confirmed",
    "find_slots",
    "debit",
    "purchase_many",
)


# One operation of each method stays in `make test`: the others differ in how much is flushed and by how many at once.
FIRST = {o.method: o for o in reversed(OPERATIONS) if o.method in CHECKED}.values()
OTHERS = [o for o in OPERATIONS if o.method in CHECKED and o not in FIRST]


@pytest.mark.parametrize("operation", [*FIRST, *exhaustive(*OTHERS)], ids=lambda o: o.title)
def test_a_contender_that_returns_or_writes_other_rows_is_found_out(own_db, filled, operation):
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

        def debit(self, user_id):
            with self._connection, self._connection.cursor() as cursor:
                by_hand_credits.debit(cursor, self.facts.ledger.organization_id, user_id, 2)

        def purchases(self, rows):
            return super().purchases(rows[::-1])

    with pytest.raises(UnequalResultsError, match="wrong"):
        check_equal([ByHand, Wrong], [operation], own_db.url, filled.sample)


def test_the_ledger_that_is_filled_adds_up_and_is_there_again_when_tidied(own_db, filled):
    facts = filled.facts
    ledger, state = facts.ledger, "SELECT * FROM credit_balances ORDER BY id"

    with closing(Books(own_db.url, facts)) as books, own_db.tenant(ledger.subdomain):
        assert credits.verify().is_clean
        filled = [row[:6] for row in own_db.execute_sql(state).fetchall()]
        credits.debit(ledger.users[3], 7)
        credits.purchase_many(ledger.purchases(20))
        assert len(books.written()) == 1 + ledger.batch + 20
        books.tidy()

        assert [row[:6] for row in own_db.execute_sql(state).fetchall()] == filled
        assert books.written() == []
        assert credits.verify().is_clean
        assert {row[3] for row in filled} == {credits.balance(ledger.users[3])}


def test_an_entry_that_no_caller_was_told_of_and_a_balance_that_is_no_sum_are_found_out(own_db, filled):
    facts = filled.facts
    ledger = facts.ledger

    with closing(Books(own_db.url, facts)) as books:
        books.audit(0, "nothing yet")
        with own_db.tenant(ledger.subdomain):
            credits.debit(ledger.users[0], 1)
        books.audit(1, "one debit")
        with pytest.raises(UnequalResultsError, match="two debits: 2 entries were told to the callers, 1 are"):
            books.audit(2, "two debits")
        with closing(psycopg2.connect(own_db.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE credit_balances SET lifetime_used = lifetime_used + 1 WHERE user_id = %s", (ledger.users[0],)
            )
        with pytest.raises(UnequalResultsError, match=r"one debit: .*lifetime_used is not what debits took"):
            books.audit(1, "one debit")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ByHand, Rayces])
def test_a_crowd_works_at_once_and_what_it_says_it_did_is_in_the_ledger(own_db, filled, kind):
    facts = filled.facts
    ledger = facts.ledger

    with (
        closing(Books(own_db.url, facts)) as books,
        closing(Crowd(kind, own_db.url, facts, ledger.subdomain, CROWD)) as crowd,
    ):
        batch = crowd.run("debit", [(ledger.users[0],)] * CROWD, 0.2)
        books.audit(batch.calls, kind.name)
        assert batch.calls == len(batch.latencies) >= CROWD
        assert 0.2 <= batch.ended - batch.began < 5
        # One after the other they would have taken as long as all their calls together.
        assert sum(batch.latencies) > 3 * (batch.ended - batch.began)
        assert batch.cpu > 0


def test_what_fails_in_a_crowd_fails_in_the_benchmark(own_db, filled):
    facts = filled.facts

    with closing(Crowd(ByHand, own_db.url, facts, facts.ledger.subdomain, 2)) as crowd:
        with pytest.raises(ValueError, match="not enough values"):
            crowd.run("debit", [(0,), (0,)], 0.1)
