"""The .ics that goes with an appointment's e-mails, so that a phone's calendar enters it, moves it and takes it out.

An event is known by its UID, which stays, and a newer message by its SEQUENCE, which grows (RFC 5545, RFC 5546). Feeds
and files have the same (`calendars`), so that who accepts an invitation and subscribes as well sees the session once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rayces_core.errors import MissingExtraError
from rayces_core.tenancy.organization import Organization

REQUEST: Final = "REQUEST"
CANCEL: Final = "CANCEL"
# Events after which a calendar must take the newer version for the newer one; how many there were is its SEQUENCE.
CHANGES: Final = ("confirm", "reschedule", "reopen", "cancel", "expire")


def uid_of(kind: str, session_id: int, organization: Organization) -> str:
    """The UID of a session, an "appointment" or a "group", wherever it is told of."""
    return f"{kind}-{session_id}@{uid_host(organization)}"


def uid_host(organization: Organization) -> str:
    """What ends the UIDs of the organization's sessions, here and in no other database."""
    made = f"{organization.subdomain}/{organization.created_at.isoformat()}"
    return f"{hashlib.sha256(made.encode()).hexdigest()[:20]}.rayces"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a calendar is told of an appointment. `sequence`: how many changes came before; `stamped_at`: this one's."""

    uid: str
    sequence: int
    method: str
    starts_at: datetime
    minutes: int
    summary: str
    organizer: tuple[str, str]
    attendee: tuple[str, str]
    stamped_at: datetime
    location: str = ""


def ics(entry: Entry) -> bytes:
    """The entry as a file. Names are data: what would end a line or a parameter in them is escaped or left out."""
    try:
        from icalendar import Calendar, Event, vCalAddress, vText
    except ImportError:
        raise MissingExtraError("calendar entries need icalendar: pip install 'rayces-core[outbox]'") from None

    def person(name: str, address: str, **parameters: str) -> vCalAddress:
        made = vCalAddress(f"mailto:{_plain(address)}")
        made.params["cn"] = vText(_plain(name).replace('"', "'"))
        for key, value in parameters.items():
            made.params[key] = vText(value)
        return made

    event = Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", entry.stamped_at)
    event.add("dtstart", entry.starts_at)
    event.add("dtend", entry.starts_at + timedelta(minutes=entry.minutes))
    event.add("summary", _plain(entry.summary))
    event.add("status", "CANCELLED" if entry.method == CANCEL else "CONFIRMED")
    if entry.location:
        event.add("location", _plain(entry.location))
    event.add("organizer", person(*entry.organizer))
    event.add("attendee", person(*entry.attendee, partstat="ACCEPTED", role="REQ-PARTICIPANT"))
    calendar = Calendar()
    calendar.add("prodid", "-//rayces-core//outbox//EN")
    calendar.add("version", "2.0")
    calendar.add("method", entry.method)
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _plain(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
