"""Verification finds every corruption, exactly, says where it is, and changes nothing."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import psycopg2
import pytest

from rayces_core import Database, InvalidDataError, TenantNotSetError, credits
from rayces_core.credits import verification
from rayces_core.demo import load_centres
from tests.credits.corruption import CORRUPTIONS, Corruption, corrupt, expected, facts, make_ledger
from tests.credits.ledger import NOW, picture
from tests.factory import make_organization, make_user
from tests.nodes import past_rules
from tests.walking import walked

every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)


@pytest.fixture
def short_stretches(monkeypatch):
    monkeypatch.setattr(verification, "STRETCH", 1)


@dataclass(frozen=True)
class Corrupted:
    """A database with a small ledger for each corruption, which has befallen it, and clean ones among them."""

    db: Database
    ledgers: dict[str, SimpleNamespace]
    clean: list[int]

    def of(self, corruption: Corruption) -> SimpleNamespace:
        return self.ledgers[corruption.name]


@pytest.fixture(scope="module")
def corrupted(create_database, template):
    with Database.connect(create_database(template)) as db:
        ledgers, clean = {}, [_ledger(db).organization]
        for number, corruption in enumerate(CORRUPTIONS, 1):
            ledgers[corruption.name] = _ledger(db)
            if number % 6 == 0 or number == len(CORRUPTIONS):
                clean.append(_ledger(db).organization)
        for corruption in CORRUPTIONS:
            corrupt(db.url, corruption.sql, ledgers[corruption.name])
        yield Corrupted(db, ledgers, clean)


def _ledger(db):
    with db.tenant(make_organization(db)):
        return make_ledger()


def test_every_kind_is_corrupted_here_and_has_its_words():
    kinds = {kind for corruption in CORRUPTIONS for kind, *_ in corruption.findings}
    assert kinds == set(verification.WORDS)


@every_corruption
def test_a_corruption_is_found_exactly_and_nothing_is_changed(corrupted, corruption):
    ledger = corrupted.of(corruption)
    with corrupted.db.tenant(ledger.organization):
        before = picture()
        report = credits.verify()
        assert picture() == before
    assert facts(report) == expected(corruption, ledger)
    assert len(report.discrepancies) == len(corruption.findings)
    assert not report.is_clean


@every_corruption
def test_it_is_found_in_its_organization_and_in_short_stretches(corrupted, corruption, short_stretches):
    ledger = corrupted.of(corruption)
    with corrupted.db.privileged(reason="test"):
        here = credits.verify(ledger.organization)
    assert facts(here) == expected(corruption, ledger)
    assert (here.balances, here.appointments) == (2, 2)


@pytest.mark.slow
@walked("stretch", [1, 5, verification.STRETCH])
def test_all_are_found_among_all_organizations_and_nothing_else_is(corrupted, monkeypatch, stretch):
    monkeypatch.setattr(verification, "STRETCH", stretch)
    with corrupted.db.privileged(reason="test"):
        everywhere = credits.verify()
    assert facts(everywhere) == {fact for each in CORRUPTIONS for fact in expected(each, corrupted.of(each))}
    assert len(everywhere.discrepancies) == sum(len(corruption.findings) for corruption in CORRUPTIONS)
    rows = 2 * (len(corrupted.ledgers) + len(corrupted.clean))
    assert (everywhere.balances, everywhere.appointments) == (rows, rows)


@pytest.mark.slow
def test_neighbours_are_clean(corrupted):
    for other in corrupted.clean:
        with corrupted.db.privileged(reason="test"):
            assert credits.verify(other).is_clean
        with corrupted.db.tenant(other):
            assert credits.verify().is_clean


def test_what_is_found_says_where_and_what(corrupted):
    ledger = corrupted.ledgers["balance"]
    with corrupted.db.tenant(ledger.organization):
        (found,) = credits.verify().discrepancies
    assert found.place == f"balance {ledger.balance}"
    assert str(found) == (
        f"organization {ledger.organization}, balance {ledger.balance}: the balance is not the sum of its completed "
        "entries; expected 8, found 1000"
    )


@pytest.mark.slow
def test_a_real_ledger_is_clean(bare_db):
    for organization in load_centres(bare_db):
        with bare_db.tenant(organization):
            report = credits.verify()
            assert report.discrepancies == ()
            assert report.balances > 0
            assert report.appointments > 0
    with bare_db.privileged(reason="test"):
        assert credits.verify().is_clean


def test_nothing_at_all_is_clean(db):
    with db.tenant(make_organization(db)):
        report = credits.verify()
    assert (report.balances, report.appointments, report.is_clean) == (0, 0, True)


@pytest.mark.slow
@walked("stretch", [1, 2, 3, 7, 100])
def test_each_row_is_looked_at_once_whatever_the_stretch(bare_db, monkeypatch, stretch):
    monkeypatch.setattr(verification, "STRETCH", stretch)
    organization = make_organization(bare_db)
    told = []
    with bare_db.tenant(organization):
        users = [make_user() for _ in range(7)]
        credits.purchase_many([{"user": user, "credits": 2} for user in users])
        wrong = "UPDATE credit_balances SET balance = 5"
        with past_rules(bare_db.url) as cursor:
            cursor.execute(wrong)
        report = credits.verify(progress=lambda *facts: told.append(facts))
    assert len(report.discrepancies) == len({each.balance_id for each in report.discrepancies}) == report.balances == 7
    steps = [min(done, 7) for done in range(stretch, 7 + stretch, stretch)]
    assert told == [("credit_balances", done, 7) for done in steps]


@pytest.mark.usefixtures("frozen")
def test_entries_that_were_to_happen_out_of_order_are_clean(bound, ana):
    waiting = credits.purchase(ana, 5, pending=True, now=NOW)
    credits.purchase(ana, 1, now=NOW + timedelta(days=2))
    credits.purchase(ana, 2, now=NOW)
    credits.complete(waiting, now=NOW - timedelta(days=2))
    credits.debit(ana, 8, now=NOW + timedelta(days=1))
    assert credits.verify().discrepancies == ()


def test_the_organization_may_be_named_and_no_other_one(db, bound, b, ana):
    credits.purchase(ana, 5)
    assert credits.verify(bound).balances == credits.verify(bound.id).balances == credits.verify().balances == 1
    for other in (b, b.id):
        with pytest.raises(InvalidDataError, match="another tenant is bound") as caught:
            credits.verify(other)
        assert caught.value.value == b.id
    with db.privileged(reason="test"):
        assert credits.verify(bound).balances == 1
        assert credits.verify(b).balances == 0


def test_without_a_tenant_it_is_privileged_work(db):
    with pytest.raises(TenantNotSetError):
        credits.verify()


SQL = {"balances": verification.OF_BALANCES, "lots": verification.OF_LOTS, "appointments": verification.OF_APPOINTMENTS}


@pytest.mark.parametrize(("sql", "scans"), [("balances", 3), ("lots", 5), ("appointments", 1)])
def test_entries_are_read_once_and_beside_them_only_failed_payments_and_what_was_taken_back(own_db, sql, scans):
    own = "organization_id = 1 AND "
    asked = SQL[sql].format(
        range=own + verification.WITHIN,
        paying=own + verification.PAYING,
        **{name: f"{name}.{own}" for name in verification.NAMED},
    )
    with contextlib.closing(psycopg2.connect(own_db.url)) as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + asked, {"from_org": 0, "from_id": 0, "to_org": 1, "to_id": 9, "tenant": 1})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count(" on credit_transactions") == scans


def test_a_stretch_that_is_not_full_is_the_last_one(db, bound, ana):
    credits.purchase(ana, 5)
    asked = []
    db.engine.observers.append(asked.append)
    try:
        credits.verify()
    finally:
        db.engine.observers.remove(asked.append)
    # A stretch of balances and what is found in it; no lots, no appointments.
    assert len(asked) == 4
