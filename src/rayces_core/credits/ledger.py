"""Posting: the balance moves and the ledger gets its entry in one statement, or neither happens.

Rule it guards: a balance is the sum of its completed entries, never negative, whatever races or is sent twice. The
statement moves the balance only if it may; what stood in the way is asked afterwards. Where an entry must be the only
one (a key, a payment, an appointment), the balance's row is locked first in the same message, so that the statement
sees what was committed meanwhile.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from itertools import count
from operator import itemgetter
from typing import Any, Final, TypeVar

from rayces_core import clock
from rayces_core.credits import statements
from rayces_core.credits.announcing import POSTED, announce, lifecycle
from rayces_core.credits.arguments import check_tenant
from rayces_core.credits.paid import Paid, paid_for
from rayces_core.credits.posting import Posting
from rayces_core.credits.statements import FIND, LOCK_ALL, MOST_CREDITS, OPEN, OPENED, OPTIONAL, PAID, SPENDING
from rayces_core.database.binding import current
from rayces_core.errors import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    BalanceTooLargeError,
    DeadlockError,
    DuplicateError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    NothingToRefundError,
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
    **OPTIONAL,
}
GIVEN.pop("metadata")
UNLESS_FOUND: Final[dict[str, Any]] = {
    "payment_attempt": 1,
    "refundable_before": None,
    "refundable_after": None,
    "metadata": {},
}
# As the driver describes a result; the values are those it gives for columns of these types.
TYPE_CODES: Final = {"BIGINT": 20, "INTEGER": 23, "JSONB": 3802, "TIMESTAMPTZ": 1184}
TEXT: Final = 25
DESCRIPTION: Final = [
    (column.column_name, TYPE_CODES.get(column.field_type.upper(), TEXT))
    for column in CreditTransaction._meta.sorted_fields
]
IN_ORDER: Final = itemgetter(*(GIVEN.get(name, name) for name in NAMES))


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
            entry = _made_or_found(posting, values)
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


def _made_or_found(posting: Posting, values: dict[str, Any]) -> CreditTransaction | None:
    """The entry, announced if it was made and counts; None to try again."""
    if not lifecycle.is_heard(POSTED):
        return _make(posting, values) or _explain(posting, values)
    with current().engine.atomic() if lifecycle.has_effects(POSTED) else nullcontext():
        made = _make(posting, values)
        if made is None:
            return _explain(posting, values)
        if posting.status is TransactionStatus.COMPLETED:
            announce(made, posting.by)
        return made


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
    message, asking = statements.messages(posting.kind, posting.status, given, engine.writes_messages)
    made = engine.run_message(message, values, made=asking).fetchone()
    if made is None:
        return None
    entry_id, balance_id, after, place, at, transaction_id, *found = made
    if in_unit:
        engine.note_transaction(transaction_id)
    row = IN_ORDER(
        {
            **values,
            **UNLESS_FOUND,
            "id": entry_id,
            "credit_balance_id": balance_id,
            "balance_before": None if after is None else after - posting.amount,
            "balance_after": after,
            "sequence": place,
            "previous_sequence": (place or 1) - 1 or None,
            "processed_at": None if after is None else at,
            "created_at": at,
            "updated_at": at,
            **dict(zip(statements.more(posting.kind, given), found, strict=True)),
        }
    )
    return CreditTransaction._from_rows(DESCRIPTION, [row])[0]


def own_key() -> str:
    """An idempotency key of the library's own; later ones sort behind, so that the index grows at its end."""
    return f"rayces:{time.time_ns():x}-{_process[0]}-{next(_numbers)}"


def _name_process() -> None:
    _process[:] = [secrets.token_hex(8)]


# Random once for each process, since asking the system for it costs as much as all the rest of a key.
_process: Final[list[str]] = []
_numbers: Final = count(1)
_name_process()
os.register_at_fork(after_in_child=_name_process)


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
    if posting.kind is TransactionType.CANCELLATION_REFUND:
        _check_left(posting, values)
    after = held.balance + posting.amount
    if after < 0:
        raise InsufficientCreditsError(required=-posting.amount, available=held.balance)
    purchased = held.lifetime_purchased + (posting.amount if posting.kind is TransactionType.PURCHASE else 0)
    used = held.lifetime_used - (posting.amount if posting.kind in SPENDING else 0)
    if max(after, purchased, used) > MOST_CREDITS:
        raise BalanceTooLargeError(posting.amount, held.balance)
    return None


def _check_left(posting: Posting, values: Mapping[str, Any]) -> None:
    """Raise if there is less to give back than that."""
    paid = paid_for(posting.appointment_id or 0, values["tenant"])
    if paid is None or paid.debit.user_id != posting.user_id:
        raise NothingToRefundError(posting.appointment_id or 0)
    paid.check(posting.amount)


def _check_there(model: type[Appointment | User], key: int, field: str, organization_id: int) -> None:
    if model._find(model.id, key, organization_id) is None:
        message = f"there is no such {model.__name__.lower()} in this organization"
        raise ReferenceNotFoundError(message, table="credit_transactions", fields=(field,))


def open_balance(user_id: int, now: datetime, organization_id: int | None = None) -> None:
    """Make the user's balance, if there is none yet, in that organization or the bound one."""
    tenant = current().organization_id if organization_id is None else organization_id
    values = {"tenant": tenant, "user": user_id, "set": now if clock.is_frozen() else None}
    current().engine.run_message(OPEN, values, made=OPENED)


def lock_balances(user_ids: Iterable[int]) -> None:
    """Lock the balances of several users, in the one order in which everybody locks several."""
    values = {"tenant": current().organization_id, "users": sorted(user_ids)}
    current().engine.run_prepared(LOCK_ALL, values)


def lock_payers_of(appointment_ids: list[int], organization_id: int) -> set[int]:
    """Which of these appointments were paid for, in one organization; the balances that did it are locked."""
    values: dict[str, Any] = {"tenant": organization_id, "appointments": appointment_ids}
    found = current().engine.run_prepared(PAID, values).fetchall()
    if found:
        users = sorted({user for _, user in found})
        current().engine.run_prepared(LOCK_ALL, {"tenant": organization_id, "users": users})
    return {appointment for appointment, _ in found}


def _repetition(posting: Posting, earlier: CreditTransaction) -> CreditTransaction:
    if posting.is_like(earlier) and (posting.key is not None or posting.payment_reference is not None):
        earlier.was_repeated = True
        return earlier
    if posting.key is not None and posting.key == earlier.idempotency_key:
        raise IdempotencyConflictError(posting.key)
    if posting.payment_reference is not None and posting.payment_reference == earlier.payment_reference:
        waits = " and waits: complete() it" if earlier.status is TransactionStatus.PENDING else ""
        raise IdempotencyConflictError(
            posting.payment_reference,
            f"the payment {posting.payment_reference!r} has another entry, {earlier.id}, of {earlier.amount} credits "
            f"for user {earlier.user_id}{waits}; see what that one was for",
        )
    raise AlreadyDebitedError(earlier.id, posting.appointment_id)


def give_back(
    of: int, organization_id: int | None, amount_of: Callable[[Paid], int], posting_of: Callable[[Paid, int], Posting]
) -> CreditTransaction | None:
    """Post a refund of what `amount_of` says, asked again where another refund comes first; None where that is none."""
    for _ in range(ATTEMPTS):
        paid = paid_for(of, organization_id)
        amount = 0 if paid is None else amount_of(paid)
        if paid is None or amount <= 0:
            return None
        try:
            return post(posting_of(paid, amount))
        except (AlreadyRefundedError, InvalidDataError):
            if amount > paid.left:  # or another refund came first
                raise
    raise TransactionFailedError("other refunds kept coming first; run the unit of work again")
