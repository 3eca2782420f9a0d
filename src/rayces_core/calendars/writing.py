"""Sessions as a calendar file (RFC 5545): in the organization's zone, whose changes of the clock the file explains.

Rule it guards: names are data. What would end a line or begin a property in them is escaped or left out, and a feed
with private details names no student.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from rayces_core.calendars.needed import wanted
from rayces_core.calendars.sessions import Session
from rayces_core.models.calendar_feed import FeedDetails
from rayces_core.outbox.calendar import uid_of
from rayces_core.tenancy.organization import Organization

PUBLISH: Final = "PUBLISH"
CANCEL: Final = "CANCEL"
CALLED: Final = "Session"
YEAR: Final = timedelta(days=366)


def calendar_file(
    sessions: Iterable[Session],
    organization: Organization,
    *,
    details: str,
    method: str = PUBLISH,
    called: str = CALLED,
) -> bytes:
    """The sessions as a VCALENDAR; `called` is what a session is named where nothing else may be told."""
    library = wanted("icalendar")
    calendar = library.Calendar()
    calendar.add("prodid", "-//rayces-core//calendars//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add("x-wr-calname", plain(organization.name))
    known = list(sessions)
    for session in known:
        calendar.add_component(_event(library, session, organization, details, called))
    if known:
        starts = [session.starts_at.date() for session in known]
        calendar.add_missing_timezones(min(starts) - YEAR, max(starts) + YEAR)
    return bytes(calendar.to_ical())


def _event(library: Any, session: Session, organization: Organization, details: str, called: str) -> Any:
    event, zone = library.Event(), ZoneInfo(organization.time_zone)
    event.add("uid", uid_of(session.kind, session.id, organization))
    event.add("sequence", session.sequence)
    event.add("dtstamp", session.changed_at)
    event.add("created", session.created_at)
    event.add("last-modified", session.changed_at)
    event.add("dtstart", session.starts_at.astimezone(zone))
    event.add("dtend", (session.starts_at + timedelta(minutes=session.minutes)).astimezone(zone))
    event.add("summary", plain(_summary(session, details, called)))
    event.add("status", session.status)
    if session.room:
        event.add("location", plain(session.room))
    if session.status == "CANCELLED":
        event.add("transp", "TRANSPARENT")
    if details == FeedDetails.PRIVATE:
        event.add("class", "PRIVATE")
    return event


def _summary(session: Session, details: str, called: str) -> str:
    if details == FeedDetails.PRIVATE:
        return called
    if session.own:
        return session.student or session.title or called
    return f"{session.student}: {session.title or called}, {session.professional}"


def plain(text: str) -> str:
    """A text on one line, without signs that cannot be seen."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
