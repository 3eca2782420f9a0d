"""When a calendar file says that its owner has no time: its events, repeated ones too, as stretches of time.

Rule it guards: a file that cannot be read whole is an error, and never an empty calendar; and none keeps us longer than
it may.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rayces_core.calendars.needed import wanted
from rayces_core.calendars.writing import plain
from rayces_core.errors import OutsideCalendarError

Stretch = tuple[datetime, datetime]

MOST_EVENTS: Final = 20_000
MOST_STRETCHES: Final = 10_000
MOST_SECONDS: Final = 60.0
# Of such a rule there may be more than anybody can count.
TOO_OFTEN: Final = ("SECONDLY", "MINUTELY", "HOURLY")
TIMES: Final = ("BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS")
MOST_TIMES: Final = 48
# A rule is gone through from where it begins, and one series is not left in the middle.
MOST_MOMENTS: Final = 200_000
REPEATED: Final = ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
NEEDED: Final = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
ONCE: Final = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID")
# What the libraries raise for events that follow no standard, or lie where no time can be reckoned.
UNREADABLE: Final = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
ONE_DAY: Final = timedelta(days=1)


def busy_times(file: bytes, since: datetime, until: datetime, zone: ZoneInfo, own_host: str) -> list[Stretch]:
    """The stretches of time, in order and without overlap, in which the owner of a calendar has no time.

    Args:
        since, until: aware moments; of what reaches into them all is told.
        zone: of days and of times that name none. own_host: what ends the UIDs of our own sessions, which do not count.

    Raises:
        OutsideCalendarError: "broken", "too_many". MissingExtraError: packages are not installed.
    """
    calendars = _parsed(file)
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    try:
        _check(events, until)
        return _merged(_found(calendars, since, until, zone, own_host))
    except UNREADABLE as error:
        raise OutsideCalendarError("broken", f"an event cannot be read: {_said(error)}") from None


def _found(calendars: list[Any], since: datetime, until: datetime, zone: ZoneInfo, own_host: str) -> set[Stretch]:
    found: set[Stretch] = set()
    stop_at = time.monotonic() + MOST_SECONDS
    for calendar in calendars:
        if str(calendar.get("METHOD", "")).upper() == "CANCEL":
            continue
        floating = _zone_of(calendar) or zone
        for event in _occurrences(calendar, since, until, stop_at):
            if _takes_time(event, own_host):
                begins, ends = _stretch(event, zone, floating)
                if begins < ends and ends > since and begins < until:
                    found.add((begins, ends))
            if len(found) > MOST_STRETCHES:
                raise _too_many()
    return found


def _parsed(file: bytes) -> list[Any]:
    library = wanted("icalendar")
    wanted("recurring_ical_events")
    try:
        calendars = library.Calendar.from_ical(file.decode("utf-8-sig", errors="replace"), multiple=True)
    except UNREADABLE as error:
        raise OutsideCalendarError("broken", f"it is no calendar that can be read: {_said(error)}") from None
    if not calendars or any(each.name != "VCALENDAR" for each in calendars):
        raise OutsideCalendarError("broken", "it is no calendar")
    return list(calendars)


def _check(events: list[Any], until: datetime) -> None:
    if len(events) > MOST_EVENTS:
        raise _too_many()
    for event in events:
        wrong = [name for name, _ in event.errors if name in NEEDED]
        wrong += [name for name in ONCE if isinstance(event.get(name), list)]
        if wrong or "DTSTART" not in event:
            raise OutsideCalendarError("broken", f"{', '.join(wrong) or 'DTSTART'} of an event cannot be read")
        for name in ("DTSTART", "DTEND"):
            _check_zone(event.get(name))
        rules = event.get("RRULE", [])
        for rule in rules if isinstance(rules, list) else [rules]:
            _check_rule(rule, event["DTSTART"].dt, until)


def _check_zone(value: Any) -> None:
    named = None if value is None else value.params.get("TZID")
    if named and isinstance(value.dt, datetime) and value.dt.tzinfo is None:
        raise OutsideCalendarError("broken", f"an event is in the time zone {str(named)[:60]!r}, which is not known")


def _check_rule(rule: Any, starts: date, until: datetime) -> None:
    times = 1
    for name in TIMES:
        times *= max(len(rule.get(name, [])), 1)
    if str(rule.get("FREQ", [""])[0]).upper() in TOO_OFTEN or times > MOST_TIMES:
        raise _too_many()
    if (until.date() - date(starts.year, starts.month, starts.day)).days * times > MOST_MOMENTS:
        raise _too_many()
    if min(rule.get("INTERVAL", [1])) < 1:  # it would be repeated at the same moment for ever
        raise OutsideCalendarError("broken", "an event is repeated at no interval")


def _zone_of(calendar: Any) -> ZoneInfo | None:
    named = calendar.get("X-WR-TIMEZONE")
    if named is None:
        return None
    try:
        return ZoneInfo(str(named))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise OutsideCalendarError("broken", f"its time zone {str(named)[:60]!r} is not known") from None


def _occurrences(calendar: Any, since: datetime, until: datetime, stop_at: float) -> Iterator[Any]:
    """Events of the stretch of time; each series by itself, so that one that takes long is noticed."""
    repeated = wanted("recurring_ical_events")
    for events in _by_uid(calendar):
        if len(events) == 1 and not any(name in events[0] for name in REPEATED):
            yield events[0]
            continue
        series = type(calendar)()
        series.subcomponents = events
        # A floating time, or a day, of another zone begins at most a day before or after.
        yield from repeated.of(series).between(since - ONE_DAY, until + ONE_DAY)
        if time.monotonic() > stop_at:
            raise _too_many()


def _by_uid(calendar: Any) -> Iterable[list[Any]]:
    """The events of each UID: one, what it repeats as, and what was moved of it."""
    found: dict[str, list[Any]] = {}
    for number, event in enumerate(calendar.walk("VEVENT")):
        found.setdefault(str(event.get("UID", number)), []).append(event)
    return found.values()


def _takes_time(event: Any, own_host: str) -> bool:
    if str(event.get("STATUS", "")).upper() == "CANCELLED" or str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        return False
    return not str(event.get("UID", "")).strip().endswith(f"@{own_host}")


def _stretch(event: Any, zone: ZoneInfo, floating: ZoneInfo) -> Stretch:
    """When it begins and ends; days are of `zone`, times that name none of `floating`."""
    starts = event["DTSTART"].dt
    ends = event["DTEND"].dt if "DTEND" in event else starts + _duration(event)
    if not isinstance(starts, datetime) and ends <= starts:
        ends = starts + ONE_DAY
    return _moment(starts, zone, floating), _moment(ends, zone, floating)


def _duration(event: Any) -> timedelta:
    found: timedelta = event["DURATION"].dt if "DURATION" in event else timedelta()
    return found


def _moment(value: date, zone: ZoneInfo, floating: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=zone).astimezone(UTC)
    return (value.replace(tzinfo=floating) if value.tzinfo is None else value).astimezone(UTC)


def _merged(found: set[Stretch]) -> list[Stretch]:
    merged: list[Stretch] = []
    for begins, ends in sorted(found):
        if merged and begins <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(ends, merged[-1][1])
        else:
            merged.append((begins, ends))
    return merged


def _too_many() -> OutsideCalendarError:
    return OutsideCalendarError("too_many", "it has more events than can be read; leave some out of it")


def _said(error: Exception) -> str:
    return plain(str(error))[:200]
