"""Holds that are raced for: processes that book, take, confirm and let expire the same credits at the same moment."""

from collections import Counter
from functools import partial

import pytest

from rayces_core import Appointment, CreditBalance, InsufficientCreditsError, InvalidTransitionError, credits
from tests.credits import racers
from tests.credits.ledger import amounts, held_appointment
from tests.factory import make_professional, make_student, make_user
from tests.scheduling.worlds import ALWAYS
from tests.sizes import quick_or_whole
from tests.state_machine.racers import race

ROUNDS = quick_or_whole(2, 6)
pytestmark = pytest.mark.slow


def raced(db, bound, rows, work):
    """For each row, how each racer fared: the error's type or None."""
    outcomes = race(db, bound, rows, work)
    return [Counter(type(outcome) if outcome else None for outcome in of_row) for of_row in zip(*outcomes, strict=True)]


def stands(user):
    """Balance and reserved of a user; what is reserved is what their appointments hold."""
    held = CreditBalance.get(CreditBalance.user == user)
    mine = Appointment.select().where(Appointment.client == user)
    assert sum(each.reserved_credits for each in mine) == held.reserved
    assert credits.verify().is_clean
    return held.balance, held.reserved


@pytest.fixture
def clicks(bound):
    """Four bookings, each with a professional and a student of its own, at a time of its own."""
    for _ in range(4):
        make_professional(weekly_schedule=ALWAYS)
        make_student()
    return [partial(racers.click, number) for number in range(4)]


@pytest.fixture
def families(bound):
    """Guardians with one credit each."""
    made = [make_user() for _ in range(ROUNDS)]
    for user in made:
        credits.purchase(user, 1)
    return made


def test_of_four_clicks_with_one_credit_one_is_booked(db, bound, clicks, families):
    assert raced(db, bound, families, clicks) == [{None: 1, InsufficientCreditsError: 3}] * ROUNDS
    assert [stands(user) for user in families] == [(1, 1)] * ROUNDS


@pytest.mark.parametrize("take", [racers.take_one, racers.take_one_of_many])
def test_of_a_booking_and_a_debit_with_one_credit_one_gets_it(db, bound, clicks, families, take):
    outcomes = raced(db, bound, families, [clicks[0], take, take])
    assert outcomes == [{None: 1, InsufficientCreditsError: 2}] * ROUNDS
    assert all(stands(user) in ((1, 1), (0, 0)) for user in families)


@pytest.fixture
def holds(families):
    return [held_appointment(user, 1) for user in families]


@pytest.mark.parametrize("end", [racers.cancel, racers.expire], ids=["a cancellation", "an expiry"])
def test_a_confirm_beside_an_end_takes_the_credit_or_frees_it(db, bound, families, holds, end):
    outcomes = raced(db, bound, holds, [racers.confirm, end])
    allowed = ({None: 1, InvalidTransitionError: 1}, {None: 2})  # a confirmed one may be cancelled after that
    assert all(outcome in allowed for outcome in outcomes)
    for user, hold in zip(families, holds, strict=True):
        confirmed = Appointment.get_by_id(hold.id).state == "confirmed"
        assert stands(user) == ((0, 0) if confirmed else (1, 0))


def test_a_confirm_beside_debits_takes_what_it_has_reserved(db, bound, families, holds):
    outcomes = raced(db, bound, holds, [racers.confirm, racers.take_from_its_client, racers.take_from_its_client])
    assert outcomes == [{None: 1, InsufficientCreditsError: 2}] * ROUNDS
    assert [(stands(user), amounts(user)) for user in families] == [((0, 0), [1, -1])] * ROUNDS


def test_a_confirm_beside_a_payment_by_hand_takes_it_once(db, bound, families, holds):
    raced(db, bound, holds, [racers.confirm, racers.pay_by_hand])
    assert [(stands(user), amounts(user)) for user in families] == [((0, 0), [1, -1])] * ROUNDS


def test_sweeps_beside_bookings_of_the_same_families_wait_for_nobody_for_ever(db, bound, clicks, families, holds):
    late = raced(db, bound, families, [clicks[0], clicks[1], racers.sweep_late])
    assert {error for outcome in late for error in outcome} <= {None, InsufficientCreditsError}
    assert all(stands(user) in ((1, 1), (1, 0)) for user in families)
