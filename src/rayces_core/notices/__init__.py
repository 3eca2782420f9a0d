"""Notices: what an organization has people told of its sessions, over which channels, and a log of what was sent.

Rule it guards: of an occurrence each person is told once over each channel, whatever races; what became moot is not.
"""

from rayces_core.notices.delivering import Delivered, Outgoing, Sender, deliver
from rayces_core.notices.email import Email
from rayces_core.notices.expiring import make_expiries
from rayces_core.notices.keeping import ListedNotice, Pruned, Standing, listed, prune, retry, standing
from rayces_core.notices.making import hear, make_reminders
from rayces_core.notices.quiet import quiet_until, reminder_due
from rayces_core.notices.words import Facts, Render, Words, render

__all__ = [
    "Delivered",
    "Email",
    "Facts",
    "ListedNotice",
    "Outgoing",
    "Pruned",
    "Render",
    "Sender",
    "Standing",
    "Words",
    "deliver",
    "hear",
    "listed",
    "make_expiries",
    "make_reminders",
    "prune",
    "quiet_until",
    "reminder_due",
    "render",
    "retry",
    "standing",
]
