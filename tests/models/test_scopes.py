"""The questions that are asked of appointments again and again."""

from datetime import datetime, timedelta

import pytest

from rayces_core import Appointment, InvalidDataError, NaiveDatetimeError, clock
from tests.factory import START, make_appointment
from tests.state_machine.rules import make_in
from tests.walking import walked

STATES = ("draft", "pre_confirmed", "confirmed", "executed", "cancelled", "no_show")


@pytest.fixture
def week(people):
    """One appointment in each state, a day apart from START on, the last one first."""
    days = {state: START + timedelta(days=n) for n, state in enumerate(STATES)}
    return {
        state: make_in(Appointment, state, scheduled_at=days[state], professional=people.profile)
        for state in reversed(STATES)
    }


def ids(rows):
    return [row.id for row in rows]


def test_in_state(week):
    assert ids(Appointment.in_state("executed")) == [week["executed"].id]
    assert set(ids(Appointment.in_state("executed", "no_show"))) == {week["executed"].id, week["no_show"].id}


@walked("states", [(), ("unknown",), ("draft", "unknown")])
def test_in_state_needs_states_that_there_are(bound, states):
    with pytest.raises(InvalidDataError):
        list(Appointment.in_state(*states))


def test_starting_are_those_that_begin_then_or_later_and_before_the_end_the_first_one_first(week):
    first, second, third = (week[state] for state in STATES[:3])
    assert ids(Appointment.select().starting(START, third.scheduled_at)) == [first.id, second.id]
    assert ids(Appointment.select().starting(START + timedelta(microseconds=1), third.scheduled_at)) == [second.id]
    assert ids(Appointment.select().starting(START, START)) == []


def test_upcoming_are_those_that_hold_time_and_begin_then_or_later_the_next_one_first(week):
    waiting = [week["pre_confirmed"].id, week["confirmed"].id]
    assert ids(Appointment.upcoming(START)) == waiting
    held = week["pre_confirmed"].expires_at
    assert ids(Appointment.upcoming(held)) == waiting
    assert ids(Appointment.upcoming(held + timedelta(microseconds=1))) == waiting[1:]
    assert ids(Appointment.upcoming(week["confirmed"].scheduled_at)) == waiting[1:]
    assert ids(Appointment.upcoming(week["confirmed"].scheduled_at + timedelta(microseconds=1))) == []
    with clock.frozen(week["confirmed"].scheduled_at):
        assert ids(Appointment.upcoming()) == waiting[1:]
    with pytest.raises(NaiveDatetimeError):
        list(Appointment.upcoming(datetime(2031, 1, 1)))


def test_for_a_professional_the_profile_the_user_and_the_id_are_the_same(week, people):
    other = make_appointment()
    assert people.profile.id != people.professional.id or other.professional.id != other.professional_id
    for named in (people.profile, people.professional, people.professional.id):
        assert set(ids(Appointment.for_professional(named))) == {row.id for row in week.values()}
    with pytest.raises(InvalidDataError):
        list(Appointment.for_professional(people.student))


def test_for_a_student_and_for_a_client(people):
    own = make_appointment(student=people.student, client=people.client)
    make_appointment()
    for named in (people.student, people.student.id):
        assert ids(Appointment.select().for_student(named)) == [own.id]
    for named in (people.client, people.client.id):
        assert ids(Appointment.select().for_client(named)) == [own.id]


def test_occupying_counts_the_buffer_and_is_half_open(people):
    row = make_in(Appointment, "confirmed", scheduled_at=START, duration_minutes=60, buffer_minutes=15)
    minutes = {-60: [], -59: [row.id], 0: [row.id], 74: [row.id], 75: []}
    for begin, found in minutes.items():
        start = START + timedelta(minutes=begin)
        assert ids(Appointment.select().occupying(start, start + timedelta(minutes=60))) == found, begin


def test_occupying_are_all_but_drafts_and_cancelled_ones(week):
    found = Appointment.select().occupying(START, START + timedelta(days=30))
    assert {row.state for row in found} == {"pre_confirmed", "confirmed", "executed", "no_show"}


def test_scopes_chain_with_each_other_and_with_conditions(week, people):
    make_in(Appointment, "confirmed")
    found = Appointment.upcoming(START).in_state("confirmed").for_professional(people.profile)
    assert ids(found.where(Appointment.duration_minutes == 60)) == [week["confirmed"].id]
    assert ids(Appointment.for_professional(people.profile).upcoming(START).limit(1)) == [week["pre_confirmed"].id]
    assert people.profile.appointments.count() == 6


def test_people_come_along_in_the_same_query(db, week):
    asked = []
    db.on_query(asked.append)

    found = list(Appointment.with_people().order_by(Appointment.id))
    names = [(row.student.full_name, row.client.full_name, row.professional.user.full_name) for row in found]

    assert len(asked) == 1
    plain = list(Appointment.select().order_by(Appointment.id))
    assert found == plain
    assert names == [(row.student.full_name, row.client.full_name, row.professional.user.full_name) for row in plain]
    assert ids(Appointment.upcoming(START).with_people().for_student(week["confirmed"].student)) == [
        week["confirmed"].id
    ]


def test_scopes_see_the_bound_tenant_only(db, week, b):
    with db.tenant(b):
        assert ids(Appointment.in_state(*STATES)) == []
        assert ids(Appointment.upcoming(START)) == []
