"""Email: the sender of the channel "email", over SMTP."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from rayces_core.errors import ConfigurationError, UndeliverableError
from rayces_core.notices.delivering import Outgoing
from rayces_core.outbox.mail import one_line
from rayces_core.outbox.smtp import server_at


class Email:
    """Sends notices as e-mails; the name beside the sender's address is the organization's.

    Args:
        server: smtps:// (TLS), smtp:// (STARTTLS) or smtp+plain:// (neither), with user and password if it wants them.
        sender: the From address. seconds: for each step of the way to the server.

    Raises:
        ConfigurationError: the URL or the address is malformed.
    """

    def __init__(self, server: str, *, sender: str, seconds: float = 15.0) -> None:
        self._server, self._seconds = server_at(server), seconds
        try:
            self._sender = Address(addr_spec=sender)
        except (MessageError, ValueError, IndexError, AttributeError):
            raise ConfigurationError(f"sender= is an address like bookings@example.org, not {sender!r:.60}") from None

    def __call__(self, outgoing: Outgoing) -> str:
        """Send it; returns its Message-ID, which is the same at every attempt.

        Raises:
            UndeliverableError: the server refuses it for good, or the address is none. DeliveryError: what may pass.
        """
        mail = self._mail(outgoing)
        self._server.send(mail, self._seconds)
        return str(mail["Message-ID"])

    def _mail(self, outgoing: Outgoing) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        name, domain = one_line(outgoing.organization.name), self._sender.domain
        mail["From"] = Address(name, self._sender.username, domain)
        try:
            mail["To"] = Address(one_line(outgoing.recipient.full_name), addr_spec=outgoing.address or "")
        except (MessageError, ValueError, IndexError) as error:
            raise UndeliverableError(f"the address is none that e-mail can be sent to: {error}") from error
        mail["Subject"] = one_line(outgoing.subject)
        mail["Date"] = outgoing.notice.due_at
        mail["Message-ID"] = f"<{outgoing.key}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(outgoing.text)
        return mail
