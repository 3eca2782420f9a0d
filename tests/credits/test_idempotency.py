"""The same request again gives the first one's result; a key or payment that comes with another request is an error."""

import contextlib

import pytest

from rayces_core import CreditTransaction, IdempotencyConflictError, InvalidTransitionError, credits
from tests.credits.ledger import NOW, as_stored, entries, figures
from tests.factory import make_appointment, make_user


@pytest.fixture(params=["alone", "in a unit of work"])
def unit(request, db):
    """What each call runs in."""
    return contextlib.nullcontext if request.param == "alone" else db.atomic


def purchases(ana, desk, key):
    return lambda **other: credits.purchase(**{"user": ana, "credits": 5, "idempotency_key": key, "by": desk} | other)


@pytest.mark.usefixtures("frozen")
def test_a_purchase_with_its_key_comes_again(unit, ana, desk):
    buy = purchases(ana, desk, "k")
    with unit():
        first = buy(metadata={"try": 1}, now=NOW)
    with unit():
        again = [buy(metadata={"try": 2}, by=None), buy()]
    assert [entry.__data__ for entry in again] == [first.__data__] * 2  # who asks again and when changes nothing
    assert figures(ana) == (5, 5, 0)
    assert len(entries(ana)) == 1


def test_every_movement_comes_again(unit, ana, desk):
    credits.purchase(ana, 20)
    appointment = make_appointment(client=ana)
    moves = [
        lambda: credits.purchase(ana, 5, pending=True, idempotency_key="a"),
        lambda: credits.debit(ana, 3, idempotency_key="b", reason="lost card"),
        lambda: credits.debit(ana, 4, appointment=appointment, idempotency_key="c"),
        lambda: credits.refund(appointment, idempotency_key="d"),
        lambda: credits.adjust(ana, -2, reason="x", by=desk, idempotency_key="e"),
        lambda: credits.purchase(ana, 6, payment_method="card", payment_reference="1"),
    ]
    for move in moves:
        with unit():
            first = move()
        with unit():
            assert move().__data__ == first.__data__
    assert figures(ana) == (21, 26, 3)


def test_a_transfer_comes_again(unit, ana, desk):
    bruno = make_user()
    credits.purchase(ana, 10)

    def move():
        with unit():
            return [
                entry.__data__ for entry in credits.transfer(ana, bruno, 4, reason="x", by=desk, idempotency_key="t")
            ]

    assert move() == move()
    assert (credits.balance(ana), credits.balance(bruno)) == (6, 4)


def test_a_key_that_comes_with_another_request_is_an_error(db, unit, ana, desk):
    buy = purchases(ana, desk, "k")
    first, other, appointment = buy(), make_user(), make_appointment()
    credits.purchase(other, 9)
    for attempt in (
        lambda: buy(credits=6),
        lambda: buy(user=other),
        lambda: buy(payment_method="card"),
        lambda: buy(payment_method="card", payment_reference="1"),
        lambda: credits.debit(ana, 5, idempotency_key="k"),
        lambda: credits.debit(other, 5, appointment=appointment, idempotency_key="k"),
        lambda: credits.adjust(ana, 5, reason="x", by=desk, idempotency_key="k"),
        lambda: credits.purchase_many([{"user": other, "credits": 5, "idempotency_key": "k"}]),
    ):
        with unit():
            with pytest.raises(IdempotencyConflictError) as caught:
                attempt()
            assert caught.value.key == "k"
            assert as_stored(first)["amount"] == 5  # and the unit of work goes on
    assert (figures(ana), figures(other)) == ((5, 5, 0), (9, 9, 0))


def test_a_payment_counts_once(unit, ana, desk):
    paid = {"payment_method": "card", "payment_reference": "77"}
    first = credits.purchase(ana, 5, **paid)
    with unit():
        assert credits.purchase(ana, 5, **paid).id == first.id
    other = make_user()
    for attempt in (
        lambda: credits.purchase(ana, 6, **paid),
        lambda: credits.purchase(other, 5, **paid),
        lambda: credits.purchase(ana, 5, **paid, idempotency_key="k"),
    ):
        with unit(), pytest.raises(IdempotencyConflictError) as caught:
            attempt()
        assert caught.value.key in ("77", "k")
    assert credits.purchase(ana, 5, payment_method="transfer", payment_reference="77").id != first.id
    assert credits.purchase(ana, 5, payment_method="card").id != credits.purchase(ana, 5, payment_method="card").id
    assert figures(ana) == (20, 20, 0)


def test_a_transfers_key_is_for_one_transfer(unit, ana, desk):
    bruno, carla = make_user(), make_user()
    credits.purchase(ana, 10)
    credits.purchase(bruno, 10)
    credits.transfer(ana, bruno, 4, reason="x", by=desk, idempotency_key="t")
    for attempt in (
        lambda: credits.transfer(ana, bruno, 5, reason="x", by=desk, idempotency_key="t"),
        lambda: credits.transfer(ana, carla, 4, reason="x", by=desk, idempotency_key="t"),
        lambda: credits.transfer(carla, bruno, 4, reason="x", by=desk, idempotency_key="t"),
        lambda: credits.transfer(ana, bruno, 4, reason="y", by=desk, idempotency_key="t"),
    ):
        with unit(), pytest.raises(IdempotencyConflictError):
            attempt()
    assert [credits.balance(user) for user in (ana, bruno, carla)] == [6, 14, 0]


def test_a_key_is_one_organizations_own(db, unit, b, ana, desk):
    purchases(ana, desk, "k")()
    with db.tenant(b):
        theirs = make_user()
        with unit():
            assert credits.purchase(theirs, 7, idempotency_key="k").balance_after == 7


# -- pending ones ------------------------------------------------------------------------------------------------------


def test_what_only_waits_or_has_failed_is_not_taken_for_paid(unit, ana):
    paid = {"payment_method": "card", "payment_reference": "1", "idempotency_key": "k"}
    pending = credits.purchase(ana, 5, pending=True, **paid)
    row = {"user": ana, "credits": 5, **paid}
    for attempt in (lambda: credits.purchase(ana, 5, **paid), lambda: credits.purchase_many([row])):
        with unit(), pytest.raises(IdempotencyConflictError):
            attempt()
    credits.fail(pending, "no funds")
    for attempt in (lambda: credits.purchase(ana, 5, **paid), lambda: credits.purchase_many([row])):
        with unit(), pytest.raises(IdempotencyConflictError):
            attempt()
    assert credits.purchase(ana, 5, pending=True, **paid).id == pending.id
    assert figures(ana) == (0, 0, 0)


def test_a_webhook_comes_twice_in_any_order(unit, ana):
    def webhook():
        with unit():
            return credits.complete(credits.purchase(ana, 5, pending=True, payment_method="mp", payment_reference="9"))

    first, second = webhook(), webhook()
    assert first.id == second.id
    assert second.balance_after == 5
    assert figures(ana) == (5, 5, 0)
    assert credits.purchase(ana, 5, payment_method="mp", payment_reference="9").id == first.id
    assert [change.event for change in first.history()] == ["complete"]


@pytest.mark.usefixtures("frozen")
def test_completing_again_gives_what_the_first_one_made_of_it(unit, ana):
    entry = credits.purchase(ana, 5, pending=True)
    stale = CreditTransaction.get_by_id(entry.id)
    credits.complete(entry, now=NOW)
    for again in (entry, stale):
        with unit():
            assert credits.complete(again) is again
        assert again.__data__ == as_stored(entry)
        assert not again.is_dirty()
    assert figures(ana) == (5, 5, 0)


@pytest.mark.usefixtures("frozen")
def test_failing_again_keeps_the_first_reason(unit, ana):
    entry = credits.purchase(ana, 5, pending=True)
    stale = CreditTransaction.get_by_id(entry.id)
    credits.fail(entry, "no funds", now=NOW)
    with unit():
        assert credits.fail(stale, "another reason") is stale
    assert stale.__data__ == as_stored(entry)
    assert [change.reason for change in entry.history()] == ["no funds"]


def test_a_stale_object_does_not_close_what_is_closed_otherwise(unit, ana):
    entry = credits.purchase(ana, 5, pending=True)
    stale = CreditTransaction.get_by_id(entry.id)
    credits.fail(entry, "no funds")
    with unit(), pytest.raises(InvalidTransitionError):
        credits.complete(stale)
    assert figures(ana) == (0, 0, 0)


def test_an_object_read_in_part_is_completed_too(bound, ana):
    entry = credits.purchase(ana, 5, pending=True)
    part = CreditTransaction.select(CreditTransaction.id).where(CreditTransaction.id == entry.id).get()
    assert credits.complete(part).balance_after == 5
    assert figures(ana) == (5, 5, 0)
