"""Days of an organization are those of its wall clocks, whatever a clock change makes of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import InvalidDataError
from rayces_core.tenancy.organization import Organization


@pytest.mark.parametrize(
    "zone, first, days, hours",
    [
        ("America/Argentina/Buenos_Aires", date(2031, 3, 3), 1, 24),
        ("America/Argentina/Buenos_Aires", date(2031, 3, 3), 7, 168),
        ("Europe/Madrid", date(2026, 3, 29), 1, 23),
        ("Europe/Madrid", date(2026, 10, 25), 1, 25),
        ("Europe/Madrid", date(2026, 10, 19), 7, 169),
        ("America/Santiago", date(2026, 9, 6), 1, 23),  # its midnight is the hour that is left out
    ],
)
def test_a_local_day_lasts_until_the_next_midnight(zone, first, days, hours):
    organization = Organization(name="North", subdomain="north", time_zone=zone)
    begins, ends = organization.local_days(first, days)
    assert ends - begins == timedelta(hours=hours)
    assert begins.tzinfo == ends.tzinfo == UTC
    assert begins.astimezone(organization.zone).date() == first
    assert (begins - timedelta(microseconds=1)).astimezone(organization.zone).date() == first - timedelta(days=1)
    assert organization.local_days(first + timedelta(days=days))[0] == ends


def test_a_day_begins_where_the_clocks_say_so():
    organization = Organization(name="North", subdomain="north")
    assert organization.local_days(date(2031, 3, 3))[0] == datetime(2031, 3, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "first, days",
    [(date(2031, 3, 3), 0), (date(2031, 3, 3), -1), (date.max, 1), (date(9999, 12, 1), 31), (date(2031, 3, 3), 10**12)],
)
def test_days_that_are_none_are_refused(first, days):
    with pytest.raises(InvalidDataError):
        Organization(name="North", subdomain="north").local_days(first, days)


def test_the_first_day_of_the_calendar_is_refused_where_it_begins_before_it_in_utc():
    with pytest.raises(InvalidDataError):
        Organization(name="North", subdomain="north", time_zone="Asia/Tokyo").local_days(date.min)
