"""Notice: somebody is told something of a session, or of credits, over one channel; the queue and the log in one.

Rule it guards: the same is made once, whatever races: of an occurrence, to one person, over one channel.
"""

from __future__ import annotations

from enum import StrEnum

from peewee import SQL, Check

from rayces_core.fields import BigIntegerField, EnumField, IntegerField, StringField, UTCDateTimeField
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel


class NoticeState(StrEnum):
    """What has become of a notice."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


class Notice(TimestampedTenantModel):
    """One notice to one person. Made and written by `rayces_core.notices`.

    Attributes:
        appointment: the session that is told of; purchase: of "credits_expiring", and no other, the entry of the ledger
            that bought the credits.
        event: "reminder", "booked", "offered", "confirmed", "moved", "cancelled" or "credits_expiring".
        minutes_before: the stage of a reminder or of credits that expire, else 0.
        occurs_at: when the session was to begin; moved, it has notices of its own for its new time. Of credits, when
            they expire.
        cause_id: of a reminder the move in the journal that it follows, of what happened the outbox's message; 0: none.
        address: that of the person when it was queued, and then when it is sent; None where the channel needs none, and
            once the log has forgotten it.
        due_at: when it was to go out. retry_at: when it is tried next. sent_at: when the sender took it.
        reason: why it was skipped or given up, or what went wrong last, but not while it is sent again.
        reference: what the sender knows it by.
    """

    appointment = TenantForeignKey(Appointment, column_name="appointment_id", backref="notices", null=True)
    appointment_id: int | None
    purchase = TenantForeignKey(CreditTransaction, column_name="purchase_id", backref="notices", null=True)
    purchase_id: int | None
    recipient = TenantForeignKey(User, column_name="recipient_id", backref="notices")
    recipient_id: int
    event = StringField()
    minutes_before = IntegerField(default=0)
    cause_id = BigIntegerField(default=0)
    occurs_at = UTCDateTimeField()
    channel = StringField()
    address = StringField(null=True)
    state = EnumField(NoticeState, default=NoticeState.QUEUED)
    reason = StringField(null=True)
    attempts = IntegerField(default=0)
    due_at = UTCDateTimeField()
    retry_at = UTCDateTimeField()
    sent_at = UTCDateTimeField(null=True)
    reference = StringField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "notices"
        personal = {"gone": "event channel address state reason reference"}
        merging = {"moved": "recipient_id"}
        erased_with = "recipient_id"
        defaults_in_database = True
        constraints = [
            Check(
                "event IN ('reminder', 'booked', 'offered', 'confirmed', 'moved', 'cancelled', 'credits_expiring')",
                name="notices_event_check",
            ),
            Check(
                "CASE WHEN event IN ('reminder', 'credits_expiring') THEN minutes_before > 0 "
                "ELSE minutes_before = 0 END",
                name="notices_minutes_before_check",
            ),
            Check(
                "(event = 'credits_expiring') = (purchase_id IS NOT NULL) "
                "AND (appointment_id IS NULL) = (purchase_id IS NOT NULL)",
                name="notices_purchase_id_check",
            ),
            Check("channel ~ '^[a-z][a-z0-9_]{0,39}$'", name="notices_channel_check"),
            Check("state IN ('queued', 'sent', 'failed', 'skipped')", name="notices_state_check"),
            Check("reason IS NOT NULL OR state IN ('queued', 'sent')", name="notices_reason_check"),
            Check(
                "attempts >= 0 AND (attempts > 0 OR state IN ('queued', 'skipped'))",
                name="notices_attempts_check",
            ),
            Check("(sent_at IS NOT NULL) = (state = 'sent')", name="notices_sent_at_check"),
        ]


Notice.add_index(
    Notice.organization,
    Notice.appointment,
    Notice.event,
    Notice.minutes_before,
    Notice.cause_id,
    Notice.occurs_at,
    Notice.channel,
    Notice.recipient,
    unique=True,
    name="notices_once_key",
)
Notice.add_index(
    Notice.organization,
    Notice.purchase,
    Notice.minutes_before,
    Notice.channel,
    unique=True,
    where=SQL("purchase_id IS NOT NULL"),
    name="notices_of_credits_once_key",
)
Notice.add_index(
    Notice.organization, Notice.retry_at, Notice.id, where=SQL("state = 'queued'"), name="index_notices_on_queued"
)
Notice.add_index(Notice.organization, Notice.recipient, name="index_notices_on_recipient_id")
Notice.add_index(Notice.organization, Notice.occurs_at, name="index_notices_on_occurs_at")
