"""What processes that race for invoices do with the row they are given; a process finds these by name."""

import os

from rayces_core import Invoice, invoicing


def issue(draft: Invoice) -> None:
    draft.issue()


def issue_one_of_mine(first: Invoice) -> None:
    drafts = list(Invoice.select().where(Invoice.user == first.user_id).order_by(Invoice.id))
    drafts[os.getpid() % len(drafts)].issue()


def credit(invoice: Invoice) -> None:
    invoicing.credit_note(invoice, reason="wrong")
