"""Rooms and devices, known by their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.choices import Choice
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Fault, Record
from rayces_core.importing.words import named
from rayces_core.models.resource import Resource

KINDS: Final = {
    "room": ("room", "sala", "consultorio", "aula"),
    "device": ("device", "equipment", "equipo", "dispositivo", "equipamento"),
}
LONGEST: Final = 200  # it is indexed


def features(value: Any, reading: Reading) -> list[str]:
    """Read features: a list of a source or a JSON one, or a text that has commas between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        written = values.text(value, reading).replace(";", ",")
        return [word.strip() for word in written.split(",") if word.strip()]
    listed = values.document(value, reading)
    if not isinstance(listed, list):
        raise ValueError("is no list; write features with commas between them")  # noqa: TRY004 - told with the row
    return listed


FEATURES: Final = Column("features", features, example="mirror, ramp", about="What it has, with commas between.")
COLUMNS: Final = (
    Column("name", values.text, required=True, example="Room 2", about="One room's or device's, whatever its case."),
    Column("kind", Choice(KINDS, {}), example="room", about="room (the default) or device; it never changes."),
    FEATURES,
    Column("active", values.boolean, example="yes", about="Whether it is booked."),
    Column("blocked_dates", values.document, about="JSON: a list of days or of periods, as of professionals."),
    OWN_ID,
)


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the table's own rules say, told row by row."""
    if len(row.get("name") or "") > LONGEST:
        yield "name", f"has more than {LONGEST} characters", "shorten it"


TYPES: Final = {
    "name": "varchar",
    "kind": "varchar",
    "features": "jsonb",
    "active": "boolean",
    "blocked_dates": "jsonb",
}
RESOURCES: Final = Record(
    name="resources",
    model=Resource,
    columns=named("resources", COLUMNS),
    types={"id": "varchar", **TYPES},
    fields={name: getattr(Resource, name) for name in TYPES},
    rules=rules,
    resolved=TYPES,
    resolving=f"SELECT s.row, s.faulty, {', '.join(f's.{name}' for name in TYPES)} FROM staged AS s",
    matching="lower(t.name) = lower(r.name)",
    same_key="lower(r.name)",
    key="name",
    unique="lower(r.name)",
    name_of="t.name",
    renaming={"name": ("name", "t.name")},
    compared={name: (name, f"t.{name}") for name in TYPES if name != "name"},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in ("features", "active", "blocked_dates")},
    emptied=dict.fromkeys(("features", "blocked_dates"), "'[]'::jsonb"),
    fixed=("kind",),
    why_fixed="a room never becomes a device; give the other one another name",
    inserting="""
        INSERT INTO resources (organization_id, kind, name, features, active, blocked_dates, created_at, updated_at)
        SELECT %(tenant)s, coalesce(r.kind, 'room'), r.name, coalesce(r.features, '[]'), coalesce(r.active, true),
               coalesce(r.blocked_dates, '[]'), %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
