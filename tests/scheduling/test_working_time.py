"""Working time, public: the spans that booking decides by, past and future."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given

from rayces_core import CrossTenantError, InvalidDataError, NaiveDatetimeError, TenantNotSetError, scheduling
from rayces_core.errors import ReferenceNotFoundError
from rayces_core.scheduling import working_time
from tests.factory import make_closed, make_elsewhere, make_organization, make_professional
from tests.scheduling.oracle import hours, hours_of, schedule_json, utc
from tests.scheduling.random_cases import cases
from tests.sizes import examples

MINUTE = timedelta(minutes=1)


def made(case):
    make_closed(case)
    professional = make_professional(**hours_of(case), active=case.active)
    make_elsewhere(professional, case)
    return professional


@examples(15, 150)
@given(case=cases())
def test_it_is_what_the_clock_on_the_wall_shows_minute_by_minute(db, case):
    start, end = case.start.replace(second=0, microsecond=0), case.end.replace(second=0, microsecond=0)
    with db.tenant(make_organization(db, time_zone=case.zone)):
        spans = working_time(made(case), start, end)
    found = {at for opens, closes in spans for at in _minutes(opens, closes)}
    minutes = set(_minutes(start, end))
    assert found == {
        at for at in minutes if case.day_at(at) == (False, True, False) and not case.is_elsewhere(at, at + MINUTE)
    }
    assert spans == sorted(spans)
    assert all(one.end < other.start for one, other in pairwise(spans))


def _minutes(start, end):
    return [start + MINUTE * n for n in range((end - start) // MINUTE)]


def test_a_window_that_comes_twice_is_twice_as_long_and_one_that_is_skipped_is_none(db):
    with db.tenant(make_organization(db, time_zone="America/Santiago")):
        night = make_professional(weekly_schedule=schedule_json(hours((0, 0.5), (23, 23.5))))
        back = working_time(night, utc(2026, 4, 4, 12), utc(2026, 4, 5, 3, 45))
        on = working_time(night, utc(2026, 9, 6, 4), utc(2026, 9, 7, 2))
    assert [span.end - span.start for span in back] == [30 * MINUTE, 30 * MINUTE]
    assert on == []


def test_the_past_of_one_who_has_left_is_told_by_today_and_bookings_do_not_matter(db, a):
    with db.tenant(a):
        gone = make_professional(weekly_schedule=schedule_json(hours((9, 12))), active=False)
        spans = working_time(gone.user_id, utc(2020, 1, 6), utc(2020, 1, 7))
    assert [tuple(span) for span in spans] == [(utc(2020, 1, 6, 12), utc(2020, 1, 6, 15))]


def test_what_is_asked_amiss_is_refused(db, a, b):
    day = utc(2031, 3, 3), utc(2031, 3, 4)
    with db.tenant(a):
        one = make_professional()
        for given_, error in (
            ((one, day[1], day[0]), InvalidDataError),
            ((one, day[0], day[0] + timedelta(days=36_601)), InvalidDataError),
            ((one, datetime(2031, 3, 3), day[1]), NaiveDatetimeError),
            ((one, date(2031, 3, 3), day[1]), InvalidDataError),
            ((one, utc(1, 1, 2), utc(1, 1, 3)), InvalidDataError),
            (("one", *day), InvalidDataError),
            ((10**9, *day), ReferenceNotFoundError),
        ):
            with pytest.raises(error):
                working_time(*given_)
    with db.tenant(b), pytest.raises(CrossTenantError):
        working_time(one, *day)
    with pytest.raises(TenantNotSetError):
        working_time(one, *day)
    with db.privileged(reason="asked"), pytest.raises(TenantNotSetError):
        working_time(one, *day)


def test_it_is_a_public_name_of_scheduling():
    assert {"working_time", "WorkingSpan"} <= set(scheduling.__all__)
