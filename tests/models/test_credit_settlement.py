"""An entry of the ledger is settled once, and the balance moves in the same statement."""

from datetime import UTC, datetime

import pytest

from rayces_core import (
    CheckFailedError,
    CreditBalance,
    CreditTransaction,
    InvalidTransitionError,
    PermissionDeniedError,
    clock,
)
from tests.factory import make_appointment, make_balance, make_completed, make_transaction, make_user
from tests.state_machine.rules import columns, stored
from tests.walking import walked

NOW = datetime(2031, 2, 3, 15, tzinfo=UTC)


def entry_of(balance, kind, amount):
    values = {"credit_balance": balance, "transaction_type": kind, "amount": amount}
    if kind in ("appointment_debit", "cancellation_refund"):
        values["appointment"] = make_appointment()
    if kind == "admin_adjustment":
        values |= {"reason": "a gift", "created_by": make_user()}
    return make_transaction(**values)


def figures(balance):
    row = CreditBalance.get_by_id(balance.id)
    return row.balance, row.lifetime_purchased, row.lifetime_used


@pytest.mark.slow
@walked(
    "kind, amount, after",
    [
        ("purchase", 5, (15, 25, 10)),
        ("appointment_debit", -3, (7, 20, 13)),
        ("appointment_debit", -10, (0, 20, 20)),
        ("admin_adjustment", 4, (14, 20, 10)),
        ("admin_adjustment", -4, (6, 20, 10)),
    ],
)
def test_a_completed_entry_moves_the_balance_and_says_what_it_was_after(bound, kind, amount, after):
    balance = make_balance(balance=10, lifetime_purchased=20, lifetime_used=10)
    entry, stranger = entry_of(balance, kind, amount), make_balance(balance=1)
    assert figures(balance) == (10, 20, 10)

    with clock.frozen(NOW):
        entry.complete()

    assert figures(balance) == after
    assert CreditBalance.get_by_id(balance.id).updated_at == NOW
    assert (entry.status, entry.processed_at, entry.balance_after) == ("completed", NOW, after[0])
    assert columns(entry) == stored(entry)
    assert figures(stranger) == (1, 0, 0)


def test_a_refund_that_waits_goes_on_from_what_is_left_of_the_debit(bound):
    balance, appointment = make_balance(balance=10, lifetime_purchased=15, lifetime_used=5), make_appointment()
    debit = {"transaction_type": "appointment_debit", "amount": -4, "appointment": appointment}
    make_completed(credit_balance=balance, **debit)
    waiting = {"credit_balance": balance, "transaction_type": "cancellation_refund", "appointment": appointment}
    first, second, third = (make_transaction(amount=amount, **waiting) for amount in (3, 2, 1))
    first.complete()
    assert (first.refundable_before, first.refundable_after) == (4, 1)
    assert columns(first) == stored(first)
    with pytest.raises(CheckFailedError, match="no more than is left"):
        second.complete()
    third.complete()
    assert (third.refundable_before, third.refundable_after, figures(balance)[0]) == (1, 0, 10)


def test_without_a_clock_that_is_set_the_moment_is_the_servers(bound):
    entry = entry_of(make_balance(), "purchase", 5)
    entry.complete(now=NOW)
    assert entry.processed_at < NOW
    assert entry.actor_of("complete") is None
    assert columns(entry) == stored(entry)


def test_a_failed_entry_moves_nothing_and_keeps_the_reason(bound):
    balance = make_balance(balance=10)
    entry = entry_of(balance, "purchase", 5)
    entry.fail(reason="the card was refused", now=NOW)
    assert figures(balance) == (10, 0, 0)
    assert (entry.status, entry.processed_at, entry.balance_after) == ("failed", NOW, None)
    assert [change.reason for change in entry.history()] == ["the card was refused"]


def test_a_webhook_that_comes_again_moves_the_balance_no_more(bound):
    balance = make_balance()
    entry = entry_of(balance, "purchase", 5)
    again = CreditTransaction.get_by_id(entry.id)
    entry.complete()
    for settled in (entry, again, CreditTransaction.get_by_id(entry.id)):
        for event in (settled.complete, settled.fail):
            with pytest.raises(InvalidTransitionError) as caught:
                event()
            assert (caught.value.from_state, caught.value.allowed) == ("completed", ())
    assert figures(balance) == (5, 5, 0)
    assert [change.event for change in entry.history()] == ["complete"]


def test_a_failed_entry_is_never_completed(bound):
    balance = make_balance()
    entry = entry_of(balance, "purchase", 5)
    entry.fail()
    with pytest.raises(InvalidTransitionError, match="is failed; nothing can follow"):
        entry.complete()
    assert figures(balance) == (0, 0, 0)


@walked("kind, amount", [("appointment_debit", -11), ("admin_adjustment", -11)])
def test_an_entry_that_would_overdraw_stays_pending(bound, kind, amount):
    balance = make_balance(balance=10)
    entry = entry_of(balance, kind, amount)
    with pytest.raises(CheckFailedError, match="a credit balance never goes below zero"):
        entry.complete()
    assert figures(balance) == (10, 0, 0)
    assert entry.status == stored(entry)["status"] == "pending"
    assert list(entry.history()) == []


def test_what_a_unit_of_work_undoes_the_balance_forgets(db, bound):
    balance = make_balance()
    entry = entry_of(balance, "purchase", 5)
    with pytest.raises(ZeroDivisionError), db.atomic():
        entry.complete()
        assert figures(balance) == (5, 5, 0)
        assert 1 / 0
    assert figures(balance) == (0, 0, 0)
    assert (entry.status, entry.balance_after) == ("pending", None)


def test_entries_completed_in_one_unit_each_know_their_balance(db, bound):
    balance = make_balance()
    entries = [entry_of(balance, "purchase", n) for n in (1, 2, 3)]
    with db.atomic():
        for entry in entries:
            entry.complete()
    assert [entry.balance_after for entry in entries] == [1, 3, 6]


def test_privileged_work_settles_the_entry_of_its_own_organization(db, bound):
    balance = make_balance()
    entry = entry_of(balance, "purchase", 5)
    with db.privileged(reason="test"):
        CreditTransaction.get_by_id(entry.id).complete()
    assert figures(balance) == (5, 5, 0)


def test_a_settled_entry_is_not_rewritten_by_raw_sql(db, bound):
    entry = entry_of(make_balance(), "purchase", 5)
    entry.complete()
    for change in ("status = 'failed', balance_after = NULL", "metadata = '{}'"):
        assert db.execute_sql(f"UPDATE credit_transactions SET {change} WHERE id = {entry.id}").rowcount == 0
    for attempt in ("UPDATE credit_transactions SET amount = 500", "DELETE FROM credit_transactions"):
        with pytest.raises(PermissionDeniedError):
            db.execute_sql(attempt)
    assert stored(entry) == columns(entry)
