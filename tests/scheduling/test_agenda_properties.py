"""A day of everything at once against an account of it, minute by minute, that knows none of the library's SQL.

Bookings, groups with their seats, rooms, devices, second professionals, services with buffers, time off and blocked
rooms, made, moved and given back in any order while holds run out. What is listed is what is booked, what is booked is
what the account allows, and no minute of anything is held twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, example, given
from hypothesis import strategies as st

from rayces_core import Appointment, GroupSession
from rayces_core.errors import BookingError
from rayces_core.scheduling import (
    book,
    book_group,
    cancel_group_session,
    create_group_session,
    free_slots,
    group_slots,
    request_time_off,
    reschedule,
    reschedule_group,
)
from tests.factory import make_giving, make_resource, make_service
from tests.scheduling.account import CLOSES, GIVERS, OPENS, PEOPLE, ROOMS, STEP, Account, Entry, Wish, held_twice
from tests.scheduling.oracle import hours, schedule_json, time_text
from tests.scheduling.worlds import DAY, MINUTE, NOW, another_family, make_working, open_centre
from tests.sizes import examples

LATER = NOW + timedelta(hours=25)  # holds of NOW are overdue
FEATURES = ("mirror", "ramp")
FAMILIES = 4

# -- what is done -----------------------------------------------------------------------------------------------------

TIMES = st.sampled_from([*range(OPENS, CLOSES, STEP), OPENS - STEP])
PLACES = st.sampled_from([0, 0, 0, 1, 1, 2])
WINDOWS = st.sampled_from([(9 * 60, 10 * 60), (10 * 60 + 30, 11 * 60 + 15), (14 * 60, 24 * 60), (0, 24 * 60)])
FAMILY = st.integers(0, FAMILIES - 1)


@st.composite
def wishes(draw: Any, seats: Any) -> Wish:
    first = draw(st.sampled_from([0, 1, 0, 1, 2]))
    made = draw(seats)
    return Wish(
        first=first,
        second=draw(st.none() | st.none() | st.integers(0, PEOPLE - 1).filter(lambda n: n != first)),
        room=draw(
            st.none() | st.integers(0, ROOMS - 1) | st.sets(st.sampled_from(FEATURES), max_size=1).map(frozenset)
        ),
        device=draw(st.sampled_from([False, True])),
        service=made is None and draw(st.sampled_from([False, True])),
        minutes=draw(st.sampled_from([30, 45, 90])),
        at=draw(TIMES),
        family=draw(FAMILY),
        firm=draw(st.booleans()),
        seats=made,
    )


STEPS = st.one_of(
    st.tuples(st.just("book"), wishes(st.none())),
    st.tuples(st.just("book"), wishes(st.none())),
    st.tuples(st.just("gather"), wishes(st.integers(1, 2))),
    st.tuples(st.just("join"), st.tuples(PLACES, FAMILY, st.booleans())),
    st.tuples(st.just("join"), st.tuples(PLACES, FAMILY, st.booleans())),
    st.tuples(st.just("leave"), PLACES),
    st.tuples(st.just("disband"), PLACES),
    st.tuples(st.just("move"), st.tuples(PLACES, TIMES)),
    st.tuples(st.just("move_group"), st.tuples(PLACES, TIMES)),
    st.tuples(st.just("ask_off"), st.tuples(st.integers(0, PEOPLE - 1), WINDOWS)),
    st.tuples(st.just("come_back"), PLACES),
    st.tuples(st.just("block"), st.tuples(st.integers(0, ROOMS), st.lists(WINDOWS, max_size=1))),
)
WORLDS = st.fixed_dictionaries(
    {
        "closes": st.lists(st.sampled_from([CLOSES, CLOSES, CLOSES - 120]), min_size=PEOPLE, max_size=PEOPLE),
        "buffers": st.lists(
            st.tuples(st.sampled_from([0, 0, 15]), st.sampled_from([0, 0, 15])), min_size=PEOPLE, max_size=PEOPLE
        ),
        "features": st.lists(st.sampled_from([FEATURES, FEATURES[:1], ()]), min_size=ROOMS, max_size=ROOMS),
        "active": st.lists(st.sampled_from([True, True, False]), min_size=ROOMS, max_size=ROOMS),
        "service": st.fixed_dictionaries(
            {
                "minutes": st.sampled_from([30, 60]),
                "before": st.sampled_from([15, 0, 30]),
                "after": st.sampled_from([30, None, 0]),
                "features": st.sets(st.sampled_from(FEATURES), max_size=1),
            }
        ),
    }
)
DEEDS = ("book", "gather", "join", "move", "move group")
seen: Counter[str] = Counter()


def off(window: tuple[int, int]) -> dict[str, Any]:
    """The day, or those hours of it, as blocked dates have them."""
    begins, ends = window
    whole = ends - begins == 24 * 60
    day = {"start": DAY.date().isoformat(), "end": DAY.date().isoformat()}
    return day | ({} if whole else {"hours": {"start": time_text(begins), "end": time_text(ends)}})


class Day:
    """A centre's day, and the account of it; every step is done to both."""

    def __init__(self, world: dict[str, Any]) -> None:
        self.account, self.now = Account(world), NOW
        self.people = [
            make_working(weekly_schedule=schedule_json(hours((9, closes // 60))), buffer_minutes=after)
            for closes, (_, after) in zip(world["closes"], world["buffers"], strict=True)
        ]
        for person, (before, _) in zip(self.people, world["buffers"], strict=True):
            person.buffer_before_minutes = before
            person.save()
        self.resources = [
            make_resource(features=sorted(features), active=active)
            for features, active in zip(world["features"], world["active"], strict=True)
        ] + [make_resource(kind="device")]
        service = world["service"]
        self.service = make_service(
            duration_minutes=service["minutes"],
            buffer_before_minutes=service["before"],
            buffer_after_minutes=service["after"],
            room_features=sorted(service["features"]),
        )
        for giver in self.people[:GIVERS]:
            make_giving(professional=giver, service=self.service)
        self.families = [another_family() for _ in range(FAMILIES)]
        self.requests: list[tuple[Any, tuple[Any, range]]] = []

    # -- bookings

    def asked(self, wish: Wish) -> dict[str, Any]:
        given = {
            "second_professional": None if wish.second is None else self.people[wish.second],
            "room": self.resources[wish.room] if isinstance(wish.room, int) else None,
            "room_with": wish.room if isinstance(wish.room, frozenset) else None,
            "device": self.resources[-1] if wish.device else None,
            "service": self.service if wish.service else None,
            "duration_minutes": None if wish.service else wish.minutes,
        }
        return {name: value for name, value in given.items() if value is not None}

    def listed(self, professional: Any, **asked: Any) -> list[int]:
        slots = free_slots(professional, DAY, DAY + timedelta(days=1), step_minutes=STEP, now=self.now, **asked)
        return [(slot.start - DAY) // MINUTE for slot in slots]

    def book(self, wish: Wish) -> None:
        starts = range(OPENS, CLOSES, STEP)
        found = [at for at in starts if self.account.of(wish, at) is not None]
        assert self.listed(self.people[wish.first], **self.asked(wish)) == found
        entry = self.account.of(wish, wish.at)
        allowed = entry is not None and not self.account.is_elsewhere(wish.family, entry.session())
        made = self.tried(
            "book",
            allowed,
            lambda: book(
                professional=self.people[wish.first],
                scheduled_at=DAY + wish.at * MINUTE,
                confirm=wish.firm,
                now=self.now,
                **self.families[wish.family],
                **self.asked(wish),
            ),
        )
        if made is not None:
            assert made.room_id == self.room_of(entry)
            entry.attending[made.id] = wish.family, wish.firm
            self.account.entries["appointment", made.id] = entry

    def room_of(self, entry: Entry) -> int | None:
        rooms = [number for kind, number in entry.keys if kind == "resource" and number < ROOMS]
        return self.resources[rooms[0]].id if rooms else None

    def move(self, place: int, at: int) -> None:
        alone = sorted(number for kind, number in self.account.entries if kind == "appointment")
        if place >= len(alone) or self.account.entries["appointment", alone[place]].at == at:
            return
        name = "appointment", alone[place]
        entry, appointment = self.account.entries[name], Appointment.get_by_id(alone[place])
        moved = replace(entry, at=at)
        starts = (replace(entry, at=start) for start in range(OPENS, CLOSES, STEP))
        found = [each.at for each in starts if self.may_move(entry, each)]
        assert self.listed(appointment.professional, moving=appointment) == found
        deed = self.tried(
            "move", self.may_move(entry, moved), lambda: reschedule(appointment, DAY + at * MINUTE, now=self.now)
        )
        if deed is not None:
            self.account.entries[name] = moved

    def may_move(self, entry: Entry, moved: Entry) -> bool:
        families = {family for family, _ in entry.attending.values()}
        elsewhere = any(self.account.is_elsewhere(family, moved.session(), entry) for family in families)
        return self.account.allows(moved, entry) and not elsewhere

    def leave(self, place: int) -> None:
        held = sorted(number for entry in self.account.entries.values() for number in entry.attending)
        if place < len(held):
            Appointment.get_by_id(held[place]).cancel(reason="ill", now=self.now)
            self.account.give_back(held[place])

    # -- groups

    def group(self, place: int) -> tuple[Any, Any, Any]:
        """The group of that place with its name and its entry, if there is one."""
        names = sorted(name for name in self.account.entries if name[0] == "group")
        if place >= len(names):
            return None, None, None
        return names[place], self.account.entries[names[place]], GroupSession.get_by_id(names[place][1])

    def gather(self, wish: Wish) -> None:
        entry = self.account.of(wish, wish.at)
        made = self.tried(
            "gather",
            entry is not None,
            lambda: create_group_session(
                professional=self.people[wish.first],
                scheduled_at=DAY + wish.at * MINUTE,
                capacity=wish.seats,
                now=self.now,
                **self.asked(wish),
            ),
        )
        if made is not None:
            assert made.room_id == self.room_of(entry)
            self.account.entries["group", made.id] = entry

    def join(self, place: int, family: int, firm: bool) -> None:
        _, entry, group = self.group(place)
        if group is None:
            return
        allowed = len(entry.attending) < entry.seats and not self.account.is_elsewhere(family, entry.session())
        made = self.tried(
            "join", allowed, lambda: book_group(group, confirm=firm, now=self.now, **self.families[family])
        )
        if made is not None:
            entry.attending[made.id] = family, firm

    def move_group(self, place: int, at: int) -> None:
        name, entry, group = self.group(place)
        if group is None or entry.at == at:
            return
        moved = replace(entry, at=at)
        deed = self.tried(
            "move group",
            self.may_move(entry, moved),
            lambda: reschedule_group(group, DAY + at * MINUTE, now=self.now),
        )
        if deed is not None:
            self.account.entries[name] = moved

    def disband(self, place: int) -> None:
        name, _, group = self.group(place)
        if group is not None:
            cancel_group_session(group, reason="ill", now=self.now)
            del self.account.entries[name]

    # -- time off

    def ask_off(self, person: int, window: tuple[int, int]) -> None:
        hours_off = off(window).get("hours")
        request = request_time_off(self.people[person], DAY.date(), DAY.date(), hours=hours_off)
        request.approve(now=self.now)
        away = ("person", person), range(*window)
        self.account.away.append(away)
        self.requests.append((request, away))

    def come_back(self, place: int) -> None:
        if place < len(self.requests):
            request, away = self.requests.pop(place)
            request.revoke(now=self.now, reason="it is off")
            self.account.away.remove(away)

    def block(self, number: int, windows: list[tuple[int, int]]) -> None:
        resource = self.resources[number]
        resource.blocked_dates = [off(window) for window in windows]
        resource.save()
        kept = [away for away in self.account.away if away[0] != ("resource", number)]
        self.account.away = kept + [(("resource", number), range(*window)) for window in windows]

    # -- what holds all along

    def tried(self, what: str, allowed: bool, deed: Callable[[], Any]) -> Any:
        """Do it, and see that it is refused exactly where the account does not allow it."""
        refused = None
        try:
            done = deed()
        except BookingError as error:
            refused, done = error, None
        assert (refused is None) == allowed, refused or f"{what}: the account has it taken"
        seen[f"{what} refused" if refused else what] += 1
        return done

    def check(self) -> None:
        """As the rows have it: nothing is held twice, and each group has the seats that the account has free."""
        assert held_twice(self.now) == []
        tomorrow = DAY + timedelta(days=1)
        listed = {slot.group_session_id: slot.free for slot in group_slots(DAY, tomorrow, now=self.now)}
        assert listed == {
            number: entry.seats - len(entry.attending)
            for (kind, number), entry in self.account.entries.items()
            if kind == "group" and len(entry.attending) < entry.seats
        }


def plain(at: int, family: int, first: int = 0, seats: int | None = None) -> Wish:
    """Half an hour with one person and nothing else."""
    return Wish(
        first, None, None, device=False, service=False, minutes=30, at=at, family=family, firm=True, seats=seats
    )


PLAIN = {
    "closes": [CLOSES] * PEOPLE,
    "buffers": [(0, 0)] * PEOPLE,
    "features": [()] * ROOMS,
    "active": [True] * ROOMS,
    "service": {"minutes": 30, "before": 0, "after": 0, "features": set()},
}
# Each deed, done and refused.
EACH = [
    ("book", plain(600, 0)),
    ("book", plain(600, 1)),
    ("book", plain(660, 1)),
    ("move", (0, 660)),
    ("move", (0, 720)),
    ("gather", plain(600, 0, first=1, seats=1)),
    ("gather", plain(600, 0, first=1, seats=1)),
    ("join", (0, 2, True)),
    ("join", (0, 3, True)),
    ("book", plain(660, 3, first=1)),
    ("move_group", (0, 660)),
    ("move_group", (0, 840)),
]


@example(world=PLAIN, early=EACH, late=[])
# Not made smaller when it fails: that takes minutes, as each example is dozens of bookings.
@examples(
    20,
    50,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(world=WORLDS, early=st.lists(STEPS, min_size=14, max_size=24), late=st.lists(STEPS, min_size=4, max_size=10))
def check(db: Any, world: dict[str, Any], early: list[Any], late: list[Any]) -> None:
    with open_centre(db):
        day = Day(world)
        for what, given_ in [*early, ("later", None), *late]:
            if what == "later":
                day.now = LATER
                day.account.run_out()
            else:
                getattr(day, what)(*(given_ if isinstance(given_, tuple) else (given_,)))
            day.check()


@pytest.mark.slow
def test_what_is_listed_and_held_is_what_the_account_says(db: Any) -> None:
    seen.clear()

    check(db)

    # Enough of each, so that no part of the claim is empty.
    assert min(seen[what] for what in DEEDS) >= 1, seen
    assert min(seen[f"{what} refused"] for what in DEEDS) >= 1, seen
