"""Sweeps: each overdue hold expires once, from however many hosts."""

from collections import Counter
from contextvars import Context
from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CreditTransaction,
    Database,
    InvalidDataError,
    NaiveDatetimeError,
    StateTransition,
    TenantNotSetError,
    clock,
    credits,
)
from rayces_core.scheduling import expire_overdue, free_slots
from rayces_core.state_machine.announcing import Effect
from tests.scheduling import racing
from tests.scheduling.worlds import (
    ALWAYS,
    DAY,
    HOUR,
    INSTANT,
    NOW,
    Other,
    at,
    open_centre,
)
from tests.walking import walked
from tests.wire import wire

OVERDUE = NOW + 24 * HOUR + INSTANT
ONE_DAY = timedelta(days=1)


@pytest.fixture
def centre(db):
    with open_centre(db, weekly_schedule=ALWAYS) as opened:
        yield opened


HOLD = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes,
                          state, pre_confirmed_at, expires_at)
SELECT %(tenant)s, %(professional)s, %(student)s, %(client)s, %(first)s + number * interval '15 minutes', 15,
       'pre_confirmed', %(now)s, %(now)s + interval '24 hours'
  FROM generate_series(0, %(count)s - 1) AS number RETURNING id
"""


def hold(centre, count):
    """So many holds of fifteen minutes each, one after the other, all to be confirmed within a day."""
    people = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    values = people | {"tenant": centre.db.organization_id, "first": DAY, "now": NOW, "count": count}
    return [number for (number,) in centre.db.execute_sql(HOLD, values).fetchall()]


def events(ids):
    """How often the journal has each of them expire."""
    rows = StateTransition.select().where((StateTransition.event == "expire") & StateTransition.subject_id.in_(ids))
    return Counter(row.subject_id for row in rows)


# -- expiry -----------------------------------------------------------------------------------------------------------


def test_a_hold_that_was_not_confirmed_in_time_is_cancelled(centre, told):
    credits.purchase(centre.client, 1)
    booked = centre.book(at(10), uses_credit=True)
    told.clear()

    assert expire_overdue(OVERDUE) == 1

    now = Appointment.get_by_id(booked.id)
    assert (now.state, now.cancelled_at, now.cancelled_by, now.cancellation_reason) == (
        "cancelled",
        OVERDUE,
        None,
        "expired",
    )
    row = now.history()[-1]
    assert (row.event, row.from_state, row.to_state) == ("expire", "pre_confirmed", "cancelled")
    assert (row.actor, row.reason, row.occurred_at) == (None, "expired", OVERDUE)
    assert [(change.event, change.subject, change.reason) for change in told] == [("expire", now, "expired")]
    assert [entry.amount for entry in CreditTransaction.select()] == [1]
    assert free_slots(centre.professional, at(10), at(11), now=OVERDUE)


def test_a_hold_lasts_to_its_very_end(centre):
    booked = centre.book(at(10))

    with centre.untouched():
        assert expire_overdue(booked.expires_at) == 0
    assert expire_overdue(booked.expires_at + INSTANT) == 1
    assert expire_overdue(booked.expires_at + INSTANT) == 0


@pytest.mark.slow
def test_only_holds_expire(centre):
    centre.book(at(9), confirm=True)
    centre.book(at(10), draft=True)
    centre.book(at(11)).cancel(reason="ill")
    centre.book(at(12), confirm=True).execute(now=at(12))

    with centre.untouched():
        assert expire_overdue(at(10, 30)) == 0


def test_without_a_present_the_clock_is_asked(centre):
    centre.book(at(10))

    assert expire_overdue() == 0
    with clock.frozen(OVERDUE):
        assert expire_overdue() == 1


@walked("count, size", [(0, 1), (1, 1), (7, 3), (9, 3), (20, 500)])
def test_all_of_them_expire_whatever_the_size_of_a_batch(centre, count, size):
    ids = hold(centre, count)

    assert expire_overdue(OVERDUE, batch_size=size) == count
    assert events(ids) == dict.fromkeys(ids, 1)


def test_each_batch_is_committed_by_itself(centre, monkeypatch):
    ids, seen = hold(centre, 9), []

    def fail_at_the_fifth(change):
        seen.append(change)
        if len(seen) == 5:
            raise RuntimeError

    monkeypatch.setitem(Appointment.lifecycle._announcements._effects, "expire", [Effect(fail_at_the_fifth, None, ())])
    with pytest.raises(RuntimeError):
        expire_overdue(OVERDUE, batch_size=3)

    assert sum(events(ids).values()) == Appointment.in_state("cancelled").count() == 3
    assert expire_overdue(OVERDUE, batch_size=3) == 6


@pytest.mark.slow
def test_a_batch_is_one_statement(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        hold(centre, 7)
        proxy.sent.clear()

        expire_overdue(OVERDUE, batch_size=3)

        assert len(proxy.sent) == 3 * 3  # BEGIN, the statement, COMMIT


def test_what_another_session_works_on_is_left_to_it_and_not_waited_for(db, centre):
    first, second = hold(centre, 2)
    with db.atomic():
        Appointment.get_by_id(first).confirm(now=NOW)
        other = Other(db, centre.organization, lambda: expire_overdue(OVERDUE))
        assert other.finish() == 1

    assert events([first, second]) == {second: 1}
    assert expire_overdue(OVERDUE) == 0
    assert Appointment.get_by_id(first).state == "confirmed"


def test_a_tenants_sweep_is_about_its_own(db, centre):
    ids = hold(centre, 2)
    with open_centre(db) as other:
        theirs = hold(other, 3)
        assert expire_overdue(OVERDUE) == 3
        assert sum(events(theirs).values()) == 3

    with db.tenant(centre.organization):
        assert sum(events(ids).values()) == 0


@pytest.mark.slow
def test_privileged_work_sweeps_every_organization_and_each_journal_is_its_own(own_db, told):
    with open_centre(own_db) as one:
        ours = hold(one, 5)
    with open_centre(own_db) as two:
        theirs = hold(two, 4)

    with own_db.privileged(reason="expire"):
        assert expire_overdue(OVERDUE, batch_size=4) == 9

    for organization, ids in ((one.organization, ours), (two.organization, theirs)):
        with own_db.tenant(organization):
            assert events(ids) == dict.fromkeys(ids, 1)
            assert Appointment.in_state("cancelled").count() == len(ids)
    assert Counter(change.subject.organization_id for change in told) == {
        one.organization.id: 5,
        two.organization.id: 4,
    }


@pytest.mark.slow
def test_processes_at_once_expire_each_exactly_once(db, centre):
    ids = hold(centre, 400)
    with racing.crew(db, 6) as crew:
        outcomes = crew.race([(racing.expire, {"now": OVERDUE, "batch_size": 7})] * 6)

    total = sum(outcome.value for outcome in outcomes)
    total += expire_overdue(OVERDUE)  # what all of them had left to each other
    assert total == 400
    assert events(ids) == dict.fromkeys(ids, 1)


@walked("size", [0, -1, 1.5, "10", True, None])
def test_a_batch_has_a_size(centre, size):
    with pytest.raises(InvalidDataError, match="batch_size"):
        expire_overdue(OVERDUE, batch_size=size)


def test_sweeps_need_a_binding_and_aware_moments(db, centre):
    with pytest.raises(NaiveDatetimeError):
        expire_overdue(NOW.replace(tzinfo=None))
    with pytest.raises(TenantNotSetError):
        Context().run(lambda: expire_overdue(OVERDUE))
