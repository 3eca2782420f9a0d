"""Conflicts: nothing overlaps a professional's time, and student and client are in one place at a time."""

import pytest

from rayces_core import (
    BookingError,
    ClientBusyError,
    OverlapError,
    SlotTakenError,
    StudentBusyError,
)
from tests.factory import make_student
from tests.scheduling.worlds import (
    ALWAYS,
    MINUTE,
    another_family,
    at,
    make_working,
    open_centre,
)
from tests.walking import walked

# -- taken ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("start", [at(10), at(9) + MINUTE, at(9.5), at(10.5), at(11) - MINUTE], anew="centre")
def test_time_that_is_taken_is_refused_with_the_appointment_that_has_it(centre, start):
    taken = centre.book(at(10))
    centre.book(at(14))

    error = centre.refused(SlotTakenError, **another_family(), scheduled_at=start)

    assert (error.conflicting_id, error.scheduled_at) == (taken.id, start)
    assert isinstance(error, BookingError)
    assert isinstance(error, OverlapError)


@walked("start", [at(9), at(11)], anew="centre")
def test_back_to_back_is_fine(centre, start):
    centre.book(at(10))

    assert centre.book(start).scheduled_at == start


def test_longer_and_shorter_sessions_are_in_the_way_of_each_other(centre):
    taken = centre.book(at(12), duration_minutes=15)

    asked = another_family() | {"scheduled_at": at(10)}
    assert centre.refused(SlotTakenError, **asked, duration_minutes=121).conflicting_id == taken.id
    assert centre.book(**asked, duration_minutes=120)
    taken = centre.book(at(13), duration_minutes=120)
    assert centre.refused(SlotTakenError, **asked | {"scheduled_at": at(14)}).conflicting_id == taken.id


def test_both_sides_keep_their_own_buffer(db):
    with open_centre(db, buffer_minutes=30) as centre:
        first = centre.book(at(12))
        asked = another_family()
        centre.professional.buffer_minutes = 10
        centre.professional.save()

        # The appointment keeps the buffer that it was booked with, the new one needs its own.
        centre.refused(SlotTakenError, **asked, scheduled_at=at(13.5) - MINUTE)
        centre.refused(SlotTakenError, **asked, scheduled_at=at(11) - 10 * MINUTE + MINUTE)
        after = centre.book(at(13.5), **asked)
        before = centre.book(at(11) - 10 * MINUTE, **asked)

    assert before.occupied_until == first.scheduled_at
    assert first.occupied_until == after.scheduled_at


def test_nothing_overrides_an_overlap(centre):
    taken = centre.book(at(10))

    error = centre.refused(SlotTakenError, **another_family(), override_schedule=True, allow_overlap=True)

    assert error.conflicting_id == taken.id


# -- student and client -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("start", [at(10), at(9) + MINUTE, at(11) - MINUTE], anew="centre")
def test_a_student_is_in_one_place_at_a_time(centre, start):
    taken = centre.book(at(10))
    elsewhere = {"professional": make_working(), "client": another_family()["client"], "scheduled_at": start}

    error = centre.refused(StudentBusyError, **elsewhere)

    assert (error.conflicting_id, error.scheduled_at) == (taken.id, start)
    assert centre.book(**elsewhere, allow_overlap=True).student_id == taken.student_id


@pytest.mark.slow
@walked("start", [at(10), at(9) + MINUTE, at(11) - MINUTE], anew="centre")
def test_a_client_is_in_one_place_at_a_time(centre, start):
    taken = centre.book(at(10))
    elsewhere = {"professional": make_working(), "student": another_family()["student"], "scheduled_at": start}

    error = centre.refused(ClientBusyError, **elsewhere)

    assert (error.conflicting_id, error.scheduled_at) == (taken.id, start)
    assert centre.book(**elsewhere, allow_overlap=True).client_id == taken.client_id


@walked("start, minutes", [(at(8), 120), (at(11), 60), (at(8), 480)])
def test_the_professionals_buffer_keeps_neither_student_nor_client(db, start, minutes):
    with open_centre(db, buffer_minutes=60, weekly_schedule=ALWAYS) as centre:
        centre.book(at(10) if minutes < 480 else at(0), duration_minutes=60 if minutes < 480 else 480)
        elsewhere = make_working(weekly_schedule=ALWAYS, buffer_minutes=60)

        assert centre.book(start, professional=elsewhere, duration_minutes=minutes).scheduled_at == start


def test_the_longest_session_keeps_the_student_to_its_last_moment(db):
    with open_centre(db, weekly_schedule=ALWAYS) as centre:
        longest = centre.book(at(0), duration_minutes=480)
        elsewhere = make_working(weekly_schedule=ALWAYS)

        error = centre.refused(StudentBusyError, professional=elsewhere, scheduled_at=at(8) - MINUTE)

    assert error.conflicting_id == longest.id


@walked("state", ["draft", "cancelled"], anew="centre")
def test_what_holds_no_time_keeps_neither_student_nor_client(centre, state):
    booked = centre.book(at(10), draft=state == "draft")
    if state == "cancelled":
        booked.cancel(reason="ill")

    assert centre.book(at(10), professional=make_working()).state == "pre_confirmed"


@walked("error, own", [(ClientBusyError, "client"), (StudentBusyError, "student")], anew="centre")
def test_a_guardian_is_not_advised_what_only_staff_may_do(centre, error, own):
    """Siblings at one hour, of f15_small_ones."""
    sibling = make_student(primary_contact=centre.client, admission_state="enrolled")
    centre.book(at(10), by=centre.client)
    asked = {"professional": make_working(), "scheduled_at": at(10)}
    if own == "client":
        asked["student"] = sibling

    for by, advises in ((centre.client, False), (centre.staff, True), (None, True)):
        refused = centre.refused(error, **asked, by=by)
        assert ("allow_overlap" in str(refused)) is advises
        assert ("ask the centre" in str(refused)) is not advises
