"""How much of the centre's open time each room and each device is held."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from rayces_core.analysis.asking import Asked, Figure, counted, dated, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.analysis.working import WorkingTime
from rayces_core.models.appointment_time import holds_time

if TYPE_CHECKING:
    import polars as pl

HELD: Final = "sum(held)"
OPEN: Final = "sum(open)"

DEFINITION: Final = Definition(
    text="Minutes for which sessions hold each room and each device, and the minutes in which the centre is open: "
    "those in which at least one of its active professionals works, by today's schedules. Sessions that are held, "
    "confirmed, executed or missed hold what they name, and a group holds it once, whoever attends; drafts, cancelled "
    "ones and overdue holds hold nothing. All of a session counts in the period of its start.",
    numerator=HELD,
    denominator=OPEN,
    source="resources; appointments; group_sessions; professionals (schedules and blocked dates of active ones, as "
    "they are now); closed_days",
    zone=LOCAL,
    columns={
        "resource_id": "which room or device; an active one that nothing held is a row of zeros",
        "kind": "room or device",
        "name": "what it is called now",
        "sessions": "sessions that hold it, a group being one",
        "held_minutes": "their minutes, without buffers",
        "occupied_minutes": "their minutes and those of the buffers around them",
        "open_minutes": "minutes in which the centre is open, the same for each; days on which the resource is blocked "
        "are among them",
        "use": "held_minutes by open_minutes, a ratio; null where the centre is not open",
    },
)
KEYS: Final = {"resource_id": "integer", "kind": "text", "name": "text"}
# What a group holds is its own, whoever sits in it: the appointments of a group name the same again.
HOLDING: Final = f"""(
        SELECT each.organization_id, each.scheduled_at, each.duration_minutes, each.room_id, each.device_id,
               each.buffer_before_minutes + each.duration_minutes + each.buffer_minutes AS occupied
          FROM {{appointments}} AS each WHERE each.group_session_id IS NULL AND {holds_time("each")}
         UNION ALL
        SELECT gathering.organization_id, gathering.scheduled_at, gathering.duration_minutes, gathering.room_id,
               gathering.device_id, gathering.duration_minutes + gathering.buffer_minutes
          FROM {{group_sessions}} AS gathering WHERE gathering.state = 'open'
      )"""
RESOURCES: Final = """
      JOIN {resources} AS thing ON thing.organization_id = a.organization_id AND thing.id IN (a.room_id, a.device_id)"""
# Spans of several professionals within one day of the clock, as one.
CLOCKED: Final = """
opening AS (
    SELECT worker.organization_id, worked.cell, range_agg(int8range(worked.starts, worked.ends)) AS spans
      FROM worked JOIN worker ON worker.hours = worked.hours GROUP BY worker.organization_id, worked.cell
),
open AS (
    SELECT opening.organization_id, date '1970-01-01' + cell.period::int AS period,
           sum(upper(span.during) - lower(span.during)) / 60 AS minutes
      FROM opening JOIN cell ON cell.no = opening.cell CROSS JOIN LATERAL unnest(opening.spans) AS span(during)
     GROUP BY 1, 2
),
held AS ({held}),
thing AS (
    SELECT organization_id, id AS resource_id, kind, name FROM {{resources}} AS each WHERE active
     UNION SELECT organization_id, resource_id, kind, name FROM held
),"""
FACTS: Final = """
    SELECT organization_id, period, resource_id, kind, name, held, occupied, NULL AS open FROM held
     UNION ALL
    SELECT thing.organization_id, open.period, thing.resource_id, thing.kind, thing.name, NULL, NULL, open.minutes
      FROM thing JOIN open ON open.organization_id = thing.organization_id"""
PLACES: Final = "SELECT organization_id, resource_id, kind, name FROM thing"


@metric(DEFINITION)
def resource_use(start: date, end: date, *, every: str | None = None, now: datetime | None = None) -> pl.DataFrame:
    """Measure how much each room and device is held, by two statements: the schedules, then the minutes.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        now: the present, aware, at which overdue holds hold nothing; without it the clock's.

    Returns:
        A frame of organization_id, period where asked for, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed, or what is
        stored is no schedule. MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, now=now)
    working = WorkingTime(asked.periods, by_hour=False)
    keys = {"resource_id": "thing.id", "kind": "thing.kind", "name": "thing.name"}
    minutes = {"held": "a.duration_minutes", "occupied": "a.occupied"}
    held = dated(asked, HOLDING, minutes, at="a.scheduled_at", keys=keys, joins=RESOURCES)
    figures = {
        "sessions": Figure("count(held)"),
        "held_minutes": Figure(HELD),
        "occupied_minutes": Figure("sum(occupied)"),
        "open_minutes": Figure(OPEN),
        "use": ratio(f"coalesce({HELD}, 0)", OPEN),
    }
    return counted(
        asked,
        FACTS,
        ("held", "occupied", "open"),
        figures,
        keys=KEYS,
        places=PLACES,
        before=working.before + CLOCKED.format(held=held),
        values=working.values,
    )
