"""What operators do: how the queue stands, and what the log forgets."""

from datetime import timedelta

import pytest

from rayces_core import InvalidDataError, Notice, notices
from tests.factory import START, make_appointment, make_notice, make_organization
from tests.notices.senders import Kept, reminders
from tests.scheduling.worlds import at, open_centre

DAY = timedelta(days=1)


def settled(**columns):
    return make_notice(state="sent", attempts=1, sent_at=START, **columns)


@pytest.mark.slow
def test_the_log_forgets_addresses_and_then_rows_as_each_organization_says(own_db):
    for settings in ({}, {"notices": {"keep_addresses_days": 1, "keep_days": 2}}):
        with own_db.tenant(make_organization(own_db, settings=settings)):
            for days in (0, 1.5, 3):
                settled(occurs_at=START - days * DAY, address="eva@example.org", channel="sms")
            settled(occurs_at=START + DAY, address="eva@example.org")
    found = notices.prune(own_db, now=START + timedelta(minutes=1))
    assert found == notices.Pruned(deleted=1, forgotten=1)
    with own_db.privileged(reason="test"):
        kept = sorted((row.organization_id, row.address is not None) for row in Notice.select())
    first, second = sorted({organization for organization, _ in kept})
    assert [known for organization, known in kept if organization == first] == [True] * 4
    assert [known for organization, known in kept if organization == second] == [False, True, True]
    assert notices.prune(own_db, now=START + timedelta(minutes=1)) == notices.Pruned(0, 0)


@pytest.mark.slow
def test_what_is_to_come_is_never_forgotten_so_that_nobody_is_told_twice(own_db):
    settings = reminders(24 * 60, keep_days=0, keep_addresses_days=0)
    with open_centre(own_db, settings=settings) as centre:
        centre.book(at(10), confirm=True)
    kept = Kept()
    for _ in range(2):
        notices.deliver(own_db, {"email": kept}, now=at(9))
        assert notices.prune(own_db, now=at(9)) == notices.Pruned(0, 0)
    assert len(kept.outgoing) == 1
    assert notices.prune(own_db, now=at(11)) == notices.Pruned(1, 0)


@pytest.mark.slow
def test_the_standing_of_one_organization_and_of_all(own_db):
    ids = []
    for _ in range(2):
        with own_db.tenant(make_organization(own_db)) as organization:
            ids.append(organization.id)
            booked = make_appointment()
            make_notice(appointment=booked)
            make_notice(appointment=booked, channel="sms", due_at=START + DAY)
            settled(appointment=booked, channel="push")
            make_notice(appointment=booked, channel="fax", state="failed", attempts=1, reason="no paper")
    assert notices.standing(own_db, organization=ids[0], now=START) == notices.Standing(2, 1, 1, 1, 0, START)
    assert notices.standing(own_db, now=START) == notices.Standing(4, 2, 2, 2, 0, START)
    assert [each.reason for each in notices.listed(own_db)] == ["no paper"] * 2
    assert [each.state for each in notices.listed(own_db, state=None, organization=ids[1], limit=1)] == ["queued"]
    with pytest.raises(InvalidDataError):
        notices.listed(own_db, state="lost")
