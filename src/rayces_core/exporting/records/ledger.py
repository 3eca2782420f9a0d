"""Records of credits and invoices."""

from __future__ import annotations

from typing import Final

from rayces_core.exporting.records.shape import (
    DATE,
    DOCUMENT,
    ID,
    INTEGER,
    MOMENT,
    MONEY,
    STAMPS,
    Column,
    Record,
    columns,
    joined,
)
from rayces_core.models import CreditLot, CreditLotMovement, CreditTransaction, Invoice, InvoiceCounter, InvoiceLine

TAKEN_BACK: Final = (
    "LEFT JOIN credit_transactions AS bought ON bought.organization_id = t.organization_id "
    "AND bought.credit_balance_id = t.takes_back_balance_id AND bought.sequence = t.takes_back_sequence"
)
LEDGER: Final = (
    Record(
        "credits",
        CreditTransaction,
        (
            Column("user", "u.email"),
            Column("credits", "t.amount", INTEGER),
            Column("credit_kind", "k.name"),
            Column("reference", "t.idempotency_key"),
            *columns("payment_method payment_reference"),
            Column("amount_paid", "t.amount_cents", MONEY),
            *columns("currency"),
            Column("purchased_on", "(t.created_at AT TIME ZONE %(zone)s)::date", DATE),
            *columns("reason"),
            Column("type", "t.transaction_type"),
            *columns("status"),
            *columns("processed_at", MOMENT),
            *columns("sequence balance_before balance_after", INTEGER),
            Column("created_by", "b.email"),
            *columns("id appointment_id", INTEGER),
            Column("takes_back_id", "bought.id", INTEGER),
            Column("package", "coalesce(t.package_name, p.name)"),
            *columns("valid_days", INTEGER),
            *columns("valid_until", DATE),
            *columns("metadata", DOCUMENT),
            *STAMPS,
        ),
        joins=" ".join(
            (
                joined("user_id", "u"),
                joined("created_by_id", "b"),
                joined("credit_kind_id", "k", "credit_kinds"),
                joined("credit_package_id", "p", "credit_packages"),
                TAKEN_BACK,
            )
        ),
        state="status",
        people=("user",),
    ),
    Record(
        "credit_lots",
        CreditLot,
        (
            Column("user", "u.email"),
            Column("credit_kind", "k.name"),
            Column("package", "coalesce(e.package_name, p.name)"),
            *columns("credits remaining", INTEGER),
            *columns("expires_at", MOMENT),
            *columns("id credit_transaction_id purchase_id", INTEGER),
            *STAMPS,
        ),
        joins=" ".join(
            (
                joined("credit_transaction_id", "e", "credit_transactions"),
                "LEFT JOIN users AS u ON u.organization_id = t.organization_id AND u.id = e.user_id",
                "LEFT JOIN credit_kinds AS k ON k.organization_id = t.organization_id AND k.id = e.credit_kind_id",
                "LEFT JOIN credit_packages p ON p.organization_id = t.organization_id AND p.id = e.credit_package_id",
            )
        ),
        when="expires_at",
        people=("user",),
    ),
    Record(
        "credit_lot_movements",
        CreditLotMovement,
        columns("id credit_lot_id credit_transaction_id amount", INTEGER),
    ),
    Record(
        "invoices",
        Invoice,
        (
            *columns("kind state series"),
            *columns("number", INTEGER),
            Column("user", "u.email"),
            *columns("issued_on due_on starts_on ends_on", DATE),
            *columns("currency"),
            *(Column(name, f"t.{name}_cents", MONEY) for name in ("net", "tax", "total")),
            *columns("corrects_series"),
            *columns("corrects_number", INTEGER),
            *columns("reason language"),
            *columns("biller customer positions", DOCUMENT),
            *columns("line_count", INTEGER),
            *columns("issued_at", MOMENT),
            *ID,
            *STAMPS,
        ),
        joins=joined("user_id", "u"),
        state="state",
        people=("user",),
    ),
    Record(
        "invoice_lines",
        InvoiceLine,
        (
            *columns("kind"),
            Column("series", "i.series"),
            Column("number", "i.number", INTEGER),
            *columns("position", INTEGER),
            *columns("happened_on", DATE),
            *columns("description"),
            *columns("quantity", INTEGER),
            Column("unit_price", "t.unit_cents", MONEY),
            *columns("tax_basis_points", INTEGER),
            *(Column(name, f"t.{name}_cents", MONEY) for name in ("net", "tax", "total")),
            Column("currency", "i.currency"),
            *columns("turn id invoice_id appointment_id credit_transaction_id", INTEGER),
        ),
        joins=joined("invoice_id", "i", "invoices"),
        when="",
    ),
    Record(
        "invoice_counters",
        InvoiceCounter,
        (*columns("kind series"), *columns("last_number", INTEGER), *ID),
        when="",
    ),
)
