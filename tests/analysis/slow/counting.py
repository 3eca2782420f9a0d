"""Rows of a metric by loops: periods, what tells rows apart, and each of our metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

from rayces_core.fields.schemas import WEEKDAYS
from tests.analysis.slow.worlds import DAY, HOUR, MINUTE, Session, World

Key = tuple[Any, ...]
LEADS = ((1, "<1 d"), (3, "1-3 d"), (7, "3-7 d"), (14, "1-2 w"))
IDS = ("professional", "student", "client", "service", "credit_kind", "room", "device")
COLUMN = {name: f"{name}_id" for name in IDS} | {"group": "group_name"}


def period_of(world: World, day: date, every: str | None) -> date:
    """The first day of the period, by going back a day at a time."""
    while day > world.first:
        begins = {"1d": True, "1w": day.weekday() == 0, "1mo": day.day == 1, None: False}[every]
        if begins:
            break
        day -= DAY
    return day


def periods(world: World, every: str | None) -> list[date]:
    days = (world.first + DAY * n for n in range((world.last - world.first).days))
    return sorted({period_of(world, day, every) for day in days})


def apart(world: World, session: Session, name: str) -> Any:
    """What `by` has of a session."""
    local = world.local(session.start)
    if name in ("service", "credit_kind", "device", "group"):
        return None  # there is none in these worlds
    if name == "room":
        return world.ids[name][0] if session.professional == 0 else None
    if name in COLUMN:
        return world.ids[name][getattr(session, name)]
    return {
        "specialization": world.people[session.professional].specialization,
        "grade": world.grades[session.student],
        "weekday": local.isoweekday(),
        "hour": local.hour,
        "lead": _lead(session),
    }[name]


def _lead(session: Session) -> str | None:
    ahead = session.start - session.created
    if ahead < timedelta():
        return None
    return next((label for days, label in LEADS if ahead < DAY * days), ">2 w")


def counted(
    world: World,
    every: str | None,
    by: tuple[str, ...],
    rows: Iterable[tuple[date, Key, Any]],
    figures: Callable[[list[Any]], dict[str, Any]],
    places: Iterable[Key] | None = None,
) -> list[dict[str, Any]]:
    """The rows of a frame, of (local day, what tells apart, fact)."""
    found: dict[Key, list[Any]] = defaultdict(list)
    seen: set[Key] = set(places or ()) if by else {()}
    for day, key, fact in rows:
        if world.first <= day < world.last:
            seen.add(key)
            found[period_of(world, day, every), key].append(fact)
    return [
        {
            "organization_id": world.organization.id,
            **({"period": period} if every else {}),
            **dict(zip((COLUMN.get(name, name) for name in by), key, strict=True)),
            **figures(found[period, key]),
        }
        for period in periods(world, every)
        for key in seen
    ]


def ratio(numerator: int, denominator: int) -> float | None:
    return float(Fraction(numerator, denominator)) if denominator else None


def of_sessions(world: World, by: tuple[str, ...]) -> Iterator[tuple[date, Key, Session]]:
    for session in world.sessions:
        yield world.local(session.start).date(), tuple(apart(world, session, name) for name in by), session


# -- the metrics ------------------------------------------------------------------------------------------------------


def sessions(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    def figures(facts: list[Session]) -> dict[str, Any]:
        states = [session.state for session in facts]
        return {
            "executed": states.count("executed"),
            "no_show": states.count("no_show"),
            "cancelled": states.count("cancelled"),
            "open": states.count("pre_confirmed") + states.count("confirmed"),
            "held_minutes": sum(session.minutes for session in facts if session.state == "executed"),
        }

    return counted(world, every, by, of_sessions(world, by), figures)


def no_show_rate(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    def figures(facts: list[Session]) -> dict[str, Any]:
        states = [session.state for session in facts]
        missed, kept = states.count("no_show"), states.count("executed")
        still = len([state for state in states if state in ("pre_confirmed", "confirmed")])
        return {"no_show": missed, "executed": kept, "open": still, "rate": ratio(missed, missed + kept)}

    return counted(world, every, by, of_sessions(world, by), figures)


def cancellation_rate(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    def figures(facts: list[Session]) -> dict[str, Any]:
        confirmed = [
            one
            for one in facts
            if one.state in ("confirmed", "executed", "no_show") or (one.state == "cancelled" and one.was_confirmed)
        ]
        ended = [one for one in facts if one.state == "cancelled" and one.reason.startswith("student ")]
        cancelled = [one for one in confirmed if one.state == "cancelled" and one not in ended]
        late = [one for one in cancelled if one.start - one.cancelled < HOUR * world.notice_hours]
        expired = [
            one for one in facts if one.state == "cancelled" and not one.was_confirmed and one.reason == "expired"
        ]
        return {
            "confirmed": len(confirmed),
            "cancelled": len(cancelled),
            "late": len(late),
            "expired": len(expired),
            "discharged": len(ended),
            "rate": ratio(len(cancelled), len(confirmed)),
            "late_rate": ratio(len(late), len(confirmed)),
        }

    return counted(world, every, by, of_sessions(world, by), figures)


def rebooked(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    def is_given_back(one: Session) -> bool:
        return one.state == "cancelled" and (one.was_held or one.was_confirmed) and one.cancelled < one.start

    def is_taken(one: Session, minute: datetime) -> bool:
        return any(
            other.professional == one.professional
            and other.is_taking_time(world.now)
            and other.created < one.start
            and other.start <= minute < other.end
            for other in world.sessions
        )

    def figures(facts: list[Session]) -> dict[str, Any]:
        minutes = [(one, one.start + MINUTE * n) for one in facts for n in range(one.minutes)]
        taken = sum(is_taken(one, minute) for one, minute in minutes)
        return {
            "cancelled_minutes": len(minutes),
            "rebooked_minutes": taken,
            "rate": ratio(taken, len(minutes)),
        }

    given_back = (row for row in of_sessions(world, by) if is_given_back(row[2]))
    return counted(world, every, by, given_back, figures)


def minutes(world: World, by: tuple[str, ...]) -> Iterator[tuple[date, Key, tuple[bool, Session | None, bool]]]:
    """Each minute that is worked or taken: (whether worked, whose session it is, whether it is a buffer of it)."""
    at, taken = datetime.combine(world.first, time.min, UTC) - DAY, _taken(world)
    until = datetime.combine(world.last, time.min, UTC) + DAY
    while at < until:
        local = world.local(at)
        for number, person in enumerate(world.people):
            taking = taken.get((number, at))
            works = _works(person, local)
            if works or taking is not None:
                told = {
                    "professional": world.ids["professional"][number],
                    "specialization": person.specialization,
                    "weekday": local.isoweekday(),
                    "hour": local.hour,
                }
                is_buffer = taking is not None and not taking.start <= at < taking.end
                yield local.date(), tuple(told[name] for name in by), (works, taking, is_buffer)
        at += MINUTE


def _taken(world: World) -> dict[tuple[int, datetime], Session]:
    """Whose each minute of a professional is, buffers included."""
    return {
        (one.professional, one.start + MINUTE * n): one
        for one in world.sessions
        if one.is_taking_time(world.now)
        for n in range(-one.before, one.minutes + one.buffer)
    }


def _works(person: Any, local: datetime) -> bool:
    if not person.active or any(first <= local.date() <= last for first, last in person.blocked):
        return False
    minute = local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in person.schedule.get(WEEKDAYS[local.weekday()], ()))


def occupancy(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    def figures(facts: list[Any]) -> dict[str, Any]:
        working = sum(works for works, _, _ in facts)
        booked = [one for works, one, is_buffer in facts if works and one is not None and not is_buffer]
        executed = sum(one.state == "executed" for one in booked)
        return {
            "working_minutes": working,
            "booked_minutes": len(booked),
            "occupied_minutes": sum(works and one is not None for works, one, _ in facts),
            "executed_minutes": executed,
            "outside_minutes": sum(not works and one is not None and not is_buffer for works, one, is_buffer in facts),
            "occupancy": ratio(len(booked), working),
            "utilisation": ratio(executed, working),
        }

    facts = [row for row in minutes(world, by) if row[2][0] or not row[2][2]]
    return counted(world, every, by, facts, figures)


def heat_map(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    place = len(by)
    found = occupancy(world, every, (*by, "weekday", "hour"))
    whose = {tuple(row[COLUMN.get(name, name)] for name in by) for row in found}
    week = [(weekday, hour) for weekday in range(1, 8) for hour in range(24)]
    there = {
        (row.get("period"), *(row[COLUMN.get(name, name)] for name in by), row["weekday"], row["hour"]): row
        for row in found
    }
    rows = []
    for period in periods(world, every) if every else [None]:
        for key in whose if place else {()}:
            for weekday, hour in week:
                row = there.get((period, *key, weekday, hour), {})
                rows.append(
                    {
                        "organization_id": world.organization.id,
                        **({"period": period} if every else {}),
                        **dict(zip((COLUMN.get(name, name) for name in by), key, strict=True)),
                        "weekday": weekday,
                        "hour": hour,
                        **{name: row.get(name, 0) for name in ("working_minutes", "booked_minutes")},
                        "occupancy": row.get("occupancy"),
                    }
                )
    return rows
