"""A calendar is a source of appointments: each event is a row, understood with its zone and its people, or refused."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from rayces_core import Appointment, SourceError, importing
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources import open_source
from rayces_core.outbox.calendar import REQUEST, Entry, ics
from tests.importing.world import START, make_centre

BUENOS_AIRES = ZoneInfo("America/Argentina/Buenos_Aires")
AT_TWO = "DTSTART;TZID=America/Argentina/Buenos_Aires:20260303T140000"


WEEKLY = ("UID:w", AT_TWO, "RRULE:FREQ=WEEKLY;COUNT=3")
# dateutil would look for such a day up to the year 9999.
NEVER = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=2"
IN = "TZID=America/Argentina/Buenos_Aires"


def calendar(tmp_path, *events, name="agenda.ics", says=""):
    inner = "".join(
        "BEGIN:VEVENT\r\n" + "".join(f"{line}\r\n" for line in event) + "END:VEVENT\r\n" for event in events
    )
    path = tmp_path / name
    path.write_bytes(f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{says}{inner}END:VCALENDAR\r\n".encode())
    return path


def read(source, **options):
    """Each row as a dict of what it has, or why it cannot be read."""
    source = open_source(source, **options)
    names = source.header
    return [
        row[0].reason if isinstance(row[0], Unreadable) else {k: v for k, v in zip(names, row, strict=True) if v}
        for batch in source.batches()
        for _, row in batch
    ]


def test_an_event_is_an_appointment(tmp_path):
    event = (
        "UID:1",
        AT_TWO,
        "DTEND;TZID=America/Argentina/Buenos_Aires:20260303T144500",
        "SUMMARY:Luz\\, Sosa",
        "DESCRIPTION:trae\\nel informe",
        "ORGANIZER;CN=Eva:MAILTO:eva@example.org",
        "ATTENDEE;CUTYPE=ROOM:mailto:sala@example.org",
        "ATTENDEE:mailto:EVA@example.org",
        "ATTENDEE:mailto:ana@example.org",
        "STATUS:TENTATIVE",
        "X-RAYCES-STUDENT-FIRST-NAME:Luz",
    )
    assert read(calendar(tmp_path, event, name="agenda.txt")) == [
        {
            "scheduled_at": dt.datetime(2026, 3, 3, 14, tzinfo=BUENOS_AIRES),
            "duration_minutes": 45,
            "professional": "eva@example.org",
            "client": "ana@example.org",
            "state": "pre_confirmed",
            "summary": "Luz, Sosa",
            "notes": "trae\nel informe",
            "uid": "1",
            "student_first_name": "Luz",
        }
    ]


def test_an_event_that_repeats_is_a_row_each_time_at_the_same_hour_of_the_clock(tmp_path):
    new_york = ZoneInfo("America/New_York")
    repeating = (
        "UID:r",
        "DTSTART;TZID=America/New_York:20260302T140000",
        "DURATION:PT30M",
        "RRULE:FREQ=WEEKLY;COUNT=4",
        "EXDATE;TZID=America/New_York:20260316T140000",
    )
    moved = ("UID:r", "RECURRENCE-ID;TZID=America/New_York:20260323T140000", "DTSTART:20260324T190000Z")
    found = [row["scheduled_at"] for row in read(calendar(tmp_path, repeating, moved))]

    assert found == [
        dt.datetime(2026, 3, 2, 14, tzinfo=new_york),
        dt.datetime(2026, 3, 9, 14, tzinfo=new_york),  # summer time began
        dt.datetime(2026, 3, 24, 19, tzinfo=dt.UTC),
    ]


@pytest.mark.parametrize("until", ["20260317", "20260317T140000", "20260317T170000Z"])
def test_the_end_of_a_rule_is_a_moment_or_a_day(tmp_path, until):
    assert len(read(calendar(tmp_path, [AT_TWO, f"RRULE:FREQ=WEEKLY;UNTIL={until}"]))) == 3


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["DTSTART;VALUE=DATE:20260303"], "whole days"),
        (["SUMMARY:x"], "has no time"),
        (["DTSTART;TZID=Nowhere/Land:20260303T140000"], "'Nowhere/Land', which is not known"),
        (["DTSTART:2026"], "DTSTART of the event cannot be read"),
        ([AT_TWO, "RRULE:FREQ=WEEKLY"], "repeats without an end"),
        ([AT_TWO, "RRULE:FREQ=SECONDLY;COUNT=9"], "repeats SECONDLY"),
        ([AT_TWO, "RRULE:FREQ=DAILY;COUNT=999999999"], "more than 1,000 times"),
        ([AT_TWO, "RRULE:FREQ=YEARLY;UNTIL=29990101T000000Z"], "thirty years"),
        ([AT_TWO, "RRULE:FREQ=NEVER;COUNT=2"], "RRULE of the event cannot be read"),
        ([AT_TWO, NEVER], "its own rule does not name"),
        ([AT_TWO, "RRULE:FREQ=DAILY;BYMONTHDAY=31;BYMONTH=4,6;UNTIL=20400101T000000Z"], "its own rule does not name"),
        ([AT_TWO, "RRULE:FREQ=MONTHLY;BYMONTHDAY=-32;COUNT=2"], "its own rule does not name"),
    ],
)
def test_an_event_that_is_not_certain_refuses_its_row_and_no_other(tmp_path, lines, says):
    first, second = read(calendar(tmp_path, lines, [AT_TWO]))

    assert says in first
    assert second["scheduled_at"].hour == 14


def test_several_people_who_may_be_the_client_are_asked_about(tmp_path):
    people = ["ATTENDEE:mailto:ana@example.org", "ATTENDEE:mailto:leo@example.org"]

    assert "several attendees (ana@example.org, leo@" in read(calendar(tmp_path, [AT_TWO, *people]))[0]["client"].reason


def test_what_is_no_calendar_or_an_empty_one_is_refused(tmp_path):
    with pytest.raises(SourceError, match="without an event"):
        open_source(calendar(tmp_path))
    for content in (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"BEGIN:VCALENDAR\r\nnonsense\r\nEND:VEVENT\r\n"):
        (tmp_path / "broken.ics").write_bytes(content)
        with pytest.raises(SourceError):
            open_source(tmp_path / "broken.ics")
    (tmp_path / "rows.ics").write_text("a,b\n1,2\n")
    assert read(tmp_path / "rows.ics") == [{"a": "1", "b": "2"}]


def test_the_calendar_of_a_message_comes_back(tmp_path):
    entry = Entry("u@x", 0, REQUEST, START, 60, "Luz", ("Eva", "eva@example.org"), ("Ana", "ana@example.org"), START)
    (tmp_path / "a.ics").write_bytes(ics(entry))
    (row,) = read(tmp_path / "a.ics")

    assert (row["scheduled_at"], row["duration_minutes"], row["professional"]) == (START, 60, "eva@example.org")
    assert (row["client"], row["state"]) == ("ana@example.org", "confirmed")


@pytest.mark.slow
def test_a_calendar_is_imported(db, b, tmp_path):
    names = ("X-RAYCES-STUDENT-FIRST-NAME:Luz", "X-RAYCES-STUDENT-LAST-NAME:Sosa", "ORGANIZER:mailto:eva@example.org")
    event = (
        f"DTSTART:{START:%Y%m%dT%H%M%SZ}",
        "DURATION:PT1H",
        "STATUS:CONFIRMED",
        "RRULE:FREQ=WEEKLY;COUNT=3",
        *names,
    )
    with db.tenant(b):
        make_centre()
        report = importing.run(calendar(tmp_path, event), "appointments")
        assert (report.created, importing.run(calendar(tmp_path, event), "appointments").unchanged) == (3, 3)
        assert Appointment.select().where(Appointment.scheduled_at == START + dt.timedelta(days=14)).exists()


def days(tmp_path, *events, **how):
    return [f"{row['scheduled_at']:%d %H}" for row in read(calendar(tmp_path, *events, **how))]


@pytest.mark.parametrize(
    "named", ["20260310T140000", "20260310T170000Z", "VALUE=DATE:20260310", f"{IN}:20260310T140000"]
)
def test_a_time_that_was_called_off_or_moved_is_not_there_however_it_is_written(tmp_path, named):
    separator = ";" if "=" in named else ":"
    assert days(tmp_path, (*WEEKLY, f"EXDATE{separator}{named}")) == ["03 14", "17 14"]

    moved = ("UID:w", f"RECURRENCE-ID{separator}{named}", f"DTSTART;{IN}:20260311T150000")
    assert sorted(days(tmp_path, WEEKLY, moved)) == ["03 14", "11 15", "17 14"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("EXDATE:20260310T150000", "takes place on 2026-03-10, but not at 15:00"),
        ("EXRULE:FREQ=WEEKLY;COUNT=1", "EXRULE"),
        ("RRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=2", "does not name"),
        ("RDATE;VALUE=DATE:20260401", "no moment"),
    ],
)
def test_a_series_whose_times_are_not_certain_is_refused(tmp_path, more, says):
    first, _ = read(calendar(tmp_path, (*WEEKLY, more), [AT_TWO]))
    assert says in first


@pytest.mark.parametrize("meant", [f";RANGE=THISANDFUTURE;{IN}:20260310T140000", ":2026"])
def test_a_series_of_which_another_event_stands_for_nobody_knows_what_is_refused(tmp_path, meant):
    first, *_ = read(calendar(tmp_path, WEEKLY, ("UID:w", f"RECURRENCE-ID{meant}", AT_TWO), [AT_TWO]))
    assert "cannot be told" in first


def test_the_newest_version_of_an_event_counts(tmp_path):
    old, new = ("UID:v", AT_TWO), ("UID:v", "SEQUENCE:1", f"DTSTART;{IN}:20260305T140000")
    assert days(tmp_path, old, new) == days(tmp_path, new, old) == ["05 14"]

    *refused, other = read(calendar(tmp_path, old, ("UID:v", f"DTSTART;{IN}:20260305T140000"), ["UID:o", AT_TWO]))
    assert all("has the UID of another event" in reason for reason in refused)
    assert len(refused) == 2
    assert other["uid"] == "o"


def test_what_a_calendar_says_holds_for_its_events(tmp_path):
    assert read(calendar(tmp_path, [AT_TWO], says="METHOD:CANCEL\r\n"))[0]["state"] == "cancelled"

    madrid = read(calendar(tmp_path, ["DTSTART:20260303T140000"], says="X-WR-TIMEZONE:Europe/Madrid\r\n"))
    assert madrid[0]["scheduled_at"] == dt.datetime(2026, 3, 3, 14, tzinfo=ZoneInfo("Europe/Madrid"))


def test_a_calendar_of_which_nothing_can_be_read_says_why(tmp_path):
    with pytest.raises(SourceError, match="no event that can be read: is an event of whole days"):
        open_source(calendar(tmp_path, ["DTSTART;VALUE=DATE:20260303"]))
    with pytest.raises(SourceError, match="'Nowhere', which is not known"):
        open_source(calendar(tmp_path, ["DTSTART:20260303T140000"], says="X-WR-TIMEZONE:Nowhere\r\n"))
