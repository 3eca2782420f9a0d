"""Calendars outside: feeds of sessions that others read, and calendars elsewhere whose times count as busy here.

Rule it guards: an address is a secret, of which only a hash is stored where it is ours, and which nothing tells where
it is another's; and what is read here is data, whatever it says.
"""

from rayces_core.calendars.answering import Answer, answer_feed
from rayces_core.calendars.failing import Failing, failing_calendars
from rayces_core.calendars.feeds import FeedAddress, create_feed, read_feed, revoke_feed
from rayces_core.calendars.fetching import Fetcher
from rayces_core.calendars.files import appointment_ics
from rayces_core.calendars.outside import add_outside_calendar, remove_outside_calendar
from rayces_core.calendars.refreshing import Refreshed, refresh_calendars

__all__ = [
    "Answer",
    "Failing",
    "FeedAddress",
    "Fetcher",
    "Refreshed",
    "add_outside_calendar",
    "answer_feed",
    "appointment_ics",
    "create_feed",
    "failing_calendars",
    "read_feed",
    "refresh_calendars",
    "remove_outside_calendar",
    "revoke_feed",
]
