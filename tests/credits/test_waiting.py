"""Postings that meet in the middle of each other's unit of work, step by step."""

import pytest

from rayces_core import (
    IdempotencyConflictError,
    InsufficientCreditsError,
    TransactionFailedError,
    TransactionStatus,
    TransactionType,
    credits,
)
from rayces_core.credits import ledger
from rayces_core.credits import statements as sql
from tests.credits.ledger import NOW, amounts, figures, statements
from tests.credits.meanwhile import Meanwhile, until_somebody_waits
from tests.factory import make_user

PAID = {"payment_method": "mp", "payment_reference": "1"}


REQUESTS = {
    "purchase": lambda user: credits.purchase(user, 5, idempotency_key="k"),
    "pending purchase": lambda user: credits.purchase(user, 5, pending=True, **PAID),
    "debit": lambda user: credits.debit(user, 2, idempotency_key="k"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "opened"),
    [("purchase", True), ("purchase", False), ("pending purchase", True), ("pending purchase", False), ("debit", True)],
)
def test_who_waits_for_the_same_request_gets_its_result(bare_db, what, opened):
    organization = bare_db.create_organization("Waiting", subdomain="waiting")
    with bare_db.tenant(organization):
        user = make_user()
        if opened:
            credits.purchase(user, 9)
        with bare_db.atomic():
            first = REQUESTS[what](user)
            other = Meanwhile(bare_db, organization, lambda: REQUESTS[what](user).id)
            until_somebody_waits(bare_db)
        assert other.ended() == first.id
        assert len(amounts(user)) == 1 + opened
        assert credits.verify().is_clean


@pytest.mark.slow
def test_who_waits_for_one_that_is_undone_makes_it(bare_db):
    organization = bare_db.create_organization("Waiting", subdomain="waiting")
    with bare_db.tenant(organization):
        user = make_user()
        credits.purchase(user, 9)
        with bare_db.atomic() as unit:
            first = credits.debit(user, 5, idempotency_key="k").id
            other = Meanwhile(bare_db, organization, lambda: credits.debit(user, 5, idempotency_key="k").id)
            until_somebody_waits(bare_db)
            unit.rollback()
        assert other.ended() != first
        assert amounts(user) == [9, -5]


@pytest.mark.slow
def test_who_waits_for_the_last_credits_is_told_that_they_are_gone(bare_db):
    organization = bare_db.create_organization("Waiting", subdomain="waiting")
    with bare_db.tenant(organization):
        user = make_user()
        credits.purchase(user, 5)
        with bare_db.atomic():
            credits.debit(user, 4)
            other = Meanwhile(bare_db, organization, lambda: credits.debit(user, 2))
            until_somebody_waits(bare_db)
        error = other.ended()
        assert isinstance(error, InsufficientCreditsError)
        assert (error.required, error.available) == (2, 1)
        assert figures(user) == (1, 5, 4)


@pytest.mark.slow
def test_a_balance_that_is_opened_after_the_look_for_its_lock_is_locked_all_the_same(bare_db):
    """Else two that note and complete the same payment would wait for each other."""
    organization = bare_db.create_organization("Waiting", subdomain="waiting")
    message = sql.posting(TransactionType.PURCHASE, TransactionStatus.PENDING, frozenset({"key"}))
    lock, statement = message.plain.split("; ", 1)
    with bare_db.tenant(organization):
        user = make_user()
        values = ledger.Posting(user.id, 5, TransactionType.PURCHASE, NOW, TransactionStatus.PENDING, key="k").values
        with bare_db.atomic():
            assert bare_db.execute_sql(lock, values).fetchall() == []
            Meanwhile(bare_db, organization, lambda: ledger.open_balance(user.id, NOW)).ended()
            assert len(bare_db.execute_sql(statement, values).fetchall()) == 1
            other = Meanwhile(bare_db, organization, lambda: credits.purchase(user, 1, idempotency_key="other"))
            until_somebody_waits(bare_db)
        assert other.ended().balance_after == 1


@pytest.mark.slow
def test_two_units_of_work_with_one_key_for_two_users(bare_db):
    organization = bare_db.create_organization("Waiting", subdomain="waiting")
    with bare_db.tenant(organization):
        one, two = make_user(), make_user()
        credits.purchase_many([{"user": user, "credits": 1} for user in (one, two)])

        def ask():
            return credits.purchase(two, 5, idempotency_key="k")

        with bare_db.atomic():
            credits.purchase(one, 5, idempotency_key="k")
            other = Meanwhile(bare_db, organization, ask)
            until_somebody_waits(bare_db)
        assert isinstance(other.ended(), TransactionFailedError)
        assert isinstance(Meanwhile(bare_db, organization, ask).ended(), IdempotencyConflictError)
        assert (figures(one), figures(two)) == ((6, 6, 0), (1, 1, 0))


def test_postings_with_a_key_are_made_while_statements_are_looked_at(db, bound, ana):
    with statements(db) as sent:
        first = credits.purchase(ana, 5, idempotency_key="k")
        assert credits.purchase(ana, 5, idempotency_key="k").id == first.id
    assert sent
