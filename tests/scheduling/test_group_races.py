"""Races for seats and for a group's time, by real processes: no seat is had twice, no time by a group and another."""

import itertools
from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    BookingError,
    GroupFullError,
    GroupSession,
    InvalidTransitionError,
    SlotTakenError,
    StudentBusyError,
)
from tests.scheduling import racing
from tests.scheduling.test_booking_races import ids_of, told_apart
from tests.scheduling.test_groups import gather, join
from tests.scheduling.worlds import ALWAYS, DAY, HOUR, NOW, another_family, make_working, open_centre
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((2, 6), (8, 40))


@pytest.fixture(scope="module")
def race(db):
    """A centre that works day and night, many families, and as many processes."""
    with open_centre(db, weekly_schedule=ALWAYS) as centre, racing.crew(db, WORKERS) as crew:
        yield centre, crew, [another_family() for _ in range(WORKERS)]


_days = itertools.count()


@pytest.fixture
def anew(race):
    """A professional with nothing booked."""
    return make_working(weekly_schedule=ALWAYS)


@pytest.fixture
def day():
    """A day of the test's own, on which no family is anywhere."""
    return DAY + timedelta(days=3 * next(_days))


def joins(group, families, **changes):
    return [(racing.join, {"group": group.id, "now": NOW} | ids_of(family) | changes) for family in families]


def seats(group):
    taken = Appointment.select().where(Appointment.group_session == group.id, Appointment.seat.is_null(False))
    return sorted(appointment.seat for appointment in taken)


def whole(group):
    """The group as the database has it: everyone in it is at its time, and nobody has what another has."""
    stored = GroupSession.get_by_id(group.id)
    taken = list(Appointment.select().where(Appointment.group_session == group.id, Appointment.seat.is_null(False)))
    assert {(a.scheduled_at, a.duration_minutes, a.seats) for a in taken} <= {
        (stored.scheduled_at, stored.duration_minutes, stored.open_seats)
    }
    assert len({a.seat for a in taken}) == len(taken) <= stored.open_seats
    return stored


def nothing_overlaps(professional):
    """No appointment of the professional's lies over a group that is not its own."""
    groups = list(GroupSession.select().where(GroupSession.professional == professional, GroupSession.state == "open"))
    taken = Appointment.for_professional(professional).in_state("pre_confirmed", "confirmed")
    return not [
        (group, each)
        for group in groups
        for each in taken
        if each.group_session_id != group.id
        and each.scheduled_at < group.occupied_until
        and group.scheduled_at < each.occupied_until
    ]


def test_of_many_that_want_few_seats_as_many_win_as_there_are(race, anew, day):
    centre, crew, families = race
    for number in range(ROUNDS):
        group = gather(centre, day + number * HOUR, professional=anew, capacity=3)

        won, lost = told_apart(crew.race(joins(group, families)), GroupFullError)

        assert (len(won), len(lost)) == (3, WORKERS - 3)
        assert seats(group) == [1, 2, 3]


def test_a_group_and_a_booking_never_both_have_the_time(race, anew, day):
    _centre, crew, families = race
    for number in range(ROUNDS):
        start = day + number * timedelta(hours=3)
        made = {"professional": anew.user_id, "scheduled_at": start, "capacity": 2, "now": NOW}
        booked = {"professional": anew.user_id, "scheduled_at": start + HOUR / 2, "now": NOW}
        deeds = [(racing.gather, made), (racing.gather, made | {"scheduled_at": start + HOUR / 4})]
        deeds += [(racing.book, booked | ids_of(family)) for family in families[: WORKERS - 2]]

        won, _ = told_apart(crew.race(deeds), SlotTakenError, StudentBusyError)

        assert len(won) == 1
        assert nothing_overlaps(anew)


def test_moving_a_group_while_seats_are_booked_and_given_back_moves_everyone(race, anew, day):
    centre, crew, families = race
    for number in range(ROUNDS):
        group = gather(centre, day + number * timedelta(hours=6), professional=anew, capacity=WORKERS)
        leaving = join(group)
        deeds = [
            (racing.move_group, {"group": group.id, "scheduled_at": group.scheduled_at + 2 * HOUR, "now": NOW}),
            (racing.fire, {"appointment_id": leaving.id, "event": "cancel", "reason": "ill", "now": NOW}),
            *joins(group, families[: WORKERS - 2]),
        ]

        outcomes = crew.race(deeds)

        assert [outcome.value for outcome in outcomes if isinstance(outcome.value, Exception)] == []
        assert whole(group).scheduled_at == group.scheduled_at + 2 * HOUR
        assert len(seats(group)) == WORKERS - 2


def test_a_move_onto_a_time_that_is_being_booked_leaves_one_there(race, anew, day):
    centre, crew, families = race
    for number in range(ROUNDS):
        group = gather(centre, day + number * timedelta(hours=6), professional=anew, capacity=2)
        join(group)
        start = group.scheduled_at + 2 * HOUR
        booked = {"professional": anew.user_id, "scheduled_at": start, "now": NOW}
        deeds = [(racing.move_group, {"group": group.id, "scheduled_at": start, "now": NOW})]
        deeds += [(racing.book, booked | ids_of(family)) for family in families[: WORKERS - 1]]

        won, _ = told_apart(crew.race(deeds), SlotTakenError, StudentBusyError)

        assert len(won) == 1
        assert nothing_overlaps(anew)
        whole(group)


def test_cancelling_a_group_while_seats_are_booked_leaves_nobody_in_it(race, anew, day):
    centre, crew, families = race
    for number in range(ROUNDS):
        group = gather(centre, day + number * HOUR, professional=anew, capacity=WORKERS)
        join(group)
        deeds = [(racing.cancel_group, {"group": group.id, "now": NOW}), *joins(group, families[: WORKERS - 1])]

        told_apart(crew.race(deeds), InvalidTransitionError, StudentBusyError)

        assert whole(group).state == "cancelled"
        assert seats(group) == []


def test_fewer_seats_while_they_are_booked_are_never_too_few(race, anew, day):
    centre, crew, families = race
    for number in range(ROUNDS):
        group = gather(centre, day + number * HOUR, professional=anew, capacity=WORKERS)
        fewer = [(racing.have_seats, {"group": group.id, "capacity": 2, "now": NOW})]

        outcomes = crew.race([*fewer, *joins(group, families[: WORKERS - 1])])

        assert {type(o.value) for o in outcomes if isinstance(o.value, Exception)} <= {GroupFullError}
        whole(group)


@pytest.mark.parametrize("event", ["pre_confirm", "confirm"])
def test_of_a_process_that_is_killed_in_the_middle_no_seat_is_taken(race, anew, day, event):
    centre, _crew, families = race
    group = gather(centre, day, professional=anew, capacity=1)
    wanted = {"group": group.id, "now": NOW, "confirm": True} | ids_of(families[0])

    racing.kill_within(centre.db, racing.join, wanted, event, 1)

    assert seats(group) == []
    assert join(group, families[1]).seat == 1


def test_of_a_cancellation_that_is_killed_in_the_middle_nothing_remains(race, anew, day):
    centre, _, families = race
    group = gather(centre, day, professional=anew, capacity=2)
    for family in families[:2]:
        join(group, family)

    racing.kill_within(centre.db, racing.cancel_group, {"group": group.id, "now": NOW}, "cancel", 2)

    assert whole(group).state == "open"
    assert seats(group) == [1, 2]


def test_every_loser_is_told_why(race, anew, day):
    centre, crew, families = race
    group = gather(centre, day, professional=anew, capacity=1)

    outcomes = crew.race(joins(group, families))

    assert sum(isinstance(outcome.value, BookingError) for outcome in outcomes) == WORKERS - 1
