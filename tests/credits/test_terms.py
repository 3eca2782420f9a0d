"""What was sold stays as it was sold: whoever changes a package changes nothing of what waits for its payment."""

import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import (
    CreditLot,
    CreditPackage,
    CreditTransaction,
    IdempotencyConflictError,
    InvalidDataError,
    PackageExpiredError,
    PermissionDeniedError,
    clock,
    credits,
    invoicing,
)
from rayces_core.credits.packages import purchase_again
from rayces_core.integrations import payments
from rayces_core.integrations.payments import Notification, Status
from tests.credits import racers
from tests.credits.ledger import entries, figures, nothing_written, still_usable
from tests.factory import make_kind, make_package, make_user
from tests.state_machine.racers import race

DAY = timedelta(days=1)
PAID = {"payment_method": "stripe", "payment_reference": "pi_1"}
# The local day is 3 February 2031.
UNTIL = date(2031, 2, 10)
ON_ITS_LAST_DAY = datetime(2031, 2, 11, 2, 59, tzinfo=UTC)
DAYS_AFTER = datetime(2031, 2, 11, 3, tzinfo=UTC)


def change(package, **columns):
    for name, value in columns.items():
        setattr(package, name, value)
    package.save()


def ends(user, **options):
    return [lot.expires_at for lot in credits.lots(user, **options)]


# -- what was sold -----------------------------------------------------------------------------------------------------

# What a package was, what it becomes while its payment is awaited, and when what was sold ends, paid five days later.
CHANGES = [
    ({"valid_days": 30}, {"valid_days": 1}, datetime(2031, 3, 11, 3, tzinfo=UTC)),
    ({"valid_days": 30}, {"valid_days": None}, datetime(2031, 3, 11, 3, tzinfo=UTC)),
    ({"valid_days": 30}, {"valid_days": None, "valid_until": date(2031, 2, 4)}, datetime(2031, 3, 11, 3, tzinfo=UTC)),
    ({"valid_until": UNTIL}, {"valid_until": date(2031, 2, 5)}, datetime(2031, 2, 11, 3, tzinfo=UTC)),
    ({"valid_until": UNTIL}, {"valid_until": None}, datetime(2031, 2, 11, 3, tzinfo=UTC)),
    ({"valid_until": UNTIL}, {"valid_until": None, "valid_days": 90}, datetime(2031, 2, 11, 3, tzinfo=UTC)),
    ({}, {"valid_days": 1}, None),
    ({}, {"valid_until": date(2031, 2, 4)}, None),
    ({"valid_days": 30}, {"credits": 20, "price_cents": 1, "active": False}, datetime(2031, 3, 11, 3, tzinfo=UTC)),
]


@pytest.mark.parametrize("way", ["complete", "a failed payment that is paid after all"])
@pytest.mark.parametrize("sold, becomes, end", CHANGES)
def test_what_waits_for_its_payment_counts_as_it_was_sold(frozen, ana, sold, becomes, end, way):
    kind = make_kind()
    package = make_package(credits=5, credit_kind=kind, name="Five", price_cents=700, currency="ARS", **sold)
    entry = credits.purchase_package(ana, package, pending=True)
    change(package, name="Twenty", credit_kind=None, currency="USD", **becomes)
    with clock.frozen(frozen + 5 * DAY):
        if way == "complete":
            made = credits.complete(CreditTransaction.get_by_id(entry.id))
        else:
            made = purchase_again(credits.fail(entry, "no funds"))
        assert (credits.balance(ana, kind=kind), credits.balance(ana)) == (5, 0)
    assert ends(ana, kind=kind) == ([] if end is None else [end])
    assert (made.amount, made.amount_cents, made.currency, made.package_name) == (5, 700, "ARS", "Five")
    assert made.__data__ == CreditTransaction.get_by_id(made.id).__data__
    assert credits.verify().is_clean


def test_an_entry_has_what_was_sold_and_others_have_nothing_of_it(ana):
    sold = [
        credits.purchase_package(ana, make_package(name="A", valid_days=3)),
        credits.purchase_package(ana, make_package(name="B", valid_until=date(9998, 12, 31)), pending=True),
        credits.purchase_package(ana, make_package(name="C")),
        credits.purchase(ana, 1),
    ]
    found = [(each.package_name, each.valid_days, each.valid_until) for each in entries(ana)]
    assert found == [("A", 3, None), ("B", None, date(9998, 12, 31)), ("C", None, None), (None, None, None)]
    assert [each.__data__ for each in sold] == [each.__data__ for each in entries(ana)]


@pytest.mark.parametrize("pending", [False, True])
def test_a_request_that_comes_again_after_the_package_was_changed_gives_what_it_made(ana, pending):
    kind, package = make_kind(), make_package(credits=5, valid_days=30, price_cents=700, currency="ARS")
    asked = {"pending": pending, "idempotency_key": "k", **PAID}
    first = credits.purchase_package(ana, package, **asked)
    change(package, credits=9, price_cents=900, valid_days=1, credit_kind=kind, active=False)
    again = credits.purchase_package(ana, package, **asked)
    assert (again.id, again.was_repeated, again.amount, again.amount_cents) == (first.id, True, 5, 700)
    assert credits.purchase_package(ana, package, amount_cents=700, currency="ARS", **asked).id == first.id
    others = [(ana, package, {"amount_cents": 900}), (ana, make_package(credits=5), {}), (make_user(), package, {})]
    for user, of, more in others:
        with nothing_written(), pytest.raises(IdempotencyConflictError):
            credits.purchase_package(user, of, **asked, **more)


def test_what_is_invoiced_is_what_was_agreed(frozen, ana):
    package = make_package(name="Five", credits=5, price_cents=700, currency="ARS", valid_days=30)
    entry = credits.purchase_package(ana, package, pending=True)
    change(package, name="Twenty", credits=20, price_cents=9_000, currency="USD")
    with clock.frozen(frozen + 5 * DAY):
        credits.complete(entry)
    (line,) = invoicing.due_lines(ana, date(2031, 2, 1), date(2031, 2, 28), language="en")
    assert (line.description, line.quantity, line.total_cents) == ("Five", 1, 700)


@pytest.mark.parametrize("column", ["package_name", "valid_days", "valid_until", "credit_package_id", "amount_cents"])
@pytest.mark.parametrize("pending", [True, False])
def test_nobody_changes_afterwards_what_was_sold(db, ana, column, pending):
    credits.purchase_package(ana, make_package(valid_days=3), pending=pending)
    changing = f"UPDATE credit_transactions SET {column} = NULL"
    with pytest.raises(PermissionDeniedError):
        db.execute_sql(changing)
    with db.privileged(reason="test"), pytest.raises(PermissionDeniedError):
        db.execute_sql(changing)


def earlier_version(db, user, package):
    """A pending sale as a version wrote it that noted no terms."""
    model = credits.purchase(user, 4, pending=True)
    db.execute_sql(
        "INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type, "
        "status, credit_package_id) SELECT organization_id, user_id, credit_balance_id, 4, 'purchase', 'pending', %s "
        "FROM credit_transactions WHERE id = %s",
        (package.id, model.id),
    )
    return CreditTransaction.select().order_by(CreditTransaction.id.desc()).get()


def test_what_an_earlier_version_sold_meanwhile_goes_by_its_package(db, frozen, ana):
    package = make_package(valid_until=UNTIL)
    late, entry = earlier_version(db, ana, package), earlier_version(db, ana, package)
    credits.complete(entry)
    assert ends(ana) == [DAYS_AFTER]
    with clock.frozen(DAYS_AFTER), pytest.raises(PackageExpiredError):
        credits.complete(late)
    assert credits.verify().is_clean


# -- paid too late -----------------------------------------------------------------------------------------------------


def test_who_pays_on_the_last_day_has_that_day(frozen, ana):
    entry = credits.purchase_package(ana, make_package(credits=5, valid_until=UNTIL), pending=True)
    with clock.frozen(ON_ITS_LAST_DAY):
        credits.complete(entry)
        assert (credits.available(ana), ends(ana)) == (5, [DAYS_AFTER])


@pytest.mark.parametrize("when", [DAYS_AFTER, DAYS_AFTER + 400 * DAY])
def test_who_pays_after_the_last_day_is_not_given_what_nobody_can_use(db, frozen, ana, when):
    package = make_package(credits=5, valid_until=UNTIL, price_cents=700, currency="ARS")
    entry = credits.purchase_package(ana, package, pending=True, **PAID)
    change(package, valid_until=date(2040, 1, 1))
    with clock.frozen(when):
        for row in (entry, CreditTransaction.get_by_id(entry.id)):
            with nothing_written(), pytest.raises(PackageExpiredError, match=r"fail\(\) the entry") as caught:
                credits.complete(row)
            assert (caught.value.valid_until, row.status, row.balance_after) == (UNTIL, "pending", None)
        with nothing_written(), pytest.raises(PackageExpiredError):
            entry.complete()
        with still_usable(db, ana), pytest.raises(PackageExpiredError):
            credits.complete(entry)
        # What the desk does then: the same payment buys what is sold by now.
        credits.fail(entry, "paid after the last day")
        made = credits.purchase_package(ana, package, **PAID)
        assert (made.payment_attempt, made.retries, credits.available(ana)) == (2, entry, 7)
    assert credits.verify().is_clean


def test_a_failed_payment_that_is_paid_after_the_last_day_counts_for_nothing(frozen, ana):
    entry = credits.purchase_package(ana, make_package(valid_until=UNTIL), pending=True, **PAID)
    credits.fail(entry, "no funds")
    with clock.frozen(DAYS_AFTER), nothing_written(), pytest.raises(PackageExpiredError):
        purchase_again(entry)


def test_privileged_work_is_told_the_same(db, frozen, ana):
    late = credits.purchase_package(ana, make_package(valid_until=UNTIL), pending=True)
    entry = credits.purchase_package(ana, make_package(valid_days=9), pending=True)
    with clock.frozen(DAYS_AFTER), db.privileged(reason="a webhook of every organization"):
        with pytest.raises(PackageExpiredError):
            credits.complete(late)
        credits.complete(entry)
    assert (figures(ana)[0], len(ends(ana)), credits.verify().is_clean) == (10, 1, True)


def told(status, **more):
    return Notification("stripe", "pi_1", Status(status), amount_cents=700, currency="ARS", **more)


def test_a_notification_of_a_late_payment_says_so_until_somebody_decides(frozen, ana):
    package = make_package(credits=5, valid_until=UNTIL, price_cents=700, currency="ARS")
    entry = credits.purchase_package(ana, package, pending=True, **PAID)
    with clock.frozen(DAYS_AFTER):
        for late in (told("completed"), told("refunded", refunded_cents=300)):
            with nothing_written(), pytest.raises(PackageExpiredError):
                payments.post(late)
        credits.fail(entry, "paid after the last day")
        with nothing_written(), pytest.raises(PackageExpiredError):
            payments.post(told("completed"))
        credits.purchase(ana, 4, amount_cents=700, currency="ARS", **PAID)
        assert payments.post(told("completed")).was_repeated
    assert (credits.balance(ana), credits.verify().is_clean) == (4, True)


def test_a_late_payment_that_went_back_closes_the_sale(frozen, ana):
    package = make_package(credits=5, valid_until=UNTIL, price_cents=700, currency="ARS")
    credits.purchase_package(ana, package, pending=True, **PAID)
    with clock.frozen(DAYS_AFTER):
        closed = [payments.post(told("refunded")) for _ in range(2)]
    assert [(each.status, each.was_repeated) for each in closed] == [("failed", False), ("failed", True)]
    assert closed[0].history()[0].reason == "the payment was refunded"


# -- past the library --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [{"valid_days": 3}, {"valid_until": date(2040, 1, 1)}])
def test_a_sale_that_counts_without_its_lot_is_found(db, bound, ana, terms):
    entry = credits.purchase_package(ana, make_package(credits=5, **terms), pending=True)
    db.execute_sql(
        "WITH counted AS (UPDATE credit_transactions SET status = 'completed', processed_at = now(), "
        "balance_before = 0, balance_after = 5, sequence = 1 WHERE id = %s RETURNING credit_balance_id) "
        "UPDATE credit_balances SET balance = 5, lifetime_purchased = 5, last_sequence = 1 "
        "FROM counted WHERE id = credit_balance_id",
        (entry.id,),
    )
    (found,) = credits.verify().discrepancies
    assert (found.kind, found.entry_id, found.expected, found.found) == ("lot_missing", entry.id, "5", "0")
    assert not CreditLot.select().exists()


# -- races and kills ---------------------------------------------------------------------------------------------------


def waiting(user, number, **package):
    return [credits.purchase_package(user, make_package(credits=5, **package), pending=True) for _ in range(number)]


@pytest.mark.slow
def test_completions_at_once_and_a_change_of_the_package_open_one_lot_each_as_it_was_sold(db, bound, ana):
    entries_ = waiting(ana, 4, valid_days=30)
    racing = [racers.complete, racers.change_the_package, racers.complete, racers.expire_lots]
    outcomes = race(db, bound, entries_, racing)
    assert [error for of_racer in outcomes for error in of_racer if error] == []
    found = list(CreditLot.select())
    assert sorted(lot.credit_transaction_id for lot in found) == sorted(entry.id for entry in entries_)
    assert all(lot.expires_at > clock.now() + 28 * DAY for lot in found)
    assert (figures(ana), credits.verify().is_clean) == ((20, 20, 0), True)


@pytest.mark.slow
def test_what_is_taken_back_while_it_is_completed_comes_from_its_lot(db, bound, ana):
    entries_ = waiting(ana, 4, valid_days=30)
    completed, taken, _ = race(db, bound, entries_, [racers.complete, racers.take_one_back, racers.expire_lots])
    assert completed == [None] * 4
    assert {type(error) for error in taken} <= {type(None), InvalidDataError}
    back = sum(error is None for error in taken)
    assert (credits.balance(ana), sum(lot.remaining for lot in credits.lots(ana))) == (20 - back, 20 - back)
    assert credits.verify().is_clean


@pytest.mark.slow
def test_a_sale_is_of_one_version_of_its_package(db, bound, ana):
    CreditPackage.create(currency="ARS", **racers.VERSIONS[0])
    outcomes = race(db, bound, [ana], [racers.note_a_package, racers.turn_the_package, racers.note_a_package])
    assert outcomes == [[None]] * 3
    versions = {tuple(each.values()) for each in racers.VERSIONS}
    found = {(e.amount, e.amount_cents, e.package_name, e.valid_days, e.valid_until) for e in entries(ana)}
    assert found <= versions
    assert len(entries(ana)) == 10


KILLED = """
import os, signal, sys
import tests
from rayces_core import CreditTransaction, Database, credits
from rayces_core.credits import packages

when, url, organization, entry = sys.argv[1:]
open_lot = packages.open_lot
def killed(of):
    if when == "after":
        open_lot(of)
    os.kill(os.getpid(), signal.SIGKILL)
packages.open_lot = killed
with Database.connect(url) as db, db.tenant(int(organization)):
    credits.complete(CreditTransaction.get_by_id(int(entry)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_beside_its_lot_a_completion_has_not_begun(own_db, when):
    organization = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(organization):
        ana = make_user()
        (entry,) = waiting(ana, 1, valid_days=30)
        given = [when, own_db.url, str(organization.id), str(entry.id)]
        with nothing_written():
            done = subprocess.run([sys.executable, "-c", KILLED, *given], capture_output=True, text=True, check=False)
            assert done.returncode == -signal.SIGKILL, done.stderr
        change(CreditPackage.get(), valid_days=1)
        credits.complete(entry)
        (lot,) = credits.lots(ana)
        assert lot.expires_at > clock.now() + 28 * DAY
        assert (credits.balance(ana), credits.verify().is_clean) == (5, True)
