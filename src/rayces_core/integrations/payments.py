"""Payments: what a provider notifies of is verified, known again when it comes twice, and posted to the ledger.

    stripe = payments.Stripe([os.environ["STRIPE_WEBHOOK_SECRET"]])
    notification = stripe.read(body, headers)          # the body as it came, unparsed
    if notification is not None:
        with db.tenant(subdomain):
            payments.post(notification)

A purchase is noted before the payment begins, `credits.purchase(..., payment_method="stripe", payment_reference=…,
pending=True)`; a notification finds it by method and reference, and completes it, closes it as failed, or takes the
credits back. However often it comes, and in whatever order, that happens once.
"""

from rayces_core.errors import NotificationRefusedError, PaymentUnknownError
from rayces_core.integrations.payments_posting import post
from rayces_core.integrations.payments_reading import MercadoPago, Notification, Status, Stripe

__all__ = [
    "MercadoPago",
    "Notification",
    "NotificationRefusedError",
    "PaymentUnknownError",
    "Status",
    "Stripe",
    "post",
]
