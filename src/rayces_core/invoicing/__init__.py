"""Invoices: what is due, drafts of it, credit notes, paper, and what accountants are given.

Rule it guards: a session or a purchase is asked for once, and what was asked for is corrected by a credit note
alone.
"""

from rayces_core.invoicing.accounting import invoices_csv
from rayces_core.invoicing.drafting import credit_note, draft_invoice
from rayces_core.invoicing.due import DueLine, due_lines, payers_due
from rayces_core.invoicing.paper import attendance_pdf, invoice_pdf
from rayces_core.invoicing.texts import money
from rayces_core.invoicing.verification import InvoiceFinding, verify_invoices

__all__ = [
    "DueLine",
    "InvoiceFinding",
    "attendance_pdf",
    "credit_note",
    "draft_invoice",
    "due_lines",
    "invoice_pdf",
    "invoices_csv",
    "money",
    "payers_due",
    "verify_invoices",
]
