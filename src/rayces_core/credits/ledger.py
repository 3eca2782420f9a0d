"""Posting: the balance moves and the ledger gets its entry in one statement, or neither happens.

Rule it guards: a balance is the sum of its completed entries, never negative, whatever races or is sent twice. The
statement moves the balance only if it may; what stood in the way is asked afterwards. Where an entry must be the only
one (a key, a payment, an appointment), the balance's row is locked first in the same message, so that the statement
sees what was committed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from rayces_core.binding import current
from rayces_core.credits.arguments import check_tenant
from rayces_core.errors import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    BalanceTooLargeError,
    DeadlockError,
    DuplicateError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    ReferenceNotFoundError,
    TransactionFailedError,
)
from rayces_core.messages import Message
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditBalance, CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User

MOST_CREDITS: Final = 2**31 - 1
ATTEMPTS: Final = 10
NAMES: Final = [column.column_name for column in CreditTransaction._meta.sorted_fields]
COLUMNS: Final = ", ".join(f'"{name}"' for name in NAMES)
# What only the server knows of an entry that it has made. All the rest was given, and each column that comes back costs
# both sides more than a microsecond.
CHAIN: Final = ("balance_before", "balance_after", "sequence", "previous_sequence")
MADE: Final = ("id", "credit_balance_id", *CHAIN, "metadata")
GIVEN: Final = {
    "organization_id": "tenant",
    "user_id": "user",
    "appointment_id": "appointment",
    "transaction_type": "type",
    "idempotency_key": "key",
    "created_by_id": "by",
    "created_at": "now",
    "updated_at": "now",
}
DESCRIPTION: Final = [(name,) for name in NAMES]
IN_ORDER: Final = itemgetter(*(GIVEN.get(name, name) for name in NAMES))

LOCK: Final = """
SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = %(user)s FOR NO KEY UPDATE"""
LOCK_ALL: Final = """
SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = ANY(%(users)s)
ORDER BY user_id FOR NO KEY UPDATE"""
MOVE: Final = """
    UPDATE credit_balances SET
        balance = balance + %(amount)s,
        lifetime_purchased = lifetime_purchased + %(purchased)s,
        lifetime_used = lifetime_used + %(used)s,
        last_sequence = coalesce(last_sequence, 0) + 1,
        updated_at = %(now)s
    WHERE organization_id = %(tenant)s AND user_id = %(user)s
      AND balance::bigint + %(amount)s BETWEEN 0 AND 2147483647
      AND lifetime_purchased::bigint + %(purchased)s <= 2147483647 AND lifetime_used::bigint + %(used)s <= 2147483647
"""
# Locked again, since the balance may have been opened after LOCK looked for it.
HELD: Final = "FOR NO KEY UPDATE"
HOLD: Final = "SELECT * FROM credit_balances WHERE organization_id = %(tenant)s AND user_id = %(user)s"
# The entry that this one would repeat.
REPEATED: Final = """
    organization_id = %(tenant)s AND (
        idempotency_key = %(key)s
        OR (payment_method = %(payment_method)s AND payment_reference = %(payment_reference)s)
        OR (appointment_id = %(appointment)s AND transaction_type = %(type)s AND status <> 'failed')
    )"""
ENTRY: Final = f"""
    INSERT INTO credit_transactions (
        organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type, status, balance_before,
        balance_after, sequence, previous_sequence, metadata, payment_method, payment_reference, idempotency_key,
        created_by_id, reason, processed_at, created_at, updated_at
    ) SELECT %(tenant)s, %(user)s, id, %(appointment)s::bigint, %(amount)s, %(type)s, %(status)s, {{chain}},
        %(metadata)s, %(payment_method)s::varchar, %(payment_reference)s::varchar, %(key)s::varchar, %(by)s::bigint,
        %(reason)s::varchar, %(processed_at)s::timestamptz, %(now)s, %(now)s
    FROM held RETURNING {", ".join(MADE)}"""
COMPLETED: Final = ENTRY.format(chain="balance - %(amount)s, balance, last_sequence, nullif(last_sequence - 1, 0)")
PENDING: Final = ENTRY.format(chain="NULL::integer, NULL::integer, NULL::integer, NULL::integer")

TYPES: Final = {
    "tenant": "bigint",
    "user": "bigint",
    "amount": "integer",
    "purchased": "integer",
    "used": "integer",
    "type": "varchar",
    "status": "varchar",
    "appointment": "bigint",
    "payment_method": "varchar",
    "payment_reference": "varchar",
    "key": "varchar",
    "by": "bigint",
    "reason": "varchar",
    "metadata": "jsonb",
    "processed_at": "timestamptz",
    "now": "timestamptz",
}
MOVED: Final = "RETURNING id, balance, last_sequence"
UNLESS_REPEATED: Final = f"AND NOT EXISTS (SELECT 1 FROM credit_transactions WHERE {REPEATED})"
POST: Final = Message(f"WITH held AS ({MOVE} {MOVED}) {COMPLETED}", types=TYPES)
# Not left to the foreign key, whose refusal would end the caller's transaction.
IF_BOOKED: Final = """AND (%(appointment)s IS NULL OR EXISTS (
    SELECT 1 FROM appointments WHERE organization_id = %(tenant)s AND id = %(appointment)s))"""
POST_ONCE: Final = Message(
    LOCK, f"WITH held AS ({MOVE} {UNLESS_REPEATED} {IF_BOOKED} {MOVED}) {COMPLETED}", types=TYPES
)
NOTE_ONCE: Final = Message(LOCK, f"WITH held AS ({HOLD} {UNLESS_REPEATED} {HELD}) {PENDING}", types=TYPES)

FIND: Final = Message(f"SELECT {COLUMNS} FROM credit_transactions WHERE {REPEATED} ORDER BY id LIMIT 1", types=TYPES)
OPEN: Final = """
INSERT INTO credit_balances (organization_id, user_id, created_at, updated_at)
SELECT %(tenant)s, %(user)s, %(now)s, %(now)s ON CONFLICT (organization_id, user_id) DO NOTHING"""

SPENDING: Final = (TransactionType.APPOINTMENT_DEBIT, TransactionType.CANCELLATION_REFUND)


@dataclass(frozen=True, slots=True)
class Posting:
    """An entry that is wanted: `amount` credits in (above zero) or out (below) of a user's balance."""

    user_id: int
    amount: int
    kind: TransactionType
    now: datetime
    status: TransactionStatus = TransactionStatus.COMPLETED
    appointment_id: int | None = None
    payment_method: str | None = None
    payment_reference: str | None = None
    key: str | None = None
    by_id: int | None = None
    reason: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_the_only_one(self) -> bool:
        """Whether there may be no second entry like it."""
        return self.key is not None or self.payment_reference is not None or self.appointment_id is not None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statements."""
        purchased = self.amount if self.kind is TransactionType.PURCHASE else 0
        used = -self.amount if self.kind in SPENDING else 0
        return {
            "tenant": current().organization_id,
            "user": self.user_id,
            "amount": self.amount,
            "purchased": purchased,
            "used": used,
            "type": self.kind.value,
            "status": self.status.value,
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "key": self.key,
            "by": self.by_id,
            "reason": self.reason,
            "metadata": CreditTransaction.metadata.db_value(self.metadata) if self.metadata else "{}",
            "processed_at": self.now if self.status is TransactionStatus.COMPLETED else None,
            "now": self.now,
        }

    def is_like(self, entry: CreditTransaction) -> bool:
        """Whether `entry` is what was wanted, made earlier."""
        wanted = (self.user_id, self.amount, self.kind, self.appointment_id, self.reason)
        made = (entry.user_id, entry.amount, entry.transaction_type, entry.appointment_id, entry.reason)
        paid = (entry.payment_method, entry.payment_reference, entry.idempotency_key)
        # What was to count at once is not repeated by what still waits or has failed.
        counts = self.status is TransactionStatus.PENDING or entry.status is TransactionStatus.COMPLETED
        return counts and wanted == made and paid == (self.payment_method, self.payment_reference, self.key)


def post(posting: Posting) -> CreditTransaction:
    """Make the entry, and move the balance if it is a completed one; a repetition gives the first one's entry.

    Raises:
        InsufficientCreditsError, BalanceTooLargeError: the balance does not allow it.
        IdempotencyConflictError: its key or payment was used for another entry.
        AlreadyDebitedError, AlreadyRefundedError: the appointment has such an entry.
        ReferenceNotFoundError: there is no such user or appointment in this organization.
    """
    check_tenant()
    values = posting.values
    for _ in range(ATTEMPTS):
        try:
            entry = _make(posting, values) or _explain(posting, values)
        except (DuplicateError, DeadlockError) as error:
            if current().engine.holder_of_transaction() is not None:  # the server has undone all of it
                raise TransactionFailedError(
                    "another posting was in the way; run the unit of work again, and it gets that one's result"
                ) from error
            continue
        if entry is not None:
            return entry
    raise TransactionFailedError("the balance kept changing; run the unit of work again")


def _message_of(posting: Posting) -> Message:
    if posting.status is TransactionStatus.PENDING:
        return NOTE_ONCE
    return POST_ONCE if posting.is_the_only_one else POST


def _make(posting: Posting, values: Mapping[str, Any]) -> CreditTransaction | None:
    made = current().engine.run_message(_message_of(posting), values).fetchone()
    if made is None:
        return None
    row = IN_ORDER({**values, **dict(zip(MADE, made, strict=True))})
    return CreditTransaction._from_rows(DESCRIPTION, [row])[0]


def _find(values: Mapping[str, Any]) -> CreditTransaction | None:
    cursor = current().engine.run_message(FIND, values)
    rows = cursor.fetchall()
    return CreditTransaction._from_rows(cursor.description, rows)[0] if rows else None


def _explain(posting: Posting, values: Mapping[str, Any]) -> CreditTransaction | None:
    """Why nothing was posted: the entry that is repeated, an error, or None to try again."""
    if posting.is_the_only_one and (earlier := _find(values)) is not None:
        return _repetition(posting, earlier)
    if posting.appointment_id is not None:
        _check_there(Appointment, posting.appointment_id, "appointment_id")
    held = CreditBalance.get_or_none(CreditBalance.user == posting.user_id)
    if held is None:
        _check_there(User, posting.user_id, "user_id")
        if posting.amount < 0:
            raise InsufficientCreditsError(required=-posting.amount, available=0)
        open_balance(posting.user_id, posting.now)
        return None
    after = held.balance + posting.amount
    if after < 0:
        raise InsufficientCreditsError(required=-posting.amount, available=held.balance)
    purchased, used = held.lifetime_purchased + values["purchased"], held.lifetime_used + values["used"]
    if max(after, purchased, used) > MOST_CREDITS:
        raise BalanceTooLargeError(posting.amount, held.balance)
    return None


def _check_there(model: type[Appointment | User], key: int, field: str) -> None:
    if model.get_or_none(model.id == key) is None:
        message = f"there is no such {model.__name__.lower()} in this organization"
        raise ReferenceNotFoundError(message, table="credit_transactions", fields=(field,))


def open_balance(user_id: int, now: datetime) -> None:
    """Make the user's balance, if there is none yet."""
    current().engine.run_prepared(OPEN, {"tenant": current().organization_id, "user": user_id, "now": now})


def lock_balances(user_ids: Iterable[int]) -> None:
    """Lock the balances of several users, in the one order in which everybody locks several."""
    values = {"tenant": current().organization_id, "users": sorted(user_ids)}
    current().engine.run_prepared(LOCK_ALL, values)


def _repetition(posting: Posting, earlier: CreditTransaction) -> CreditTransaction:
    if posting.is_like(earlier) and (posting.key is not None or posting.payment_reference is not None):
        return earlier
    same_request = posting.key is not None and posting.key == earlier.idempotency_key
    same_payment = posting.payment_reference is not None and posting.payment_reference == earlier.payment_reference
    if same_request or same_payment:
        raise IdempotencyConflictError(str(posting.key if same_request else posting.payment_reference))
    if posting.kind is TransactionType.CANCELLATION_REFUND:
        raise AlreadyRefundedError(earlier.id, posting.appointment_id)
    raise AlreadyDebitedError(earlier.id, posting.appointment_id)
