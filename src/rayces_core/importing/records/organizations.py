"""The bound organization's own columns and settings: one row, which is always there, so it is updated or unchanged."""

from __future__ import annotations

from typing import Final

from rayces_core.database.binding import current
from rayces_core.fields import IntegerField
from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.record import Record, currency, fault, quoted
from rayces_core.importing.words import named
from rayces_core.tenancy.organization import Organization

TEXTS: Final = ("name", "time_zone", "currency", "email", "phone", "address")
BOUNDS: Final = {
    "cancellation_notice_hours": (0, 720),
    "confirmation_hours": (1, 720),
    "booking_window_days": (1, 730),
    "minimum_notice_minutes": (0, 43_200),
    "start_every_minutes": (1, 720),
    "open_holds_per_client": (1, 1000),
    "future_sessions_per_client": (1, 10_000),
    "correction_days": (0, 3660),
    "reminder_quiet_minutes": (0, 43_200),
}
HOURS: Final = tuple(BOUNDS)
COLUMNS: Final = (
    Column(
        "subdomain",
        values.text,
        example="north",
        about="Where it is given it must be the bound organization's own.",
    ),
    Column("name", values.text, example="Centro Norte"),
    Column("time_zone", values.text, example="America/Argentina/Buenos_Aires"),
    Column("currency", currency, example="ARS"),
    Column("email", values.email, example="hola@example.org"),
    Column("phone", values.phone, example="+54 11 4321-5678"),
    Column("address", values.text),
    Column("cancellation_notice_hours", values.integer, example="24"),
    Column("confirmation_hours", values.integer, example="24"),
    Column("booking_window_days", values.integer, example="90"),
    Column("minimum_notice_minutes", values.integer, example="0"),
    Column("start_every_minutes", values.integer, example="30"),
    Column("open_holds_per_client", values.integer),
    Column("future_sessions_per_client", values.integer),
    Column("correction_days", values.integer, example="7"),
    Column("reminder_quiet_minutes", values.integer, example="60"),
    Column("book_prospects", values.boolean, example="yes"),
    Column("families_book_groups", values.boolean, example="yes"),
    Column("reserve_credits", values.boolean, example="yes"),
    Column(
        "country",
        values.country,
        example="AR",
        about="Two letters; by its habits phones and dates are read. That of the time zone where it is empty.",
    ),
    Column(
        "holiday_country", values.country, example="AR", about="Whose public holidays are closed days; none by default."
    ),
    Column("holiday_subdivision", values.text, about="Its province or state, as B; empty for the country's own alone."),
)
SWITCHES: Final = ("book_prospects", "families_book_groups", "reserve_credits")
PLACES: Final = ("country", "holiday_country", "holiday_subdivision")
SETTINGS: Final = {
    **dict.fromkeys(HOURS, "integer"),
    **dict.fromkeys(SWITCHES, "boolean"),
    **dict.fromkeys(PLACES, "varchar"),
}
# A value that was cleared is the default again.
CLEARED: Final = "array_remove(ARRAY[" + ", ".join(f"CASE WHEN r.{name} IS NULL THEN '{name}' END" for name in SETTINGS)
MERGED: Final = (
    f"(t.settings - ARRAY(SELECT unnest({CLEARED}], NULL)) INTERSECT SELECT unnest(%(emptied)s::text[]))) "
    "|| jsonb_strip_nulls(jsonb_build_object(" + ", ".join(f"'{name}', r.{name}" for name in SETTINGS) + "))"
)


def forget() -> None:
    """Have the next tenant() read the organization anew."""
    current().engine.forget_organizations()


def _out_of_bounds(name: str, least: int, most: int) -> str:
    return fault(
        name,
        f"r.{name}",
        quoted(f"must lie between {least} and {most}"),
        quoted("correct it"),
        f"FROM resolved AS r WHERE r.{name} NOT BETWEEN {least} AND {most}",
    )


ANOTHER: Final = fault(
    "subdomain",
    "s.subdomain",
    quoted("is another organization than the one that is bound"),
    quoted("bind that one, or leave the row out"),
    "FROM staged AS s JOIN resolved AS r ON r.row = s.row "
    "WHERE s.subdomain <> (SELECT subdomain FROM organizations WHERE id = %(tenant)s)",
)
NAMELESS: Final = fault(
    "name", "r.name", quoted("is blank"), quoted("fill it in"), "FROM resolved AS r WHERE btrim(r.name) = ''"
)
UNKNOWN_ZONE: Final = fault(
    "time_zone",
    "r.time_zone",
    quoted("is not known to this PostgreSQL"),
    quoted("use another name of the zone, or update the server's tzdata"),
    "FROM resolved AS r WHERE r.time_zone IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = r.time_zone)",
)

ORGANIZATIONS: Final = Record(
    name="organizations",
    model=Organization,
    columns=named("organizations", COLUMNS),
    types={"subdomain": "varchar", **dict.fromkeys(TEXTS, "varchar"), **SETTINGS},
    fields={name: getattr(Organization, name) for name in TEXTS} | dict.fromkeys(HOURS, IntegerField()),
    resolved={**dict.fromkeys(TEXTS, "varchar"), **SETTINGS},
    resolving=f"SELECT s.row, s.faulty, {', '.join(f's.{name}' for name in (*TEXTS, *SETTINGS))} FROM staged AS s",
    matching="t.id = %(tenant)s",
    same_key="'the bound one'",
    key="subdomain",
    compared={name: (name, f"t.{name}") for name in TEXTS}
    | {name: (name, f"(t.settings ->> '{name}')::{kind}") for name, kind in SETTINGS.items()},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in TEXTS} | {"settings": MERGED},
    emptied=dict.fromkeys(("email", "phone", "address", *SETTINGS), "NULL"),
    checks=(ANOTHER, NAMELESS, UNKNOWN_ZONE, *(_out_of_bounds(name, *bounds) for name, bounds in BOUNDS.items())),
    inserting="",
    after_commit=forget,
)
