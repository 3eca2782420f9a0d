"""A draft that takes its time is asked every rule about time that a booking is asked."""

import pytest

from rayces_core import (
    Appointment,
    ClientBusyError,
    SlotTakenError,
    StudentBusyError,
    TransitionRefusedError,
)
from rayces_core.scheduling import reschedule
from tests.factory import make_student, make_user
from tests.scheduling import racing
from tests.scheduling.worlds import HOUR, NOW, another_family, at, make_working, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked


def taking(draft, **given):
    """The deed of taking a draft's time, for `refused`."""
    return lambda: Appointment.get_by_id(draft.id).pre_confirm(**({"now": NOW} | given))


@pytest.mark.slow
def test_a_draft_does_not_put_one_child_in_two_places(centre):
    """f01_drafts_put_one_child_in_two_places."""
    draft = centre.book(at(10), draft=True, by=centre.staff)
    firm = centre.book(at(10), professional=make_working(), by=centre.client)
    firm.confirm(by=centre.client, now=NOW)

    error = centre.refused(StudentBusyError, taking(draft))

    assert (error.conflicting_id, error.scheduled_at, draft.state) == (firm.id, at(10), "draft")


@pytest.mark.slow
def test_of_two_drafts_of_one_child_at_one_hour_one_is_taken(centre):
    first = centre.book(at(10), draft=True)
    second = centre.book(at(10.5), draft=True, professional=make_working())
    second.pre_confirm(now=NOW)

    assert centre.refused(StudentBusyError, taking(first)).conflicting_id == second.id


@pytest.mark.slow
def test_the_client_is_in_one_place_as_well(centre):
    draft = centre.book(at(10), draft=True)
    other = centre.book(at(10), professional=make_working(), **(another_family() | {"client": centre.client}))

    assert centre.refused(ClientBusyError, taking(draft)).conflicting_id == other.id


@pytest.mark.slow
def test_of_several_the_professionals_time_is_told_first(centre):
    draft = centre.book(at(10), draft=True)
    taken = centre.book_for_another(at(10))
    centre.book(at(10), professional=make_working())

    assert centre.refused(SlotTakenError, taking(draft)).conflicting_id == taken.id


@pytest.mark.slow
@walked("moved", [False, True], anew="centre")
def test_a_draft_that_allows_an_overlap_remembers_it(centre, moved):
    centre.book(at(11 if moved else 10), professional=make_working())
    draft = centre.book(at(10), draft=True, by=centre.staff, allow_overlap=not moved)
    if moved:
        reschedule(draft, at(11), by=centre.staff, allow_overlap=True, now=NOW)
    draft = Appointment.get_by_id(draft.id)
    assert draft.allows_overlap

    draft.pre_confirm(now=NOW)

    assert Appointment.get_by_id(draft.id).state == "pre_confirmed"


def test_an_overlap_is_allowed_for_the_time_that_it_was_asked_for(centre):
    draft = centre.book(at(10), draft=True, by=centre.staff, allow_overlap=True)

    assert reschedule(draft, at(11), now=NOW).allows_overlap is False


@pytest.mark.slow
@walked("late", [0 * HOUR, HOUR, 48 * HOUR])
def test_a_draft_of_the_past_takes_no_hold(centre, late):
    """f02_draft_of_the_past_takes_a_hold."""
    draft, told = centre.book(at(10), draft=True), []
    listener = Appointment.lifecycle.on("pre_confirm")(told.append)
    try:
        error = centre.refused(
            TransitionRefusedError,
            lambda: Appointment.get_by_id(draft.id).pre_confirm(by=centre.staff, now=at(10) + late),
        )
    finally:
        Appointment.lifecycle.off(listener)
    assert (error.reason, told, draft.can_pre_confirm(now=at(10) + late)) == ("begun", [], False)


@pytest.mark.slow
def test_its_hold_ends_after_it_begins_and_not_after_the_start(centre):
    soon, far = centre.book(at(10), draft=True), centre.book_for_another(at(10, 5), draft=True)
    soon.pre_confirm(now=at(9.9))
    far.pre_confirm(now=NOW)

    assert (soon.expires_at, far.expires_at) == (at(10), NOW + 24 * HOUR)


def test_what_is_not_about_time_is_not_asked_again(centre):
    draft = centre.book(at(10), draft=True)
    centre.professional.active = False
    centre.professional.weekly_schedule = {}
    centre.professional.save()

    draft.pre_confirm(now=NOW)

    assert draft.state == "pre_confirmed"


@pytest.mark.slow
def test_of_drafts_and_bookings_of_one_child_in_a_race_one_holds_its_time(db):
    workers, rounds = 6, quick_or_whole(2, 25)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        elsewhere = [make_working() for _ in range(workers)]
        for number in range(rounds):
            start = at(9 + number % 8, number // 8)
            drafts = [centre.book(start, draft=True, professional=one) for one in elsewhere[: workers // 2]]
            deeds = [(racing.fire, {"appointment_id": one.id, "event": "pre_confirm", "now": NOW}) for one in drafts]
            wanted = {"student": centre.student.id, "client": centre.client.id, "now": NOW, "scheduled_at": start}
            deeds += [(racing.book, wanted | {"professional": one.user_id}) for one in elsewhere[workers // 2 :]]

            outcomes = crew.race(deeds)

            lost = [outcome for outcome in outcomes if isinstance(outcome.value, Exception)]
            assert len(lost) == workers - 1, outcomes
            assert {type(outcome.value) for outcome in lost} == {StudentBusyError}
            assert max(outcome.seconds for outcome in lost) < racing.LONGEST_WAIT
            (held,) = Appointment.select().for_student(centre.student).occupying(start, start + HOUR, now=NOW)
            held.cancel(reason="the round is over")


@pytest.mark.slow
def test_drafts_of_many_children_and_professionals_wait_in_one_order(db):
    """Crossed pairs: each of two professionals' drafts is of the other's child; nobody waits in a circle."""
    workers, rounds = 6, quick_or_whole(2, 25)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        professionals = [make_working() for _ in range(2)]
        children = [make_student(admission_state="enrolled") for _ in range(2)]
        clients = [make_user() for _ in range(2)]
        for number in range(rounds):
            start = at(9 + number % 8, number // 8)
            people = [(professionals[n % 2], children[n // 2 % 2], clients[(n + n // 2) % 2]) for n in range(workers)]
            drafts = [
                centre.book(start, draft=True, professional=one, student=child, client=client)
                for one, child, client in people
            ]
            outcomes = crew.race(
                [(racing.fire, {"appointment_id": one.id, "event": "pre_confirm", "now": NOW}) for one in drafts]
            )
            errors = {type(outcome.value) for outcome in outcomes if isinstance(outcome.value, Exception)}
            assert errors <= {SlotTakenError, StudentBusyError, ClientBusyError}, outcomes
            assert max(outcome.seconds for outcome in outcomes) < racing.LONGEST_WAIT
            for held in Appointment.select().in_state("pre_confirmed"):
                held.cancel(reason="the round is over")
