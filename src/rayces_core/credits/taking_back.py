"""Taking a purchase back, whose payment went back: of what it bought first, and never more than that.

Rule it guards: the entries that take a purchase back never add up to more than it bought; the balance's lock has them
see each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from peewee import fn

from rayces_core.credits.arguments import (
    acting_user,
    check_tenant,
    moment,
    needed_text,
    noted,
    text,
    user_id,
    whole_credits,
)
from rayces_core.credits.ledger import lock_balances, post, undisturbed
from rayces_core.credits.posting import Posting
from rayces_core.errors import InvalidDataError
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User
from rayces_core.tenancy.scoping import check_reach


def take_back(
    purchase: CreditTransaction,
    *,
    credits: int | None = None,
    reason: str,
    from_user: User | int | None = None,
    idempotency_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    by: User | None = None,
    now: datetime | None = None,
) -> CreditTransaction:
    """Take back what a purchase bought, or a part of it, as its payment went back.

    What is left of its own lot is taken first, then what any debit would take. What has expired is not there any more.

    Args:
        purchase: the completed entry. credits: how many; at most, and by default, what was not taken back before.
        from_user: who has them by now, where that is not who bought them.
        by: the member of staff who does it, as an adjustment; without one it is a debit.

    Returns:
        The ledger's entry, its amount below zero; it names the purchase as `takes_back`.

    Raises:
        InsufficientCreditsError: they are spent, or reserved. InvalidDataError: it is no purchase that counts, or
            fewer are left of it. IdempotencyConflictError, NotPermittedError, CrossTenantError, ReferenceNotFoundError.
    """
    check_tenant()
    bought = _purchase(purchase)
    told = None if credits is None else whole_credits(credits)
    key, why = text(idempotency_key, "idempotency_key"), needed_text(reason, "reason")
    acting, at, besides = acting_user(by, "take a purchase back"), moment(now), noted(metadata)
    payer = bought.user_id if from_user is None else user_id(from_user, "from_user")

    def act() -> CreditTransaction:
        lock_balances({bought.user_id, payer})
        left = bought.amount - taken_back(bought)
        amount = told or left or bought.amount
        if amount > left and not _is_taken(key):
            raise InvalidDataError("credits", amount, f"must be at most what is left of the purchase, {left}")
        return post(
            Posting(
                payer,
                -amount,
                TransactionType.APPOINTMENT_DEBIT if acting is None else TransactionType.ADMIN_ADJUSTMENT,
                at,
                credit_kind_id=bought.credit_kind_id,
                takes_back=bought,
                key=key,
                by=acting,
                reason=why,
                metadata=besides,
                is_rest=told is None,
            )
        )

    return undisturbed(act)


def taken_back(purchase: CreditTransaction) -> int:
    """How many credits of a purchase were taken back."""
    entry = CreditTransaction
    place = (entry.takes_back_balance == purchase.credit_balance_id) & (entry.takes_back_sequence == purchase.sequence)
    counted = place & (entry.status == TransactionStatus.COMPLETED)
    return -int(entry.select(fn.coalesce(fn.sum(entry.amount), 0)).where(counted).scalar())


def _purchase(given: object) -> CreditTransaction:
    if not isinstance(given, CreditTransaction):
        raise InvalidDataError("purchase", given, "needs the entry of a purchase")
    check_reach(given)
    bought: CreditTransaction = CreditTransaction.get_by_id(given.id)
    if (bought.transaction_type, bought.status) != (TransactionType.PURCHASE, TransactionStatus.COMPLETED):
        raise InvalidDataError("purchase", given.id, "is no purchase that counts")
    return bought


def _is_taken(key: str | None) -> bool:
    """Whether an entry has the key; what it was for is the posting's question."""
    return key is not None and CreditTransaction.select().where(CreditTransaction.idempotency_key == key).exists()
