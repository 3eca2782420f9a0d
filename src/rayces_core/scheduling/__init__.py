"""Free time and bookings: when a professional can be booked, and the writes that take that time.

What lists free slots and what books them asks the same function, `calendar.allowed_starts`.
"""

from rayces_core.scheduling.affected import affected_by
from rayces_core.scheduling.availability import Slot, find_slots, free_slots
from rayces_core.scheduling.booking import book
from rayces_core.scheduling.moving import reschedule
from rayces_core.scheduling.reminders import due_reminders
from rayces_core.scheduling.series import Series, Skipped, book_series
from rayces_core.scheduling.sweeps import expire_overdue
from rayces_core.scheduling.working import WorkingSpan, working_time

__all__ = [
    "Series",
    "Skipped",
    "Slot",
    "WorkingSpan",
    "affected_by",
    "book",
    "book_series",
    "due_reminders",
    "expire_overdue",
    "find_slots",
    "free_slots",
    "reschedule",
    "working_time",
]
