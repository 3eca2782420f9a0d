"""Message: what a deliverer is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from rayces_core.outbox.topics import parse


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the outbox, as it is delivered.

    Attributes:
        organization_id: whose it is; that organization is bound while a deliverer runs.
        id: its number, which grows within a subject. message_id: a UUID that is the same at every attempt, by which a
            receiver knows a repetition.
        topic: such as "appointment.confirm". version: of the payload's shape.
        subject: type and id of what it is about; the messages of one subject come in order.
        payload: plain JSON. occurred_at: when it happened, in UTC.
        attempt: 1 at the first one.
    """

    organization_id: int
    id: int
    message_id: str
    topic: str
    version: int
    subject: tuple[str, int]
    payload: dict[str, Any]
    occurred_at: datetime
    attempt: int

    def parsed(self) -> BaseModel:
        """The payload in the shape of its topic, see docs/events.md; InvalidDataError for a host's own topics."""
        return parse(self.topic, self.version, self.payload)
