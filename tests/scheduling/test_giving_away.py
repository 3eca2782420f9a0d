"""Moving: nothing happens onto the same time, another professional has own rules, a key is carried out once."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CrossTenantError,
    Database,
    IdempotencyConflictError,
    InvalidDataError,
    InvalidTransitionError,
    NewClientsRefusedError,
    NotPermittedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    SlotTakenError,
)
from rayces_core.scheduling import free_slots, reschedule
from tests.factory import make_user
from tests.scheduling import racing
from tests.scheduling.worlds import HOUR, MINUTE, NOW, another_family, at, make_working, moving, noted, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked
from tests.wire import wire

# -- onto the same time -----------------------------------------------------------------------------------------------


def test_moved_onto_itself_nothing_happens(centre, moves_told):
    """f07_moved_onto_itself."""
    booked = centre.book(at(10), confirm=True, now=NOW - timedelta(hours=1))

    with centre.untouched():
        for options in ({}, {"duration_minutes": 60}, {"professional": centre.professional}, {"reason": "again"}):
            same = reschedule(booked, at(10), by=centre.staff, now=NOW + HOUR, **options)
            assert (same, same.was_repeated) == (booked, False)

    assert moves_told == []


def test_who_may_not_move_it_may_not_move_it_onto_itself(centre):
    booked = centre.book(at(10), confirm=True)

    centre.refused(NotPermittedError, moving(booked, by=make_user()), scheduled_at=at(10))
    booked.cancel(reason="ill")
    centre.refused(InvalidTransitionError, moving(booked), scheduled_at=at(10))


def test_another_length_is_another_time(centre, moves_told):
    booked = centre.book(at(10))

    reschedule(booked, at(10), duration_minutes=45, now=NOW)

    assert (booked.duration_minutes, noted(booked)[-1][0], len(moves_told)) == (45, "reschedule", 1)


# -- to another professional ------------------------------------------------------------------------------------------


def test_a_professional_who_leaves_has_sessions_moved_and_given_away(centre, moves_told):
    """f11_professional_leaves."""
    booked = centre.book(at(10), confirm=True)
    centre.professional.active = False
    centre.professional.save()
    bob = make_working(buffer_minutes=30)

    assert reschedule(booked, at(10.25), by=centre.staff, now=NOW).scheduled_at == at(10.25)
    moves_told.clear()
    reschedule(booked, at(10.25), professional=bob, by=centre.staff, reason="Ana leaves", now=NOW + HOUR)

    row = Appointment.get_by_id(booked.id)
    assert row.__data__ == booked.__data__
    assert (row.professional_id, row.buffer_minutes, row.occupied_until) == (bob.user_id, 30, at(11.75))
    assert booked.professional == bob
    last = booked.history()[-1]
    was = f"from {at(10.25).isoformat()} with professional {centre.professional.user_id}: Ana leaves"
    assert (last.event, last.actor, last.reason) == ("reschedule", centre.staff, was)
    (change,) = moves_told
    assert change.given == {"scheduled_at": at(10.25), "duration_minutes": None, "professional": bob.user_id}
    assert [slot.start for slot in free_slots(bob, at(9), at(13), now=NOW)] == [at(12)]


@pytest.mark.slow
@walked("state", ["draft", "pre_confirmed", "confirmed"], anew="centre")
def test_it_keeps_its_state_and_may_change_its_time_as_well(centre, state):
    booked = centre.book(at(10), draft=state == "draft", confirm=state == "confirmed")
    bob = make_working()

    reschedule(booked, at(14), professional=bob.user_id, duration_minutes=30, now=NOW)

    row = Appointment.get_by_id(booked.id)
    assert (row.state, row.professional_id, row.scheduled_at, row.ends_at) == (state, bob.user_id, at(14), at(14.5))


def test_the_new_ones_own_rules_count(centre):
    booked, bob = centre.book(at(10), confirm=True), make_working(blocked_dates=["2031-03-04"])
    taken = centre.book(at(12), professional=bob, **another_family())
    move = moving(booked, professional=bob, by=centre.staff)

    assert centre.refused(SlotTakenError, move, scheduled_at=at(12.5)).conflicting_id == taken.id
    assert centre.refused(OutsideScheduleError, move, scheduled_at=at(10, 1)).reason == "blocked_date"
    error = centre.refused(OutsideScheduleError, move, scheduled_at=at(18))
    assert (error.nearest.professional_id, error.nearest.start) == (bob.user_id, at(16))
    bob.active = False
    bob.save()
    centre.refused(ProfessionalInactiveError, move, scheduled_at=at(10))


def test_staff_give_to_one_who_takes_no_new_clients_and_a_family_does_not(centre):
    booked, bob = centre.book(at(10)), make_working(accepts_new_clients=False)

    centre.refused(NewClientsRefusedError, moving(booked, professional=bob, by=centre.client), scheduled_at=at(10))
    assert reschedule(booked, at(10), professional=bob, by=centre.staff, now=NOW).professional_id == bob.user_id


def test_one_who_is_not_there_gets_nothing(db, centre):
    booked = centre.book(at(10))
    with open_centre(db) as other:
        theirs = other.professional
    with db.tenant(centre.organization):
        centre.refused(ReferenceNotFoundError, moving(booked, professional=10**12), scheduled_at=at(10))
        centre.refused(CrossTenantError, moving(booked, professional=theirs), scheduled_at=at(10))
        centre.refused(ReferenceNotFoundError, moving(booked, professional=theirs.user_id), scheduled_at=at(10))
        centre.refused(InvalidDataError, moving(booked, professional="Bob"), scheduled_at=at(10))


@pytest.mark.slow
def test_giving_away_takes_two_messages(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        booked, bob = centre.book(at(10)), make_working()
        proxy.sent.clear()

        reschedule(booked, at(12), professional=bob, idempotency_key="k", now=NOW)

        assert len(proxy.sent) == 2


@pytest.mark.slow
def test_two_who_give_to_each_other_at_once_wait_in_one_order(db):
    workers, rounds = 6, quick_or_whole(2, 25)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        bob = make_working()
        both = [centre.professional.user_id, bob.user_id]
        for number in range(rounds):
            day = number
            held = [centre.book(at(9 + n, day), professional=both[n % 2], **another_family()) for n in range(workers)]
            deeds = [
                (
                    racing.give_away,
                    {
                        "appointment_id": one.id,
                        "scheduled_at": at(9 + n, day),
                        "professional": both[1 - n % 2],
                        "now": NOW,
                    },
                )
                for n, one in enumerate(held)
            ]
            outcomes = crew.race(deeds)
            assert [outcome.value for outcome in outcomes] == ["moved"] * workers
            assert max(outcome.seconds for outcome in outcomes) < racing.LONGEST_WAIT
            assert [Appointment.get_by_id(one.id).professional_id for one in held] == [
                both[1 - n % 2] for n in range(workers)
            ]


@pytest.mark.slow
def test_of_many_given_to_one_at_one_hour_one_arrives(db):
    workers = 6
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        bob = make_working()
        for day in range(quick_or_whole(2, 20)):
            held = [centre.book(at(10, day), professional=make_working(), **another_family()) for _ in range(workers)]
            wanted = {"scheduled_at": at(11, day), "professional": bob.user_id, "now": NOW}
            outcomes = crew.race([(racing.give_away, wanted | {"appointment_id": one.id}) for one in held])
            values = [outcome.value for outcome in outcomes]
            assert values.count("moved") == 1
            assert {type(value) for value in values} == {str, SlotTakenError}


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("became", ["nothing", "moved on", "given away", "confirmed", "cancelled"], anew="centre")
def test_a_repeated_move_changes_nothing_whatever_has_become_of_it(centre, moves_told, became):
    booked, bob = centre.book(at(10)), make_working()
    request = {"by": centre.client, "idempotency_key": "k", "now": NOW}
    assert not reschedule(booked, at(11), **request).was_repeated
    if became == "moved on":
        reschedule(booked, at(14), by=centre.staff, now=NOW)
    elif became == "given away":
        reschedule(booked, at(11), professional=bob, by=centre.staff, now=NOW)
    elif became == "confirmed":
        booked.confirm(now=NOW)
    elif became == "cancelled":
        booked.cancel(reason="ill", now=NOW)
    moves_told.clear()
    row, old = Appointment.get_by_id(booked.id), Appointment.get_by_id(booked.id)

    with centre.untouched():
        again = reschedule(old, at(11), **request | {"now": NOW + HOUR})

    assert (again.was_repeated, again.__data__, moves_told) == (True, row.__data__, [])


@pytest.mark.slow
@walked(
    "other",
    [
        {"scheduled_at": at(12)},
        {"duration_minutes": 30},
        {"reason": "rain"},
        {"allow_overlap": True},
        {"override_window": True},
    ],
    anew="centre",
)
def test_a_key_names_one_request(centre, other):
    booked = centre.book(at(10))
    reschedule(booked, at(11), idempotency_key="k", now=NOW)

    error = centre.refused(
        IdempotencyConflictError, moving(booked, idempotency_key="k"), **{"scheduled_at": at(11)} | other
    )
    assert error.key == "k"


def test_a_move_that_changed_nothing_is_known_by_its_key_after_a_later_move(centre):
    booked = centre.book(at(10))
    request = {"professional": centre.professional, "by": centre.staff, "reason": "as asked", "idempotency_key": "k"}
    assert reschedule(booked, at(10), now=NOW, **request).was_repeated is False
    assert reschedule(booked, at(10), now=NOW, **request).was_repeated is True
    reschedule(booked, at(12), by=centre.staff, now=NOW)

    repeated = reschedule(Appointment.get_by_id(booked.id), at(10), now=NOW, **request)

    assert (repeated.was_repeated, repeated.scheduled_at) == (True, at(12))
    assert [event for event, *_ in noted(booked)] == ["pre_confirm", "keep_time", "reschedule"]
    centre.refused(IdempotencyConflictError, moving(booked, idempotency_key="k"), scheduled_at=at(13))


@pytest.mark.slow
def test_a_key_names_one_appointment_and_one_professional(centre):
    booked, bob = centre.book(at(10)), make_working()
    another = centre.book_for_another(at(15))
    reschedule(booked, at(11), idempotency_key="k", now=NOW)

    centre.refused(IdempotencyConflictError, moving(another, idempotency_key="k"), scheduled_at=at(11))
    centre.refused(IdempotencyConflictError, moving(booked, idempotency_key="k", professional=bob), scheduled_at=at(11))
    assert centre.book(at(13), idempotency_key="k").was_repeated is False  # keys of bookings are others
    assert centre.book(at(13), idempotency_key="k").was_repeated is True


def test_a_stranger_learns_nothing_from_a_repeated_key(centre):
    booked = centre.book(at(10))
    reschedule(booked, at(11), idempotency_key="k", now=NOW)

    centre.refused(NotPermittedError, moving(booked, idempotency_key="k", by=make_user()), scheduled_at=at(11))


@pytest.mark.slow
@walked("key", ["", " ", "k" * 256, 7, "a\0b"], anew="centre")
def test_a_key_is_a_text(centre, key):
    booked = centre.book(at(10))

    assert centre.refused(InvalidDataError, moving(booked, idempotency_key=key), scheduled_at=at(11)).field == (
        "idempotency_key"
    )


@pytest.mark.slow
def test_one_key_from_many_processes_moves_once(db):
    workers = 6
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        bob = make_working()
        for day in range(quick_or_whole(2, 20)):
            booked = centre.book(at(10, day))
            wanted = {"appointment_id": booked.id, "scheduled_at": at(11, day), "professional": bob.user_id, "now": NOW}
            outcomes = crew.race([(racing.give_away, wanted | {"idempotency_key": f"k{day}"})] * workers)
            assert sorted(outcome.value for outcome in outcomes) == ["moved"] + ["repeated"] * (workers - 1)
            assert [event for event, *_ in noted(booked)] == ["pre_confirm", "reschedule"]


def test_one_key_for_several_appointments_in_a_race_moves_one(db):
    workers = 4
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        for day in range(quick_or_whole(2, 20)):
            held = [centre.book(at(10, day), professional=make_working(), **another_family()) for _ in range(workers)]
            deeds = [
                (
                    racing.give_away,
                    {
                        "appointment_id": one.id,
                        "scheduled_at": at(11, day) + n * MINUTE,
                        "professional": one.professional_id,
                        "now": NOW,
                        "idempotency_key": f"k{day}",
                    },
                )
                for n, one in enumerate(held)
            ]
            values = [outcome.value for outcome in crew.race(deeds)]
            assert values.count("moved") == 1
            assert {type(value) for value in values} == {str, IdempotencyConflictError}
