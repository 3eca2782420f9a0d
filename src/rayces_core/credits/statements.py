"""The ledger's SQL: an entry is made by a statement that holds only what is given, since each value costs both sides.

Rule it guards: the balance moves and gets its entry in one statement, or neither happens; where an entry must be the
only one, the balance's row is locked first in the same message, so that the statement sees what was committed before.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Final

from rayces_core.database.messages import Message
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType

MOST_CREDITS: Final = 2**31 - 1
SPENDING: Final = (TransactionType.APPOINTMENT_DEBIT, TransactionType.CANCELLATION_REFUND)
# Column of an entry that may be left out → the value it is given.
OPTIONAL: Final = {
    "appointment_id": "appointment",
    "payment_method": "payment_method",
    "payment_reference": "payment_reference",
    "idempotency_key": "key",
    "created_by_id": "by",
    "reason": "reason",
    "metadata": "metadata",
}
TYPES: Final = {
    "tenant": "bigint",
    "user": "bigint",
    "amount": "integer",
    "type": "varchar",
    "appointment": "bigint",
    "payment_method": "varchar",
    "payment_reference": "varchar",
    "key": "varchar",
    "own_key": "varchar",
    "by": "bigint",
    "reason": "varchar",
    "metadata": "jsonb",
    "now": "timestamptz",
}

LOCK: Final = """
SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = %(user)s FOR NO KEY UPDATE"""
LOCK_ALL: Final = """
SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = ANY(%(users)s)
ORDER BY user_id FOR NO KEY UPDATE"""
OPEN: Final = Message(
    """
INSERT INTO credit_balances (organization_id, user_id, created_at, updated_at)
SELECT %(tenant)s, %(user)s, %(now)s, %(now)s ON CONFLICT (organization_id, user_id) DO NOTHING""",
    types=TYPES,
)
OPENED: Final = Message(
    "SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = %(user)s", types=TYPES
)

MOVE: Final = """
    UPDATE credit_balances SET
        balance = balance + %(amount)s, last_sequence = coalesce(last_sequence, 0) + 1, updated_at = %(now)s{figures}
    WHERE organization_id = %(tenant)s AND user_id = %(user)s
      AND balance::bigint + %(amount)s BETWEEN 0 AND 2147483647{conditions}
    RETURNING id, balance, last_sequence"""
# Locked again, since the balance may have been opened after LOCK looked for it.
HOLD: Final = """
    SELECT id FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = %(user)s{conditions}
    FOR NO KEY UPDATE"""
UNLESS_REPEATED: Final = """
      AND NOT EXISTS (SELECT 1 FROM credit_transactions WHERE organization_id = %(tenant)s AND ({repeated}))"""
# Not left to the foreign key, whose refusal would end the caller's transaction.
IF_BOOKED: Final = """
      AND EXISTS (SELECT 1 FROM appointments WHERE organization_id = %(tenant)s AND id = %(appointment)s)"""

# What an entry may be the only one of: the value that must be given for it → the rows that have it already.
ONLY: Final = {
    "key": "idempotency_key = %(key)s",
    "payment_reference": "(payment_method = %(payment_method)s AND payment_reference = %(payment_reference)s)",
    "appointment": "(appointment_id = %(appointment)s AND transaction_type = %(type)s AND status <> 'failed')",
}

COLUMNS: Final = ", ".join(f'"{column.column_name}"' for column in CreditTransaction._meta.sorted_fields)
FIND: Final = Message(
    f"SELECT {COLUMNS} FROM credit_transactions WHERE organization_id = %(tenant)s AND ({' OR '.join(ONLY.values())}) "
    "ORDER BY id LIMIT 1",
    types=TYPES,
)


@lru_cache(maxsize=256)
def messages(kind: TransactionType, status: TransactionStatus, given: Set[str]) -> tuple[Message, Message | None]:
    """The message that makes an entry, and the one that asks for it should the answer be lost."""
    return posting(kind, status, given), made(kind, status, given)


def posting(kind: TransactionType, status: TransactionStatus, given: Set[str]) -> Message:
    """The message that makes an entry with the values `given` beside user, amount and moment.

    It gives id, credit_balance_id, balance_after and sequence of the entry (the last two None unless it is completed),
    the transaction's id, and metadata where that is given; no row where the balance does not allow it or such an entry
    is there.
    """
    only = [condition for value, condition in ONLY.items() if value in given]
    conditions = UNLESS_REPEATED.format(repeated=" OR ".join(only)) if only else ""
    if "appointment" in given:
        conditions += IF_BOOKED
    completed = status is TransactionStatus.COMPLETED
    held = _move(kind, conditions) if completed else HOLD.format(conditions=conditions)
    entry = f"WITH held AS ({held}) {_entry(kind, status, given)}"
    return Message(*([LOCK] if only else []), entry.replace("%(type)s", f"'{kind.value}'"), types=TYPES)


def _move(kind: TransactionType, conditions: str) -> str:
    figure, sign = ("lifetime_used", "-") if kind in SPENDING else ("lifetime_purchased", "+")
    if kind is TransactionType.ADMIN_ADJUSTMENT:
        return MOVE.format(figures="", conditions=conditions)
    within = f"\n      AND {figure}::bigint {sign} %(amount)s <= {MOST_CREDITS}"
    return MOVE.format(figures=f", {figure} = {figure} {sign} %(amount)s", conditions=within + conditions)


def _entry(kind: TransactionType, status: TransactionStatus, given: Set[str]) -> str:
    values = {
        "organization_id": "%(tenant)s",
        "user_id": "%(user)s",
        "credit_balance_id": "id",
        "amount": "%(amount)s",
        "transaction_type": f"'{kind.value}'",
        "status": f"'{status.value}'",
        "created_at": "%(now)s",
        "updated_at": "%(now)s",
        **{column: f"%({value})s" for column, value in OPTIONAL.items() if value in given},
        **({"idempotency_key": "%(own_key)s"} if "own_key" in given else {}),
    }
    if status is TransactionStatus.COMPLETED:
        values |= {
            "processed_at": "%(now)s",
            "balance_before": "balance - %(amount)s",
            "balance_after": "balance",
            "sequence": "last_sequence",
            "previous_sequence": "nullif(last_sequence - 1, 0)",
        }
    made = f"id, credit_balance_id, balance_after, sequence, pg_current_xact_id(){_metadata(given)}"
    return (
        f"INSERT INTO credit_transactions ({', '.join(values)}) SELECT {', '.join(values.values())} FROM held "
        f"RETURNING {made}"
    )


def _metadata(given: Set[str]) -> str:
    return ", metadata" if "metadata" in given else ""


def made(kind: TransactionType, status: TransactionStatus, given: Set[str]) -> Message | None:
    """Asks for the entry that `posting` has made, as that gives it; None for one that nothing tells from others."""
    if "own_key" in given:
        named = "idempotency_key = %(own_key)s"
    elif "key" in given or "payment_reference" in given:
        # The moment tells it from an earlier entry that this one would have repeated.
        named = f"{ONLY['key' if 'key' in given else 'payment_reference']} AND created_at = %(now)s"
    else:
        return None
    counts = " AND status = 'completed'" if status is TransactionStatus.COMPLETED else ""
    return Message(
        f"SELECT id, credit_balance_id, balance_after, sequence, NULL{_metadata(given)} FROM credit_transactions "
        f"WHERE organization_id = %(tenant)s AND {named} AND user_id = %(user)s AND amount = %(amount)s "
        f"AND transaction_type = '{kind.value}' AND appointment_id IS NOT DISTINCT FROM %(appointment)s "
        f"AND reason IS NOT DISTINCT FROM %(reason)s{counts}",
        types=TYPES,
    )
