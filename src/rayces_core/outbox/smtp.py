"""Sends one e-mail over SMTP, and says of what went wrong whether another time may help."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

from rayces_core.errors import ConfigurationError, DeliveryError, UndeliverableError

PORTS: Final = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
PERMANENT: Final = 500


@dataclass(frozen=True, slots=True)
class Server:
    """An SMTP server, with the login if it wants one. `scheme`: smtps (TLS), smtp (STARTTLS), smtp+plain (neither)."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"<Server {self.scheme}://{self.host}:{self.port}>"

    def send(self, mail: EmailMessage, seconds: float) -> None:
        """Send it on a connection of its own.

        Raises:
            UndeliverableError: the server refuses the message or its receiver for good. DeliveryError: what may pass.
        """
        try:
            with self._connected(seconds) as connection:
                if self.scheme == "smtp":
                    connection.starttls(context=ssl.create_default_context())
                if self.user is not None:
                    connection.login(self.user, self.password or "")
                connection.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _failed(code, said) from error
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise _failed(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPNotSupportedError, UnicodeError) as error:
            raise UndeliverableError(f"the mail server cannot take it: {error}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    def _connected(self, seconds: float) -> smtplib.SMTP:
        if self.scheme == "smtps":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=seconds, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=seconds)


def server_at(url: str) -> Server:
    """The server that a URL names, such as smtp://user:password@mail.example.org:587.

    Raises:
        ConfigurationError: it names none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except (ValueError, AttributeError):
        raise ConfigurationError("the URL of the mail server is malformed") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError(
            "the URL of the mail server begins with smtps:// (TLS), smtp:// (STARTTLS) or smtp+plain:// (neither), "
            "such as smtp://user:password@mail.example.org:587"
        )
    user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
    return Server(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, password)


def _failed(code: int, said: bytes | str) -> DeliveryError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    kind = UndeliverableError if code >= PERMANENT else DeliveryError
    return kind(f"the mail server answered {code} {text}")
