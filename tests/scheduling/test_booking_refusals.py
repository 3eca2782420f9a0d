"""Refusals: each rule of booking to its boundary, what its error tells, and which of several is told."""

from datetime import timedelta

import pytest

from rayces_core import (
    AdmissionState,
    Appointment,
    BookingWindowError,
    ClientBusyError,
    InvalidDataError,
    NewClientsRefusedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    SlotTakenError,
    StudentBusyError,
    StudentNotAdmittedError,
    TooSoonError,
)
from rayces_core.scheduling import free_slots
from tests.factory import make_student
from tests.scheduling.oracle import hours, schedule_json, utc
from tests.scheduling.worlds import (
    ALWAYS,
    DAY,
    HOUR,
    INSTANT,
    MINUTE,
    NOW,
    another_family,
    at,
    make_working,
    minute_after,
    open_centre,
)
from tests.walking import walked


def change(row, **columns):
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()


# -- the professional -------------------------------------------------------------------------------------------------


def test_an_inactive_professional_takes_no_bookings(centre):
    change(centre.professional, active=False)

    error = centre.refused(ProfessionalInactiveError)

    assert error.scheduled_at == at(10)
    centre.refused(ProfessionalInactiveError, override_schedule=True, allow_overlap=True)


def test_a_professional_may_accept_no_new_clients(centre):
    change(centre.professional, accepts_new_clients=False)

    assert centre.refused(NewClientsRefusedError).scheduled_at == at(10)
    centre.refused(NewClientsRefusedError, override_schedule=True, allow_overlap=True)


def test_a_student_who_has_been_there_is_no_new_client(centre):
    booked = centre.book(at(9))
    change(centre.professional, accepts_new_clients=False)

    assert centre.book(at(11)).id > booked.id
    centre.refused(NewClientsRefusedError, **another_family(), scheduled_at=at(13))


@pytest.mark.slow
@walked("earlier", ["draft", "cancelled", "with another professional"], anew="centre")
def test_a_student_who_has_not_been_there_stays_a_new_client(centre, earlier):
    if earlier == "draft":
        centre.book(at(9), draft=True)
    elif earlier == "cancelled":
        centre.book(at(9)).cancel(reason="ill")
    else:
        centre.book(at(9), professional=make_working())
    change(centre.professional, accepts_new_clients=False)

    centre.refused(NewClientsRefusedError, scheduled_at=at(11))


# -- the student ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("state", AdmissionState)
@walked("book_prospects", [True, False], anew="centre")
def test_only_admitted_students_and_those_before_their_admission_for_an_evaluation_are_booked(
    centre, state, book_prospects
):
    centre.settings(book_prospects=book_prospects)
    student = make_student(admission_state=state)

    before_the_admission = ("prospect", "applied", "waitlisted")
    if state in ("admitted", "enrolled") or (state in before_the_admission and book_prospects):
        assert centre.book(student=student).student_id == student.id
        return
    error = centre.refused(StudentNotAdmittedError, student=student, override_schedule=True, allow_overlap=True)
    assert (error.admission_state, error.scheduled_at) == (state, at(10))


# -- the past and the minimum notice ----------------------------------------------------------------------------------


@pytest.mark.slow
@walked("override", [False, True], anew="centre")
def test_a_session_begins_in_the_future(centre, override):
    for early in (timedelta(0), INSTANT, HOUR, timedelta(days=400)):
        error = centre.refused(TooSoonError, now=at(10) + early, override_notice=override)
        assert error.earliest == minute_after(at(10) + early)

    assert centre.book(now=at(10) - INSTANT, override_notice=override).expires_at == at(10)


def test_a_session_is_booked_with_the_organizations_notice(centre):
    centre.settings(minimum_notice_minutes=90)

    error = centre.refused(TooSoonError, now=at(8.5) + INSTANT)

    assert (error.earliest, error.scheduled_at) == (at(10) + MINUTE, at(10))
    assert centre.book(now=at(8.5)).scheduled_at == at(10)


@pytest.mark.slow
@walked("notice", [0, 1, 90])
@walked("override", [False, True], anew="centre")
def test_the_earliest_start_that_is_told_can_be_booked(centre, notice, override):
    centre.settings(minimum_notice_minutes=notice)

    error = centre.refused(TooSoonError, now=at(10.5), override_notice=override)

    assert error.earliest == at(10.5) + (MINUTE if override or not notice else notice * MINUTE)
    centre.refused(TooSoonError, scheduled_at=error.earliest - MINUTE, now=at(10.5), override_notice=override)
    assert centre.book(error.earliest, now=at(10.5), override_notice=override).scheduled_at == error.earliest


# -- the booking window -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("days", [1, 90, 730])
@walked("hour", [0, 10, 23.99], anew="centre")
def test_bookings_are_taken_until_the_end_of_the_windows_last_day(centre, days, hour):
    centre.settings(booking_window_days=days)
    now = at(hour) - timedelta(days=days)

    error = centre.refused(BookingWindowError, now=now - timedelta(days=1))

    assert (error.latest, error.scheduled_at) == (at(0) - MINUTE, at(10))
    assert centre.book(now=now).scheduled_at == at(10)


def test_the_windows_days_are_those_of_the_organizations_calendar(db):
    zone = "America/Argentina/Buenos_Aires"
    with open_centre(db, zone=zone, settings={"booking_window_days": 1}, weekly_schedule=ALWAYS) as centre:
        error = centre.refused(BookingWindowError, scheduled_at=at(3, 2), now=at(2.5, 1))  # 23:30 there, on the 3rd

        assert error.latest == at(3, 2) - MINUTE
        assert centre.book(error.latest, now=at(2.5, 1)).scheduled_at == error.latest


# -- the weekly schedule ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("start", [at(9) - MINUTE, at(8), at(16) + MINUTE, at(17), at(0), at(23.5)])
def test_all_of_a_session_lies_in_working_time(centre, start):
    error = centre.refused(OutsideScheduleError, scheduled_at=start)

    assert (error.reason, error.scheduled_at) == ("outside_schedule", start)


@walked("start", [at(9), at(16), at(12) + 13 * MINUTE])
def test_a_session_may_touch_the_ends_of_working_time(centre, start):
    assert centre.book(start).scheduled_at == start


def test_the_buffer_may_lie_outside_working_time(db):
    with open_centre(db, buffer_minutes=60) as centre:
        assert centre.book(at(16)).occupied_until == at(18)


def test_a_session_does_not_go_on_over_a_break(db):
    with open_centre(db, weekly_schedule=schedule_json(hours((9, 12), (13, 17)))) as centre:
        centre.refused(OutsideScheduleError, scheduled_at=at(11.5))
        assert centre.book(at(11)).ends_at == at(12)
        assert centre.book(at(13)).ends_at == at(14)


def test_working_time_is_read_by_the_organizations_wall_clock(db):
    with open_centre(db, zone="America/Argentina/Buenos_Aires") as centre:
        centre.refused(OutsideScheduleError, scheduled_at=at(9))
        assert centre.book(at(12)).scheduled_at == at(12)  # nine o'clock there
        centre.refused(OutsideScheduleError, scheduled_at=at(20))


def test_working_time_follows_the_clocks_that_change(db):
    with open_centre(db, zone="Europe/Berlin") as centre:
        now = utc(2031, 3, 20)
        centre.refused(OutsideScheduleError, scheduled_at=utc(2031, 3, 28, 7), now=now)
        assert centre.book(utc(2031, 3, 28, 8), now=now)
        assert centre.book(utc(2031, 3, 31, 7), now=now)  # summer time since the 30th
        centre.refused(OutsideScheduleError, scheduled_at=utc(2031, 3, 31, 15), now=now)


@pytest.mark.slow
@walked("start, nearest", [(at(8), at(9)), (at(16.5), at(16)), (at(23), at(16)), (at(3, 1), at(9, 1))], anew="centre")
def test_the_nearest_free_slot_is_told_and_can_be_booked(centre, start, nearest):
    error = centre.refused(OutsideScheduleError, scheduled_at=start)

    assert error.nearest == (nearest, nearest + HOUR, centre.professional.user_id)
    assert centre.book(error.nearest.start).scheduled_at == nearest


def test_the_nearest_slot_is_free_and_lasts_as_long_as_what_was_asked(centre):
    centre.book(at(9))

    error = centre.refused(OutsideScheduleError, scheduled_at=at(8), duration_minutes=120)

    assert (error.nearest.start, error.nearest.end) == (at(11), at(13))


def test_the_nearest_slot_is_looked_for_as_far_as_bookings_are_taken(db):
    only = [{"start": DAY.date() + timedelta(days=1), "end": DAY.date() + timedelta(days=60)}]
    with open_centre(db, blocked_dates=only) as centre:
        assert centre.refused(OutsideScheduleError, scheduled_at=at(8, 30)).nearest.start == at(16)
        assert centre.refused(OutsideScheduleError, scheduled_at=at(8, 32)).nearest.start == at(9, 61)


@pytest.mark.slow
@walked("days", [1, 90, 364, 365, 730])
def test_there_may_be_no_free_slot_to_tell(db, days):
    with open_centre(db, settings={"booking_window_days": days}, weekly_schedule={}) as centre:
        error = centre.refused(OutsideScheduleError, now=at(10) - timedelta(days=1))

    assert error.nearest is None


def test_the_nearest_slot_of_a_far_day_is_near_that_day(db):
    with open_centre(db, settings={"booking_window_days": 730}, weekly_schedule={"monday": NINE}) as centre:
        blocked = [{"start": DAY.date() + timedelta(days=490), "end": DAY.date() + timedelta(days=510)}]
        change(centre.professional, blocked_dates=blocked)

        error = centre.refused(OutsideScheduleError, scheduled_at=at(9, 500))

    assert error.nearest.start == at(9, 511)


NINE = [{"start": "09:00", "end": "10:00"}]


# -- blocked dates ----------------------------------------------------------------------------------------------------


def test_a_blocked_date_takes_no_bookings(db):
    with open_centre(db, blocked_dates=[{"start": "2031-03-03", "end": "2031-03-04", "reason": "leave"}]) as centre:
        for day in (0, 1):
            error = centre.refused(OutsideScheduleError, scheduled_at=at(10, day))
            assert (error.reason, error.nearest.start) == ("blocked_date", at(9, 2) if day else at(16, -1))
        assert centre.book(at(10, 2))


def test_a_session_that_runs_into_a_blocked_date_is_refused(db):
    with open_centre(db, weekly_schedule=ALWAYS, blocked_dates=["2031-03-04"]) as centre:
        assert centre.refused(OutsideScheduleError, scheduled_at=at(23) + MINUTE).reason == "blocked_date"
        assert centre.book(at(23)).ends_at == at(24)
        assert centre.book(at(0, 2)).scheduled_at == at(48)


def test_dates_are_those_of_the_organizations_calendar(db):
    zone = "America/Argentina/Buenos_Aires"
    with open_centre(db, zone=zone, weekly_schedule=ALWAYS, blocked_dates=["2031-03-04"]) as centre:
        assert centre.book(at(2, 1)).scheduled_at == at(26)  # the evening before
        assert centre.refused(OutsideScheduleError, scheduled_at=at(2, 2)).reason == "blocked_date"
        assert centre.book(at(3, 2)).scheduled_at == at(51)


# -- overriding the schedule ------------------------------------------------------------------------------------------


OVERRIDES = {
    "override_schedule": [{"scheduled_at": at(3)}, {"scheduled_at": at(16.5)}],
    "override_blocked": [{"scheduled_at": at(10, 1)}],
    "override_window": [{"scheduled_at": at(10, 400)}],
    "override_notice": [{"now": at(10) - INSTANT}],
}


@pytest.mark.slow
@walked("override, asked", [(name, asked) for name, cases in OVERRIDES.items() for asked in cases])
def test_staff_set_aside_the_rule_that_they_name_and_no_other(db, override, asked):
    with open_centre(db, settings={"minimum_notice_minutes": 60}, blocked_dates=["2031-03-04"]) as centre:
        others = dict.fromkeys(OVERRIDES.keys() - {override}, True)
        for given in ({}, others):
            with pytest.raises((OutsideScheduleError, BookingWindowError, TooSoonError)):
                centre.book(**asked, **given, by=centre.staff)
        booked = centre.book(**asked, **{override: True}, by=centre.staff)

    assert booked.scheduled_at == asked.get("scheduled_at", at(10))


# -- which of several -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_several_reasons_the_first_one_is_told(centre):
    """Each reason is taken away in turn, and the next one comes up."""
    centre.settings(book_prospects=False, booking_window_days=1)
    elsewhere = make_working()
    student = make_student(admission_state="enrolled")
    centre.book(at(10), student=student, professional=elsewhere, now=at(9))
    change(student, last_name="Paz")
    busy = centre.professional
    change(busy, active=False, accepts_new_clients=False, weekly_schedule={}, blocked_dates=["2031-03-03"])
    centre.db.execute_sql("UPDATE students SET admission_state = 'applied' WHERE id = %s", (student.id,))
    asked = {"student": 10**12, "scheduled_at": at(10), "now": at(11)}

    centre.refused(ReferenceNotFoundError, **asked)
    asked["student"] = student
    centre.refused(ProfessionalInactiveError, **asked)
    change(busy, active=True)
    centre.refused(StudentNotAdmittedError, **asked)
    centre.db.execute_sql("UPDATE students SET admission_state = 'enrolled' WHERE id = %s", (student.id,))
    centre.refused(NewClientsRefusedError, **asked)
    change(busy, accepts_new_clients=True)
    centre.refused(TooSoonError, **asked)
    asked["now"] = at(10) - timedelta(days=2)
    centre.refused(BookingWindowError, **asked)
    asked["now"] = at(9)
    assert centre.refused(OutsideScheduleError, **asked).reason == "blocked_date"
    change(busy, blocked_dates=[])
    assert centre.refused(OutsideScheduleError, **asked).reason == "outside_schedule"
    change(busy, weekly_schedule=ALWAYS)
    taken = centre.book_for_another(at(10), now=at(9))
    centre.refused(SlotTakenError, **asked)
    taken.cancel(reason="ill")
    centre.refused(StudentBusyError, **asked)
    asked["student"] = centre.student
    centre.refused(ClientBusyError, **asked)
    asked["client"] = another_family()["client"]
    assert centre.book(**asked).state == "pre_confirmed"


def test_what_is_malformed_is_told_before_all_else(centre):
    centre.refused(InvalidDataError, student=10**12, duration_minutes=1, now=at(11))


def test_refusals_leave_every_slot_as_it_was(centre):
    before = free_slots(centre.professional, at(0), at(24), now=NOW)
    centre.refused(TooSoonError, now=at(11))

    assert free_slots(centre.professional, at(0), at(24), now=NOW) == before
    assert Appointment.select().count() == 0
