"""Quiet hours: on any day of any zone nothing is due in them, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rayces_core.fields.notices import QuietHours
from rayces_core.notices import quiet_until, reminder_due
from tests.sizes import quick_or_whole
from tests.walking import walked

# Clocks that go forward and back by an hour or half of one, at midnight and at two; and one that never moves.
ZONES = (
    *("America/Argentina/Buenos_Aires", "America/New_York", "Europe/Madrid", "America/Santiago"),
    *("Australia/Lord_Howe", "America/Havana", "UTC"),
)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NIGHT = QuietHours(start="22:00", end="08:00")
BUENOS_AIRES = ZoneInfo("America/Argentina/Buenos_Aires")


def clocks():
    return st.builds(lambda minute: f"{minute // 60:02}:{minute % 60:02}", st.integers(0, 24 * 60 - 1))


def hours():
    def made(start, end):
        try:
            return QuietHours(start=start, end=end)
        except ValidationError:
            return NIGHT

    return st.builds(made, clocks(), clocks())


def is_quiet(moment, given, zone):
    """The slow and plain way: what the wall clock shows."""
    start, end = given.bounds
    shown = moment.astimezone(zone).time()
    return start <= shown < end if start < end else shown >= start or shown < end


def moments():
    return st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(
        lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
    )


@given(moments(), hours(), st.sampled_from(ZONES).map(ZoneInfo))
@example(datetime(2026, 3, 8, 7, 10, tzinfo=UTC), QuietHours(start="02:30", end="06:00"), ZoneInfo("America/New_York"))
@example(datetime(2026, 11, 1, 6, 10, tzinfo=UTC), QuietHours(start="22:00", end="01:30"), ZoneInfo("America/New_York"))
@example(datetime(2026, 11, 1, 5, 10, tzinfo=UTC), QuietHours(start="22:00", end="01:30"), ZoneInfo("America/New_York"))
def test_quiet_hours_end_at_the_first_moment_that_is_not_quiet(moment, given, zone):
    end = quiet_until(moment, given, zone)

    assert (end is not None) == is_quiet(moment, given, zone)
    if end is not None:
        assert moment < end <= moment + DAY + HOUR
        assert not is_quiet(end, given, zone)
        # Where clocks go forward over the end, an hour too many at most is quiet; else each minute before it is.
        between = [moment + n * MINUTE for n in range((end - moment) // MINUTE)]
        loud = [each for each in between if not is_quiet(each, given, zone)]
        assert len(loud) <= 60
        if quick_or_whole(False, True) and len({each.astimezone(zone).utcoffset() for each in (*between, end)}) == 1:
            assert not loud


@given(
    moments(),
    st.integers(1, 7 * 24 * 60),
    st.integers(0, 9 * 24 * 60),
    hours(),
    st.sampled_from(ZONES).map(ZoneInfo),
)
@example(datetime(2026, 3, 8, 10, 0, tzinfo=UTC), 60, 9000, NIGHT, ZoneInfo("America/New_York"))
@example(datetime(2026, 11, 1, 12, 0, tzinfo=UTC), 300, 9000, NIGHT, ZoneInfo("America/New_York"))
def test_no_reminder_is_due_in_quiet_hours_nor_outside_its_time(occurs_at, minutes, before, given, zone):
    ahead, since = minutes * MINUTE, occurs_at - before * MINUTE

    due = reminder_due(occurs_at, ahead, since=since, hours=given, zone=zone)

    wanted = max(occurs_at - ahead, since)
    if due is None:
        # Nobody was booked yet, or the whole time until the session is quiet.
        assert wanted >= occurs_at or is_quiet(wanted, given, zone)
        return
    assert since <= due < occurs_at
    assert not is_quiet(due, given, zone)
    if not is_quiet(wanted, given, zone):
        assert due == wanted
    elif due > wanted:
        assert due == quiet_until(wanted, given, zone)
    else:
        assert quiet_until(wanted, given, zone) >= occurs_at


def test_without_quiet_hours_a_reminder_is_due_at_its_stage():
    at = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert reminder_due(at, HOUR, since=at - DAY, hours=None, zone=BUENOS_AIRES) == at - HOUR
    assert reminder_due(at, DAY, since=at - HOUR, hours=None, zone=BUENOS_AIRES) == at - HOUR
    assert reminder_due(at, DAY, since=at, hours=None, zone=BUENOS_AIRES) is None
    assert quiet_until(at, None, BUENOS_AIRES) is None


@walked(
    ("session", "stage", "due"),
    [
        ("2026-05-04T10:00", 60, "2026-05-04T09:00"),
        ("2026-05-04T08:30", 60, "2026-05-04T08:00"),
        ("2026-05-04T08:00", 60, "2026-05-03T21:30"),
        ("2026-05-04T07:15", 30, "2026-05-03T21:30"),
        ("2026-05-04T22:30", 60, "2026-05-04T21:30"),
        ("2026-05-05T23:00", 24 * 60, "2026-05-05T08:00"),
    ],
)
def test_at_night_in_buenos_aires(session, stage, due):
    occurs_at = datetime.fromisoformat(session).replace(tzinfo=BUENOS_AIRES).astimezone(UTC)
    found = reminder_due(occurs_at, stage * MINUTE, since=occurs_at - 9 * DAY, hours=NIGHT, zone=BUENOS_AIRES)
    assert found is not None
    assert found.astimezone(BUENOS_AIRES).isoformat()[:16] == due


def test_what_was_booked_in_the_quiet_hours_before_the_session_is_not_reminded_of():
    occurs_at = datetime(2026, 5, 4, 7, tzinfo=BUENOS_AIRES).astimezone(UTC)
    assert reminder_due(occurs_at, HOUR, since=occurs_at - 8 * HOUR, hours=NIGHT, zone=BUENOS_AIRES) is None


@pytest.mark.parametrize("zone", ["America/New_York"])
def test_clocks_that_are_put_back_end_quiet_hours_once_each_time_they_show_the_end(zone):
    given, put_back = QuietHours(start="22:00", end="01:30"), datetime(2026, 11, 1, 5, 0, tzinfo=UTC)  # 01:00, first
    assert quiet_until(put_back, given, ZoneInfo(zone)) == put_back + 30 * MINUTE
    assert quiet_until(put_back + HOUR, given, ZoneInfo(zone)) == put_back + 90 * MINUTE
