"""Series: the same wall-clock time every few weeks, all or nothing, or with a report of what was left out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rayces_core import (
    Appointment,
    BookingWindowError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    NaiveDatetimeError,
    NotPermittedError,
    OutsideScheduleError,
    SlotTakenError,
    StudentBusyError,
    TenantNotSetError,
    clock,
    credits,
)
from rayces_core.scheduling import Series, Skipped, book_series
from tests.factory import make_user
from tests.scheduling.oracle import utc
from tests.scheduling.worlds import (
    ALWAYS,
    DAY,
    HOUR,
    INSTANT,
    NOW,
    Other,
    another_family,
    at,
    make_working,
    noted,
    open_centre,
)
from tests.walking import walked

WEEK = timedelta(weeks=1)
TEN = at(10)


@pytest.fixture
def centre(db):
    with open_centre(db, settings={"booking_window_days": 730}) as opened:
        yield opened


def series(centre, start=TEN, **options):
    return book_series(**centre.wanted(start, **options))


def starts(made):
    return [appointment.scheduled_at for appointment in made.booked]


# -- which moments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every, weeks", [(1, 1), (2, 2), (5, 5), (WEEK, 1), (3 * WEEK, 3)])
def test_a_series_has_a_session_every_so_many_weeks(centre, every, weeks):
    made = series(centre, every=every, count=4)

    assert starts(made) == [at(10) + number * weeks * WEEK for number in range(4)]
    assert made == Series(tuple(Appointment.select().order_by(Appointment.scheduled_at)), (), made.series)
    assert all(appointment.state == "pre_confirmed" for appointment in made.booked)


def test_a_series_is_weekly_unless_it_is_said(centre):
    assert starts(series(centre, count=2)) == [at(10), at(10, 7)]


@pytest.mark.slow
@walked(
    "until, count",
    [
        (date(2031, 3, 17), 3),
        (date(2031, 3, 16), 2),
        (date(2031, 3, 3), 1),
        (at(10, 14), 3),
        (at(10, 14) - INSTANT, 2),
        (at(10), 1),
        (at(7, 14).astimezone(ZoneInfo("America/Argentina/Buenos_Aires")), 2),
    ],
    anew="centre",
)
def test_a_series_may_go_on_until_a_day_or_a_moment(centre, until, count):
    assert len(series(centre, until=until).booked) == count


def test_the_last_day_is_the_organizations(db):
    with open_centre(db, zone="America/Argentina/Buenos_Aires", weekly_schedule=ALWAYS) as centre:
        # Half past one in the morning of Tuesday in UTC is still Monday there.
        made = series(centre, at(25.5), until=date(2031, 3, 10))

    assert starts(made) == [at(25.5), at(25.5, 7)]


CLOCKS = [
    ("Europe/Berlin", utc(2031, 3, 16, 9)),
    ("Europe/Berlin", utc(2031, 10, 12, 8)),
    ("America/Santiago", utc(2031, 3, 23, 12)),
    ("America/Santiago", utc(2031, 8, 24, 13)),
    ("America/New_York", utc(2031, 2, 23, 15)),
    ("Australia/Lord_Howe", utc(2031, 9, 21, 0)),
    ("Australia/Lord_Howe", utc(2031, 3, 24, 23)),
    ("America/Argentina/Buenos_Aires", utc(2031, 3, 16, 12)),
    ("Asia/Kathmandu", utc(2031, 3, 16, 5)),
]


@walked("zone, start", CLOCKS)
def test_it_is_the_same_time_by_the_wall_clock_when_clocks_change(db, zone, start):
    with open_centre(db, zone=zone) as centre:
        made = series(centre, start, count=4, now=start - HOUR)

    there = [moment.astimezone(ZoneInfo(zone)) for moment in starts(made)]
    assert {moment.time() for moment in there} == {start.astimezone(ZoneInfo(zone)).time()}
    assert [moment.date() - there[0].date() for moment in there] == [number * WEEK for number in range(4)]
    assert all(moment.tzinfo is UTC for moment in starts(made))
    changes = len({moment.utcoffset() for moment in there}) > 1
    assert changes == (zone not in ("America/Argentina/Buenos_Aires", "Asia/Kathmandu"))


def test_a_time_that_the_clock_skips_comes_as_much_later_and_the_others_stay(db):
    with open_centre(db, zone="Europe/Berlin", weekly_schedule=ALWAYS) as centre:
        made = series(centre, utc(2031, 3, 23, 1, 30), count=3, now=utc(2031, 3, 20))

    local = [moment.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d %H:%M") for moment in starts(made)]
    assert local == ["23 02:30", "30 03:30", "06 02:30"]


def test_a_time_that_comes_twice_is_its_first_coming_unless_the_series_begins_with_the_second(db):
    with open_centre(db, zone="Europe/Berlin", weekly_schedule=ALWAYS) as centre:
        first = series(centre, utc(2031, 10, 19, 0, 30), count=3, now=utc(2031, 10, 15))
        second = series(centre, utc(2031, 10, 26, 1, 30), count=2, every=2, now=utc(2031, 10, 15), **another_family())

    assert starts(first) == [utc(2031, 10, 19, 0, 30), utc(2031, 10, 26, 0, 30), utc(2031, 11, 2, 1, 30)]
    assert starts(second) == [utc(2031, 10, 26, 1, 30), utc(2031, 11, 9, 1, 30)]


# -- all or nothing ---------------------------------------------------------------------------------------------------


def test_a_series_is_booked_whole_or_not_at_all(centre):
    taken = centre.book_for_another(at(10, 14))

    error = centre.refused(SlotTakenError, lambda: series(centre, count=4))

    assert (error.scheduled_at, error.conflicting_id) == (at(10, 14), taken.id)


@pytest.mark.slow
def test_what_lies_beyond_the_window_fails_the_series(db):
    with open_centre(db) as centre:
        error = centre.refused(BookingWindowError, lambda: series(centre, count=20))

    assert error.scheduled_at == at(10, 13 * 7 - 3) + timedelta(days=3)


def test_subscribers_are_told_of_a_whole_series_after_its_commit(centre):
    told = []
    listener = Appointment.lifecycle.on("pre_confirm")(lambda change: told.append(Appointment.select().count()))
    try:
        series(centre, count=3)
        centre.book_for_another(at(10, 35))
        told_so_far = list(told)
        centre.refused(SlotTakenError, lambda: series(centre, at(10, 28), count=2))
    finally:
        Appointment.lifecycle.off(listener)

    assert told_so_far == [3, 3, 3, 4]
    assert told == told_so_far


def test_every_option_of_booking_goes_for_each_session(centre):
    made = series(centre, at(3), count=2, by=centre.staff, confirm=True, override_schedule=True, duration_minutes=30)

    assert [(one.state, one.duration_minutes) for one in made.booked] == [("confirmed", 30)] * 2
    assert all(len(noted(one)) == 2 and one.confirmed_by == centre.staff for one in made.booked)


# -- leaving out what cannot be booked --------------------------------------------------------------------------------


def test_what_cannot_be_booked_may_be_left_out_and_is_reported(centre):
    taken = centre.book_for_another(at(10, 7))
    busy = centre.book(at(10, 21), professional=make_working())
    centre.professional.blocked_dates = ["2031-03-17"]
    centre.professional.save()

    made = series(centre, count=5, skip_conflicts=True)

    assert starts(made) == [at(10), at(10, 28)]
    assert [skipped.scheduled_at for skipped in made.skipped] == [at(10, 7), at(10, 14), at(10, 21)]
    first, second, third = (skipped.error for skipped in made.skipped)
    assert (type(first), first.conflicting_id) == (SlotTakenError, taken.id)
    assert (type(second), second.reason, second.nearest.start) == (OutsideScheduleError, "blocked_date", at(16, 13))
    assert (type(third), third.conflicting_id) == (StudentBusyError, busy.id)
    assert isinstance(made.skipped[0], Skipped)


def test_a_series_takes_as_many_as_there_are_credits_for_or_none(centre):
    credits.purchase(centre.client, 2)
    centre.refused(InsufficientCreditsError, lambda: series(centre, count=4, uses_credit=True))

    tried = series(centre, count=4, uses_credit=True, dry_run=True)
    assert [(each.scheduled_at, type(each.error)) for each in tried.skipped] == [
        (at(10, 14), InsufficientCreditsError),
        (at(10, 21), InsufficientCreditsError),
    ]
    for how in ({}, {"confirm": True}):
        made = series(centre, count=4, uses_credit=True, skip_conflicts=True, **how)
        assert (starts(made), [each.scheduled_at for each in made.skipped]) == (
            [at(10), at(10, 7)],
            [at(10, 14), at(10, 21)],
        )
        assert credits.available(centre.client) == 0
        for each in made.booked:
            each.cancel(reason="the next case", refund=True)
    assert credits.verify().is_clean


def test_where_nothing_can_be_booked_all_of_it_is_reported(centre):
    made = series(centre, at(3), count=3, skip_conflicts=True)

    assert (made.booked, len(made.skipped)) == ((), 3)


def test_what_is_no_conflict_is_not_left_out(centre):
    stranger = make_user()

    centre.refused(NotPermittedError, lambda: series(centre, count=3, skip_conflicts=True, by=stranger))
    centre.refused(InvalidDataError, lambda: series(centre, count=3, skip_conflicts=True, duration_minutes=1))


# -- repeating --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_series_again_gives_the_same_appointments(centre):
    made = series(centre, count=3, idempotency_key="k")

    with centre.untouched():
        assert series(centre, count=3, idempotency_key="k") == made
    assert Appointment.select().count() == 3


def test_another_series_with_the_key_is_refused(centre):
    series(centre, count=3, idempotency_key="k")

    centre.refused(IdempotencyConflictError, lambda: series(centre, at(12), count=3, idempotency_key="k"))
    centre.refused(IdempotencyConflictError, lambda: series(centre, every=2, count=3, idempotency_key="k"))


@pytest.mark.slow
def test_a_series_that_was_refused_may_come_again(centre):
    taken = centre.book_for_another(at(10, 7))
    centre.refused(SlotTakenError, lambda: series(centre, count=3, idempotency_key="k"))
    taken.cancel(reason="ill")

    assert len(series(centre, count=3, idempotency_key="k").booked) == 3


@pytest.mark.slow
def test_a_repetition_at_the_same_time_waits_and_gives_the_same(db, centre):
    with db.atomic():
        made = series(centre, count=3, idempotency_key="k")
        other = Other(db, centre.organization, lambda: series(centre, count=3, idempotency_key="k"))
        other.wait_until_blocked()

    assert other.finish() == made
    assert Appointment.select().count() == 3


@walked("key", ["", " ", 7, b"k", "a\0b", "k" * 252])
def test_what_is_no_key_is_refused(centre, key):
    asked = {"count": 1, "idempotency_key": key}

    assert centre.refused(InvalidDataError, lambda: series(centre, **asked)).field == "idempotency_key"
    assert series(centre, count=1, idempotency_key="k" * 251).booked


# -- bad arguments ----------------------------------------------------------------------------------------------------

BAD = [
    ({}, "count"),
    ({"count": 3, "until": date(2031, 4, 1)}, "count"),
    *(({"count": count}, "count") for count in (0, -1, 521, 2.0, "3", True)),
    *(({"count": 2, "every": every}, "every") for every in (0, -1, 1.5, "1", True, timedelta(0), timedelta(days=8))),
    *(({"count": 2, "every": every}, "every") for every in (-WEEK, timedelta(days=7, seconds=1), 521, None)),
    *(({"until": until}, "until") for until in ("2031-04-01", 5, True)),
    ({"until": date(2031, 3, 2)}, "until"),
    ({"until": at(10) - INSTANT}, "until"),
    ({"until": date(2041, 3, 3)}, "until"),
    ({"until": date.max}, "until"),
    ({"until": datetime.max.replace(tzinfo=UTC)}, "until"),
    ({"count": 2, "start": None}, "scheduled_at"),
    ({"count": 2, "now": "today"}, "now"),
]


@pytest.mark.slow
@walked("asked, field", BAD)
def test_bad_arguments_are_named(centre, asked, field):
    assert centre.refused(InvalidDataError, lambda: series(centre, **asked)).field == field


def test_moments_need_a_time_zone(centre):
    naive = DAY.replace(tzinfo=None)

    assert centre.refused(NaiveDatetimeError, lambda: series(centre, naive, count=2)).field == "scheduled_at"
    assert centre.refused(NaiveDatetimeError, lambda: series(centre, until=naive)).field == "until"


def test_a_series_that_runs_out_of_the_calendar_is_refused(centre):
    last = utc(9998, 12, 1)

    centre.refused(InvalidDataError, lambda: series(centre, last, count=200, every=5, now=last - HOUR))
    centre.refused(InvalidDataError, lambda: series(centre, utc(1, 1, 1), count=2))


@pytest.mark.slow
def test_a_series_may_be_ten_years_long_and_no_longer(db):
    with open_centre(db, weekly_schedule=ALWAYS) as centre:
        made = series(centre, until=at(10, 519 * 7), skip_conflicts=True)
        assert len(made.booked) + len(made.skipped) == 520
        centre.refused(InvalidDataError, lambda: series(centre, until=at(10, 520 * 7), skip_conflicts=True))


def test_a_series_needs_a_tenant(db, centre):
    wanted = centre.wanted(student=centre.student.id, professional=centre.professional.user_id, client=1)

    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        book_series(**wanted, count=2)


def test_without_a_present_the_clock_is_asked(centre):
    with clock.frozen(NOW + HOUR):
        made = series(centre, count=3, now=None)

    assert {one.pre_confirmed_at for one in made.booked} == {NOW + HOUR}
