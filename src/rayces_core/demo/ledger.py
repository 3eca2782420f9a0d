"""The credits of a demo centre that no appointment explains: purchases, and an adjustment at the desk."""

from __future__ import annotations

from datetime import datetime, timedelta

from rayces_core import credits
from rayces_core.demo.shapes import Centre, Pack, Purchase
from rayces_core.models import CreditKind, CreditPackage, User

CREDIT_PRICE_CENTS = 1_500_000


def buy_credits(centre: Centre, users: dict[str, User], desk: User, now: datetime) -> None:
    """Post every purchase of the centre, some of them pending or failed, and its adjustment, for the bound tenant."""
    for purchase in sorted(centre.purchases, key=lambda purchase: -purchase.days_ago):
        _buy(purchase, users[purchase.guardian], now - timedelta(days=purchase.days_ago, hours=2))
    name, amount, reason = centre.adjustment
    credits.adjust(users[name], amount, reason=reason, by=desk, now=now - timedelta(days=3))
    kind = CreditKind.create(name="Workshops")
    for pack in centre.packs:
        _sell(pack, kind, users[pack.guardian], desk, now - timedelta(days=pack.days_ago))
    # Families buy it by themselves, at its price.
    price = {"price_cents": 11 * CREDIT_PRICE_CENTS, "currency": "ARS"}
    CreditPackage.create(name="Twelve sessions", credits=12, valid_days=180, **price)


def _sell(pack: Pack, kind: CreditKind, user: User, desk: User, at: datetime) -> None:
    package = CreditPackage.create(name=pack.name, credits=pack.credits, credit_kind=kind, valid_days=pack.valid_days)
    credits.purchase_package(user, package, payment_method="cash", by=desk, now=at)


def _buy(purchase: Purchase, user: User, at: datetime) -> None:
    entry = credits.purchase(
        user,
        purchase.credits,
        payment_method="mercadopago",
        payment_reference=purchase.reference,
        amount_cents=purchase.credits * CREDIT_PRICE_CENTS,
        pending=purchase.status != "completed",
        idempotency_key=f"purchase:{purchase.reference}",
        now=at,
    )
    if purchase.status == "failed":
        credits.fail(entry, "the card was refused", now=at + timedelta(minutes=2))
