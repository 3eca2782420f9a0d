"""Rescheduling: it keeps the state, is checked as a booking that may overlap itself, and the journal tells of it."""

from datetime import timedelta
from functools import partial

import pytest

from rayces_core import (
    Appointment,
    BookingWindowError,
    ClientBusyError,
    CrossTenantError,
    Database,
    InvalidDataError,
    InvalidTransitionError,
    NaiveDatetimeError,
    NewClientsRefusedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    SlotTakenError,
    StudentBusyError,
    StudentNotAdmittedError,
    TooSoonError,
    TransitionRefusedError,
)
from rayces_core.scheduling import free_slots, reschedule
from rayces_core.state_machine.announcing import Effect
from tests.factory import make_user
from tests.scheduling.worlds import HOUR, INSTANT, MINUTE, NOW, another_family, at, make_working, moving, open_centre
from tests.walking import walked
from tests.wire import wire

TEN, NOON = at(10), at(12)


def booked_as(centre, state, start=TEN):
    """An appointment in that state."""
    booked = centre.book(start, draft=state == "draft", confirm=state in ("confirmed", "executed", "no_show"))
    if state == "cancelled":
        booked.cancel(reason="ill")
    if state == "executed":
        booked.execute(now=start)
    if state == "no_show":
        booked.mark_no_show(now=start)
    assert booked.state == state
    return booked


def move_to(appointment, start=NOON):
    """The deed of moving it there, for `refused`."""
    return partial(moving(appointment), start)


# -- what changes -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("state", ["draft", "pre_confirmed", "confirmed"], anew="centre")
def test_the_same_object_gets_its_new_time_and_keeps_its_state(centre, state):
    booked = booked_as(centre, state)
    before = dict(booked.__data__)

    assert reschedule(booked, at(14), duration_minutes=90, now=NOW + HOUR) is booked

    moved = {"scheduled_at": at(14), "duration_minutes": 90, "updated_at": NOW + HOUR}
    moved |= {"occupied_from": at(14), "occupied_until": at(15.5)}
    if state == "pre_confirmed":
        moved["expires_at"] = NOW + 25 * HOUR  # a new hold
    assert booked.__data__ == before | moved
    assert Appointment.get_by_id(booked.id).__data__ == booked.__data__
    assert booked.dirty_fields == []


def test_it_lasts_as_long_as_before_unless_it_is_said(db):
    with open_centre(db, session_duration_minutes=30) as centre:
        booked = centre.book(at(10), duration_minutes=75)
        assert reschedule(booked, at(12), now=NOW).duration_minutes == 75


def test_it_takes_up_the_buffer_that_the_professional_now_has(db):
    with open_centre(db, buffer_minutes=15) as centre:
        booked = centre.book(at(10))
        centre.professional.buffer_minutes = 30
        centre.professional.save()

        assert reschedule(booked, at(12), now=NOW).occupied_until == at(13.5)


def test_the_hold_ends_no_later_than_the_new_start(centre):
    booked = centre.book(at(10, 5))
    ends = booked.expires_at

    assert reschedule(booked, at(10, 6), now=NOW).expires_at == ends
    assert reschedule(booked, NOW + 9 * HOUR, now=NOW).expires_at == NOW + 9 * HOUR
    assert reschedule(booked, at(10, 6), now=NOW + HOUR).expires_at == NOW + 25 * HOUR


def test_the_old_time_is_free_and_the_new_one_is_not(centre):
    booked = centre.book(at(10))
    reschedule(booked, at(11), now=NOW)

    assert [slot.start for slot in free_slots(centre.professional, at(9), at(13), now=NOW)] == [at(9), at(10), at(12)]
    assert centre.book_for_another(at(10))
    assert centre.refused(SlotTakenError, **another_family(), scheduled_at=at(11)).conflicting_id == booked.id


@walked("start", [at(10.5), at(9.5), at(10) + MINUTE], anew="centre")
def test_it_may_overlap_itself(centre, start):
    booked = centre.book(at(10))

    assert reschedule(booked, start, now=NOW).scheduled_at == start


def test_what_was_assigned_and_not_saved_stays_so(centre):
    booked = centre.book(at(10))
    booked.notes, booked.professional_notes = "to be saved", "that too"

    reschedule(booked, at(12), now=NOW)

    assert sorted(booked.dirty_field_names) == ["notes", "professional_notes"]
    assert (booked.notes, Appointment.get_by_id(booked.id).notes) == ("to be saved", None)


def test_what_the_database_says_is_moved_and_not_what_an_old_object_says(centre):
    booked = centre.book(at(10))
    old = Appointment.get_by_id(booked.id)
    reschedule(booked, at(12), duration_minutes=30, now=NOW)
    booked.confirm(now=NOW)

    reschedule(old, at(13), now=NOW)

    assert (old.state, old.duration_minutes, old.confirmed_at) == ("confirmed", 30, NOW)
    assert old.__data__ == Appointment.get_by_id(old.id).__data__


# -- journal and subscribers ------------------------------------------------------------------------------------------


@walked("state", ["draft", "pre_confirmed", "confirmed"], anew="centre")
def test_the_journal_says_from_when_and_why(centre, state):
    booked = booked_as(centre, state)
    reschedule(booked, at(12), by=centre.staff, reason="rain", now=NOW + HOUR)
    reschedule(booked, at(13), now=NOW + HOUR)

    first, second = booked.history()[-2:]
    assert (first.event, first.from_state, first.to_state, first.actor, first.occurred_at) == (
        "reschedule",
        state,
        state,
        centre.staff,
        NOW + HOUR,
    )
    assert first.reason == "from 2031-03-03T10:00:00+00:00: rain"
    assert (second.reason, second.actor) == ("from 2031-03-03T12:00:00+00:00", None)
    assert [move.details for move in (first, second)] == [
        {"scheduled_at": "2031-03-03T10:00:00Z"},
        {"scheduled_at": "2031-03-03T12:00:00Z"},
    ]


def test_subscribers_are_told_after_the_commit(centre, moves_told):
    booked = centre.book(at(10))
    with centre.db.atomic():
        reschedule(booked, at(12), by=centre.staff, reason="rain", duration_minutes=30, now=NOW)
        assert moves_told == []

    (change,) = moves_told
    assert (change.subject, change.from_state, change.to_state) == (booked, "pre_confirmed", "pre_confirmed")
    assert (change.actor, change.reason) == (centre.staff, "from 2031-03-03T10:00:00+00:00: rain")
    assert change.given == {"scheduled_at": at(12), "duration_minutes": 30}


@walked("savepoint", [False, True], anew="centre")
def test_the_object_goes_back_when_its_unit_of_work_is_undone(centre, moves_told, savepoint):
    booked = centre.book(at(10))
    booked.notes = "to be saved"
    before = dict(booked.__data__)

    def undone():
        with pytest.raises(RuntimeError), centre.db.atomic():
            reschedule(booked, at(12), duration_minutes=30, now=NOW)
            assert booked.scheduled_at == at(12)
            raise RuntimeError

    with centre.untouched():
        if savepoint:
            with centre.db.atomic():
                undone()
        else:
            undone()
    assert (booked.__data__, booked.dirty_field_names, moves_told) == (before, ["notes"], [])


def test_what_belongs_to_rescheduling_is_undone_with_it(centre, monkeypatch, moves_told):
    def fail(_):
        raise RuntimeError

    booked = centre.book(at(10))
    before = dict(booked.__data__)
    monkeypatch.setitem(Appointment.lifecycle._announcements._effects, "reschedule", [Effect(fail, None, ())])

    centre.refused(RuntimeError, moving(booked), scheduled_at=at(12))

    assert (booked.__data__, moves_told) == (before, [])


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("state", ["executed", "cancelled", "no_show"], anew="centre")
def test_what_is_final_is_not_moved(centre, state):
    booked = booked_as(centre, state)

    error = centre.refused(InvalidTransitionError, moving(booked), scheduled_at=at(12))

    corrections = Appointment.lifecycle.events_from(state)
    assert (error.event, error.from_state, error.allowed) == ("reschedule", state, corrections)


def test_a_hold_that_has_ended_is_not_moved(centre):
    booked = centre.book(at(10, 10))
    ends = booked.expires_at

    error = centre.refused(TransitionRefusedError, moving(booked, now=ends + INSTANT), scheduled_at=at(12, 10))

    assert (error.event, error.reason) == ("reschedule", "expired")
    assert reschedule(booked, at(12, 10), now=ends).scheduled_at == at(12, 10)


def test_a_draft_and_a_confirmed_appointment_have_no_hold_to_end(centre):
    later = NOW + timedelta(days=5)
    for state in ("draft", "confirmed"):
        booked = booked_as(centre, state, at(10, 10))
        assert reschedule(booked, at(12, 10), now=later).scheduled_at == at(12, 10)
        booked.cancel(reason="done")


@pytest.mark.slow
def test_each_rule_of_booking_holds_for_the_new_time(centre):
    booked = centre.book(at(10))
    move = moving(booked)
    taken = centre.book_for_another(at(12))

    assert centre.refused(TooSoonError, move, scheduled_at=NOW).earliest == NOW + MINUTE
    assert (
        centre.refused(BookingWindowError, move, scheduled_at=at(10, 200)).latest == NOW + timedelta(days=91) - MINUTE
    )
    error = centre.refused(OutsideScheduleError, move, scheduled_at=at(18))
    assert (error.nearest.start, error.scheduled_at) == (at(16), at(18))
    error = centre.refused(SlotTakenError, move, scheduled_at=at(11.5))
    assert (error.conflicting_id, error.scheduled_at) == (taken.id, at(11.5))
    assert centre.refused(SlotTakenError, move, scheduled_at=at(10), duration_minutes=121).conflicting_id == taken.id
    assert reschedule(booked, at(10), duration_minutes=120, now=NOW).occupied_until == at(12)


@pytest.mark.slow
@walked("mover", ["staff", None], anew="centre")
def test_people_are_not_asked_about_again_when_staff_move(centre, mover):
    by = mover and centre.staff
    booked, draft = centre.book(at(10)), centre.book_for_another(at(14), draft=True)
    centre.db.execute_sql("UPDATE students SET admission_state = 'on_leave' WHERE id = %s", (centre.student.id,))
    centre.professional.active = centre.professional.accepts_new_clients = False
    centre.professional.save()

    assert reschedule(booked, at(11), by=by, now=NOW).scheduled_at == at(11)
    assert reschedule(draft, at(15), by=by, now=NOW).scheduled_at == at(15)
    error = centre.refused(OutsideScheduleError, moving(booked, by=by), scheduled_at=at(17))
    assert error.nearest.start == at(16)
    assert reschedule(booked, error.nearest.start, by=by, now=NOW).scheduled_at == at(16)


def test_people_are_asked_about_again_when_a_family_moves(centre):
    booked = centre.book(at(10))
    move = partial(moving(booked, by=centre.client), NOON)
    centre.db.execute_sql("UPDATE students SET admission_state = 'on_leave' WHERE id = %s", (centre.student.id,))
    assert centre.refused(StudentNotAdmittedError, move).admission_state == "on_leave"
    centre.professional.active = False
    centre.professional.save()
    centre.refused(ProfessionalInactiveError, move)


def test_who_has_an_appointment_there_is_no_new_client(centre):
    draft, held = centre.book(at(9), draft=True), centre.book_for_another(at(14))
    centre.professional.accepts_new_clients = False
    centre.professional.save()

    assert reschedule(held, at(15), by=held.client, now=NOW).scheduled_at == at(15)
    centre.refused(NewClientsRefusedError, partial(moving(draft, by=centre.client), NOON))


@pytest.mark.slow
def test_student_and_client_are_in_one_place_at_a_time(centre):
    first = centre.book(at(10))
    of_student = centre.book(at(12), professional=make_working(), client=make_user())
    of_client = centre.book(at(14), professional=make_working(), student=another_family()["student"])

    assert centre.refused(StudentBusyError, move_to(first, at(11.5))).conflicting_id == of_student.id
    assert centre.refused(ClientBusyError, move_to(first, at(14.5))).conflicting_id == of_client.id
    assert reschedule(first, at(14.5), allow_overlap=True, now=NOW).scheduled_at == at(14.5)


@pytest.mark.slow
def test_staff_may_set_the_schedule_aside_and_nobody_an_overlap(centre):
    booked, taken = centre.book(at(10)), centre.book_for_another(at(16))
    move = moving(booked, override_schedule=True, allow_overlap=True)

    assert centre.refused(SlotTakenError, move, scheduled_at=at(16.5)).conflicting_id == taken.id
    centre.refused(TooSoonError, move, scheduled_at=NOW)
    assert reschedule(booked, at(3), override_schedule=True, now=NOW).scheduled_at == at(3)


@pytest.mark.slow
def test_an_appointment_that_is_not_there_is_not_moved(db, centre):
    ours = centre.book(at(10))
    with open_centre(db) as other:
        theirs = other.book(at(10))

    with db.tenant(centre.organization):
        centre.refused(CrossTenantError, moving(theirs), scheduled_at=at(12))
        centre.refused(InvalidDataError, moving(Appointment(professional=1)), scheduled_at=at(12))
        centre.refused(Appointment.DoesNotExist, moving(Appointment(id=10**12)), scheduled_at=at(12))
        assert reschedule(ours, at(12), now=NOW)


MALFORMED = {
    "scheduled_at": [None, "tomorrow", 5],
    "duration_minutes": [0, 14, 481, "60", True, 60.0],
    "by": [7, "staff"],
    "reason": [5, ["rain"], "a\0b"],
    "now": ["today"],
}


@pytest.mark.slow
@walked("field, value", [(field, value) for field, values in MALFORMED.items() for value in values], anew="centre")
def test_malformed_arguments_are_named(centre, field, value):
    booked = centre.book(at(10))

    error = centre.refused(InvalidDataError, moving(booked), **{"scheduled_at": at(12)} | {field: value})

    assert error.field.lower().endswith(field)


def test_the_new_start_needs_a_time_zone(centre):
    booked = centre.book(at(10))

    centre.refused(NaiveDatetimeError, moving(booked), scheduled_at=at(12).replace(tzinfo=None))


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_moving_takes_two_messages(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        booked = centre.book(at(10))
        proxy.sent.clear()

        reschedule(booked, at(12), now=NOW)

        assert len(proxy.sent) == 2
