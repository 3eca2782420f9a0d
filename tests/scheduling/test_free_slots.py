"""Free slots read from the database: what takes time, whose it is, and in how many statements."""

from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import (
    AppointmentState,
    CrossTenantError,
    InvalidDataError,
    Professional,
    ReferenceNotFoundError,
    TenantNotSetError,
    User,
    clock,
)
from rayces_core.scheduling import Slot, calendars, find_slots, free_slots
from tests.conftest import on_server
from tests.factory import (
    make_closed,
    make_elsewhere,
    make_giving,
    make_organization,
    make_professional,
    make_service,
    make_student,
    make_user,
)
from tests.scheduling.agenda import DAY, HOUR, NOW, free, make_one, take
from tests.scheduling.oracle import Case, every_day, hours_of, schedule_json
from tests.scheduling.random_cases import cases
from tests.sizes import examples
from tests.walking import walked

# -- what takes time --------------------------------------------------------------------------------------------------


def test_a_slot_is_two_moments_in_utc_and_the_users_id(here):
    professional = make_one()

    (slot, *_) = free_slots(professional, DAY, DAY + 24 * HOUR, now=NOW)

    assert slot == Slot(DAY + 9 * HOUR, DAY + 10 * HOUR, professional.user_id)
    assert slot.start.tzinfo is slot.end.tzinfo is UTC


@walked("state", AppointmentState)
def test_only_states_that_occupy_time_take_it(db, here, state):
    professional = make_one()
    take(db, professional.user_id, DAY + 10 * HOUR, state=state)

    assert free(professional) == ([9, 11, 12] if state.occupies_time else [9, 10, 11, 12])


def test_the_buffer_that_an_appointment_was_booked_with_is_kept_clear(db, here):
    professional = make_one()
    take(db, professional.user_id, DAY + 9 * HOUR, buffer=30)

    assert free(professional) == [11, 12]


def test_the_professionals_buffer_is_kept_clear_before_the_next_appointment(db, here):
    professional = make_one(buffer_minutes=30)
    take(db, professional.user_id, DAY + 12 * HOUR)

    assert free(professional) == [9, 10]
    assert free(professional, step_minutes=30, end=DAY + 12 * HOUR) == [9, 9, 10, 10]


def test_an_appointment_after_the_range_takes_its_last_slot_by_the_buffer(db, here):
    professional = make_one(buffer_minutes=240)
    take(db, professional.user_id, DAY + 16 * HOUR)

    assert free(professional, end=DAY + 13 * HOUR) == [9, 10, 11]


@walked("buffer", [0, 60 * 24])
def test_an_appointment_from_before_the_range_takes_time_as_long_as_its_buffer_lasts(db, here, buffer):
    professional = make_one()
    start = DAY + 9 * HOUR + timedelta(minutes=30)
    take(db, professional.user_id, start - timedelta(minutes=480 + buffer), minutes=480, buffer=buffer)
    take(db, professional.user_id, DAY - 60 * 24 * HOUR)  # over long before
    take(db, professional.user_id, DAY + HOUR, state="cancelled")

    assert free(professional, start=DAY + 9 * HOUR) == [10, 11, 12]


def test_an_appointment_that_begins_with_the_range_takes_time(db, here):
    professional = make_one()
    take(db, professional.user_id, DAY + 9 * HOUR)

    assert free(professional, start=DAY + 9 * HOUR) == [10, 11, 12]


def test_times_are_read_exactly(db, here):
    professional = make_one()
    at = DAY + 10 * HOUR + timedelta(minutes=1)
    take(db, professional.user_id, at)

    (calendar,) = calendars.read_calendars(DAY, DAY + 24 * HOUR, now=NOW)

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [(epoch + timedelta(microseconds=a), epoch + timedelta(microseconds=b)) for a, b in calendar.busy] == [
        (at, at + HOUR)
    ]
    assert free(professional) == [9, 12]


def test_an_appointment_that_is_to_be_moved_does_not_stand_in_its_own_way(db, here):
    professional = make_one()
    moved = take(db, professional.user_id, DAY + 9 * HOUR)
    take(db, professional.user_id, DAY + 11 * HOUR)
    values = calendars.calendar_values(DAY, DAY + 24 * HOUR, NOW, moving=moved)

    rows = db.execute_sql(calendars.READ, values).fetchall()

    (calendar,) = calendars.calendars_of(rows, DAY, DAY + 24 * HOUR)
    assert len(calendar.busy) == 1


# -- whose time -------------------------------------------------------------------------------------------------------

TWIN = """
INSERT INTO users (organization_id, id, email, role, jti) VALUES (%(organization)s, %(id)s, 'twin@example.org', 1, 'x');
INSERT INTO professionals (organization_id, user_id, weekly_schedule, buffer_minutes)
VALUES (%(organization)s, %(id)s, '{"monday": [{"start": "10:00", "end": "12:00"}]}', 0)
"""


def twins(db):
    """The same professional's id in two organizations, with other hours and other appointments."""
    ours, theirs = (make_organization(db, time_zone="UTC") for _ in range(2))
    with db.tenant(ours):
        professional = make_one()
        take(db, professional.user_id, DAY - 2 * HOUR, minutes=180)
        take(db, professional.user_id, DAY + 34 * HOUR)
    with db.tenant(theirs):
        db.execute_sql(TWIN, {"organization": db.organization_id, "id": professional.user_id})
        take(db, professional.user_id, DAY - HOUR, minutes=30)
        take(db, professional.user_id, DAY + 11 * HOUR)
    return ours, theirs, professional.user_id


def test_appointments_and_hours_of_another_organization_never_matter(db):
    ours, theirs, user_id = twins(db)

    with db.tenant(ours):
        assert free(user_id) == [9, 10, 11, 12]
    with db.tenant(theirs):
        assert free(user_id) == [10]
        assert [slot.start.hour for slot in find_slots(DAY, DAY + 24 * HOUR, now=NOW)] == [10]


def test_the_statement_names_its_tenant_where_row_level_security_does_not_hold(db):
    ours, _, user_id = twins(db)
    with db.tenant(ours):
        values = calendars.calendar_values(DAY, DAY + 48 * HOUR, NOW) | {"ids": [user_id]}

    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    cursor.execute(calendars.READ + calendars.BY_ID, values)
    rows = cursor.fetchall()
    connection.close()

    (calendar,) = calendars.calendars_of(rows, DAY, DAY + 48 * HOUR)
    assert [begins for begins, _ in calendar.busy] == [
        calendars.microseconds(moment) for moment in (DAY - 2 * HOUR, DAY + 34 * HOUR)
    ]


def test_a_professional_is_given_as_profile_as_user_or_as_id(here):
    professional = make_one()
    user = User.get_by_id(professional.user_id)

    assert free(professional) == free(user) == free(user.id) == [9, 10, 11, 12]
    assert len(find_slots(DAY, DAY + 24 * HOUR, professionals=[professional, user, user.id], now=NOW)) == 4


def test_an_instance_of_another_organization_is_refused(a, b, db):
    with db.tenant(a):
        professional = make_one()
    with db.tenant(b):
        for stranger in (professional, professional.user):
            with pytest.raises(CrossTenantError):
                free(stranger)
            with pytest.raises(CrossTenantError):
                find_slots(DAY, DAY + HOUR, professionals=[stranger], now=NOW)


def test_a_professional_that_is_not_there_is_told_and_in_a_search_left_out(a, b, db):
    with db.tenant(a):
        elsewhere = make_one().user_id
    with db.tenant(b):
        for unknown in (elsewhere, make_user().id, -1, 2**70):
            with pytest.raises(ReferenceNotFoundError, match="professional"):
                free(unknown)
            assert find_slots(DAY, DAY + HOUR, professionals=[unknown], now=NOW) == []


@walked("wrong", [True, 1.0, "1", None, Professional(), User()])
def test_what_is_no_professional_is_refused(here, wrong):
    with pytest.raises(InvalidDataError, match="professional"):
        free(wrong)
    with pytest.raises(InvalidDataError, match="professional"):
        find_slots(DAY, DAY + HOUR, professionals=[wrong], now=NOW)


def test_nothing_is_listed_without_a_tenant(db, a):
    with pytest.raises(TenantNotSetError):
        free(1)
    with db.privileged(reason="a test"), pytest.raises(TenantNotSetError, match="tenant"):
        find_slots(DAY, DAY + HOUR, now=NOW)


# -- what the organization and the professional say -------------------------------------------------------------------


def test_hours_are_read_in_the_organizations_zone(db):
    with db.tenant(make_organization(db, time_zone="Asia/Kathmandu")):
        (first, *_) = free_slots(make_one(), DAY, DAY + 24 * HOUR, now=NOW)

    assert first.start == DAY + timedelta(hours=3, minutes=15)


def test_notice_and_booking_window_are_the_organizations(db):
    policy = {"minimum_notice_minutes": 120, "booking_window_days": 2}
    with db.tenant(make_organization(db, time_zone="UTC", settings=policy)):
        slots = free_slots(make_one(), DAY, DAY + 240 * HOUR, now=DAY + 9 * HOUR)

    assert slots[0].start == DAY + 11 * HOUR
    assert slots[-1].start == DAY + 60 * HOUR


def test_blocked_dates_have_no_slots(here):
    professional = make_one(blocked_dates=[date(2031, 3, 3), {"start": date(2031, 3, 5), "end": date(2031, 3, 6)}])

    slots = free_slots(professional, DAY, DAY + 7 * 24 * HOUR, now=NOW)

    assert {slot.start.day for slot in slots} == {4, 7, 8, 9}


def test_duration_is_the_professionals_and_the_step_the_duration(here):
    professional = make_one(session_duration_minutes=90)

    def minutes(**options):
        slots = free_slots(professional, DAY, DAY + 24 * HOUR, now=NOW, **options)
        return [((slot.start - DAY) // timedelta(minutes=1), (slot.end - slot.start).seconds // 60) for slot in slots]

    assert minutes() == [(540, 90), (630, 90)]
    assert minutes(duration_minutes=120) == [(540, 120), (660, 120)]
    assert minutes(duration_minutes=120, step_minutes=60) == [(540, 120), (600, 120), (660, 120)]
    assert minutes(step_minutes=60) == [(540, 90), (600, 90), (660, 90)]


def test_an_inactive_professional_has_no_slots(here):
    professional = make_one(active=False)

    assert free(professional) == []
    assert find_slots(DAY, DAY + 24 * HOUR, now=NOW) == []


def test_now_is_the_clocks(here):
    professional = make_one()

    with clock.frozen(DAY + 10 * HOUR):
        assert [slot.start.hour for slot in free_slots(professional, DAY, DAY + 24 * HOUR)] == [11, 12]


def test_a_stored_schedule_that_is_none_is_told_with_its_professional(own_db):
    with own_db.tenant(make_organization(own_db)):
        professional = make_one()
        on_server(own_db.url, """UPDATE professionals SET weekly_schedule = '{"monday": "always"}'""")

        with pytest.raises(InvalidDataError, match=f"WeeklySchedule stored for user {professional.user_id} .*monday"):
            free(professional)


# -- the whole, against the oracle ------------------------------------------------------------------------------------


@st.composite
def booked_cases(draw):
    """A case, and appointments (begin, minutes, buffer) in place of its busy spans."""
    case: Case = draw(cases())
    at, taken = case.start.replace(second=0, microsecond=0) - timedelta(hours=12), []
    for gap, minutes, buffer in draw(
        st.lists(st.tuples(st.integers(0, 240), st.integers(15, 240), st.integers(0, 60)), max_size=8)
    ):
        begins = at + timedelta(minutes=gap)
        at = begins + timedelta(minutes=minutes + buffer)
        taken.append((begins, minutes, buffer))
    return case.but(busy=tuple((b, b + timedelta(minutes=m + r)) for b, m, r in taken)), taken


@given(booked_cases(), st.data())
@examples(6, 60)
def test_what_is_listed_from_the_database_is_what_the_wall_clock_says(db, booked, data):
    case, taken = booked
    policy = {"minimum_notice_minutes": case.notice_minutes, "booking_window_days": case.window_days}
    with db.tenant(make_organization(db, time_zone=case.zone, settings=policy)):
        professional = make_professional(
            **hours_of(case),
            buffer_minutes=case.buffer_minutes,
        )
        make_closed(case)
        make_elsewhere(professional, case)
        other, student = make_professional(weekly_schedule=schedule_json(every_day((0, 1440)))), make_student().id
        for begins, minutes, buffer in taken:
            state = data.draw(st.sampled_from(["pre_confirmed", "confirmed", "executed", "no_show"]))
            take(db, professional.user_id, begins, minutes=minutes, buffer=buffer, state=state, student=student)
            free_state = data.draw(st.sampled_from(["draft", "cancelled"]))
            take(db, professional.user_id, begins - HOUR, state=free_state, student=student)
            take(db, other.user_id, begins, minutes=minutes, student=student)

        lengths = {"duration_minutes": case.duration_minutes, "step_minutes": case.step_minutes}
        if case.buffer_before_minutes:
            service = make_service(buffer_before_minutes=case.buffer_before_minutes)
            lengths["service"] = make_giving(professional=professional, service=service).service
        slots = free_slots(professional, case.start, case.end, now=case.now, **lengths)

    assert [slot.start for slot in slots] == case.listed()
    assert all(slot.end - slot.start == timedelta(minutes=case.duration_minutes) for slot in slots)
