"""The movements of credits, each carried out whole or not at all, in the caller's unit of work or one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rayces_core import clock
from rayces_core.credits.arguments import (
    actor_id,
    needed_text,
    payment,
    staff_id,
    text,
    user_id,
    whole_credits,
)
from rayces_core.credits.arguments import appointment_id as appointment_id_of
from rayces_core.credits.ledger import Posting, check_place, lock_balances, open_balance, post, undisturbed
from rayces_core.database.binding import current
from rayces_core.errors import (
    DuplicateError,
    InvalidDataError,
    InvalidTransitionError,
    NothingToRefundError,
)
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User
from rayces_core.tenancy.scoping import check_reach


def purchase(
    user: User | int,
    credits: int,
    *,
    payment_method: str | None = None,
    payment_reference: str | None = None,
    pending: bool = False,
    idempotency_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Add bought credits to a user's balance, which is made on first use.

    Args:
        user: the User or its id. credits: whole credits above zero.
        payment_method, payment_reference: how it was paid; the same payment again gives the first one's entry.
        pending: only note it; `complete` lets it count, `fail` closes it.
        idempotency_key: a name for this request; the same request again gives the first one's entry.
        by: the acting member of staff, if any.

    Returns:
        The ledger's entry, with `balance_after` where it counts.

    Raises:
        IdempotencyConflictError: the key or the payment was used for another entry.
        BalanceTooLargeError: no balance can hold that much. ReferenceNotFoundError: there is no such user.
        InvalidDataError, NotPermittedError, CrossTenantError: an argument is refused.
    """
    method, reference = payment(payment_method, payment_reference)
    return post(
        Posting(
            user_id(user),
            whole_credits(credits),
            TransactionType.PURCHASE,
            clock.moment(now),
            status=TransactionStatus.PENDING if pending else TransactionStatus.COMPLETED,
            payment_method=method,
            payment_reference=reference,
            key=text(idempotency_key, "idempotency_key"),
            by_id=actor_id(by),
            metadata=dict(metadata or {}),
        )
    )


def complete(
    transaction: CreditTransaction, *, by: User | None = None, now: datetime | None = None
) -> CreditTransaction:
    """Let a pending entry count: the balance moves by it now, once, however often this is called.

    Returns:
        The same object, completed.

    Raises:
        InvalidTransitionError: it has failed. BalanceTooLargeError: no balance can hold that much.
        TransactionFailedError: the balance was moved by other means than this module.
    """
    check_reach(transaction)
    try:
        transaction.complete(by=by, now=now)
    except InvalidTransitionError as error:
        _unless_closed_as(TransactionStatus.COMPLETED, transaction, error)
    except DuplicateError as error:
        check_place(error)
        raise
    return transaction


def fail(
    transaction: CreditTransaction, reason: str, *, by: User | None = None, now: datetime | None = None
) -> CreditTransaction:
    """Close a pending entry without counting it; the reason goes into its history.

    Returns:
        The same object, failed; also where it had failed before.

    Raises:
        InvalidTransitionError: it is completed.
    """
    check_reach(transaction)
    try:
        transaction.fail(by=by, reason=needed_text(reason, "reason"), now=now)
    except InvalidTransitionError as error:
        _unless_closed_as(TransactionStatus.FAILED, transaction, error)
    return transaction


def debit(
    user: User | int,
    credits: int,
    *,
    appointment: Appointment | int | None = None,
    idempotency_key: str | None = None,
    reason: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Take credits from a user's balance, for an appointment or for something else.

    Returns:
        The ledger's entry, its amount below zero.

    Raises:
        InsufficientCreditsError: the balance is less (`required`, `available`).
        AlreadyDebitedError: the appointment has a debit. IdempotencyConflictError: the key was used for another entry.
        InvalidDataError, NotPermittedError, CrossTenantError, ReferenceNotFoundError: an argument is refused.
    """
    return post(
        Posting(
            user_id(user),
            -whole_credits(credits),
            TransactionType.APPOINTMENT_DEBIT,
            clock.moment(now),
            appointment_id=None if appointment is None else appointment_id_of(appointment),
            key=text(idempotency_key, "idempotency_key"),
            by_id=actor_id(by),
            reason=text(reason, "reason"),
            metadata=dict(metadata or {}),
        )
    )


def refund(
    appointment: Appointment | int,
    *,
    credits: int | None = None,
    idempotency_key: str | None = None,
    reason: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Give back what an appointment cost, once, to whoever paid it.

    Args:
        credits: how many; at most, and by default, what was debited.

    Raises:
        NothingToRefundError: the appointment has no debit. AlreadyRefundedError: it was refunded.
        InvalidDataError: more than was debited.
    """
    of = appointment_id_of(appointment)
    paid = debit_of(of)
    if paid is None:
        raise NothingToRefundError(of)
    amount = -paid.amount if credits is None else whole_credits(credits)
    if amount > -paid.amount:
        raise InvalidDataError("credits", credits, f"must be at most what was debited, {-paid.amount}")
    return post(
        Posting(
            paid.user_id,
            amount,
            TransactionType.CANCELLATION_REFUND,
            clock.moment(now),
            appointment_id=of,
            key=text(idempotency_key, "idempotency_key"),
            by_id=actor_id(by),
            reason=text(reason, "reason"),
            metadata=dict(metadata or {}),
        )
    )


def adjust(
    user: User | int,
    credits: int,
    *,
    reason: str,
    by: User,
    idempotency_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Correct a balance by hand: a number of credits above zero adds, one below zero takes.

    Args:
        reason: why; by: the member of staff who does it. Both are needed.

    Raises:
        InsufficientCreditsError, BalanceTooLargeError, IdempotencyConflictError, InvalidDataError, NotPermittedError.
    """
    return post(_adjustment(user_id(user), _signed(credits), reason, by, now, idempotency_key, metadata))


def transfer(
    from_user: User | int,
    to_user: User | int,
    credits: int,
    *,
    reason: str,
    by: User,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> tuple[CreditTransaction, CreditTransaction]:
    """Move credits from one user to another, as siblings' or separated parents' accounts need: two entries, or none.

    Returns:
        The entry that takes and the entry that gives.

    Raises:
        InsufficientCreditsError: the first balance is less. InvalidDataError: both are the same user.
        BalanceTooLargeError, IdempotencyConflictError, NotPermittedError, CrossTenantError, ReferenceNotFoundError.
    """
    giver, taker = user_id(from_user, "from_user"), user_id(to_user, "to_user")
    amount, moment = whole_credits(credits), clock.moment(now)
    if giver == taker:
        raise InvalidDataError("to_user", to_user, "must be another user than from_user")
    keys = (None, None) if idempotency_key is None else (f"{idempotency_key}/out", f"{idempotency_key}/in")
    out = _adjustment(giver, -amount, reason, by, moment, keys[0], {"transfer_to": taker})
    into = _adjustment(taker, amount, reason, by, moment, keys[1], {"transfer_from": giver})
    return undisturbed(lambda: _move(out, into))


def _move(out: Posting, into: Posting) -> tuple[CreditTransaction, CreditTransaction]:
    open_balance(into.user_id, into.now)
    lock_balances([out.user_id, into.user_id])
    return post(out), post(into)


def debit_of(appointment_id: int, organization_id: int | None = None) -> CreditTransaction | None:
    """The live debit of an appointment, if it has one; privileged work has to say of which organization."""
    return _entry_of(appointment_id, TransactionType.APPOINTMENT_DEBIT, organization_id)


def refund_of(appointment_id: int, organization_id: int | None = None) -> CreditTransaction | None:
    """The refund of an appointment, if it has one; privileged work has to say of which organization."""
    return _entry_of(appointment_id, TransactionType.CANCELLATION_REFUND, organization_id)


def _entry_of(appointment_id: int, kind: TransactionType, organization_id: int | None) -> CreditTransaction | None:
    entry = CreditTransaction
    mine = (entry.appointment == appointment_id) & (entry.transaction_type == kind)
    mine &= entry.status == TransactionStatus.COMPLETED
    if current().privileged:
        mine &= entry.organization == organization_id
    found: CreditTransaction | None = entry.get_or_none(mine)
    return found


def _adjustment(
    of: int,
    amount: int,
    reason: object,
    by: object,
    now: datetime | None,
    key: object,
    metadata: Mapping[str, Any] | None,
) -> Posting:
    return Posting(
        of,
        amount,
        TransactionType.ADMIN_ADJUSTMENT,
        clock.moment(now),
        key=text(key, "idempotency_key"),
        by_id=staff_id(by, "adjust a balance"),
        reason=needed_text(reason, "reason"),
        metadata=dict(metadata or {}),
    )


def _unless_closed_as(status: TransactionStatus, transaction: CreditTransaction, error: InvalidTransitionError) -> None:
    """Bring the object up to date if the entry was closed so before; raise otherwise."""
    if error.from_state != status:
        raise error
    now_there = CreditTransaction.get_by_id(transaction.id).__data__
    CreditTransaction.lifecycle.take_up(transaction, now_there)


def _signed(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given < 0:
        return -whole_credits(-given)
    return whole_credits(given)
