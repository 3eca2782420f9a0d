"""Attendance: who was due on a day, what became of it, and marking in one go."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import (
    Appointment,
    AppointmentState,
    InvalidDataError,
    NotPermittedError,
    Role,
    TenantNotSetError,
    TransitionRefusedError,
    scheduling,
)
from tests.factory import make_appointment, make_organization, make_professional, make_service, make_student, make_user

DAY = date(2031, 3, 3)
NOON = datetime(2031, 3, 3, 12, tzinfo=UTC)
HELD = {"pre_confirmed_at": NOON, "expires_at": NOON, "confirmed_at": NOON, "state": "confirmed"}


def confirmed(hour=12, **columns):
    return make_appointment(scheduled_at=NOON.replace(hour=hour), **(HELD | columns))


def test_a_day_lists_who_was_due_and_what_became_of_it(here):
    eva = make_professional(user=make_user(role=Role.PROFESSIONAL, first_name="Eva", last_name="Paz"))
    child = make_student(first_name="Luz", last_name="Sosa")
    held = confirmed(
        9, professional=eva, student=child, state="executed", executed_at=NOON, service=make_service(name="S")
    )
    missed = confirmed(10, professional=eva, state="no_show", no_show_at=NOON)
    open_one = confirmed(11, professional=eva)
    later = confirmed(15, professional=eva)
    make_appointment(professional=eva, scheduled_at=NOON)  # a draft
    confirmed(16, professional=eva, state="cancelled", cancelled_at=NOON, cancellation_reason="x")
    make_appointment(professional=eva, scheduled_at=NOON + timedelta(days=1), **HELD)

    rows = scheduling.attendance_list(DAY, now=NOON)

    assert [(row.appointment_id, row.mark) for row in rows] == [
        (held.id, "executed"),
        (missed.id, "no_show"),
        (open_one.id, "unmarked"),
        (later.id, "confirmed"),
    ]
    assert (rows[0].professional, rows[0].student, rows[0].service) == ("Eva Paz", "Luz Sosa", "S")
    assert rows[0].starts_at == held.scheduled_at


def test_the_first_hour_of_a_day_is_that_days_where_clocks_go_back_to_midnight(db):
    with db.tenant(make_organization(db, time_zone="America/Havana")):
        midnights = (datetime(2031, 11, 2, 4, tzinfo=UTC), datetime(2031, 11, 2, 5, tzinfo=UTC))
        first, second = (make_appointment(scheduled_at=at, **HELD) for at in midnights)
        listed = [scheduling.attendance_list(date(2031, 11, day), now=NOON) for day in (1, 2)]
        assert [[row.appointment_id for row in rows] for rows in listed] == [[], [first.id, second.id]]


def test_of_one_professional_the_second_place_counts_too(here):
    eva, other = make_professional(), make_professional()
    mine = confirmed(9, professional=eva)
    second = confirmed(10, professional=other, second_professional=eva)
    confirmed(11, professional=other)
    for given in (eva, eva.user, eva.user_id):
        rows = scheduling.attendance_list(DAY, professional=given, now=NOON)
        assert [row.appointment_id for row in rows] == [mine.id, second.id]


def test_unmarked_are_those_that_have_begun(here):
    old, begun = confirmed(9), confirmed(12)
    confirmed(13)
    confirmed(10, state="executed", executed_at=NOON)
    assert [row.id for row in Appointment.unmarked(NOON)] == [old.id, begun.id]
    assert [row.id for row in Appointment.for_professional(old.professional).unmarked(NOON)] == [old.id]


def test_marking_in_one_go(here):
    first, second = confirmed(9), confirmed(10)
    marked = scheduling.mark_attendance({second.id: "no_show", first.id: "executed"}, now=NOON)
    assert [(row.id, row.state) for row in marked] == [(first.id, "executed"), (second.id, "no_show")]
    assert Appointment.get_by_id(second.id).state == AppointmentState.NO_SHOW


def test_all_are_marked_or_none(here):
    first, later = confirmed(9), confirmed(15)
    with pytest.raises(TransitionRefusedError):
        scheduling.mark_attendance({first.id: "executed", later.id: "executed"}, now=NOON)
    assert Appointment.get_by_id(first.id).state == AppointmentState.CONFIRMED


def test_a_professional_marks_its_own_alone(here):
    mine, theirs = confirmed(9), confirmed(10)
    eva = mine.professional.user
    with pytest.raises(NotPermittedError):
        scheduling.mark_attendance({mine.id: "executed", theirs.id: "executed"}, by=eva, now=NOON)
    scheduling.mark_attendance({mine.id: "executed"}, by=eva, now=NOON)
    assert Appointment.get_by_id(mine.id).state == AppointmentState.EXECUTED


def test_what_is_no_mark_and_no_day_is_refused(db, here):
    for wrong in ({1: "cancelled"}, {1: "executed", "2": "executed"}, {True: "executed"}, [1]):
        with pytest.raises(InvalidDataError) as refused:
            scheduling.mark_attendance(wrong)
        assert refused.value.field == "marks"
    for wrong in (NOON, "2031-03-03"):
        with pytest.raises(InvalidDataError):
            scheduling.attendance_list(wrong)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        scheduling.attendance_list(DAY)
