"""Double clicks and more: processes that do the same at the same moment, each on a connection of its own."""

from collections import Counter

import pytest

from rayces_core import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    Appointment,
    CreditTransaction,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidTransitionError,
    Role,
    credits,
)
from tests.credits import racers
from tests.credits.ledger import amounts, early, entries, figures, held_appointment
from tests.factory import make_user
from tests.sizes import quick_or_whole
from tests.state_machine.racers import race
from tests.walking import walked

ROUNDS = quick_or_whole(2, 6)


def raced(db, bound, rows, work):
    """For each row, how each racer fared: the error's type or None."""
    outcomes = race(db, bound, rows, work)
    return [Counter(type(outcome) if outcome else None for outcome in of_row) for of_row in zip(*outcomes, strict=True)]


@pytest.fixture
def pending(ana):
    return [credits.purchase(ana, 5, pending=True) for _ in range(ROUNDS)]


def test_two_completes_at_once_move_the_balance_once(db, bound, ana, pending):
    assert raced(db, bound, pending, [racers.complete] * 3) == [{None: 3}] * ROUNDS
    assert figures(ana) == (5 * ROUNDS, 5 * ROUNDS, 0)
    assert all(len(entry.history()) == 1 for entry in pending)
    assert credits.verify().is_clean


def test_of_a_complete_and_a_fail_at_once_one_is_told_so(db, bound, ana, pending):
    outcomes = raced(db, bound, pending, [racers.complete, racers.fail])
    assert outcomes == [{None: 1, InvalidTransitionError: 1}] * ROUNDS
    completed = [entry for entry in entries(ana) if entry.status == "completed"]
    assert credits.balance(ana) == 5 * len(completed)
    assert {entry.status for entry in entries(ana)} <= {"completed", "failed"}


@pytest.fixture
def confirmed(ana):
    credits.purchase(ana, 2 * ROUNDS)
    made = [held_appointment(ana, 2) for _ in range(ROUNDS)]
    for appointment in made:
        appointment.confirm(now=early(appointment))
    return made


def test_two_refunds_at_once_give_back_once(db, bound, ana, confirmed):
    outcomes = raced(db, bound, confirmed, [racers.refund] * 3)
    assert outcomes == [{None: 1, AlreadyRefundedError: 2}] * ROUNDS
    assert figures(ana) == (2 * ROUNDS, 2 * ROUNDS, 0)


def test_refunds_in_parts_at_once_give_back_no_more_than_was_paid(db, bound, ana, confirmed):
    outcomes = raced(db, bound, confirmed, [racers.refund_one] * 3)
    assert outcomes == [{None: 2, AlreadyRefundedError: 1}] * ROUNDS
    assert figures(ana) == (2 * ROUNDS, 2 * ROUNDS, 0)
    assert credits.verify().is_clean


def test_a_cancel_and_refunds_by_hand_at_once_give_back_all_of_it_once(db, bound, ana, confirmed):
    outcomes = raced(db, bound, confirmed, [racers.refund_one, racers.cancel_with_refund, racers.refund])
    # Where the cancellation comes first, both others have nothing left to give back.
    assert all(outcome[None] >= 1 and set(outcome) <= {None, AlreadyRefundedError} for outcome in outcomes)
    assert {Appointment.get_by_id(each.id).state for each in confirmed} == {"cancelled"}
    assert figures(ana) == (2 * ROUNDS, 2 * ROUNDS, 0)
    assert credits.verify().is_clean


def test_a_hold_that_expires_while_it_is_refunded_by_hand_gives_back_once(db, bound, ana):
    credits.purchase(ana, 2 * ROUNDS)
    holds = [held_appointment(ana, 2) for _ in range(ROUNDS)]
    for hold in holds:
        credits.debit(ana, 2, appointment=hold)
    outcomes = raced(db, bound, holds, [racers.expire, racers.refund_one])
    assert all(outcome[None] >= 1 and set(outcome) <= {None, AlreadyRefundedError} for outcome in outcomes)
    assert figures(ana) == (2 * ROUNDS, 2 * ROUNDS, 0)
    assert credits.verify().is_clean


def test_two_cancels_at_once_give_back_once(db, bound, ana, confirmed):
    outcomes = raced(db, bound, confirmed, [racers.cancel, racers.cancel_with_refund, racers.cancel])
    assert outcomes == [{None: 1, InvalidTransitionError: 2}] * ROUNDS
    assert figures(ana) == (2 * ROUNDS, 2 * ROUNDS, 0)
    assert credits.verify().is_clean


def test_two_confirms_at_once_debit_once(db, bound, ana):
    credits.purchase(ana, 100)
    held = [held_appointment(ana, 2) for _ in range(ROUNDS)]
    assert raced(db, bound, held, [racers.confirm] * 3) == [{None: 1, InvalidTransitionError: 2}] * ROUNDS
    assert amounts(ana) == [100] + [-2] * ROUNDS
    assert credits.verify().is_clean


def test_a_confirm_and_a_debit_by_hand_at_once_debit_once(db, bound, ana):
    credits.purchase(ana, 100)
    held = [held_appointment(ana, 2) for _ in range(ROUNDS)]
    outcomes = raced(db, bound, held, [racers.confirm, racers.debit_for])
    # Whoever confirms second finds it paid; whoever debits second is told that it is.
    assert all(outcome in ({None: 2}, {None: 1, AlreadyDebitedError: 1}) for outcome in outcomes)
    assert amounts(ana) == [100] + [-2] * ROUNDS
    assert {Appointment.get_by_id(each.id).state for each in held} == {"confirmed"}
    assert credits.verify().is_clean


def test_a_confirm_and_a_cancel_at_once_leave_nothing_owed(db, bound, ana):
    credits.purchase(ana, 100)
    held = [held_appointment(ana, 2) for _ in range(ROUNDS)]
    race(db, bound, held, [racers.confirm, racers.cancel])
    assert {Appointment.get_by_id(each.id).state for each in held} == {"cancelled"}
    assert credits.balance(ana) == 100
    assert credits.verify().is_clean


@pytest.mark.slow
@walked("take", [racers.take_one, racers.take_one_of_many])
def test_a_balance_is_never_overdrawn(db, bound, take):
    """Twenty debits on a balance of ten were all accepted once."""
    users = [make_user() for _ in range(3)]
    for user in users:
        credits.purchase(user, 3)
    assert raced(db, bound, users, [take] * 6) == [{None: 3, InsufficientCreditsError: 3}] * 3
    assert [figures(user) for user in users] == [(0, 3, 3)] * 3
    assert credits.verify().is_clean


BUYERS = [
    [racers.buy_with_key] * 4,
    [racers.buy_many_with_key] * 4,
    [racers.buy_with_key, racers.buy_many_with_key] * 2,
    [racers.webhook] * 4,
    [racers.webhook_in_a_unit_of_work] * 4,
    [racers.webhook, racers.webhook_in_a_unit_of_work] * 2,
]


@pytest.mark.slow
@walked("work", BUYERS)
def test_one_request_that_comes_several_times_at_once_counts_once(db, bound, work):
    users = [make_user() for _ in range(ROUNDS)]  # the first one opens the balance too
    assert raced(db, bound, users, work) == [{None: 4}] * ROUNDS
    assert [(figures(user), amounts(user)) for user in users] == [((5, 5, 0), [5])] * ROUNDS
    assert credits.verify().is_clean


def test_one_key_for_two_users_at_once_is_one_purchase_and_one_error(db, bound):
    rows, one, other = [make_user() for _ in range(ROUNDS)], make_user(), make_user()
    outcomes = raced(db, bound, rows, [racers.Buying(one.id), racers.Buying(other.id)])
    assert outcomes == [{None: 1, IdempotencyConflictError: 1}] * ROUNDS
    assert credits.balance(one) + credits.balance(other) == 5 * ROUNDS


@pytest.mark.slow
def test_opposite_transfers_at_once_do_not_wait_for_each_other(db, bound):
    desk, one, other = make_user(role=Role.STAFF), make_user(), make_user()
    credits.purchase(one, 200)
    credits.purchase(other, 200)
    forth, back = racers.Giving(other.id, desk.id), racers.Giving(other.id, desk.id, takes=True)
    assert raced(db, bound, [one] * 2, [forth, back, forth, back]) == [{None: 4}] * 2
    assert (credits.balance(one), credits.balance(other)) == (200, 200)
    assert CreditTransaction.select().where(CreditTransaction.transaction_type == "admin_adjustment").count() == 400
    assert credits.verify().is_clean


def test_opposite_transfers_into_balances_that_are_not_there_yet(db, bound):
    desk, one = make_user(role=Role.STAFF), make_user()
    others = [make_user() for _ in range(ROUNDS)]
    credits.purchase(one, 100)
    forth = [racers.Giving(one.id, desk.id, takes=True)] * 2
    race(db, bound, others, forth)
    assert sum(credits.balance(user) for user in (one, *others)) == 100
    assert credits.verify().is_clean
