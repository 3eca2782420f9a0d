"""Group sessions, known by professional and moment, an open one apart from a cancelled one.

Rule it guards: an open one has its professional's time and what else it holds once, over appointments too. Who attends
comes with the appointments; a group that is there is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.choices import Choice
from rayces_core.importing.columns import Column
from rayces_core.importing.hours import DATE, END_DATE, ENDS_AT, TIME, TIMES, minutes
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.names import person
from rayces_core.importing.record import Fault, Record, no_user, user
from rayces_core.importing.records.appointment_writing import LOCKING, REASON
from rayces_core.importing.records.appointments import BESIDE, BUFFER, LENGTH, TWICE, UNKNOWN_BESIDE
from rayces_core.importing.records.holding import FIRST, HOLDERS, taken
from rayces_core.importing.records.overlaps import note_overlaps
from rayces_core.importing.records.people import PROFESSIONALS, named, nobody
from rayces_core.importing.words import named as with_names
from rayces_core.models.group_session import GroupSession

STATES: Final = {
    "open": ("open", "abierto", "abierta", "activo", "activa", "aberto", "aberta"),
    "cancelled": ("cancelled", "canceled", "cancelado", "cancelada", "anulado", "anulada"),
}
OF_CANCELLED: Final = ("cancelled_at", "cancelled_by", "cancellation_reason")

COLUMNS: Final = (
    Column(
        "professional",
        person,
        required=True,
        example="eva.luna@example.org",
        about="By e-mail address, or by name where it is one's alone; the profile must be there already.",
    ),
    Column("name", values.text, example="Social skills", about="What families see."),
    Column(
        "scheduled_at",
        values.moment,
        required=True,
        example="10/03/2026 14:00",
        about="In the organization's time zone where no offset is written.",
    ),
    Column("duration_minutes", minutes, example="60", about="The professional's session where it is empty."),
    Column("buffer_minutes", values.integer, about="The professional's where it is empty."),
    Column("capacity", values.integer, required=True, example="6", about="How many seats it has, 1 to 500."),
    Column("state", Choice(STATES, {}), about="open (the default) or cancelled."),
    Column("cancelled_at", values.moment),
    Column("cancelled_by", values.email, about="The e-mail address of who cancelled."),
    Column("cancellation_reason", values.text),
    Column("second_professional", person, about="Who takes part besides, as professional is written."),
    Column("room", values.text, about="By its name; it must be there already."),
    Column("device", values.text, about="By its name; it must be there already."),
    OWN_ID,
)
ALSO: Final = (DATE, TIME, ENDS_AT, END_DATE)
PLAIN: Final = {
    "name": "varchar",
    "scheduled_at": "timestamptz",
    "duration_minutes": "integer",
    "buffer_minutes": "integer",
    "capacity": "integer",
    "state": "varchar",
    "cancelled_at": "timestamptz",
    "cancellation_reason": "varchar",
}


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What the values of a group say about each other."""
    state, starts = row.get("state") or "open", row.get("scheduled_at")
    for name in OF_CANCELLED:
        if row.get(name) is not None and state != "cancelled":
            yield name, f"does not go with the state {state}", "empty it, or correct the state"
    if (cancelled := row.get("cancelled_at")) is not None and cancelled > now:
        yield "cancelled_at", "lies ahead", "correct it"
    if starts is not None and (starts.second or starts.microsecond):
        yield "scheduled_at", "does not lie on a whole minute", "drop the seconds"


MINUTES: Final = "coalesce(s.duration_minutes, p.session_duration_minutes)"
AFTER: Final = "coalesce(s.buffer_minutes, p.buffer_minutes)"
RESOLVING: Final = f"""
SELECT s.row, s.faulty, {", ".join(f"s.{name}" for name in PLAIN)}, p.user_id, canceller.id, {MINUTES}, {AFTER},
       s.scheduled_at, s.scheduled_at + interval '1 minute' * ({MINUTES}::bigint + {AFTER}),
       p2.user_id, room.id, device.id
  FROM staged AS s
  {user("professional", "worker")} {named("professional", "named_worker", PROFESSIONALS)}
  LEFT JOIN professionals AS p
    ON p.organization_id = %(tenant)s AND p.user_id = coalesce(worker.id, named_worker.id)
  {user("cancelled_by", "canceller")}
  {user("second_professional", "second")} {named("second_professional", "named_second", PROFESSIONALS)}
  LEFT JOIN professionals AS p2
    ON p2.organization_id = %(tenant)s AND p2.user_id = coalesce(second.id, named_second.id)
  LEFT JOIN resources AS room
    ON room.organization_id = %(tenant)s AND room.kind = 'room' AND lower(room.name) = lower(s.room)
  LEFT JOIN resources AS device
    ON device.organization_id = %(tenant)s AND device.kind = 'device' AND lower(device.name) = lower(s.device)
"""
STATE: Final = "coalesce(r.state, 'open')"
IS_OPEN: Final = f"{STATE} = 'open'"
PLACE: Final = "{0}.professional_id = r.professional_id AND {0}.scheduled_at = r.scheduled_at"
# One that was cancelled here since is not made once more.
MATCHING: Final = f"""{PLACE.format("t")} AND (t.state = {STATE} OR NOT EXISTS (
    SELECT 1 FROM group_sessions AS o
     WHERE o.organization_id = %(tenant)s AND {PLACE.format("o")} AND o.state = {STATE}))"""
OVER_APPOINTMENTS: Final = tuple(taken("appointments", holders, IS_OPEN) for holders in (FIRST, *HOLDERS))


def note_those_of_the_source(staging: Any) -> None:
    """Note what overlaps a row that goes in."""
    note_overlaps(staging, IS_OPEN)


GROUP_SESSIONS: Final = Record(
    name="group_sessions",
    model=GroupSession,
    columns=with_names("group_sessions", COLUMNS),
    also=with_names("group_sessions", ALSO),
    ways=TIMES,
    types={**{column.name: "varchar" for column in COLUMNS}, **PLAIN},
    fields={name: getattr(GroupSession, name) for name in PLAIN},
    rules=rules,
    resolved={
        **PLAIN,
        **dict.fromkeys(("professional_id", "cancelled_by_id"), "bigint"),
        **dict.fromkeys(("minutes", "buffer"), "integer"),
        **dict.fromkeys(("occupied_from", "occupied_until"), "timestamptz"),
        **dict.fromkeys(BESIDE, "bigint"),
    },
    resolving=RESOLVING,
    matching=MATCHING,
    same_key=f"r.professional_id, r.scheduled_at, {STATE}",
    key="professional, scheduled_at",
    name_of="coalesce(t.name, 'a group') || ' at ' "
    "|| to_char(t.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')",
    compared={name: (name, f"t.{name}") for name in PLAIN if name != "scheduled_at"}
    | {"cancelled_by_id": ("cancelled_by", "t.cancelled_by_id")}
    | {column: (name, f"t.{column}") for column, name in BESIDE.items()},
    fixed=tuple(column.name for column in COLUMNS),
    why_fixed="an import never changes a group session; call its events, or leave the row out",
    checks=(
        nobody("professional", "professional_id", PROFESSIONALS),
        no_user("cancelled_by", "cancelled_by_id"),
        LENGTH.replace("an appointment lasts", "a group session lasts"),
        BUFFER,
        *UNKNOWN_BESIDE,
        TWICE,
    ),
    locking=LOCKING,
    conflicts=(
        *(taken("group_sessions", holders, IS_OPEN) for holders in (FIRST, *HOLDERS)),
        *OVER_APPOINTMENTS,
    ),
    unguarded=OVER_APPOINTMENTS,
    among_themselves=note_those_of_the_source,
    inserting=f"""
        WITH made AS (
            INSERT INTO group_sessions (
                organization_id, professional_id, name, scheduled_at, duration_minutes, buffer_minutes, capacity,
                open_seats, state, cancelled_at, cancelled_by_id, cancellation_reason, second_professional_id, room_id,
                device_id, created_at, updated_at
            ) SELECT %(tenant)s, r.professional_id, r.name, r.scheduled_at, r.minutes, r.buffer, r.capacity,
                     CASE WHEN {IS_OPEN} THEN r.capacity ELSE 0 END, {STATE},
                     CASE WHEN NOT {IS_OPEN} THEN coalesce(r.cancelled_at, least(%(now)s, r.scheduled_at)) END,
                     r.cancelled_by_id,
                     CASE WHEN NOT {IS_OPEN} AND r.cancelled_by_id IS NULL
                          THEN coalesce(r.cancellation_reason, '{REASON}') ELSE r.cancellation_reason END,
                     r.second_professional_id, r.room_id, r.device_id, %(now)s, %(now)s
                FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
            RETURNING id, cancelled_at, cancelled_by_id, cancellation_reason
        ), numbered AS (
            SELECT made.*, row_number() OVER (ORDER BY id) AS place FROM made
        ), told AS (
            SELECT r.cancelled_at, row_number() OVER (ORDER BY r.row) AS place
              FROM resolved AS r WHERE r.existing_id IS NULL
        )
        INSERT INTO state_transitions (
            organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at,
            made_up
        ) SELECT %(tenant)s, 'GroupSession', made.id, step.event, 'open', step.target, step.actor, step.why, step.at,
                 step.made_up
            FROM numbered AS made JOIN told USING (place) CROSS JOIN LATERAL (VALUES
                (1, 'create', 'open', NULL::bigint, '{REASON}', least(%(now)s, made.cancelled_at), true),
                (2, 'cancel', 'cancelled', made.cancelled_by_id, made.cancellation_reason, made.cancelled_at,
                    told.cancelled_at IS NULL)
            ) AS step (place, event, target, actor, why, at, made_up)
           WHERE step.at IS NOT NULL ORDER BY made.id, step.place
    """,
)
