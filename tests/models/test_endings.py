"""What hangs on an admission ends, pauses or starts anew with it: appointments, dates, credits."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import (
    Appointment,
    CheckFailedError,
    InvalidDataError,
    Organization,
    StateTransition,
    Student,
    StudentNotAdmittedError,
    TransitionRefusedError,
    credits,
    scheduling,
)
from rayces_core.database.binding import current
from tests.factory import make_student, make_user
from tests.scheduling.worlds import ALWAYS, another_family, at, open_centre
from tests.state_machine.rules import columns, in_memory, make_in, stored
from tests.walking import walked

NOW = datetime(2031, 2, 3, 15, tzinfo=UTC)
LAST_DAY = at(0, 5).date()


@pytest.fixture
def centre(db):
    with open_centre(db, weekly_schedule=ALWAYS) as opened:
        yield opened


def states(rows):
    return [str(stored(row)["state"]) for row in rows]


def on_days(centre, *days, **options):
    return [centre.book(at(10, day), confirm=True, now=at(0), **options) for day in days]


# -- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_f05_a_discharge_on_a_later_day_cancels_what_lies_after_that_day_only(centre):
    student = centre.student
    sessions = on_days(centre, 2, 4, 5, 6, 9)

    student.discharge(by=centre.staff, on=LAST_DAY, now=at(0))

    assert student.discharge_date == LAST_DAY
    assert states(sessions) == ["confirmed", "confirmed", "confirmed", "cancelled", "cancelled"]
    assert Appointment.get_by_id(sessions[4].id).cancellation_reason == "student discharged"


def test_f05_until_that_day_a_session_can_still_be_booked_and_then_no_more(centre):
    centre.student.discharge(by=centre.staff, on=LAST_DAY, now=at(0))

    farewell = centre.book(at(23, 5), now=at(0), by=centre.client)
    assert farewell.state == "pre_confirmed"
    error = centre.refused(StudentNotAdmittedError, scheduled_at=at(24, 5), now=at(0))
    assert (error.admission_state, "up to the discharge_date" in str(error)) == ("discharged", True)


@walked(
    "zone, kept, cancelled",
    [
        (
            "America/Argentina/Buenos_Aires",
            datetime(2031, 3, 9, 2, 45, tzinfo=UTC),
            datetime(2031, 3, 9, 3, tzinfo=UTC),
        ),
        ("Pacific/Kiritimati", datetime(2031, 3, 8, 9, 45, tzinfo=UTC), datetime(2031, 3, 8, 10, tzinfo=UTC)),
        ("UTC", datetime(2031, 3, 8, 23, 45, tzinfo=UTC), datetime(2031, 3, 9, tzinfo=UTC)),
    ],
)
def test_the_day_of_a_discharge_is_one_of_the_organizations_calendar(bound, zone, kept, cancelled):
    Organization.update(time_zone=zone).execute()
    student = make_in(Student, "enrolled")
    sessions = [make_in(Appointment, "confirmed", student=student, scheduled_at=when) for when in (kept, cancelled)]
    student.discharge(on=date(2031, 3, 8), now=NOW)
    assert states(sessions) == ["confirmed", "cancelled"]


def test_who_leaves_today_keeps_the_sessions_of_today(bound):
    student = make_in(Student, "enrolled")
    sessions = [
        make_in(Appointment, "confirmed", student=student, scheduled_at=NOW + timedelta(hours=hours))
        for hours in (-30, 1, 30)
    ]
    student.discharge(now=NOW)
    assert states(sessions) == ["confirmed", "confirmed", "cancelled"]


@walked("day", [date(2020, 1, 1), date(2026, 2, 28)])
def test_f16_a_discharge_before_the_admission_is_refused(db, bound, day):
    student = make_in(Student, "enrolled", admission_date=date(2026, 3, 1))
    session = make_in(Appointment, "confirmed", student=student)
    remembered = in_memory(student)
    with db.atomic():  # the caller's unit of work goes on
        with pytest.raises(CheckFailedError, match="not discharged before the admission") as caught:
            student.discharge(on=day, now=NOW)
        assert caught.value.fields == ("discharge_date",)
        assert in_memory(student) == remembered
    assert (stored(student)["admission_state"], states([session])) == ("enrolled", ["confirmed"])
    student.discharge_date = day
    with pytest.raises(CheckFailedError):
        student.save()


def test_the_first_day_may_be_the_last(bound):
    student = make_in(Student, "admitted", admission_date=date(2026, 3, 1))
    student.discharge(on=date(2026, 3, 1), now=NOW)
    assert student.discharge_date == date(2026, 3, 1)


def test_f16_coming_back_clears_the_dates_of_the_first_stay_which_stay_in_the_journal(bound):
    student = make_student()
    student.apply()
    student.admit(on=date(2025, 3, 1))
    student.enroll()
    student.discharge(on=date(2025, 12, 1))
    student.reapply()
    assert (student.admission_date, student.discharge_date) == (None, None)
    student.admit(on=date(2026, 3, 1))
    student.enroll()

    assert (student.admission_date, student.discharge_date) == (date(2026, 3, 1), None)
    assert columns(student) == stored(student)
    assert Student.select().where(Student.discharge_date.is_null(False), Student.id == student.id).count() == 0
    assert [(change.event, change.details) for change in student.history() if change.details] == [
        ("reapply", {"admission_date": "2025-03-01", "discharge_date": "2025-12-01"})
    ]


def test_dates_that_others_have_written_meanwhile_are_those_that_are_kept(bound):
    student = make_in(Student, "discharged", admission_date=date(2025, 3, 1), discharge_date=date(2025, 12, 1))
    behind = Student.get_by_id(student.id)
    Student.update(discharge_date=date(2025, 11, 30)).where(Student.id == student.id).execute()
    behind.discharge_date = date(2031, 1, 1)  # assigned, not saved

    behind.reapply()

    assert [change.details["discharge_date"] for change in student.history()] == ["2025-11-30"]


def test_who_is_admitted_by_an_import_with_old_dates_starts_anew(bound):
    student = make_in(Student, "waitlisted", admission_date=date(2020, 1, 1), discharge_date=date(2021, 1, 1))
    student.admit(on=date(2022, 3, 1))
    assert (student.admission_date, student.discharge_date) == (date(2022, 3, 1), None)
    (change,) = student.history()
    assert change.details == {"admission_date": "2020-01-01", "discharge_date": "2021-01-01"}


def test_the_dates_of_many_are_kept_as_those_of_one(bound):
    gone = [make_in(Student, "discharged", discharge_date=date(2025, 12, day)) for day in (1, 2)]
    ids = [student.id for student in gone]
    Student.lifecycle.move_many("reapply", "id = ANY(%(ids)s)", {"ids": ids})
    assert [[change.details for change in student.history()] for student in gone] == [
        [{"discharge_date": "2025-12-01"}],
        [{"discharge_date": "2025-12-02"}],
    ]
    assert [stored(student)["discharge_date"] for student in gone] == [None, None]


# -- not taken --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("state", ["prospect", "applied", "waitlisted"])
def test_f06_a_rejection_cancels_the_evaluation_and_its_hour_is_free(centre, state):
    family = another_family() | {"student": make_in(Student, state)}
    evaluation = centre.book(**family)
    slots = [slot.start for slot in scheduling.free_slots(centre.professional, at(0), at(24), now=at(-24))]

    family["student"].reject(by=centre.staff, reason="no place", now=at(-24))

    row = Appointment.get_by_id(evaluation.id)
    assert (row.state, row.cancellation_reason, row.cancelled_by) == ("cancelled", "student rejected", centre.staff)
    assert [change.event for change in row.history()] == ["pre_confirm", "cancel"]
    freed = [slot.start for slot in scheduling.free_slots(centre.professional, at(0), at(24), now=at(-24))]
    assert set(freed) - set(slots) == {at(10)}


@pytest.mark.parametrize("state", ["prospect", "applied", "waitlisted"])
def test_f06_who_is_not_admitted_yet_may_have_an_evaluation_where_the_centre_wants_that(centre, state):
    family = another_family() | {"student": make_in(Student, state)}
    assert centre.book(at(9), **family).state == "pre_confirmed"
    centre.settings(book_prospects=False)
    assert centre.refused(StudentNotAdmittedError, **family).admission_state == state


@walked("state", ["rejected", "discharged", "on_leave"])
def test_who_is_out_has_none(centre, state):
    family = another_family() | {"student": make_in(Student, state)}
    assert centre.refused(StudentNotAdmittedError, **family).admission_state == state


# -- away for a while -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["confirmed"] * 4),
        ({"until": LAST_DAY}, ["confirmed"] * 4),
        ({"appointments": "keep"}, ["confirmed"] * 4),
        ({"appointments": "cancel"}, ["cancelled"] * 4),
        ({"until": LAST_DAY, "appointments": "cancel"}, ["cancelled", "cancelled", "confirmed", "confirmed"]),
    ],
    ids=str,
)
def test_f06_a_leave_cancels_or_keeps_what_lies_within_as_told(centre, given, expected):
    sessions = on_days(centre, 1, 5, 6, 20)

    centre.student.suspend(by=centre.staff, reason="travels", now=at(0), **given)

    assert states(sessions) == expected
    assert centre.student.on_leave_until == stored(centre.student)["on_leave_until"] == given.get("until")
    reasons = {Appointment.get_by_id(row.id).cancellation_reason for row in sessions} - {None}
    assert reasons == ({"student on leave"} if "cancelled" in expected else set())


def test_after_a_leave_sessions_can_be_booked_already_and_within_it_none(centre):
    centre.student.suspend(until=LAST_DAY, now=at(0))
    centre.refused(StudentNotAdmittedError, scheduled_at=at(23, 5), now=at(0))
    assert centre.book(at(0, 6), now=at(0)).state == "pre_confirmed"


@walked("event", ["resume", "discharge"])
def test_the_end_of_a_leave_clears_its_day_which_stays_in_the_journal(bound, event):
    student = make_in(Student, "enrolled")
    student.suspend(until=date(2031, 3, 1), now=NOW)
    getattr(student, event)(now=NOW)
    assert student.on_leave_until is stored(student)["on_leave_until"] is None
    assert [change.details for change in student.history()] == [{}, {"on_leave_until": "2031-03-01"}]


@walked("zone", ["UTC", "Pacific/Kiritimati"])
def test_a_leave_that_is_over_is_none(bound, zone):
    Organization.update(time_zone=zone).execute()
    today = NOW.date() if zone == "UTC" else NOW.date() + timedelta(days=1)
    student = make_in(Student, "enrolled")
    with pytest.raises(TransitionRefusedError) as caught:
        student.suspend(until=today - timedelta(days=1), now=NOW)
    assert (caught.value.event, caught.value.reason) == ("suspend", "over")
    student.suspend(until=today, now=NOW)
    assert student.on_leave_until == today


@walked(
    "field, given",
    [
        ("appointments", {"appointments": "drop"}),
        ("appointments", {"appointments": None}),
        ("Student.on_leave_until", {"until": "2031-09-01"}),
        ("Student.on_leave_until", {"until": NOW}),
    ],
)
def test_a_leave_is_told_in_words_and_days(bound, field, given):
    student = make_in(Student, "enrolled")
    with pytest.raises(InvalidDataError) as caught:
        student.suspend(now=NOW, **given)
    assert (caught.value.field, stored(student)["admission_state"]) == (field, "enrolled")


def test_only_who_is_on_leave_has_a_day_until_which(bound):
    student = make_in(Student, "enrolled")
    student.on_leave_until = date(2031, 9, 1)
    with pytest.raises(CheckFailedError, match="suspend"):
        student.save()


# -- credits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refund", "left"), [(None, 1), (True, 2), (False, 0)])
@pytest.mark.parametrize(
    ("event", "given"),
    [("discharge", {"on": at(0).date()}), ("suspend", {"appointments": "cancel"})],
    ids=["discharge", "suspend"],
)
def test_what_is_cancelled_with_an_ending_is_refunded_as_told(centre, event, given, refund, left):
    """By the organization's rule: one of the two lies within the notice."""
    credits.purchase(centre.client, 2)
    on_days(centre, 1, 5, uses_credit=True)
    assert credits.balance(centre.client) == 0

    getattr(centre.student, event)(now=at(12), refund=refund, **given)

    assert credits.balance(centre.client) == left
    assert credits.verify().is_clean


def test_a_rejection_refunds_as_told(centre):
    client = make_user()
    credits.purchase(client, 1)
    student = make_in(Student, "applied", primary_contact=client)
    centre.book(at(10), student=student, client=client, uses_credit=True, confirm=True)
    student.reject(now=at(9), refund=True)
    assert credits.balance(client) == 1


# -- what was there before --------------------------------------------------------------------------------------------


def test_an_ending_is_one_with_what_it_cancels(db, centre):
    sessions = on_days(centre, 1, 5)
    with pytest.raises(ZeroDivisionError), db.atomic():
        centre.student.suspend(appointments="cancel", now=at(0))
        assert states(sessions) == ["cancelled"] * 2
        assert 1 / 0
    assert (states(sessions), centre.student.admission_state) == (["confirmed"] * 2, "enrolled")
    assert StateTransition.select().where(StateTransition.subject_type == "Student").count() == 0
    assert current().organization_id == centre.organization.id
