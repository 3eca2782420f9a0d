"""Free time and bookings: when a professional can be booked, and the writes that take that time.

What lists free slots and what books them asks the same function, `calendar.allowed_starts`.
"""

from rayces_core.scheduling.affected import affected_by
from rayces_core.scheduling.attendance import Attendance, attendance_list, mark_attendance
from rayces_core.scheduling.attending import GroupSlot, book_group, group_slots
from rayces_core.scheduling.availability import Slot, find_slots, free_slots
from rayces_core.scheduling.booking import book
from rayces_core.scheduling.group_verification import GroupFinding, verify_groups
from rayces_core.scheduling.groups import cancel_group_session, create_group_session, reschedule_group
from rayces_core.scheduling.holidays import fill_holidays
from rayces_core.scheduling.moving import reschedule
from rayces_core.scheduling.series import Series, Skipped, book_series
from rayces_core.scheduling.series_changes import SeriesChange, cancel_series, reschedule_series
from rayces_core.scheduling.slot_offers import offer_slots
from rayces_core.scheduling.slot_requests import accept_offer, decline_offer, request_slot, withdraw_slot_request
from rayces_core.scheduling.sweeps import expire_overdue
from rayces_core.scheduling.time_off import TimeOffHits, request_time_off
from rayces_core.scheduling.working import WorkingSpan, working_time

__all__ = [
    "Attendance",
    "GroupFinding",
    "GroupSlot",
    "Series",
    "SeriesChange",
    "Skipped",
    "Slot",
    "TimeOffHits",
    "WorkingSpan",
    "accept_offer",
    "affected_by",
    "attendance_list",
    "book",
    "book_group",
    "book_series",
    "cancel_group_session",
    "cancel_series",
    "create_group_session",
    "decline_offer",
    "expire_overdue",
    "fill_holidays",
    "find_slots",
    "free_slots",
    "group_slots",
    "mark_attendance",
    "offer_slots",
    "request_slot",
    "request_time_off",
    "reschedule",
    "reschedule_group",
    "reschedule_series",
    "verify_groups",
    "withdraw_slot_request",
    "working_time",
]
