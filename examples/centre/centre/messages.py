"""What becomes of the library's messages and notices: e-mails where CENTRE_SMTP names a server, else printed here."""

import os
from threading import Event

from centre.notices import CHANNELS
from centre.web import db
from rayces_core import Organization, User, notices, outbox, sign_in

PAUSE_SECONDS = 2.0
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
    deliverers = {"console": tell, "links": outbox.on("user.reset_requested", show_link), "notices": notices.hear}
    if server := os.environ.get("CENTRE_SMTP"):
        deliverers["links"] = outbox.Mail(server, sender=os.environ["CENTRE_SENDER"], links={"reset": RESET})
    return outbox.relay(db, deliverers)


def show(outgoing: notices.Outgoing) -> None:
    """Print what a provider would be handed."""
    print(f"To {outgoing.address} by {outgoing.channel}: {outgoing.text}", flush=True)


def send_notices(stopping: Event) -> None:
    """Make reminders and send what is due until it is to stop."""
    senders = dict.fromkeys(CHANNELS, show)
    if server := os.environ.get("CENTRE_SMTP"):
        senders["email"] = notices.Email(server, sender=os.environ["CENTRE_SENDER"])
    while not stopping.wait(PAUSE_SECONDS):
        notices.deliver(db, senders, is_stopping=stopping.is_set)
