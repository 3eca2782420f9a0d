"""The decision what can be booked, against an oracle that reads the wall clock minute by minute."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import InvalidDataError
from rayces_core.fields.schemas import BlockedPeriod, DatedSchedule, DateOverride, WeeklySchedule
from rayces_core.scheduling.calendar import Calendar, Refusal, SetAside, allowed_starts, listed_starts, refusal
from rayces_core.scheduling.wall_clock import EPOCH, LocalDays, WorkingHours, end_of_day, merged, microseconds
from tests.scheduling.oracle import MICROSECOND, Case, every_day, hours, hours_of, utc
from tests.scheduling.random_cases import PLACES, cases
from tests.sizes import examples
from tests.walking import walked

ALL_DAY = (0, 24)


def moment_of(at):
    return EPOCH + timedelta(microseconds=at)


def calendar_of(case):
    stored = hours_of(case)
    schedule = WeeklySchedule.model_validate(stored["weekly_schedule"])
    blocked = [BlockedPeriod.model_validate(period) for period in stored["blocked_dates"]]
    dated = [DatedSchedule.model_validate(each) for each in stored["dated_schedules"]]
    overrides = [DateOverride.model_validate(each) for each in stored["date_overrides"]]
    closed = tuple((day - date(1970, 1, 1)).days for day in case.closed)
    elsewhere = tuple(merged((microseconds(begins), microseconds(ends)) for begins, ends in case.elsewhere))
    return Calendar(
        professional_id=7,
        active=case.active,
        session_duration_minutes=60,
        buffer_minutes=case.buffer_minutes,
        buffer_before_minutes=case.buffer_before_minutes,
        hours=replace(WorkingHours.of(schedule, blocked, dated, overrides), closed=closed, elsewhere=elsewhere),
        minimum_notice_minutes=case.notice_minutes,
        booking_window_days=case.window_days,
        days=LocalDays(ZoneInfo(case.zone), microseconds(case.start), microseconds(case.end)),
        busy=[(microseconds(begins), microseconds(ends)) for begins, ends in case.busy],
    )


def asked(case):
    return microseconds(case.start), microseconds(case.end), microseconds(case.now)


def listed(case):
    found = listed_starts(calendar_of(case), case.duration_minutes, case.step_minutes, *asked(case))
    return [moment_of(at) for at in found]


def allowed(case, **options):
    found = allowed_starts(calendar_of(case), case.duration_minutes, *asked(case), **options)
    return [(moment_of(first), moment_of(last)) for first, last in found]


def why_not(case, start, **options):
    return refusal(calendar_of(case), start, case.duration_minutes, now=case.now, **options)


def on_clock(case):
    """The listed starts as the wall clock shows them."""
    return [moment.astimezone(ZoneInfo(case.zone)).strftime("%d %H:%M") for moment in listed(case)]


def local_day(zone, *day, **changes):
    """A case of one whole local day, asked long before it."""
    start = datetime(*day, tzinfo=ZoneInfo(zone))
    end = datetime.combine(start.date() + timedelta(days=1), start.timetz())
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    return Case(zone, start, end, now=start - timedelta(days=5), schedule=hours(ALL_DAY)).but(**changes)


# -- against the oracle ----------------------------------------------------------------------------------------------


@given(cases())
@examples(8, 100)
def test_what_is_listed_is_what_the_wall_clock_says(case):
    assert listed(case) == case.listed()


@pytest.mark.slow
@given(cases(), st.data())
@examples(8, 100)
def test_a_moment_is_refused_for_the_first_reason_that_holds(case, data):
    edges = {case.start, case.end, case.now, case.now + timedelta(days=case.window_days)}
    edges |= {edge for span in (*case.busy, *allowed(case)) for edge in span}
    long = timedelta(minutes=case.duration_minutes)
    close = [timedelta(0), MICROSECOND, -MICROSECOND, -long, -long - timedelta(minutes=case.buffer_minutes)]
    close += [timedelta(minutes=case.buffer_before_minutes)]
    for _ in range(20):
        start = data.draw(st.sampled_from(sorted(edges))) + data.draw(st.sampled_from(close))
        if case.start <= start and start + long <= case.end:
            assert why_not(case, start) == next(iter(case.reasons(start)), None)


@pytest.mark.slow
@given(cases())
@examples(8, 100)
def test_allowed_ranges_are_exact_to_the_microsecond_and_apart(case):
    ranges = allowed(case)

    for first, last in ranges:
        assert first <= last
        assert [case.reasons(first), case.reasons(last)] == [[], []]
    assert all(one[1] < other[0] for one, other in pairwise(ranges))
    long = timedelta(minutes=case.duration_minutes)
    for edge in [first - MICROSECOND for first, _ in ranges] + [last + MICROSECOND for _, last in ranges]:
        assert case.reasons(edge) or edge < case.start or edge + long > case.end


@pytest.mark.slow
@walked("zone", sorted({zone for zone, _ in PLACES}))
@walked("year", [1920, 2011, 2026])
def test_pieces_hold_the_offset_of_every_hour_and_every_change(zone, year):
    start, end = utc(year, 1, 1), utc(year + 1, 1, 1)
    pieces = LocalDays(ZoneInfo(zone), microseconds(start), microseconds(end)).pieces

    assert (pieces[0].start, pieces[-1].end) == (microseconds(start), microseconds(end))
    assert all(one.end == other.start for one, other in pairwise(pieces))
    for piece in pieces:
        first, last = moment_of(piece.start), moment_of(piece.end) - MICROSECOND
        hourly = [first + timedelta(hours=n) for n in range((last - first) // timedelta(hours=1) + 1)]
        found = {moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in (*hourly, last)}
        assert found == {timedelta(microseconds=piece.offset)}


@walked("zone, change", PLACES)
@walked("shift", [-1, 0, 1])
def test_a_stretch_that_ends_or_begins_at_a_change_keeps_to_its_own_side(zone, change, shift):
    for start, end in [(change - timedelta(days=2), change), (change, change + timedelta(days=2))]:
        start, end = start + shift * MICROSECOND, end + shift * MICROSECOND
        pieces = LocalDays(ZoneInfo(zone), microseconds(start), microseconds(end)).pieces
        for piece in pieces:
            for edge in (moment_of(piece.start), moment_of(piece.end) - MICROSECOND):
                assert edge.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(microseconds=piece.offset)


# -- days on which the clock changes ----------------------------------------------------------------------------------


@walked("day, length", [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 7, 1), 24)])
def test_a_whole_day_has_as_many_sessions_as_hours(day, length):
    case = local_day("Europe/Berlin", *day)

    assert len(listed(case)) == length
    assert allowed(case) == [(case.start, case.start + timedelta(hours=length - 1))]


def test_a_window_inside_the_skipped_hour_does_not_exist():
    case = local_day("Europe/Berlin", 2026, 3, 29, schedule=hours((2, 3)), duration_minutes=15, step_minutes=15)

    assert listed(case) == []
    assert on_clock(case.but(schedule=hours((1.75, 3.25)))) == ["29 01:45", "29 03:00"]


def test_a_window_that_the_clock_shows_twice_exists_twice():
    case = local_day("Europe/Berlin", 2026, 10, 25, schedule=hours((2, 3)))

    assert listed(case) == [utc(2026, 10, 25, 0), utc(2026, 10, 25, 1)]
    assert listed(case.but(duration_minutes=120)) == [utc(2026, 10, 25, 0)]


def test_a_session_over_the_skipped_hour_lasts_its_minutes():
    case = local_day("Europe/Berlin", 2026, 3, 29, schedule=hours((1, 5)), duration_minutes=120, step_minutes=60)

    assert on_clock(case) == ["29 01:00", "29 03:00"]  # 01:00 to 04:00 on the clock


def test_steps_follow_the_wall_clock_after_a_half_hour_change():
    back = local_day("Australia/Lord_Howe", 2026, 4, 5, schedule=hours((1, 4)), step_minutes=60)

    assert on_clock(back) == ["05 01:00", "05 02:00", "05 03:00"]
    assert listed(back)[1] - listed(back)[0] == timedelta(minutes=90)
    halves = back.but(duration_minutes=30, step_minutes=30)
    assert on_clock(halves)[:4] == ["05 01:00", "05 01:30", "05 01:30", "05 02:00"]


def test_a_day_without_midnight_has_its_windows():
    case = local_day("America/Santiago", 2026, 9, 6, schedule=hours((0, 3)))

    assert on_clock(case) == ["06 01:00", "06 02:00"]


def test_an_hour_before_midnight_that_comes_twice_belongs_to_its_date():
    case = local_day("America/Santiago", 2026, 4, 4, schedule={"saturday": [(1320, 1440)]})

    assert on_clock(case) == ["04 22:00", "04 23:00", "04 23:00"]
    assert listed(case.but(blocked=((date(2026, 4, 4), date(2026, 4, 4)),))) == []
    assert listed(case.but(blocked=((date(2026, 4, 5), date(2026, 4, 5)),))) == listed(case)


def test_a_date_that_was_skipped_has_no_hours():
    case = Case(
        "Pacific/Apia", utc(2011, 12, 29), utc(2012, 1, 1), now=utc(2011, 12, 1), schedule={"friday": [(0, 1440)]}
    )

    assert listed(case) == []
    assert on_clock(case.but(schedule={"thursday": [(1320, 1440)], "saturday": [(0, 60)]})) == [
        "29 22:00",
        "29 23:00",
        "31 00:00",
    ]


# -- midnight ---------------------------------------------------------------------------------------------------------

OVERNIGHT = every_day((0, 120), (1320, 1440))


def overnight(**changes):
    zone = "America/Argentina/Buenos_Aires"
    case = Case(zone, utc(2026, 5, 11, 15), utc(2026, 5, 12, 15), now=utc(2026, 5, 1), schedule=OVERNIGHT)
    return case.but(duration_minutes=120, step_minutes=60, **changes)


def test_a_session_passes_midnight_where_the_next_day_begins_with_hours():
    assert on_clock(overnight()) == ["11 22:00", "11 23:00", "12 00:00"]


def test_a_session_over_midnight_is_refused_when_either_day_is_blocked():
    assert on_clock(overnight(blocked=((date(2026, 5, 12), date(2026, 5, 12)),))) == ["11 22:00"]
    assert on_clock(overnight(blocked=((date(2026, 5, 1), date(2026, 5, 11)),))) == ["12 00:00"]
    blocked = overnight(blocked=((date(2026, 5, 12), date(2026, 5, 12)),))
    assert why_not(blocked, utc(2026, 5, 12, 2)) is Refusal.BLOCKED_DATE


def test_windows_that_touch_are_one_stretch_with_a_grid_each():
    case = local_day("UTC", 2026, 5, 11, schedule=hours((9, 9.75), (9.75, 12)), duration_minutes=60)

    assert on_clock(case.but(step_minutes=60)) == ["11 09:00", "11 09:45", "11 10:45"]


def test_a_window_that_began_before_the_query_keeps_its_own_steps():
    case = local_day("UTC", 2026, 5, 11, schedule=hours((9, 12)), duration_minutes=30, step_minutes=50)

    assert on_clock(case.but(start=utc(2026, 5, 11, 9, 1))) == ["11 09:50", "11 10:40", "11 11:30"]


@walked("zone, hour, local", [("Asia/Kathmandu", 20, 11), ("America/New_York", 2, 9), ("Pacific/Kiritimati", 11, 11)])
def test_a_blocked_date_is_the_local_one_where_utc_has_another(zone, hour, local):
    start = utc(2026, 1, 10, hour)
    case = Case(zone, start, start + timedelta(hours=1), now=utc(2026, 1, 1), schedule=hours(ALL_DAY))
    assert start.astimezone(ZoneInfo(zone)).day == local

    for day in range(8, 14):
        blocked = case.but(blocked=((date(2026, 1, day), date(2026, 1, day)),))
        assert allowed(blocked) == ([] if day == local else [(start, start)])


# -- the session and its buffer ---------------------------------------------------------------------------------------


def nine_to_one(**changes):
    return local_day("UTC", 2026, 5, 11, schedule=hours((9, 13)), **changes)


def test_a_session_ends_by_the_end_of_hours_but_its_buffer_need_not():
    assert on_clock(nine_to_one(buffer_minutes=60, step_minutes=30))[-1] == "11 12:00"
    assert why_not(nine_to_one(), utc(2026, 5, 11, 12, 1)) is Refusal.OUTSIDE_SCHEDULE


def test_back_to_back_is_free_and_one_microsecond_less_is_taken():
    busy = ((utc(2026, 5, 11, 10), utc(2026, 5, 11, 11)),)
    case = nine_to_one(busy=busy)

    assert on_clock(case) == ["11 09:00", "11 11:00", "11 12:00"]
    assert why_not(case, utc(2026, 5, 11, 9) + MICROSECOND) is Refusal.TAKEN
    assert why_not(case, utc(2026, 5, 11, 11) - MICROSECOND) is Refusal.TAKEN


def test_the_buffer_of_the_new_session_keeps_clear_of_the_next_one():
    case = nine_to_one(busy=((utc(2026, 5, 11, 10, 10), utc(2026, 5, 11, 11)),), buffer_minutes=15)

    assert why_not(case, utc(2026, 5, 11, 9)) is Refusal.TAKEN
    assert why_not(case.but(buffer_minutes=10), utc(2026, 5, 11, 9)) is None


def test_a_busy_span_that_began_before_the_query_still_stands_in_the_way():
    case = nine_to_one(busy=((utc(2026, 5, 10, 20), utc(2026, 5, 11, 9, 30)),))

    assert on_clock(case.but(start=utc(2026, 5, 11, 9))) == ["11 10:00", "11 11:00", "11 12:00"]


def test_nothing_is_free_between_two_that_leave_too_little():
    busy = ((utc(2026, 5, 11, 9), utc(2026, 5, 11, 10)), (utc(2026, 5, 11, 10, 59), utc(2026, 5, 11, 13)))

    assert allowed(nine_to_one(busy=busy)) == []


# -- notice, window, inactive -----------------------------------------------------------------------------------------


def test_a_session_begins_after_now_not_at_it():
    case = nine_to_one(now=utc(2026, 5, 11, 10))

    assert on_clock(case) == ["11 11:00", "11 12:00"]
    assert why_not(case, utc(2026, 5, 11, 10)) is Refusal.TOO_SOON
    assert why_not(case, utc(2026, 5, 11, 10) + MICROSECOND) is None


def test_minimum_notice_is_kept_to_the_microsecond():
    case = nine_to_one(now=utc(2026, 5, 11, 9), notice_minutes=90)

    assert why_not(case, utc(2026, 5, 11, 10, 30)) is None
    assert why_not(case, utc(2026, 5, 11, 10, 30) - MICROSECOND) is Refusal.TOO_SOON


@walked("now", [utc(2026, 5, 9), utc(2026, 5, 9, 11), utc(2026, 5, 9, 23, 59)])
def test_the_last_day_of_the_booking_window_is_whole(now):
    case = nine_to_one(now=now, window_days=2)

    assert on_clock(case)[-1] == "11 12:00"
    assert on_clock(case.but(window_days=1)) == []
    assert why_not(case.but(window_days=1), utc(2026, 5, 11, 9)) is Refusal.BEYOND_WINDOW


@walked(
    "zone, day, last",
    [
        ("America/Argentina/Buenos_Aires", date(2026, 5, 11), utc(2026, 5, 12, 3)),
        ("America/Santiago", date(2026, 4, 4), utc(2026, 4, 5, 4)),  # its last hour comes twice
        ("America/Santiago", date(2026, 9, 5), utc(2026, 9, 6, 4)),  # the next one begins at 01:00
        ("Pacific/Apia", date(2011, 12, 30), utc(2011, 12, 30, 10)),  # never was
        ("Pacific/Apia", date(2011, 12, 29), utc(2011, 12, 30, 10)),
    ],
)
def test_a_local_day_ends_when_the_next_one_begins(zone, day, last):
    assert end_of_day(day, ZoneInfo(zone)) == last - MICROSECOND


@walked("now", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@walked("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_a_window_from_the_ends_of_time_is_no_error(now, zone):
    case = local_day(zone, 2026, 5, 11)
    calendar = calendar_of(case)

    assert refusal(calendar, case.start, 60, now=now) in (Refusal.BEYOND_WINDOW, Refusal.TOO_SOON)


def test_an_inactive_professional_is_never_free():
    case = nine_to_one(active=False)

    assert allowed(case) == []
    assert why_not(case, utc(2026, 5, 11, 9)) is Refusal.INACTIVE
    assert why_not(case, utc(2026, 5, 11, 9), aside=SetAside(True, True, True, True)) is Refusal.INACTIVE


RULES = {
    "schedule": Refusal.OUTSIDE_SCHEDULE,
    "blocked": Refusal.BLOCKED_DATE,
    "window": Refusal.BEYOND_WINDOW,
    "notice": Refusal.TOO_SOON,
}


@walked("given", [given for size in range(5) for given in combinations(RULES, size)])
def test_each_rule_is_set_aside_by_itself_and_takes_no_other_with_it(given):
    breaking = {
        "schedule": (nine_to_one(), utc(2026, 5, 11, 3)),
        "blocked": (nine_to_one(blocked=((date(2026, 5, 11), date(2026, 5, 11)),)), utc(2026, 5, 11, 9)),
        "window": (nine_to_one(now=utc(2026, 5, 1), window_days=1), utc(2026, 5, 11, 9)),
        "notice": (nine_to_one(now=utc(2026, 5, 11, 8), notice_minutes=90), utc(2026, 5, 11, 9)),
    }
    aside = SetAside(**dict.fromkeys(given, True))

    for rule, (case, start) in breaking.items():
        assert why_not(case, start, aside=aside) is (None if rule in given else RULES[rule])


def test_no_rule_that_is_set_aside_gives_time_that_is_past_or_taken():
    aside = SetAside(True, True, True, True)
    case = nine_to_one(busy=((utc(2026, 5, 11, 20), utc(2026, 5, 11, 21)),))

    assert why_not(case, utc(2026, 5, 11, 20, 30), aside=aside) is Refusal.TAKEN
    assert why_not(case.but(now=utc(2026, 5, 11, 3)), utc(2026, 5, 11, 3), aside=aside) is Refusal.TOO_SOON


def test_hours_without_a_schedule_go_on_over_midnight_and_stop_at_a_blocked_date():
    case = overnight(schedule=hours(), blocked=((date(2026, 5, 12), date(2026, 5, 12)),))
    aside = SetAside(schedule=True)

    assert why_not(case, utc(2026, 5, 12, 1), aside=aside) is None  # 22:00 to 24:00
    assert why_not(case, utc(2026, 5, 12, 1, 30), aside=aside) is Refusal.BLOCKED_DATE
    assert why_not(case.but(blocked=()), utc(2026, 5, 12, 1, 30), aside=aside) is None


# -- the families' grid -----------------------------------------------------------------------------------------------


def gridded(case, every):
    calendar = replace(calendar_of(case), start_every_minutes=every)
    moments = listed_starts(
        calendar, case.duration_minutes, case.step_minutes, *map(microseconds, (case.start, case.end, case.now))
    )
    zone = ZoneInfo(case.zone)
    assert all(calendar.days.is_on_grid(moment, calendar.every) for moment in moments)
    return [moment_of(moment).astimezone(zone).strftime("%H:%M") for moment in moments]


def test_starts_on_a_grid_are_counted_from_midnight_in_whole_grid_steps():
    case = local_day("UTC", 2026, 5, 11, schedule=hours((9.25, 13)))

    assert gridded(case.but(duration_minutes=60, step_minutes=60), 30) == ["09:30", "10:30", "11:30"]
    assert gridded(case.but(duration_minutes=45, step_minutes=45), 30) == ["09:30", "10:30", "11:30"]
    assert gridded(case.but(duration_minutes=60, step_minutes=15), 30) == [
        "09:30", "10:00", "10:30", "11:00", "11:30", "12:00"
    ]  # fmt: skip
    assert gridded(case.but(duration_minutes=60, step_minutes=60), 1) == ["09:15", "10:15", "11:15"]


def test_a_grid_is_that_of_the_wall_clock():
    assert gridded(local_day("Asia/Kathmandu", 2026, 5, 11, schedule=hours((9, 11))), 60) == ["09:00", "10:00"]
    back = local_day("Australia/Lord_Howe", 2026, 4, 5, schedule=hours((1, 4)), step_minutes=60)
    assert gridded(back, 60) == ["01:00", "02:00", "03:00"]


# -- what is asked wrongly --------------------------------------------------------------------------------------------


@walked("minutes", [14, 481, 0, -60, 60.0, "60", True, None])
def test_a_session_of_no_allowed_length_is_refused(minutes):
    with pytest.raises(InvalidDataError, match="duration_minutes"):
        refusal(calendar_of(nine_to_one()), utc(2026, 5, 11, 9), minutes, now=utc(2026, 5, 1))


@walked("start", [utc(2026, 5, 10, 23, 59), utc(2026, 5, 11, 23, 1)])
def test_a_calendar_does_not_answer_for_time_it_was_not_read_for(start):
    with pytest.raises(InvalidDataError, match="another stretch"):
        why_not(nine_to_one(), start)
