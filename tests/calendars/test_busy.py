"""What calendar files say: repeated events over changes of the clock, days, floating times, and files that are none."""

import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import MissingExtraError, OutsideCalendarError
from rayces_core.calendars.busy import busy_times
from tests.calendars.reading import a_calendar, an_event
from tests.scheduling.oracle import utc
from tests.sizes import examples
from tests.walking import walked

SINCE, UNTIL = utc(2031, 3, 1), utc(2031, 6, 1)
SANTIAGO = ZoneInfo("America/Santiago")
HOST = "0123456789.rayces"


def busy(file, since=SINCE, until=UNTIL, zone=SANTIAGO):
    return busy_times(file, since, until, zone, HOST)


def an_hour(*more, uid="one@elsewhere"):
    return an_event(":20310303T130000Z", ":20310303T140000Z", uid, *more)


HOUR = [(utc(2031, 3, 3, 13), utc(2031, 3, 3, 14))]


def refused(file):
    with pytest.raises(OutsideCalendarError) as found:
        busy(file)
    return found.value.reason


# -- one event --------------------------------------------------------------------------------------------------------


def test_times_are_read_in_the_zone_that_they_name_and_others_in_that_of_the_centre():
    assert busy(a_calendar(an_hour())) == HOUR
    berlin = ";TZID=Europe/Berlin:20310303T1{}0000"
    assert busy(a_calendar(an_event(berlin.format(4), berlin.format(5)))) == HOUR
    assert busy(a_calendar(an_event(":20310303T100000", ":20310303T110000"))) == HOUR


def test_a_floating_time_of_a_calendar_that_names_a_zone_is_of_that_zone():
    file = a_calendar(an_event(":20310303T140000", ":20310303T150000"), before="X-WR-TIMEZONE:Europe/Berlin\n")
    assert busy(file) == HOUR


def test_repeated_ones_of_such_a_calendar_are_too():
    weekly = an_event(":20310303T140000", ":20310303T150000", "one@elsewhere", "RRULE:FREQ=WEEKLY;COUNT=6")
    found = busy(a_calendar(weekly, before="X-WR-TIMEZONE:Europe/Berlin\n"))
    assert [begins.hour for begins, _ in found] == [13, 13, 13, 13, 12, 12]  # the clock goes on in the end of March


def test_a_zone_that_the_file_describes_itself_is_read_from_there():
    zone = (
        "BEGIN:VTIMEZONE\nTZID:Ours\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0200\n"
        "END:STANDARD\nEND:VTIMEZONE\n"
    )
    assert busy(a_calendar(an_event(";TZID=Ours:20310303T150000", ";TZID=Ours:20310303T160000"), before=zone)) == HOUR


def test_whole_days_are_those_of_the_centre_from_midnight_to_midnight():
    days = an_event(";VALUE=DATE:20310405", ";VALUE=DATE:20310407")
    # The clock goes back in the night of the 5th, so two days are 49 hours.
    assert busy(a_calendar(days)) == [(utc(2031, 4, 5, 3), utc(2031, 4, 7, 4))]
    without_end = "UID:one@elsewhere\nDTSTART;VALUE=DATE:20310303"
    assert busy(a_calendar(without_end)) == [(utc(2031, 3, 3, 3), utc(2031, 3, 4, 3))]


@walked(
    "more",
    [
        ("TRANSP:TRANSPARENT",),
        ("STATUS:CANCELLED",),
        ("status:cancelled",),
    ],
)
def test_what_is_called_off_or_takes_no_time_is_not_busy(more):
    assert busy(a_calendar(an_hour(*more))) == []


def test_what_may_be_is_busy_and_so_is_what_says_that_it_takes_time():
    assert busy(a_calendar(an_hour("STATUS:TENTATIVE", "TRANSP:OPAQUE"))) == HOUR


def test_our_own_sessions_that_come_back_are_not_busy_and_another_centres_are():
    assert busy(a_calendar(an_hour(uid=f"appointment-7@{HOST}"))) == []
    assert busy(a_calendar(an_hour(uid="appointment-7@9876543210.rayces"))) == HOUR


def test_a_calendar_that_calls_everything_off_is_free():
    assert busy(a_calendar(an_hour(), before="METHOD:CANCEL\n")) == []


def test_an_event_without_length_takes_no_time_and_one_by_its_duration_does():
    assert busy(a_calendar("UID:x\nDTSTART:20310303T130000Z")) == []
    assert busy(a_calendar("UID:x\nDTSTART:20310303T130000Z\nDURATION:PT1H")) == HOUR


def test_what_overlaps_or_touches_is_one_stretch_and_what_lies_elsewhere_in_time_is_left_out():
    events = [
        an_hour(),
        an_event(":20310303T133000Z", ":20310303T150000Z", "two"),
        an_event(":20310303T150000Z", ":20310303T160000Z", "three"),
        an_event(":20310228T230000Z", ":20310301T010000Z", "reaches into it"),
        an_event(":20310228T230000Z", ":20310301T000000Z", "ends before it"),
        an_event(":20310601T000000Z", ":20310601T010000Z", "begins after it"),
    ]
    assert busy(a_calendar(*events)) == [
        (utc(2031, 2, 28, 23), utc(2031, 3, 1, 1)),
        (utc(2031, 3, 3, 13), utc(2031, 3, 3, 16)),
    ]


def test_an_event_that_lasts_for_months_is_found_wherever_it_began():
    file = a_calendar(an_event(":20300101T000000Z", ":20320101T000000Z"))
    assert busy(file) == [(utc(2030, 1, 1), utc(2032, 1, 1))]


# -- repeated ---------------------------------------------------------------------------------------------------------


def test_one_of_a_series_is_moved_another_left_out_and_a_third_called_off():
    weekly = an_hour("RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20310310T130000Z")
    moved = an_event(":20310318T150000Z", ":20310318T160000Z", "one@elsewhere", "RECURRENCE-ID:20310317T130000Z")
    off = an_event(
        ":20310324T130000Z", ":20310324T140000Z", "one@elsewhere", "RECURRENCE-ID:20310324T130000Z", "STATUS:CANCELLED"
    )
    assert busy(a_calendar(weekly, moved, off)) == [*HOUR, (utc(2031, 3, 18, 15), utc(2031, 3, 18, 16))]


DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
ZONES = ["America/Santiago", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]


@st.composite
def repeated(draw):
    """Lines of an event, and when it takes place: from the wall clock of its zone, day by day."""
    zone, floats = draw(st.sampled_from(ZONES)), draw(st.booleans())
    # Not within the hours that a clock skips or shows twice, of which files of different makers mean different things.
    first = datetime(2031, draw(st.integers(1, 4)), draw(st.integers(1, 28)), draw(st.integers(5, 22)), 30)
    minutes, every = draw(st.sampled_from([15, 60, 24 * 60])), draw(st.integers(1, 3))
    days = sorted(draw(st.sets(st.integers(0, 6), max_size=3)) | {first.weekday()})
    is_weekly = draw(st.booleans())
    count = draw(st.one_of(st.none(), st.integers(1, 40)))
    week = first.date() - timedelta(days=first.weekday())
    found = []
    for number in range(250):  # further than any window reaches
        day = first.date() + timedelta(days=number)
        fits = number % every == 0
        if is_weekly:
            fits = day.weekday() in days and (day - week).days // 7 % every == 0
        if fits:
            found.append(datetime.combine(day, first.time()))
    found = found[:count]
    left_out = set(draw(st.lists(st.sampled_from(found), max_size=3)))
    own = SANTIAGO if floats else ZoneInfo(zone)
    times = [start.replace(tzinfo=own) for start in found if start not in left_out]
    rule = f"RRULE:FREQ={'WEEKLY' if is_weekly else 'DAILY'};INTERVAL={every}"
    rule += f";BYDAY={','.join(DAYS[each] for each in days)}" if is_weekly else ""
    rule += f";COUNT={count}" if count else ""
    named = "" if floats else f";TZID={zone}"
    lines = [rule, *(f"EXDATE{named}:{start:%Y%m%dT%H%M%S}" for start in sorted(left_out))]
    length = timedelta(minutes=minutes)
    ends = first + length if minutes < 24 * 60 else first + timedelta(days=1)
    return named, first, ends, lines, [(start.astimezone(UTC), _end(start, length)) for start in times]


def _end(start, length):
    if length < timedelta(days=1):
        return start.astimezone(UTC) + length
    return (start + length).astimezone(UTC)  # a day by the wall clock


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@examples(30, 1000)
@given(st.lists(repeated(), min_size=1, max_size=3), st.integers(0, 100), st.integers(1, 120))
def test_repeated_events_are_busy_when_a_naive_reading_of_the_calendar_says_so(events, after, days):
    since = utc(2031, 1, 20) + timedelta(days=after, hours=7)
    until = since + timedelta(days=days)
    lines = [
        an_event(f"{named}:{starts:%Y%m%dT%H%M%S}", f"{named}:{ends:%Y%m%dT%H%M%S}", f"{number}@elsewhere", *more)
        for number, (named, starts, ends, more, _) in enumerate(events)
    ]
    found = busy(a_calendar(*lines), since, until)
    expected = [span for *_, spans in events for span in spans if span[1] > since and span[0] < until]
    moments = sorted({edge for span in expected for edge in span} | {edge for span in found for edge in span})
    for moment in moments:
        for at in (moment, moment - timedelta(seconds=1)):
            assert any(begins <= at < ends for begins, ends in found) == any(
                begins <= at < ends for begins, ends in expected
            ), at


# -- files that are none ----------------------------------------------------------------------------------------------


@walked(
    "file",
    [
        b"",
        b"<html>sign in first</html>",
        b"\xff\xfe\x00\x01",
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n",
        b"BEGIN:VEVENT\r\nUID:x\r\nDTSTART:20310303T130000Z\r\nEND:VEVENT\r\n",
        a_calendar("UID:x\nDTSTART:sometime"),
        a_calendar("UID:x\nSUMMARY:no time"),
        a_calendar(an_event(";TZID=Nowhere/Land:20310303T130000", ";TZID=Nowhere/Land:20310303T140000")),
        a_calendar(an_hour("RRULE:FREQ=NEVER")),
        a_calendar(an_hour(), before="X-WR-TIMEZONE:Nowhere/Land\n"),
        a_calendar(an_hour("EXDATE:nonsense", "RRULE:FREQ=DAILY")),
        a_calendar(an_hour("DTSTART:20310304T130000Z")),
        a_calendar(an_hour("DTEND:20310304T140000Z")),
        a_calendar("UID:x\nDTSTART:20310303T130000Z\nDURATION:PT1H\nDURATION:PT2H"),
        a_calendar("UID:x\nDTSTART:20310303T130000Z\nDURATION:P99999999D"),
        a_calendar("UID:x\nDTSTART;VALUE=TIME:130000"),
        a_calendar("UID:x\nDTSTART;VALUE=PERIOD:20310303T130000Z/PT1H"),
        a_calendar(an_event(";VALUE=DATE:20310303", ":20310303T140000Z")),
        a_calendar(an_event(":99991231T230000", ":99991231T235959")),
        a_calendar(an_event(";TZID=Asia/Tokyo:00010101T000000", ":20310303T140000Z")),
        a_calendar(an_hour("RRULE:FREQ=DAILY;INTERVAL=0")),
        a_calendar(an_hour("RRULE:FREQ=WEEKLY;INTERVAL=-1")),
    ],
)
def test_what_cannot_be_read_whole_is_an_error_and_never_an_empty_calendar(file):
    assert refused(file) == "broken"


def test_a_calendar_without_events_is_free():
    assert busy(a_calendar()) == []


@walked(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=5",
        "FREQ=HOURLY",
        f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(60)))}",
    ],
)
def test_a_rule_of_more_events_than_anybody_counts_is_refused_at_once(rule):
    assert refused(a_calendar(an_hour(f"RRULE:{rule}"))) == "too_many"


def test_so_is_one_that_begins_so_long_ago_that_nobody_goes_through_it():
    ever = an_event(":00010101T000000Z", ":00010101T010000Z", "one", "RRULE:FREQ=DAILY")
    often = an_event(
        ":20100101T000000Z",
        ":20100101T000500Z",
        "one",
        "RRULE:FREQ=DAILY;BYHOUR=8,9,10,11;BYMINUTE=" + ",".join(map(str, range(12))),
    )
    assert refused(a_calendar(ever)) == refused(a_calendar(often)) == "too_many"
    birthday = an_event(";VALUE=DATE:16040303", ";VALUE=DATE:16040304", "one", "RRULE:FREQ=YEARLY")
    assert len(busy(a_calendar(birthday))) == 1


def test_so_is_a_file_of_more_events_than_are_read(monkeypatch):
    file = a_calendar(*[an_hour(uid=str(number)) for number in range(3)])
    for name in ("MOST_EVENTS", "MOST_STRETCHES"):
        monkeypatch.setattr(f"rayces_core.calendars.busy.{name}", 3)
    assert busy(file) == HOUR
    monkeypatch.setattr("rayces_core.calendars.busy.MOST_EVENTS", 2)
    assert refused(file) == "too_many"


def test_so_is_one_of_more_stretches_of_time(monkeypatch):
    monkeypatch.setattr("rayces_core.calendars.busy.MOST_STRETCHES", 10)
    assert len(busy(a_calendar(an_hour("RRULE:FREQ=DAILY;COUNT=10")))) == 10
    assert refused(a_calendar(an_hour("RRULE:FREQ=DAILY;COUNT=11"))) == "too_many"


def test_one_that_takes_too_long_is_left(monkeypatch):
    monkeypatch.setattr("rayces_core.calendars.busy.MOST_SECONDS", -1.0)
    assert refused(a_calendar(an_hour("RRULE:FREQ=DAILY"))) == "too_many"


@pytest.mark.parametrize("package", ["icalendar", "recurring_ical_events"])
def test_without_its_packages_it_says_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"rayces-core\[ical\]"):
        busy(a_calendar(an_hour()))


def test_a_day_that_ends_as_it_begins_is_a_whole_one():
    assert busy(a_calendar(an_event(";VALUE=DATE:20310303", ";VALUE=DATE:20310303"))) == [
        (utc(2031, 3, 3, 3), utc(2031, 3, 4, 3))
    ]
