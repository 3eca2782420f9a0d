"""When an event of a calendar that repeats takes place (RFC 5545), and which of its times were moved or called off.

Rule: a time that was called off or moved is never given. Moments and days that other events or exceptions name are
compared on the event's own clock; what names a day of the event at another hour is refused, since nobody knows which
of the two is right.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any, Final

from rayces_core.importing.columns import Unreadable

MAX_TIMES: Final = 1_000  # of one event
MAX_YEARS: Final = dt.timedelta(days=30 * 365)
ONE_BY_ONE: Final = "export its events one by one"
UNNAMED: Final = "begins at a time that its own rule does not name; move its first time in the calendar"

Event = Any


@dataclass
class Moved:
    """Times of repeating events that have an event of their own, by UID; `unsure` are UIDs of which nobody can tell."""

    times: dict[str, list[dt.date]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)


def moved_times(events: Iterable[Event]) -> Moved:
    """Gather what events stand for of those that repeat."""
    found = Moved()
    for event in (event for event in events if _names(event, "RECURRENCE-ID")):
        uid, day = str(event.get("UID", "")), value_of(event, "RECURRENCE-ID")
        if isinstance(day, dt.date) and "RANGE" not in event["RECURRENCE-ID"].params:
            found.times.setdefault(uid, []).append(day)
        else:
            found.unsure.add(uid)
    return found


def series_of(event: Event) -> tuple[str, str] | None:
    """What tells an event from others: its UID and, where it stands for one time of a series, that time."""
    uid, meant = str(event.get("UID", "")).strip(), value_of(event, "RECURRENCE-ID")
    if not uid or (meant is None and _names(event, "RECURRENCE-ID")):
        return None
    return uid, str(in_utc(meant) if isinstance(meant, dt.datetime) else meant)


def value_of(event: Event, key: str) -> Any:
    """The moment or day of a property; None where it is not there once, or cannot be read."""
    broken = any(name == key for name, _ in event.errors)
    return None if broken else getattr(event.get(key), "dt", None)


def _names(event: Event, key: str) -> bool:
    """Whether an event has a property, also one that could not be read."""
    return key in event or any(name == key for name, _ in event.errors)


def in_utc(moment: dt.datetime) -> dt.datetime:
    """A moment in UTC without its zone; one that has none stays."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def times_of(event: Event, starts: dt.datetime, moved: Moved) -> list[dt.datetime] | Unreadable:
    """When an event that repeats takes place; its hour is the clock's of its zone, summer and winter."""
    uid = str(event.get("UID", ""))
    if uid in moved.unsure:
        return Unreadable(f"repeats, and another event stands for times of it that cannot be told; {ONE_BY_ONE}")
    if "EXRULE" in event:
        return Unreadable(f"has an EXRULE, which calendars no longer use; {ONE_BY_ONE}")
    found = {starts}
    for rule in _listed(event, "RRULE"):
        times = _ruled(rule, starts)
        if isinstance(times, Unreadable):
            return times
        found.update(times)
    for moment in _moments(event, "RDATE"):
        if not isinstance(moment, dt.datetime):
            return Unreadable("has an RDATE that is no moment; mend it in the calendar")
        found.add(_on_clock(moment, starts))
    return _without(found, starts, [*_moments(event, "EXDATE"), *moved.times.get(uid, [])])


def _without(found: set[dt.datetime], starts: dt.datetime, named: list[dt.date]) -> list[dt.datetime] | Unreadable:
    """The times without those that are named, as a moment or as a day."""
    left, days = set(found), {moment.date() for moment in found}
    for each in named:
        if isinstance(each, dt.datetime):
            moment = _on_clock(each, starts)
            if moment not in found and moment.date() in days:
                return Unreadable(
                    f"takes place on {moment:%Y-%m-%d}, but not at {moment:%H:%M}, which was moved or "
                    "called off; mend it in the calendar"
                )
            left.discard(moment)
        else:
            left -= {moment for moment in found if moment.date() == each}
    return sorted(left)


def _on_clock(moment: dt.datetime, starts: dt.datetime) -> dt.datetime:
    """A moment on the clock of an event; one without a zone stands there already."""
    if moment.tzinfo is None or starts.tzinfo is None:
        return moment.replace(tzinfo=starts.tzinfo)
    return moment.astimezone(starts.tzinfo)


def _moments(event: Event, key: str) -> Iterator[Any]:
    return (each.dt for listed in _listed(event, key) for each in listed.dts)


def _ruled(rule: Any, starts: dt.datetime) -> list[dt.datetime] | Unreadable:
    if "COUNT" not in rule and "UNTIL" not in rule:
        return Unreadable("repeats without an end; give it one in the calendar, or export its events one by one")
    if rule["FREQ"][0] not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        return Unreadable(f"repeats {rule['FREQ'][0]}; {ONE_BY_ONE}")
    if not _has_the_day_of(rule, starts):
        return Unreadable(UNNAMED)
    count = min(int(rule.get("COUNT", [MAX_TIMES + 1])[0]), MAX_TIMES + 1)
    last = starts + MAX_YEARS
    until = min(_end(rule["UNTIL"][0], starts), last + MAX_YEARS) if "UNTIL" in rule else last
    bare = {key: value for key, value in rule.items() if key not in ("COUNT", "UNTIL")}
    made = import_module("dateutil.rrule").rrulestr(type(rule)(bare).to_ical().decode(), dtstart=starts)
    times = list(islice(made.replace(until=until), count))
    if len(times) > MAX_TIMES or until > last or len(times) < count < MAX_TIMES + 1:
        return Unreadable(f"repeats more than {MAX_TIMES:,} times or thirty years; give it an end in the calendar")
    if times[:1] != [starts]:
        return Unreadable(UNNAMED)
    return times


def _has_the_day_of(rule: Any, starts: dt.datetime) -> bool:
    """Whether the rule's months and days have the first time's; one that never falls is looked for until 9999."""
    length = monthrange(starts.year, starts.month)[1]
    months, days = rule.get("BYMONTH", []), rule.get("BYMONTHDAY", [])
    in_month = not months or starts.month in map(int, months)
    return in_month and (not days or bool({starts.day, starts.day - length - 1} & set(map(int, days))))


def _end(until: dt.date, starts: dt.datetime) -> dt.datetime:
    """The last moment of a rule; some programs write the day alone, or the hour of the event's own clock."""
    moment = until if isinstance(until, dt.datetime) else dt.datetime.combine(until, dt.time.max)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=starts.tzinfo)


def _listed(event: Event, key: str) -> list[Any]:
    found = event.get(key, [])
    return found if isinstance(found, list) else [found]
