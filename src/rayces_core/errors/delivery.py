"""What delivering messages of the outbox and taking notifications of payments raise."""

from __future__ import annotations

from rayces_core.errors.base import RaycesError


class DeliveryError(RaycesError):
    """A message was not delivered this time; the relay tries again later.

    A deliverer may raise anything: this one lets it say when. Attribute: `retry_after`, seconds to wait, or None.
    """

    code = "delivery"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class AddressRefusedError(DeliveryError):
    """The host of a webhook leads to an address that is not public, so nothing was sent.

    Attributes: `host`; `address`, the one that is refused, None where none was found.
    """

    code = "address_refused"

    def __init__(self, host: str, address: str | None) -> None:
        self.host, self.address = host, address
        found = f"leads to {address}, which is not public" if address else "leads nowhere"
        DeliveryError.__init__(self, f"{host} {found}; give the endpoint a public https address")


class UndeliverableError(DeliveryError):
    """A message cannot be delivered, however often it is tried; the relay gives it up for this deliverer at once."""

    code = "undeliverable"


class NotificationRefusedError(RaycesError):
    """A payment notification is not what its provider sent, or too old; answer with 400 and post nothing."""

    code = "notification_refused"


class PaymentUnknownError(RaycesError, LookupError):
    """A payment that was notified of is not in the ledger, yet. Attributes: `payment_method`, `payment_reference`."""

    code = "payment_unknown"

    def __init__(self, payment_method: str, payment_reference: str) -> None:
        self.payment_method, self.payment_reference = payment_method, payment_reference
        super().__init__(
            f"no purchase has the {payment_method} reference {payment_reference!r}; note it with "
            "credits.purchase(..., pending=True) before the payment begins, and have the provider notify again"
        )
