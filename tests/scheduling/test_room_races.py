"""Races for rooms, devices and professionals, by real processes: what is there once is held once at a time."""

import itertools
from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    BookingError,
    DeviceTakenError,
    OutsideScheduleError,
    RoomTakenError,
    SecondProfessionalTakenError,
    SlotTakenError,
)
from rayces_core.models import GroupSession
from rayces_core.scheduling import book, create_group_session
from tests.factory import make_resource
from tests.scheduling import racing
from tests.scheduling.account import held_twice
from tests.scheduling.test_booking_races import ids_of, told_apart
from tests.scheduling.worlds import ALWAYS, DAY, HOUR, NOW, another_family, make_working, open_centre
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((2, 6), (8, 24))


@pytest.fixture(scope="module")
def race(db):
    """A centre, as many families and professionals as processes, and the processes."""
    with open_centre(db, weekly_schedule=ALWAYS) as centre, racing.crew(db, WORKERS) as crew:
        people = [(another_family(), make_working(weekly_schedule=ALWAYS).user_id) for _ in range(WORKERS)]
        yield centre, crew, people


_days = itertools.count()


@pytest.fixture
def day():
    """A day of the test's own, on which nobody is anywhere."""
    return DAY + timedelta(days=3 * next(_days))


def bookings(people, at, **held):
    """The same for each: another family, another professional."""
    return [
        (racing.book, {"professional": professional, "scheduled_at": at, "now": NOW} | ids_of(family) | held)
        for family, professional in people
    ]


@pytest.mark.parametrize(
    ("role", "error"),
    [
        ("room", RoomTakenError),
        ("device", DeviceTakenError),
        ("second_professional", SecondProfessionalTakenError),
    ],
)
def test_of_many_professionals_one_has_it(race, day, role, error):
    _, crew, people = race
    held = make_working(weekly_schedule=ALWAYS).user_id if role == "second_professional" else None
    for number in range(ROUNDS):
        key = held or make_resource(kind=role).id

        won, lost = told_apart(crew.race(bookings(people, day + number * HOUR, **{role: key})), error)

        assert (len(won), len(lost)) == (1, WORKERS - 1)
        (row,) = Appointment.select().where(Appointment.id == won[0])
        assert getattr(row, f"{role}_id") == key
        assert {refused.conflicting_id for refused in lost} <= {row.id, None}


def test_as_many_win_as_there_are_rooms_with_a_mirror(race, day):
    _, crew, people = race
    feature = f"mirror {day.isoformat()}"
    rooms = {make_resource(features=[feature]).id for _ in range(WORKERS // 2)}
    for number in range(ROUNDS):
        at = day + number * HOUR

        won, lost = told_apart(crew.race(bookings(people, at, room_with=[feature])), RoomTakenError)

        held = [row.room_id for row in Appointment.select().where(Appointment.id << won)]
        assert sorted(held) == sorted(rooms)
        assert len(lost) == WORKERS - len(rooms)


def test_nobody_is_the_first_of_one_session_and_the_second_of_another(race, day):
    _, crew, people = race
    for number in range(ROUNDS):
        at, wanted = day + number * HOUR, make_working(weekly_schedule=ALWAYS).user_id
        half = WORKERS // 2
        as_second = bookings(people[:half], at, second_professional=wanted)
        as_first = bookings([(family, wanted) for family, _ in people[half:]], at)

        won, lost = told_apart(crew.race([*as_second, *as_first]), SecondProfessionalTakenError, SlotTakenError)

        assert (len(won), len(lost)) == (1, WORKERS - 1)
        assert Appointment.select().holding("professional", wanted).count() == 1


def test_a_group_and_bookings_never_have_one_room(race, day):
    _, crew, people = race
    for number in range(ROUNDS):
        at, room = day + number * HOUR, make_resource().id
        half = WORKERS // 2
        groups = [
            (racing.gather, {"professional": who, "scheduled_at": at, "capacity": 3, "room": room, "now": NOW})
            for _, who in people[:half]
        ]

        won, lost = told_apart(crew.race([*groups, *bookings(people[half:], at, room=room)]), RoomTakenError)

        assert (len(won), len(lost)) == (1, WORKERS - 1)
        held = [model.select().where(model.room == room).count() for model in (Appointment, GroupSession)]
        assert sum(held) == 1


def test_who_wants_each_others_second_waits_in_no_circle(race, day):
    """A with B as second, and B with A: whoever comes first has both."""
    _, crew, people = race
    for number in range(ROUNDS):
        pair = [make_working(weekly_schedule=ALWAYS).user_id for _ in range(2)]
        deeds = [
            (
                racing.book,
                {"professional": pair[n % 2], "second_professional": pair[1 - n % 2], "now": NOW}
                | {"scheduled_at": day + number * HOUR}
                | ids_of(family),
            )
            for n, (family, _) in enumerate(people)
        ]

        outcomes = crew.race(deeds)
        won, lost = told_apart(outcomes, SecondProfessionalTakenError, SlotTakenError)

        assert (len(won), len(lost)) == (1, WORKERS - 1)
        assert max(outcome.seconds for outcome in outcomes) < racing.LONGEST_WAIT


def test_seats_bookings_moves_and_a_block_race_for_one_room_and_no_minute_is_held_twice(race, day):
    """A group is to go where others want its room, its professional or its seats, while the room is blocked."""
    _, crew, people = race
    for number in range(ROUNDS):
        at, (families, professionals) = day + 3 * number * HOUR, zip(*people, strict=True)
        room, busy = make_resource(), make_working(weekly_schedule=ALWAYS).user_id
        group = create_group_session(professional=busy, scheduled_at=at, capacity=2, room=room, now=NOW)
        blocked = [{"start": at.date().isoformat(), "end": at.date().isoformat()}]
        third = (WORKERS - 2) // 3
        seats = [(racing.join, {"group": group.id, "now": NOW} | ids_of(family)) for family in families[:third]]
        deeds = [
            (racing.move_group, {"group": group.id, "scheduled_at": at + HOUR, "now": NOW}),
            (racing.block, {"resource": room.id, "blocked_dates": blocked}),
            *seats,
            *bookings(people[third : 2 * third], at + 1.5 * HOUR, room=room.id),
            *bookings([(family, busy) for family in families[2 * third : WORKERS - 2]], at + 1.5 * HOUR),
        ]

        outcomes = [outcome.value for outcome in crew.race(deeds)]

        assert outcomes[1] == "blocked"
        assert all(isinstance(value, int | str | BookingError) for value in outcomes), outcomes
        assert held_twice(NOW) == []
        won = [value for value in outcomes[2 : 2 + third] if isinstance(value, int)]
        assert len(won) == min(2, third)
        assert {row.scheduled_at for row in Appointment.select().where(Appointment.id << won)} == {
            GroupSession.get_by_id(group.id).scheduled_at
        }
        # What comes after the block is refused for it.
        with pytest.raises(OutsideScheduleError):
            book(professional=professionals[0], scheduled_at=at, room=room, now=NOW, **another_family())
