"""Messages that leave with what they tell of, and the relay that delivers them.

Rule it guards: what was committed is told, at least once and in the order of its subject; what was undone is not.
"""

from rayces_core.outbox import hand_over
from rayces_core.outbox.endpoints import add_endpoint, new_secret, retire_secrets, rotate_secret
from rayces_core.outbox.handlers import Fan, on
from rayces_core.outbox.keeping import Listed, counted, listed, prune, retry
from rayces_core.outbox.letters import Letter, booking_letter
from rayces_core.outbox.mail import Mail
from rayces_core.outbox.message import Message
from rayces_core.outbox.putting import put
from rayces_core.outbox.relaying import Relay
from rayces_core.outbox.topics import (
    TOPICS,
    AccountPayload,
    AppointmentPayload,
    CreditTransactionPayload,
    GroupSessionPayload,
    NoticePayload,
    Payload,
    RescheduleGroupPayload,
    ReschedulePayload,
    SlotRequestPayload,
    StudentPayload,
    TimeOffRequestPayload,
)
from rayces_core.outbox.waking import Waker
from rayces_core.outbox.webhooks import Webhooks

relay = Relay

__all__ = [
    "TOPICS",
    "AccountPayload",
    "AppointmentPayload",
    "CreditTransactionPayload",
    "Fan",
    "GroupSessionPayload",
    "Letter",
    "Listed",
    "Mail",
    "Message",
    "NoticePayload",
    "Payload",
    "Relay",
    "RescheduleGroupPayload",
    "ReschedulePayload",
    "SlotRequestPayload",
    "StudentPayload",
    "TimeOffRequestPayload",
    "Waker",
    "Webhooks",
    "add_endpoint",
    "booking_letter",
    "counted",
    "hand_over",
    "listed",
    "new_secret",
    "on",
    "prune",
    "put",
    "relay",
    "retire_secrets",
    "retry",
    "rotate_secret",
]
