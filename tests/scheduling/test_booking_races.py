"""Races for one professional's time, by real processes: one winner each round, and every loser is told at once."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    InvalidTransitionError,
    NotPermittedError,
    SlotTakenError,
    StateTransition,
    StudentBusyError,
)
from rayces_core.scheduling import book_series, reschedule
from tests.scheduling import racing
from tests.scheduling.worlds import (
    ALWAYS,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    another_family,
    at,
    make_working,
    noted,
    open_centre,
)
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((2, 6), (8, 40))
FEW = quick_or_whole(1, 3)
WEEK = timedelta(weeks=1)


@pytest.fixture(scope="module")
def race(db):
    """A centre that works day and night, many families, and as many processes."""
    with open_centre(db, weekly_schedule=ALWAYS) as centre, racing.crew(db, WORKERS) as crew:
        yield centre, crew, [another_family() for _ in range(WORKERS)]


@pytest.fixture
def free_day(race):
    """Every test has the professional's time to itself."""
    yield
    for appointment in Appointment.in_state("draft", "pre_confirmed", "confirmed"):
        appointment.cancel(reason="the test is over")


pytestmark = pytest.mark.usefixtures("free_day")


def ids_of(family):
    return {who: row.id for who, row in family.items()}


def asks(centre, families, **changes):
    """One booking by each family, named by ids as these go to other processes."""
    usual = {"professional": centre.professional.user_id, "now": NOW}
    return [(racing.book, usual | ids_of(family) | changes) for family in families]


def told_apart(outcomes, *losses):
    """Ids of the winners, and the errors of the losers, all of whom lost in time."""
    won = [outcome.value for outcome in outcomes if isinstance(outcome.value, int | str)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome.value, int | str)]
    assert {type(outcome.value) for outcome in lost} <= set(losses or (SlotTakenError,)), lost
    assert max((outcome.seconds for outcome in lost), default=0) < racing.LONGEST_WAIT
    return won, [outcome.value for outcome in lost]


def overlaps():
    """Pairs of appointments that hold the same time of the same professional."""
    rows = list(Appointment.in_state("pre_confirmed", "confirmed").order_by(Appointment.scheduled_at))
    pairs = [(one, other) for one in rows for other in rows if one.id < other.id]
    return [
        (one, other)
        for one, other in pairs
        if one.professional_id == other.professional_id
        and one.scheduled_at < other.occupied_until
        and other.scheduled_at < one.occupied_until
    ]


# -- booking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, rounds", [({}, ROUNDS), ({"confirm": True}, FEW), ({"allow_overlap": True}, FEW)], ids=str
)
def test_of_many_that_book_the_same_slot_one_wins_each_round(race, options, rounds):
    centre, crew, families = race
    for number in range(rounds):
        outcomes = crew.race(asks(centre, families, scheduled_at=at(number), **options))

        (winner,), losses = told_apart(outcomes)
        assert {loss.conflicting_id for loss in losses} == {winner}
        assert {loss.scheduled_at for loss in losses} == {at(number)}
        assert Appointment.get_by_id(winner).scheduled_at == at(number)
    assert Appointment.in_state("pre_confirmed", "confirmed").count() == rounds


def test_of_many_that_book_overlapping_slots_of_mixed_lengths_one_wins_each_round(race):
    centre, crew, families = race
    lengths = (15, 30, 45, 60, 90, 120, 240, 480)
    for number in range(ROUNDS):
        middle = at(12, number)
        deeds = []
        for place, family in enumerate(families):
            minutes = lengths[place % len(lengths)]
            # All of them hold the same minute.
            start = middle - (place * 7 % minutes) * MINUTE
            deeds += asks(centre, [family], scheduled_at=start, duration_minutes=minutes)

        (winner,), losses = told_apart(crew.race(deeds))
        assert {loss.conflicting_id for loss in losses} == {winner}
    assert Appointment.in_state("pre_confirmed").count() == ROUNDS


def test_some_of_a_chain_of_overlapping_slots_win_and_never_two_that_overlap(race):
    centre, crew, families = race
    for number in range(FEW):
        starts = [at(0, number) + place * 20 * MINUTE for place in range(WORKERS)]
        deeds = []
        for family, start in zip(families, starts, strict=True):
            deeds += asks(centre, [family], scheduled_at=start)

        won, _ = told_apart(crew.race(deeds))

        # Each winner keeps at most two others on either side away.
        assert WORKERS / 5 <= len(won) <= WORKERS / 3 + 1
    assert overlaps() == []


def test_many_that_book_different_slots_all_win(race):
    centre, crew, families = race
    deeds = []
    for hour, family in enumerate(families):
        deeds += asks(centre, [family], scheduled_at=at(hour))

    won, losses = told_apart(crew.race(deeds))

    assert (len(won), losses) == (WORKERS, [])


def test_of_many_professionals_one_gets_the_student(race):
    centre, crew, families = race
    professionals = [make_working(weekly_schedule=ALWAYS) for _ in range(WORKERS)]
    for number in range(FEW):
        deeds = []
        for family, professional in zip(families, professionals, strict=True):
            of = {"professional": professional.user_id, "student": centre.student.id}
            deeds += asks(centre, [family], scheduled_at=at(number), **of)

        (winner,), losses = told_apart(crew.race(deeds), StudentBusyError)
        assert {loss.conflicting_id for loss in losses} == {winner}


def test_of_many_drafts_of_a_slot_one_is_pre_confirmed(race):
    centre, crew, families = race
    for number in range(FEW):
        drafts = [centre.book(at(number), draft=True, **family).id for family in families]
        deeds = [(racing.fire, {"appointment_id": draft, "event": "pre_confirm", "now": NOW}) for draft in drafts]

        won, losses = told_apart(crew.race(deeds))

        assert len(won) == 1
        (winner,) = Appointment.in_state("pre_confirmed").where(Appointment.scheduled_at == at(number))
        assert {loss.conflicting_id for loss in losses} == {winner.id}


# -- moving -----------------------------------------------------------------------------------------------------------


def test_two_moves_into_one_gap_and_bookings_of_it_leave_one_there(race):
    centre, crew, families = race
    for number in range(ROUNDS):
        gap = at(12, number)
        movers = [centre.book(gap + hours * HOUR, **families[hours]) for hours in (2, 4)]
        deeds = [(racing.reschedule, {"appointment_id": one.id, "scheduled_at": gap, "now": NOW}) for one in movers]
        deeds += asks(centre, families[5:9], scheduled_at=gap + 30 * MINUTE)

        (winner,), losses = told_apart(crew.race(deeds))
        assert {loss.conflicting_id for loss in losses} == {winner}
        stayed = [one for one in movers if one.id != winner]
        assert all(Appointment.get_by_id(one.id).scheduled_at == one.scheduled_at for one in stayed)
        assert all(len(one.history()) == 1 for one in stayed)
    assert overlaps() == []


def test_two_that_would_change_places_do_not_wait_for_each_other(race):
    centre, crew, families = race
    for number in range(ROUNDS):
        one, other = (centre.book(at(hour, number), **families[hour]) for hour in (1, 2))
        deeds = [
            (racing.reschedule, {"appointment_id": mine.id, "scheduled_at": theirs.scheduled_at, "now": NOW})
            for mine, theirs in ((one, other), (other, one))
        ]

        won, _ = told_apart(crew.race(deeds))

        assert won == []  # each finds the other there
    assert overlaps() == []


# -- confirming and cancelling ----------------------------------------------------------------------------------------


def test_confirming_racing_cancelling_leaves_one_history(race):
    centre, crew, _ = race
    client = centre.client.id
    for number in range(ROUNDS):
        booked = centre.book(at(number))
        deeds = [
            (racing.fire_as, {"appointment_id": booked.id, "event": event, "by": client, "now": NOW})
            for event in ("confirm", "cancel") * 3
        ]

        done = [outcome.value for outcome in crew.race(deeds)]

        # A client cancels nothing that is confirmed, so one of the two is possible.
        (event,) = [value for value in done if isinstance(value, str)]
        assert {type(value) for value in done if value != event} <= {InvalidTransitionError, NotPermittedError}
        now = Appointment.get_by_id(booked.id)
        assert now.state == {"confirm": "confirmed", "cancel": "cancelled"}[event]
        assert noted(now)[1:] == [(event, "pre_confirmed", now.state)]


def test_moving_racing_cancelling_and_confirming_leaves_a_history_that_replays(race):
    centre, crew, families = race
    for number in range(ROUNDS):
        booked = centre.book(at(1, number))
        deeds = [(racing.reschedule, {"appointment_id": booked.id, "scheduled_at": at(3, number), "now": NOW})]
        deeds += [
            (racing.fire, {"appointment_id": booked.id, "event": "cancel", "reason": "ill", "now": NOW}),
            (racing.fire, {"appointment_id": booked.id, "event": "confirm", "now": NOW}),
            *asks(centre, families[:3], scheduled_at=at(1, number)),
        ]

        outcomes = crew.race(deeds)

        assert {type(outcome.value) for outcome in outcomes} <= {int, str, InvalidTransitionError, SlotTakenError}
        now, state = Appointment.get_by_id(booked.id), "draft"
        for _, from_state, to_state in noted(now):
            assert from_state == state
            state = to_state
        assert state == now.state
        happened = sorted(event for event, *_ in noted(now)[1:])
        succeeded = ["reschedule" if value == booked.id else value for value in values_of(outcomes[:3])]
        assert happened == sorted(succeeded)
    assert overlaps() == []


def values_of(outcomes):
    return [outcome.value for outcome in outcomes if isinstance(outcome.value, int | str)]


# -- series -----------------------------------------------------------------------------------------------------------


def test_of_series_that_meet_one_is_booked_and_the_others_not_at_all(race):
    centre, crew, families = race
    for number in range(FEW):
        deeds = [
            (
                racing.book_series,
                asks(centre, [family], scheduled_at=at(number, 7 * place))[0][1] | {"count": 6 - place},
            )
            for place, family in enumerate(families[:4])
        ]
        outcomes = crew.race(deeds)

        (winner,) = [outcome.value for outcome in outcomes if isinstance(outcome.value, list)]
        assert {type(outcome.value) for outcome in outcomes if outcome.value != winner} == {SlotTakenError}
        assert {one.id for one in Appointment.in_state("pre_confirmed") if one.scheduled_at.hour == number} == set(
            winner
        )
    assert overlaps() == []


def booked_at(hour):
    return [one for one in Appointment.in_state("pre_confirmed") if one.scheduled_at.hour == hour]


# -- killed in the middle ---------------------------------------------------------------------------------------------

WHOLE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "deed, stop_at",
    [
        pytest.param(racing.book, ("confirm", 1), id="before the commit", marks=pytest.mark.exhaustive),
        pytest.param(
            racing.book, ("pre_confirm", 1), id="between booking and confirming", marks=pytest.mark.exhaustive
        ),
        pytest.param(racing.book_series, ("pre_confirm", 3), id="in the middle of a series"),
    ],
)
def test_of_a_process_that_is_killed_in_the_middle_nothing_remains(race, deed, stop_at):
    centre, _, families = race
    wanted = asks(centre, families[:1], scheduled_at=at(10))[0][1]
    wanted |= {"confirm": True} if deed is racing.book else {"count": 5}

    with centre.untouched():
        racing.kill_within(centre.db, deed, wanted, *stop_at)

    # Nothing holds the time, and nobody's lock is left behind.
    assert len(book_series(**centre.wanted(at(10), count=5)).booked) == 5


def test_of_processes_killed_at_any_moment_every_booking_is_whole(race):
    centre, _, families = race
    wanted = asks(centre, families[:1], confirm=True)[0][1]
    delays = quick_or_whole((0, 0.005, 0.05), (0, 0.001, 0.005, 0.01, 0.02, 0.05))
    for seconds in delays:
        racing.kill_while_booking(centre.db, DAY, wanted, seconds)

    booked = list(Appointment.in_state("draft", "pre_confirmed", "confirmed"))
    assert len(booked) >= len(delays)
    assert {one.state for one in booked} == {"confirmed"}
    assert all([event for event, *_ in noted(one)] == ["pre_confirm", "confirm"] for one in booked)
    subjects = {row.subject_id for row in StateTransition.select()}
    assert subjects == {one.id for one in Appointment.select()}
    assert reschedule(booked[0], at(1, 60), now=NOW).scheduled_at == at(1, 60)


# -- corrections ------------------------------------------------------------------------------------------------------


def test_corrections_race_bookings_and_each_other_and_the_time_is_taken_once(race):
    centre, crew, families = race
    for number in range(FEW):
        session = centre.book(at(10, number), confirm=True)
        session.mark_no_show(now=session.ends_at)
        kept = centre.staff.id
        fixes = [
            (racing.fire_as, {"appointment_id": session.id, "event": event, "by": kept, "now": session.ends_at})
            for event in ("correct_to_executed", "reopen")
        ]
        rivals = [(racing.book, centre.wanted(at(10, number), **ids_of(family))) for family in families[: WORKERS - 2]]
        for deed in rivals:
            deed[1].update(professional=centre.professional.user_id)

        outcomes = [outcome.value for outcome in crew.race([*fixes, *rivals])]

        assert all(isinstance(value, SlotTakenError) for value in outcomes[2:])
        after = Appointment.get_by_id(session.id)
        made = [value for value in outcomes[:2] if isinstance(value, str)]
        lost = [value for value in outcomes[:2] if not isinstance(value, str)]
        # A session that was executed meanwhile may be opened as well; an open one is no no-show any more.
        assert after.state == ("confirmed" if "reopen" in made else "executed")
        assert all(isinstance(value, InvalidTransitionError) for value in lost)
        assert [change.event for change in after.history()][-len(made) :] == made
        taken = Appointment.for_professional(centre.professional).occupying(at(10, number), at(11, number))
        assert [row.id for row in taken] == [session.id]
