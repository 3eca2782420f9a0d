"""Hours as people say them: from September, only that day, a dentist from ten to one, and the way there."""

from datetime import date, timedelta

import pytest

from rayces_core import (
    ClosedDay,
    Database,
    InvalidDataError,
    OutsideScheduleError,
    Professional,
    SlotTakenError,
    clock,
    scheduling,
)
from rayces_core.scheduling import affected_by, cancel_group_session, create_group_session, free_slots, working_time
from tests.factory import make_giving, make_service
from tests.scheduling.agenda import free
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import DAY, NOW, Other, another_family, at, make_working, open_centre
from tests.wire import wire

MORNING = [{"start": "09:00", "end": "11:00"}]


def starts(professional, day=0):
    return free(professional, DAY + timedelta(days=day), DAY + timedelta(days=day + 1))


def test_a_date_of_its_own_has_its_hours_and_no_others(centre):
    one = make_working(
        weekly_schedule=schedule_json(hours((9, 12))),
        date_overrides=[
            {"date": "2031-03-03", "windows": [*MORNING, {"start": "18:00", "end": "20:00"}]},
            {"date": "2031-03-04"},
        ],
    )
    assert [starts(one, day) for day in range(3)] == [[9, 10, 18, 19], [], [9, 10, 11]]
    assert centre.book(at(19), professional=one).scheduled_at == at(19)
    refused = centre.refused(OutsideScheduleError, scheduled_at=at(11), professional=one, **another_family())
    assert refused.reason == "outside_schedule"


def test_a_weekly_schedule_holds_from_its_day_on_and_the_past_keeps_its_own(centre):
    one = make_working(
        weekly_schedule=schedule_json(hours((9, 11))),
        dated_schedules=[
            {"start": "2031-03-04", "end": "2031-03-04", "schedule": schedule_json(hours((13, 15)))},
            {"start": "2031-03-06", "schedule": schedule_json(hours((16, 18)))},
        ],
    )
    assert [starts(one, day) for day in range(5)] == [[9, 10], [13, 14], [9, 10], [16, 17], [16, 17]]
    spans = working_time(one, DAY, DAY + timedelta(days=2))
    assert [(span.start, span.end) for span in spans] == [(at(9), at(11)), (at(13, 1), at(15, 1))]


def test_hours_off_take_their_hours_of_each_day_and_are_told_as_blocked(centre):
    dentist = {"start": "2031-03-03", "end": "2031-03-04", "hours": {"start": "10:00", "end": "13:00"}}
    one = make_working(weekly_schedule=schedule_json(hours((9, 15))), blocked_dates=[dentist])
    assert [starts(one, day) for day in range(3)] == [[9, 13, 14], [9, 13, 14], [9, 10, 11, 12, 13, 14]]
    assert centre.refused(OutsideScheduleError, scheduled_at=at(12.5), professional=one).reason == "blocked_date"
    assert centre.book(at(11), professional=one, override_blocked=True).scheduled_at == at(11)


def test_the_time_before_a_session_is_the_professionals_and_a_services_where_it_is_longer(centre):
    one = make_working(buffer_before_minutes=30)
    booked = centre.book(at(11), professional=one)
    assert (booked.buffer_before_minutes, booked.occupied_from) == (30, at(10.5))
    centre.refused(SlotTakenError, scheduled_at=at(9.75), professional=one, **another_family())
    assert centre.book(at(9.5), professional=one, **another_family()).scheduled_at == at(9.5)
    centre.refused(SlotTakenError, scheduled_at=at(12.25), professional=one, **another_family())

    for minutes, kept in ((10, 30), (45, 45)):
        service = make_giving(professional=one, service=make_service(buffer_before_minutes=minutes)).service
        session = centre.book(at(13, minutes), professional=one, service=service, **another_family())
        assert session.buffer_before_minutes == kept


def test_a_group_needs_no_time_before_it(centre):
    one = make_working(buffer_before_minutes=30)
    centre.book(at(9), professional=one)
    group = create_group_session(professional=one, scheduled_at=at(10), capacity=2, now=NOW)
    assert scheduling.book_group(group, **_who(another_family()), now=NOW).seat == 1


def _who(family):
    return {"student": family["student"], "client": family["client"]}


def test_nothing_is_listed_or_booked_on_a_closed_day_unless_staff_say_so(centre):
    one = make_working()
    ClosedDay.create(day=date(2031, 3, 3), name="Carnival")
    ClosedDay.create(day=date(2031, 3, 4), name="Carnival", region="AR", is_open=True)
    assert starts(one) == []
    assert len(starts(one, 1)) == 8
    refused = centre.refused(OutsideScheduleError, scheduled_at=at(10), professional=one)
    assert (refused.reason, refused.nearest.start) == ("closed_day", at(16, -1))
    assert centre.book(at(10), professional=one, override_blocked=True).scheduled_at == at(10)
    assert working_time(one, DAY, DAY + timedelta(days=1)) == []


def test_another_organizations_closed_days_are_its_own(db, centre):
    with open_centre(db) as other:
        ClosedDay.create(day=date(2031, 3, 3), name="Carnival")
        assert starts(other.professional) == []
    with db.tenant(centre.organization):
        assert len(starts(centre.professional)) == 8


@pytest.mark.slow
def test_one_statement_reads_it_all_however_many_closed_days_and_overrides(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database):
        one = make_working(
            date_overrides=[{"date": DAY.date() + timedelta(days=n), "windows": MORNING} for n in range(30)],
            dated_schedules=[{"start": "2031-03-10", "schedule": schedule_json(hours((16, 18)))}],
        )
        for n in range(30):
            ClosedDay.create(day=DAY.date() + timedelta(days=n + 1), name="closed")
        proxy.sent.clear()
        slots = free_slots(one, DAY, DAY + timedelta(days=30), now=NOW)
        assert len(proxy.sent) == 1
    assert [slot.start for slot in slots] == [at(9), at(10)]


@pytest.mark.parametrize(
    "given",
    [
        {"date_overrides": [{"date": "2031-03-03"}, {"date": "2031-03-03", "windows": MORNING}]},
        {"date_overrides": [{"date": "2031-03-03", "windows": [*MORNING, {"start": "10:00", "end": "12:00"}]}]},
        {"dated_schedules": [{"start": "2031-03-03", "end": "2031-03-02", "schedule": {}}]},
        {"dated_schedules": [{"start": "2031-03-03", "schedule": {}}, {"start": "2031-04-01", "schedule": {}}]},
        {"dated_schedules": [{"start": "2031-03-03", "end": "2031-04-01", "schedule": {}}] * 2},
        {"blocked_dates": [{"start": "2031-03-03", "end": "2031-03-03", "hours": {"start": "10:00", "end": "09:00"}}]},
        {"buffer_before_minutes": 1441},
    ],
)
def test_what_contradicts_itself_is_refused(centre, given):
    with pytest.raises(InvalidDataError):
        make_working(**given)


def test_what_is_saved_tells_which_sessions_it_hits(centre):
    with clock.frozen(NOW):
        first, second = centre.book(at(10)), centre.book_for_another(at(15, 1))
        one = Professional.get_by_id(centre.professional.id)
        one.date_overrides = [{"date": "2031-03-04", "windows": MORNING}]
        one.save()
        assert one.affected == (second,)
        one.dated_schedules = [{"start": "2031-03-03", "end": "2031-03-03", "schedule": schedule_json(hours((12, 14)))}]
        one.save()
        assert one.affected == (first, second)
        assert affected_by(one, overrides=[{"date": "2031-03-03", "windows": MORNING}], now=NOW) == []
        assert affected_by(one, overrides=[{"date": "2031-03-03"}], now=NOW) == [first]


@pytest.mark.parametrize("day", [date.min, date.max])
def test_a_day_beyond_the_calendars_years_is_not_closed(centre, day):
    with pytest.raises(InvalidDataError, match="years"):
        ClosedDay.create(day=day, name="Never")
    assert not ClosedDay.select().exists()


def test_a_closed_day_tells_which_sessions_it_hits_of_everybody(centre):
    with clock.frozen(NOW):
        first = centre.book(at(10))
        second = centre.book(at(12), professional=make_working(), **another_family())
        centre.book_for_another(at(15, 1))
        assert ClosedDay.create(day=date(2031, 3, 3), name="Strike").affected == [first, second]


def test_a_group_that_nobody_attends_yet_is_told_as_well(centre):
    with clock.frozen(NOW):
        one, shadow = Professional.get_by_id(centre.professional.id), make_working()
        mine = create_group_session(professional=one, scheduled_at=at(10), capacity=2)
        theirs = create_group_session(professional=make_working(), scheduled_at=at(12), capacity=2)
        beside = create_group_session(
            professional=make_working(), second_professional=one, scheduled_at=at(10, 1), capacity=2
        )
        over = create_group_session(professional=shadow, scheduled_at=at(10), capacity=2)
        cancel_group_session(over, by=centre.staff)

        strike = close()
        assert (strike.affected, strike.affected_groups) == ([], [mine, theirs])
        strike.is_open = True
        strike.save()
        assert strike.affected_groups == ()
        one.blocked_dates = ["2031-03-04"]
        one.save()
        assert (one.affected, one.affected_groups) == ((), (beside,))
        one.weekly_schedule = schedule_json(hours((12, 14)))
        one.save()
        assert one.affected_groups == (mine, beside)
        one.title = "Dr."
        one.save()
        assert one.affected_groups == ()
        one.active = False
        one.save()
        assert one.affected_groups == (mine, beside)


def close():
    return ClosedDay.create(day=date(2031, 3, 3), name="Strike")


def test_a_booking_that_waits_for_a_closed_day_is_decided_anew(db, centre):
    with db.atomic():
        close()
        other = Other(db, centre.organization, lambda: centre.book(at(10)))
        other.wait_until_blocked()
    error = other.finish()
    assert isinstance(error, OutsideScheduleError)
    assert error.reason == "closed_day"


def test_a_closed_day_that_waits_for_a_booking_tells_it(db, centre):
    with clock.frozen(NOW):
        with db.atomic():
            session = centre.book(at(10))
            other = Other(
                db, centre.organization, lambda: ClosedDay.create(day=date(2031, 3, 3), name="Strike").affected
            )
            other.wait_until_blocked()
        assert other.finish() == [session]
