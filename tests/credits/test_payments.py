"""A payment that failed may succeed later under the same reference, as payment providers have it."""

import itertools
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rayces_core import CreditTransaction, IdempotencyConflictError, InvalidTransitionError, credits
from tests.credits.ledger import amounts, entries, nothing_written
from tests.factory import make_user
from tests.walking import walked

PAID = {"payment_method": "stripe", "payment_reference": "pi_1"}


def declined(user, credits_=5):
    return credits.fail(credits.purchase(user, credits_, pending=True, **PAID), "card declined")


def facts(user):
    return [(each.amount, each.status, each.payment_attempt) for each in entries(user)]


@pytest.mark.parametrize("pending", [True, False])
def test_f07_a_failed_payment_succeeds_later_as_an_entry_of_its_own(ana, pending):
    failed = declined(ana)
    again = credits.purchase(ana, 5, pending=pending, **PAID)
    assert (again.was_repeated, again.payment_attempt, again.retries) == (False, 2, failed)
    if pending:
        credits.complete(again)
    assert facts(ana) == [(5, "failed", 1), (5, "completed", 2)]
    assert (credits.balance(ana), credits.verify().is_clean) == (5, True)
    repeated = credits.purchase(ana, 5, pending=pending, **PAID)
    assert (repeated.id, repeated.was_repeated) == (again.id, True)
    assert CreditTransaction.get_by_id(failed.id).retries is None


def test_completing_says_whether_it_counted_before_however_often_it_was_noted(ana):
    told = []
    for _ in range(3):
        entry = credits.purchase(ana, 5, pending=True, **PAID)
        noted = entry.was_repeated
        told.append((noted, credits.complete(entry).was_repeated))
    assert told == [(False, False), (True, True), (True, True)]
    other = credits.purchase(ana, 1, pending=True, idempotency_key="k")
    again = credits.purchase(ana, 1, pending=True, idempotency_key="k")
    assert (again.was_repeated, credits.complete(again).was_repeated, credits.complete(other).was_repeated) == (
        True,
        False,
        True,
    )


def test_f07_it_may_fail_several_times_and_be_tried_with_another_pack_or_for_another_user(ana):
    bruno = make_user()
    for _ in range(3):
        declined(ana)
    entry = credits.purchase(bruno, 8, **PAID)
    assert (entry.payment_attempt, entry.retries.user) == (4, ana)
    assert facts(ana) == [(5, "failed", 1), (5, "failed", 2), (5, "failed", 3)]
    assert credits.verify().is_clean


def test_f07_many_rows_know_it_too(ana):
    declined(ana)
    row = {"user": ana, "credits": 5, **PAID}
    (first,), (second,) = credits.purchase_many([row]), credits.purchase_many([row])
    assert (first.was_repeated, second.was_repeated) == (False, True)
    assert facts(ana) == [(5, "failed", 1), (5, "completed", 2)]


def test_f07_completing_what_failed_says_what_to_do(ana):
    failed = declined(ana)
    with nothing_written(), pytest.raises(InvalidTransitionError) as caught:
        credits.complete(CreditTransaction.get_by_id(failed.id))
    assert "purchase() it once more" in caught.value.__notes__[0]


def test_f07_a_payment_that_waits_or_counts_for_something_else_says_so(ana):
    waiting = credits.purchase(ana, 5, pending=True, **PAID)
    for attempt in (lambda: credits.purchase(ana, 5, **PAID), lambda: credits.purchase(ana, 6, pending=True, **PAID)):
        with nothing_written(), pytest.raises(IdempotencyConflictError) as caught:
            attempt()
        assert caught.value.key == "pi_1"
        assert f"has another entry, {waiting.id}, of 5 credits" in str(caught.value)
        assert "complete() it" in str(caught.value)


def test_f07_who_comes_second_gets_the_entry_of_the_first(db, bound, ana):
    declined(ana)
    made, start = [], threading.Barrier(4)

    def pay():
        with db.tenant(bound.id):
            start.wait()
            made.append(credits.purchase(ana.id, 5, **PAID))

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.id for entry in made}) == 1
    assert sorted(entry.was_repeated for entry in made) == [False, True, True, True]
    assert amounts(ana) == [5, 5]
    assert facts(ana)[1:] == [(5, "completed", 2)]


# -- the recipe of docs/credits.md -----------------------------------------------------------------------------------


@pytest.fixture
def heard():
    text = (Path(__file__).parents[2] / "docs" / "credits.md").read_text("utf-8")
    (recipe,) = re.findall(r"```python\n(def heard.*?)```", text, re.DOTALL)
    names = {"credits": credits}
    exec(compile(recipe, "credits.md", "exec"), names)
    return names["heard"]


def news(user, *stories):
    return [SimpleNamespace(id="pi_1", user_id=user.id, credits=5, status=status, why="declined") for status in stories]


@walked(
    "stories",
    [
        ("succeeded", "succeeded"),
        ("failed", "succeeded", "succeeded"),
        ("pending", "failed", "pending", "failed", "succeeded"),
        ("pending", "succeeded", "failed"),  # late news of the first try
        ("pending", "pending", "succeeded", "pending"),
    ],
)
def test_the_recipe_for_webhooks_credits_once_whatever_is_heard_in_whatever_order(ana, heard, stories):
    for payment in news(ana, *stories):
        heard(payment)
    assert (credits.balance(ana), credits.verify().is_clean) == (5, True)


def test_the_recipe_takes_the_same_news_in_any_order(bound, heard):
    for order in set(itertools.permutations(("pending", "failed", "succeeded"))):
        user = make_user()
        for payment in news(user, *order):
            payment.id = f"pi of {user.id}"
            heard(payment)
        assert credits.balance(user) == 5
