"""Every entry that begins to count is announced as "posted", after its commit, in order, and once."""

import pytest

from rayces_core import Appointment, CreditTransaction, InsufficientCreditsError, credits
from tests.credits.ledger import confirmed, early, held_appointment, statements
from tests.factory import make_user


class Undone(Exception):
    pass


@pytest.fixture
def told():
    """What was announced as posted."""
    changes = []
    credits.lifecycle.on("posted")(changes.append)
    yield changes
    credits.lifecycle.off(changes.append)


def amounts(told):
    return [change.subject.amount for change in told]


def test_an_entry_that_counts_is_announced_with_who_and_when(told, ana, desk):
    entry = credits.purchase(ana, 5, by=desk)
    (change,) = told
    assert change.subject is entry
    assert (change.event, change.from_state, change.to_state) == ("posted", "pending", "completed")
    assert (change.actor, change.reason, change.occurred_at) == (desk, None, entry.processed_at)


def test_every_way_announces_and_a_refusal_nothing(told, ana, desk):
    bruno = make_user()
    credits.purchase(ana, 20)
    credits.debit(ana, 3, reason="materials")
    credits.adjust(ana, -1, reason="x", by=desk)
    credits.transfer(ana, bruno, 4, reason="x", by=desk)
    credits.purchase_many([{"user": user, "credits": 7} for user in (bruno, ana)])
    credits.debit_many([{"user": bruno, "credits": 2}])
    with pytest.raises(InsufficientCreditsError):
        credits.debit(ana, 1000)
    assert amounts(told) == [20, -3, -1, -4, 4, 7, 7, -2]
    assert all(isinstance(change.subject, CreditTransaction) for change in told)


def test_a_pending_one_is_announced_when_it_counts_whichever_way_it_is_completed(told, ana, desk):
    waiting, other, failed = (credits.purchase(ana, n, pending=True) for n in (5, 6, 7))
    assert told == []
    credits.complete(waiting, by=desk)
    other.complete(by=desk)
    credits.fail(failed, "no")
    assert amounts(told) == [5, 6]
    assert [(change.event, change.actor) for change in told] == [("posted", desk)] * 2


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a unit of work"])
def test_a_repetition_is_not_announced_again(db, told, ana, inside):
    def twice():
        return [
            credits.purchase(ana, 5, idempotency_key="k"),
            credits.purchase(ana, 5, idempotency_key="k"),
            *(credits.purchase_many([{"user": ana, "credits": 1, "idempotency_key": "m"}]) for _ in range(2)),
            *(credits.complete(credits.purchase(ana, 2, pending=True, idempotency_key="c")) for _ in range(2)),
        ]

    if inside:
        with db.atomic():
            first, second, (one,), (two,), done, again = twice()
    else:
        first, second, (one,), (two,), done, again = twice()
    assert amounts(told) == [5, 1, 2]
    assert [each.was_repeated for each in (first, second, one, two, done, again)] == [False, True] * 3


def test_what_was_undone_is_not_announced_and_the_rest_after_the_commit(db, told, ana):
    with db.atomic():
        credits.purchase(ana, 1)
        with pytest.raises(Undone), db.atomic():
            credits.purchase(ana, 2)
            raise Undone
        credits.purchase_many([{"user": ana, "credits": 3}])
        assert told == []
    assert amounts(told) == [1, 3]


def test_what_a_session_costs_and_gives_back_is_announced_after_its_cause(ana, desk):
    heard = []
    credits.purchase(ana, 10)

    def hear(change):
        heard.append(change.event if change.event != "posted" else change.subject.amount)

    for machine in (Appointment.lifecycle, credits.lifecycle):
        machine.on()(hear)
    try:
        appointment = held_appointment(ana, 3)
        appointment.confirm(now=early(appointment))
        appointment.cancel(reason="ill", now=early(appointment))
    finally:
        for machine in (Appointment.lifecycle, credits.lifecycle):
            machine.off(hear)
    assert heard == ["pre_confirm", "confirm", -3, "cancel", 3]


def test_what_runs_with_a_posting_is_undone_with_it(db, ana, desk):
    def refuse(change):
        if change.subject.amount > 100:
            raise Undone

    credits.lifecycle.within("posted")(refuse)
    try:
        credits.purchase(ana, 5)
        for attempt in (
            lambda: credits.purchase(ana, 101),
            lambda: credits.purchase_many([{"user": ana, "credits": 1}, {"user": ana, "credits": 101}]),
            lambda: credits.complete(credits.purchase(ana, 101, pending=True)),
        ):
            with pytest.raises(Undone):
                attempt()
    finally:
        credits.lifecycle.off(refuse)
    assert credits.balance(ana) == 5


def test_where_nobody_listens_nothing_more_is_sent(db, rich):
    with statements(db) as sent:
        credits.debit(rich, 1)
        credits.purchase(rich, 1, idempotency_key="k")
    assert len(sent) == 2
    confirmed(rich, 1)


@pytest.mark.slow
def test_a_repeated_booking_says_so(bound, rich, desk):
    from datetime import timedelta

    from rayces_core import scheduling
    from tests.factory import make_professional, make_student

    start = early(held_appointment(rich))
    asked = {"student": make_student(), "client": rich, "professional": make_professional(), "by": desk}
    asked |= {"scheduled_at": start, "now": start - timedelta(days=2), "override_schedule": True}
    first, second = (scheduling.book(**asked, idempotency_key="k") for _ in range(2))
    assert (first.id, first.was_repeated, second.was_repeated) == (second.id, False, True)
