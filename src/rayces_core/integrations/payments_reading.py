"""Reads the notifications of payment providers: who sent them is verified, and what they say is brought to one form.

Sources: Stripe, "Verify webhook signatures manually" and the events of Checkout, PaymentIntents and Charges; Mercado
Pago, "Webhooks: validate the origin of the notification" and "GET /v1/payments/{id}".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from rayces_core import clock
from rayces_core.errors import ConfigurationError, NotificationRefusedError

TOLERANCE_SECONDS: Final = 300
LONGEST_BODY: Final = 1 << 20
# Currencies that have no hundredths (Stripe, "Zero-decimal currencies"): their amounts are whole already.
WHOLE_CURRENCIES: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)


class Status(StrEnum):
    """What a notification says of a payment."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Notification:
    """What a verified notification says.

    Attributes:
        payment_method, payment_reference: by which the ledger knows the payment.
        amount_cents, currency: what was paid, in hundredths; None where it is not told.
        refunded_cents: how much of it was given back so far, where `status` is refunded; None for all of it.
        reason: why it failed, in the provider's word.
        event_id: the notification's own id, for the log.
    """

    payment_method: str
    payment_reference: str
    status: Status
    amount_cents: int | None = None
    currency: str | None = None
    refunded_cents: int | None = None
    reason: str | None = None
    event_id: str | None = None


class Stripe:
    """Reads Stripe's notifications. The payment's reference is the Checkout session's `client_reference_id`, else the
    object's metadata `payment_reference`, else the id of its PaymentIntent.

    For refunds put `payment_reference` into `payment_intent_data.metadata` of the session: a Charge knows no
    `client_reference_id`.

    Args:
        secrets: signing secrets of the endpoint ("whsec_…"), several while one is being changed.
        method: the ledger's `payment_method`.
        tolerance: seconds that a notification may be old.
    """

    def __init__(self, secrets: Iterable[str], *, method: str = "stripe", tolerance: int = TOLERANCE_SECONDS) -> None:
        self._secrets, self.method, self._tolerance = _checked(secrets), method, tolerance

    def read(self, body: bytes, headers: Mapping[str, str], *, now: datetime | None = None) -> Notification | None:
        """What the notification says of a payment; None where it is about something else.

        Args:
            body: as it was received. headers: names in any case.

        Raises:
            NotificationRefusedError: it is not signed with one of the secrets, too old, or malformed.
        """
        signature = _header(headers, "stripe-signature")
        pairs = [pair.strip().partition("=") for pair in signature.split(",")]
        stamps = [value for name, _, value in pairs if name == "t"]
        given = [value for name, _, value in pairs if name == "v1"]
        stamp = _fresh(stamps[0] if len(stamps) == 1 else "", self._tolerance, now)
        _check_signed(self._secrets, f"{stamp}.".encode() + body, given)
        event = _object(body)
        return self._said(str(event.get("type")), _member(event, "data", "object"), event.get("id"))

    def _said(self, kind: str, about: dict[str, Any], event_id: Any) -> Notification | None:
        status = _stripe_status(kind, about)
        reference = about.get("client_reference_id") or (about.get("metadata") or {}).get("payment_reference")
        if reference is None:
            reference = about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent")
        if status is None or not isinstance(reference, str):
            return None
        failure = (about.get("last_payment_error") or {}).get("code") if status is Status.FAILED else None
        currency = str(about.get("currency") or "").upper() or None
        return Notification(
            self.method,
            reference,
            status,
            amount_cents=_cents(about.get("amount_total", about.get("amount")), currency),
            currency=currency,
            refunded_cents=_cents(about.get("amount_refunded"), currency) if status is Status.REFUNDED else None,
            reason=failure or (kind if status is Status.FAILED else None),
            event_id=event_id,
        )


def _stripe_status(kind: str, about: Mapping[str, Any]) -> Status | None:
    if kind == "checkout.session.completed":  # of methods that take days it says "unpaid", and another one follows
        return Status.PENDING if about.get("payment_status") == "unpaid" else Status.COMPLETED
    return {
        "checkout.session.async_payment_succeeded": Status.COMPLETED,
        "checkout.session.async_payment_failed": Status.FAILED,
        "checkout.session.expired": Status.FAILED,
        "payment_intent.succeeded": Status.COMPLETED,
        "payment_intent.canceled": Status.FAILED,
        "charge.refunded": Status.REFUNDED,
    }.get(kind)


class MercadoPago:
    """Reads Mercado Pago's notifications. They tell a payment's id alone; what became of it is asked for.

    The payment's reference is its `external_reference`, else its id.

    Args:
        secrets: the application's secret signatures, several while one is being changed.
        payment: id → the payment as GET /v1/payments/{id} gives it; the host asks, with its access token.
        method: the ledger's `payment_method`. tolerance: seconds that a notification may be old.
    """

    def __init__(
        self,
        secrets: Iterable[str],
        payment: Callable[[str], Mapping[str, Any]],
        *,
        method: str = "mercado_pago",
        tolerance: int = TOLERANCE_SECONDS,
    ) -> None:
        self._secrets, self._payment = _checked(secrets), payment
        self.method, self._tolerance = method, tolerance

    def read(
        self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str], *, now: datetime | None = None
    ) -> Notification | None:
        """What became of the payment that the notification is about; None where it is about something else.

        Args:
            query: parameters of the URL it was posted to; the signature is over its `data.id`.

        Raises:
            NotificationRefusedError: it is not signed with one of the secrets, too old, or malformed.
        """
        data_id, request_id = query.get("data.id", ""), _header(headers, "x-request-id", needed=False)
        pairs = dict(pair.strip().partition("=")[::2] for pair in _header(headers, "x-signature").split(","))
        stamp = _fresh(pairs.get("ts", ""), self._tolerance, now)
        # Parts that were not sent are left out of what is signed.
        parts = {"id": data_id.lower(), "request-id": request_id, "ts": stamp}
        manifest = "".join(f"{name}:{value};" for name, value in parts.items() if value)
        _check_signed(self._secrets, manifest.encode(), [pairs.get("v1", "")])
        told = _object(body)
        if told.get("type") != "payment" or not re.fullmatch(r"[0-9]{1,20}", data_id):
            return None
        if str(_member(told, "data").get("id")) != data_id:  # the body is not signed: only the URL's id counts
            raise NotificationRefusedError("the body is about another payment than the signed one")
        return self._said(data_id, self._payment(data_id), told.get("id"))

    def _said(self, data_id: str, payment: Mapping[str, Any], event_id: Any) -> Notification | None:
        status = _MERCADO_PAGO.get(str(payment.get("status")))
        if status is None:
            return None
        refunded = payment.get("transaction_amount_refunded") if status is not Status.FAILED else None
        refunded_cents = _hundredths(refunded) or None
        if status is Status.COMPLETED and refunded_cents:
            status = Status.REFUNDED  # in part: the payment stays approved
        return Notification(
            self.method,
            str(payment.get("external_reference") or data_id),
            status,
            amount_cents=_hundredths(payment.get("transaction_amount")),
            currency=payment.get("currency_id"),
            refunded_cents=refunded_cents if status is Status.REFUNDED else None,
            reason=str(payment.get("status_detail") or "") or None if status is Status.FAILED else None,
            event_id=None if event_id is None else str(event_id),
        )


_MERCADO_PAGO: Final = {
    "approved": Status.COMPLETED,
    "rejected": Status.FAILED,
    "cancelled": Status.FAILED,
    "refunded": Status.REFUNDED,
    "charged_back": Status.REFUNDED,
    **dict.fromkeys(("pending", "in_process", "authorized", "in_mediation"), Status.PENDING),
}


# -- what both need ---------------------------------------------------------------------------------------------------


def _checked(secrets: Iterable[str]) -> tuple[bytes, ...]:
    given = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if not given or not all(isinstance(each, str) and each.strip() for each in given):
        raise ConfigurationError("verifying notifications needs the secrets that the provider shows, and none is empty")
    return tuple(each.strip().encode() for each in given)


def _header(headers: Mapping[str, str], name: str, *, needed: bool = True) -> str:
    found = [value for each, value in headers.items() if each.lower() == name]
    if needed and not found:
        raise NotificationRefusedError(f"the notification has no header {name}")
    return found[0] if found else ""


def _fresh(stamp: str, tolerance: int, now: datetime | None) -> str:
    """The time stamp as it was sent, in seconds or milliseconds, if it is of now."""
    if not re.fullmatch(r"[0-9]{1,16}", stamp):
        raise NotificationRefusedError("the signature has no time stamp")
    seconds = int(stamp) / 1000 if len(stamp) > 11 else int(stamp)
    if abs(clock.moment(now).timestamp() - seconds) > tolerance:
        raise NotificationRefusedError("the notification is too old, or this machine's clock is wrong")
    return stamp


def _check_signed(secrets: Iterable[bytes], signed: bytes, given: Iterable[str]) -> None:
    if len(signed) > LONGEST_BODY:
        raise NotificationRefusedError("the notification is too long")
    wanted = [hmac.new(secret, signed, hashlib.sha256).hexdigest() for secret in secrets]
    signatures = list(given)
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in wanted for other in signatures):
        raise NotificationRefusedError("the notification is signed with none of the secrets")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotificationRefusedError("the notification is no JSON object")
    return found


def _member(found: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        inner = found.get(name)
        if not isinstance(inner, dict):
            raise NotificationRefusedError(f"the notification has no {'.'.join(names)}")
        found = inner
    return found


def _cents(given: Any, currency: str | None) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int):
        return None
    return given * 100 if currency in WHOLE_CURRENCIES else given


def _hundredths(given: Any) -> int | None:
    try:
        return None if given is None else int((Decimal(str(given)) * 100).to_integral_value())
    except (InvalidOperation, ValueError):
        raise NotificationRefusedError("the payment's amount is no number") from None
