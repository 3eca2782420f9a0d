"""What was paid for credits is kept with the purchase, and stays as it was written."""

import pytest

from rayces_core import (
    CheckFailedError,
    CreditTransaction,
    IdempotencyConflictError,
    InvalidDataError,
    Organization,
    PermissionDeniedError,
    credits,
)
from rayces_core.database.binding import current
from tests.credits.ledger import entries, nothing_written
from tests.walking import walked


def paid(entry):
    row = CreditTransaction.get_by_id(entry.id)
    return row.amount_cents, row.currency


@walked(
    "given, expected",
    [
        ({}, (None, None)),
        ({"amount_cents": 0}, (0, "ARS")),
        ({"amount_cents": 5_000_000_000}, (5_000_000_000, "ARS")),
        ({"amount_cents": 900, "currency": "EUR"}, (900, "EUR")),
    ],
)
@walked("pending", [False, True])
def test_a_purchase_keeps_what_was_paid(ana, desk, given, expected, pending):
    entry = credits.purchase(ana, 4, pending=pending, **given)
    assert (entry.amount_cents, entry.currency) == paid(entry) == expected
    if pending:
        credits.complete(entry, by=desk)
        assert paid(entry) == expected


def test_the_currency_is_the_organizations_unless_one_is_given(bound, ana):
    Organization.update(currency="CLP").execute()
    assert paid(credits.purchase(ana, 1, amount_cents=1)) == (1, "CLP")
    (row,) = credits.purchase_many([{"user": ana, "credits": 1, "amount_cents": 2}])
    assert paid(CreditTransaction.get_by_id(row.transaction_id)) == (2, "CLP")


def test_many_purchases_keep_theirs(ana):
    rows = credits.purchase_many(
        [
            {"user": ana, "credits": 1},
            {"user": ana, "credits": 2, "amount_cents": 200},
            {"user": ana, "credits": 3, "amount_cents": 300, "currency": "USD"},
        ]
    )
    assert [paid(entry) for entry in entries(ana)] == [(None, None), (200, "ARS"), (300, "USD")]
    assert [row.outcome for row in rows] == ["posted"] * 3
    assert credits.verify().is_clean


@walked("other", [{"amount_cents": 901}, {"amount_cents": 900, "currency": "USD"}, {}])
def test_the_same_request_with_another_amount_is_another_request(ana, other):
    asked = {"user": ana, "credits": 1, "idempotency_key": "k", "amount_cents": 900}
    first = credits.purchase(**asked)
    assert credits.purchase(**asked).id == first.id
    assert credits.purchase_many([asked])[0].outcome == "repeated"
    changed = {name: value for name, value in asked.items() if name != "amount_cents"} | other
    with nothing_written():
        with pytest.raises(IdempotencyConflictError):
            credits.purchase(**changed)
        with pytest.raises(IdempotencyConflictError):
            credits.purchase_many([changed])


@walked(
    "given",
    [
        {"amount_cents": -1},
        {"amount_cents": 1.5},
        {"amount_cents": "1"},
        {"amount_cents": True},
        {"amount_cents": 10**16},
        {"amount_cents": 1, "currency": "pesos"},
        {"currency": "ARS"},
    ],
)
def test_a_malformed_amount_is_refused_before_any_sql(ana, given):
    with nothing_written():
        with pytest.raises(InvalidDataError):
            credits.purchase(ana, 1, **given)
        with pytest.raises(InvalidDataError):
            credits.purchase_many([{"user": ana, "credits": 1, **given}])


def test_a_debit_has_no_amount_of_money(ana):
    credits.purchase(ana, 1)
    with pytest.raises(InvalidDataError, match="amount_cents"):
        credits.debit_many([{"user": ana, "credits": 1, "amount_cents": 5}])
    with pytest.raises(CheckFailedError):
        CreditTransaction.create(
            user=ana,
            credit_balance=entries(ana)[0].credit_balance_id,
            amount=-1,
            transaction_type="appointment_debit",
            amount_cents=5,
            currency="ARS",
        )


@walked("pending", [False, True])
def test_nobody_changes_what_was_paid(ana, pending):
    entry = credits.purchase(ana, 1, amount_cents=900, pending=pending)
    for column, value in (("amount_cents", 1), ("currency", "'USD'")):
        with pytest.raises(PermissionDeniedError):
            current().engine.execute_sql(f"UPDATE credit_transactions SET {column} = {value} WHERE id = {entry.id}")
    assert paid(entry) == (900, "ARS")
