"""Reminders: each session is given out once, for the nearest stage, from however many hosts."""

from contextvars import Context
from datetime import timedelta

import pytest

from rayces_core import Appointment, Database, InvalidDataError, NaiveDatetimeError, TenantNotSetError
from rayces_core.scheduling import due_reminders, reschedule
from tests.scheduling import racing
from tests.scheduling.worlds import ALWAYS, DAY, HOUR, INSTANT, MINUTE, NOW, Other, at, noted, open_centre
from tests.walking import walked
from tests.wire import wire

ONE_DAY = timedelta(days=1)
BOTH = [ONE_DAY, HOUR]


@pytest.fixture
def centre(db):
    with open_centre(db, weekly_schedule=ALWAYS) as opened:
        yield opened


def staged(stages, now):
    return [(given.id, given.reminder_stage) for given in due_reminders(stages, now)]


CONFIRMED = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes,
                          state, pre_confirmed_at, expires_at, confirmed_at)
SELECT %(tenant)s, %(professional)s, %(student)s, %(client)s, %(first)s + number * interval '15 minutes', 15,
       'confirmed', %(now)s, %(now)s + interval '24 hours', %(now)s
  FROM generate_series(0, %(count)s - 1) AS number RETURNING id
"""


def confirmed(centre, count):
    """So many sessions of fifteen minutes each, one after the other."""
    people = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    values = people | {"tenant": centre.db.organization_id, "first": DAY, "now": NOW, "count": count}
    return [number for (number,) in centre.db.execute_sql(CONFIRMED, values).fetchall()]


def test_what_begins_within_the_time_is_given_once_in_order(centre):
    later = centre.book(at(11), confirm=True)
    sooner = centre.book(at(10), confirm=True)
    centre.book(at(12, 1), confirm=True)

    assert due_reminders([ONE_DAY], at(12) - ONE_DAY) == [sooner, later]
    assert due_reminders([ONE_DAY], at(12) - ONE_DAY) == []
    assert due_reminders([ONE_DAY], at(9)) == []


def test_the_whole_appointment_is_given_as_it_now_is(centre):
    centre.book(at(10), notes="brings the report", confirm=True)

    (given,) = due_reminders([ONE_DAY], at(9))

    assert given.__data__ == Appointment.get_by_id(given.id).__data__
    assert (given.notes, given.reminder_minutes, given.scheduled_at) == ("brings the report", 24 * 60, at(10))


def test_only_what_is_to_come_and_is_not_cancelled_is_reminded_of(centre):
    centre.book(at(9), draft=True)
    centre.book(at(10)).cancel(reason="ill")
    centre.book(at(11), confirm=True).execute(now=at(11))
    centre.book(at(12), confirm=True).mark_no_show(now=at(12))

    assert due_reminders([timedelta(days=30)], at(8)) == []


def test_the_time_ahead_has_its_bounds(centre):
    booked = centre.book(at(10), confirm=True)

    assert due_reminders([HOUR], at(10)) == due_reminders([HOUR], at(11)) == []
    assert due_reminders([HOUR], at(9) - INSTANT) == []
    assert due_reminders([HOUR], at(9)) == [booked]
    another = centre.book(at(14), confirm=True)
    assert due_reminders([HOUR], at(14) - INSTANT) == [another]


def test_reminders_come_in_stages(centre):
    booked = centre.book(at(10), confirm=True)

    assert staged(BOTH, at(9) - INSTANT) == [(booked.id, ONE_DAY)]
    assert staged(BOTH, at(9)) == [(booked.id, HOUR)]
    assert staged(BOTH, at(9.5)) == []


@walked("stages", [BOTH, BOTH[::-1], (*BOTH, timedelta(days=3), HOUR), iter([HOUR, ONE_DAY])], anew="centre")
def test_f09_two_reminders_at_once_are_one_for_the_nearest_stage(centre, stages):
    """After an outage of the cron, whatever the order of the stages."""
    booked = centre.book(at(10), confirm=True)

    assert staged(stages, at(9.5)) == [(booked.id, HOUR)]
    assert staged(BOTH, at(9.5)) == []


def test_a_lone_stage_needs_no_list(centre):
    booked = centre.book(at(10), confirm=True)

    assert booked.reminder_stage is None
    assert staged(ONE_DAY, at(9)) == [(booked.id, ONE_DAY)]
    assert staged(HOUR, at(9)) == [(booked.id, HOUR)]


def test_f09_what_was_booked_half_an_hour_ahead_is_not_reminded_of(centre):
    centre.book(at(10.5), now=at(10), confirm=True)

    assert staged(BOTH, at(10)) == staged(BOTH, at(10.25)) == []


@walked("minutes", [None, 0, 5, 90], anew="centre")
def test_what_was_booked_or_moved_a_moment_ago_is_left_alone_for_a_settings_minutes(centre, minutes):
    centre.settings(**({} if minutes is None else {"reminder_quiet_minutes": minutes}))
    quiet = timedelta(minutes=60 if minutes is None else minutes)
    booked = centre.book(at(12), now=at(8), confirm=True)
    if quiet:
        assert due_reminders([ONE_DAY], at(8) + quiet - INSTANT) == []
    assert due_reminders([ONE_DAY], at(8) + quiet) == [booked]

    reschedule(booked, at(14), now=at(10))
    if quiet:
        assert due_reminders([ONE_DAY], at(10) + quiet - INSTANT) == []
    assert due_reminders([ONE_DAY], at(10) + quiet) == [booked]


def test_an_overdue_hold_is_not_reminded_of(centre):
    hold = centre.book(at(30))

    assert due_reminders([timedelta(days=9)], hold.expires_at + INSTANT) == []
    assert due_reminders([timedelta(days=9)], hold.expires_at) == [hold]


def test_f15_nothing_is_given_out_of_an_organization_that_is_not_active(own_db):
    booked = []
    for active in (True, False):
        with open_centre(own_db) as centre:
            booked.append(centre.book(at(10), confirm=True))
        with own_db.privileged(reason="close"):
            centre.organization.active = active
            centre.organization.save()

    with own_db.privileged(reason="remind"):
        assert [one.id for one in due_reminders([ONE_DAY], at(9))] == [booked[0].id]


def test_a_rescheduled_appointment_is_reminded_of_anew(centre):
    booked = centre.book(at(10), confirm=True)
    due_reminders(BOTH, at(8))
    due_reminders(BOTH, at(9))

    reschedule(booked, at(10, 2), now=at(9))

    assert due_reminders(BOTH, at(9)) == []
    assert staged(BOTH, at(9, 2)) == [(booked.id, HOUR)]


def test_confirming_gives_no_second_reminder(centre):
    booked = centre.book(at(10), now=at(-10))
    due_reminders([ONE_DAY], at(-9))

    booked.confirm(now=at(-8))

    assert due_reminders([ONE_DAY], at(9)) == []


def test_what_was_given_in_a_unit_of_work_that_is_undone_is_given_again(db, centre):
    booked = centre.book(at(10), confirm=True)
    with pytest.raises(RuntimeError), db.atomic():
        assert due_reminders([ONE_DAY], at(9)) == [booked]
        raise RuntimeError

    assert due_reminders([ONE_DAY], at(9)) == [booked]


def test_what_another_session_is_giving_is_not_waited_for_nor_given_twice(db, centre):
    first, second = centre.book(at(10), confirm=True), centre.book(at(11), confirm=True)
    with db.atomic():
        assert due_reminders([ONE_DAY], at(9), limit=1) == [first]
        assert Other(db, centre.organization, lambda: due_reminders([ONE_DAY], at(9))).finish() == [second]

    assert due_reminders([ONE_DAY], at(9)) == []


def test_the_nearest_come_first_where_there_is_a_limit(centre):
    booked = [centre.book(at(hour), confirm=True) for hour in (12, 10, 11)]

    assert due_reminders([ONE_DAY], at(9), limit=2) == [booked[1], booked[2]]
    assert due_reminders([ONE_DAY], at(9), limit=2) == [booked[0]]


def test_reminders_are_one_message_and_no_state_changes(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        booked = centre.book(at(10), confirm=True)
        before = noted(booked)
        proxy.sent.clear()

        assert due_reminders([ONE_DAY], at(9)) == [booked]

        assert len(proxy.sent) == 1
        assert noted(booked) == before


def test_privileged_work_reminds_for_every_organization_and_a_tenant_for_its_own(own_db):
    booked = []
    for _ in range(2):
        with open_centre(own_db) as centre:
            booked.append(centre.book(at(10), confirm=True))
    with open_centre(own_db):
        assert due_reminders([ONE_DAY], at(9)) == []

    with own_db.privileged(reason="remind"):
        given = due_reminders([ONE_DAY], at(9))

    assert {(one.organization_id, one.id) for one in given} == {(one.organization_id, one.id) for one in booked}


def test_processes_at_once_give_each_exactly_once(db, centre):
    ids = confirmed(centre, 300)
    now, given = DAY - INSTANT, []
    with racing.crew(db, 6) as crew:
        for _ in range(10):
            deeds = [(racing.remind, {"stages": [timedelta(days=9)], "now": now, "limit": 11})] * 6
            given += [number for outcome in crew.race(deeds) for number in outcome.value]
    given += [appointment.id for appointment in due_reminders([timedelta(days=9)], now)]

    assert sorted(given) == sorted(ids)


@walked(
    "stages",
    [
        None,
        60,
        "1 day",
        timedelta(0),
        [],
        [60],
        [timedelta(0)],
        [ONE_DAY, -ONE_DAY],
        [MINUTE - INSTANT],
        [timedelta.max],
    ],
)
def test_a_stage_is_a_minute_to_ten_years_and_there_is_one(centre, stages):
    with pytest.raises(InvalidDataError) as caught:
        due_reminders(stages, NOW)

    assert caught.value.field == "stages"


def test_reminders_need_a_binding_and_an_aware_moment(centre):
    with pytest.raises(NaiveDatetimeError):
        due_reminders(BOTH, NOW.replace(tzinfo=None))
    with pytest.raises(TenantNotSetError):
        Context().run(lambda: due_reminders(BOTH))


@walked("limit", [0, -1, 1.5, "10", True])
def test_a_limit_is_a_number_above_zero(centre, limit):
    with pytest.raises(InvalidDataError) as caught:
        due_reminders([ONE_DAY], NOW, limit=limit)

    assert caught.value.field == "limit"


def test_the_furthest_stage_reaches_to_the_end_of_the_calendar(centre):
    booked = centre.book(at(10), confirm=True)
    assert due_reminders([timedelta(days=3660)], booked.scheduled_at.replace(year=9998)) == []
    assert staged([timedelta(days=3660)], NOW + HOUR) == [(booked.id, timedelta(days=3660))]
