"""E-mail: a deliverer that writes to the person whom a message concerns, with a calendar entry where a time is set.

What goes into a header is one line of text whatever it holds, and an address is one that the standard library accepts
as such; so nothing that a family types reaches a header of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from rayces_core.errors import ConfigurationError, UndeliverableError
from rayces_core.models.user import User
from rayces_core.outbox.calendar import Entry, ics
from rayces_core.outbox.letters import LETTERS, Letter, Writer, noticed
from rayces_core.outbox.message import Message
from rayces_core.outbox.rendering import Rendered, Templates, checked_language
from rayces_core.outbox.smtp import server_at
from rayces_core.tenancy.organization import Organization

logger = logging.getLogger("rayces_core")

LONGEST_NAME: Final = 200
Language = str | Callable[[User, Organization], str]
Link = str | Callable[[Message, User, Organization], str]


class Mail:
    """Writes e-mails about messages of these topics: bookings, holds, credits, invitations, new passwords.

    Of bookings an organization is left out that has e-mails about them among its notices.
    Nobody writes to who was erased.

    Args:
        server: smtps:// (TLS), smtp:// (STARTTLS) or smtp+plain:// (neither), with user and password if it wants them.
        sender: the From address; the name beside it is the organization's.
        folders: of templates that come before the library's own: `{language}/{name}.txt` and `.html`.
        language: of who has no language of their own: "en", "es" or another one that `folders` have; or a function of
            the User and the Organization, which then decides for all.
        links: template's name → URL with {subdomain}, {id} in it, or a function of message, user and organization.
            "invitation", "confirmation" and "reset" need `sign_in.link(url)`, which makes the token.
        letters: topic → a function of the Message that gives Letters, for topics of one's own or in place of ours.
        credits_low: a balance that a debit leaves at or below so many credits is told of; None tells of none.
        seconds: for each step of the way to the server.
    """

    def __init__(
        self,
        server: str,
        *,
        sender: str,
        folders: Iterable[str | os.PathLike[str]] = (),
        language: Language = "en",
        links: Mapping[str, Link] | None = None,
        letters: Mapping[str, Writer] | None = None,
        credits_low: int | None = 1,
        seconds: float = 15.0,
    ) -> None:
        self._server, self._seconds = server_at(server), seconds
        try:
            self._sender = Address(addr_spec=sender)
        except (MessageError, ValueError, IndexError, AttributeError):
            raise ConfigurationError(f"sender= is an address like bookings@example.org, not {sender!r:.60}") from None
        self._templates = Templates(folders)
        self._language = language if callable(language) else checked_language(language)
        self._links = dict(links or {})
        for name, link in self._links.items():
            if not callable(link) and "{token}" in link:  # messages hold no secret to fill in
                raise ConfigurationError(f"the link {name!r} has a {{token}}: give sign_in.link({link!r:.200})")
        self._letters = LETTERS | dict(letters or {})
        self._credits_low = credits_low

    def __call__(self, message: Message) -> None:
        """Write to whom the message concerns; nothing for topics that no e-mail is about."""
        writer = self._letters.get(message.topic)
        if writer is None or _is_left_to_notices(message):
            return
        for number, letter in enumerate(writer(message)):
            if letter.to.erased_at is None and (letter.template != "credits_low" or self._is_low(letter)):
                self._send(message, letter, number)

    def _is_low(self, letter: Letter) -> bool:
        return self._credits_low is not None and letter.values["credits"] <= self._credits_low

    def _send(self, message: Message, letter: Letter, number: int) -> None:
        organization = Organization.get_by_id(message.organization_id)
        user = letter.to
        values = {
            "organization": organization,
            "zone": organization.zone,
            "name": user.first_name or user.full_name,
            "link": self._link(message, letter, user, organization),
            **letter.values,
        }
        rendered = self._templates.render(letter.template, self._language_of(letter, organization), values)
        self._server.send(self._mail(message, letter, number, rendered, organization), self._seconds)

    def _language_of(self, letter: Letter, organization: Organization) -> str:
        """The recipient's own, if the template is written in it; a host's may not be."""
        if callable(self._language):
            return checked_language(self._language(letter.to, organization))
        own = letter.to.language
        return own if own is not None and self._templates.has(letter.template, own) else self._language

    def _link(self, message: Message, letter: Letter, user: User, organization: Organization) -> str | None:
        link = self._links.get(letter.template)
        if callable(link):
            return link(message, user, organization)
        if link is None:
            if letter.needs_link:
                raise UndeliverableError(f"the e-mail {letter.template} needs a link; give Mail(links=...)")
            return None
        return link.format(subdomain=organization.subdomain, id=message.subject[1])

    def _mail(
        self, message: Message, letter: Letter, number: int, rendered: Rendered, organization: Organization
    ) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        try:
            mail["From"] = Address(one_line(organization.name), addr_spec=self._sender.addr_spec)
            mail["To"] = Address(one_line(letter.to.full_name), addr_spec=letter.to.email)
        except (MessageError, ValueError, IndexError, AttributeError) as error:
            raise UndeliverableError(f"user {letter.to.id} has no address that can be written to") from error
        mail["Subject"] = one_line(rendered.subject)
        mail["Date"] = message.occurred_at
        mail["Message-ID"] = f"<{message.message_id}.{number}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(rendered.text)
        if rendered.html is not None:
            mail.add_alternative(rendered.html, subtype="html")
        if letter.calendar is not None:
            self._attach(mail, letter, organization)
        return mail

    def _attach(self, mail: EmailMessage, letter: Letter, organization: Organization) -> None:
        told = letter.calendar
        assert told is not None  # noqa: S101 - the caller has looked
        entry = Entry(
            uid=told.uid,
            sequence=told.sequence,
            method=told.method,
            starts_at=told.starts_at,
            minutes=told.minutes,
            summary=f"{letter.values['student']}, {letter.values['professional']}",
            organizer=(organization.name, self._sender.addr_spec),
            attendee=(letter.to.full_name, letter.to.email),
            stamped_at=told.stamped_at,
            location=organization.address or "",
        )
        mail.add_attachment(
            ics(entry),
            maintype="text",
            subtype="calendar",
            filename="appointment.ics",
            params={"method": told.method, "charset": "utf-8"},
        )


def _is_left_to_notices(message: Message) -> bool:
    """Whether the organization has a rule of its own for e-mails about it."""
    event = noticed(message)
    if event is None:
        return False
    rules = Organization.get_by_id(message.organization_id).policy.notices.rules_for(event)
    return any("email" in rule.channels for rule in rules)


def one_line(text: str) -> str:
    """A text for a header: printable, on one line, not too long."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:LONGEST_NAME]
