"""What changes between reading and writing: a booking decides by what is committed when it holds its locks.

Each test makes one interleaving, the same every time: one session holds a lock, another is seen to wait for it.
"""

from contextlib import contextmanager
from datetime import timedelta

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    ClientBusyError,
    InvalidTransitionError,
    NewClientsRefusedError,
    NotPermittedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    SlotTakenError,
    Student,
    StudentBusyError,
    StudentNotAdmittedError,
    TooSoonError,
)
from rayces_core.scheduling import reschedule
from rayces_core.scheduling.settling import until_settled
from tests.scheduling.worlds import NOW, Other, another_family, at, make_working, noted
from tests.walking import walked


def meanwhile(centre, change, deed):
    """What comes of a deed that has read its facts before `change` is committed, and waits for it."""
    with centre.db.atomic():
        change()
        other = Other(centre.db, centre.organization, deed)
        other.wait_until_blocked()
    return other.finish()


def in_a_transaction(centre, deed):
    """The deed, in a transaction that goes on when it is refused."""

    def whole():
        with centre.db.atomic():
            try:
                return deed()
            finally:
                assert centre.db.execute_sql("SELECT 1").fetchone() == (1,)

    return whole


# -- booking ----------------------------------------------------------------------------------------------------------


@walked("in_transaction", [False, True], anew="centre")
def test_who_comes_second_is_told_who_was_first(centre, in_transaction):
    family, first = another_family(), []

    def book():
        return centre.book(at(10.5), **family)

    error = meanwhile(
        centre,
        lambda: first.append(centre.book(at(10))),
        in_a_transaction(centre, book) if in_transaction else book,
    )

    assert (type(error), error.conflicting_id) == (SlotTakenError, first[0].id)


def test_who_comes_second_books_when_the_first_is_undone(centre):
    family = another_family()
    with pytest.raises(RuntimeError), centre.db.atomic():
        centre.book(at(10))
        other = Other(centre.db, centre.organization, lambda: centre.book(at(10), **family))
        other.wait_until_blocked()
        raise RuntimeError

    assert other.finish() == Appointment.get()


def test_who_comes_second_with_another_time_books_it(centre):
    family = another_family()

    booked = meanwhile(centre, lambda: centre.book(at(10)), lambda: centre.book(at(11), **family))

    assert booked.scheduled_at == at(11)


PROFESSIONAL = [
    ({"active": False}, ProfessionalInactiveError),
    ({"accepts_new_clients": False}, NewClientsRefusedError),
    ({"weekly_schedule": {}}, OutsideScheduleError),
    ({"blocked_dates": ["2031-03-03"]}, OutsideScheduleError),
]


@walked("columns, refusal", PROFESSIONAL, anew="centre")
def test_a_change_of_the_professional_that_is_committed_meanwhile_counts(centre, columns, refusal):
    def change():
        for name, value in columns.items():
            setattr(centre.professional, name, value)
        centre.professional.save()

    assert type(meanwhile(centre, change, centre.book)) is refusal
    assert Appointment.select().count() == 0


def test_a_buffer_that_is_changed_meanwhile_is_the_one_that_is_booked_with(centre):
    def change():
        centre.professional.buffer_minutes = 45
        centre.professional.save()

    assert meanwhile(centre, change, centre.book).occupied_until == at(11.75)


def test_a_student_who_leaves_meanwhile_is_not_booked(centre):
    error = meanwhile(centre, lambda: centre.student.suspend(now=NOW), centre.book)

    assert (type(error), error.admission_state) == (StudentNotAdmittedError, "on_leave")


def test_a_leave_that_is_made_longer_meanwhile_is_not_booked_into(centre):
    centre.student.suspend(until=at(10).date() - timedelta(days=1), now=NOW)

    def change():
        Student.update(on_leave_until=at(10).date()).where(Student.id == centre.student.id).execute()

    error = meanwhile(centre, change, centre.book)

    assert (type(error), error.admission_state) == (StudentNotAdmittedError, "on_leave")


def test_a_guardian_who_is_no_contact_any_more_books_nothing(centre):
    def change():
        centre.student.primary_contact = another_family()["client"]
        centre.student.save()

    assert type(meanwhile(centre, change, lambda: centre.book(by=centre.client))) is NotPermittedError


def test_a_student_who_is_discharged_meanwhile_has_no_appointment_left(centre):
    booked = centre.book(at(9))

    error = meanwhile(centre, lambda: centre.student.discharge(now=NOW), centre.book)

    assert type(error) is StudentNotAdmittedError
    assert {one.state for one in Appointment.select()} == {"cancelled"}
    assert noted(booked)[-1][0] == "cancel"


@walked("same, refusal", [("student", StudentBusyError), ("client", ClientBusyError)], anew="centre")
def test_who_is_booked_elsewhere_meanwhile_is_busy(centre, same, refusal):
    others = {"professional": make_working()} | another_family()
    del others[same]
    first = []

    error = meanwhile(centre, lambda: first.append(centre.book(at(10))), lambda: centre.book(at(10.5), **others))

    assert (type(error), error.conflicting_id) == (refusal, first[0].id)


@walked("same", ["student", "client"], anew="centre")
def test_who_may_overlap_is_booked_all_the_same(centre, same):
    others = {"professional": make_working(), "allow_overlap": True} | another_family()
    del others[same]

    booked = meanwhile(centre, lambda: centre.book(at(10)), lambda: centre.book(at(10.5), **others))

    assert booked.scheduled_at == at(10.5)


def test_who_may_overlap_makes_others_busy(centre):
    others = {"professional": make_working(), "client": another_family()["client"]}
    first = []

    error = meanwhile(
        centre,
        lambda: first.append(centre.book(at(10), allow_overlap=True)),
        lambda: centre.book(at(10.5), **others),
    )

    assert (type(error), error.conflicting_id) == (StudentBusyError, first[0].id)


def test_a_refusal_waits_for_nobody(centre):
    with centre.db.atomic():
        centre.professional.title = "Dr."
        centre.professional.save()
        other = Other(centre.db, centre.organization, lambda: centre.book(NOW))
        assert type(other.finish()) is TooSoonError


def test_pre_confirming_waits_for_a_booking_and_is_told_of_it(centre):
    draft = centre.book(at(10), draft=True, **another_family())
    first = []

    error = meanwhile(centre, lambda: first.append(centre.book(at(10.5))), lambda: draft.pre_confirm(now=NOW))

    assert (type(error), error.conflicting_id) == (SlotTakenError, first[0].id)
    assert Appointment.get_by_id(draft.id).state == draft.state == "draft"


def test_booking_waits_for_a_pre_confirmation_and_is_told_of_it(centre):
    draft = centre.book(at(10), draft=True)
    family = another_family()

    error = meanwhile(centre, lambda: draft.pre_confirm(now=NOW), lambda: centre.book(at(10.5), **family))

    assert (type(error), error.conflicting_id) == (SlotTakenError, draft.id)


# -- moving -----------------------------------------------------------------------------------------------------------


def copy_of(appointment):
    return Appointment.get_by_id(appointment.id)


def test_the_second_move_starts_from_where_the_first_went(centre):
    booked = centre.book(at(10))
    other = copy_of(booked)

    meanwhile(centre, lambda: reschedule(booked, at(12), now=NOW), lambda: reschedule(other, at(14), now=NOW))

    assert copy_of(booked).scheduled_at == other.scheduled_at == at(14)
    assert [row.reason for row in booked.history()][1:] == [
        "from 2031-03-03T10:00:00+00:00",
        "from 2031-03-03T12:00:00+00:00",
    ]


def test_what_is_cancelled_meanwhile_is_not_moved(centre):
    booked = centre.book(at(10))
    other = copy_of(booked)

    error = meanwhile(centre, lambda: booked.cancel(reason="ill"), lambda: reschedule(other, at(14), now=NOW))

    assert (type(error), error.from_state) == (InvalidTransitionError, "cancelled")
    assert other.scheduled_at == copy_of(booked).scheduled_at == at(10)


def test_what_is_confirmed_meanwhile_is_not_the_clients_to_move(centre):
    booked = centre.book(at(10))
    other = copy_of(booked)

    error = meanwhile(
        centre, lambda: booked.confirm(now=NOW), lambda: reschedule(other, at(14), by=centre.client, now=NOW)
    )

    assert type(error) is NotPermittedError
    assert noted(booked)[-1][0] == "confirm"


def test_what_is_confirmed_meanwhile_is_moved_by_staff_and_stays_confirmed(centre):
    booked = centre.book(at(10))
    other = copy_of(booked)

    meanwhile(centre, lambda: booked.confirm(now=NOW), lambda: reschedule(other, at(14), by=centre.staff, now=NOW))

    assert (other.state, other.scheduled_at) == ("confirmed", at(14))
    assert noted(booked)[1:] == [("confirm", "pre_confirmed", "confirmed"), ("reschedule", "confirmed", "confirmed")]


def test_what_is_moved_meanwhile_is_confirmed_at_its_new_time(centre):
    booked = centre.book(at(10))
    other = copy_of(booked)

    meanwhile(centre, lambda: reschedule(booked, at(12), now=NOW), lambda: other.confirm(now=NOW))

    assert (copy_of(booked).state, copy_of(booked).scheduled_at) == ("confirmed", at(12))


def test_two_moves_into_one_gap(centre):
    one, two = centre.book(at(10)), centre.book_for_another(at(12))

    error = meanwhile(centre, lambda: reschedule(one, at(14), now=NOW), lambda: reschedule(two, at(14.5), now=NOW))

    assert (type(error), error.conflicting_id) == (SlotTakenError, one.id)
    assert two.scheduled_at == copy_of(two).scheduled_at == at(12)


# -- deadlocks --------------------------------------------------------------------------------------------------------


@contextmanager
def stubborn(db):
    """A session beside the library that takes locks in an order of its own, and never is the one to give way."""
    connection = psycopg2.connect(db.url)
    try:
        cursor = connection.cursor()
        cursor.execute("SET deadlock_timeout = '60s'")
        yield cursor.execute
        connection.commit()
    finally:
        connection.close()


LOCK_USER = "SELECT 1 FROM users WHERE organization_id = %s AND id = %s FOR NO KEY UPDATE"
LOCK_PROFESSIONAL = "SELECT 1 FROM professionals WHERE organization_id = %s AND id = %s FOR NO KEY UPDATE"


@pytest.mark.slow
def test_a_booking_by_itself_outlives_a_deadlock(db, centre):
    with stubborn(db) as run:
        run(LOCK_USER, (centre.organization.id, centre.client.id))
        other = Other(db, centre.organization, lambda: centre.book(at(10)))
        other.wait_until_blocked()
        run(LOCK_PROFESSIONAL, (centre.organization.id, centre.professional.id))

    assert other.finish() == Appointment.get()


@pytest.mark.slow
def test_a_unit_of_work_that_loses_a_deadlock_is_told_to_run_again(db, centre):
    one, two = make_working(), make_working()
    families = [another_family() for _ in range(2)]

    def both():
        with db.atomic():
            centre.book(at(10), professional=one, **families[0])
            return centre.book(at(12), professional=two, **families[1])

    with stubborn(db) as run:
        run(LOCK_PROFESSIONAL, (centre.organization.id, two.id))
        other = Other(db, centre.organization, both)
        other.wait_until_blocked()
        run(LOCK_PROFESSIONAL, (centre.organization.id, one.id))

    assert type(other.finish()) is SlotTakenError
    assert "run the unit of work again" in str(other.result)
    assert Appointment.select().count() == 0


def test_what_never_settles_is_given_up(centre):
    tried = []

    with pytest.raises(SlotTakenError, match="try again"):
        until_settled(lambda: tried.append(1))

    assert 3 <= len(tried) <= 100
