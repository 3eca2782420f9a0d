"""Services, known by their name, and which professionals give them at which own length and price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Fault, Record, currency, missing, user
from rayces_core.importing.records import credit_kinds
from rayces_core.importing.records.resources import features
from rayces_core.importing.words import named
from rayces_core.models.service import ProfessionalService, Service

PRICE: Final = Column(
    "price",
    values.money,
    example="$ 12.500,50",
    about="As people write it; stored in cents. Where it is empty the professional's price is asked.",
)
TAX: Final = Column(
    "tax_basis_points",
    values.integer,
    example="2100",
    about="In hundredths of a percent, as a price has its tax in it; the organization's where it is empty.",
)
CURRENCY: Final = Column("currency", currency, example="ARS", about="Of the price; ARS where it is empty.")
COLUMNS: Final = (
    Column("name", values.text, required=True, example="Speech therapy", about="One service's, whatever its case."),
    Column("duration_minutes", values.integer, example="45"),
    Column("buffer_before_minutes", values.integer, example="0"),
    Column("buffer_after_minutes", values.integer, example="15", about="The professional's where it is empty."),
    PRICE,
    CURRENCY,
    Column("credits", values.integer, example="1", about="How many a session costs; 0 costs none."),
    credit_kinds.COLUMN,
    Column("colour", values.text, example="#1f6feb"),
    Column("families_may_book", values.boolean, example="yes"),
    Column("active", values.boolean, example="yes"),
    Column("room_features", features, about="What its room has to have, with commas between."),
    TAX,
    OWN_ID,
)
NUMBERS: Final = ("duration_minutes", "buffer_before_minutes", "buffer_after_minutes", "credits")
TYPES: Final = {
    "name": "varchar",
    **dict.fromkeys(NUMBERS, "integer"),
    "colour": "varchar",
    "families_may_book": "boolean",
    "active": "boolean",
    "room_features": "jsonb",
    "tax_basis_points": "integer",
}
BOUNDS: Final = {
    "tax_basis_points": (0, 10_000),
    "duration_minutes": (15, 480),
    "buffer_before_minutes": (0, 1440),
    "buffer_after_minutes": (0, 1440),
    "credits": (0, 1_000_000),
}
LONGEST: Final = 200  # it is indexed
PRICED: Final = "s.price, CASE WHEN s.price IS NOT NULL THEN coalesce(s.currency, 'ARS') END"
UPDATED_PRICE: Final = {
    "price_cents": "coalesce(r.price_cents, t.price_cents)",
    "currency": "CASE WHEN r.price_cents IS NULL THEN t.currency ELSE r.currency END",
}
COMPARED_PRICE: Final = {"price_cents": ("price", "t.price_cents"), "currency": ("currency", "t.currency")}


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the tables' own rules say, told row by row."""
    for name, (least, most) in BOUNDS.items():
        if row.get(name) is not None and not least <= row[name] <= most:
            yield name, f"must be {least} to {most}", "correct it"
    if (row.get("price") or 0) < 0:
        yield "price", "is below zero", "correct it"
    if row.get("currency") is not None and row.get("price") is None:
        yield "currency", "comes without a price", "fill in both, or neither"
    if len(row.get("name") or "") > LONGEST:
        yield "name", f"has more than {LONGEST} characters", "shorten it"
    colour = row.get("colour")
    if colour is not None and not _is_colour(colour):
        yield "colour", "is no colour", 'write it as "#1f6feb"'


def _is_colour(text: str) -> bool:
    return len(text) == len("#1f6feb") and text[0] == "#" and set(text[1:]) <= set("0123456789abcdef")


SERVICES: Final = Record(
    name="services",
    model=Service,
    columns=named("services", COLUMNS),
    types={"id": "varchar", **TYPES, "price": "integer", "currency": "varchar", "credit_kind": "varchar"},
    fields={name: getattr(Service, name) for name in (*TYPES, "currency")} | {"price": Service.price_cents},
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
    compared={name: (name, f"t.{name}") for name in TYPES if name != "name"}
    | COMPARED_PRICE
    | {"credit_kind_id": ("credit_kind", "t.credit_kind_id")},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in (*TYPES, "credit_kind_id") if name != "name"}
    | UPDATED_PRICE,
    emptied={
        "room_features": "'[]'::jsonb",
        **dict.fromkeys(("buffer_after_minutes", "colour", "tax_basis_points", "credit_kind_id"), "NULL"),
    },
    checks=(credit_kinds.NO_SUCH,),
    inserting=f"""
        INSERT INTO services (organization_id, {", ".join(TYPES)}, price_cents, currency, credit_kind_id, created_at,
                              updated_at)
        SELECT %(tenant)s, r.name, coalesce(r.duration_minutes, 60), coalesce(r.buffer_before_minutes, 0),
               r.buffer_after_minutes, coalesce(r.credits, 1), r.colour, coalesce(r.families_may_book, true),
               coalesce(r.active, true), coalesce(r.room_features, '[]'), r.tax_basis_points, r.price_cents, r.currency,
               r.credit_kind_id, %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)

GIVEN: Final = Record(
    name="professional_services",
    model=ProfessionalService,
    columns=named(
        "professional_services",
        (
            Column("professional", values.email, required=True, example="eva.luna@example.org"),
            Column("service_name", values.text, required=True, example="Speech therapy"),
            Column("duration_minutes", values.integer, about="The service's where it is empty."),
            Column("price", values.money, example="$ 13.000", about="The service's where it is empty."),
            CURRENCY,
            OWN_ID,
        ),
    ),
    types={
        "id": "varchar",
        "professional": "varchar",
        "service_name": "varchar",
        "duration_minutes": "integer",
        "price": "integer",
        "currency": "varchar",
    },
    fields={
        "duration_minutes": ProfessionalService.duration_minutes,
        "price": ProfessionalService.price_cents,
        "currency": ProfessionalService.currency,
    },
    rules=rules,
    resolved={
        "professional_id": "bigint",
        "service_id": "bigint",
        "duration_minutes": "integer",
        "price_cents": "integer",
        "currency": "varchar",
    },
    resolving=f"""
        SELECT s.row, s.faulty, p.user_id, v.id, s.duration_minutes, {PRICED}
          FROM staged AS s {user("professional", "u")}
          LEFT JOIN professionals AS p ON p.organization_id = %(tenant)s AND p.user_id = u.id
          LEFT JOIN services AS v ON v.organization_id = %(tenant)s AND lower(v.name) = lower(s.service_name)""",
    matching="t.professional_id = r.professional_id AND t.service_id = r.service_id",
    same_key="r.professional_id, r.service_id",
    key="professional, service_name",
    name_of="(SELECT v.name FROM services AS v WHERE v.organization_id = %(tenant)s AND v.id = t.service_id)",
    compared={"duration_minutes": ("duration_minutes", "t.duration_minutes"), **COMPARED_PRICE},
    updating={"duration_minutes": "coalesce(r.duration_minutes, t.duration_minutes)", **UPDATED_PRICE},
    emptied={"duration_minutes": "NULL"},
    checks=(
        missing(
            "professional",
            "professional_id",
            "no professional of this organization has this e-mail address",
            "correct it, or import the professionals first",
        ),
        missing(
            "service_name",
            "service_id",
            "no service of this organization is called so",
            "correct it, or import the services first",
        ),
    ),
    inserting="""
        INSERT INTO professional_services
               (organization_id, professional_id, service_id, duration_minutes, price_cents, currency, created_at,
                updated_at)
        SELECT %(tenant)s, r.professional_id, r.service_id, r.duration_minutes, r.price_cents, r.currency, %(now)s,
               %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
