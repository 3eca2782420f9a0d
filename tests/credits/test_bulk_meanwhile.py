"""Many entries at once that meet others in the middle: the row that lost is told as if it had come later."""

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import AlreadyDebitedError, IdempotencyConflictError, credits
from tests.conftest import on_server
from tests.credits.ledger import amounts, figures
from tests.credits.meanwhile import Meanwhile, until_somebody_waits
from tests.factory import make_appointment, make_user

PAID = {"payment_method": "mp", "payment_reference": "1"}


def notices_a_deadlock_after(db, time):
    """Whoever connects from now on; the one who notices it is the one who is undone."""
    name = parse_dsn(db.url)["dbname"]
    on_server(db.url, f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '{time}'")


@pytest.fixture
def organization(bare_db):
    notices_a_deadlock_after(bare_db, "60s")
    return bare_db.create_organization("Waiting", subdomain="waiting")


@pytest.fixture
def two(bare_db, organization):
    with bare_db.tenant(organization):
        users = [make_user(), make_user()]
        credits.purchase_many([{"user": user, "credits": 9} for user in users])
        yield users


SAME = {
    "purchase, one key": (credits.purchase, credits.purchase_many, {"idempotency_key": "k"}),
    "purchase, one payment": (credits.purchase, credits.purchase_many, PAID),
    "debit, one key": (credits.debit, credits.debit_many, {"idempotency_key": "k"}),
}


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a unit of work"])
@pytest.mark.parametrize("same", SAME)
def test_one_key_for_two_users_is_a_conflict_that_names_the_row(bare_db, organization, two, same, alone):
    post, post_many, key = SAME[same]
    one, other = two
    rows = [{"user": other, "credits": 1}, {"user": other, "credits": 2, **key}]
    with bare_db.atomic():
        post(one, 2, **key)
        many = Meanwhile(bare_db, organization, lambda: post_many(rows), alone=alone)
        until_somebody_waits(bare_db)
    error = many.ended()
    assert isinstance(error, IdempotencyConflictError)
    assert error.__notes__ == ["row 1, counted from 0"]
    assert (len(amounts(one)), len(amounts(other))) == (2, 1)
    assert credits.verify().is_clean


def test_the_callers_unit_of_work_goes_on_after_such_a_conflict(bare_db, organization, two):
    one, other = two

    def buy():
        credits.purchase(other, 1)
        with pytest.raises(IdempotencyConflictError):
            credits.purchase_many([{"user": other, "credits": 2, "idempotency_key": "k"}])
        return credits.purchase(other, 1).balance_after

    with bare_db.atomic():
        credits.purchase(one, 2, idempotency_key="k")
        many = Meanwhile(bare_db, organization, buy)
        until_somebody_waits(bare_db)
    assert many.ended() == 11


@pytest.mark.slow
def test_an_appointment_that_is_debited_meanwhile_names_the_row(bare_db, organization, two):
    one, other = two
    appointment = make_appointment()
    with bare_db.atomic():
        first = credits.debit(one, 2, appointment=appointment)
        row = {"user": other, "credits": 2, "appointment": appointment}
        many = Meanwhile(bare_db, organization, lambda: credits.debit_many([row]), alone=True)
        until_somebody_waits(bare_db)
    error = many.ended()
    assert isinstance(error, AlreadyDebitedError)
    assert (error.transaction_id, error.__notes__) == (first.id, ["row 0, counted from 0"])


def test_one_that_is_undone_meanwhile_leaves_the_key_to_the_rows(bare_db, organization, two):
    one, other = two
    with bare_db.atomic() as unit:
        credits.purchase(one, 2, idempotency_key="k")
        rows = [{"user": other, "credits": 2, "idempotency_key": "k"}]
        many = Meanwhile(bare_db, organization, lambda: credits.purchase_many(rows), alone=True)
        until_somebody_waits(bare_db)
        unit.rollback()
    assert [row.balance_after for row in many.ended()] == [11]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["transfer", "purchase_many"])
def test_a_balance_that_is_opened_out_of_order_ends_in_no_deadlock(bare_db, organization, two, what):
    """Who opens the balance waits for the lock of another user, who wants to open it too."""
    one, _ = two
    desk, new = make_user(role=2), make_user()

    def act():
        if what == "transfer":
            return credits.transfer(one, new, 1, reason="x", by=desk)
        return credits.purchase_many([{"user": user, "credits": 1} for user in (one, new)])

    with bare_db.atomic():
        credits.purchase(one, 5)
        notices_a_deadlock_after(bare_db, "1500ms")  # the other one, who has no connection yet; it looks once
        other = Meanwhile(bare_db, organization, act, alone=True)
        until_somebody_waits(bare_db)
        credits.purchase(new, 5)
    assert len(other.ended()) == 2
    assert (figures(one)[0], figures(new)[0]) == ((13, 6) if what == "transfer" else (15, 6))
    assert credits.verify().is_clean
