"""Sessions laid over working time, minute by minute: what occupancy and its heat map are both counted from.

Rule it guards: a minute counts in the period, weekday and hour that the wall clock shows while it runs, not in those of
the session's start; so a session over midnight counts on both days, and both metrics add up to the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rayces_core.analysis.asking import Asked, Figure, counted, ratio
from rayces_core.analysis.working import WorkingTime
from rayces_core.models.appointment_time import holds_time

if TYPE_CHECKING:
    import polars as pl

ALLOWED: Final = ("professional", "specialization", "weekday", "hour")
# A session of 8 hours and a buffer of a day reach this far; so does, the other way, a buffer before.
REACH: Final = timedelta(hours=32)

WORKING: Final = "sum(working)"
BOOKED: Final = "sum(within)"
EXECUTED: Final = "sum(within) FILTER (WHERE state = 'executed')"
OCCUPIED: Final = "sum(occupied)"
OUTSIDE: Final = "sum(whole) - sum(within)"
FIGURES: Final = {
    "working_minutes": Figure(f"({WORKING}) / 60"),
    "booked_minutes": Figure(f"({BOOKED}) / 60"),
    "occupied_minutes": Figure(f"({OCCUPIED}) / 60"),
    "executed_minutes": Figure(f"({EXECUTED}) / 60"),
    "outside_minutes": Figure(f"({OUTSIDE}) / 60"),
    "occupancy": ratio(BOOKED, WORKING),
    "utilisation": ratio(f"coalesce({EXECUTED}, 0)", WORKING),
}
COLUMNS: Final = ("state", "working", "whole", "within", "occupied")

# Of those who attend a group session one stands for its time: who came, if anybody did.
ONE_OF_A_GROUP: Final = f"""(a.group_session_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM {{appointments}} AS other
     WHERE other.organization_id = a.organization_id AND other.group_session_id = a.group_session_id
       AND {holds_time("other")}
       AND (other.state = 'executed', other.id) > (a.state = 'executed', a.id)
))"""
# Seconds since 1970. Pieces meet the cells of their days of UTC, since days can be hashed and spans cannot; of their
# hours where cells are hours, or each would be held against the 24 of its day. `booked` is worked out first: joined
# with the cells beside its series, every session was held against every cell of the year.
BOOKED_PIECES: Final = f"""
booked AS MATERIALIZED (
    SELECT a.organization_id, giver.professional_id, a.state, zoned.zone, span.starts,
           span.starts + a.duration_minutes * 60 AS ends, span.starts - a.buffer_before_minutes * 60 AS taken,
           span.starts + (a.duration_minutes + a.buffer_minutes) * 60 AS freed, bucket.utc
      FROM {{appointments}} AS a
      JOIN zoned ON zoned.organization_id = a.organization_id
      JOIN LATERAL (VALUES (a.professional_id), (a.second_professional_id)) AS giver(professional_id)
        ON giver.professional_id IS NOT NULL
      CROSS JOIN LATERAL (SELECT extract(epoch FROM a.scheduled_at)::bigint AS starts) AS span
      CROSS JOIN LATERAL generate_series(
               floor((span.starts - a.buffer_before_minutes * 60) / %(bucket)s::numeric)::bigint,
               floor((span.starts + (a.duration_minutes + a.buffer_minutes) * 60 - 1) / %(bucket)s::numeric)::bigint
           ) AS bucket(utc)
     WHERE a.scheduled_at >= %(reaching)s AND a.scheduled_at < %(until)s + interval '1 day'
       AND {holds_time("a")}
       AND {ONE_OF_A_GROUP}
),
piece AS (
    SELECT booked.*, cell.no, least(booked.ends, cell.ends) - greatest(booked.starts, cell.starts) AS lasts
      FROM booked
      JOIN cell ON cell.zone = booked.zone AND cell.utc = booked.utc
               AND cell.starts < booked.freed AND cell.ends > booked.taken
),
minutes AS (
    SELECT worker.organization_id, worker.professional_id, worked.cell, NULL AS state,
           worked.ends - worked.starts AS working, 0 AS whole, 0 AS within, 0 AS occupied
      FROM worked JOIN worker ON worker.hours = worked.hours
     UNION ALL
    SELECT organization_id, professional_id, no, state, 0, lasts, 0, 0 FROM piece WHERE lasts > 0
     UNION ALL
    SELECT piece.organization_id, piece.professional_id, piece.no, piece.state, 0, 0,
           greatest(least(piece.ends, worked.ends) - greatest(piece.starts, worked.starts), 0),
           least(piece.freed, worked.ends) - greatest(piece.taken, worked.starts)
      FROM piece
      JOIN worker ON worker.organization_id = piece.organization_id AND worker.professional_id = piece.professional_id
      JOIN worked ON worked.hours = worker.hours AND worked.cell = piece.no
                 AND worked.starts < piece.freed AND worked.ends > piece.taken
),
"""
# What tells these minutes apart; everything else is the professional's.
OF_CELLS: Final = {"weekday": "cell.weekday::int", "hour": "cell.hour::int"}


def occupied(
    asked: Asked, figures: Mapping[str, Figure], *, keys: Mapping[str, str] | None = None, places: str | None = None
) -> pl.DataFrame:
    """Count the minutes of sessions and of working time, by two statements: the schedules, then everything else.

    Args:
        figures: aggregates over COLUMNS. keys: of OF_CELLS, what rows are told apart by besides `by`: name → kind.
        places: as for `counted`.
    """
    keys = keys or {}
    apart = [*(dimension.column for dimension in asked.by), *keys]
    working = WorkingTime(asked.periods, by_hour="hour" in apart)
    told = {dimension.column: OF_CELLS.get(dimension.name, dimension.sql) for dimension in asked.by}
    told |= {name: OF_CELLS[name] for name in keys}
    joins = "\n".join(dict.fromkeys(dimension.join for dimension in asked.by if dimension.name not in OF_CELLS))
    facts = f"""
    SELECT a.organization_id, date '1970-01-01' + cell.period::int AS period,
           {"".join(f"{sql} AS {name}, " for name, sql in told.items())}
           {", ".join(f"a.{column}" for column in COLUMNS)}
      FROM minutes AS a JOIN cell ON cell.no = a.cell {joins}"""
    reaching = asked.periods.values["from"] - REACH
    return counted(
        asked,
        facts,
        COLUMNS,
        figures,
        keys=keys,
        places=places,
        before=working.before + BOOKED_PIECES,
        values={**working.values, "reaching": reaching},
    )
