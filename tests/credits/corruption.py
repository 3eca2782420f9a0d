"""Corruptions of a small ledger, each written past every rule, and what verification has to say of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from rayces_core import CreditBalance, credits
from tests.credits.ledger import early, entries, held_appointment
from tests.factory import make_user
from tests.nodes import past_rules

ENTRY = """
INSERT INTO credit_transactions (
    organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type, status, processed_at,
    balance_before, balance_after, sequence, previous_sequence, refundable_after
) SELECT organization_id, {user}, credit_balance_id, appointment_id, {amount}, transaction_type, 'completed', now(),
         {before}, {before} + {amount}, {place}, {place} - 1, refundable_after
  FROM credit_transactions WHERE id = {like}"""


def make_ledger() -> SimpleNamespace:
    """A balance that went 10, 7, 10, 8 by a purchase, a debit, its refund and another debit, and two others."""
    ana, bruno = make_user(), make_user()
    credits.purchase(ana, 10)
    refunded, kept = held_appointment(ana, 3), held_appointment(ana, 2)
    refunded.confirm(now=early(refunded))
    refunded.cancel(reason="ill", now=early(refunded))
    kept.confirm(now=early(kept))
    credits.purchase(bruno, 6)
    credits.purchase(bruno, 99, pending=True)
    credits.fail(credits.purchase(bruno, 98, pending=True), "no funds")
    bought, debit, refund, last = entries(ana)
    balance, other = (CreditBalance.get(CreditBalance.user == user) for user in (ana, bruno))
    return SimpleNamespace(
        organization=balance.organization_id,
        ana=ana.id,
        bruno=bruno.id,
        balance=balance.id,
        other=other.id,
        refunded=refunded.id,
        kept=kept.id,
        bought=bought.id,
        debit=debit.id,
        refund=refund.id,
        last=last.id,
    )


@dataclass(frozen=True)
class Corruption:
    """What is done, and each finding: kind, name of the id it is about, expected, found."""

    name: str
    sql: str
    findings: tuple[tuple[str, str, str | None, str | None], ...]


# A lot of ana's purchase, and what its entries are said to have moved.
LOT = """
INSERT INTO credit_lots (organization_id, credit_balance_id, credit_transaction_id, credits, remaining, expires_at)
SELECT organization_id, credit_balance_id, id, {credits}, {remaining}, now()
  FROM credit_transactions WHERE id = {{bought}};
INSERT INTO credit_lot_movements (organization_id, credit_lot_id, credit_transaction_id, amount)
SELECT lot.organization_id, lot.id, moved.entry, moved.amount FROM credit_lots AS lot,
       (VALUES ({{bought}}, {credits}), ({by}, {amount})) AS moved (entry, amount)
 WHERE lot.credit_transaction_id = {{bought}};
UPDATE credit_balances SET in_lots = {remaining} WHERE id = {{balance}}"""
SOLD = "UPDATE credit_transactions SET credit_package_id = 1, package_name = 'Ten', valid_days = 3 WHERE id = {bought}"
NO_CHECK_OF_TAKING_BACK = (
    "ALTER TABLE credit_transactions DROP CONSTRAINT IF EXISTS credit_transactions_takes_back_sequence_check"
)
BALANCE = "UPDATE credit_balances SET {} WHERE id = {{balance}}"
CORRUPTIONS = [
    Corruption("balance", BALANCE.format("balance = 1000"), (("balance", "balance", "8", "1000"),)),
    Corruption(
        "lifetime_purchased", BALANCE.format("lifetime_purchased = 9"), (("lifetime_purchased", "balance", "10", "9"),)
    ),
    Corruption("lifetime_used", BALANCE.format("lifetime_used = 5"), (("lifetime_used", "balance", "2", "5"),)),
    Corruption("in_lots", BALANCE.format("in_lots = 3"), (("in_lots", "balance", "0", "3"),)),
    Corruption("reserved", BALANCE.format("reserved = 3"), (("reserved", "balance", "0", "3"),)),
    Corruption(
        "reserved_of_nothing",
        "UPDATE appointments SET state = 'pre_confirmed', confirmed_at = NULL, reserved_credits = 2, "
        "credit_kind_id = 99 WHERE id = {kept}",
        (("reserved_of_nothing", "kept", "0", "2"),),
    ),
    Corruption(
        "lot_remaining",
        LOT.format(credits=10, remaining=8, by="{debit}", amount=-3),
        (("lot_remaining", "bought", "7", "8"),),
    ),
    Corruption(
        "lot_credits",
        LOT.format(credits=11, remaining=8, by="{debit}", amount=-3),
        (("lot_credits", "bought", "10", "11"),),
    ),
    Corruption("lot_missing", SOLD, (("lot_missing", "bought", "10", "0"),)),
    Corruption(
        "lot_elsewhere",
        LOT.format(
            credits=10,
            remaining=8,
            by="(SELECT min(id) FROM credit_transactions WHERE credit_balance_id = {other})",
            amount=-2,
        ),
        (("lot_elsewhere", "bought", "0", "1"),),
    ),
    Corruption(
        "a purchase that is taken back from elsewhere than its lot",
        LOT.format(credits=10, remaining=8, by="{debit}", amount=-2) + f"; {NO_CHECK_OF_TAKING_BACK}; "
        "UPDATE credit_transactions SET takes_back_balance_id = {balance}, takes_back_sequence = 1 WHERE id = {last}",
        (("lot_passed_over", "last", "2", "0"),),
    ),
    Corruption(
        "more taken back than was bought",
        f"{NO_CHECK_OF_TAKING_BACK}; UPDATE credit_transactions "
        "SET takes_back_balance_id = {balance}, takes_back_sequence = 3 WHERE id = {last}",
        (("taken_back", "refund", "0", "2"),),
    ),
    Corruption("last_sequence", BALANCE.format("last_sequence = 3"), (("last_sequence", "balance", "4", "3"),)),
    Corruption(
        "last_sequence of a balance without entries",
        "UPDATE credit_balances SET last_sequence = 1, balance = 5 WHERE id = {balance}; "
        "DELETE FROM credit_transactions WHERE credit_balance_id = {balance}; "
        "UPDATE appointments SET credits_used = 0 WHERE id = {kept}; "
        "UPDATE credit_balances SET lifetime_purchased = 0, lifetime_used = 0 WHERE id = {balance}",
        (("balance", "balance", "0", "5"), ("last_sequence", "balance", None, "1")),
    ),
    Corruption(
        "balance_before and balance_after",
        "UPDATE credit_transactions SET balance_before = 100, balance_after = 98 WHERE id = {last}",
        (("balance_before", "last", "10", "100"), ("balance_after", "last", "8", "98")),
    ),
    Corruption(
        "balance_before",
        "ALTER TABLE credit_transactions DROP CONSTRAINT IF EXISTS credit_transactions_balance_before_check; "
        "UPDATE credit_transactions SET balance_before = 100 WHERE id = {last}",
        (("balance_before", "last", "10", "100"),),
    ),
    Corruption(
        "balance_after of one in the middle",
        "UPDATE credit_transactions SET balance_before = 9, balance_after = 6 WHERE id = {debit}",
        (
            ("balance_before", "debit", "10", "9"),
            ("balance_after", "debit", "7", "6"),
            ("balance_before", "refund", "6", "7"),
            ("balance_after", "refund", "9", "10"),
        ),
    ),
    Corruption(
        "an entry is missing",
        "DELETE FROM credit_transactions WHERE id = {bought}",
        (
            ("balance", "balance", "-2", "8"),
            ("lifetime_purchased", "balance", "0", "10"),
            ("balance_before", "debit", "0", "10"),
            ("balance_after", "debit", "-3", "7"),
            ("sequence", "debit", "1", "2"),
            ("sequence", "refund", "2", "3"),
            ("sequence", "last", "3", "4"),
        ),
    ),
    Corruption(
        "a gap in the sequence",
        "UPDATE credit_transactions SET sequence = 6, previous_sequence = 5 WHERE id = {last}",
        (("last_sequence", "balance", "6", "4"), ("sequence", "last", "4", "6")),
    ),
    Corruption(
        "owner",
        "UPDATE credit_transactions SET user_id = {bruno} WHERE id = {bought}",
        (("owner", "bought", None, None),),
    ),
    Corruption(
        "debit missing",
        "UPDATE appointments SET credits_used = 4 WHERE id = {kept}",
        (("debit_missing", "kept", "4", "2"),),
    ),
    Corruption(
        "debit of another appointment",
        "UPDATE credit_transactions SET appointment_id = NULL, refundable_after = NULL WHERE id = {last}",
        (("debit_missing", "kept", "2", "0"),),
    ),
    Corruption(
        "debited twice",
        "DROP INDEX IF EXISTS index_credit_transactions_on_live_debit; "
        "ALTER TABLE credit_transactions DROP CONSTRAINT IF EXISTS credit_transactions_refundable_before_fkey; "
        "DROP INDEX IF EXISTS credit_transactions_refundable_key; "
        + ENTRY.format(user="{ana}", amount=-2, before=8, place=5, like="{last}")
        + "; UPDATE credit_balances SET balance = 6, last_sequence = 5, lifetime_used = 4 WHERE id = {balance}; "
        "UPDATE appointments SET credits_used = 4 WHERE id = {kept}",
        (("debited_twice", "kept", "1", "2"),),
    ),
    Corruption(
        "what is left to give back",
        "UPDATE credit_transactions SET refundable_before = 4, refundable_after = 1 WHERE id = {refund}",
        (("refundable_after", "refund", "0", "1"),),
    ),
    Corruption(
        "a hold that ended with what was paid for it",
        "UPDATE appointments SET state = 'cancelled', cancelled_at = now(), cancellation_reason = 'expired' "
        "WHERE id = {kept}",
        (("not_given_back", "kept", "2", "0"),),
    ),
    Corruption(
        "a moment before the one before",
        "UPDATE credit_transactions SET processed_at = '2020-01-01 00:00+00' WHERE id IN ({bought}, {last}); "
        "UPDATE credit_transactions SET processed_at = '2020-01-02 00:00+00' WHERE id = {debit}; "
        "UPDATE credit_transactions SET processed_at = '2020-01-03 00:00+00' WHERE id = {refund}",
        (("processed_at", "last", "2020-01-03 00:00:00+00", "2020-01-01 00:00:00+00"),),
    ),
    Corruption(
        "a second try of a payment without a first",
        "UPDATE credit_transactions SET payment_method = 'mp', payment_reference = '1', payment_attempt = 2 "
        "WHERE id = {bought}",
        (("payment_attempt", "bought", "1", "2"),),
    ),
    Corruption(
        "refund too large",
        "UPDATE credit_transactions SET amount = 5, balance_after = 12, refundable_before = 5 WHERE id = {refund}; "
        "UPDATE credit_transactions SET balance_before = 12, balance_after = 10 WHERE id = {last}; "
        "UPDATE credit_balances SET balance = 10, lifetime_used = 0 WHERE id = {balance}",
        (("refund_too_large", "refunded", "3", "5"), ("refundable_after", "refund", "-2", "0")),
    ),
    Corruption(
        "refund to another",
        "UPDATE credit_transactions SET user_id = {bruno}, credit_balance_id = {other}, sequence = 2, "
        "previous_sequence = 1, balance_before = 6, balance_after = 9, processed_at = now() WHERE id = {refund}; "
        "UPDATE credit_transactions SET sequence = 3, previous_sequence = 2, balance_before = 7, balance_after = 5 "
        "WHERE id = {last}; "
        "UPDATE credit_balances SET balance = 5, last_sequence = 3, lifetime_used = 5 WHERE id = {balance}; "
        "ALTER TABLE credit_balances DROP CONSTRAINT IF EXISTS credit_balances_lifetime_used_check; "
        "UPDATE credit_balances SET balance = 9, last_sequence = 2, lifetime_used = -3 WHERE id = {other}",
        (("refund_to_another", "refunded", "1", "2"),),
    ),
]


def corrupt(url: str, sql: str, ledger: SimpleNamespace) -> None:
    """Write past grants, policies and foreign keys."""
    with past_rules(url) as cursor:
        cursor.execute(sql.format(**vars(ledger)))


def expected(corruption: Corruption, ledger: SimpleNamespace) -> set[tuple[Any, ...]]:
    """The findings, as facts() gives them."""
    found = set()
    for kind, about, wanted, there in corruption.findings:
        if kind == "owner":
            wanted, there = str(ledger.ana), str(ledger.bruno)
        entry = getattr(ledger, about) if about in ("bought", "debit", "refund", "last") else None
        appointment = getattr(ledger, about) if about in ("kept", "refunded") else None
        if kind == "refundable_after":
            appointment = ledger.refunded
        balance = ledger.balance if appointment is None else None
        found.add((kind, ledger.organization, balance, entry, appointment, wanted, there))
    return found


def facts(report: credits.Verification) -> set[tuple[Any, ...]]:
    return {
        (
            each.kind,
            each.organization_id,
            each.balance_id,
            each.entry_id,
            each.appointment_id,
            each.expected,
            each.found,
        )
        for each in report.discrepancies
    }
