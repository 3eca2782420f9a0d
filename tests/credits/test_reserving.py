"""Holds that reserve nothing get what balances cover, the earliest first; and sums that are wrong are put right."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from rayces_core import Appointment, CreditBalance, Organization, clock, credits
from tests.credits import racers
from tests.credits.ledger import early, held_appointment, without_reserving
from tests.factory import make_kind, make_package, make_user
from tests.nodes import past_rules
from tests.state_machine.racers import race


def stands(user):
    held = CreditBalance.get(CreditBalance.user == user)
    return held.balance, held.reserved


@contextmanager
def not_reserving(organization_id):
    organization = Organization.get_by_id(organization_id)
    kept = organization.settings
    without_reserving(organization)
    yield
    organization.settings = kept
    organization.save()


def unreserved(user, *costs, **columns):
    """Holds that reserve nothing, as imported ones do."""
    with not_reserving(user.organization_id):
        return [held_appointment(user, cost, **columns) for cost in costs]


def holding(appointments):
    return [Appointment.get_by_id(each.id).reserved_credits for each in appointments]


def test_the_earliest_have_what_the_balance_covers_and_the_others_are_named(ana):
    holds = unreserved(ana, 2, 2, 1)
    assert [each.appointment_id for each in credits.uncovered_holds()] == [each.id for each in holds]
    assert credits.reserve_holds().reserved == 0
    credits.purchase(ana, 4)
    done = credits.reserve_holds()
    assert (done.reserved, done.mended, stands(ana), holding(holds)) == (2, 0, (4, 4), [2, 2, 0])
    assert [(each.appointment_id, each.client_id, each.credits) for each in done.uncovered] == [
        (holds[2].id, ana.id, 1)
    ]
    assert credits.verify().is_clean
    credits.purchase(ana, 1)
    assert credits.reserve_holds() == credits.Reserving(1, 0, ())
    assert credits.reserve_holds() == credits.Reserving(0, 0, ())
    holds[0].confirm(now=early(holds[0]))
    assert stands(ana) == (3, 3)
    assert credits.verify().is_clean


@pytest.mark.parametrize(("costs", "held"), [((3, 1), [0, 1]), ((1, 2, 1), [1, 0, 1]), ((3, 2, 1, 1), [0, 2, 0, 0])])
def test_one_that_is_not_covered_leaves_what_there_is_to_those_after_it(ana, costs, held):
    holds = unreserved(ana, *costs)
    credits.purchase(ana, 2)
    done = credits.reserve_holds()
    assert (done.reserved, holding(holds), stands(ana)) == (len([each for each in held if each]), held, (2, sum(held)))
    assert [each.appointment_id for each in done.uncovered] == [
        hold.id for hold, credits_ in zip(holds, held, strict=True) if not credits_
    ]
    assert credits.verify().is_clean


def test_each_kind_has_its_own_and_what_has_expired_covers_nothing(frozen, ana, db):
    kind = make_kind()
    of_default, of_kind = *unreserved(ana, 1), *unreserved(ana, 1, credit_kind=kind)
    credits.purchase(ana, 1, kind=kind)
    credits.purchase_package(ana, make_package(credits=5, valid_days=1))
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE credit_lots SET expires_at = %s", [frozen - timedelta(days=1)])
    assert credits.reserve_holds().reserved == 1
    assert holding([of_default, of_kind]) == [0, 1]


def test_what_should_reserve_nothing_is_left_alone(ana):
    paid, overdue, off = unreserved(ana, 1, 1, 1)
    credits.purchase(ana, 9)
    credits.debit(ana, 1, appointment=paid)
    past = clock.now() - timedelta(days=1)
    Appointment.update(pre_confirmed_at=past, expires_at=past).where(Appointment.id == overdue.id).execute()
    with not_reserving(ana.organization_id):
        assert credits.reserve_holds() == credits.Reserving(0, 0, ())
    assert credits.reserve_holds().reserved == 1
    assert holding([paid, overdue, off]) == [0, 0, 1]


@pytest.mark.parametrize("wrong", [0, 1, 5])
def test_a_sum_that_is_not_what_holds_say_is_put_right(db, ana, wrong):
    credits.purchase(ana, 5)
    holds = [held_appointment(ana, 2), held_appointment(ana, 1)]
    other = make_user()
    credits.purchase(other, 2)
    held_appointment(other, 2)
    with past_rules(db.url) as cursor:
        cursor.execute("UPDATE credit_balances SET reserved = %s WHERE user_id = %s", [wrong, ana.id])
    assert [found.kind for found in credits.verify().discrepancies] == ["reserved"]
    assert credits.reserve_holds() == credits.Reserving(2, 1, ())
    assert (stands(ana), holding(holds), stands(other)) == ((5, 3), [2, 1], (2, 2))
    assert credits.verify().is_clean


def test_holds_for_more_than_there_is_are_cut_to_the_earliest(db, ana):
    credits.purchase(ana, 3)
    holds = [held_appointment(ana, 2), held_appointment(ana, 1)]
    with past_rules(db.url) as cursor:
        cursor.execute("UPDATE appointments SET reserved_credits = 3, credits_used = 3 WHERE id = %s", [holds[1].id])
    done = credits.reserve_holds()
    assert (done.reserved, done.mended, len(done.uncovered)) == (1, 1, 1)
    assert (stands(ana), holding(holds)) == ((3, 2), [2, 0])
    assert credits.verify().is_clean


@pytest.mark.slow
def test_reserving_at_once_with_confirming_and_spending_keeps_the_sum(db, bound):
    holds = []
    for _ in range(3):
        ana = make_user()
        holds += unreserved(ana, 2)
        credits.purchase(ana, 3)
    race(db, bound, holds, [racers.reserve_holds, racers.reserve_holds, racers.confirm, racers.take_from_its_client])
    assert credits.verify().is_clean
