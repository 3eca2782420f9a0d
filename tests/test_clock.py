"""The clock is aware, in UTC, and stands still inside `frozen`."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import clock
from rayces_core.errors import InvalidDataError, NaiveDatetimeError

MOMENT = datetime(2026, 5, 25, 14, 30, tzinfo=UTC)
BUENOS_AIRES = ZoneInfo("America/Argentina/Buenos_Aires")


def test_now_is_aware_in_utc_and_between_two_readings_of_the_system():
    before = datetime.now(UTC)
    moment = clock.now()
    assert moment.tzinfo is UTC
    assert before <= moment <= datetime.now(UTC)


def test_frozen_holds_the_clock_and_lets_it_run_again_afterwards():
    with clock.frozen(MOMENT) as held:
        assert held == clock.now() == MOMENT
    assert clock.now() != MOMENT


def test_frozen_blocks_nest_and_restore_also_after_an_exception():
    with clock.frozen(MOMENT):
        with clock.frozen(MOMENT + timedelta(days=1)):
            assert clock.now() == MOMENT + timedelta(days=1)
        assert clock.now() == MOMENT
        with pytest.raises(ZeroDivisionError), clock.frozen(MOMENT + timedelta(days=2)):
            1 / 0  # noqa: B018
        assert clock.now() == MOMENT


def test_frozen_gives_the_moment_in_utc_whatever_zone_it_came_in():
    with clock.frozen(datetime(2026, 5, 25, 11, 30, tzinfo=BUENOS_AIRES)):
        assert clock.now() == MOMENT
        assert clock.now().tzinfo is UTC


def test_frozen_refuses_a_naive_datetime_and_says_what_to_do():
    with pytest.raises(NaiveDatetimeError, match=r"clock\.frozen: .*time zone"), clock.frozen(datetime(2026, 5, 25)):
        pass


def test_frozen_refuses_what_is_no_datetime():
    with pytest.raises(InvalidDataError, match="aware datetime"), clock.frozen("2026-05-25T00:00:00Z"):
        pass


def test_a_new_thread_has_a_running_clock():
    seen = []
    with clock.frozen(MOMENT):
        thread = threading.Thread(target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join()
    assert seen[0] != MOMENT


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))
def test_utc_keeps_the_moment_and_changes_only_the_zone(moment):
    converted = clock.utc(moment, "x")
    assert converted.tzinfo is UTC
    assert converted.timestamp() == moment.timestamp()
    assert converted.microsecond == moment.microsecond


@given(st.datetimes())
def test_utc_refuses_every_naive_datetime(moment):
    with pytest.raises(NaiveDatetimeError) as refused:
        clock.utc(moment, "Appointment.scheduled_at")
    assert refused.value.field == "Appointment.scheduled_at"
    assert refused.value.value is moment


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
    ],
)
def test_utc_refuses_a_moment_that_falls_outside_the_calendar_in_utc(moment):
    with pytest.raises(InvalidDataError, match="outside the years"):
        clock.utc(moment, "x")
