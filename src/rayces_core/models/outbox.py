"""OutboxMessage: something that happened, written in the statement that made it happen, and delivered afterwards.

Rule it guards: a tenant's work adds messages and reads its own; only privileged work says what became of them.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from peewee import SQL

from rayces_core import clock
from rayces_core.fields import (
    BigIntegerField,
    BooleanField,
    IntegerField,
    JSONField,
    SmallIntegerField,
    StringField,
    UTCDateTimeField,
)
from rayces_core.fields.identifiers import UUIDField
from rayces_core.fields.schemas import Metadata
from rayces_core.state_machine.telling import has_told
from rayces_core.tenancy.model import TenantModel


class MessageState(StrEnum):
    """What has become of a message."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class OutboxMessage(TenantModel):
    """One message.

    Attributes:
        message_id: the same at every attempt, so that a receiver knows what it has had.
        topic, version: what happened, such as "appointment.confirm", and the shape of `payload`; see docs/events.md.
        subject_type, subject_id: what it happened to. Messages of one subject are delivered in the order of their ids.
        occurred_at: when it happened. available_at: when it is tried next.
        settled_at: since when it is no more pending. dead: whether it was tried in vain, of one that is settled.
        attempts, delivered_to, last_error: how often it was tried, who has it already, what went wrong last;
            nothing while it is delivered again.
    """

    message_id = UUIDField(default=uuid.uuid4)
    topic = StringField()
    version = SmallIntegerField(default=1)
    subject_type = StringField()
    subject_id = BigIntegerField()
    payload: JSONField[dict[str, Any]] = JSONField(Metadata, default=dict)
    attempts = IntegerField(default=0)
    available_at = UTCDateTimeField(default=clock.now)
    delivered_to: JSONField[list[str]] = JSONField(list[str], default=list)
    last_error = StringField(null=True)
    occurred_at = UTCDateTimeField(default=clock.now)
    settled_at = UTCDateTimeField(null=True)
    dead = BooleanField(default=False)

    @property
    def state(self) -> MessageState:
        """What has become of it."""
        if self.settled_at is None:
            return MessageState.PENDING
        return MessageState.DEAD if self.dead else MessageState.DELIVERED

    def save(self, *args: Any, **kwargs: Any) -> int:
        """Write the message; relays hear of it after the commit, where this process wakes them."""
        saved = super().save(*args, **kwargs)
        has_told()
        return saved

    class Meta:
        """The table and its rules."""

        table_name = "outbox_messages"
        personal = {"words": "payload last_error", "plain": "topic subject_type delivered_to"}
        defaults_in_database = True


OutboxMessage.add_index(
    OutboxMessage.organization,
    OutboxMessage.subject_id,
    OutboxMessage.id,
    where=SQL("settled_at IS NULL"),
    name="index_outbox_messages_on_pending",
)
OutboxMessage.add_index(
    OutboxMessage.settled_at, where=SQL("settled_at IS NOT NULL"), name="index_outbox_messages_on_settled"
)
OutboxMessage.add_index(
    OutboxMessage.organization,
    OutboxMessage.available_at,
    OutboxMessage.id,
    where=SQL("settled_at IS NULL"),
    name="index_outbox_messages_on_due",
)
