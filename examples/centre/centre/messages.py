"""What becomes of the library's messages: e-mails where CENTRE_SMTP names a server, else they are printed here."""

import os

from centre.web import db
from rayces_core import Organization, User, outbox, sign_in

RESET = sign_in.link(f"{os.environ['CENTRE_URL']}/reset?token={{token}}")


def tell(message: outbox.Message) -> None:
    """Deliver one message: it may come twice, under the same id."""
    print(f"[{message.organization_id}] {message.topic} {message.subject}", flush=True)


def show_link(message: outbox.Message) -> None:
    """Print what an e-mail would hold."""
    user, organization = User.get_by_id(message.subject[1]), Organization.get_by_id(message.organization_id)
    print(f"For {user.email}, to choose a new password: {RESET(message, user, organization)}", flush=True)


def relay() -> outbox.Relay:
    """A relay of every message to `tell`, and of what people are written to."""
    deliverers = {"console": tell, "links": outbox.on("user.reset_requested", show_link)}
    if server := os.environ.get("CENTRE_SMTP"):
        deliverers["links"] = outbox.Mail(server, sender=os.environ["CENTRE_SENDER"], links={"reset": RESET})
    return outbox.relay(db, deliverers)
