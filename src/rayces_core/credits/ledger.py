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
from rayces_core.credits.lot_statements import DRAWS
from rayces_core.credits.paid import Paid, paid_for
from rayces_core.credits.posting import Posting
from rayces_core.credits.statements import (
    FIND,
    LOCK_ALL,
    LOCK_HOLDS,
    LOCK_USERS,
    MOST_CREDITS,
    OPEN,
    OPENED,
    OPTIONAL,
    PAID,
    SPENDING,
)
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
from rayces_core.models import credit_holding
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.user import User

Result = TypeVar("Result")
ATTEMPTS: Final = 10
# The place after a balance's last entry is always free, unless the balance was moved back by other means.
PLACES: Final = ("credit_transactions_credit_balance_id_sequence_key", "credit_transactions_chain_key")
NAMES: Final = [column.column_name for column in CreditTransaction._meta.sorted_fields]
GIVEN: Final = {
    "organization_id": "tenant",
    "user_id": "user",
    "credit_kind_key": "credit_kind",
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
TYPE_CODES: Final = {"BIGINT": 20, "INTEGER": 23, "JSONB": 3802, "TIMESTAMPTZ": 1184, "DATE": 1082}
TEXT: Final = 25
NOUNS: Final[dict[type, str]] = {CreditKind: "kind of credit"}
DESCRIPTION: Final = [
    (column.column_name, TYPE_CODES.get(column.field_type.upper(), TEXT))
    for column in CreditTransaction._meta.sorted_fields
]
EXPIRED: Final = """
SELECT coalesce(sum(remaining), 0) FROM credit_lots
 WHERE organization_id = %(tenant)s AND credit_balance_id = %(balance)s
   AND expires_at <= coalesce(%(set)s, clock_timestamp())"""
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


def post_or_none(posting: Posting) -> CreditTransaction | None:
    """Make the entry if what it takes is there just so; None where it is not, or another posting was in the way."""
    try:
        return _made_or_found(posting, posting.values, lambda *_: None)
    except (DuplicateError, DeadlockError) as error:
        check_place(error)
        if current().engine.holder_of_transaction() is not None:
            raise
        return None


def _made_or_found(
    posting: Posting,
    values: dict[str, Any],
    otherwise: Callable[[Posting, dict[str, Any]], CreditTransaction | None] | None = None,
) -> CreditTransaction | None:
    """The entry, announced if it was made and counts; else what `otherwise` gives: None to try again."""
    otherwise = otherwise or _explain
    if not lifecycle.is_heard(POSTED):
        return _make(posting, values) or otherwise(posting, values)
    with current().engine.atomic() if lifecycle.has_effects(POSTED) else nullcontext():
        made = _make(posting, values)
        if made is None:
            return otherwise(posting, values)
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
    engine, given = current().engine, posting.given | ({DRAWS} if DRAWS in values else set())
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


def _explain(posting: Posting, values: dict[str, Any]) -> CreditTransaction | None:
    """Why nothing was posted: the entry that is repeated, an error, or None to try again."""
    if posting.is_the_only_one and (earlier := _find(values)) is not None:
        return _repetition(posting, earlier)
    if posting.for_somebody:
        _check_known(posting.user_id, values["tenant"])
    if posting.appointment_id is not None:
        _check_there(Appointment, posting.appointment_id, "appointment_id", values["tenant"])
    held = _balance(values)
    if held is None:
        _check_there(User, posting.user_id, "user_id", values["tenant"])
        if posting.credit_kind_id is not None:
            _check_there(CreditKind, posting.credit_kind_id, "credit_kind_id", values["tenant"])
        if posting.amount < 0:
            raise InsufficientCreditsError(required=-posting.amount, available=0)
        open_balance(posting.user_id, posting.now, values["tenant"], posting.credit_kind_id)
        return None
    if posting.kind is TransactionType.CANCELLATION_REFUND:
        _check_left(posting, values)
    available = _usable(held, posting)
    after = held.balance + posting.amount
    if available + posting.amount < 0:
        if held.reserved and credit_holding.expire_overdue(
            Appointment, [posting.user_id], posting.now, held.organization_id
        ):
            return None
        raise InsufficientCreditsError(
            required=-posting.amount, available=max(0, available), balance=held.balance, reserved=held.reserved
        )
    if posting.amount < 0 and held.in_lots:
        values[DRAWS] = True  # they are spent first, and the balance has to be locked before they are looked at
        return None
    purchased = held.lifetime_purchased + (posting.amount if posting.kind is TransactionType.PURCHASE else 0)
    used = held.lifetime_used - (posting.amount if posting.kind in SPENDING else 0)
    if max(after, purchased, used) > MOST_CREDITS:
        raise BalanceTooLargeError(posting.amount, held.balance)
    return None


def _balance(values: Mapping[str, Any]) -> CreditBalance | None:
    of: Any = CreditBalance
    mine = (of.user == values["user"]) & (of.credit_kind_key == values["credit_kind"])
    held: CreditBalance | None = of.get_or_none(mine & (of.organization == values["tenant"]))
    return held


def _usable(held: CreditBalance, posting: Posting) -> int:
    """What pays for something of a balance: not what others have reserved, nor what has expired and is still there."""
    free = held.available + (_own_hold(posting, held) if posting.frees_hold else 0)
    if posting.amount > 0 or not held.in_lots:
        return free
    values = {"tenant": held.organization_id, "balance": held.id, "set": posting.now if clock.is_frozen() else None}
    (expired,) = current().engine.run_prepared(EXPIRED, values).fetchone()
    return free - int(expired)


def _own_hold(posting: Posting, held: CreditBalance) -> int:
    """What the appointment that is paid for has reserved of this very balance."""
    booked = Appointment._find(Appointment.id, posting.appointment_id, held.organization_id)
    mine = booked is not None and (booked.client_id, booked.credit_kind_id) == (held.user_id, held.credit_kind_id)
    return booked.reserved_credits if booked is not None and mine else 0


def _check_left(posting: Posting, values: Mapping[str, Any]) -> None:
    """Raise if there is less to give back than that."""
    paid = paid_for(posting.appointment_id or 0, values["tenant"])
    if paid is None or paid.debit.user_id != posting.user_id:
        raise NothingToRefundError(posting.appointment_id or 0)
    paid.check(posting.amount)


def _check_there(model: type[Appointment | CreditKind | User], key: int, field: str, organization_id: int) -> None:
    if model._find(model.id, key, organization_id) is None:
        message = f"there is no such {NOUNS.get(model, model.__name__.lower())} in this organization"
        raise ReferenceNotFoundError(message, table="credit_transactions", fields=(field,))


def _check_known(user_id: int, organization_id: int) -> None:
    found = User._find(User.id, user_id, organization_id)
    if found is not None and found.erased_at is not None:
        raise was_erased()


def was_erased() -> ReferenceNotFoundError:
    """What is raised where an erased user is to be given credits."""
    message = "this user was erased, and nothing is given to nobody; add the person anew"
    return ReferenceNotFoundError(message, table="credit_transactions", fields=("user_id",))


def lock_users(user_ids: Iterable[int]) -> set[int]:
    """Have erasures and merges of these users wait, before any balance is locked; gives who was erased before."""
    values = {"tenant": current().organization_id, "users": sorted(set(user_ids))}
    found = current().engine.run_prepared(LOCK_USERS, values).fetchall()
    return {user for user, erased_at in found if erased_at is not None}


def open_balance(
    user_id: int, now: datetime, organization_id: int | None = None, credit_kind_id: int | None = None
) -> None:
    """Make the user's balance of that kind, if there is none yet, in that organization or the bound one."""
    tenant = current().organization_id if organization_id is None else organization_id
    frozen = now if clock.is_frozen() else None
    values = {"tenant": tenant, "user": user_id, "credit_kind": credit_kind_id or 0, "set": frozen}
    current().engine.run_message(OPEN, values, made=OPENED)


def lock_balances(user_ids: Iterable[int]) -> None:
    """Lock all balances of several users, in the one order in which everybody locks several."""
    values = {"tenant": current().organization_id, "users": sorted(user_ids)}
    current().engine.run_prepared(LOCK_ALL, values)


def lock_holds(appointment_ids: list[int]) -> set[int]:
    """Those of the appointments that have reserved credits; they are locked, before any balance is."""
    if not appointment_ids:
        return set()
    values = {"tenant": current().organization_id, "appointments": appointment_ids}
    found = current().engine.run_prepared(LOCK_HOLDS, values).fetchall()
    return {appointment for (appointment,) in found}


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
