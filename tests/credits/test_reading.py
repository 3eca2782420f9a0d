"""What a balance was and what moved it, against a sum by hand over the same entries."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import credits
from tests.credits.ledger import NOW, entries
from tests.factory import make_user
from tests.sizes import examples
from tests.walking import walked

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("frozen")


def completed(user):
    return [entry for entry in entries(user) if entry.status == "completed"]


def summed(user, holds):
    return sum(entry.amount for entry in completed(user) if holds(entry.processed_at))


def test_the_balance_as_of_a_moment_has_the_entries_of_that_moment(bound, ana):
    for hours, amount in ((0, 5), (2, 7)):
        credits.purchase(ana, amount, now=NOW + hours * HOUR)
    second = timedelta(microseconds=1)
    assert [credits.balance(ana, at=NOW + after) for after in (-second, 0 * HOUR, 2 * HOUR - second, 2 * HOUR)] == [
        0,
        5,
        5,
        12,
    ]
    assert credits.balance(ana.id) == credits.balance(ana) == 12


def test_a_pending_purchase_counts_from_its_completion(bound, ana):
    entry = credits.purchase(ana, 5, pending=True, now=NOW)
    credits.complete(entry, now=NOW + 3 * HOUR)
    assert [credits.balance(ana, at=NOW + hours * HOUR) for hours in (0, 2, 3)] == [0, 0, 5]
    failed = credits.purchase(ana, 9, pending=True, now=NOW)
    credits.fail(failed, "no", now=NOW + HOUR)
    assert credits.balance(ana, at=NOW + 9 * HOUR) == 5


def test_nobody_without_entries_has_anything(bound, ana):
    assert credits.balance(ana) == credits.balance(ana, at=NOW) == 0
    assert credits.balance(10**15) == 0
    statement = credits.statement(ana, NOW, NOW + HOUR)
    assert (statement.opening_balance, statement.lines, statement.closing_balance) == (0, (), 0)


def test_a_statement_has_its_start_and_not_its_end(bound, ana):
    for hours, amount in ((-1, 1), (0, 2), (1, 4), (2, 8)):
        credits.purchase(ana, amount, now=NOW + hours * HOUR)
    statement = credits.statement(ana.id, NOW, NOW + 2 * HOUR)
    assert (statement.user_id, statement.start, statement.end) == (ana.id, NOW, NOW + 2 * HOUR)
    assert statement.opening_balance == 1
    assert [(line.entry.amount, line.balance) for line in statement.lines] == [(2, 3), (4, 7)]
    assert statement.closing_balance == 7


def test_entries_of_one_moment_come_in_the_order_they_were_posted(bound, ana):
    for amount in (3, 1, 2):
        credits.purchase(ana, amount, now=NOW)
    credits.debit(ana, 6, now=NOW)
    lines = credits.statement(ana, NOW, NOW + HOUR).lines
    assert [line.entry.amount for line in lines] == [3, 1, 2, -6]
    assert [line.balance for line in lines] == [line.entry.balance_after for line in lines]


def test_others_are_not_counted(db, bound, b, ana):
    other = make_user()
    credits.purchase(other, 5, now=NOW)
    with db.tenant(b):
        credits.purchase(make_user(), 7, now=NOW)
    assert credits.balance(ana, at=NOW) == 0
    assert credits.statement(other, NOW, NOW + HOUR).closing_balance == 5


@pytest.mark.slow
@examples(8, 40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    posted=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["buy", "spend", "wait", "complete"])), max_size=15),
    spans=st.lists(st.tuples(st.integers(-1, 13), st.integers(1, 8)), min_size=1, max_size=4),
)
def test_whenever_things_happened_it_is_the_sum(db, a, posted, spans):
    with db.tenant(a):
        user, waiting = make_user(), []
        for hours, what in posted:
            now = NOW + hours * HOUR
            if what == "buy":
                credits.purchase(user, 3 + hours, now=now)
            elif what == "spend" and credits.balance(user):
                credits.debit(user, min(2, credits.balance(user)), now=now)
            elif what == "wait":
                waiting.append(credits.purchase(user, 20, pending=True, now=now))
            elif what == "complete" and waiting:
                credits.complete(waiting.pop(), now=now)
        assert credits.balance(user) == summed(user, lambda at: True)
        for hours, length in spans:
            start = NOW + hours * HOUR
            end = start + length * HOUR
            assert credits.balance(user, at=start) == summed(user, lambda at, start=start: at <= start)
            check_statement(user, credits.statement(user, start, end))


def check_statement(user, statement):
    start, end = statement.start, statement.end
    within = [entry for entry in completed(user) if start <= entry.processed_at < end]
    assert sorted(line.entry.id for line in statement.lines) == sorted(entry.id for entry in within)
    assert statement.opening_balance == summed(user, lambda at: at < start)
    assert statement.closing_balance == summed(user, lambda at: at < end)
    running = statement.opening_balance
    for line in statement.lines:
        running += line.entry.amount
        assert line.balance == running
        assert line.balance == line.entry.balance_after >= 0
    assert [line.entry.sequence for line in statement.lines] == sorted(line.entry.sequence for line in statement.lines)
    moments = [line.entry.processed_at for line in statement.lines]
    assert moments == sorted(moments)


def test_a_statement_has_both_sides_of_a_transfer(bound, ana, desk):
    bruno = make_user()
    credits.purchase(ana, 5, now=NOW)
    credits.transfer(ana, bruno, 2, reason="x", by=desk, now=NOW + HOUR)
    assert [credits.statement(user, NOW + HOUR, NOW + 2 * HOUR).closing_balance for user in (ana, bruno)] == [3, 2]


@walked("at", [None, NOW])
def test_in_privileged_work_a_user_is_not_told_from_another_organizations(db, bound, ana, at):
    from rayces_core import TenantNotSetError

    credits.purchase(ana, 5, now=NOW)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        credits.balance(ana.id, at=at)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        credits.statement(ana, NOW, NOW + HOUR)
