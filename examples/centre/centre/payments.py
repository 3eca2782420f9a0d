"""A pretend payment provider: its page calls our webhook, signed as a real one would, and sends the family back."""

import json
import os
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import httpx
from fastapi import APIRouter, Form, HTTPException, Request, Response
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from centre.pages import PageRoute, back, page, words_of
from centre.web import rayces
from rayces_core import CreditTransaction, User, credits, outbox

router = APIRouter(route_class=PageRoute, include_in_schema=False)
hooks = APIRouter(include_in_schema=False)
PRICE_CENTS = 1_500_000
SECRET = os.environ.get("CENTRE_PAYMENT_SECRET") or outbox.new_secret()


def start_payment(payer: User, how_many: int, key: str) -> str:
    """Note what is to be paid; returns the address of the provider's page."""
    entry = credits.purchase(payer, how_many, amount_cents=how_many * PRICE_CENTS, **_pending(payer, key))
    return f"/pay/{entry.payment_reference}"


def start_package_payment(payer: User, package: int, key: str) -> str:
    """The same for a package, at its price."""
    entry = credits.purchase_package(payer, package, **_pending(payer, key))
    return f"/pay/{entry.payment_reference}"


def _pending(payer: User, key: str) -> dict[str, Any]:
    how = {"payment_method": "pretend", "payment_reference": uuid4().hex, "pending": True}
    return how | {"idempotency_key": key, "by": payer}


@router.get("/pay/{reference}")
def payment_page(request: Request, me: rayces.CurrentUser, reference: str) -> Response:
    mine = CreditTransaction.visible_to(me).where(CreditTransaction.payment_reference == reference)
    return page(request, "pay.html", me, entry=mine.get())


@router.post("/pay/{reference}")
def pay(request: Request, me: rayces.CurrentUser, reference: str, accept: Annotated[bool, Form()]) -> Response:
    CreditTransaction.visible_to(me).where(CreditTransaction.payment_reference == reference).get()
    body = json.dumps({"reference": reference, "status": "paid" if accept else "refused"})
    number, now = f"msg_{uuid4().hex}", datetime.now(UTC)
    headers = {
        "host": request.headers["host"],
        "webhook-id": number,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(number, now, body),
    }
    server, port = request.scope["server"]
    httpx.post(f"http://{server}:{port}/webhooks/pretend", content=body, headers=headers, timeout=10).raise_for_status()
    return back("/family/credits", words_of(request)("paid" if accept else "unpaid"), good=accept)


@hooks.post("/webhooks/pretend", status_code=204)
async def notified(request: Request) -> None:
    try:
        told = Webhook(SECRET).verify(await request.body(), dict(request.headers))
    except (WebhookVerificationError, ValueError):  # what is no text cannot be verified
        raise HTTPException(400, "the signature is not ours") from None
    await rayces.run(settle, told["reference"], told["status"])


def settle(reference: str, status: str) -> None:
    """Let the payment count, once, however often the provider says so."""
    entry = CreditTransaction.get(
        CreditTransaction.payment_method == "pretend", CreditTransaction.payment_reference == reference
    )
    if status == "paid":
        credits.complete(entry)
    else:
        credits.fail(entry, "the payment was refused")
