"""Packages: the oldest lot is spent first, what goes back returns to its lot, and what nobody used in time is gone."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rayces_core import (
    CheckFailedError,
    CreditBalance,
    CreditLot,
    CreditLotMovement,
    CreditPackage,
    CreditTransaction,
    Database,
    DuplicateError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    NotPermittedError,
    OutboxMessage,
    PermissionDeniedError,
    clock,
    credits,
)
from tests.credits import racers
from tests.credits.ledger import NOW, amounts, early, entries, held_appointment, nothing_written, statements
from tests.factory import make_kind, make_organization, make_package, make_user
from tests.state_machine.racers import race

DAY = timedelta(days=1)


def buy(user, number, days, **options):
    package = make_package(credits=number, valid_days=days, **options.pop("package", {}))
    return credits.purchase_package(user, package, **options)


def left(user, **options):
    return [(lot.credits, lot.remaining) for lot in credits.lots(user, **options)]


def in_lots(user):
    return sum(held.in_lots for held in CreditBalance.select().where(CreditBalance.user == user))


@pytest.fixture
def held(frozen):
    """Has the clock stand so many days after NOW."""

    def later(days):
        return clock.frozen(frozen + days * DAY)

    return later


# -- buying ------------------------------------------------------------------------------------------------------------


def test_a_package_is_a_purchase_whose_credits_hold_until_a_local_day(frozen, ana):
    kind = make_kind()
    package = make_package(credits=8, credit_kind=kind, valid_days=30, price_cents=90_000, currency="ARS")
    made = credits.purchase_package(ana, package)
    assert made.__data__ == CreditTransaction.get_by_id(made.id).__data__
    assert (made.amount, made.credit_kind_id, made.credit_package_id) == (8, kind.id, package.id)
    assert (made.amount_cents, made.currency) == (90_000, "ARS")
    (lot,) = credits.lots(ana, kind=kind)
    # 3 February at noon in Buenos Aires, so until the end of 5 March.
    assert lot.expires_at == datetime(2031, 3, 6, 3, tzinfo=UTC)
    assert (lot.credits, lot.remaining, lot.credit_transaction_id) == (8, 8, made.id)
    assert [move.amount for move in lot.movements] == [8]
    assert (credits.balance(ana, kind=kind), in_lots(ana)) == (8, 8)
    assert credits.verify().is_clean


def test_a_package_that_holds_for_ever_opens_no_lot(ana):
    credits.purchase_package(ana, make_package(credits=8))
    assert (credits.balance(ana), left(ana), in_lots(ana)) == (8, [], 0)


def test_a_package_may_hold_until_one_day_for_all(frozen, ana):
    package = make_package(valid_until=date(2031, 12, 20))
    credits.purchase_package(ana, package)
    assert credits.lots(ana)[0].expires_at == datetime(2031, 12, 21, 3, tzinfo=UTC)


# Where the clock goes back to midnight, or from it, and where midnight is skipped.
@pytest.mark.parametrize(
    "zone, day",
    [
        ("America/Havana", date(2031, 11, 1)),
        ("Atlantic/Azores", date(2031, 10, 25)),
        ("America/Santiago", date(2031, 4, 5)),
        ("America/Santiago", date(2031, 9, 6)),
        ("Asia/Kathmandu", date(2031, 9, 6)),
    ],
)
def test_a_lot_holds_until_its_day_is_over_where_clocks_change_at_midnight(db, frozen, zone, day):
    with db.tenant(make_organization(db, time_zone=zone)):
        ana = make_user()
        for package in (make_package(valid_until=day), make_package(valid_days=(day - date(2031, 2, 3)).days)):
            credits.purchase_package(ana, package)
        for lot in credits.lots(ana):
            last = lot.expires_at - timedelta(microseconds=1)
            assert [moment.astimezone(ZoneInfo(zone)).date() for moment in (last, lot.expires_at)] == [day, day + DAY]


def test_a_package_holds_no_longer_than_a_program_can_read(ana):
    with pytest.raises(CheckFailedError, match="before the year 9999"):
        make_package(valid_until=date(9999, 12, 31))
    credits.purchase_package(ana, make_package(credits=2, valid_until=date(9998, 12, 31)))
    assert [lot.expires_at.year for lot in credits.lots(ana)] == [9999]


def test_a_package_of_a_day_that_is_over_is_sold_no_more_and_neither_is_a_switched_off_one(frozen, ana):
    for package in (make_package(valid_until=date(2031, 2, 2)), make_package(active=False)):
        with nothing_written(), pytest.raises(InvalidDataError):
            credits.purchase_package(ana, package)
    credits.purchase_package(ana, make_package(valid_until=date(2031, 2, 3)))


def test_the_same_request_again_opens_no_second_lot(ana):
    package = make_package(credits=4, valid_days=1)
    first, again = (credits.purchase_package(ana, package, idempotency_key="k") for _ in range(2))
    assert (again.id, again.was_repeated) == (first.id, True)
    assert left(ana) == [(4, 4)]
    package.active = False
    package.save()
    assert credits.purchase_package(ana, package, idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyConflictError):
        credits.purchase(ana, 4, idempotency_key="k")


def test_one_that_is_paid_later_holds_from_then_on(held, ana):
    entry = buy(ana, 5, 10, pending=True)
    assert (left(ana), credits.balance(ana)) == ([], 0)
    with held(20):
        credits.complete(CreditTransaction.get_by_id(entry.id))
        credits.complete(CreditTransaction.get_by_id(entry.id))
        (lot,) = credits.lots(ana)
    assert lot.expires_at == datetime(2031, 3, 6, 3, tzinfo=UTC) + 0 * DAY
    assert (left(ana), in_lots(ana)) == ([(5, 5)], 5)


def test_families_note_a_package_and_the_desk_sells_it(ana, desk):
    package = make_package(valid_days=1)
    with pytest.raises(NotPermittedError):
        credits.purchase_package(ana, package, by=ana)
    assert credits.purchase_package(ana, package, by=ana, pending=True).status == "pending"
    assert credits.purchase_package(ana, package, by=desk).created_by == desk


# -- spending ----------------------------------------------------------------------------------------------------------


def test_the_oldest_is_spent_first_and_what_holds_for_ever_last(db, ana):
    credits.purchase(ana, 2)
    buy(ana, 5, 90)
    buy(ana, 3, 30)
    assert left(ana) == [(3, 3), (5, 5)]
    credits.debit(ana, 4)
    assert left(ana) == [(5, 4)]
    with statements(db) as sent:
        credits.debit(ana, 5)
    assert sum("UPDATE credit_lots" in sql for sql in sent) == 1
    assert (left(ana), in_lots(ana), credits.balance(ana)) == ([], 0, 1)
    credits.debit(ana, 1)
    with pytest.raises(InsufficientCreditsError):
        credits.debit(ana, 1)
    assert credits.verify().is_clean


def test_what_has_expired_pays_for_nothing(held, ana):
    buy(ana, 5, 1)
    credits.purchase(ana, 2)
    with held(5):
        with pytest.raises(InsufficientCreditsError) as caught:
            credits.debit(ana, 3)
        assert (caught.value.required, caught.value.available) == (3, 2)
        credits.debit(ana, 2)
        assert (credits.balance(ana), left(ana)) == (5, [(5, 5)])
        assert credits.verify().is_clean


def test_each_kind_has_its_own_lots(ana):
    kind = make_kind()
    buy(ana, 5, 9, package={"credit_kind": kind})
    buy(ana, 4, 9)
    credits.debit(ana, 2, kind=kind)
    assert (left(ana), left(ana, kind=kind)) == ([(4, 4)], [(5, 3)])


def test_corrections_transfers_and_debits_of_many_draw_on_lots(ana, desk):
    buy(ana, 10, 9)
    credits.purchase(ana, 1)
    other = make_user()
    credits.purchase(other, 5)
    credits.adjust(ana, -1, reason="counted twice", by=desk)
    credits.transfer(ana, other, 2, reason="siblings", by=desk)
    rows = credits.debit_many(
        [{"user": ana, "credits": 3}, {"user": other, "credits": 1}, {"user": ana, "credits": 2}], by=desk
    )
    assert [row.balance_after for row in rows] == [5, 6, 3]
    assert (left(ana), in_lots(ana), credits.balance(ana)) == ([(10, 2)], 2, 3)
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        credits.debit_many([{"user": other, "credits": 1}, {"user": ana, "credits": 4}])
    assert caught.value.__notes__ == ["row 1, counted from 0"]
    assert credits.verify().is_clean


# -- taking a purchase back --------------------------------------------------------------------------------------------


def test_a_purchase_is_taken_back_from_its_own_lot_then_from_the_oldest(ana, desk):
    buy(ana, 3, 30)
    later = buy(ana, 5, 90)
    buy(ana, 2, 60)
    credits.debit(ana, 4)
    assert left(ana) == [(2, 1), (5, 5)]
    first = credits.take_back(later, credits=3, reason="paid twice")
    assert (first.amount, first.takes_back, first.transaction_type) == (-3, later, "appointment_debit")
    assert left(ana) == [(2, 1), (5, 2)]
    rest = credits.take_back(later, reason="paid twice", by=desk)
    assert (rest.amount, rest.transaction_type, rest.created_by) == (-2, "admin_adjustment", desk)
    assert (left(ana), credits.balance(ana)) == ([(2, 1)], 1)
    assert rest == CreditTransaction.get_by_id(rest.id)
    assert credits.verify().is_clean


def test_what_of_a_purchase_is_spent_is_taken_from_what_else_is_there(ana):
    first, second = buy(ana, 3, 30), buy(ana, 5, 90)
    credits.debit(ana, 2)
    credits.take_back(first, reason="charged back")
    assert left(ana) == [(5, 3)]
    with nothing_written(), pytest.raises(InsufficientCreditsError):
        credits.take_back(second, reason="charged back")
    assert credits.verify().is_clean


def test_no_more_is_taken_back_than_was_bought_and_only_of_what_counts(ana):
    bought, noted = buy(ana, 3, 30), buy(ana, 4, 30, pending=True)
    credits.purchase(ana, 9)
    credits.take_back(bought, credits=2, reason="a part", idempotency_key="k")
    assert credits.take_back(bought, credits=2, reason="a part", idempotency_key="k").was_repeated
    refused = [(bought, 2), (noted, None), (credits.debit(ana, 1), None), (bought.id, None)]
    for entry, number in refused:
        with nothing_written(), pytest.raises(InvalidDataError):
            credits.take_back(entry, credits=number, reason="too much")
    credits.take_back(bought, reason="the rest", idempotency_key="rest")
    assert credits.take_back(bought, reason="the rest", idempotency_key="rest").was_repeated
    with nothing_written(), pytest.raises(InvalidDataError):
        credits.take_back(bought, reason="again")


def test_what_has_expired_is_taken_back_from_nowhere(held, ana):
    bought = buy(ana, 3, 1)
    credits.purchase(ana, 2)
    with held(5):
        with pytest.raises(InsufficientCreditsError):
            credits.take_back(bought, reason="charged back")
        credits.take_back(bought, credits=2, reason="charged back")
        assert (credits.balance(ana), left(ana)) == (3, [(3, 3)])
        assert credits.verify().is_clean


# -- giving back -------------------------------------------------------------------------------------------------------


def test_what_a_session_took_goes_back_to_the_lots_it_came_from(ana):
    credits.purchase(ana, 2)
    buy(ana, 3, 30)
    buy(ana, 2, 90)
    appointment = held_appointment(ana, 6)
    appointment.confirm(now=early(appointment))
    assert (left(ana), credits.balance(ana)) == ([], 1)
    # As if it had cost so much less: what holds for ever comes back first, then the later lot.
    credits.refund(appointment, credits=2)
    assert (left(ana), in_lots(ana), credits.balance(ana)) == ([(2, 1)], 1, 3)
    credits.refund(appointment)
    assert (left(ana), in_lots(ana), credits.balance(ana)) == ([(3, 3), (2, 2)], 5, 7)
    assert credits.verify().is_clean


def test_what_comes_back_to_an_expired_lot_is_gone_with_the_next_sweep(held, ana):
    buy(ana, 3, 100)
    appointment = held_appointment(ana, 3)
    appointment.confirm(now=early(appointment))
    with held(120):
        assert credits.expire_lots() == 0
        credits.refund(appointment)
        assert credits.balance(ana) == 3
        with pytest.raises(InsufficientCreditsError):
            credits.debit(ana, 1)
        assert credits.expire_lots() == 1
        assert (credits.balance(ana), amounts(ana)) == (0, [3, -3, 3, -3])
        assert credits.verify().is_clean


def test_what_a_correction_takes_again_comes_from_lots_and_goes_back_to_them(ana, desk):
    buy(ana, 2, 30)
    appointment = held_appointment(ana, 2)
    appointment.confirm(now=early(appointment))
    credits.refund(appointment)
    after = appointment.scheduled_at
    appointment.mark_no_show(by=desk, now=after)
    appointment.correct_to_executed(by=desk, reason="was there", now=after)
    assert (left(ana), credits.balance(ana)) == ([], 0)
    appointment.reopen(by=desk, reason="another day", now=after)
    appointment.cancel(by=desk, reason="ill", refund=True, now=after)
    assert (left(ana), credits.balance(ana)) == ([(2, 2)], 2)
    assert credits.verify().is_clean


# -- expiring ----------------------------------------------------------------------------------------------------------


def test_what_nobody_used_in_time_goes_by_an_entry_of_its_own_once(held, ana):
    buy(ana, 5, 1)
    buy(ana, 7, 30)
    credits.debit(ana, 2)
    assert credits.expire_lots() == 0
    with held(5):
        assert [credits.expire_lots(), credits.expire_lots()] == [1, 0]
    last = entries(ana)[-1]
    assert (last.transaction_type, last.amount, last.balance_after, last.created_by) == ("expiry", -3, 7, None)
    held_ = CreditBalance.get()
    assert (held_.lifetime_used, held_.in_lots, left(ana)) == (2, 7, [(7, 7)])
    assert OutboxMessage.select().order_by(OutboxMessage.id.desc()).get().payload["transaction_type"] == "expiry"
    assert credits.verify().is_clean


def test_what_is_available_is_neither_reserved_nor_expired(held, ana):
    kind = make_kind()
    buy(ana, 5, 1)
    credits.purchase(ana, 4)
    credits.purchase(ana, 3, kind=kind)
    held_appointment(ana, 2)
    assert (credits.available(ana), credits.available(ana, kind=kind)) == (7, 3)
    assert (credits.available(make_user()), credits.balance(ana)) == (0, 9)
    with held(5):
        of_default, of_kind = credits.balances(ana)
        figures = (of_default.balance, of_default.reserved, of_default.expired, of_default.available)
        assert figures == (9, 2, 5, 2)
        assert (of_kind.expired, of_kind.available) == (0, 3)
        with pytest.raises(InsufficientCreditsError):
            credits.debit(ana, 3)
        credits.debit(ana, credits.available(ana))
        assert credits.available(ana) == 0


def test_what_is_overdue_is_told_before_it_goes(held, ana):
    kind = make_kind()
    buy(ana, 5, 1)
    buy(ana, 4, 2, package={"credit_kind": kind})
    first, second = CreditLot.select().order_by(CreditLot.id)
    assert credits.overdue_lots() == []
    with held(5):
        found = credits.overdue_lots()
        assert credits.expire_lots() == 2
        assert credits.overdue_lots() == []
    assert [(each.lot_id, each.user_id, each.credit_kind_id, each.credits, each.expired_at) for each in found] == [
        (first.id, ana.id, None, 5, first.expires_at),
        (second.id, ana.id, kind.id, 4, second.expires_at),
    ]


def test_a_lot_holds_to_the_last_moment_of_its_day(ana, frozen):
    buy(ana, 1, 0)
    end = datetime(2031, 2, 4, 3, tzinfo=UTC)
    with clock.frozen(end - timedelta(microseconds=1)):
        assert credits.expire_lots() == 0
    with clock.frozen(end):
        assert credits.expire_lots() == 1


@pytest.mark.slow
def test_privileged_work_expires_everybodys_and_a_tenant_its_own(db, bound, held, ana):
    buy(ana, 5, 1)
    other = make_organization(db)
    with db.tenant(other):
        bruno = make_user()
        buy(bruno, 4, 1)
    with held(9):
        with db.tenant(other):
            assert credits.expire_lots() == 1
            assert credits.balance(bruno) == 0
        assert credits.balance(ana) == 5
        with db.privileged(reason="test"):
            assert credits.expire_lots() >= 1
    with db.tenant(bound):
        assert credits.balance(ana) == 0


def test_more_lots_than_a_batch_are_all_expired(held, ana, monkeypatch):
    monkeypatch.setattr("rayces_core.credits.packages.BATCH", 2)
    for _ in range(5):
        buy(ana, 1, 1)
    with held(5):
        assert credits.expire_lots() == 5
    assert credits.balance(ana) == 0


def test_what_is_told_of_more_lots_than_a_batch_is_what_goes(held, ana, monkeypatch):
    monkeypatch.setattr("rayces_core.credits.packages.BATCH", 2)
    for _ in range(4):
        buy(ana, 2, 1000)
    held_appointment(ana, 3)
    with held(1500):
        assert [each.credits for each in credits.overdue_lots()] == [2, 2, 1]
        assert credits.expire_lots() == 3
    assert credits.balance(ana) == 3


# -- what the database refuses -----------------------------------------------------------------------------------------


def test_more_is_never_left_than_was_bought_nor_less_than_nothing(ana):
    buy(ana, 5, 1)
    for remaining in (-1, 6):
        with pytest.raises(CheckFailedError, match="of a lot"):
            CreditLot.update(remaining=remaining).execute()
    for number in (-1, 6):
        with pytest.raises(CheckFailedError, match="in lots"):
            CreditBalance.update(in_lots=number).execute()


def test_movements_of_lots_stand(db, bound, ana):
    buy(ana, 5, 1)
    for query in (CreditLotMovement.update(amount=9), CreditLotMovement.delete(), CreditLot.delete()):
        with pytest.raises(PermissionDeniedError):
            query.execute()


def test_names_of_packages_differ_and_none_holds_for_days_and_until_a_day(bound):
    make_package(name="Ten")
    with pytest.raises(DuplicateError, match="a package of that name"):
        make_package(name="TEN")
    with pytest.raises(CheckFailedError, match="not both"):
        make_package(valid_days=1, valid_until=date(2031, 1, 1))
    assert CreditPackage.select().count() == 1


# -- races -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [3])
def test_debits_at_once_never_take_more_from_a_lot_than_it_has(db, bound, ana, rounds):
    buy(ana, 2 * rounds, 5)
    buy(ana, rounds, 50)
    credits.purchase(ana, rounds)
    outcomes = race(db, bound, [ana] * 3 * rounds, [racers.take_one] * 2)
    refused = [error for of_racer in outcomes for error in of_racer if error]
    assert len(refused) == 2 * rounds
    assert (credits.balance(ana), left(ana), in_lots(ana)) == (0, [], 0)
    assert credits.verify().is_clean


@pytest.mark.slow
def test_taking_back_at_once_never_takes_more_than_was_bought_and_all_of_its_lot(db, bound, ana):
    buy(ana, 4, 5)
    bought = buy(ana, 3, 50)
    outcomes = race(db, bound, [bought] * 3, [racers.take_one_back] * 2)
    refused = [error for of_racer in outcomes for error in of_racer if error]
    assert len(refused) == 3
    assert (credits.balance(ana), left(ana)) == (4, [(4, 4)])
    assert credits.verify().is_clean


def test_sweeps_and_debits_at_once_post_what_is_left_once(db, bound, ana):
    """The lots are of yesterday, by their own row; the sweep and whoever spends look at the real clock."""
    buy(ana, 3, 5)
    buy(ana, 4, 50)
    first = credits.lots(ana)[0]
    CreditLot.update(updated_at=clock.now()).where(CreditLot.id == first.id).execute()
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE credit_lots SET expires_at = now() - interval '1 day' WHERE id = %s", [first.id])
    outcomes = race(db, bound, [ana] * 4, [racers.expire_lots, racers.expire_lots, racers.take_one])
    assert [error for of_racer in outcomes for error in of_racer if error] == []
    assert sorted(amounts(ana)) == [-3, -1, -1, -1, -1, 3, 4]
    assert credits.verify().is_clean


@pytest.mark.slow
def test_one_request_for_a_package_at_once_opens_one_lot(db, bound, ana):
    make_package(name="Ten", credits=10, valid_days=9)
    race(db, bound, [ana] * 2, [racers.buy_a_package] * 3)
    assert (amounts(ana), left(ana)) == ([10], [(10, 10)])


def test_now_is_the_present(ana):
    with pytest.raises(InvalidDataError):
        credits.expire_lots(now=NOW)


# -- SIGKILL -----------------------------------------------------------------------------------------------------------

SWEEP = """
import sys
import tests
from rayces_core import Database, credits
from rayces_core.credits import packages

with Database.connect(sys.argv[1]) as db, db.tenant(int(sys.argv[2])):
    expire = packages._expire
    packages._expire = lambda gone, at: print("one", flush=True) or expire(gone, at)
    credits.expire_lots()
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_in_the_middle_is_finished_by_the_next(create_database, template):
    with Database.connect(create_database(template)) as db:
        organization = make_organization(db)
        with db.tenant(organization):
            users = [make_user() for _ in range(5)]
            for user in users * 8:
                buy(user, 2, 9)
        with db.privileged(reason="test"):
            db.execute_sql("UPDATE credit_lots SET expires_at = now() - interval '1 day'")
        command = [sys.executable, "-c", SWEEP, db.url, str(organization.id)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sweep:
            for _ in range(7):
                assert sweep.stdout.readline() == "one\n"
            sweep.kill()
        with db.tenant(organization):
            done = CreditTransaction.select().where(CreditTransaction.transaction_type == "expiry").count()
            assert 6 <= done < 40
            assert credits.verify().is_clean
            assert credits.expire_lots() <= 40 - done
            assert [credits.balance(user) for user in users] == [0] * 5
            assert credits.verify().is_clean
