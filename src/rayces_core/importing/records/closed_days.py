"""Days on which the centre is closed, each known by its date."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Fault, Record
from rayces_core.importing.words import named
from rayces_core.models.closed_day import ClosedDay

COLUMNS: Final = (
    Column("day", values.date, required=True, example="2031-05-25"),
    Column("name", values.text, required=True, example="May Revolution"),
    Column("region", values.text, example="", about="Of a public holiday, as AR; empty for a day of the centre's own."),
    Column("is_open", values.boolean, example="no", about="Whether the centre works on this holiday nevertheless."),
    OWN_ID,
)
TYPES: Final = {"day": "date", "name": "varchar", "region": "varchar", "is_open": "boolean"}
CHANGED: Final = tuple(name for name in TYPES if name != "day")
LONGEST: Final = 200
REGION: Final = re.compile("[A-Z]{2}(-.+)?")


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the table's own rules say, told row by row."""
    if len(row.get("name") or "") > LONGEST:
        yield "name", f"has more than {LONGEST} characters", "shorten it"
    if row.get("region") is not None and not REGION.fullmatch(row["region"]):
        yield "region", "is no country with its subdivision", 'write it as "AR" or "AR-B"'


CLOSED_DAYS: Final = Record(
    name="closed_days",
    model=ClosedDay,
    columns=named("closed_days", COLUMNS),
    types={"id": "varchar", **TYPES},
    fields={name: getattr(ClosedDay, name) for name in TYPES},
    rules=rules,
    resolved=TYPES,
    resolving=f"SELECT s.row, s.faulty, {', '.join(f's.{name}' for name in TYPES)} FROM staged AS s",
    matching="t.day = r.day",
    same_key="r.day",
    key="day",
    unique="r.day",
    name_of="t.name",
    compared={name: (name, f"t.{name}") for name in CHANGED},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in CHANGED},
    emptied={"region": "NULL"},
    inserting="""
        INSERT INTO closed_days (organization_id, day, name, region, is_open, created_at, updated_at)
        SELECT %(tenant)s, r.day, r.name, r.region, coalesce(r.is_open, false), %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
