"""Packages of credits, known by their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Fault, Record
from rayces_core.importing.records import credit_kinds
from rayces_core.importing.records.services import COMPARED_PRICE, CURRENCY, PRICED, TAX, UPDATED_PRICE
from rayces_core.importing.words import named
from rayces_core.models.credit_package import MOST_DAYS, CreditPackage

TYPES: Final = {
    "name": "varchar",
    "credits": "integer",
    "valid_days": "integer",
    "valid_until": "date",
    "active": "boolean",
    "tax_basis_points": "integer",
}
BOUNDS: Final = {"credits": (1, 1_000_000_000), "valid_days": (0, MOST_DAYS), "tax_basis_points": (0, 10_000)}
CHANGED: Final = tuple(name for name in TYPES if name != "name")


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What the table's own rules say, told row by row."""
    yield from credit_kinds.rules(row, now)
    for name, (least, most) in BOUNDS.items():
        if row.get(name) is not None and not least <= row[name] <= most:
            yield name, f"must be {least} to {most}", "correct it"
    if (row.get("price") or 0) < 0:
        yield "price", "is below zero", "correct it"
    if row.get("currency") is not None and row.get("price") is None:
        yield "currency", "comes without a price", "fill in both, or neither"
    if row.get("valid_days") is not None and row.get("valid_until") is not None:
        yield "valid_until", "comes with valid_days as well", "fill in one of them"


CREDIT_PACKAGES: Final = Record(
    name="credit_packages",
    model=CreditPackage,
    columns=named(
        "credit_packages",
        (
            Column("name", values.text, required=True, example="Ten sessions", about="One's, whatever its case."),
            credit_kinds.COLUMN,
            Column("credits", values.integer, required=True, example="10"),
            Column("price", values.money, example="$ 100.000", about="As people write it; stored in cents."),
            CURRENCY,
            Column("valid_days", values.integer, example="90", about="From the day on when they count."),
            Column("valid_until", values.date, about="The last day, the same for everybody."),
            Column("active", values.boolean, example="yes"),
            TAX,
            OWN_ID,
        ),
    ),
    types={"id": "varchar", **TYPES, "price": "integer", "currency": "varchar", "credit_kind": "varchar"},
    fields={name: getattr(CreditPackage, name) for name in (*TYPES, "currency")} | {"price": CreditPackage.price_cents},
    rules=rules,
    resolved={**TYPES, "price_cents": "integer", "currency": "varchar", "credit_kind_id": "bigint"},
    resolving=f"SELECT s.row, s.faulty, {', '.join(f's.{name}' for name in TYPES)}, {PRICED}, k.id FROM staged AS s "
    f"{credit_kinds.OF_ROW}",
    matching="lower(t.name) = lower(r.name)",
    same_key="lower(r.name)",
    key="name",
    unique="lower(r.name)",
    name_of="t.name",
    renaming={"name": ("name", "t.name")},
    compared={name: (name, f"t.{name}") for name in CHANGED}
    | COMPARED_PRICE
    | {"credit_kind_id": ("credit_kind", "t.credit_kind_id")},
    updating={
        name: f"coalesce(r.{name}, t.{name})" for name in ("credits", "active", "tax_basis_points", "credit_kind_id")
    }
    | {
        "valid_days": "CASE WHEN r.valid_until IS NULL THEN coalesce(r.valid_days, t.valid_days) END",
        "valid_until": "CASE WHEN r.valid_days IS NULL THEN coalesce(r.valid_until, t.valid_until) END",
    }
    | UPDATED_PRICE,
    emptied=dict.fromkeys(("valid_days", "valid_until", "tax_basis_points", "credit_kind_id"), "NULL"),
    checks=(credit_kinds.NO_SUCH,),
    inserting="""
        INSERT INTO credit_packages (organization_id, name, credit_kind_id, credits, price_cents, currency, valid_days,
                                     valid_until, active, tax_basis_points, created_at, updated_at)
        SELECT %(tenant)s, r.name, r.credit_kind_id, r.credits, r.price_cents, r.currency, r.valid_days, r.valid_until,
               coalesce(r.active, true), r.tax_basis_points, %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
