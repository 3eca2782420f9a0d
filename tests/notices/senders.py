"""Senders that keep what they are given, settings that ask for notices, and the outbox told to a deliverer."""

from __future__ import annotations

from typing import Any

from rayces_core.models.outbox import OutboxMessage
from rayces_core.outbox.message import Message


def rules(*given: dict[str, Any], **one: Any) -> dict[str, Any]:
    """Settings with these rules of notices."""
    return {"notices": {"rules": [*given, *([one] if one else [])]}}


def reminders(*minutes: int, **more: Any) -> dict[str, Any]:
    """Settings with reminders to the client by e-mail, so many minutes before."""
    stages = [{"event": "reminder", "minutes_before": each, "channels": ["email"]} for each in minutes]
    return {"notices": {"rules": stages} | more}


TOLD = ("booked", "offered", "confirmed", "moved", "cancelled")
EMAIL = rules(*({"event": event, "channels": ["email"]} for event in TOLD))


class Kept:
    """A sender that keeps what it was given, and fails where it is told to."""

    def __init__(self, db: Any = None, fails: BaseException | None = None, reference: str | None = None) -> None:
        self.db, self.fails, self.reference = db, fails, reference
        self.clear()

    def clear(self) -> None:
        self.outgoing: list[Any] = []
        self.tried: list[Any] = []
        self.bound: list[int] = []

    def __call__(self, outgoing: Any) -> str | None:
        self.tried.append(outgoing)
        if self.fails is not None:
            raise self.fails
        self.outgoing.append(outgoing)
        if self.db is not None:
            self.bound.append(self.db.organization_id)
        return self.reference


def told(db: Any, deliver: Any) -> None:
    """Give a deliverer all that the bound organization's outbox has, as a relay does."""
    for row in OutboxMessage.select().order_by(OutboxMessage.id):
        subject = (row.subject_type, row.subject_id)
        deliver(
            Message(
                db.organization_id,
                row.id,
                str(row.message_id),
                row.topic,
                row.version,
                subject,
                row.payload,
                row.occurred_at,
                1,
            )
        )
