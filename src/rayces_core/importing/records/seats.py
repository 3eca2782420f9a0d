"""Which group session an imported appointment attends: its professional's that begins at `group_session_at`.

Rule it guards: who attends has a seat of the group at the group's time and with what it holds, and nobody has one where
all are taken. A cancelled appointment was the group's and has no seat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.record import Fault, fault, missing, quoted
from rayces_core.importing.records.holding import FIRST, HOLDERS, taken
from rayces_core.models.appointment import OCCUPYING_SQL
from rayces_core.models.appointment_time import holds_time

GROUP: Final = "group_session_at"
COLUMNS: Final = (
    Column(
        GROUP,
        values.moment,
        about="When the group session begins that it is a seat of; it must be there already.",
        in_template=False,
    ),
)
TYPES: Final = {GROUP: "timestamptz"}
RESOLVED: Final = {**TYPES, "group_session_id": "bigint", "seats": "integer", "seat": "integer"}
RESOLVING: Final = "s.group_session_at, found.id, lent.open_seats, NULL::integer"
TAKES_TIME: Final = f"coalesce(r.state, 'draft') IN ({OCCUPYING_SQL})"
# Who cancelled may have left an open group or a cancelled one: that one, where both were cancelled at one moment.
JOINED: Final = f"""
  LEFT JOIN LATERAL (
      SELECT g.id FROM group_sessions AS g
       WHERE g.organization_id = %(tenant)s AND g.professional_id = p.user_id AND g.scheduled_at = s.group_session_at
         AND (g.state = 'open' OR s.state = 'cancelled')
       ORDER BY (g.cancelled_at = s.cancelled_at) IS TRUE DESC, g.state = 'open' DESC, g.id DESC LIMIT 1
  ) AS found ON true
  LEFT JOIN group_sessions AS lent
    ON lent.organization_id = %(tenant)s AND lent.id = found.id AND s.state IN ({OCCUPYING_SQL})"""


def rules(row: Mapping[str, Any]) -> Iterable[Fault]:
    """What the group says about the other columns."""
    begins, state = row.get(GROUP), row.get("state") or "draft"
    if begins is None or state == "cancelled":
        return
    if state == "draft":
        yield GROUP, "does not go with the state draft", "empty it, or correct the state"
    if row.get("scheduled_at") not in (None, begins):
        yield "scheduled_at", f"is not {GROUP}: who attends begins with the group", "correct one of the two"


SITS: Final = f"r.group_session_id IS NOT NULL AND {TAKES_TIME}"
GOES_IN: Final = "r.existing_id IS NULL AND NOT r.faulty"
IS_RIGHT: Final = "NOT EXISTS (SELECT 1 FROM faults AS f WHERE f.row = r.row)"
SHOWN: Final = "to_char(r.group_session_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
UNKNOWN: Final = missing(
    GROUP,
    "group_session_id",
    "no open group session of this professional begins then",
    "correct it, import the group sessions first, or leave the column out",
)
# What a row says of itself, and what the group says of everybody.
SAID: Final = {
    "duration_minutes": ("coalesce(r.duration_minutes, g.duration_minutes)", "g.duration_minutes"),
    "buffer_minutes": ("coalesce(r.buffer_minutes, g.buffer_minutes)", "g.buffer_minutes"),
    "buffer_before_minutes": ("r.before", "0"),
    **{
        name: (f"CASE WHEN s.{name} IS NULL THEN g.{name}_id ELSE r.said_{name}_id END", f"g.{name}_id")
        for name in ("second_professional", "room", "device")
    },
}
OTHERWISE: Final = tuple(
    fault(
        name,
        f"s.{name}",
        quoted("is not what the group session has"),
        quoted("empty it, or reschedule the group"),
        f"""FROM resolved AS r JOIN staged AS s ON s.row = r.row
            JOIN group_sessions AS g ON g.organization_id = %(tenant)s AND g.id = r.group_session_id
           WHERE {GOES_IN} AND {SITS} AND {said} IS DISTINCT FROM {theirs}""",
    )
    for name, (said, theirs) in SAID.items()
)
FULL: Final = fault(
    GROUP,
    SHOWN,
    "'all ' || r.seats || ' seats of the group session are taken'",
    quoted("have its capacity changed, or leave the row out"),
    f"""FROM (
        SELECT r.row, r.group_session_at, r.group_session_id, r.seats,
               row_number() OVER (PARTITION BY r.group_session_id ORDER BY r.row) AS turn
          FROM resolved AS r WHERE {GOES_IN} AND {SITS} AND {IS_RIGHT}
    ) AS r CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM appointments AS o
         WHERE o.organization_id = %(tenant)s AND o.group_session_id = r.group_session_id AND o.seat IS NOT NULL
           AND {holds_time("o")}
    ) AS sitting WHERE r.turn > r.seats - sitting.many""",
)
CHANGED: Final = fault(
    GROUP,
    SHOWN,
    quoted("the group session was moved or cancelled after the check"),
    quoted("import the file again, or leave the row out"),
    f"""FROM resolved AS r CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM group_sessions AS g
         WHERE g.organization_id = %(tenant)s AND g.id = r.group_session_id AND g.state = 'open'
           AND g.scheduled_at = r.scheduled_at AND g.duration_minutes = r.minutes AND g.buffer_minutes = r.buffer
           AND g.second_professional_id IS NOT DISTINCT FROM r.second_professional_id
           AND g.room_id IS NOT DISTINCT FROM r.room_id AND g.device_id IS NOT DISTINCT FROM r.device_id
    ) AS same WHERE {GOES_IN} AND {SITS} AND {IS_RIGHT} AND same.many = 0""",
)
NOT_ITS_OWN: Final = " AND o.id IS DISTINCT FROM r.group_session_id"
OVER_A_GROUP: Final = tuple(taken("group_sessions", holders, TAKES_TIME, NOT_ITS_OWN) for holders in (FIRST, *HOLDERS))
# What no rule of the database sees, or sees too late to name the row.
UNGUARDED: Final = (CHANGED, *OVER_A_GROUP, FULL)
# The lowest free seats, as booking gives them: the professional is locked, so nobody else takes one meanwhile.
SEATING: Final = f"""
WITH wanted AS (
    SELECT r.row, r.group_session_id, row_number() OVER (PARTITION BY r.group_session_id ORDER BY r.row) AS turn
      FROM resolved AS r WHERE r.existing_id IS NULL AND {SITS}
), free AS (
    SELECT g.id, g.open_seats, number, row_number() OVER (PARTITION BY g.id ORDER BY number) AS turn
      FROM group_sessions AS g CROSS JOIN LATERAL generate_series(1, g.open_seats) AS number
     WHERE g.organization_id = %(tenant)s AND g.id IN (SELECT group_session_id FROM wanted)
       AND NOT EXISTS (
           SELECT 1 FROM appointments AS o
            WHERE o.organization_id = %(tenant)s AND o.group_session_id = g.id AND o.seat = number)
)
UPDATE resolved AS r SET seat = free.number, seats = free.open_seats
  FROM wanted JOIN free ON free.id = wanted.group_session_id AND free.turn = wanted.turn
 WHERE r.row = wanted.row"""
# Overdue holds that have the seats which the rows are to take.
CROWDED_OUT: Final = f"""(appointments.seat IS NOT NULL AND appointments.group_session_id IN (
    SELECT coming.group_session_id FROM (
        SELECT r.group_session_id, r.seats, count(*) AS many FROM resolved AS r
         WHERE r.existing_id IS NULL AND {SITS} GROUP BY r.group_session_id, r.seats
    ) AS coming WHERE coming.many > coming.seats - (
        SELECT count(*) FROM appointments AS o
         WHERE o.organization_id = %(tenant)s AND o.group_session_id = coming.group_session_id AND o.seat IS NOT NULL
    )))"""
