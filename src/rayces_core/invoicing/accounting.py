"""What accountants are given: a CSV of one row an invoice, with its totals by tax rate.

Rule it guards: a spreadsheet runs nothing that came from a row, and what a credit note gives back is below zero.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from rayces_core.archive.cells import escaped
from rayces_core.credits.arguments import check_tenant
from rayces_core.invoicing.due import period
from rayces_core.invoicing.texts import decimal
from rayces_core.models.invoice import Invoice, InvoiceKind, InvoiceLine, InvoiceState

HEADER: Final = (
    *("kind", "series", "number", "issued_on", "due_on", "customer", "customer_tax_id", "customer_email"),
    *("corrects", "currency", "net", "tax", "total"),
)
# Rate in basis points → net and tax, in cents.
Rates = dict[int, tuple[int, int]]


def invoices_csv(since: date, until: date) -> str:
    """The invoices and credit notes issued between two local days, both included, as CSV in the order of their numbers.

    Amounts are decimals with a point, as many places as the currency has. Each tax rate that occurs has two columns,
    `net_21` and `tax_21` for 21 percent, which are empty where an invoice has no such line.

    Raises:
        InvalidDataError: a day is none. TenantNotSetError: in privileged work.
    """
    check_tenant()
    first, last = period(since, until)
    issued = Invoice.select().where(
        Invoice.state == InvoiceState.ISSUED, Invoice.issued_on >= first, Invoice.issued_on <= last
    )
    invoices = list(issued.order_by(Invoice.issued_on, Invoice.kind, Invoice.series, Invoice.number))
    by_rate = _by_rate(invoices)
    rates = sorted({rate for found in by_rate.values() for rate in found})
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([*HEADER, *(f"{part}_{rate / 100:g}" for rate in rates for part in ("net", "tax"))])
    writer.writerows(_row(invoice, by_rate[invoice.id], rates) for invoice in invoices)
    return file.getvalue()


def rates_of(lines: Iterable[InvoiceLine]) -> Rates:
    """Tax rate → net and tax of the lines that have it."""
    found: Rates = {}
    for line in lines:
        net, tax = found.get(line.tax_basis_points, (0, 0))
        found[line.tax_basis_points] = (net + line.total_cents - line.tax_cents, tax + line.tax_cents)
    return dict(sorted(found.items()))


def _by_rate(invoices: list[Invoice]) -> dict[int, Rates]:
    lines: dict[int, list[InvoiceLine]] = defaultdict(list)
    if invoices:
        for line in InvoiceLine.select().where(InvoiceLine.invoice.in_([each.id for each in invoices])):
            lines[line.invoice_id].append(line)
    return {invoice.id: rates_of(lines[invoice.id]) for invoice in invoices}


def _row(invoice: Invoice, by_rate: Rates, rates: list[int]) -> Iterator[str]:
    sign = -1 if invoice.kind == InvoiceKind.CREDIT_NOTE else 1
    customer, corrects = invoice.customer, f"{invoice.corrects_series or ''}{invoice.corrects_number or ''}"
    yield from (str(invoice.kind), escaped(invoice.series or ""), str(invoice.number))
    yield from (str(invoice.issued_on), str(invoice.due_on))
    yield from (escaped(str(customer.get(name, ""))) for name in ("name", "tax_id", "email"))
    yield from (escaped(corrects), invoice.currency)
    for cents in (invoice.net_cents, invoice.tax_cents, invoice.total_cents):
        yield decimal(sign * (cents or 0), invoice.currency)
    for rate in rates:
        yield from (
            decimal(sign * part, invoice.currency) if rate in by_rate else "" for part in by_rate.get(rate, (0, 0))
        )
