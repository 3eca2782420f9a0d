"""Processes that issue at once, one of them killed in the middle: numbers are 1 to n, each source is asked for once."""

import subprocess
import sys

import pytest

from rayces_core import Database, Invoice, InvoiceCounter, InvoiceLine, LifecycleError, clock, invoicing
from tests.factory import make_organization, make_user
from tests.invoicing import racers
from tests.invoicing.world import FIRST, LAST, NOW, numbers, session
from tests.state_machine.racers import race

pytestmark = pytest.mark.slow


@pytest.fixture
def organization(own_db):
    with clock.frozen(NOW):
        yield make_organization(own_db, settings={"tax_basis_points": 2100})


def drafts(how_many, sessions=2):
    made = []
    for _ in range(how_many):
        family = make_user()
        for _ in range(sessions):
            session(family)
        made.append(invoicing.draft_invoice(family, FIRST, LAST))
    return made


def test_numbers_have_no_gap_whoever_issues(own_db, organization):
    with own_db.tenant(organization):
        mine = drafts(24)
    outcomes = race(own_db, organization, mine, [racers.issue] * 4)
    with own_db.tenant(organization):
        assert numbers() == list(range(1, 25))
        assert invoicing.verify_invoices() == []
    won = [sum(outcome[place] is None for outcome in outcomes) for place in range(len(mine))]
    assert won == [1] * len(mine)


def test_two_drafts_of_the_same_sessions_become_one_invoice(own_db, organization):
    with own_db.tenant(organization):
        family = make_user()
        for _ in range(3):
            session(family)
        both = [invoicing.draft_invoice(family, FIRST, LAST) for _ in range(4)]
    outcomes = race(own_db, organization, both[:1], [racers.issue_one_of_mine] * 4)
    refused = [outcome for (outcome,) in outcomes if outcome is not None]
    with own_db.tenant(organization):
        assert numbers() == [1]
        assert InvoiceLine.select().count() == 3
    assert len(refused) == 3
    assert all(isinstance(error, LifecycleError) for error in refused)


def test_an_invoice_is_credited_once_however_many_do(own_db, organization):
    with own_db.tenant(organization):
        mine = drafts(6)
        for draft in mine:
            draft.issue()
    outcomes = race(own_db, organization, mine, [racers.credit] * 3)
    with own_db.tenant(organization):
        assert numbers("credit_note") == list(range(1, 7))
        assert invoicing.verify_invoices() == []
    assert [sum(outcome[place] is None for outcome in outcomes) for place in range(6)] == [1] * 6


ISSUE = """
import sys
import tests
from rayces_core import Database, Invoice

with Database.connect(sys.argv[1]) as db, db.tenant(int(sys.argv[2])):
    for draft in Invoice.select().where(Invoice.state == "draft").order_by(Invoice.id):
        with db.atomic():
            draft.issue()
            print(draft.number, flush=True)
            sys.stdin.readline()
"""


def test_one_that_is_killed_before_its_commit_leaves_no_gap(own_db, organization):
    with own_db.tenant(organization):
        mine = drafts(6)
    command = [sys.executable, "-c", ISSUE, own_db.url, str(organization.id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as issuing:
        for expected in (1, 2, 3):
            assert issuing.stdout.readline() == f"{expected}\n"
            if expected < 3:
                issuing.stdin.write("\n")
                issuing.stdin.flush()
        issuing.kill()  # the third has its number and its lines, and is not committed
        issuing.wait()
    with Database.connect(own_db.url) as db, db.tenant(organization.id):
        assert numbers() == [1, 2]
        for draft in Invoice.select().where(Invoice.id.in_([each.id for each in mine]), Invoice.state == "draft"):
            draft.issue()
        assert numbers() == [1, 2, 3, 4, 5, 6]
        assert InvoiceCounter.get().last_number == 6
        assert invoicing.verify_invoices() == []
