"""Packages: credits that are bought together, hold until a day, and are gone after it.

Rule it guards: what is left of a lot goes by an entry of its own, once, however many sweeps run and wherever one dies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.credits.arguments import (
    OWN_PENDING,
    acting_user,
    check_tenant,
    credit_kind_id,
    moment,
    noted,
    paid_amount,
    payment,
    text,
    user_id,
)
from rayces_core.credits.ledger import post, post_or_none, undisturbed
from rayces_core.credits.posting import Posting
from rayces_core.credits.terms import Terms, open_lot
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.credit_lot import CreditLot
from rayces_core.models.credit_package import CreditPackage
from rayces_core.models.user import User
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.organization import Organization, on_their_way, taken_apart
from rayces_core.tenancy.scoping import check_reach
from rayces_core.tenancy.sweeping import each_in_turn

BATCH: Final = 500
# What a lot leaves to those after it counts all of its balance, so a page begins outside of that.
EXPIRED: Final = """
SELECT * FROM (SELECT lot.organization_id, lot.id, held.user_id, held.credit_kind_id, least(lot.remaining,
       held.balance - held.reserved + lot.remaining - sum(lot.remaining) OVER (
           PARTITION BY lot.organization_id, held.id ORDER BY lot.expires_at, lot.id))::integer AS gone, lot.expires_at
  FROM credit_lots AS lot
  JOIN credit_balances AS held
       ON {held}held.organization_id = lot.organization_id AND held.id = lot.credit_balance_id
 WHERE {lot}lot.remaining > 0 AND lot.expires_at <= coalesce(%(set)s, clock_timestamp())
   AND lot.organization_id >= %(from_org)s
) AS expired
 WHERE gone > 0 AND (organization_id, id) > (%(from_org)s, %(from_id)s)
 ORDER BY organization_id, id LIMIT %(size)s"""


@dataclass(frozen=True, slots=True)
class OverdueLot:
    """A lot whose day is over, and how many `credits` go of it: what is left, but for what is reserved."""

    organization_id: int
    lot_id: int
    user_id: int
    credit_kind_id: int | None
    credits: int
    expired_at: datetime


def purchase_package(
    user: User | int,
    package: CreditPackage | int,
    *,
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
    """Add a package's credits to a user's balance of its kind; they hold until its day.

    Args:
        package: the CreditPackage or its id. amount_cents, currency: what was paid; without them the package's price.
        pending: only note it, on the terms of today: credits, price, and until when they hold, whatever becomes of the
            package; days are counted from the one when `complete` lets it count.
        The others are as for `purchase`.

    Returns:
        The ledger's entry, as `purchase` does.

    Raises:
        InvalidDataError: the package is not sold any more, or its day is over.
        All that `purchase` raises.
    """
    sold, at = _package(package), moment(now)
    of, (method, reference) = user_id(user), payment(payment_method, payment_reference)
    acting = acting_user(by, "sell a package to this user", of, *((OWN_PENDING,) if pending else ()))
    told = (sold.price_cents, sold.currency) if amount_cents is None else (amount_cents, currency)
    cents, code = paid_amount(*told)
    posting = Posting(
        of,
        sold.credits,
        TransactionType.PURCHASE,
        at,
        status=TransactionStatus.PENDING if pending else TransactionStatus.COMPLETED,
        credit_kind_id=sold.credit_kind_id,
        terms=Terms.of_package(sold),
        is_at_its_price=amount_cents is None,
        payment_method=method,
        payment_reference=reference,
        amount_cents=cents,
        currency=code,
        key=text(idempotency_key, "idempotency_key"),
        by=acting,
        metadata=noted(metadata),
        for_somebody=True,
    )
    return undisturbed(lambda: _buy(posting, sold))


def purchase_again(failed: CreditTransaction) -> CreditTransaction:
    """Post a payment that failed, and was made after all, as its next attempt: of the same kind and package.

    What was paid for counts, on the terms that it was sold on, whether it is still sold or not.

    Raises:
        PackageExpiredError: the day until which it would hold is over.
    """
    posting = Posting(
        failed.user_id,
        failed.amount,
        TransactionType.PURCHASE,
        moment(None),
        credit_kind_id=failed.credit_kind_id,
        terms=Terms.of_sale(failed),
        payment_method=failed.payment_method,
        payment_reference=failed.payment_reference,
        amount_cents=failed.amount_cents,
        currency=failed.currency,
        metadata=failed.metadata,
    )
    return undisturbed(lambda: _buy(posting))


def _buy(posting: Posting, sold: CreditPackage | None = None) -> CreditTransaction:
    made = post(posting)
    if not made.was_repeated:
        if sold is not None:
            _check_sold(sold, posting.now)
        if posting.terms is not None and posting.status is TransactionStatus.COMPLETED:
            open_lot(made)
    return made


def _package(given: object) -> CreditPackage:
    if isinstance(given, CreditPackage):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError("package", given, "needs a saved CreditPackage or an id")
    check_tenant()
    return CreditPackage.get_by_id(given)


def _check_sold(sold: CreditPackage, now: datetime) -> None:
    """Raise unless the package is sold today; a repeated request is not asked."""
    if not sold.active:
        raise InvalidDataError("package", sold.id, "is not sold any more")
    today = now.astimezone(Organization.get_by_id(sold.organization_id).zone).date()
    if sold.valid_until is not None and sold.valid_until < today:
        raise InvalidDataError("package", sold.id, f"its credits held until {sold.valid_until.isoformat()}")


def _is_of_package(entry: CreditTransaction) -> bool:
    return entry.credit_package_id is not None


@CreditTransaction.lifecycle.within("complete", when=_is_of_package, reads=("credit_package",))
def open_lot_at_completion(change: StateChange) -> None:
    """Let the credits of a package that waited for its payment hold until their day."""
    open_lot(change.subject)


def lots(user: User | int, *, kind: CreditKind | int | None = None) -> list[CreditLot]:
    """What a user has left of packages, of a kind or of the default one: what is spent first comes first.

    What has expired is among them until `expire_lots` has posted it.
    """
    check_tenant()
    key = credit_kind_id(kind) or 0
    mine = (CreditBalance.user == user_id(user)) & (CreditBalance.credit_kind_key == key)
    found = CreditLot.select().join(CreditBalance).where(mine & (CreditLot.remaining > 0))
    return list(found.order_by(CreditLot.expires_at, CreditLot.id))


def expire_lots(now: datetime | None = None) -> int:
    """Post what is left of every lot whose day is over, but for what is reserved: an entry of its own for each.

    Safe to run from many hosts at once, and again after a crash. In privileged work it is about every organization.

    Args:
        now: the present; it may differ from the server's by a minute at most, as for every entry.

    Returns:
        How many entries this call has made.

    Raises:
        RaycesError: a lot's could not be posted, or more of them; those of all the others are.
    """
    at = moment(now)
    return each_in_turn(_overdue(at), lambda lot: _expire(lot, at), lambda lot: f"expiring lot {lot.lot_id}")


def overdue_lots(now: datetime | None = None) -> list[OverdueLot]:
    """What `expire_lots` would post now, by organization and lot; it changes nothing.

    In privileged work it is about every organization.
    """
    return list(_overdue(moment(now)))


def _overdue(at: datetime) -> Iterator[OverdueLot]:
    tenant = current().organization_id
    tenants: list[int | None] = taken_apart() if tenant is None else [tenant]
    moving = on_their_way()
    for each in tenants:
        yield from (lot for lot in _overdue_of(at, each) if lot.organization_id not in moving)


def _overdue_of(at: datetime, organization: int | None) -> Iterator[OverdueLot]:
    own = "" if organization is None else "{}.organization_id = %(tenant)s AND "
    sql = EXPIRED.format(lot=own.format("lot"), held=own.format("held"))
    values = {"tenant": organization, "set": at if clock.is_frozen() else None, "size": BATCH}
    last = (0, 0)
    while True:
        place = {"from_org": last[0], "from_id": last[1]}
        found = current().engine.run_prepared(sql, values | place).fetchall()
        yield from (OverdueLot(*row) for row in found)
        if len(found) < BATCH:
            return
        last = found[-1][:2]


def _expire(gone: OverdueLot, at: datetime) -> bool:
    """Post it; what was moved meanwhile is left to the next sweep."""
    posting = Posting(
        gone.user_id,
        -gone.credits,
        TransactionType.EXPIRY,
        at,
        credit_kind_id=gone.credit_kind_id,
        lot_id=gone.lot_id,
        organization_id=gone.organization_id,
    )
    return post_or_none(posting) is not None
