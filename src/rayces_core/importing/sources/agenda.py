"""Rows of a calendar (.ics, RFC 5545): one for each event, and for each time of one that repeats.

Rule: a moment is understood with its zone or refused; one that repeats without an end, lasts whole days, or has several
people who may be the client is refused, and so is an event with a property that cannot be read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import MissingExtraError, SourceError
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources.encodings import Inspected, decoded
from rayces_core.importing.sources.source import BATCH_ROWS, Opened, Row, checked_header, unreadable

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_TIMES: Final = 1_000  # of one event
MAX_YEARS: Final = dt.timedelta(days=30 * 365)
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
        events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
        if not events:
            raise SourceError(name, "is a calendar without an event")
        for kind, called in (("VTODO", "tasks"), ("VJOURNAL", "notes")):
            if others := sum(len(calendar.walk(kind)) for calendar in calendars):
                self.tell(f"{others:,} {called} of the calendar are not read")
        self._events = list(islice(_values(events), MAX_ROWS + 1))
        if len(self._events) > MAX_ROWS:
            raise SourceError(name, f"has more than {MAX_ROWS:,} events; export a shorter time")
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


def _values(events: list[Event]) -> Iterator[Values]:
    moved = _moved(events)
    for event in events:
        try:
            values = _of(event)
            yield from [values] if isinstance(values, Unreadable) else _repeated(event, values, moved)
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
            yield Unreadable(f"the event cannot be read ({str(error)[:200]}); mend it in the calendar")


def _moved(events: Iterable[Event]) -> set[tuple[str, dt.datetime]]:
    """Times of repeating events that have an event of their own: UID and the moment that it was meant for."""
    found = set()
    for event in events:
        meant = getattr(event.get("RECURRENCE-ID"), "dt", None) if not event.errors else None
        if isinstance(meant, dt.datetime):
            found.add((str(event.get("UID", "")), _naive_utc(meant)))
    return found


def _naive_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


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
        "scheduled_at": starts,
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


def _minutes(event: Event, starts: dt.datetime) -> Any:
    if "DTEND" in event:
        ends = event["DTEND"].dt
        if not isinstance(ends, dt.datetime) or (ends.tzinfo is None) != (starts.tzinfo is None):
            return Unreadable("the event ends in another kind of time than it begins; mend it in the calendar")
        lasts = _naive_utc(ends) - _naive_utc(starts)
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


def _repeated(event: Event, values: dict[str, Any], moved: set[tuple[str, dt.datetime]]) -> Iterator[Values]:
    if "RRULE" not in event and "RDATE" not in event:
        yield values
        return
    times = _times(event, values["scheduled_at"])
    if isinstance(times, Unreadable):
        yield times
        return
    uid = values.get("uid", "")
    for starts in times:
        if (uid, _naive_utc(starts)) not in moved:
            yield {**values, "scheduled_at": starts, "uid": f"{uid}/{starts:%Y%m%dT%H%M}"}


def _times(event: Event, starts: dt.datetime) -> list[dt.datetime] | Unreadable:
    """When an event that repeats takes place; its hour is the clock's of its zone, summer and winter."""
    found = {starts}
    for rule in _listed(event, "RRULE"):
        times = _ruled(rule, starts)
        if isinstance(times, Unreadable):
            return times
        found.update(times)
    for key, change in (("RDATE", found.add), ("EXDATE", found.discard)):
        for moment in (each for listed in _listed(event, key) for each in listed.dts):
            if not isinstance(moment.dt, dt.datetime):
                return Unreadable(f"has a {key} that is no moment; mend it in the calendar")
            change(moment.dt)
    return sorted(found)


def _ruled(rule: Any, starts: dt.datetime) -> list[dt.datetime] | Unreadable:
    if "COUNT" not in rule and "UNTIL" not in rule:
        return Unreadable("repeats without an end; give it one in the calendar, or export its events one by one")
    if rule["FREQ"][0] not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        return Unreadable(f"repeats {rule['FREQ'][0]}; export its events one by one")
    count = min(int(rule.get("COUNT", [MAX_TIMES + 1])[0]), MAX_TIMES + 1)
    last = starts + MAX_YEARS
    until = min(_end(rule["UNTIL"][0], starts), last + MAX_YEARS) if "UNTIL" in rule else last
    bare = {key: value for key, value in rule.items() if key not in ("COUNT", "UNTIL")}
    made = import_module("dateutil.rrule").rrulestr(type(rule)(bare).to_ical().decode(), dtstart=starts)
    times = list(islice(made.replace(until=until), count))
    if len(times) > MAX_TIMES or until > last or len(times) < count < MAX_TIMES + 1:
        return Unreadable(f"repeats more than {MAX_TIMES:,} times or thirty years; give it an end in the calendar")
    return times


def _end(until: dt.date, starts: dt.datetime) -> dt.datetime:
    """The last moment of a rule; some programs write the day alone, or the hour of the event's own clock."""
    moment = until if isinstance(until, dt.datetime) else dt.datetime.combine(until, dt.time.max)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=starts.tzinfo)


def _listed(event: Event, key: str) -> list[Any]:
    found = event.get(key, [])
    return found if isinstance(found, list) else [found]
