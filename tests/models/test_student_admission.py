"""How a student is admitted, leaves and comes back; what goes with it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import Appointment, InvalidDataError, Organization, Student, StudentNotAdmittedError
from tests.factory import START, make_appointment, make_student
from tests.state_machine.rules import columns, make_in, replayed, stored
from tests.walking import walked

NOW = datetime(2031, 2, 3, 15, tzinfo=UTC)


def test_the_whole_way_from_prospect_to_discharge_and_back(people):
    student = make_student()
    way = ["apply", "waitlist", "admit", "enroll", "suspend", "resume", "discharge"]
    way += ["reapply", "reject", "reapply", "admit", "enroll"]
    for hours, event in enumerate(way):
        getattr(student, event)(by=people.staff, now=NOW + timedelta(hours=hours))
    told = [(change.event, change.actor_id, change.occurred_at) for change in student.history()]
    assert told == [(event, people.staff.id, NOW + timedelta(hours=n)) for n, event in enumerate(way)]
    assert replayed(student) == student.admission_state == "enrolled"
    assert columns(student) == stored(student)


@pytest.mark.slow
@walked(
    "zone, now, day",
    [
        ("America/Argentina/Buenos_Aires", datetime(2031, 2, 4, 2, 59, tzinfo=UTC), date(2031, 2, 3)),
        ("America/Argentina/Buenos_Aires", datetime(2031, 2, 4, 3, 0, tzinfo=UTC), date(2031, 2, 4)),
        ("Pacific/Kiritimati", datetime(2031, 2, 3, 10, 0, tzinfo=UTC), date(2031, 2, 4)),
        ("UTC", datetime(2031, 2, 3, 23, 59, 59, 999999, tzinfo=UTC), date(2031, 2, 3)),
    ],
)
@walked("event, column, state", [("admit", "admission_date", "applied"), ("discharge", "discharge_date", "enrolled")])
def test_the_day_is_the_one_of_the_organizations_calendar(bound, event, column, state, zone, now, day):
    Organization.update(time_zone=zone).execute()
    student, named = make_in(Student, state), make_in(Student, state)
    getattr(student, event)(now=now)
    getattr(named, event)(now=now, on=date(2030, 12, 31))
    assert getattr(student, column) == stored(student)[column] == day
    assert getattr(named, column) == stored(named)[column] == date(2030, 12, 31)


@walked("on", ["2031-02-03", NOW, 5])
def test_the_day_is_a_date(bound, on):
    student = make_in(Student, "applied")
    with pytest.raises(InvalidDataError):
        student.admit(on=on)
    assert (stored(student)["admission_state"], student.admission_date) == ("applied", None)


@pytest.fixture
def leaving(people):
    """An enrolled student with an appointment in each state, ahead, and what is not to be touched."""
    student = make_in(Student, "enrolled")
    states = ("draft", "pre_confirmed", "confirmed", "executed", "cancelled", "no_show")
    ahead = {state: make_in(Appointment, state, student=student) for state in states}
    # One of the past, one that begins this very moment, one of another student.
    begun = [
        make_in(Appointment, "confirmed", student=student, scheduled_at=at) for at in (NOW - timedelta(days=1), NOW)
    ]
    return student, ahead, [*begun, make_in(Appointment, "confirmed")]


def test_discharge_cancels_what_is_ahead_and_nothing_else(leaving, people):
    student, ahead, others = leaving
    untouched = {row.id: stored(row) for row in (*others, ahead["executed"], ahead["cancelled"], ahead["no_show"])}

    student.discharge(by=people.staff, reason="moved away", now=NOW)

    for state in ("draft", "pre_confirmed", "confirmed"):
        row = Appointment.get_by_id(ahead[state].id)
        assert (row.state, row.cancelled_at, row.cancelled_by) == ("cancelled", NOW, people.staff)
        assert (row.cancellation_reason, row.updated_at) == ("student discharged", NOW)
        (change,) = row.history()
        assert (change.event, change.from_state, change.to_state) == ("cancel", state, "cancelled")
        assert (change.actor, change.reason, change.occurred_at) == (people.staff, "student discharged", NOW)
    assert {pk: stored(Appointment(id=pk)) for pk in untouched} == untouched
    assert [change.reason for change in student.history()] == ["moved away"]


def test_discharge_and_its_cancellations_are_one_unit_of_work(db, leaving):
    student, ahead, _ = leaving
    with pytest.raises(ZeroDivisionError), db.atomic():
        student.discharge(now=NOW)
        assert stored(ahead["confirmed"])["state"] == "cancelled"
        assert 1 / 0
    assert student.admission_state == stored(student)["admission_state"] == "enrolled"
    assert {state: stored(row)["state"] for state, row in ahead.items()} == {state: state for state in ahead}
    assert [list(row.history()) for row in (student, *ahead.values())] == [[]] * 7


def test_subscribers_of_both_are_told_after_the_commit(db, leaving):
    student, ahead, _ = leaving
    told = []
    for machine in (Student.lifecycle, Appointment.lifecycle):
        machine.on()(told.append)
    try:
        with db.atomic():
            student.discharge(now=NOW)
            assert told == []
    finally:
        for machine in (Student.lifecycle, Appointment.lifecycle):
            machine.off(told.append)
    cancelled = sorted((c.from_state, c.subject.id, c.subject.state) for c in told if c.event == "cancel")
    assert cancelled == sorted(
        (state, ahead[state].id, "cancelled") for state in ("draft", "pre_confirmed", "confirmed")
    )
    assert all(type(change.subject) is Appointment for change in told if change.event == "cancel")
    assert [change.subject for change in told if change.event == "discharge"] == [student]


def test_a_refused_discharge_cancels_nothing(bound):
    student = make_in(Student, "waitlisted")
    appointment = make_appointment(student=student, scheduled_at=START)
    with pytest.raises(Exception, match="discharge is not possible: the Student is waitlisted"):
        student.discharge(now=NOW)
    assert stored(appointment)["state"] == "draft"


def test_booking_asks_for_an_admission_by_an_error_of_its_own():
    assert StudentNotAdmittedError("not admitted", admission_state="rejected").admission_state == "rejected"
