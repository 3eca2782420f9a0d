"""The movements of credits, each carried out whole or not at all, in the caller's unit of work or one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from rayces_core.credits.arguments import (
    OWN_PENDING,
    acting_staff,
    acting_user,
    credit_kind_id,
    moment,
    needed_text,
    noted,
    paid_amount,
    payment,
    text,
    user_id,
    whole_credits,
)
from rayces_core.credits.arguments import appointment_id as appointment_id_of
from rayces_core.credits.ledger import (
    check_place,
    give_back,
    lock_balances,
    lock_users,
    open_balance,
    post,
    undisturbed,
)
from rayces_core.credits.paid import Paid
from rayces_core.credits.posting import Posting
from rayces_core.errors import (
    DuplicateError,
    InvalidDataError,
    InvalidTransitionError,
    NothingToRefundError,
)
from rayces_core.fields.text import LONGEST_NAME, checked_name
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.user import User
from rayces_core.tenancy.scoping import check_saved

LONGEST_BASE: Final = LONGEST_NAME - len("/out")  # of a transfer's key, as its two entries have one each


def purchase(
    user: User | int,
    credits: int,
    *,
    kind: CreditKind | int | None = None,
    payment_method: str | None = None,
    payment_reference: str | None = None,
    amount_cents: int | None = None,
    currency: str | None = None,
    pending: bool = False,
    idempotency_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Add bought credits to a user's balance, which is made on first use.

    Args:
        user: the User or its id. credits: whole credits above zero, of that `kind`, or of the default one.
        payment_method, payment_reference: how it was paid; the same payment again gives the first one's entry.
        amount_cents, currency: what was paid for them, in whole cents, of the organization's currency if none is given.
        pending: only note it; `complete` lets it count, `fail` closes it.
        idempotency_key: a name for this request; the same request again gives the first one's entry.
        by: the acting user, if any: staff and admins, or a guardian for themself where it is pending.

    Returns:
        The ledger's entry, with `balance_after` where it counts; `was_repeated` says whether an earlier request made
        it. A payment that failed may come again under its reference, as a new entry with the next `payment_attempt`.

    Raises:
        IdempotencyConflictError: the key or the payment was used for another entry.
        BalanceTooLargeError: no balance can hold that much.
        ReferenceNotFoundError: there is no such user, or it was erased.
        InvalidDataError, NotPermittedError, CrossTenantError: an argument is refused.
    """
    method, reference = payment(payment_method, payment_reference)
    of, amount, key = user_id(user), whole_credits(credits), text(idempotency_key, "idempotency_key")
    acting = acting_user(by, "purchase for this user", of, *((OWN_PENDING,) if pending else ()))
    cents, code = paid_amount(amount_cents, currency)
    return post(
        Posting(
            of,
            amount,
            TransactionType.PURCHASE,
            moment(now),
            credit_kind_id=credit_kind_id(kind),
            status=TransactionStatus.PENDING if pending else TransactionStatus.COMPLETED,
            payment_method=method,
            payment_reference=reference,
            amount_cents=cents,
            currency=code,
            key=key,
            by=acting,
            metadata=noted(metadata),
            for_somebody=True,
        )
    )


def complete(
    transaction: CreditTransaction, *, by: User | None = None, now: datetime | None = None
) -> CreditTransaction:
    """Let a pending entry count: the balance moves by it now, once, however often this is called.

    Returns:
        The same object, completed; `was_repeated` says whether it was before.

    Raises:
        InvalidTransitionError: it has failed; `purchase` the payment once more if it was paid after all.
        PackageExpiredError: what was bought held until a day that is over; the entry still waits, and says what to do.
        BalanceTooLargeError: no balance can hold that much.
        TransactionFailedError: the balance was moved by other means than this module.
    """
    check_saved(transaction, CreditTransaction, "transaction")
    moment(now)
    try:
        transaction.complete(by=by, now=now)
        transaction.was_repeated = False  # whoever noted it before, it counts since now
    except InvalidTransitionError as error:
        if error.from_state == TransactionStatus.FAILED:
            error.add_note("a payment that failed and was paid after all is a new entry: purchase() it once more")
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
    check_saved(transaction, CreditTransaction, "transaction")
    try:
        transaction.fail(by=by, reason=needed_text(reason, "reason"), now=now)
        transaction.was_repeated = False
    except InvalidTransitionError as error:
        _unless_closed_as(TransactionStatus.FAILED, transaction, error)
    return transaction


def debit(
    user: User | int,
    credits: int,
    *,
    kind: CreditKind | int | None = None,
    appointment: Appointment | int | None = None,
    idempotency_key: str | None = None,
    reason: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Take credits from a user's balance of that kind, for an appointment or for something else.

    What other appointments have reserved stays; what this one has is free again, as it is paid for.

    Returns:
        The ledger's entry, its amount below zero.

    Raises:
        InsufficientCreditsError: the balance is less, but for what is reserved (`required`, `available`, `reserved`).
        AlreadyDebitedError: the appointment has a debit. IdempotencyConflictError: the key was used for another entry.
        InvalidDataError, NotPermittedError, CrossTenantError, ReferenceNotFoundError: an argument is refused.
    """
    return post(
        Posting(
            user_id(user),
            -whole_credits(credits),
            TransactionType.APPOINTMENT_DEBIT,
            moment(now),
            credit_kind_id=credit_kind_id(kind),
            appointment_id=None if appointment is None else appointment_id_of(appointment),
            key=text(idempotency_key, "idempotency_key"),
            by=acting_user(by, "take credits from a balance"),
            reason=text(reason, "reason"),
            metadata=noted(metadata),
            frees_hold=appointment is not None,
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
    """Give back what an appointment cost, or a part of it, to the balance that paid; the parts never add up to more.

    Args:
        credits: how many; at most, and by default, what is left of the debit.

    Raises:
        NothingToRefundError: the appointment has no debit. AlreadyRefundedError: nothing is left of it.
        InvalidDataError: more than is left. IdempotencyConflictError, NotPermittedError, CrossTenantError.
    """
    of, told = appointment_id_of(appointment), None if credits is None else whole_credits(credits)
    key, why = text(idempotency_key, "idempotency_key"), text(reason, "reason")
    acting, at, besides = acting_user(by, "refund an appointment"), moment(now), noted(metadata)

    def posting(paid: Paid, amount: int) -> Posting:
        return Posting(
            paid.debit.user_id,
            amount,
            TransactionType.CANCELLATION_REFUND,
            at,
            credit_kind_id=paid.debit.credit_kind_id,
            appointment_id=of,
            key=key,
            by=acting,
            reason=why,
            metadata=besides,
            is_rest=told is None,
        )

    # Where nothing is left the whole is asked for: that gives the entry of the same key, or says what is against it.
    made = give_back(of, None, lambda paid: told or paid.left or -paid.debit.amount, posting)
    if made is None:
        raise NothingToRefundError(of)
    return made


def adjust(
    user: User | int,
    credits: int,
    *,
    kind: CreditKind | int | None = None,
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
        ReferenceNotFoundError: there is no such user, or it was erased, from which credits may be taken alone.
    """
    key = text(idempotency_key, "idempotency_key")
    of = (user_id(user), credit_kind_id(kind))
    return post(_adjustment(of, _signed(credits), reason, by, moment(now), key, metadata))


def transfer(
    from_user: User | int,
    to_user: User | int,
    credits: int,
    *,
    kind: CreditKind | int | None = None,
    reason: str,
    by: User,
    idempotency_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> tuple[CreditTransaction, CreditTransaction]:
    """Move credits from one user to another, as siblings' or separated parents' accounts need: two entries, or none.

    Args:
        metadata: goes into both entries, beside `transfer`, the name that the two have in common, and `transfer_to` and
            `transfer_from`, the other user's id.

    Returns:
        The entry that takes and the entry that gives.

    Raises:
        InsufficientCreditsError: the first balance is less. InvalidDataError: both are the same user.
        ReferenceNotFoundError: there is no such user, or `to_user` was erased.
        BalanceTooLargeError, IdempotencyConflictError, NotPermittedError, CrossTenantError.
    """
    giver, taker = user_id(from_user, "from_user"), user_id(to_user, "to_user")
    amount, at, key = (
        whole_credits(credits),
        moment(now),
        checked_name(idempotency_key, "idempotency_key", LONGEST_BASE),
    )
    if giver == taker:
        raise InvalidDataError("to_user", to_user, "must be another user than from_user")
    keys = (None, None) if key is None else (f"{key.strip()}/out", f"{key.strip()}/in")
    both = {**noted(metadata), "transfer": uuid4().hex}
    of = credit_kind_id(kind)
    out = _adjustment((giver, of), -amount, reason, by, at, keys[0], both | {"transfer_to": taker})
    into = _adjustment((taker, of), amount, reason, by, at, keys[1], both | {"transfer_from": giver})
    return undisturbed(lambda: _move(out, into))


def _move(out: Posting, into: Posting) -> tuple[CreditTransaction, CreditTransaction]:
    lock_users([out.user_id, into.user_id])
    open_balance(into.user_id, into.now, credit_kind_id=into.credit_kind_id)
    lock_balances([out.user_id, into.user_id])
    return post(out), post(into)


def _adjustment(
    of: tuple[int, int | None],
    amount: int,
    reason: object,
    by: object,
    now: datetime,
    key: str | None,
    metadata: Mapping[str, Any] | None,
) -> Posting:
    return Posting(
        of[0],
        amount,
        TransactionType.ADMIN_ADJUSTMENT,
        now,
        credit_kind_id=of[1],
        key=key,
        by=acting_staff(by, "adjust a balance"),
        reason=needed_text(reason, "reason"),
        metadata=noted(metadata),
        for_somebody=amount > 0,
    )


def _unless_closed_as(status: TransactionStatus, transaction: CreditTransaction, error: InvalidTransitionError) -> None:
    """Bring the object up to date if the entry was closed so before; raise otherwise."""
    if error.from_state != status:
        raise error
    transaction.was_repeated = True
    now_there = CreditTransaction.get_by_id(transaction.id).__data__
    CreditTransaction.lifecycle.take_up(transaction, now_there)


def _signed(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given < 0:
        return -whole_credits(-given)
    return whole_credits(given)
