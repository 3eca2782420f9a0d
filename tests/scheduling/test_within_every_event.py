"""`within()` without an event runs with every one, in its own transaction, whatever makes it happen."""

import pytest

from rayces_core import Appointment, ConfigurationError, CreditTransaction, Student, credits
from rayces_core.scheduling import book_series, expire_overdue, reschedule
from tests.factory import make_user
from tests.scheduling.worlds import HOUR, NOW, at
from tests.state_machine.rules import make_in

MACHINES = (Appointment.lifecycle, Student.lifecycle, CreditTransaction.lifecycle)


class UndoneError(Exception):
    pass


@pytest.fixture
def ran():
    """(event, whether it was within a transaction), for whatever happens to appointments, students and entries."""
    from rayces_core.database.binding import current

    seen = []

    def effect(change):
        seen.append((change.event, current().engine._sessions.current().in_transaction))

    for machine in MACHINES:
        machine.within()(effect)
    yield seen
    for machine in MACHINES:
        machine.off(effect)


def events(ran):
    assert all(inside for _, inside in ran)
    found = [event for event, _ in ran]
    ran.clear()
    return found


def test_it_runs_for_book_confirm_reschedule_cancel_and_expire(centre, ran):
    booked = centre.book(at(10))
    assert events(ran) == ["pre_confirm"]
    booked.confirm(by=centre.staff, now=NOW)
    assert events(ran) == ["confirm"]
    reschedule(booked, at(12), by=centre.staff, now=NOW)
    assert events(ran) == ["reschedule"]
    booked.cancel(by=centre.staff, now=NOW)
    assert events(ran) == ["cancel"]
    assert centre.book(at(10), confirm=True, by=centre.staff).state == "confirmed"
    assert events(ran) == ["pre_confirm", "confirm"]
    book_series(**centre.wanted(at(14), count=2))
    assert events(ran) == ["pre_confirm", "pre_confirm"]
    expire_overdue(now=NOW + 25 * HOUR)
    assert events(ran) == ["expire", "expire"]


def test_it_runs_for_a_discharge_and_each_appointment_that_it_cancels(centre, ran):
    student = make_in(Student, "enrolled")
    for hour in (10, 12):
        centre.book(at(hour), student=student, client=make_user(), by=None)
    ran.clear()
    student.discharge(now=NOW)
    assert sorted(events(ran)) == ["cancel", "cancel", "discharge"]


def test_it_runs_for_what_settles_an_entry(centre, ran):
    entry = credits.purchase(centre.client, 3, pending=True)
    assert events(ran) == []
    credits.complete(entry)
    assert events(ran) == ["complete", "posted"]


def test_what_fails_there_undoes_the_event(centre):
    def fail(change):
        raise UndoneError

    booked = centre.book(at(10))
    Appointment.lifecycle.within()(fail)
    try:
        with pytest.raises(UndoneError):
            booked.confirm(now=NOW)
        with pytest.raises(UndoneError):
            reschedule(booked, at(12), by=centre.staff, now=NOW)
    finally:
        Appointment.lifecycle.off(fail)
    assert (booked.state, Appointment.get_by_id(booked.id).state) == ("pre_confirmed", "pre_confirmed")
    assert Appointment.get_by_id(booked.id).scheduled_at == at(10)


def test_what_is_attached_by_name_runs_first_whatever_was_attached_first(centre):
    order = []

    def every(change):
        order.append("every")

    def named(change):
        order.append("named")

    Appointment.lifecycle.within()(every)
    Appointment.lifecycle.within("pre_confirm")(named)
    try:
        centre.book(at(10))
    finally:
        Appointment.lifecycle.off(every)
        Appointment.lifecycle.off(named)
    assert order == ["named", "every"]
    centre.book(at(12))
    assert order == ["named", "every"]


def test_rows_can_be_told_apart_there_too(centre):
    seen = []

    def noted(change):
        seen.append(change.subject.notes)

    Appointment.lifecycle.within(when=lambda row: bool(row.notes), reads=("notes",))(noted)
    try:
        centre.book(at(10), notes="bring the file").confirm(now=NOW)
        centre.book(at(12))
    finally:
        Appointment.lifecycle.off(noted)
    assert seen == ["bring the file", "bring the file"]


def test_a_misspelt_event_is_refused_by_both_siblings():
    for attach in (Appointment.lifecycle.on, Appointment.lifecycle.within):
        with pytest.raises(ConfigurationError, match="there is no event 'confrm'"):
            attach("confrm")


def test_off_ends_an_effect_as_it_ends_a_subscription(centre):
    seen = []

    def effect(change):
        seen.append(change.event)

    Appointment.lifecycle.within("confirm", "cancel")(effect)
    Appointment.lifecycle.within()(effect)
    Appointment.lifecycle.off(effect)
    centre.book(at(10)).confirm(now=NOW)
    assert seen == []
    assert not Appointment.lifecycle.has_effects("pre_confirm")
