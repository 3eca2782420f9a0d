"""How a pending entry comes to count, as parts of the statement of its event."""

from __future__ import annotations

from typing import Any, Final

from peewee import SQL

from rayces_core.errors import BalanceTooLargeError, CheckFailedError
from rayces_core.state_machine import DatabaseGuard

# The balance moves with the entry, once: who finds the entry pending has both locked until both are written. The entry
# is written before its balance, as it is posted; "back" is what can still be given back of the appointment's debit, as
# each refund leaves less.
HELD: Final = """held AS (
    SELECT mine.id AS balance_id, mine.balance AS before, mine.last_sequence, entry.amount,
           CASE WHEN entry.transaction_type = 'purchase' THEN entry.amount ELSE 0 END AS bought,
           CASE WHEN entry.transaction_type IN ('appointment_debit', 'cancellation_refund')
                THEN -entry.amount ELSE 0 END AS used,
           greatest(mine.updated_at, CASE WHEN %(is_set)s THEN %(now)s ELSE clock_timestamp() END) AS moment,
           CASE WHEN entry.transaction_type = 'cancellation_refund' THEN (
               SELECT min(other.refundable_after) FROM credit_transactions AS other
                WHERE other.organization_id = %(organization_id)s
                  AND other.credit_balance_id = entry.credit_balance_id AND other.appointment_id = entry.appointment_id
           ) END AS back,
           CASE WHEN entry.transaction_type = 'appointment_debit' AND entry.appointment_id IS NOT NULL
                THEN 0 END AS nothing_back
      FROM credit_transactions AS entry
      JOIN credit_balances AS mine ON mine.organization_id = %(organization_id)s AND mine.id = entry.credit_balance_id
     WHERE entry.organization_id = %(organization_id)s AND entry.id = %(id)s AND entry.status = 'pending'
       AND mine.balance::bigint + entry.amount >= mine.reserved
       AND greatest(mine.balance, CASE WHEN entry.transaction_type = 'purchase' THEN mine.lifetime_purchased
               END)::bigint + entry.amount <= 2147483647
       FOR NO KEY UPDATE OF mine, entry
)"""
SETTLE: Final = """settled AS (
    UPDATE credit_balances AS mine SET
        balance = held.before + held.amount,
        lifetime_purchased = mine.lifetime_purchased + held.bought,
        lifetime_used = mine.lifetime_used + held.used,
        last_sequence = coalesce(held.last_sequence, 0) + 1,
        updated_at = held.moment
    FROM held, moved WHERE mine.organization_id = %(organization_id)s AND mine.id = held.balance_id
)"""
# Asked first: who loses the race would else meet the CHECK on balance_after before it sees that the row has moved.
IS_SETTLED: Final = DatabaseGuard(
    "the balance can hold it",
    # The balance first, as every other posting does: two that have each other's row would wait for ever.
    locks=(
        """SELECT 1 FROM credit_balances WHERE organization_id = %(organization_id)s AND id = (
        SELECT credit_balance_id FROM credit_transactions WHERE organization_id = %(organization_id)s AND id = %(id)s
    ) FOR NO KEY UPDATE""",
    ),
    sql="EXISTS (SELECT 1 FROM held)",
    refusal=lambda entry, _: _refusal(entry),
)
SETTLED: Final = {
    "balance_before": SQL("(SELECT before FROM held)"),
    "balance_after": SQL("(SELECT before + amount FROM held)"),
    "sequence": SQL("(SELECT coalesce(last_sequence, 0) + 1 FROM held)"),
    "previous_sequence": SQL("(SELECT last_sequence FROM held)"),
    "processed_at": SQL("(SELECT moment FROM held)"),
    "refundable_before": SQL("(SELECT back FROM held)"),
    "refundable_after": SQL("(SELECT coalesce(back, nothing_back) - amount FROM held)"),
}


def _refusal(entry: Any) -> Exception:
    if entry.amount > 0:
        return BalanceTooLargeError(entry.amount, None)
    sentence, rule = "a credit balance never goes below zero", "credit_balances_balance_check"
    return CheckFailedError(sentence, constraint=rule, table="credit_balances", fields=("balance",))
