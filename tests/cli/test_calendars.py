"""`rayces calendars refresh` and `failing`: exit codes, what it prints, for whom."""

import json
from datetime import timedelta

import pytest

from rayces_core import OutsideBusy, OutsideCalendar, clock
from rayces_core.calendars import add_outside_calendar
from tests.calendars.conftest import server as server
from tests.calendars.reading import a_calendar, an_event
from tests.factory import make_organization, make_professional

LOCAL = ("--allow", "127.0.0.0/8")
DAILY = an_event(";VALUE=DATE:20260303", ";VALUE=DATE:20260304") + "RRULE:FREQ=DAILY"


@pytest.fixture
def two(bare_db, server):
    """A calendar in the organization `north`, and one in `south`."""
    for name in ("north", "south"):
        with bare_db.tenant(make_organization(bare_db, subdomain=name)):
            add_outside_calendar(make_professional(), f"{server.url}/{name}.ics", name="Mine")
        server.answers[f"/{name}.ics"] = lambda _: (200, {}, a_calendar(DAILY))


@pytest.mark.slow
def test_calendars_that_are_due_are_read_once(bare, bare_db, two):
    ran = bare("calendars", "refresh", *LOCAL)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("Calendars read: 2\n")
    with bare_db.tenant("north"):
        assert OutsideBusy.select().count() == 1  # days that touch are one stretch
    assert bare("calendars", "refresh", *LOCAL).out == "Calendars read: 0\n"


@pytest.mark.slow
def test_one_organizations_are_read_and_told_as_json(bare, bare_db, two):
    ran = bare("calendars", "refresh", *LOCAL, "--organization", "north", "--json")
    (told,) = json.loads(ran.out)
    assert (ran.code, told["outcome"], told["added"], told["removed"], told["reason"]) == (0, "read", 1, 0, None)
    with bare_db.tenant("south"):
        assert OutsideBusy.select().count() == 0
    again = json.loads(bare("calendars", "refresh", *LOCAL, "--organization", "north", "--every", "0", "--json").out)
    assert [each["added"] for each in again] == [0]


@pytest.mark.slow
def test_one_that_cannot_be_read_is_1_and_no_address_is_printed(bare, two, server):
    server.answers["/north.ics"] = lambda _: (404, {}, b"")
    ran = bare("calendars", "refresh", *LOCAL)
    assert (ran.code, ran.err) == (1, "")
    assert "status" in ran.out
    assert server.url not in ran.out


@pytest.mark.slow
def test_addresses_that_are_not_public_are_not_read_unless_they_are_allowed(bare, two, server):
    ran = bare("calendars", "refresh")
    assert ran.code == 1
    assert ran.out.count("refused_address") == 2
    assert server.asked == []


def test_what_is_no_network_is_a_fault_of_the_configuration(bare, two):
    assert bare("calendars", "refresh", "--allow", "localhost").code == 3


@pytest.mark.slow
def test_those_that_fail_for_days_are_told_by_name_and_are_1(bare, bare_db, two):
    assert (bare("calendars", "failing").code, bare("calendars", "failing", "--json").out.strip()) == (0, "[]")
    with bare_db.tenant("north"):
        calendar = OutsideCalendar.get()
        calendar.failing_since, calendar.failure = clock.now() - timedelta(days=4), "its server answered 404"
        calendar.save()
    ran = bare("calendars", "failing")
    assert ran.code == 1
    assert "its server answered 404" in ran.out
    (told,) = json.loads(bare("calendars", "failing", "--organization", "north", "--json").out)
    assert (told["calendar_id"], told["name"]) == (calendar.id, "Mine")
    assert bare("calendars", "failing", "--days", "5").code == 0
    assert bare("calendars", "failing", "--organization", "south").code == 0
