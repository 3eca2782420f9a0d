"""What is due to be invoiced: the very lines that issuing would write.

Rule it guards: what lists them and what writes them is one text of SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from rayces_core import clock
from rayces_core.credits.arguments import check_tenant, user_id
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.invoice import Invoice, InvoiceKind, InvoiceState
from rayces_core.models.invoice_statements import DRAWN, LEFT_CENTS, WHOSE_DRAFT, WHOSE_PERIOD
from rayces_core.models.user import User
from rayces_core.tenancy.organization import Organization, day_begins
from rayces_core.tenancy.scoping import check_saved

LANGUAGES: Final = ("en", "es")
_COLUMNS: Final = """position, description, happened_on, appointment_id, credit_transaction_id, quantity, unit_cents,
       tax_basis_points, total_cents, tax_cents"""
DUE: Final = f"WITH {WHOSE_PERIOD}, {DRAWN} SELECT {_COLUMNS} FROM drawn ORDER BY position"
OF_DRAFT: Final = f"WITH {WHOSE_DRAFT}, {DRAWN} SELECT {_COLUMNS} FROM drawn ORDER BY position"
PAYERS: Final = f"""
SELECT DISTINCT coalesce(payer.merged_into_id, payer.id) FROM (
    SELECT session.client_id AS user_id, session.id AS source_key, session.scheduled_at AS at
      FROM appointments AS session
     WHERE session.organization_id = %(organization_id)s AND session.state = 'executed' AND NOT session.uses_credit
       AND session.price_cents > 0 AND session.currency = %(currency)s
    UNION ALL
    SELECT entry.user_id, -entry.id, entry.processed_at
      FROM credit_transactions AS entry
     WHERE entry.organization_id = %(organization_id)s AND entry.transaction_type = 'purchase'
       AND entry.status = 'completed' AND entry.currency = %(currency)s AND {LEFT_CENTS.format(entry="entry")} > 0
) AS found
  JOIN organizations AS root ON root.id = %(organization_id)s
  JOIN users AS payer ON payer.organization_id = %(organization_id)s AND payer.id = found.user_id
 WHERE found.at >= {day_begins("%(starts_on)s::date", "root.time_zone")}
   AND found.at < {day_begins("%(ends_on)s::date + 1", "root.time_zone")}
   AND coalesce((SELECT max(line.turn) FROM invoice_lines AS line
                  WHERE line.organization_id = %(organization_id)s AND line.source_key = found.source_key), 0) %% 2 = 0
 ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class DueLine:
    """A session or a purchase that is not invoiced, as its line would be; cents are of the currency asked for."""

    position: int
    description: str
    happened_on: date
    appointment_id: int | None
    credit_transaction_id: int | None
    quantity: int
    unit_cents: int
    tax_basis_points: int
    total_cents: int
    tax_cents: int


def due_lines(
    user: User | int | None = None,
    since: date | None = None,
    until: date | None = None,
    *,
    currency: str | None = None,
    language: str = "es",
    draft: Invoice | None = None,
) -> list[DueLine]:
    """The lines that an invoice of a user would have now: executed sessions with a price, and purchases with one.

    Sessions that are paid with credits are not among them: their purchase is, but for what was taken back of it as its
    payment was. Nor is what is invoiced already, unless it was credited since.

    Args:
        since, until: the first and the last local day. currency: without it the organization's.
        language: of the descriptions, "en" or "es". draft: instead of all that, the draft whose lines they would be.

    Raises:
        InvalidDataError: a day, the currency or the language is none. TenantNotSetError: in privileged work.
        CrossTenantError: the draft is another organization's.
    """
    check_tenant()
    if draft is not None:
        check_saved(draft, Invoice, "draft")
        values = {"organization_id": draft.organization_id, "id": draft.id, "now": clock.now()}
        return [DueLine(*row) for row in current().engine.run_prepared(OF_DRAFT, values).fetchall()]
    first, last = period(since, until)
    place = {"organization_id": current().organization_id, "user": user_id(user), "language": spoken(language)}
    days = {"currency": currency_of(currency), "starts_on": first, "ends_on": last}
    return [DueLine(*row) for row in current().engine.run_prepared(DUE, place | days).fetchall()]


def payers_due(since: date, until: date, *, currency: str | None = None) -> list[User]:
    """Who has something due between two local days, both included, in a currency; without one the organization's.

    Raises:
        InvalidDataError: a day or the currency is none. TenantNotSetError: in privileged work.
    """
    check_tenant()
    first, last = period(since, until)
    place = {"organization_id": current().organization_id, "currency": currency_of(currency)}
    found = current().engine.run_prepared(PAYERS, place | {"starts_on": first, "ends_on": last}).fetchall()
    return list(User.select().where(User.id.in_([key for (key,) in found])).order_by(User.id)) if found else []


def period(since: object, until: object) -> tuple[date, date]:
    """Both days, the first one first."""
    first, last = _day("since", since), _day("until", until)
    if last < first:
        raise InvalidDataError("until", until, f"must not be before {since}")
    return first, last


def _day(name: str, given: object) -> date:
    if not isinstance(given, date) or isinstance(given, datetime):
        raise InvalidDataError(name, given, f"needs a date, got {type(given).__name__}")
    return given


def spoken(language: object) -> str:
    """A language that invoices are written in."""
    if language not in LANGUAGES:
        raise InvalidDataError("language", language, f"must be one of {', '.join(LANGUAGES)}")
    return str(language)


def currency_of(given: object) -> str:
    """The currency that is asked for, or that of the bound organization."""
    code: str | None = Invoice.currency.db_value(given)
    return code or Organization.get_by_id(current().organization_id).currency


def is_issued(invoice: Invoice, kind: InvoiceKind | None = None) -> bool:
    """Whether it has its number, and is of the kind."""
    return invoice.state == InvoiceState.ISSUED and kind in (None, invoice.kind)
