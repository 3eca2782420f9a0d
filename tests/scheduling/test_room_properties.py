"""Rooms, devices and second professionals against an oracle that asks of each minute whether each of them is free.

What is listed is what the oracle allows, what is listed can be booked and what is not cannot, and the room that a
booking takes is the first that the oracle has free. The oracle keeps its own account of who holds what.
"""

from datetime import timedelta

from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from rayces_core.errors import BookingError
from rayces_core.scheduling import create_group_session, free_slots
from tests.factory import make_resource
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import DAY, MINUTE, NOW, another_family, make_working, open_centre
from tests.sizes import examples

STEP = 30
FEATURES = ("mirror", "ramp")
OPENS, CLOSES = 9 * 60, 13 * 60


class Account:
    """Who or what is held when, by minutes of the day; and which hours each professional has."""

    def __init__(self, hours_of):
        self.held = {}
        self.hours_of = hours_of

    def take(self, keys, begins, ends):
        for key in keys:
            self.held.setdefault(key, set()).update(range(begins, ends))

    def is_free(self, key, begins, ends):
        return not self.held.get(key, set()) & set(range(begins, ends))

    def works(self, key, begins, ends):
        opens, closes = self.hours_of[key]
        return opens <= begins and ends <= closes


@st.composite
def wishes(draw, professionals=3, rooms=3, devices=2):
    """First and second professional, a room or what it has, a device, length, and whether it is a group."""
    first = draw(st.integers(0, professionals - 1))
    second = draw(st.none() | st.integers(0, professionals - 1).filter(lambda n: n != first))
    room = draw(st.none() | st.integers(0, rooms - 1) | st.sets(st.sampled_from(FEATURES)).map(frozenset))
    device = draw(st.none() | st.integers(0, devices - 1))
    at = OPENS - STEP + STEP * draw(st.integers(0, 9))
    return first, second, room, device, draw(st.sampled_from([30, 45, 90])), at, draw(st.booleans())


worlds = st.fixed_dictionaries(
    {
        "features": st.lists(st.sets(st.sampled_from(FEATURES)), min_size=3, max_size=3),
        "active": st.lists(st.sampled_from([True, True, False]), min_size=3, max_size=3),
        "buffers": st.lists(st.sampled_from([0, 0, 15]), min_size=3, max_size=3),
        "closes": st.lists(st.sampled_from([CLOSES, CLOSES - 60]), min_size=3, max_size=3),
    }
)


# Not made smaller when it fails: that takes minutes, as each example is dozens of bookings.
@examples(
    6,
    60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(world=worlds, asked=st.lists(wishes(), min_size=6, max_size=12))
def test_what_is_listed_and_booked_is_what_the_oracle_says(db, world, asked):
    with open_centre(db) as centre:
        people = [
            make_working(buffer_minutes=buffer, weekly_schedule=schedule_json(hours((9, closes // 60))))
            for buffer, closes in zip(world["buffers"], world["closes"], strict=True)
        ]
        rooms = [
            make_resource(features=sorted(features), active=active, name=f"{number}")
            for number, (features, active) in enumerate(zip(world["features"], world["active"], strict=True))
        ]
        devices = [make_resource(kind="device") for _ in range(2)]
        account = Account({("person", n): (OPENS, closes) for n, closes in enumerate(world["closes"])})
        for first, second, room, device, minutes, at, is_group in asked:
            oracle = _Oracle(account, world, first, second, room, device, minutes)
            options = {
                "second_professional": None if second is None else people[second],
                "room": rooms[room] if isinstance(room, int) else None,
                "room_with": room if isinstance(room, frozenset) else None,
                "device": None if device is None else devices[device],
                "duration_minutes": minutes,
            }
            given_ = {name: value for name, value in options.items() if value is not None}
            slots = free_slots(people[first], DAY, DAY + timedelta(days=1), step_minutes=STEP, now=NOW, **given_)
            assert [(slot.start - DAY) // MINUTE for slot in slots] == [
                start for start in range(OPENS, CLOSES, STEP) if oracle.allows(start)
            ]
            allowed = oracle.allows(at)
            try:
                made = _make(centre, people[first], DAY + at * MINUTE, is_group, given_)
            except BookingError:
                assert not allowed
                continue
            assert allowed
            wanted = oracle.room_at(at)
            assert made.room_id == (None if wanted is None else rooms[wanted].id)
            oracle.take(at)


def _make(centre, professional, at, is_group, given_):
    if is_group:
        return create_group_session(professional=professional, scheduled_at=at, capacity=2, now=NOW, **given_)
    return centre.book(at, professional=professional, **another_family(), **given_)


class _Oracle:
    """One wish against the account."""

    def __init__(self, account, world, first, second, room, device, minutes):
        self.account, self.world, self.minutes, self.room = account, world, minutes, room
        self.people = [("person", n) for n in (first, second) if n is not None]
        self.device = [] if device is None else [("device", device)]
        self.after = world["buffers"][first]

    def span(self, at):
        return at, at + self.minutes + self.after

    def allows(self, at):
        keys = self.people + self.device
        works = all(self.account.works(key, at, at + self.minutes) for key in self.people)
        free = all(self.account.is_free(key, *self.span(at)) for key in keys)
        return works and free and (self.room is None or self.room_at(at) is not None)

    def room_at(self, at):
        """The first that would do and is free."""
        if self.room is None:
            return None
        for number, (features, active) in enumerate(zip(self.world["features"], self.world["active"], strict=True)):
            is_meant = number == self.room if isinstance(self.room, int) else self.room <= features
            if active and is_meant and self.account.is_free(("room", number), *self.span(at)):
                return number
        return None

    def take(self, at):
        room = self.room_at(at)
        keys = self.people + self.device + ([] if room is None else [("room", room)])
        self.account.take(keys, *self.span(at))
