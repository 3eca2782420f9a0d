"""Rules of RFC 5545 by one wall clock: beside a reckoning by hand, and moved by days."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import InvalidDataError
from rayces_core.fields.schemas import WEEKDAYS
from rayces_core.scheduling.recurrence import nth, read, recurrence
from tests.sizes import examples

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def days(found):
    return [moment.strftime("%m-%d") for moment in found.starts()]


def first(month, day, hour=10):
    return datetime(2031, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    "start, asked, expected",
    [
        (first(3, 3), {"weekdays": ["monday", "thursday"], "count": 4}, ["03-03", "03-06", "03-10", "03-13"]),
        (first(3, 6), {"weekdays": ["thursday", "monday"], "count": 3}, ["03-06", "03-10", "03-13"]),
        (
            first(3, 6),
            {"weekdays": ["monday", "thursday"], "every": 2, "count": 4},
            ["03-06", "03-17", "03-20", "03-31"],
        ),
        (first(3, 11), {"frequency": "monthly", "count": 3}, ["03-11", "04-08", "05-13"]),  # second Tuesdays
        (first(3, 31), {"frequency": "monthly", "count": 3}, ["03-31", "04-28", "05-26"]),  # last Mondays
        (first(3, 24), {"frequency": "monthly", "every": 2, "count": 2}, ["03-24", "05-26"]),  # fourth Mondays
        (first(3, 3), {"rule": "RRULE:freq=monthly;bymonthday=3,15;count=4"}, ["03-03", "03-15", "04-03", "04-15"]),
        (first(3, 3), {"rule": "FREQ=DAILY;INTERVAL=2;UNTIL=20310307T100000Z"}, ["03-03", "03-05", "03-07"]),
        (first(12, 1), {"until": "school_year_end", "year_end": "12-19"}, ["12-01", "12-08", "12-15"]),
        (first(12, 20), {"until": "school_year_end", "year_end": "12-20", "every": 1}, ["12-20"]),
    ],
)
def test_a_rule_has_these_days(start, asked, expected):
    assert days(recurrence(start, UTC_ZONE, **asked)) == expected


@pytest.mark.parametrize(
    "begins, rule, expected",
    [
        ((9, 2), "FREQ=DAILY;COUNT=3", ["09-02", "09-03", "09-04"]),
        ((9, 2), "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,TH;COUNT=4", ["09-02", "09-04", "09-16", "09-18"]),
        ((9, 5), "FREQ=MONTHLY;BYDAY=1FR;COUNT=3", ["09-05", "10-03", "11-07"]),
        ((9, 9), "FREQ=MONTHLY;BYDAY=2TU;UNTIL=19971111T140000Z", ["09-09", "10-14", "11-11"]),
        ((9, 9), "FREQ=MONTHLY;BYDAY=2TU;UNTIL=19971111T135959Z", ["09-09", "10-14"]),
        ((9, 22), "FREQ=MONTHLY;BYDAY=-2MO;COUNT=3", ["09-22", "10-20", "11-17"]),
        ((9, 28), "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=3", ["09-28", "10-29", "11-28"]),
        ((9, 4), "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", ["09-04", "10-07", "11-06"]),
        ((9, 29), "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=3", ["09-29", "10-30", "11-27"]),
        ((8, 5), "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", ["08-05", "08-10", "08-19", "08-24"]),
        ((8, 5), "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", ["08-05", "08-17", "08-19", "08-31"]),
    ],
)
def test_the_examples_of_rfc_5545_have_the_days_that_it_says(begins, rule, expected):
    new_york = ZoneInfo("America/New_York")  # whose clocks went back on 26 October 1997
    found = recurrence(datetime(1997, *begins, 9, tzinfo=new_york).astimezone(UTC), new_york, rule=rule)
    local = [moment.astimezone(new_york) for moment in found.starts()]
    assert [moment.strftime("%m-%d") for moment in local] == expected
    assert {moment.hour for moment in local} == {9}


@pytest.mark.parametrize(
    "start, asked, hours",
    [
        (first(2, 11), {"frequency": "monthly", "count": 3}, [10, 10, 9]),  # the clock goes forward on 30 March
        (first(10, 23), {"weekdays": ["monday", "thursday"], "count": 4}, [10, 11, 11, 11]),  # back on 26 October
        (first(10, 23), {"weekdays": ["monday", "thursday"], "until": date(2031, 10, 30)}, [10, 11, 11]),
        (first(3, 29), {"rule": "FREQ=DAILY;UNTIL=20310331T090000Z"}, [10, 9, 9]),
        (first(3, 29), {"rule": "FREQ=DAILY;UNTIL=20310331T085959Z"}, [10, 9]),
    ],
)
def test_every_kind_of_rule_keeps_its_hour_over_a_change_of_the_clock(start, asked, hours):
    found = recurrence(start, BERLIN, **asked).starts()
    assert [moment.hour for moment in found] == hours
    assert len({moment.astimezone(BERLIN).time() for moment in found}) == 1


def test_the_school_year_ends_in_the_next_year_where_this_ones_end_is_over():
    made = recurrence(first(12, 20), UTC_ZONE, until="school_year_end", year_end="02-29")
    assert made.starts()[-1].date() == date(2032, 2, 28)


def test_what_is_stored_is_read_as_the_same():
    made = recurrence(first(3, 3), BERLIN, weekdays=["monday", "friday"], count=30)
    assert made.rule == "FREQ=WEEKLY;BYDAY=MO,FR;COUNT=30"
    assert read(made.rule, made.first, "Europe/Berlin") == made


@pytest.mark.parametrize(
    "asked, field, words",
    [
        ({"weekdays": ["tuesday"], "count": 2}, "weekdays", "has to have monday"),
        ({"weekdays": "monday", "count": 2}, "weekdays", "needs a list"),
        ({"weekdays": [], "count": 2}, "weekdays", "needs a list"),
        ({"weekdays": 1, "count": 2}, "weekdays", "needs a list"),
        ({"weekdays": ["mon"], "count": 2}, "weekdays", "needs a list"),
        ({"frequency": "monthly", "weekdays": ["monday"], "count": 2}, "weekdays", "keeps the weekday"),
        ({"frequency": "daily", "count": 2}, "frequency", "rule= takes any other"),
        ({"frequency": "monthly", "every": timedelta(weeks=4), "count": 2}, "every", "whole months"),
        ({"until": "school_year_end"}, "until", "set the organization's school_year_end"),
        ({"until": "christmas"}, "until", "school_year_end"),
        ({"rule": "FREQ=WEEKLY"}, "rule", "either COUNT or UNTIL"),
        ({"rule": "FREQ=WEEKLY;COUNT=2;UNTIL=20310407T100000Z"}, "rule", "either COUNT or UNTIL"),
        ({"rule": "FREQ=WEEKLY;COUNT=2", "count": 2}, "rule", "says all of it"),
        ({"rule": "FREQ=HOURLY;COUNT=2"}, "rule", "FREQ must be one of"),
        ({"rule": "FREQ=DAILY;BYHOUR=9,10;COUNT=2"}, "rule", "BYHOUR"),
        ({"rule": "FREQ=DAILY;COUNT=2;COUNT=3"}, "rule", "each once"),
        ({"rule": "FREQ=DAILY;COUNT"}, "rule", "each once"),
        ({"rule": ""}, "rule", "each once"),
        ({"rule": 7}, "rule", "needs an RRULE"),
        ({"rule": "FREQ=DAILY;INTERVAL=0;COUNT=2"}, "rule", "INTERVAL must be a number"),
        ({"rule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=2"}, "rule", "of a daily series BYDAY alone"),
        ({"rule": "FREQ=DAILY;COUNT=-1"}, "rule", "COUNT must be a number"),
        ({"rule": "FREQ=DAILY;UNTIL=20310407"}, "rule", "UNTIL must be a moment"),
        ({"rule": "FREQ=DAILY;BYDAY=XX;COUNT=2"}, "rule", "cannot be read"),
        ({"rule": "FREQ=MONTHLY;BYDAY=9MO;COUNT=2"}, "rule", "cannot be read"),
        ({"rule": "FREQ=MONTHLY;BYMONTHDAY=0;COUNT=2"}, "rule", "BYMONTHDAY must be numbers from 1 to 31"),
        ({"rule": "FREQ=WEEKLY;BYMONTH=13;COUNT=2"}, "rule", "BYMONTH must be numbers from 1 to 12"),
        ({"rule": "FREQ=WEEKLY;BYDAY=2MO;COUNT=2"}, "rule", "only of a month or a year"),
        ({"rule": "FREQ=WEEKLY;BYDAY=TU;COUNT=2"}, "scheduled_at", "the first one is 2031-03-04"),
        ({"rule": "FREQ=DAILY;UNTIL=20310301T100000Z"}, "until", "1 to 520"),
        ({"rule": "FREQ=DAILY;COUNT=521"}, "count", "1 to 520"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(asked, field, words):
    with pytest.raises(InvalidDataError, match=words) as caught:
        recurrence(first(3, 3), UTC_ZONE, **asked).starts()
    assert caught.value.field == field


@pytest.mark.slow
@examples(60, 600)
@given(
    begin=st.datetimes(datetime(2031, 1, 1), datetime(2031, 12, 31)).map(lambda moment: moment.replace(microsecond=0)),
    chosen=st.sets(st.sampled_from(WEEKDAYS)),
    every=st.integers(1, 4),
    days=st.integers(-20, 20),
    hour=st.integers(3, 22),  # no hour that a clock skips
    pivot=st.integers(0, 5),
)
def test_a_weekly_series_moves_as_many_days_and_to_the_same_hour(begin, chosen, every, days, hour, pivot):
    local = begin.replace(hour=12, tzinfo=BERLIN)
    weekdays = chosen | {WEEKDAYS[local.weekday()]}
    starts = (
        made := recurrence(local.astimezone(UTC), BERLIN, weekdays=sorted(weekdays), every=every, count=12)
    ).starts()
    ahead = starts[pivot:]
    shifted = [
        (moment.astimezone(BERLIN) + timedelta(days=days)).replace(hour=hour).astimezone(UTC) for moment in ahead
    ]

    moved = read(made.rule, ahead[0], "Europe/Berlin").moved(shifted[0], len(ahead))

    assert moved.starts() == shifted


@examples(60, 600)
@given(day=st.dates(date(2031, 1, 1), date(2031, 12, 31)), other=st.integers(-10, 10), every=st.integers(1, 3))
def test_a_monthly_series_goes_on_at_the_weekday_of_where_it_is_moved(day, other, every):
    begin = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    made = recurrence(begin, UTC_ZONE, frequency="monthly", every=every, count=6)
    to = begin + timedelta(days=other)

    moved = made.moved(to, 6).starts()

    assert moved[0] == to
    assert len({moment.weekday() for moment in moved}) == 1
    expected = {nth(to.date())} if other else {nth(moment.date()) for moment in made.starts()}
    assert expected & {nth(moment.date()) for moment in moved} or all(
        (moment + timedelta(weeks=1)).month != moment.month for moment in moved
    )


def test_a_fifth_weekday_is_not_moved_to_a_day_that_other_months_have():
    made = recurrence(first(3, 29), UTC_ZONE, rule="FREQ=MONTHLY;BYDAY=5SA;COUNT=4")
    assert days(made) == days(made.moved(first(3, 29, 12), 4)) == ["03-29", "05-31", "08-30", "11-29"]
    for day in (28, 30):
        with pytest.raises(InvalidDataError, match="do not move"):
            made.moved(first(3, day), 4)


def test_a_rule_of_its_own_moves_to_another_hour_but_to_no_other_day():
    made = recurrence(first(3, 3), UTC_ZONE, rule="FREQ=MONTHLY;BYMONTHDAY=3;COUNT=3")
    assert days(made.moved(first(3, 3, 12), 2)) == ["03-03", "04-03"]
    with pytest.raises(InvalidDataError, match="do not move") as caught:
        made.moved(first(3, 4), 2)
    assert caught.value.field == "scheduled_at"
