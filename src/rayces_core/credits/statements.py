"""The ledger's SQL: an entry is made by a statement that holds only what is given, since each value costs both sides.

Rule it guards: the balance moves and gets its entry in one statement, or neither happens; where an entry must be the
only one, the balance's row is locked first in the same message, so that the statement sees what was committed before.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Final

from rayces_core.credits import lot_statements as lots
from rayces_core.database.messages import Message
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.state_machine.telling import columns_of, told

MOST_CREDITS: Final = 2**31 - 1
SPENDING: Final = (TransactionType.APPOINTMENT_DEBIT, TransactionType.CANCELLATION_REFUND)
# Who is given credits must be somebody: what is given says that the user was not forgotten.
KNOWN: Final = "known"
# Column of an entry that may be left out → the value it is given.
OPTIONAL: Final = {
    "appointment_id": "appointment",
    "payment_method": "payment_method",
    "payment_reference": "payment_reference",
    "amount_cents": "amount_cents",
    "currency": "currency",
    "credit_package_id": "package",
    "package_name": "package_name",
    "valid_days": "valid_days",
    "valid_until": "valid_until",
    "takes_back_balance_id": "takes_back_balance",
    "takes_back_sequence": "takes_back_sequence",
    "idempotency_key": "key",
    "created_by_id": "by",
    "reason": "reason",
    "metadata": "metadata",
}
TYPES: Final = {
    "tenant": "bigint",
    "user": "bigint",
    "credit_kind": "bigint",
    "package": "bigint",
    "package_name": "varchar",
    "valid_days": "integer",
    "valid_until": "date",
    "takes_back": "bigint",
    "takes_back_balance": "bigint",
    "takes_back_sequence": "integer",
    "lot": "bigint",
    "amount": "integer",
    "type": "varchar",
    "appointment": "bigint",
    "payment_method": "varchar",
    "payment_reference": "varchar",
    "amount_cents": "bigint",
    "currency": "varchar",
    "key": "varchar",
    "own_key": "varchar",
    "sent_at": "timestamptz",
    "set": "timestamptz",
    "by": "bigint",
    "reason": "varchar",
    "metadata": "jsonb",
    "now": "timestamptz",
}

# The default kind is 0.
OWN: Final = "organization_id = %(tenant)s AND user_id = %(user)s AND credit_kind_key = %(credit_kind)s"
LOCK: Final = f"""
SELECT 1 FROM credit_balances WHERE {OWN} FOR NO KEY UPDATE"""
# An erasure comes before, and is seen, or waits.
LOCK_USER: Final = """
SELECT 1 FROM users WHERE organization_id = %(tenant)s AND id = %(user)s FOR KEY SHARE"""
LOCK_USERS: Final = """
SELECT id, erased_at FROM users WHERE organization_id = %(tenant)s AND id = ANY(%(users)s) ORDER BY id FOR KEY SHARE"""
IF_KNOWN: Final = """
      AND EXISTS (SELECT 1 FROM users WHERE organization_id = %(tenant)s AND id = %(user)s AND erased_at IS NULL)"""
# Of every kind.
LOCK_ALL: Final = """
SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = ANY(%(users)s)
ORDER BY user_id, credit_kind_key FOR NO KEY UPDATE"""
PAID: Final = """
SELECT appointment_id, user_id FROM credit_transactions
 WHERE organization_id = %(tenant)s AND appointment_id = ANY(%(appointments)s::bigint[])
   AND transaction_type = 'appointment_debit' AND status = 'completed'"""
# Its moment is the server's, as those of its entries, unless the program has set the clock.
OPEN: Final = Message(
    """
INSERT INTO credit_balances (organization_id, user_id, credit_kind_id, created_at, updated_at)
SELECT %(tenant)s, %(user)s, nullif(%(credit_kind)s, 0), coalesce(%(set)s, now()), coalesce(%(set)s, now())
ON CONFLICT (organization_id, user_id, credit_kind_key) DO NOTHING""",
    types=TYPES,
)
OPENED: Final = Message(f"SELECT 1 FROM credit_balances WHERE {OWN}", types=TYPES)

# The balance as its last entry left it. The new entry is written first and the balance moves to it: so the keys between
# the two hold after each part, also where a server runs the parts one by one.
TAKE: Final = f"""
    SELECT id, credit_kind_id, balance, last_sequence, greatest(updated_at, {{moment}}) AS updated_at
    FROM credit_balances WHERE {OWN}
      AND balance::bigint + %(amount)s BETWEEN reserved{{own}} AND 2147483647{{conditions}} FOR NO KEY UPDATE"""
MOVE: Final = """, moved AS (
    UPDATE credit_balances AS mine SET balance = entry.balance_after, last_sequence = entry.sequence,
        updated_at = entry.created_at{figures}
      FROM entry WHERE mine.organization_id = %(tenant)s AND mine.id = entry.credit_balance_id
)"""
# What an appointment that its own client pays for by hand has reserved. It is locked before the balance, as everywhere.
LOCK_HOLD: Final = """
SELECT 1 FROM appointments WHERE organization_id = %(tenant)s AND id = %(appointment)s FOR NO KEY UPDATE"""
LOCK_HOLDS: Final = """
SELECT id FROM appointments
 WHERE organization_id = %(tenant)s AND id = ANY(%(appointments)s::bigint[]) AND reserved_credits > 0
 ORDER BY id FOR NO KEY UPDATE"""
HOLDING: Final = """hold AS MATERIALIZED (
    SELECT id, reserved_credits FROM appointments
     WHERE organization_id = %(tenant)s AND id = %(appointment)s AND client_id = %(user)s
       AND coalesce(credit_kind_id, 0) = %(credit_kind)s
), """
FREED: Final = """, freed AS (
    UPDATE appointments AS booked SET reserved_credits = 0 FROM hold, entry
     WHERE booked.organization_id = %(tenant)s AND booked.id = hold.id AND booked.reserved_credits > 0
)"""
# Locked again, since the balance may have been opened after LOCK looked for it.
HOLD: Final = f"""
    SELECT id, credit_kind_id, {{moment}} AS updated_at FROM credit_balances
    WHERE {OWN}{{conditions}} FOR NO KEY UPDATE"""
UNLESS_REPEATED: Final = """
      AND NOT EXISTS (SELECT 1 FROM credit_transactions WHERE organization_id = %(tenant)s AND ({repeated}))"""
# Not left to the foreign key, whose refusal would end the caller's transaction.
IF_BOOKED: Final = """
      AND EXISTS (SELECT 1 FROM appointments WHERE organization_id = %(tenant)s AND id = %(appointment)s)"""

# What can still be given back of an appointment's debit, by the balance that paid: each refund leaves less.
LEFT: Final = """SELECT min(refundable_after) AS back FROM credit_transactions
    WHERE organization_id = %(tenant)s AND credit_balance_id = {balance} AND appointment_id = %(appointment)s"""
# The same for every balance, as Citus takes no LATERAL that adds up.
LEFT_BY_BALANCE: Final = """SELECT credit_balance_id, min(refundable_after) AS back FROM credit_transactions
    WHERE organization_id = %(tenant)s AND appointment_id = %(appointment)s
    GROUP BY organization_id, credit_balance_id"""
IF_LEFT: Final = f"""
      AND ({LEFT.format(balance="credit_balances.id")}) >= %(amount)s"""
# Which entry of a payment it is, as those before have failed.
TRIES: Final = """SELECT coalesce(max(payment_attempt), 0) + 1 AS attempt FROM credit_transactions
    WHERE organization_id = %(tenant)s AND payment_method = %(payment_method)s
      AND payment_reference = %(payment_reference)s"""

# What an entry may be the only one of: the value that must be given for it → the rows that have it already.
ONLY: Final = {
    "key": "idempotency_key = %(key)s",
    "payment_reference": "(payment_method = %(payment_method)s AND payment_reference = %(payment_reference)s "
    "AND status <> 'failed')",
    "appointment": "(appointment_id = %(appointment)s AND transaction_type = %(type)s "
    "AND transaction_type = 'appointment_debit' AND status <> 'failed')",
}

REFUNDED: Final = ("appointment",)  # an appointment may have several refunds

COLUMNS: Final = ", ".join(f'"{column.column_name}"' for column in CreditTransaction._meta.sorted_fields)
FIND: Final = Message(
    f"SELECT {COLUMNS} FROM credit_transactions WHERE organization_id = %(tenant)s AND ({' OR '.join(ONLY.values())}) "
    "ORDER BY created_at, id LIMIT 1",
    types=TYPES,
)


@lru_cache(maxsize=256)
def messages(
    kind: TransactionType, status: TransactionStatus, given: Set[str], tells: bool = False
) -> tuple[Message, Message | None]:
    """The message that makes an entry, and the one that asks for it should the answer be lost."""
    return posting(kind, status, given, tells), made(kind, status, given)


def posting(kind: TransactionType, status: TransactionStatus, given: Set[str], tells: bool = False) -> Message:
    """The message that makes an entry with the values `given` beside user and amount; with "now" at that moment.

    It gives what `_given` names, then what `more` does; no row where the balance does not allow it or there is such a
    one; with `tells` it is told outside. The moment is created_at, balance_after and sequence are None unless the entry
    is completed.
    """
    moment = "%(now)s" if "now" in given else "clock_timestamp()"
    is_refund = kind is TransactionType.CANCELLATION_REFUND
    only = [condition for value, condition in ONLY.items() if value in given and not (is_refund and value in REFUNDED)]
    conditions = UNLESS_REPEATED.format(repeated=" OR ".join(only)) if only else ""
    is_of_lots = lots.moves(given)
    if KNOWN in given:
        conditions += IF_KNOWN
    if "appointment" in given:
        conditions += IF_LEFT if is_refund else IF_BOOKED
    if status is TransactionStatus.COMPLETED:
        conditions += _within(kind) + lots.conditions(given)
        held = TAKE.format(conditions=conditions, moment=lots.PRESENT if is_of_lots else moment, own=lots.own(given))
    else:
        held = HOLD.format(conditions=conditions, moment=moment)
    present = f"present AS MATERIALIZED (SELECT {moment} AS at), " if is_of_lots else ""
    holding = HOLDING if lots.FREES in given else ""
    entry = f"WITH {present}{holding}held AS ({held})" + _entry(kind, status, given, tells)
    # What takes from a balance without lots looks at its row alone; what adds may meet one whose lots are being moved.
    adds = status is TransactionStatus.COMPLETED and lots.TAKES not in given
    locks = [LOCK] if only or is_of_lots or adds else []
    if lots.FREES in given:
        locks = [LOCK_HOLD, *locks]
    if KNOWN in given:
        locks = [LOCK_USER, *locks]
    return Message(*locks, entry.replace("%(type)s", f"'{kind.value}'"), types=TYPES)


def more(kind: TransactionType, given: Set[str]) -> tuple[str, ...]:
    """What the message of such an entry gives besides."""
    return (
        *(("payment_attempt",) if "payment_reference" in given else ()),
        *(("refundable_before", "refundable_after") if _is_of_appointment(kind, given) else ()),
        *(("metadata",) if "metadata" in given else ()),
    )


def _is_of_appointment(kind: TransactionType, given: Set[str]) -> bool:
    return "appointment" in given and kind in SPENDING


def _figure(kind: TransactionType) -> tuple[str, str] | None:
    """Which figure of a balance such an entry counts in, and how."""
    if kind in (TransactionType.ADMIN_ADJUSTMENT, TransactionType.EXPIRY):
        return None
    return ("lifetime_used", "-") if kind in SPENDING else ("lifetime_purchased", "+")


def _within(kind: TransactionType) -> str:
    counted = _figure(kind)
    return f"\n      AND {counted[0]}::bigint {counted[1]} %(amount)s <= {MOST_CREDITS}" if counted else ""


def _moved(kind: TransactionType, given: Set[str]) -> str:
    counted = _figure(kind)
    figures = f", {counted[0]} = mine.{counted[0]} {counted[1]} %(amount)s" if counted else ""
    figures += f", reserved = mine.reserved{lots.own(given)}" if lots.FREES in given else ""
    if not lots.moves(given):
        return MOVE.format(figures=figures)
    return lots.moved(given) + MOVE.format(figures=figures + lots.FIGURE)


def _entry(kind: TransactionType, status: TransactionStatus, given: Set[str], tells: bool) -> str:
    values = {
        "organization_id": "%(tenant)s",
        "user_id": "%(user)s",
        "credit_balance_id": "held.id",
        "credit_kind_id": "credit_kind_id",
        "amount": "%(amount)s",
        "transaction_type": f"'{kind.value}'",
        "status": f"'{status.value}'",
        "created_at": "updated_at",
        "updated_at": "updated_at",
        **{column: f"%({value})s" for column, value in OPTIONAL.items() if value in given},
        **({"idempotency_key": "%(own_key)s"} if "own_key" in given else {}),
    }
    if status is TransactionStatus.COMPLETED:
        values |= {
            "processed_at": "updated_at",
            "balance_before": "balance",
            "balance_after": "balance + %(amount)s",
            "sequence": "coalesce(last_sequence, 0) + 1",
            "previous_sequence": "last_sequence",
        }
    source = "held"
    if "payment_reference" in given:
        source, values["payment_attempt"] = f"{source}, ({TRIES}) AS tries", "attempt"
    if "appointment" in given and kind is TransactionType.APPOINTMENT_DEBIT:
        values["refundable_after"] = "-%(amount)s"
    elif _is_of_appointment(kind, given):
        source = f"{source}, ({LEFT_BY_BALANCE}) AS left_over WHERE left_over.credit_balance_id = held.id"
        values |= {"refundable_before": "back", "refundable_after": "back - %(amount)s"}
    insert = f"INSERT INTO credit_transactions ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source}"
    wanted = _given(kind, given, "pg_current_xact_id()")
    completed = status is TransactionStatus.COMPLETED
    if not tells and not completed:
        return f" {insert} RETURNING {wanted}"
    moved = _moved(kind, given) if completed else ""
    moved += FREED if lots.FREES in given else ""
    actor = "%(by)s::bigint" if "by" in given else "NULL::bigint"
    told = told_of("entry", actor, '"reason"') if tells else ""
    return f", entry AS ({insert} RETURNING *){moved}{told} SELECT {wanted} FROM entry"


def told_of(source: str, actor: str, reason: str) -> str:
    """The part of a statement that tells outside of the entries in `source`, which has every column of theirs."""
    facts = {
        "from_state": "NULL",
        "to_state": '"status"',
        "actor_id": actor,
        "reason": reason,
        "occurred_at": '"created_at"',
    }
    return told(
        "CreditTransaction",
        "post",
        facts,
        columns_of(CreditTransaction, CreditTransaction.lifecycle.tells or ()),
        source=source,
        organization="%(tenant)s",
        at='"created_at"',
        order=' ORDER BY "id"',
    )


def _given(kind: TransactionType, given: Set[str], transaction_id: str) -> str:
    always = ("id", "credit_balance_id", "balance_after", "sequence", "created_at", transaction_id)
    return ", ".join((*always, *more(kind, given)))


def made(kind: TransactionType, status: TransactionStatus, given: Set[str]) -> Message | None:
    """Asks for the entry that `posting` has made, as that gives it; None for one that nothing tells from others."""
    if "own_key" in given:
        named = "idempotency_key = %(own_key)s"
    elif "key" in given or "payment_reference" in given:
        # The moment tells it from an earlier entry that this one would have repeated; also by a clock that is held, as
        # no entry comes before its predecessor, it may be a later one than was asked for.
        since = "now" if "now" in given else "sent_at"
        named = f"{ONLY['key' if 'key' in given else 'payment_reference']} AND created_at >= %({since})s"
    else:
        return None
    counts = " AND status = 'completed'" if status is TransactionStatus.COMPLETED else ""
    return Message(
        f"SELECT {_given(kind, given, 'NULL')} FROM credit_transactions "
        f"WHERE organization_id = %(tenant)s AND {named} AND user_id = %(user)s "
        f"AND credit_kind_key = %(credit_kind)s AND amount = %(amount)s "
        f"AND transaction_type = '{kind.value}' AND appointment_id IS NOT DISTINCT FROM %(appointment)s "
        f"AND reason IS NOT DISTINCT FROM %(reason)s{counts}",
        types=TYPES,
    )
