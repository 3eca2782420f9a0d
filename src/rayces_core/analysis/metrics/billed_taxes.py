"""What was invoiced and credited, by tax rate."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from rayces_core.analysis.asking import Asked, Figure, counted
from rayces_core.analysis.definition import LOCAL, Definition, metric

if TYPE_CHECKING:
    import polars as pl

KEYS: Final = {"currency": "text", "tax_basis_points": "integer"}
COLUMNS: Final = ("kind", "line_net_cents", "line_tax_cents")
OF: Final = "coalesce(sum({0}) FILTER (WHERE kind = '{1}'), 0)"
TAX: Final = f"{OF.format('line_tax_cents', 'invoice')} - {OF.format('line_tax_cents', 'credit_note')}"
FIGURES: Final = {
    "invoiced_net_cents": Figure(OF.format("line_net_cents", "invoice")),
    "invoiced_tax_cents": Figure(OF.format("line_tax_cents", "invoice")),
    "credited_net_cents": Figure(OF.format("line_net_cents", "credit_note")),
    "credited_tax_cents": Figure(OF.format("line_tax_cents", "credit_note")),
    "tax_cents": Figure(TAX),
}
DEFINITION: Final = Definition(
    text="Lines of the invoices and credit notes that were issued on a day of the period, by currency and by the tax "
    "rate with which they were billed. Drafts and discarded ones are not counted.",
    numerator=TAX,
    denominator=None,
    source="invoices; invoice_lines (tax_basis_points)",
    zone=LOCAL,
    columns={
        "currency": "of the sums, ISO 4217",
        "tax_basis_points": "the rate, in hundredths of a percent: 2100 is 21 percent",
        "invoiced_net_cents": "lines of invoices without their tax, in hundredths of the currency",
        "invoiced_tax_cents": "the tax in these lines, likewise",
        "credited_net_cents": "lines of credit notes without their tax, likewise, above zero",
        "credited_tax_cents": "the tax in these lines, likewise, above zero",
        "tax_cents": "invoiced_tax_cents less credited_tax_cents; below zero where more was credited",
    },
)
FACTS: Final = """
    SELECT line.organization_id, {period} AS period, invoice.currency, line.tax_basis_points, invoice.kind,
           line.net_cents AS line_net_cents, line.tax_cents AS line_tax_cents
      FROM {{invoices}} AS invoice
      JOIN {{invoice_lines}} AS line
        ON line.organization_id = invoice.organization_id AND line.invoice_id = invoice.id
     WHERE invoice.state = 'issued' AND invoice.issued_on >= %(start)s::date AND invoice.issued_on < %(end)s::date"""


@metric(DEFINITION)
def billed_taxes(start: date, end: date, *, every: str | None = None, now: datetime | None = None) -> pl.DataFrame:
    """Add up invoices and credit notes by tax rate, each currency by itself.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        now: the present, aware; here it makes no difference.

    Returns:
        A frame of organization_id, period where asked for, and the columns that the definition tells: a row for each
        currency and rate of which there was anything between start and end, and each period.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, now=now)
    facts = FACTS.format(period=asked.periods.of_day("invoice.issued_on"))
    return counted(asked, facts, COLUMNS, FIGURES, keys=KEYS)
