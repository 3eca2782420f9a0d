"""Packages, reserved credits, invoices and payments: worked out by hand, and by loops over the rows."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import Appointment, CreditBalance, CreditLot, analysis, clock, credits, invoicing
from rayces_core.errors import InsufficientCreditsError
from rayces_core.invoicing.accounting import rates_of
from tests.factory import make_appointment, make_kind, make_organization, make_package, make_service, make_user
from tests.invoicing.world import purchase, session
from tests.sizes import examples

NOW = datetime(2031, 2, 3, 15, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = date(2031, 1, 1), date(2032, 1, 1)
MARCH = datetime(2031, 3, 3, 15, tzinfo=UTC)
NOTHING = (0, 0, 0, 0, 0)
CREDITED = ("credited_net_cents", "credited_tax_cents")
# Name → what is asked without a period.
FINANCE = {"package_credits", "reserved_credits", "billed", "billed_taxes"}


def hold(user, cost, **columns):
    appointment = make_appointment(client=user, uses_credit=True, credits_used=cost, **columns)
    appointment.pre_confirm()
    return appointment


def shelf(days=0):
    return analysis.package_credits(now=NOW + days * DAY).drop("organization_id", "lot_id", "valid_until").rows()


def test_lots_by_hand(db, a):
    with db.tenant(a), clock.frozen(NOW):
        ana, kind = make_user(), make_kind()
        eight = make_package(credits=8, credit_kind=kind, valid_days=30)
        three = make_package(credits=3, valid_days=1)
        for package in (eight, three):
            credits.purchase_package(ana, package)
        paid = hold(ana, 3, credit_kind=kind)
        paid.confirm()
        credits.debit(ana, 1)
        credits.refund(paid, credits=1)
        with clock.frozen(NOW + 5 * DAY):
            # 3 were bought and 1 spent; 8 were bought, 3 spent and 1 given back. The shorter one is over.
            before = [(ana.id, None, three.id, 3, 1, 0, 2, True), (ana.id, kind.id, eight.id, 8, 2, 0, 6, False)]
            assert shelf(5) == before
            credits.expire_lots()
            assert shelf(5) == [(ana.id, None, three.id, 3, 1, 2, 0, True), before[1]]
        assert analysis.package_credits(now=NOW)["valid_until"].to_list() == [
            datetime(2031, 2, 5, 3, tzinfo=UTC),
            datetime(2031, 3, 6, 3, tzinfo=UTC),
        ]


def test_reserved_credits_by_hand(db, a):
    with db.tenant(a), clock.frozen(NOW):
        ana, eva, kind = make_user(), make_user(), make_kind()
        credits.purchase(ana, 5)
        credits.purchase(eva, 2)
        credits.purchase_package(ana, make_package(credits=4, credit_kind=kind, valid_days=1))
        hold(ana, 2)
        hold(ana, 1)
        hold(eva, 1)
        hold(ana, 1, credit_kind=kind)
        found = analysis.reserved_credits(now=NOW).drop("organization_id").rows()
        assert found == [(None, 2, 7, 4, 3, 0), (kind.id, 1, 4, 1, 1, 0)]
        later = analysis.reserved_credits(now=NOW + 5 * DAY).drop("organization_id").rows()
        assert later == [(None, 2, 7, 4, 3, 0), (kind.id, 1, 4, 1, 1, 4)]


def test_invoices_and_payments_by_hand(db, a):
    with db.tenant(a):
        ana, eva = make_user(), make_user()
        session(ana, 150_000, at=MARCH)
        session(ana, 50_000, at=MARCH + DAY)
        session(eva, 70_000, at=MARCH)
        purchase(eva, 10, 900_000, at=datetime(2031, 4, 1, 2, 59, tzinfo=UTC))  # the last local minute of March
        purchase(ana, 2, 10, at=datetime(2031, 4, 1, 3, tzinfo=UTC), currency="USD")
        purchase(ana, 1, None, at=MARCH, currency=None)
        with clock.frozen(datetime(2031, 3, 31, 15, tzinfo=UTC)):
            first, _ = (invoicing.draft_invoice(user, date(2031, 3, 1), date(2031, 3, 30)) for user in (ana, eva))
            first.issue()
        with clock.frozen(datetime(2031, 4, 2, 15, tzinfo=UTC)):
            invoicing.credit_note(first, [2], reason="not held")
        found = analysis.billed(date(2031, 3, 1), date(2031, 5, 1), every="1mo").drop("organization_id").rows()
        march, april = date(2031, 3, 1), date(2031, 4, 1)
        assert found == [
            (march, "ARS", 1, 200_000, 0, 1, 900_000),
            (march, "USD", *NOTHING),
            (april, "ARS", 0, 0, 50_000, 0, 0),
            (april, "USD", 0, 0, 0, 1, 10),
        ]
        assert analysis.billed(*YEAR).drop("organization_id").rows() == [
            ("ARS", 1, 200_000, 50_000, 1, 900_000),
            ("USD", 0, 0, 0, 1, 10),
        ]
        assert analysis.billed(date(2031, 5, 1), date(2031, 6, 1), every="1mo").is_empty()


@pytest.mark.slow
def test_taxes_by_hand_and_as_the_lines_say(db):
    check_taxes(db)


def check_taxes(db):
    """21 percent in 121.00 are 21.00; 10.5 percent in 221.00 are 21.00; drafts are none."""
    rates = {"tax_basis_points": 2100, "tax_id": "30-71234567-1"}
    with db.tenant(make_organization(db, time_zone="America/Argentina/Buenos_Aires", settings=rates)):
        ana, music = make_user(), make_service(name="Music", tax_basis_points=1050)
        session(ana, 12_100, at=MARCH)
        session(ana, 24_200, at=MARCH + DAY)
        session(ana, 22_100, at=MARCH + 2 * DAY, service=music)
        with clock.frozen(datetime(2031, 4, 1, 2, 59, tzinfo=UTC)):  # the last local minute of March
            first = invoicing.draft_invoice(ana, date(2031, 3, 1), date(2031, 3, 30))
            assert analysis.billed_taxes(*YEAR).is_empty()
            first.issue()
        with clock.frozen(datetime(2031, 4, 2, 15, tzinfo=UTC)):
            note = invoicing.credit_note(first, [2], reason="not held")
        invoicing.draft_invoice(ana, date(2031, 3, 1), date(2031, 3, 30))
        march, april = date(2031, 3, 1), date(2031, 4, 1)
        found = analysis.billed_taxes(march, date(2031, 5, 1), every="1mo").drop("organization_id").rows()
        assert found == [
            (march, "ARS", 1050, 20_000, 2100, 0, 0, 2100),
            (march, "ARS", 2100, 30_000, 6300, 0, 0, 6300),
            (april, "ARS", 1050, 0, 0, 0, 0, 0),
            (april, "ARS", 2100, 0, 0, 20_000, 4200, -4200),
        ]
        assert analysis.billed_taxes(march, april)["tax_cents"].to_list() == [2100, 6300]
        for invoice, (net, tax) in ((first, ("invoiced_net_cents", "invoiced_tax_cents")), (note, CREDITED)):
            rows = analysis.billed_taxes(*YEAR).select("tax_basis_points", net, tax).rows()
            lines = rates_of(invoice.lines)
            assert [row for row in rows if any(row[1:])] == [(rate, *sums) for rate, sums in lines.items()]
        whole, billed = analysis.billed_taxes(*YEAR).sum(), analysis.billed(*YEAR)
        assert whole["invoiced_net_cents"][0] + whole["invoiced_tax_cents"][0] == billed["invoiced_cents"][0]
        assert whole["credited_net_cents"][0] + whole["credited_tax_cents"][0] == billed["credited_cents"][0]


STEPS = st.lists(
    st.tuples(st.sampled_from(["package", "debit", "hold", "back", "expire"]), st.booleans(), st.integers(1, 4)),
    max_size=15,
)


@examples(5, 50)
@given(steps=STEPS)
def test_lots_and_reserves_are_what_loops_over_the_rows_say(db, steps):
    with db.tenant(make_organization(db)):
        user, kinds, taken = make_user(), {False: None, True: make_kind()}, []
        for day, (what, of_kind, number) in enumerate(steps):
            with clock.frozen(NOW + day * DAY):
                try:
                    taken += _done(what, user, kinds[of_kind], number, taken)
                except InsufficientCreditsError:
                    continue
        now = NOW + len(steps) * DAY
        lots = list(CreditLot.select().order_by(CreditLot.expires_at, CreditLot.id))
        expected = []
        for lot in lots:
            moved = Counter()
            for movement in lot.movements:
                moved[movement.credit_transaction.transaction_type] += movement.amount
            gone, bought = -moved["expiry"], moved["purchase"]
            left = sum(moved.values())
            expected.append((lot.id, bought, bought - gone - left, gone, left, lot.expires_at <= now))
        columns = ("lot_id", "bought", "spent", "expired", "left", "overdue")
        assert analysis.package_credits(now=now).select(columns).rows() == expected
        holds = defaultdict(list)
        for each in Appointment.select().where(Appointment.state == "pre_confirmed"):
            holds[each.credit_kind_id] += [each.reserved_credits] if each.reserved_credits else []
        balances = {held.credit_kind_id: held.balance for held in CreditBalance.select()}
        over = Counter()
        for lot in lots:
            over[lot.credit_balance.credit_kind_id] += lot.remaining if lot.expires_at <= now else 0
        found = analysis.reserved_credits(now=now).drop("organization_id").rows()
        assert found == [
            (kind, 1, balances[kind], sum(holds[kind]), len(holds[kind]), over[kind])
            for kind in sorted(balances, key=lambda kind: kind or 0)
        ]


def _done(what, user, kind, number, taken):
    if what == "package":
        credits.purchase_package(user, make_package(credits=number, credit_kind=kind, valid_days=number))
    elif what == "debit":
        appointment = make_appointment(client=user)
        credits.debit(user, number, kind=kind, appointment=appointment)
        return [appointment]
    elif what == "hold":
        hold(user, number, credit_kind=kind)
    elif what == "back" and taken:
        credits.refund(taken.pop())
    elif what == "expire":
        credits.expire_lots()
    return []


def test_a_tenant_sees_its_own_and_privileged_work_everybodys(db, a, b):
    for organization in (a, b):
        with db.tenant(organization), clock.frozen(NOW):
            ana = make_user()
            credits.purchase_package(ana, make_package(credits=3, valid_days=1), amount_cents=5, currency="ARS")
            hold(ana, 1)
            session(ana, at=NOW)
        with db.tenant(organization), clock.frozen(NOW + DAY):
            invoicing.draft_invoice(ana, NOW.date(), NOW.date()).issue()
    of_days = (lambda: analysis.billed(*YEAR), lambda: analysis.billed_taxes(*YEAR))
    for ask in (analysis.package_credits, analysis.reserved_credits, *of_days):
        with db.tenant(b):
            alone = ask()
        assert alone["organization_id"].unique().to_list() == [b.id]
        with db.privileged(reason="test"):
            assert {a.id, b.id} <= set(ask()["organization_id"].to_list())
    with pytest.raises(Exception, match="tenant"):
        analysis.package_credits()
