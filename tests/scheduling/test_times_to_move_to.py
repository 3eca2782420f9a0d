"""What is listed for an appointment that is moved is what `reschedule` accepts: it does not stand in its own way."""

from dataclasses import replace

import pytest
from hypothesis import Phase, assume, given
from hypothesis import strategies as st

from rayces_core import Appointment, CrossTenantError, InvalidDataError, OutsideScheduleError
from rayces_core.errors import BookingError
from rayces_core.scheduling import find_slots, free_slots, reschedule
from tests.factory import make_closed, make_elsewhere
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.test_listed_is_bookable import (
    agendas,
    asks_service,
    centre_of,
    minutes_of,
    put,
    reason_of,
    telling,
)
from tests.scheduling.worlds import HOUR, NOW, another_family, at, make_working, moving, open_centre
from tests.sizes import examples
from tests.walking import walked

NINE_TO_ONE = schedule_json(hours((9, 13)))


@pytest.fixture
def centre(db):
    with open_centre(db, weekly_schedule=NINE_TO_ONE) as opened:
        yield opened


class UndoneError(Exception):
    """The move is only tried."""


def accepted(centre, booked, starts):
    """Those that `reschedule` accepts; nothing stays."""
    taken = []
    for start in starts:
        try:
            with centre.db.atomic():
                reschedule(booked, start, now=NOW)
                raise UndoneError
        except UndoneError:
            taken.append(start)
        except BookingError:
            pass
    return taken


def test_the_times_to_move_to_are_listed(centre):
    """f08_list_the_times_to_move_to."""
    booked = centre.book(at(11.5))
    starts = [at(half / 2) for half in range(18, 26)]

    listed = [
        slot.start for slot in free_slots(centre.professional, at(0), at(24), step_minutes=30, moving=booked, now=NOW)
    ]

    assert listed == accepted(centre, booked, starts) == [at(half / 2) for half in range(18, 25)]
    found = find_slots(at(0), at(24), step_minutes=30, moving=booked, now=NOW)
    assert [slot.start for slot in found] == listed


def test_where_the_student_or_the_client_is_elsewhere_is_not_listed(centre):
    booked, bob, sibling = centre.book(at(9)), make_working(), another_family()
    centre.book(at(10), professional=bob, client=sibling["client"])  # the student, booked by somebody else
    centre.book(at(11), professional=bob, student=sibling["student"], duration_minutes=90)  # the client, for another
    overdue = centre.book(at(12.5), professional=make_working(), now=NOW - 25 * HOUR)
    starts = [at(half / 2) for half in range(18, 26)]

    listed = [
        slot.start for slot in free_slots(centre.professional, at(0), at(24), step_minutes=30, moving=booked, now=NOW)
    ]

    assert overdue.expires_at < NOW
    assert listed == accepted(centre, booked, starts) == [at(9)]
    found = find_slots(at(0), at(24), step_minutes=30, moving=booked, now=NOW, professionals=[centre.professional])
    assert [slot.start for slot in found] == listed


def test_what_cannot_be_moved_any_more_has_nowhere_to_go(centre):
    cancelled, overdue = centre.book(at(9)), centre.book(at(10), now=NOW - 25 * HOUR)
    cancelled.cancel(by=centre.staff, now=NOW)

    for booked in (cancelled, overdue):
        assert free_slots(centre.professional, at(0), at(24), moving=booked, now=NOW) == []


def test_the_nearest_slot_of_a_move_does_not_count_itself(centre):
    booked = centre.book(at(12))

    error = centre.refused(OutsideScheduleError, moving(booked), scheduled_at=at(12.5))

    assert error.nearest.start == at(12)


def test_a_move_is_as_long_as_the_appointment_unless_it_is_said(centre):
    booked = centre.book(at(10), duration_minutes=120)

    slots = free_slots(centre.professional, at(0), at(24), step_minutes=60, moving=booked, now=NOW)
    assert [(slot.start, slot.end - slot.start) for slot in slots] == [(at(h), 2 * HOUR) for h in (9, 10, 11)]
    shorter = free_slots(centre.professional, at(0), at(24), duration_minutes=60, moving=booked, now=NOW)
    assert [slot.start for slot in shorter] == [at(9), at(10), at(11), at(12)]


def test_one_who_is_not_active_is_listed_for_own_appointments_only(centre):
    booked, bob = centre.book(at(10)), make_working(weekly_schedule=NINE_TO_ONE)
    for one in (centre.professional, bob):
        one.active = False
        one.save()

    assert len(free_slots(centre.professional, at(0), at(24), moving=booked, now=NOW)) == 4
    assert free_slots(bob, at(0), at(24), moving=booked, now=NOW) == []
    assert {slot.professional_id for slot in find_slots(at(0), at(24), moving=booked, now=NOW)} == {
        centre.professional.user_id
    }


@walked("moving", [7, "x", Appointment()])
def test_what_is_moved_is_a_saved_appointment(centre, moving):
    with pytest.raises(InvalidDataError) as caught:
        free_slots(centre.professional, at(0), at(24), moving=moving, now=NOW)
    assert caught.value.field == "moving"


def test_what_is_moved_is_ones_own(db, centre):
    with open_centre(db) as other:
        theirs = other.book(at(10))
    with db.tenant(centre.organization), pytest.raises(CrossTenantError):
        find_slots(at(0), at(24), moving=theirs, now=NOW)


# -- for whatever calendar --------------------------------------------------------------------------------------------


def try_to_move(case, centre, booked, start):
    """What `reschedule()` says: None where it moves. Nothing stays."""
    try:
        with centre.db.atomic():
            moved = reschedule(booked, start, now=case.now)
            assert Appointment.get_by_id(moved.id).scheduled_at == start
            raise UndoneError
    except UndoneError:
        return None
    except BookingError as error:
        return error


def listed_for(case, centre, booked):
    slots = free_slots(centre.professional, case.start, case.end, step_minutes=1, moving=booked, now=case.now)
    return [slot.start for slot in slots]


# Not made smaller when it fails: that takes minutes, as each example is dozens of moves.
@examples(4, 40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(agenda=agendas(), data=st.data())
def check(db, agenda, data):
    case, booked = agenda
    sessions = [number for number, (*_, group) in enumerate(booked) if not group]
    assume(sessions)
    chosen = data.draw(st.sampled_from(sessions))
    overdue = data.draw(st.sets(st.sampled_from(sessions)))
    with centre_of(db, case) as centre:
        make_closed(case)
        make_elsewhere(centre.professional, case)
        rows = [
            put(db, centre, entry, "pre_confirmed" if number in overdue and number != chosen else "confirmed")
            for number, entry in enumerate(booked)
        ]
        db.execute_sql(
            "UPDATE appointments SET pre_confirmed_at = %s, expires_at = %s WHERE state = 'pre_confirmed'",
            (case.now - 2 * HOUR, case.now - HOUR),
        )
        moved = Appointment.get_by_id(rows[chosen])
        busy = tuple(span for number, span in enumerate(case.busy) if number != chosen and number not in overdue)
        before = 0 if asks_service(case) else case.buffer_before_minutes
        own = replace(case, room=None, busy=busy, duration_minutes=moved.duration_minutes, buffer_before_minutes=before)
        every, listed = minutes_of(own), listed_for(own, centre, moved)
        refused = sorted(set(every) - set(listed))
        for start in telling(listed, set(every)):
            assert own.reasons(start) == []
            if start != moved.scheduled_at:
                assert try_to_move(own, centre, moved, start) is None, start
        for start in telling(refused, set(every)):
            if start != moved.scheduled_at:
                error = try_to_move(own, centre, moved, start)
                assert error is not None, start
                assert reason_of(error) == own.reasons(start)[0]


@pytest.mark.slow
def test_what_is_listed_for_a_move_is_accepted_and_what_is_not_is_refused(db):
    check(db)
