"""Verification: every number, sum and correction looked at again; it changes nothing.

Most of it the database refuses by itself. What no constraint can hold is that the lines of an invoice are all there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rayces_core.database.binding import current
from rayces_core.models.invoice_statements import LEFT_CENTS
from rayces_core.tenancy.organization import Organization

# Each finding: kind, organization, invoice, what was expected and what is there.
FINDINGS: Final = f"""
WITH summed AS (
    SELECT line.invoice_id, count(*) AS lines, sum(line.total_cents) AS total, sum(line.tax_cents) AS tax
      FROM invoice_lines AS line WHERE line.organization_id = %(organization_id)s GROUP BY line.invoice_id
), issued AS (
    SELECT document.*, coalesce(summed.lines, 0) AS lines, coalesce(summed.total, 0) AS total,
           coalesce(summed.tax, 0) AS tax
      FROM invoices AS document LEFT JOIN summed ON summed.invoice_id = document.id
     WHERE document.organization_id = %(organization_id)s AND document.state = 'issued'
), numbered AS (
    SELECT kind, series, max(number) AS last, count(*) AS how_many FROM issued GROUP BY kind, series
)
SELECT 'line_count' AS kind, id AS invoice_id, line_count::text AS expected, lines::text AS found
  FROM issued WHERE lines <> line_count
UNION ALL
SELECT 'total_cents', id, total::text, total_cents::text FROM issued WHERE total <> total_cents
UNION ALL
SELECT 'tax_cents', id, tax::text, tax_cents::text FROM issued WHERE tax <> tax_cents
UNION ALL
SELECT 'number', NULL, last::text, how_many::text FROM numbered WHERE last <> how_many
UNION ALL
SELECT 'last_number', NULL, coalesce(numbered.last, 0)::text, counter.last_number::text
  FROM invoice_counters AS counter
  LEFT JOIN numbered ON numbered.kind = counter.kind AND numbered.series = counter.series
 WHERE counter.organization_id = %(organization_id)s AND counter.last_number <> coalesce(numbered.last, 0)
UNION ALL
SELECT 'corrects', note.id, concat(note.corrects_series, note.corrects_number), concat(wrong.series, wrong.number)
  FROM issued AS note
  JOIN invoice_lines AS line ON line.organization_id = %(organization_id)s AND line.invoice_id = note.id
  JOIN invoice_lines AS before
       ON before.organization_id = %(organization_id)s AND before.source_key = line.source_key
      AND before.turn = line.credited_turn
  JOIN invoices AS wrong ON wrong.organization_id = %(organization_id)s AND wrong.id = before.invoice_id
 WHERE note.kind = 'credit_note'
   AND (wrong.series, wrong.number) IS DISTINCT FROM (note.corrects_series, note.corrects_number)
UNION ALL
SELECT 'source', line.invoice_id, 'executed', session.state
  FROM invoice_lines AS line
  JOIN appointments AS session ON session.organization_id = %(organization_id)s AND session.id = line.appointment_id
 WHERE line.organization_id = %(organization_id)s AND line.kind = 'invoice' AND session.state <> 'executed'
   AND NOT EXISTS (SELECT FROM invoice_lines AS later
                    WHERE later.organization_id = %(organization_id)s AND later.source_key = line.source_key
                      AND later.turn = line.turn + 1)
UNION ALL
SELECT 'taken_back', line.invoice_id, {LEFT_CENTS.format(entry="bought")}::text, line.total_cents::text
  FROM invoice_lines AS line
  JOIN credit_transactions AS bought
       ON bought.organization_id = %(organization_id)s AND bought.id = line.credit_transaction_id
 WHERE line.organization_id = %(organization_id)s AND line.kind = 'invoice'
   AND {LEFT_CENTS.format(entry="bought")} <> line.total_cents
   AND NOT EXISTS (SELECT FROM invoice_lines AS later
                    WHERE later.organization_id = %(organization_id)s AND later.source_key = line.source_key
                      AND later.turn = line.turn + 1)
ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class InvoiceFinding:
    """Something that is not as it should be.

    Attributes:
        kind: `line_count`, `total_cents` or `tax_cents` of an invoice and its lines; `number`, a gap; `last_number`, of
            a counter; `corrects`, a credit note that gives back another invoice's lines; `source`, a session that was
            invoiced and is not executed any more: credit it; `taken_back`, a purchase that was invoiced and of which
            more was taken back since: credit it, and invoice what is left.
        invoice_id: None where it is about numbers. expected, found: as text.
    """

    kind: str
    organization_id: int
    invoice_id: int | None
    expected: str | None
    found: str | None


def verify_invoices() -> list[InvoiceFinding]:
    """Look at all invoices of the bound organization; in privileged work at every organization's."""
    bound = current().organization_id
    ids = Organization.select(Organization.id).order_by(Organization.id)
    keys = [bound] if bound is not None else [organization.id for organization in ids]
    return [finding for key in keys for finding in _findings(key)]


def _findings(key: int) -> list[InvoiceFinding]:
    rows = current().engine.run_prepared(FINDINGS, {"organization_id": key}).fetchall()
    return [InvoiceFinding(kind, key, invoice, expected, found) for kind, invoice, expected, found in rows]
