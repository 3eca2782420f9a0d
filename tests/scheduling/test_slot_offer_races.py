"""Races for a place in the line, by real processes: no time is offered twice, no request has two, none is forgotten."""

import pytest

from rayces_core import Appointment, InvalidTransitionError, SlotRequest, SlotTakenError, TransitionRefusedError
from rayces_core.scheduling import offer_slots, request_slot
from tests.scheduling import racing
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.test_booking_races import ids_of
from tests.scheduling.worlds import DAY, HOUR, MINUTE, NOW, another_family, make_working, open_centre
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((2, 5), (10, 16))
HOURS = 4
FOUR_HOURS = schedule_json(hours((9, 9 + HOURS)))
LATER = NOW + HOUR


@pytest.fixture(scope="module")
def race(db):
    with open_centre(db) as centre, racing.crew(db, WORKERS) as crew:
        yield centre, crew


def a_line(length=HOURS + 2):
    """A professional with four hours on one day, and families that wait for one of them."""
    for left_over in SlotRequest.select().where(SlotRequest.state == "waiting"):
        left_over.withdraw()
    one = make_working(weekly_schedule=FOUR_HOURS)
    days = {"from_day": DAY.date(), "until_day": DAY.date(), "professional": one}
    return one, [request_slot(**another_family(), **days, now=NOW + number * MINUTE).id for number in range(length)]


def held(professional):
    """Request → the start that is held for it; fails if anything is held twice."""
    rows = [row for row in Appointment.for_professional(professional) if row.state.occupies_time]
    assert len({row.scheduled_at for row in rows}) == len(rows)
    of_requests = [row for row in rows if row.slot_request_id is not None]
    offers = {row.slot_request_id: row.scheduled_at for row in of_requests}
    assert len(offers) == len(of_requests)
    return offers


def states(requests):
    return [SlotRequest.get_by_id(request).state for request in requests]


def test_many_workers_offer_each_time_once_and_to_those_who_wait_longest(race):
    _, crew = race
    for _ in range(ROUNDS):
        one, requests = a_line()
        outcomes = crew.race([(racing.offer, {"now": LATER})] * WORKERS)
        made = [request for outcome in outcomes for request in outcome.value]
        assert sorted(made) == sorted(requests[:HOURS])
        assert list(held(one)) == requests[:HOURS]
        assert states(requests) == ["offered"] * HOURS + ["waiting"] * 2


def test_who_books_meanwhile_and_who_is_offered_share_the_hours_between_them(race):
    _, crew = race
    for _ in range(ROUNDS):
        one, requests = a_line()
        bookings = [
            (racing.book, {"scheduled_at": DAY + (9 + n) * HOUR, "professional": one.user_id, "now": NOW} | family)
            for n, family in enumerate(ids_of(another_family()) for _ in range(min(HOURS, WORKERS - 2)))
        ]
        outcomes = crew.race([(racing.offer, {"now": LATER})] * 2 + bookings)
        assert all(isinstance(outcome.value, int | list | SlotTakenError) for outcome in outcomes), outcomes
        booked = sum(isinstance(outcome.value, int) for outcome in outcomes)
        offer_slots(LATER)
        assert list(held(one)) == requests[: HOURS - booked]
        assert states(requests) == ["offered"] * (HOURS - booked) + ["waiting"] * (2 + booked)


def test_who_leaves_the_line_while_it_is_looked_at_holds_nothing(race):
    _, crew = race
    for _ in range(ROUNDS):
        one, requests = a_line()
        leaving = [
            (racing.answer, {"request": request, "how": "withdraw_slot_request", "now": LATER})
            for request in requests[: WORKERS - 2]
        ]
        outcomes = crew.race([(racing.offer, {"now": LATER})] * 2 + leaving)
        assert all(isinstance(outcome.value, str | list) for outcome in outcomes), outcomes
        offer_slots(LATER)
        stayed = requests[len(leaving) :]
        assert list(held(one)) == stayed[:HOURS]
        assert states(requests) == ["withdrawn"] * len(leaving) + ["offered"] * len(stayed[:HOURS]) + ["waiting"] * len(
            stayed[HOURS:]
        )


def test_an_answer_counts_once_however_it_comes(race):
    """Accepted, declined and swept at once: the request is taken if and only if its session is confirmed."""
    _, crew = race
    for _ in range(ROUNDS):
        one, requests = a_line(HOURS)
        offer_slots(LATER)
        deeds = [(racing.expire, {"now": LATER + 3 * HOUR, "batch_size": 500})]
        for request in requests[: (WORKERS - 1) // 2]:
            deeds += [
                (racing.answer, {"request": request, "how": how, "now": LATER + HOUR})
                for how in ("accept_offer", "decline_offer")
            ]
        outcomes = crew.race(deeds)
        refused = (InvalidTransitionError, TransitionRefusedError)
        assert all(isinstance(outcome.value, (str, int, *refused)) for outcome in outcomes), outcomes
        for request in requests:
            live = [row.state for row in Appointment.select().where(Appointment.slot_request == request)]
            expected = "taken" if live == ["confirmed"] else "waiting"
            assert (states([request]), len(live)) == ([expected], 1), live
        assert set(held(one)) <= set(requests)


@pytest.mark.parametrize("times", [1, 3])
def test_a_worker_killed_in_the_middle_leaves_what_it_has_offered_and_nothing_half(race, times):
    centre, _ = race
    one, requests = a_line()
    racing.kill_within(centre.db, racing.offer, {"now": LATER}, "pre_confirm", times)
    assert list(held(one)) == requests[: times - 1]
    assert states(requests) == ["offered"] * (times - 1) + ["waiting"] * (len(requests) - times + 1)
    assert [offer.slot_request_id for offer in offer_slots(LATER)] == requests[times - 1 : HOURS]
