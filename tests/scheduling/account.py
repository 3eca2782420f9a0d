"""An account of who and what is held when, minute by minute of one day, by loops and without the library's SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rayces_core import Appointment, GroupSession
from tests.scheduling.worlds import DAY, MINUTE

STEP, OPENS, CLOSES = 15, 9 * 60, 15 * 60
PEOPLE, ROOMS, GIVERS = 3, 2, 2  # the first two give the service
DEVICE = ("resource", ROOMS)


@dataclass(frozen=True)
class Wish:
    """A session for one family, or of a group; `minutes` and `service` exclude each other."""

    first: int
    second: int | None
    room: int | frozenset[str] | None
    device: bool
    service: bool
    minutes: int
    at: int
    family: int
    firm: bool
    seats: int | None = None


@dataclass(frozen=True)
class Entry:
    """What holds something: whom and what, when, and for which families by which seats."""

    keys: tuple[Any, ...]
    at: int
    before: int
    minutes: int
    after: int
    seats: int | None
    attending: dict[int, tuple[int, bool]] = field(default_factory=dict)  # appointment → family, and whether for good

    def span(self) -> range:
        return range(self.at - self.before, self.at + self.minutes + self.after)

    def session(self) -> range:
        return range(self.at, self.at + self.minutes)


def meet(one: range, other: range) -> bool:
    return any(minute in other for minute in one)


class Account:
    """Who and what is held, away or blocked, by what was told to it alone."""

    def __init__(self, world: dict[str, Any]) -> None:
        self.world = world
        self.entries: dict[tuple[str, int], Entry] = {}
        self.away: list[tuple[Any, range]] = []

    def of(self, wish: Wish, at: int) -> Entry | None:
        """What it would hold, with the first room that does; None if it cannot be had."""
        people = [("person", n) for n in (wish.first, wish.second) if n is not None]
        service = self.world["service"] if wish.service else {"minutes": wish.minutes, "before": 0, "after": None}
        before, after = self.world["buffers"][wish.first]
        before = 0 if wish.seats else max(before, service["before"])
        after = after if service["after"] is None else service["after"]
        keys = (*people, *([DEVICE] if wish.device else []))
        entry = Entry(keys, at, before, service["minutes"], after, wish.seats)
        if (wish.service and wish.first >= GIVERS) or not self.allows(entry):
            return None
        asked = frozenset(self.world["service"]["features"]) if wish.service else frozenset()
        if wish.room is None and not asked:
            return entry
        with_room = (replace(entry, keys=(*keys, ("resource", room))) for room in self.rooms(wish.room, asked))
        return next((each for each in with_room if self.allows(each)), None)

    def rooms(self, wanted: int | frozenset[str] | None, asked: frozenset[str]) -> list[int]:
        """Those that would do, in order."""
        asked = asked | wanted if isinstance(wanted, frozenset) else asked
        return [
            room
            for room in range(ROOMS)
            if self.world["active"][room]
            and asked <= set(self.world["features"][room])
            and (not isinstance(wanted, int) or wanted == room)
        ]

    def allows(self, entry: Entry, aside: Entry | None = None) -> bool:
        """Whether everybody works then, and nothing is away or held by another entry than `aside`."""
        others = [each for each in self.entries.values() if each is not aside]
        return all(
            self.works(key, entry.session())
            and not any(key == other and meet(entry.session(), span) for other, span in self.away)
            and not any(key in other.keys and meet(entry.span(), other.span()) for other in others)
            for key in entry.keys
        )

    def works(self, key: Any, session: range) -> bool:
        kind, number = key
        return kind != "person" or (session.start >= OPENS and session.stop <= self.world["closes"][number])

    def is_elsewhere(self, family: int, session: range, aside: Entry | None = None) -> bool:
        """Whether the family attends anything else meanwhile."""
        return any(
            meet(session, each.session())
            for each in self.entries.values()
            if each is not aside and family in {who for who, _ in each.attending.values()}
        )

    def give_back(self, appointment: int) -> None:
        for name, entry in list(self.entries.items()):
            if entry.attending.pop(appointment, None) and entry.seats is None:
                del self.entries[name]

    def run_out(self) -> None:
        """All that was not confirmed is no more."""
        for entry in list(self.entries.values()):
            for appointment in [held for held, (_, firm) in entry.attending.items() if not firm]:
                self.give_back(appointment)


# -- the rows themselves ----------------------------------------------------------------------------------------------


def held_twice(now: datetime) -> list[tuple[str, int, int]]:
    """The minutes, counted from DAY, that somebody or something is held by two rows at once."""
    live = Appointment.in_state("pre_confirmed", "confirmed").where(Appointment.group_session.is_null())
    alone = [row for row in live if row.state == "confirmed" or row.expires_at >= now]
    rows = [*alone, *GroupSession.select().where(GroupSession.state == "open")]
    held = Counter((*key, minute) for row in rows for key in _held_by(row) for minute in _span(row))
    return sorted(each for each, many in held.items() if many > 1)


def _held_by(row: Any) -> list[tuple[str, int]]:
    named = {"person": (row.professional_id, row.second_professional_id), "resource": (row.room_id, row.device_id)}
    return [(kind, key) for kind, keys in named.items() for key in keys if key is not None]


def _span(row: Any) -> range:
    start = (row.scheduled_at - DAY) // MINUTE
    return range(start - getattr(row, "buffer_before_minutes", 0), start + row.duration_minutes + row.buffer_minutes)
