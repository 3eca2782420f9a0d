"""What raw SQL as the application's role cannot do: the database itself keeps the ledger, whatever code writes."""

import pytest

from rayces_core import (
    CheckFailedError,
    ConstraintError,
    CreditBalance,
    CreditTransaction,
    DuplicateError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    TransactionFailedError,
    credits,
)
from tests.credits.ledger import amounts, entries, figures, nothing_written
from tests.factory import make_appointment, make_user
from tests.walking import walked

ENTRY = """
INSERT INTO credit_transactions (
    organization_id, user_id, credit_balance_id, amount, transaction_type, status, processed_at,
    balance_before, balance_after, sequence, previous_sequence
) SELECT organization_id, user_id, id, {amount}, 'purchase', 'completed', now(), {before}, {after}, {place}, {previous}
    FROM credit_balances WHERE user_id = {user}
RETURNING 1
"""


@pytest.fixture
def rich(ana):
    """A user whose balance went 10, 7, 12."""
    credits.purchase(ana, 10)
    credits.debit(ana, 3)
    credits.purchase(ana, 5)
    return ana


@walked(
    "statement",
    [
        "UPDATE credit_transactions SET amount = 1000",
        "UPDATE credit_transactions SET transaction_type = 'purchase'",
        "UPDATE credit_transactions SET user_id = user_id",
        "UPDATE credit_transactions SET credit_balance_id = credit_balance_id",
        "UPDATE credit_transactions SET appointment_id = NULL",
        "UPDATE credit_transactions SET idempotency_key = NULL",
        "UPDATE credit_transactions SET payment_method = NULL",
        "UPDATE credit_transactions SET payment_reference = NULL",
        "UPDATE credit_transactions SET created_by_id = NULL",
        "UPDATE credit_transactions SET reason = 'other'",
        "UPDATE credit_transactions SET created_at = now()",
        "DELETE FROM credit_transactions",
        "TRUNCATE credit_transactions",
        "UPDATE credit_balances SET user_id = user_id",
        "DELETE FROM credit_balances",
        "TRUNCATE credit_balances",
    ],
)
def test_what_no_grant_allows(db, rich, statement):
    with nothing_written(), pytest.raises(PermissionDeniedError):
        db.execute_sql(statement)


@walked(
    "change",
    [
        "balance_after = 1000",
        "balance_before = 0",
        "sequence = 7",
        "previous_sequence = NULL",
        "processed_at = now()",
        "status = 'failed', balance_before = NULL, balance_after = NULL, sequence = NULL, previous_sequence = NULL",
        "status = 'pending', processed_at = NULL",
        "metadata = '{}'",
    ],
)
def test_a_committed_entry_stays_as_it_is(db, rich, change):
    with nothing_written():
        assert db.execute_sql(f"UPDATE credit_transactions SET {change}").rowcount == 0
        assert db.execute_sql(f"UPDATE credit_transactions SET {change} WHERE id = {entries(rich)[1].id}").rowcount == 0


def test_nor_do_the_models_change_or_delete_it(rich):
    entry, held = entries(rich)[0], CreditBalance.get()
    entry.amount = 1000
    for attempt in (
        entry.save,
        entry.delete_instance,
        held.delete_instance,
        lambda: CreditTransaction.update(amount=1000).execute(),
        lambda: CreditTransaction.delete().execute(),
    ):
        with nothing_written(), pytest.raises(PermissionDeniedError):
            attempt()


@walked(
    "change, error",
    [
        ("balance = 1000", ReferenceNotFoundError),
        ("balance = balance + 1", ReferenceNotFoundError),
        ("balance = 0", ReferenceNotFoundError),
        ("balance = 1000, last_sequence = 4", ReferenceNotFoundError),
        ("balance = 7", ReferenceNotFoundError),
        ("last_sequence = 2", ReferenceNotFoundError),
        ("last_sequence = NULL", CheckFailedError),
        ("balance = -1, last_sequence = NULL", CheckFailedError),
    ],
)
def test_a_balance_cannot_be_set_without_an_entry_that_says_so(db, rich, change, error):
    with nothing_written(), pytest.raises(error):
        db.execute_sql(f"UPDATE credit_balances SET {change}")
    with nothing_written(), pytest.raises(error), db.atomic():
        db.execute_sql(f"UPDATE credit_balances SET {change}")


def test_a_balance_without_entries_cannot_be_set_either(db, bound, ana):
    db.execute_sql("INSERT INTO credit_balances (organization_id, user_id) VALUES (%s, %s)", (bound.id, ana.id))
    for change in ("balance = 5", "balance = 5, last_sequence = 1"):
        with pytest.raises(ConstraintError):
            db.execute_sql(f"UPDATE credit_balances SET {change}")
    with pytest.raises(CheckFailedError):
        CreditBalance.create(user=make_user(), balance=5)
    assert figures(ana) == (0, 0, 0)


@walked(
    "place, error",
    [
        # from another amount than the one before ended with; with one missing in between; at a place that is taken
        ({"before": 1000, "after": 1001, "place": 4, "previous": 3}, ReferenceNotFoundError),
        ({"before": 12, "after": 13, "place": 5, "previous": 4}, ReferenceNotFoundError),
        ({"before": 12, "after": 13, "place": 3, "previous": 2}, DuplicateError),
        ({"before": 7, "after": 8, "place": 3, "previous": 2}, DuplicateError),
        # that does not add up; that names another one before; that begins anew
        ({"before": 12, "after": 1000, "place": 4, "previous": 3}, CheckFailedError),
        ({"before": 12, "after": 13, "place": 4, "previous": 2}, CheckFailedError),
        ({"before": 12, "after": 13, "place": 4, "previous": "NULL"}, CheckFailedError),
        ({"before": 12, "after": 13, "place": 1, "previous": "NULL"}, CheckFailedError),
        ({"before": 0, "after": 1, "place": 1, "previous": "NULL"}, DuplicateError),
        ({"before": 0, "after": 1, "place": 0, "previous": -1}, CheckFailedError),
        ({"before": "NULL", "after": "NULL", "place": "NULL", "previous": "NULL"}, CheckFailedError),
    ],
)
def test_a_completed_entry_goes_on_from_the_one_before(db, rich, place, error):
    with nothing_written(), pytest.raises(error):
        db.execute_sql(ENTRY.format(user=rich.id, amount=1, **place))


def test_an_entry_at_the_end_of_the_chain_is_found_by_verify_until_the_balance_follows(db, rich):
    """The one thing left to who writes SQL by hand is to post properly."""
    db.execute_sql(ENTRY.format(user=rich.id, amount=1, before=12, after=13, place=4, previous=3))
    assert {(each.kind, each.expected, each.found) for each in credits.verify().discrepancies} == {
        ("balance", "13", "12"),
        ("lifetime_purchased", "16", "15"),
        ("last_sequence", "4", "3"),
    }
    db.execute_sql("UPDATE credit_balances SET balance = 13, last_sequence = 4, lifetime_purchased = 16")
    assert credits.verify().is_clean
    assert credits.purchase(rich, 1).balance_after == 14


@pytest.mark.slow
@walked("place, balance", [(1, 10), (2, 7)])
def test_a_balance_moved_back_along_its_chain_is_found_and_posts_nothing_more(db, rich, desk, place, balance):
    """What the foreign keys do not see: an earlier entry also says what the balance was."""
    db.execute_sql("UPDATE credit_balances SET balance = %s, last_sequence = %s", (balance, place))
    assert {(each.kind, each.expected, each.found) for each in credits.verify().discrepancies} == {
        ("balance", "12", str(balance)),
        ("last_sequence", "3", str(place)),
    }
    pending = credits.purchase(rich, 1, pending=True)
    before = [dict(entry.__data__) for entry in entries(rich)]
    attempts = (
        lambda: credits.purchase(rich, 1),
        lambda: credits.debit(rich, 1, idempotency_key="k"),
        lambda: credits.complete(pending),
        lambda: credits.purchase_many([{"user": rich, "credits": 1}]),
        lambda: credits.transfer(rich, make_user(), 1, reason="x", by=desk),
    )
    for attempt in attempts:
        with pytest.raises(TransactionFailedError, match="rayces credits verify"):
            attempt()
        with pytest.raises(TransactionFailedError, match="rayces credits verify"), db.atomic():
            attempt()
    assert [dict(entry.__data__) for entry in entries(rich)] == before
    assert figures(rich)[0] == balance


@pytest.mark.parametrize("status", ["pending", "completed"])
def test_an_appointment_has_one_live_debit(db, rich, status):
    appointment = make_appointment(client=rich)
    credits.debit(rich, 1, appointment=appointment)
    place = {"balance_before": 11, "balance_after": 10, "sequence": 5, "previous_sequence": 4, "refundable_after": 1}
    values = {"amount": -1, "transaction_type": "appointment_debit", "status": status}
    with pytest.raises(DuplicateError, match="already"):
        entry_by_hand(rich, appointment, **values, **(place if status == "completed" else {}))
    assert amounts(rich) == [10, -3, 5, -1]


def entry_by_hand(user, appointment, **values):
    held = CreditBalance.get(CreditBalance.user == user)
    if values["status"] == "completed":
        values["processed_at"] = held.updated_at
    return CreditTransaction.create(user=user, credit_balance=held, appointment=appointment, **values)


REFUND = {"transaction_type": "cancellation_refund", "status": "completed"}


@pytest.mark.parametrize(
    ("amount", "before", "after", "error"),
    [
        # more than is left; from more than is left; from what another one went on from; from nothing that is there
        (4, 3, -1, CheckFailedError),
        (4, 5, 1, DuplicateError),
        (4, 4, 0, ReferenceNotFoundError),
        (1, 5, 4, DuplicateError),
        (5, 5, 0, DuplicateError),
        (1, 9, 8, ReferenceNotFoundError),
        # that does not add up; that says nothing
        (1, 3, 1, CheckFailedError),
        (1, 3, 3, CheckFailedError),
        (1, None, None, CheckFailedError),
        (1, 3, None, CheckFailedError),
        (1, None, 2, CheckFailedError),
    ],
)
def test_refunds_never_give_back_more_than_the_debit_whoever_writes(rich, amount, before, after, error):
    appointment = make_appointment(client=rich)
    credits.debit(rich, 5, appointment=appointment)
    credits.refund(appointment, credits=2)
    place = {"balance_before": 9, "balance_after": 9 + amount, "sequence": 6, "previous_sequence": 5}
    with nothing_written(), pytest.raises(error):
        entry_by_hand(
            rich, appointment, **REFUND, **place, amount=amount, refundable_before=before, refundable_after=after
        )
    entry = entry_by_hand(
        rich, appointment, **REFUND, **place | {"balance_after": 12}, amount=3, refundable_before=3, refundable_after=0
    )
    assert entry.refundable_after == 0


def test_a_refund_goes_to_the_balance_that_paid_whoever_writes(rich):
    other = make_user()
    credits.purchase(other, 1)
    appointment = make_appointment(client=rich)
    credits.debit(rich, 5, appointment=appointment)
    place = {"balance_before": 1, "balance_after": 2, "sequence": 2, "previous_sequence": 1}
    place |= {"refundable_before": 5, "refundable_after": 4}
    for of in (appointment, make_appointment(client=other)):
        with nothing_written(), pytest.raises(ReferenceNotFoundError, match="whoever paid it"):
            entry_by_hand(other, of, **REFUND, amount=1, **place)


@walked("column", ["idempotency_key", "payment_method", "payment_reference"])
def test_what_names_a_request_or_a_payment_is_not_blank_whoever_writes(rich, column):
    held = CreditBalance.get()
    values = {"user": rich, "credit_balance": held, "amount": 1, "transaction_type": "purchase"}
    for blank in ("", "   "):
        with nothing_written(), pytest.raises(CheckFailedError, match="must not be blank"):
            CreditTransaction.create(**values, **{column: blank})


def test_a_booking_request_is_not_named_by_blanks_whoever_writes(bound):
    for blank in ("", "   "):
        with pytest.raises(CheckFailedError, match="must not be blank"):
            make_appointment(idempotency_key=blank, request_fingerprint="f")


def test_keys_and_payments_are_unique_whoever_writes(rich):
    held = CreditBalance.get()
    values = {"user": rich, "credit_balance": held, "amount": 1, "transaction_type": "purchase"}
    for unique in ({"idempotency_key": "k"}, {"payment_method": "card", "payment_reference": "1"}):
        credits.purchase(rich, 1, **unique)
        with pytest.raises(DuplicateError):
            CreditTransaction.create(**values, **unique)


def test_privileged_work_rewrites_nothing_either(db, rich):
    with db.privileged(reason="test"):
        for statement in ("UPDATE credit_transactions SET amount = 1000", "DELETE FROM credit_transactions"):
            with pytest.raises(PermissionDeniedError):
                db.execute_sql(statement)
        with pytest.raises((PermissionDeniedError, ConstraintError)):
            db.execute_sql("UPDATE credit_balances SET balance = 1000")
    assert figures(rich) == (12, 15, 3)
