"""What the doctor says of work that is left lying: notices, calendars elsewhere and offers of times."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, Notice, OutsideCalendar, Professional, clock
from rayces_core.doctor import audit
from rayces_core.doctor.lagging import CHECKS
from rayces_core.scheduling import book, expire_overdue, offer_slots, request_slot
from tests.factory import make_notice, make_organization, make_outside_calendar, make_professional
from tests.scheduling.worlds import ALWAYS, another_family
from tests.test_docs import ROOT

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def now():
    return clock.now()


@pytest.fixture
def north(own_db):
    return make_organization(own_db, subdomain="north")


def lagging(db):
    return [each for each in audit(db) if each.check in {check.code for check in CHECKS}]


def found(db):
    return [(each.severity, each.check, each.object, each.remedy) for each in lagging(db)]


def a_notice(now, **columns):
    due = columns.pop("due", now - 2 * HOUR)
    return make_notice(due_at=due, retry_at=due, occurs_at=now + DAY, **columns)


def test_notices_that_are_due_for_long_are_told_by_channel(own_db, north, now):
    with own_db.tenant(north):
        for channel in ("email", "email", "sms"):
            a_notice(now, channel=channel)
        a_notice(now, channel="push", due=now - 50 * MINUTE)
        a_notice(now, channel="push", state="skipped", reason="moot")
    assert found(own_db) == [
        ("warning", "notices-wait", "notices", f"rayces notices deliver MODULE:NAME, with a sender for {channel}")
        for channel in ("email", "sms")
    ]
    assert "north over email are due and nobody sends them: 2, since " in lagging(own_db)[0].message
    with own_db.privileged(reason="a test"):
        Notice.update(occurs_at=now - MINUTE).execute()
    assert lagging(own_db) == []


def test_notices_that_are_given_up_are_told_while_they_can_be_tried_again(own_db, north, now):
    with own_db.tenant(north):
        a_notice(now, state="failed", reason="OSError: {away}", attempts=12)
    assert found(own_db) == [
        ("warning", "notices-given-up", "notices", "rayces notices retry --organization north"),
    ]
    assert "OSError: {away}" in lagging(own_db)[0].message
    with own_db.privileged(reason="a test"):
        Notice.update(occurs_at=now - MINUTE).execute()
    assert lagging(own_db) == []


def test_calendars_that_nobody_reads_or_that_always_fail_are_told(own_db, north, now):
    with own_db.tenant(north):
        unread, failing, fine = make_outside_calendar(), make_outside_calendar(), make_outside_calendar()
    with own_db.privileged(reason="a test"):
        OutsideCalendar.update(created_at=now - 2 * DAY).execute()
        OutsideCalendar.update(tried_at=now - HOUR).where(OutsideCalendar.id << [failing.id, fine.id]).execute()
        long_ago = {"failing_since": now - 4 * DAY, "failure": "it is no calendar"}
        OutsideCalendar.update(**long_ago).where(OutsideCalendar.id == failing.id).execute()
    lasting, waiting = lagging(own_db)
    assert (lasting.check, waiting.check) == ("calendar-fails", "calendars-not-read")
    assert f"calendar {failing.id} of north cannot be read since " in lasting.message
    assert lasting.message.endswith("it is no calendar")
    assert waiting.remedy == "rayces calendars refresh --organization north"
    with own_db.tenant(north):
        Professional.update(active=False).where(Professional.user == unread.professional_id).execute()
        OutsideCalendar.update(failing_since=now - 2 * DAY).where(OutsideCalendar.id == failing.id).execute()
    assert lagging(own_db) == []


def test_offers_that_are_over_and_were_not_swept_are_told_until_they_are(own_db, north, now):
    with own_db.tenant(north):
        one = make_professional(weekly_schedule=ALWAYS)
        request_slot(**another_family(), professional=one, until_day=(now + 3 * DAY).date(), now=now)
        (offer,) = offer_slots(now)
        held = Appointment.update(pre_confirmed_at=now - 4 * HOUR, expires_at=now - 2 * HOUR)
        held.where(Appointment.id == offer.id).execute()
    assert found(own_db) == [
        ("warning", "offers-not-swept", "slot_requests", "rayces slots offer --organization north"),
    ]
    with own_db.tenant(north):
        offer_slots(now)
    assert lagging(own_db) == []


def test_holds_that_are_over_and_were_not_swept_are_told_until_they_are(own_db, north, now):
    with own_db.tenant(north):
        one = make_professional(weekly_schedule=ALWAYS)
        for days in (4, 0):
            start = now.replace(minute=0, second=0, microsecond=0) + (5 + days) * DAY
            book(**another_family(), professional=one, scheduled_at=start, now=now - days * DAY)
    assert found(own_db) == [
        ("warning", "holds-not-swept", "appointments", "rayces slots expire --organization north"),
    ]
    with own_db.tenant(north):
        assert expire_overdue(now) == 1
    assert lagging(own_db) == []


def test_an_organization_that_is_switched_off_is_let_alone(own_db, north, now):
    with own_db.tenant(north):
        a_notice(now)
    with own_db.privileged(reason="a test"):
        north.active = False
        north.save()
    assert lagging(own_db) == []


def test_every_check_is_documented():
    documented = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert [check.code for check in CHECKS if f"`{check.code}`" not in documented] == []
