"""A series of a school year: one override opens the booking window, and the holidays stay closed."""

from datetime import date

import pytest

from rayces_core import Appointment, BookingWindowError, NotPermittedError, OutsideScheduleError
from rayces_core.scheduling import book_series
from tests.scheduling.oracle import hours, schedule_json, utc
from tests.scheduling.worlds import another_family, make_working, open_centre

CLOSED = ["2026-05-25", "2026-06-15", {"start": "2026-07-20", "end": "2026-07-31", "reason": "winter holidays"}]
FIRST, LAST, NOW = utc(2026, 3, 9, 13), date(2026, 11, 30), utc(2026, 3, 1, 3)
HOLIDAYS = ["2026-05-25", "2026-06-15", "2026-07-20", "2026-07-27"]


@pytest.fixture
def centre(db):
    schedule = schedule_json(hours((9, 17)))
    with open_centre(
        db, zone="America/Argentina/Buenos_Aires", weekly_schedule=schedule, blocked_dates=CLOSED
    ) as opened:
        yield opened


def series(centre, **options):
    wanted = centre.wanted(FIRST, until=LAST, by=centre.staff) | {"now": NOW} | options
    return book_series(**wanted)


def days(moments, centre):
    return [moment.astimezone(centre.organization.zone).date().isoformat() for moment in moments]


@pytest.mark.slow
def test_mondays_of_a_school_year_are_booked_without_the_holidays(centre):
    """f04_school_year_series."""
    made = series(centre, skip_conflicts=True, override_window=True)

    assert len(made.booked) == 35
    assert days([skipped.scheduled_at for skipped in made.skipped], centre) == HOLIDAYS
    assert {(type(one.error), one.error.reason) for one in made.skipped} == {(OutsideScheduleError, "blocked_date")}
    assert not set(days([one.scheduled_at for one in made.booked], centre)) & set(HOLIDAYS)


def test_without_it_the_window_ends_the_series(centre):
    made = series(centre, skip_conflicts=True)

    assert len(made.booked) == 11
    assert {type(one.error) for one in made.skipped} == {OutsideScheduleError, BookingWindowError}


def test_all_or_nothing_says_which_holiday_is_in_the_way(centre):
    with pytest.raises(OutsideScheduleError) as caught:
        series(centre, override_window=True)
    assert days([caught.value.scheduled_at], centre) == HOLIDAYS[:1]
    assert Appointment.select().count() == 0


@pytest.mark.slow
def test_the_schedule_set_aside_opens_no_holiday(centre):
    made = series(centre, skip_conflicts=True, override_window=True, override_schedule=True)

    assert days([skipped.scheduled_at for skipped in made.skipped], centre) == HOLIDAYS
    assert len(series(centre, override_window=True, override_blocked=True, **another(centre)).booked) == 39


def another(centre):

    return another_family() | {"professional": make_working(blocked_dates=CLOSED)}


def test_a_family_opens_no_window(centre):
    with pytest.raises(NotPermittedError, match="override_window"):
        series(centre, by=centre.client, override_window=True)
