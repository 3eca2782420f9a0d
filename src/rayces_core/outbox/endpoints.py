"""Endpoints of webhooks: made, and their secrets changed, for the bound organization."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from peewee import SQL

from rayces_core.errors import InvalidDataError
from rayces_core.fields.in_place import remember_saved
from rayces_core.models.webhook import SECRET_PREFIX, WebhookEndpoint
from rayces_core.tenancy.scoping import check_saved

LONGEST_URL: Final = 2048


def new_secret() -> str:
    """A fresh key, as the Standard Webhooks convention writes them."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def add_endpoint(
    url: str, *, topics: Iterable[str] = ("*",), secret: str | None = None, description: str | None = None
) -> WebhookEndpoint:
    """Have the bound organization's messages sent to a URL; `secrets[0]` of what is returned is for the receiver.

    Args:
        topics: patterns such as "appointment.*". secret: a key of the receiver's; a fresh one by default.

    Raises:
        InvalidDataError: the URL, a pattern or the secret is malformed.
    """
    return WebhookEndpoint.create(
        url=checked_url(url),
        topics=list(topics) if isinstance(topics, Iterable) else topics,
        secrets=[secret or new_secret()],
        description=description,
    )


def rotate_secret(endpoint: WebhookEndpoint) -> str:
    """Sign with a fresh key and, until `retire_secrets`, with the one before as well; returns the fresh one."""
    fresh = new_secret()
    _sign_by(endpoint, SQL("jsonb_build_array(%s::text, secrets -> 0)", (fresh,)))
    return fresh


def retire_secrets(endpoint: WebhookEndpoint) -> None:
    """Sign with the newest key only."""
    _sign_by(endpoint, SQL("jsonb_build_array(secrets -> 0)"))


def _sign_by(endpoint: Any, keys: SQL) -> None:
    """Change the keys that the database has, of which others may have changed some since the row was read."""
    check_saved(endpoint, WebhookEndpoint, "endpoint", "make it with outbox.add_endpoint(...)")
    changed = WebhookEndpoint.update(secrets=keys).where(endpoint._pk_expr()).returning(WebhookEndpoint)
    for row in changed.execute():
        endpoint.__data__ |= {"secrets": row.secrets, "updated_at": row.updated_at}
        endpoint._dirty -= {"secrets", "updated_at"}
        remember_saved(endpoint, ("secrets",))


def checked_url(url: str, schemes: tuple[str, ...] = ("https",)) -> str:
    """The URL, if a webhook may be sent there as far as one can see.

    Raises:
        InvalidDataError: it is none, of another scheme, or has a user's name in it.
    """
    if not isinstance(url, str) or len(url) > LONGEST_URL or any(ord(each) < 33 or ord(each) > 126 for each in url):
        raise InvalidDataError("url", url, f"must be a URL of at most {LONGEST_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidDataError("url", url, f"is malformed: {error}") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise InvalidDataError("url", url, f"must be {' or '.join(schemes)}, such as https://hooks.example.org/rayces")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidDataError("url", url, "must have neither a user's name nor a fragment; secrets sign the message")
    return url
