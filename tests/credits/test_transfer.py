"""Credits from one user to another: two entries or none, whoever waits for whom."""

import pytest

from rayces_core import BalanceTooLargeError, InsufficientCreditsError, credits
from tests.credits.ledger import NOW, entries, figures, nothing_written, statements
from tests.factory import make_user
from tests.walking import walked


@pytest.fixture
def bruno(bound):
    return make_user()


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.usefixtures("frozen")
def test_what_one_gives_the_other_gets(ana, bruno, desk, by_id):
    credits.purchase(ana, 10)
    users = (ana.id, bruno.id) if by_id else (ana, bruno)
    out, into = credits.transfer(*users, 4, reason=" siblings ", by=desk, now=NOW)
    assert (out.user, out.amount, out.balance_after) == (ana, -4, 6)
    assert (into.user, into.amount, into.balance_after) == (bruno, 4, 4)
    assert out.metadata["transfer"] == into.metadata["transfer"]
    assert (out.metadata["transfer_to"], into.metadata["transfer_from"]) == (bruno.id, ana.id)
    for entry in (out, into):
        assert (entry.transaction_type, entry.status) == ("admin_adjustment", "completed")
        assert (entry.reason, entry.created_by, entry.processed_at) == ("siblings", desk, NOW)
    assert (figures(ana), figures(bruno)) == ((6, 10, 0), (4, 0, 0))  # neither bought nor used
    assert credits.verify().is_clean


def test_the_whole_balance_may_go(ana, bruno, desk):
    credits.purchase(ana, 10)
    credits.transfer(ana, bruno, 10, reason="x", by=desk)
    assert (credits.balance(ana), credits.balance(bruno)) == (0, 10)


@walked("has", [None, 3])
def test_who_has_too_few_gives_nothing(ana, bruno, desk, has):
    if has:
        credits.purchase(ana, has)
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        credits.transfer(ana, bruno, 4, reason="x", by=desk)
    assert (caught.value.required, caught.value.available) == (4, has or 0)


def test_who_cannot_hold_more_gets_nothing_and_nothing_is_taken(ana, bruno, desk):
    credits.purchase(ana, 10)
    for amount in (10**9, 10**9, 2**31 - 1 - 2 * 10**9):
        credits.purchase(bruno, amount)
    with nothing_written(), pytest.raises(BalanceTooLargeError):
        credits.transfer(ana, bruno, 1, reason="x", by=desk)
    assert len(entries(ana)) == 1


def test_the_balances_are_locked_in_one_order_whoever_gives(db, ana, bruno, desk):
    credits.purchase(ana, 10)
    credits.purchase(bruno, 10)
    for pair in ((ana, bruno), (bruno, ana)):
        with statements(db) as sent:
            credits.transfer(*pair, 1, reason="x", by=desk)
        locks = [sql for sql in sent if "FOR NO KEY UPDATE" in sql]
        assert locks
        assert "ANY(%(users)s)" in locks[0]
        assert "ORDER BY user_id, credit_kind_key FOR NO KEY UPDATE" in locks[0]
        assert sent.index(locks[0]) < min(n for n, sql in enumerate(sent) if "UPDATE credit_balances" in sql)
