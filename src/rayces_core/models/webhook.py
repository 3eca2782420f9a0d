"""WebhookEndpoint: where an organization's webhooks go."""

from __future__ import annotations

import base64
import binascii
from fnmatch import fnmatchcase
from typing import Annotated, Final

from peewee import Check
from pydantic import AfterValidator, Field, StringConstraints

from rayces_core.fields import BooleanField, JSONField, StringField
from rayces_core.tenancy.model import TimestampedTenantModel

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how such keys begin
LEAST_SECRET_BYTES: Final = 24


def _secret(value: str) -> str:
    try:
        key = base64.b64decode(value.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not value.startswith(SECRET_PREFIX) or not LEAST_SECRET_BYTES <= len(key) <= 64:
        raise ValueError(f'must be "{SECRET_PREFIX}" and {LEAST_SECRET_BYTES} to 64 random bytes in base64')
    return value


Secret = Annotated[str, AfterValidator(_secret)]
Secrets = Annotated[list[Secret], Field(min_length=1, max_length=5)]
Topic = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Topics = Annotated[list[Topic], Field(max_length=100)]


class WebhookEndpoint(TimestampedTenantModel):
    """A URL that gets an organization's messages.

    Attributes:
        url: https, of a host with public addresses. enabled: whether it gets any; disabled_reason: why not, where
            the library has switched it off.
        secrets: "whsec_…" keys, each of which signs; to rotate one, put the new one in front and take the old one out
            once the receiver knows the new one.
        topics: those that it gets, as patterns such as "appointment.*".
    """

    url = StringField()
    secrets: JSONField[list[str]] = JSONField(Secrets)
    topics: JSONField[list[str]] = JSONField(Topics, default=lambda: ["*"])
    enabled = BooleanField(default=True)
    disabled_reason = StringField(null=True)
    description = StringField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "webhook_endpoints"
        personal = {"words": "description", "plain": "url secrets topics disabled_reason"}
        defaults_in_database = True
        constraints = [
            Check("url ~ '^https?://'", name="webhook_endpoints_url_check"),
            Check(
                "CASE jsonb_typeof(secrets) WHEN 'array' THEN jsonb_array_length(secrets) > 0 ELSE false END",
                name="webhook_endpoints_secrets_check",
            ),
            Check("jsonb_typeof(topics) = 'array'", name="webhook_endpoints_topics_check"),
        ]

    def takes(self, topic: str) -> bool:
        """Whether messages of the topic go there."""
        return self.enabled and any(fnmatchcase(topic, pattern) for pattern in self.topics)
