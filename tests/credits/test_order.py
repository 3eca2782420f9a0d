"""Entries of a balance come in one order, the chain's, and moments never run against it, whatever clocks say."""

import threading
from datetime import timedelta

import pytest

from rayces_core import CreditBalance, InvalidDataError, clock, credits
from tests.credits.ledger import confirmed, early, entries, held_appointment, nothing_written
from tests.factory import make_user
from tests.walking import walked

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def lines(user):
    now = clock.now()
    return credits.statement(user, now - 9 * DAY, now + DAY).lines


def moments(user):
    ordered = sorted(entries(user), key=lambda entry: entry.sequence or 0)
    return [entry.processed_at for entry in ordered if entry.processed_at is not None]


def in_order(user):
    return moments(user) == sorted(moments(user))


def test_f08_clocks_of_two_servers_that_differ_change_no_order_and_no_line(ana):
    credits.purchase(ana, 5)
    with clock.frozen(clock.now() - timedelta(seconds=2)):  # another server's, behind
        debit = credits.debit(ana, 5)
    assert [(line.entry.amount, line.balance, line.entry.balance_after) for line in lines(ana)] == [
        (5, 5, 5),
        (-5, 0, 0),
    ]
    assert in_order(ana)
    assert credits.balance(ana, at=debit.processed_at) == 0
    assert credits.balance(ana, at=debit.processed_at - timedelta(microseconds=1)) == 0


@pytest.mark.slow
@walked("way", ["purchase", "purchase_many", "complete", "adjust", "transfer", "refund", "confirm"])
def test_f08_no_way_in_lies_before_what_the_balance_has(rich, desk, way):
    paid, held = confirmed(rich, 1), held_appointment(rich, 1)
    pending = credits.purchase(rich, 1, pending=True)
    ahead = clock.now() + timedelta(seconds=30)
    with clock.frozen(ahead):
        credits.purchase(rich, 1)
    {
        "purchase": lambda: credits.purchase(rich, 1),
        "purchase_many": lambda: credits.purchase_many([{"user": rich, "credits": 1}] * 2),
        "complete": lambda: credits.complete(pending),
        "adjust": lambda: credits.adjust(rich, 1, reason="x", by=desk),
        "transfer": lambda: credits.transfer(rich, desk, 1, reason="x", by=desk),
        "refund": lambda: credits.refund(paid),
        "confirm": lambda: held.confirm(now=early(held, days=2)),
    }[way]()
    assert in_order(rich)
    assert max(moments(rich)) == ahead
    assert CreditBalance.get(CreditBalance.user == rich).updated_at == ahead
    assert credits.verify().is_clean


@pytest.mark.slow
def test_f08_many_at_once_on_one_balance_come_in_the_order_of_the_chain(db, bound, ana):
    credits.purchase(ana, 5)

    def work(number):
        with db.tenant(bound.id):
            for turn in range(12):
                credits.purchase(ana.id, 1) if (turn + number) % 2 else credits.purchase(
                    ana.id, 2, idempotency_key=f"{number}/{turn}"
                )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moments(ana)) == 49
    assert in_order(ana)
    assert [line.balance for line in lines(ana)] == [line.entry.balance_after for line in lines(ana)]
    for line in lines(ana):
        assert credits.balance(ana, at=line.entry.processed_at) >= line.balance


@pytest.mark.slow
def test_f08_a_span_that_is_over_says_the_same_when_a_longer_unit_commits(db, bound, rich):
    start, posted, go_on = clock.now() - DAY, threading.Event(), threading.Event()

    def slow():
        with db.tenant(bound.id), db.atomic():
            credits.debit(rich.id, 2)
            posted.set()
            go_on.wait(60)

    unit = threading.Thread(target=slow)
    unit.start()
    assert posted.wait(60)
    end = clock.now() + timedelta(seconds=1)
    threading.Timer(0.2, go_on.set).start()
    told = credits.statement(rich, start, end).closing_balance, credits.balance(rich, at=end)
    unit.join()
    assert told == (credits.statement(rich, start, end).closing_balance, credits.balance(rich, at=end)) == (8, 8)


@pytest.mark.parametrize("level", [None, "REPEATABLE READ"])
def test_looking_at_the_past_keeps_nobody_waiting_afterwards(db, bound, rich, level):
    with db.atomic(level) if level else db.atomic():
        assert credits.balance(rich, at=clock.now() + HOUR) == 10

        def post():
            with db.tenant(bound.id), db.atomic():
                db.execute_sql("SET LOCAL lock_timeout = '5s'")
                credits.purchase(rich.id, 1)

        other = threading.Thread(target=post)
        other.start()
        other.join(60)
        assert not other.is_alive()
    assert credits.balance(rich) == 11


def test_a_server_that_only_reads_tells_the_past_too(db, rich):
    with db.atomic():
        db.execute_sql("SET TRANSACTION READ ONLY")
        assert credits.balance(rich, at=clock.now() + HOUR) == 10


WAYS = {
    "purchase": lambda user, desk, now: credits.purchase(user, 1, now=now),
    "a pending one": lambda user, desk, now: credits.purchase(user, 1, pending=True, now=now),
    "debit": lambda user, desk, now: credits.debit(user, 1, now=now),
    "adjust": lambda user, desk, now: credits.adjust(user, 1, reason="x", by=desk, now=now),
    "transfer": lambda user, desk, now: credits.transfer(user, desk, 1, reason="x", by=desk, now=now),
    "purchase_many": lambda user, desk, now: credits.purchase_many([{"user": user, "credits": 1}], now=now),
    "complete": lambda user, desk, now: credits.complete(WAITING.pop(), now=now),
    "refund": lambda user, desk, now: credits.refund(PAID.pop(), now=now),
}
WAITING, PAID = [], []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("away", [-9 * DAY, 100 * 365 * DAY, timedelta(minutes=2), -timedelta(minutes=2)], ids=str)
def test_f08_a_moment_that_is_not_the_servers_is_refused(rich, desk, way, away):
    WAITING.append(credits.purchase(rich, 1, pending=True))
    PAID.append(confirmed(rich, 1))
    with nothing_written(), pytest.raises(InvalidDataError, match="is not the present") as caught:
        WAYS[way](rich, desk, clock.now() + away)
    assert caught.value.field == "now"


@pytest.mark.parametrize("way", WAYS)
def test_f08_near_it_the_servers_own_counts_and_a_clock_that_is_set_is_believed(rich, desk, way):
    for _ in range(2):
        WAITING.append(credits.purchase(rich, 1, pending=True))
        PAID.append(confirmed(rich, 1))
    before = clock.now()
    WAYS[way](rich, desk, before + timedelta(seconds=30))
    assert all(moment < before + timedelta(seconds=20) for moment in moments(rich))
    ahead = before + 400 * DAY
    with clock.frozen(ahead):
        WAYS[way](rich, desk, ahead + DAY)
    newest = max(entries(rich), key=lambda entry: entry.processed_at or entry.created_at)
    assert (newest.processed_at or newest.created_at) == ahead + DAY


def test_an_event_with_a_moment_of_its_own_posts_at_the_servers(rich):
    before = clock.now()
    appointment = confirmed(rich, 1)  # long ago or far ahead, as its caller says
    assert before - timedelta(minutes=1) < entries(rich)[-1].processed_at < clock.now() + timedelta(minutes=1)
    appointment.cancel(reason="ill", refund=True, now=before + 999 * DAY)
    assert entries(rich)[-1].processed_at < clock.now() + timedelta(minutes=1)
    assert appointment.cancelled_at == before + 999 * DAY


@pytest.mark.slow
def test_the_balance_is_never_negative_at_any_moment(db, ana):
    for turn in range(12):
        with clock.frozen(clock.now() + (turn % 5 - 2) * HOUR):
            credits.purchase(ana, 3)
            credits.debit(ana, 3)
    other = make_user()
    assert credits.balance(other, at=clock.now()) == 0
    assert {credits.balance(ana, at=moment) for moment in moments(ana)} <= {0, 3}
