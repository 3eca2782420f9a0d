"""Webhooks: a deliverer that posts each message, signed, to the endpoints of its organization.

As the Standard Webhooks convention says: `webhook-id` is the same at every attempt, `webhook-signature` has a signature
for each of the endpoint's secrets, and what is signed is id, timestamp and body. Each endpoint is a receiver of its
own: one that fails gets the message again, and the others do not.
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

from rayces_core import clock
from rayces_core.errors import (
    ConfigurationError,
    DeliveryError,
    InvalidDataError,
    MissingExtraError,
    UndeliverableError,
)
from rayces_core.models.webhook import WebhookEndpoint
from rayces_core.outbox.endpoints import checked_url
from rayces_core.outbox.handlers import Deliver
from rayces_core.outbox.message import Message

if TYPE_CHECKING:
    from rayces_core.outbox.posting import Poster

GONE: Final = 410
LONGEST_WAIT_SECONDS: Final = 3600


class Webhooks:
    """Posts messages to `webhook_endpoints`, JSON of `type`, `timestamp`, `version` and `data`.

    What answers with anything but 2xx gets it again; 410 switches the endpoint off. Redirects are not followed.

    Args:
        seconds: for one request, from looking the host up to the end of the answer.
        allowed: networks that are sent to although they are not public, such as "10.20.0.0/16". Anybody who may make
            endpoints can then have requests sent there.
        allow_http: have http:// endpoints sent to as well: everybody on the way can read the messages.
        context: how certificates are checked; by default against the system's authorities.
    """

    def __init__(
        self,
        *,
        seconds: float = 10.0,
        allowed: Iterable[str] = (),
        allow_http: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        try:
            networks = [ip_network(each) for each in allowed]
        except ValueError as error:
            raise ConfigurationError(f"allowed= takes networks such as 10.20.0.0/16: {error}") from None
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._poster = _poster(seconds, networks, context)

    def targets(self, message: Message) -> Mapping[str, Deliver]:
        """The organization's endpoints for this topic, by their ids."""
        enabled = WebhookEndpoint.select().where(WebhookEndpoint.enabled)
        return {
            str(endpoint.id): functools.partial(self._send, endpoint)
            for endpoint in enabled
            if endpoint.takes(message.topic)
        }

    def _send(self, endpoint: WebhookEndpoint, message: Message) -> None:
        try:
            url = checked_url(endpoint.url, self._schemes)
        except InvalidDataError as error:
            raise UndeliverableError(str(error)) from error
        body = body_of(message)
        headers = signed_headers(message.message_id, body, endpoint.secrets, clock.now())
        status, answered, _ = self._poster.post(url, body.encode(), headers)
        if 200 <= status < 300:
            return
        if status == GONE:
            endpoint.enabled, endpoint.disabled_reason = False, "it answered 410 Gone"
            endpoint.save()
            return
        told = "; redirects are not followed" if 300 <= status < 400 else ""
        raise DeliveryError(f"it answered {status}{told}", retry_after=_seconds(answered.get("retry-after")))


def body_of(message: Message) -> str:
    """The JSON that is sent and signed."""
    told = {
        "type": message.topic,
        "timestamp": message.occurred_at.isoformat(),
        "version": message.version,
        "data": message.payload,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def signed_headers(message_id: str, body: str, secrets: Iterable[str], now: datetime) -> dict[str, str]:
    """The headers by which a receiver knows whose message it is, with a signature for each secret."""
    webhook = _signing()
    return {
        "content-type": "application/json",
        "user-agent": "rayces-core",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


def _seconds(retry_after: str | None) -> float | None:
    # The other form, a date, is left to the usual pause.
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return float(min(int(retry_after.strip()[:9]), LONGEST_WAIT_SECONDS))


def _signing() -> Any:
    try:
        from standardwebhooks.webhooks import Webhook
    except ImportError:
        raise _missing() from None
    return Webhook


def _poster(*arguments: Any) -> Poster:
    _signing()
    try:
        from rayces_core.outbox.posting import Poster
    except ImportError:
        raise _missing() from None
    return Poster(*arguments)


def _missing() -> MissingExtraError:
    return MissingExtraError("webhooks need standardwebhooks and httpcore: pip install 'rayces-core[outbox]'")
