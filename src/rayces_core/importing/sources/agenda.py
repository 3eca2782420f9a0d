"""Rows of a calendar (.ics, RFC 5545): one for each event, and for each time of one that repeats.

Rule: a moment is understood with its zone or refused; one that repeats without an end, lasts whole days, or has several
people who may be the client is refused, and so is an event with a property that cannot be read. Of several versions of
an event the newest one counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources.encodings import Inspected, decoded
from rayces_core.importing.sources.repeating import Moved, in_utc, moved_times, series_of, times_of, value_of
from rayces_core.importing.sources.source import BATCH_ROWS, Opened, Row, checked_header, unreadable

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_ROWS: Final = 200_000
OWN: Final = "X-RAYCES-"
COLUMNS: Final = (
    "scheduled_at",
    "duration_minutes",
    "professional",
    "client",
    "state",
    "summary",
    "notes",
    "location",
    "uid",
)
STATES: Final = {"TENTATIVE": "pre_confirmed", "CONFIRMED": "confirmed", "CANCELLED": "cancelled"}

Event = Any
Values = dict[str, Any] | Unreadable


class CalendarSource(Opened):
    """A calendar; see `Source`. Rows are numbered by the place of their event, those of one that repeats one by one.

    The columns are `COLUMNS` as far as an event has them: the organizer is the professional, the only attendee beside
    that is the client. A property such as X-RAYCES-STUDENT-FIRST-NAME is a column of its own, student_first_name.
    """

    def __init__(self, path: Path, name: str, inspected: Inspected) -> None:
        self.name, self.fingerprint, self.notes = name, inspected.fingerprint, inspected.notes
        if inspected.size > MAX_BYTES:
            raise SourceError(name, f"is a calendar of more than {MAX_BYTES >> 20} MB; export a shorter time")
        with path.open("rb") as file:
            calendars = _parsed("".join(decoded(file, inspected.encoding, name)), name)
        events = [event for calendar in calendars for event in _events(calendar)]
        if not events:
            raise SourceError(name, "is a calendar without an event")
        for kind, called in (("VTODO", "tasks"), ("VJOURNAL", "notes")):
            if others := sum(len(calendar.walk(kind)) for calendar in calendars):
                self.tell(f"{others:,} {called} of the calendar are not read")
        self._events = list(islice(_values(events), MAX_ROWS + 1))
        if len(self._events) > MAX_ROWS:
            raise SourceError(name, f"has more than {MAX_ROWS:,} events; export a shorter time")
        if all(isinstance(event, Unreadable) for event in self._events):
            reasons = [event.reason for event in self._events if isinstance(event, Unreadable)]
            raise SourceError(name, f"has no event that can be read: {next(iter(reasons), 'all were called off')}")
        used = {key for event in self._events if isinstance(event, dict) for key in event}
        self.header = checked_header(
            name, [*(key for key in COLUMNS if key in used), *sorted(used - set(COLUMNS))] or ["scheduled_at"]
        )
        self._read = 0

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Read from the beginning; see `Source.batches`."""
        return self.in_batches(self._numbered(), rows)

    def progress(self) -> float | None:
        """Give the share of the events that is read so far."""
        return self._read / len(self._events)

    def _numbered(self) -> Iterator[Row]:
        for number, event in enumerate(self._events, 1):
            self._read = number
            if isinstance(event, Unreadable):
                yield number, unreadable(event.reason, len(self.header))
            else:
                yield number, [event.get(name) for name in self.header]


def _parsed(text: str, name: str) -> list[Any]:
    try:
        calendar = import_module("icalendar").Calendar
    except ImportError:
        raise MissingExtraError('Calendars need: pip install "rayces-core[importing]"') from None
    try:
        return list(calendar.from_ical(text, multiple=True))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise SourceError(name, f"is a damaged calendar ({str(error)[:200]}); export it anew") from None


def _events(calendar: Any) -> list[Event]:
    """The events of a calendar; what the whole calendar says holds for each of them."""
    events: list[Event] = calendar.walk("VEVENT")
    calls_off = str(calendar.get("METHOD", "")).upper() == "CANCEL"
    for event in events:
        if calls_off:
            event["STATUS"] = "CANCELLED"
        event.zone_of_calendar = _text(calendar, "X-WR-TIMEZONE")
    return events


def _values(events: list[Event]) -> Iterator[Values]:
    events = _newest(events)
    moved, twice = moved_times(events), _told_twice(events)
    for event in events:
        try:
            if series_of(event) in twice:
                yield Unreadable("has the UID of another event; leave one of the two out, or give it a UID of its own")
                continue
            values = _of(event)
            yield from [values] if isinstance(values, Unreadable) else _repeated(event, values, moved)
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
            yield Unreadable(f"the event cannot be read ({str(error)[:200]}); mend it in the calendar")


def _newest(events: list[Event]) -> list[Event]:
    """The events without those of which there is a newer version, as a calendar says it: the same UID and time, more of
    SEQUENCE.
    """
    latest: dict[Any, int] = {}
    for event in events:
        if (key := series_of(event)) is not None:
            latest[key] = max(latest.get(key, 0), _version(event))
    return [event for event in events if (key := series_of(event)) is None or _version(event) == latest[key]]


def _version(event: Event) -> int:
    try:
        return int(event.get("SEQUENCE", 0))
    except (ValueError, TypeError):
        return 0


def _told_twice(events: list[Event]) -> set[Any]:
    """What several events say to be that begin at different times, so that nobody knows which one it is."""
    told = ((series_of(event), value_of(event, "DTSTART")) for event in events)
    known = sorted(((key, str(starts)) for key, starts in told if key and starts), key=str)
    grouped = ((key, {starts for _, starts in same}) for key, same in groupby(known, key=lambda each: each[0]))
    return {key for key, starts in grouped if len(starts) > 1}


def _of(event: Event) -> Values:
    """The columns of an event, as if it did not repeat."""
    if event.errors:
        key, said = event.errors[0]
        return Unreadable(f"{key} of the event cannot be read ({str(said)[:100]}); mend it in the calendar")
    if "DTSTART" not in event:
        return Unreadable("the event has no time; give it one in the calendar")
    starts = event["DTSTART"].dt
    if not isinstance(starts, dt.datetime):
        return Unreadable("is an event of whole days; give it a time of day in the calendar, or leave it out")
    if starts.tzinfo is None and (zone := event["DTSTART"].params.get("TZID")):
        return Unreadable(f"is in the time zone {zone!r:.60}, which is not known; export it anew")
    organizer = _address(event.get("ORGANIZER"))
    plain = {
        "scheduled_at": _in_zone(starts, event.zone_of_calendar),
        "duration_minutes": _minutes(event, starts),
        "professional": organizer,
        "client": _client(event, organizer),
        "state": STATES.get(str(event.get("STATUS", "")).upper()),
        "summary": _text(event, "SUMMARY"),
        "notes": _text(event, "DESCRIPTION"),
        "location": _text(event, "LOCATION"),
        "uid": _text(event, "UID"),
    }
    own = {key[len(OWN) :].lower().replace("-", "_"): _text(event, key) for key in event if key.startswith(OWN)}
    return {key: value for key, value in {**plain, **own}.items() if value is not None}


def _text(event: Event, key: str) -> str | None:
    value = event.get(key)
    value = value[0] if isinstance(value, list) and value else value
    return str(value).strip() or None if value is not None else None


def _in_zone(starts: dt.datetime, zone: str | None) -> dt.datetime:
    """A moment; one without a zone is the calendar's where that names one."""
    try:
        return starts.replace(tzinfo=ZoneInfo(zone)) if zone and starts.tzinfo is None else starts
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"its calendar is in the time zone {zone!r:.60}, which is not known") from None


def _minutes(event: Event, starts: dt.datetime) -> Any:
    if "DTEND" in event:
        ends = event["DTEND"].dt
        if not isinstance(ends, dt.datetime) or (ends.tzinfo is None) != (starts.tzinfo is None):
            return Unreadable("the event ends in another kind of time than it begins; mend it in the calendar")
        lasts = in_utc(ends) - in_utc(starts)
    elif "DURATION" in event:
        lasts = event["DURATION"].dt
    else:
        return None
    minutes, rest = divmod(lasts, dt.timedelta(minutes=1))
    return minutes if not rest else Unreadable(f"lasts {lasts}, which is not a whole number of minutes")


def _address(person: Any) -> str | None:
    written = str(person or "")
    return written[len("mailto:") :].strip() or None if written.lower().startswith("mailto:") else None


def _client(event: Event, organizer: str | None) -> Any:
    found = event.get("ATTENDEE", [])
    people = [each for each in (found if isinstance(found, list) else [found]) if _is_person(each)]
    addresses = {address.lower(): address for each in people if (address := _address(each))}
    addresses.pop((organizer or "").lower(), None)
    if len(addresses) > 1:
        return Unreadable(
            f"has several attendees ({', '.join(addresses.values())[:100]}); leave the client alone there"
        )
    return next(iter(addresses.values()), None)


def _is_person(attendee: Any) -> bool:
    return str(attendee.params.get("CUTYPE", "INDIVIDUAL")).upper() not in ("ROOM", "RESOURCE")


def _repeated(event: Event, values: dict[str, Any], moved: Moved) -> Iterator[Values]:
    if "RRULE" not in event and "RDATE" not in event and "EXDATE" not in event:
        yield values
        return
    times = times_of(event, values["scheduled_at"], moved)
    if isinstance(times, Unreadable):
        yield times
        return
    for starts in times:
        yield {**values, "scheduled_at": starts, "uid": f"{values.get('uid', '')}/{starts:%Y%m%dT%H%M}"}
