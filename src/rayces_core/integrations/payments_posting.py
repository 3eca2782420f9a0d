"""Posts what a notification says of a payment to the ledger of the bound organization, once."""

from __future__ import annotations

from rayces_core import credits
from rayces_core.credits.packages import purchase_again
from rayces_core.credits.taking_back import taken_back
from rayces_core.database.binding import current
from rayces_core.errors import IdempotencyConflictError, PackageExpiredError, PaymentUnknownError
from rayces_core.integrations.payments_reading import Notification, Status
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.user import User
from rayces_core.people import person_behind


def post(notification: Notification, *, by: User | None = None) -> CreditTransaction:
    """Complete the purchase, close it as failed, or take its credits back; the same again changes nothing.

    A payment that had failed and was paid after all is a new entry, its next attempt. A late failure does not touch
    what is completed. Of a part that was given back, as great a part of the credits is taken, rounded down.

    Args:
        by: the member of staff that takes credits back, as an adjustment; without one it is a debit.

    Returns:
        The purchase's entry; `was_repeated` where it was so before.

    Raises:
        PaymentUnknownError: no purchase has that method and reference. IdempotencyConflictError: the sums differ.
        InsufficientCreditsError: what is to be taken back is spent; nothing was changed, and somebody has to decide.
        PackageExpiredError: it was paid after the last day of the package; the purchase waits, and somebody has to
            decide. Where all of the money went back already it is closed as failed.
    """
    with current().engine.atomic():
        entry = _purchase(notification)
        _check_amount(entry, notification)
        if notification.status is Status.PENDING:
            entry.was_repeated = True
            return entry
        if notification.status is Status.FAILED:
            return _failed(entry, notification)
        try:
            entry = _completed(entry)
        except PackageExpiredError:
            if notification.status is not Status.REFUNDED or _part(entry, notification) < entry.amount:
                raise
            return _failed(entry, notification, "the payment was refunded")
        if notification.status is Status.REFUNDED:
            _take_back(entry, notification, by)
        return entry


def _purchase(notification: Notification) -> CreditTransaction:
    method, reference = notification.payment_method, notification.payment_reference
    found = (
        CreditTransaction.select()
        .where(
            CreditTransaction.payment_method == method,
            CreditTransaction.payment_reference == reference,
            CreditTransaction.transaction_type == TransactionType.PURCHASE,
        )
        .order_by(CreditTransaction.payment_attempt.desc())
        .first()
    )
    if found is None:
        raise PaymentUnknownError(method, reference)
    entry: CreditTransaction = found
    return entry


def _check_amount(entry: CreditTransaction, notification: Notification) -> None:
    for noted, told in (
        (entry.amount_cents, notification.amount_cents),
        (entry.currency, notification.currency),
    ):
        if noted is not None and told is not None and noted != told:
            raise IdempotencyConflictError(
                notification.payment_reference,
                f"the payment was noted as {entry.amount_cents} {entry.currency} and is notified of as "
                f"{notification.amount_cents} {notification.currency}; nothing was posted",
            )


def _failed(
    entry: CreditTransaction, notification: Notification, otherwise: str = "the payment failed"
) -> CreditTransaction:
    if entry.status == TransactionStatus.PENDING:
        return credits.fail(entry, notification.reason or otherwise)
    entry.was_repeated = True
    return entry


def _completed(entry: CreditTransaction) -> CreditTransaction:
    if entry.status != TransactionStatus.FAILED:
        return credits.complete(entry)
    return purchase_again(entry)


def _take_back(entry: CreditTransaction, notification: Notification, by: User | None) -> None:
    # Two notifications of one payment wait here for each other, so that each sees what the other has taken.
    CreditBalance.select().where(CreditBalance.id == entry.credit_balance_id).for_update().get()
    due = _part(entry, notification) - taken_back(entry)
    if due <= 0:
        return
    key = f"payment-refund/{entry.id}/{notification.refunded_cents or 'all'}"
    payer = entry.user_id
    if credits.balance(payer, kind=entry.credit_kind_id) < due:
        payer = person_behind(payer).id  # where credits of a duplicate have gone
    reason = "the payment was refunded"
    credits.take_back(entry, credits=due, reason=reason, from_user=payer, by=by, idempotency_key=key)


def _part(entry: CreditTransaction, notification: Notification) -> int:
    """How many of the credits all that was given back so far stands for."""
    whole, back = notification.amount_cents or entry.amount_cents, notification.refunded_cents
    if not whole or back is None or back >= whole:
        return entry.amount
    return entry.amount * back // whole
