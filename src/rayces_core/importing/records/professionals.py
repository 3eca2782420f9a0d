"""Working profiles of users, known by the user's e-mail address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import EXTERNAL_ID, OWN_ID
from rayces_core.importing.record import Fault, Record, currency, no_user, user
from rayces_core.importing.words import named
from rayces_core.models.professional import Professional

COLUMNS: Final = (
    Column(
        "email",
        values.email,
        required=True,
        example="eva.luna@example.org",
        about="The address of the user, who must be there already.",
    ),
    Column("title", values.text, example="Lic."),
    Column("specialization", values.text, example="speech therapy"),
    Column("bio", values.text),
    Column("license_number", values.identifier, example="MN 12345"),
    Column(
        "weekly_schedule",
        values.document,
        example='{"monday": [{"start": "09:00", "end": "13:00"}]}',
        about="JSON: weekday to its windows.",
    ),
    Column(
        "blocked_dates",
        values.document,
        example='["2026-12-25"]',
        about="JSON: a list of days or of periods with start and end.",
    ),
    Column("dated_schedules", values.document, about="JSON: a list of weekly schedules with start and end."),
    Column("date_overrides", values.document, about="JSON: a list of dates with the windows that they have instead."),
    Column(
        "session_duration_minutes",
        values.integer,
        example="45",
    ),
    Column("buffer_minutes", values.integer, example="15"),
    Column("buffer_before_minutes", values.integer, example="0"),
    Column("active", values.boolean, example="yes"),
    Column("accepts_new_clients", values.boolean),
    Column(
        "session_price",
        values.money,
        example="$ 12.500,50",
        about="The price of a session as people write it; stored in cents.",
    ),
    Column("currency", currency, example="ARS"),
    EXTERNAL_ID,
    OWN_ID,
)

PLAIN: Final = ("title", "specialization", "bio", "license_number", "external_id", "currency")
NUMBERS: Final = ("session_duration_minutes", "buffer_minutes", "buffer_before_minutes")
FLAGS: Final = ("active", "accepts_new_clients")
DOCUMENTS: Final = ("weekly_schedule", "blocked_dates", "dated_schedules", "date_overrides")
TYPES: Final = {
    **dict.fromkeys(PLAIN, "varchar"),
    **dict.fromkeys(NUMBERS, "integer"),
    **dict.fromkeys(FLAGS, "boolean"),
    **dict.fromkeys(DOCUMENTS, "jsonb"),
}
BOUNDS: Final = {
    "session_duration_minutes": (15, 480),
    "buffer_minutes": (0, 1440),
    "buffer_before_minutes": (0, 1440),
}
LONGEST: Final = 200  # it is indexed


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the table's own rules say, told row by row."""
    for name, (least, most) in BOUNDS.items():
        if row.get(name) is not None and not least <= row[name] <= most:
            yield name, f"must be {least} to {most} minutes", "correct it"
    if row.get("session_price") is not None and row["session_price"] < 0:
        yield "session_price", "must be at least 0", "correct it"
    if len(row.get("specialization") or "") > LONGEST:
        yield "specialization", f"has more than {LONGEST} characters", "shorten it"


STORED: Final = (*TYPES, "session_price_cents")

PROFESSIONALS: Final = Record(
    name="professionals",
    model=Professional,
    columns=named("professionals", COLUMNS),
    types={"email": "varchar", "id": "varchar", **TYPES, "session_price": "integer"},
    fields={name: getattr(Professional, name) for name in TYPES} | {"session_price": Professional.session_price_cents},
    rules=rules,
    resolved={"user_id": "bigint", **TYPES, "session_price_cents": "integer"},
    resolving=f"SELECT s.row, s.faulty, u.id, {', '.join(f's.{name}' for name in TYPES)}, s.session_price "
    f"FROM staged AS s {user('email', 'u')}",
    matching="t.user_id = r.user_id",
    same_key="r.user_id",
    key="email",
    unique="r.user_id",
    name_of="(SELECT u.email FROM users AS u WHERE u.organization_id = %(tenant)s AND u.id = t.user_id)",
    compared={name: (name, f"t.{name}") for name in TYPES}
    | {"session_price_cents": ("session_price", "t.session_price_cents")},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in STORED},
    emptied={
        **dict.fromkeys((*PLAIN[:-1], "session_price_cents"), "NULL"),
        "weekly_schedule": "'{}'::jsonb",
        **dict.fromkeys(DOCUMENTS[1:], "'[]'::jsonb"),
    },
    checks=(no_user("email", "user_id"),),
    inserting=f"""
        INSERT INTO professionals (organization_id, user_id, {", ".join(STORED)}, created_at, updated_at)
        SELECT %(tenant)s, r.user_id, r.title, r.specialization, r.bio, r.license_number, r.external_id,
               coalesce(r.currency, 'ARS'), coalesce(r.session_duration_minutes, 60), coalesce(r.buffer_minutes, 15),
               coalesce(r.buffer_before_minutes, 0),
               coalesce(r.active, true), coalesce(r.accepts_new_clients, true), coalesce(r.weekly_schedule, '{{}}'),
               coalesce(r.blocked_dates, '[]'), coalesce(r.dated_schedules, '[]'), coalesce(r.date_overrides, '[]'),
               r.session_price_cents, %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
