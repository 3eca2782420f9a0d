"""Whatever is issued and credited in whatever order: taxes are half up, sums are sums, nothing is asked twice."""

from collections import defaultdict
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from rayces_core import Invoice, InvoiceLine, TransitionRefusedError, clock, invoicing
from rayces_core.invoicing.accounting import rates_of
from tests.factory import make_organization, make_package, make_service, make_user
from tests.invoicing.test_drafting import issued
from tests.invoicing.world import FIRST, LAST, NOON, NOW, numbers, purchase, session
from tests.sizes import examples

CENTS = st.integers(1, 2**31 - 1)
RATES = st.one_of(st.sampled_from([0, 1050, 2100, 2700]), st.integers(0, 10_000))


def tax_in(total, rate):
    exact = Decimal(total) * rate / (10_000 + rate)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@examples(10, 100)
@given(
    sold=st.lists(st.tuples(CENTS, st.none() | RATES, st.booleans()), min_size=1, max_size=8),
    rate=RATES,
    credited=st.lists(st.integers(1, 8), unique=True, max_size=7),
)
def test_taxes_are_half_up_rate_by_rate_and_credit_notes_give_them_back(db, sold, rate, credited):
    with db.tenant(make_organization(db, settings={"tax_basis_points": rate})), clock.frozen(NOW):
        ana, gross = make_user(), defaultdict(int)
        for day, (price, own, is_package) in enumerate(sold):
            gross[rate if own is None else own] += price
            _sell(ana, price, own, is_package, at=NOON + timedelta(days=day))

        invoice = issued(ana)

        lines = list(InvoiceLine.select().order_by(InvoiceLine.position))
        assert [line.total_cents for line in lines] == [price for price, _, _ in sold]
        taxes = {each: tax_in(total, each) for each, total in gross.items()}
        assert rates_of(lines) == {each: (gross[each] - tax, tax) for each, tax in taxes.items()}
        assert all(0 <= line.tax_cents <= line.total_cents for line in lines)
        assert all(abs(line.tax_cents - tax_in(line.total_cents, line.tax_basis_points)) <= 1 for line in lines)
        assert (invoice.total_cents, invoice.tax_cents) == (sum(gross.values()), sum(taxes.values()))
        some = [line for line in lines if line.position in credited]
        notes = [invoicing.credit_note(invoice, some, reason="wrong")] if some else []
        notes += [invoicing.credit_note(invoice, reason="wrong")] if len(some) < len(lines) else []
        given_back = list(InvoiceLine.select().where(InvoiceLine.kind == "credit_note"))
        assert rates_of(given_back) == rates_of(lines)
        assert sum(note.tax_cents for note in notes) == invoice.tax_cents
        assert invoicing.verify_invoices() == []


def _sell(user, price, rate, is_package, *, at):
    if is_package:
        package = make_package(tax_basis_points=rate)
        purchase(user, amount_cents=price, at=at, credit_package=package)
    else:
        session(user, price, at=at, service=make_service(tax_basis_points=rate))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("session"), st.integers(0, 1)),
        st.tuples(st.just("purchase"), st.integers(0, 1)),
        st.tuples(st.just("issue"), st.integers(0, 1)),
        st.tuples(st.just("credit"), st.integers(0, 5)),
        st.tuples(st.just("credit some"), st.integers(0, 5)),
    ),
    max_size=20,
)


class Books:
    """Who owes what, in plain sets: each source is due, or on the invoice that asks for it."""

    def __init__(self):
        self.due = [{}, {}]
        self.asked = []

    def add(self, who, source, cents):
        self.due[who][source] = cents

    def issue(self, who):
        if not self.due[who]:
            return False
        self.asked.append((who, self.due[who]))
        self.due[who] = {}
        return True

    def credit(self, which, only_one):
        who, left = self.asked[which]
        given = dict(sorted(left.items())[:1] if only_one else left)
        for source in given:
            del left[source]
        self.due[who] |= given
        return given


@examples(12, 100)
@given(steps=STEPS)
def test_any_sequence_of_issuing_and_crediting_keeps_the_books(db, steps):
    with db.tenant(make_organization(db, settings={"tax_basis_points": 2100})), clock.frozen(NOW):
        users, books, invoices, notes = [make_user(), make_user()], Books(), [], 0
        for number, (what, which) in enumerate(steps):
            cents, at = 1_000 + number, NOON + timedelta(hours=number)
            if what == "session":
                books.add(which, session(users[which], cents, at=at).id, cents)
            elif what == "purchase":
                books.add(which, -purchase(users[which], 1, cents, at=at).id, cents)
            elif what == "issue":
                notes += _issue(books, users, which, invoices)
            elif invoices:
                notes += _credit(books, invoices, which % len(invoices), what == "credit some")
        for who, user in enumerate(users):
            due = {line.appointment_id or -line.credit_transaction_id: line.total_cents for line in _due(user)}
            assert due == books.due[who]
        assert numbers() == list(range(1, len(invoices) + 1))
        assert numbers("credit_note") == list(range(1, notes + 1))
        asked = sum(i.total_cents for i in Invoice.select().where(Invoice.kind == "invoice", Invoice.state == "issued"))
        back = sum(i.total_cents for i in Invoice.select().where(Invoice.kind == "credit_note"))
        assert asked - back == sum(sum(left.values()) for _, left in books.asked)
        assert invoicing.verify_invoices() == []


def _due(user):
    return invoicing.due_lines(user, FIRST, LAST)


def _issue(books, users, which, invoices):
    expected = books.issue(which)
    try:
        invoices.append(issued(users[which]))
    except TransitionRefusedError:
        assert not expected
    else:
        assert expected
    return 0


def _credit(books, invoices, which, only_one):
    invoice, given = invoices[which], books.credit(which, only_one)
    lines = None
    if only_one:
        of_one = list(InvoiceLine.select().where(InvoiceLine.invoice == invoice.id))
        lines = [line for line in of_one if line.source_key in given] or of_one[:1]
    try:
        note = invoicing.credit_note(invoice, lines, reason="wrong")
    except TransitionRefusedError:
        assert not given
        return 0
    assert note.total_cents == sum(given.values())
    return 1
