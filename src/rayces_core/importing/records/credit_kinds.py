"""Kinds of credit, known by their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Fault, Record, missing
from rayces_core.importing.words import named
from rayces_core.models.credit_kind import CreditKind

LONGEST: Final = 200  # it is indexed
# What refers to one does so by its name.
OF_ROW: Final = """
          LEFT JOIN credit_kinds AS k ON k.organization_id = %(tenant)s AND lower(k.name) = lower(s.credit_kind)"""
NO_SUCH: Final = missing(
    "credit_kind",
    "credit_kind_id",
    "no kind of credit of this organization is called so",
    "correct it, or import the kinds of credit first",
)
COLUMN: Final = Column(
    "credit_kind", values.text, example="Speech", about="Of which kind they are; the default one where it is empty."
)


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the table's own rule says."""
    if len(row.get("name") or "") > LONGEST:
        yield "name", f"has more than {LONGEST} characters", "shorten it"


CREDIT_KINDS: Final = Record(
    name="credit_kinds",
    model=CreditKind,
    columns=named(
        "credit_kinds",
        (Column("name", values.text, required=True, example="Speech", about="One kind's, whatever its case."), OWN_ID),
    ),
    types={"id": "varchar", "name": "varchar"},
    fields={"name": CreditKind.name},
    rules=rules,
    resolved={"name": "varchar"},
    resolving="SELECT s.row, s.faulty, s.name FROM staged AS s",
    matching="lower(t.name) = lower(r.name)",
    same_key="lower(r.name)",
    key="name",
    unique="lower(r.name)",
    name_of="t.name",
    renaming={"name": ("name", "t.name")},
    inserting="""
        INSERT INTO credit_kinds (organization_id, name, created_at, updated_at)
        SELECT %(tenant)s, r.name, %(now)s, %(now)s FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
