"""Sessions and purchases to invoice, as raw rows, and what invoices say of them."""

import itertools
from datetime import UTC, date, datetime, timedelta

from rayces_core import CreditBalance, Invoice, InvoiceLine
from tests.factory import make_appointment, make_completed

NOW = datetime(2031, 4, 2, 15, tzinfo=UTC)
FIRST, LAST = date(2031, 3, 1), date(2031, 3, 31)
NOON = datetime(2031, 3, 3, 15, tzinfo=UTC)
_hours = itertools.count()


def session(client, price_cents=150_000, *, at=None, **columns):
    """A session that was held, with a price of its own."""
    at = at or NOON + timedelta(hours=next(_hours) % 600)
    values = {
        "state": "executed",
        "executed_at": at,
        "pre_confirmed_at": at,
        "confirmed_at": at,
        "expires_at": at,
        "currency": "ARS",
    }
    return make_appointment(client=client, scheduled_at=at, price_cents=price_cents, **(values | columns))


def purchase(client, number=10, amount_cents=1_200_000, at=NOON, **columns):
    """A purchase of credits that was paid."""
    balance = (
        columns.pop("credit_balance", None)
        or CreditBalance.get_or_none(CreditBalance.user == client.id)
        or CreditBalance.create(user=client)
    )
    paid = {"amount": number, "amount_cents": amount_cents, "currency": "ARS", "processed_at": at}
    return make_completed(credit_balance=balance, **(paid | columns))


def lines_of(invoice):
    """(source, total, tax) of each line, in order."""
    found = InvoiceLine.select().where(InvoiceLine.invoice == invoice.id).order_by(InvoiceLine.position)
    return [(line.source_key, line.total_cents, line.tax_cents) for line in found]


def numbers(kind="invoice", series=""):
    found = Invoice.select(Invoice.number).where(Invoice.kind == kind, Invoice.series == series)
    return [number for (number,) in found.order_by(Invoice.number).tuples()]
