"""What becomes of the library's messages: here they are printed; docs/outbox.md shows e-mail and webhooks."""

from centre.web import db
from rayces_core import outbox


def tell(message: outbox.Message) -> None:
    """Deliver one message: it may come twice, under the same id."""
    print(f"[{message.organization_id}] {message.topic} {message.subject}", flush=True)


def relay() -> outbox.Relay:
    """A relay of every message to `tell`."""
    return outbox.relay(db, {"console": tell})
