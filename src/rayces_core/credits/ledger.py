"""Posting: the balance moves and the ledger gets its entry in one statement, or neither happens.

Rule it guards: a balance is the sum of its completed entries, never negative, whatever races or is sent twice. The
statement moves the balance only if it may; what stood in the way is asked afterwards. Where an entry must be the only
one (a key, a payment, an appointment), the balance's row is locked first in the same message, so that the statement
sees what was committed meanwhile.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, TypeVar

from rayces_core.credits import statements
from rayces_core.credits.arguments import check_tenant
from rayces_core.credits.statements import FIND, LOCK_ALL, MOST_CREDITS, OPEN, OPENED, OPTIONAL, SPENDING
from rayces_core.database.binding import current
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
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditBalance, CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User

Result = TypeVar("Result")
ATTEMPTS: Final = 10
# The place after a balance's last entry is always free, unless the balance was moved back by other means.
PLACES: Final = ("credit_transactions_credit_balance_id_sequence_key", "credit_transactions_chain_key")
NAMES: Final = [column.column_name for column in CreditTransaction._meta.sorted_fields]
GIVEN: Final = {
    "organization_id": "tenant",
    "user_id": "user",
    "transaction_type": "type",
    "created_at": "now",
    "updated_at": "now",
    **OPTIONAL,
}
# As the driver describes a result; the values are those it gives for columns of these types.
TYPE_CODES: Final = {"BIGINT": 20, "INTEGER": 23, "JSONB": 3802, "TIMESTAMPTZ": 1184}
TEXT: Final = 25
DESCRIPTION: Final = [
    (column.column_name, TYPE_CODES.get(column.field_type.upper(), TEXT))
    for column in CreditTransaction._meta.sorted_fields
]
IN_ORDER: Final = itemgetter(*(GIVEN.get(name, name) for name in NAMES))


@dataclass(frozen=True, slots=True)
class Posting:
    """An entry that is wanted: `amount` credits in (above zero) or out (below) of a user's balance.

    `organization_id` says whose ledger it is for; None is the bound tenant's, and there is none in privileged work.
    """

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
    organization_id: int | None = None

    @property
    def given(self) -> frozenset[str]:
        """Which values it has of those that may be left out."""
        values = {
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "key": self.key,
            "by": self.by_id,
            "reason": self.reason,
            "metadata": self.metadata or None,
        }
        return frozenset([name for name, value in values.items() if value is not None])

    @property
    def is_the_only_one(self) -> bool:
        """Whether there may be no second entry like it."""
        return self.key is not None or self.payment_reference is not None or self.appointment_id is not None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statements."""
        return {
            "tenant": current().organization_id if self.organization_id is None else self.organization_id,
            "user": self.user_id,
            "amount": self.amount,
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
        TransactionFailedError: another posting was in the way, or the balance was moved by other means.
    """
    if posting.organization_id is None:
        check_tenant()
    values = posting.values
    for _ in range(ATTEMPTS):
        try:
            entry = _make(posting, values) or _explain(posting, values)
        except (DuplicateError, DeadlockError) as error:
            check_place(error)
            if current().engine.holder_of_transaction() is not None:  # the server has undone all of it
                raise TransactionFailedError(
                    "another posting was in the way; run the unit of work again, and it gets that one's result",
                    retryable=True,
                ) from error
            continue
        if entry is not None:
            return entry
    raise TransactionFailedError("the balance kept changing; run the unit of work again", retryable=True)


def undisturbed(act: Callable[[], Result]) -> Result:
    """Carry `act` out as a unit of work, and again where another posting came first or was in the way.

    Raises:
        DeadlockError: what the caller's own unit of work holds is part of the deadlock.
        TransactionFailedError: others kept coming first, or a balance was moved by other means.
    """
    engine = current().engine
    for _ in range(ATTEMPTS):
        try:
            with engine.atomic(findable=True):
                return act()
        except (DuplicateError, DeadlockError) as error:
            check_place(error)
            if isinstance(error, DeadlockError) and engine.holder_of_transaction() is not None:
                raise
    raise TransactionFailedError("other postings kept coming first; run the unit of work again", retryable=True)


def check_place(error: Exception) -> None:
    """Raise TransactionFailedError if a posting failed with `error` because its balance had been moved back."""
    if isinstance(error, DuplicateError) and error.constraint in PLACES:
        raise TransactionFailedError(
            "the balance does not stand at its last entry, so nothing can follow there: it was moved by other means "
            "than rayces_core.credits; run `rayces credits verify` (credits.verify()) to see which one and what it "
            "should be, and put it right as the owner of the database"
        ) from error


def _make(posting: Posting, values: dict[str, Any]) -> CreditTransaction | None:
    engine, given = current().engine, posting.given
    in_unit = engine.session.in_transaction
    if not (in_unit or posting.key or posting.payment_reference):
        # It commits by itself, and nothing else would tell it from another one, should its answer be lost.
        given |= {"own_key"}
        values["own_key"] = values["key"] = own_key()
    message, asking = statements.messages(posting.kind, posting.status, given)
    made = engine.run_message(message, values, made=asking).fetchone()
    if made is None:
        return None
    entry_id, balance_id, after, place, transaction_id, *metadata = made
    if in_unit:
        engine.note_transaction(transaction_id)
    row = IN_ORDER(
        {
            **values,
            "id": entry_id,
            "credit_balance_id": balance_id,
            "balance_before": None if after is None else after - posting.amount,
            "balance_after": after,
            "sequence": place,
            "previous_sequence": (place or 1) - 1 or None,
            "metadata": metadata[0] if metadata else {},
        }
    )
    return CreditTransaction._from_rows(DESCRIPTION, [row])[0]


def own_key() -> str:
    """An idempotency key of the library's own; later ones sort behind, so that the index grows at its end."""
    return f"rayces:{time.time_ns():x}-{secrets.token_hex(8)}"


def _find(values: Mapping[str, Any]) -> CreditTransaction | None:
    cursor = current().engine.run_message(FIND, values)
    rows = cursor.fetchall()
    return CreditTransaction._from_rows(cursor.description, rows)[0] if rows else None


def _explain(posting: Posting, values: Mapping[str, Any]) -> CreditTransaction | None:
    """Why nothing was posted: the entry that is repeated, an error, or None to try again."""
    if posting.is_the_only_one and (earlier := _find(values)) is not None:
        return _repetition(posting, earlier)
    if posting.appointment_id is not None:
        _check_there(Appointment, posting.appointment_id, "appointment_id", values["tenant"])
    held = CreditBalance._find(CreditBalance.user, posting.user_id, values["tenant"])
    if held is None:
        _check_there(User, posting.user_id, "user_id", values["tenant"])
        if posting.amount < 0:
            raise InsufficientCreditsError(required=-posting.amount, available=0)
        open_balance(posting.user_id, posting.now, values["tenant"])
        return None
    after = held.balance + posting.amount
    if after < 0:
        raise InsufficientCreditsError(required=-posting.amount, available=held.balance)
    purchased = held.lifetime_purchased + (posting.amount if posting.kind is TransactionType.PURCHASE else 0)
    used = held.lifetime_used - (posting.amount if posting.kind in SPENDING else 0)
    if max(after, purchased, used) > MOST_CREDITS:
        raise BalanceTooLargeError(posting.amount, held.balance)
    return None


def _check_there(model: type[Appointment | User], key: int, field: str, organization_id: int) -> None:
    if model._find(model.id, key, organization_id) is None:
        message = f"there is no such {model.__name__.lower()} in this organization"
        raise ReferenceNotFoundError(message, table="credit_transactions", fields=(field,))


def open_balance(user_id: int, now: datetime, organization_id: int | None = None) -> None:
    """Make the user's balance, if there is none yet, in that organization or the bound one."""
    tenant = current().organization_id if organization_id is None else organization_id
    current().engine.run_message(OPEN, {"tenant": tenant, "user": user_id, "now": now}, made=OPENED)


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
