"""Drafts of invoices, and the credit notes that correct what was issued.

Rule it guards: a credit note gives back lines that were invoiced and not yet credited, each with its own amounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from rayces_core.credits.arguments import acting_user, check_tenant, needed_text, user_id
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.invoicing.due import currency_of, is_issued, period, spoken
from rayces_core.models.invoice import Invoice, InvoiceKind, InvoiceLine
from rayces_core.models.user import User, person_id
from rayces_core.tenancy.scoping import check_saved


def draft_invoice(
    user: User | int,
    since: date,
    until: date,
    *,
    currency: str | None = None,
    language: str = "es",
    customer: Mapping[str, Any] | None = None,
    by: User | None = None,
) -> Invoice:
    """Draft the invoice of a user for the days from `since` to `until`; `issue()` gives it a number and its lines.

    Args:
        currency: what is due in it is invoiced; without it the organization's. language: "en" or "es".
        customer: what the invoice says of whoever pays besides name, e-mail address and phone, such as `tax_id` and
            `address`; what is given goes before what the user has, unless it is empty.
        by: the acting user, of the staff.

    Raises:
        InvalidDataError: a day, the language, the currency or the customer is none.
        NotPermittedError: `by` is not of the staff.
        ReferenceNotFoundError: there is no such user. CrossTenantError: another organization's.
    """
    check_tenant()
    acting_user(by, "draft an invoice")
    first, last = period(since, until)
    return Invoice.create(
        user=person_id(user_id(user)),
        starts_on=first,
        ends_on=last,
        currency=currency_of(currency),
        language=spoken(language),
        customer={} if customer is None else customer,
    )


def credit_note(
    invoice: Invoice,
    lines: Iterable[InvoiceLine | int] | None = None,
    *,
    reason: str,
    by: User | None = None,
    now: datetime | None = None,
) -> Invoice:
    """Issue a credit note for an invoice, or for some of its lines; what they were for may be invoiced again.

    Args:
        lines: lines of the invoice, or their positions; without them all that are left.
        reason: why, for the customer. by: the acting user, of the staff.

    Returns:
        The credit note, issued.

    Raises:
        TransitionRefusedError: `credited_already`, of one of the lines at least or of all.
        InvalidDataError: it is no issued invoice, or a line or the reason is none. NotPermittedError.
    """
    check_tenant()
    check_saved(invoice, Invoice, "invoice")
    acting_user(by, "credit an invoice")
    why = needed_text(reason, "reason").strip()
    if not is_issued(invoice, InvoiceKind.INVOICE):
        raise InvalidDataError("invoice", invoice.id, "needs an issued invoice; a draft is discarded")
    with current().engine.atomic():
        note = Invoice.create(
            kind=InvoiceKind.CREDIT_NOTE,
            user=invoice.user_id,
            currency=invoice.currency,
            language=invoice.language,
            corrects_series=invoice.series,
            corrects_number=invoice.number,
            positions=_positions(invoice, lines),
            reason=why,
            customer=invoice.customer,
        )
        note.issue(by=by, reason=why, now=now)
    return note


def _positions(invoice: Invoice, lines: Iterable[InvoiceLine | int] | None) -> list[int]:
    if lines is None:
        return []
    if not isinstance(lines, Iterable):
        raise InvalidDataError("lines", lines, "needs lines of the invoice, or their positions")
    positions = sorted({_position(invoice, line) for line in lines})
    if not positions:
        raise InvalidDataError("lines", [], "needs a line at least; leave it out for all of them")
    return positions


def _position(invoice: Invoice, line: object) -> int:
    if isinstance(line, InvoiceLine):
        if line.invoice_id != invoice.id:
            raise InvalidDataError("lines", line.id, "is a line of another invoice")
        return line.position
    if isinstance(line, bool) or not isinstance(line, int):
        raise InvalidDataError("lines", line, "needs lines of the invoice, or their positions")
    return line
