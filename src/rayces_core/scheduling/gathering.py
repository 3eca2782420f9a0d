"""The statements that make and move group sessions, with the locks before them and the journal rows within them.

The order of the locks is the order everywhere: the professional, then students, then clients, then appointments.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.models.appointment import Appointment
from rayces_core.models.group_session import GroupSession, expire_seats
from rayces_core.scheduling.facts import SEATS_OVERDUE, attendees_busy
from rayces_core.scheduling.holdings import SAME_BESIDE
from rayces_core.scheduling.settling import LOCKS_BESIDE as LOCKS_OF_A_BOOKING
from rayces_core.scheduling.settling import NOT_TAKEN, NOTHING_TAKEN, SAME_PROFESSIONAL
from rayces_core.scheduling.settling import TYPES as BOOKING_TYPES
from rayces_core.state_machine.telling import columns_of, told

TYPES: Final = BOOKING_TYPES | {"name": "varchar", "capacity": "integer"}
_SEATED: Final = """(
    SELECT {person}_id FROM appointments
     WHERE organization_id = %(tenant)s AND group_session_id = %(group)s AND seat IS NOT NULL)"""
_PROFESSIONAL: Final = (
    "SELECT 1 FROM professionals WHERE organization_id = %(tenant)s AND user_id = {} FOR NO KEY UPDATE"
)
HELD: Final = _PROFESSIONAL.format("%(professional)s")
HELD_BESIDE: Final = (LOCKS_OF_A_BOOKING[0].replace("%(was_professional)s, ", ""), LOCKS_OF_A_BOOKING[1])
SEATED: Final = tuple(
    f"SELECT 1 FROM {table} WHERE organization_id = %(tenant)s AND id IN {_SEATED.format(person=person)} "
    "ORDER BY id FOR NO KEY UPDATE"
    for person, table in (("student", "students"), ("client", "users"))
)
# Nobody takes a seat or leaves one open to be taken while the professional is locked.
_LOCKING: Final = Message(
    _PROFESSIONAL.format(
        "(SELECT professional_id FROM group_sessions WHERE organization_id = %(tenant)s AND id = %(group)s)"
    ),
    f"SELECT {SEATS_OVERDUE}",
    types=TYPES,
)
COLUMNS: Final = ", ".join(f'"{field.column_name}"' for field in GroupSession._meta.sorted_fields)
_NOTED: Final = """
    INSERT INTO state_transitions
        (organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at, details)
    SELECT %(tenant)s, '{kind}', id, %(event)s, state, state, %(actor)s::bigint, %(reason)s::varchar, %(now)s, {details}
      FROM {source}"""
_WAS: Final = """jsonb_build_object(
        'scheduled_at', to_char(%(was_start)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))"""
INSERT: Final = f"""
WITH made AS (
    INSERT INTO group_sessions (organization_id, professional_id, name, scheduled_at, duration_minutes, buffer_minutes,
        capacity, open_seats, second_professional_id, room_id, device_id, created_at, updated_at)
    SELECT %(tenant)s, %(professional)s, %(name)s::varchar, %(start)s, %(minutes)s, %(buffer)s,
        %(capacity)s, %(capacity)s, %(second_professional)s, %(room)s, %(device)s, %(now)s, %(now)s
     WHERE {{conditions}}
    RETURNING {COLUMNS}
), noted AS ({_NOTED.format(kind="GroupSession", details="'{{}}'", source="made")} RETURNING 1){{told}}
SELECT * FROM made"""
# The seats go where the group goes in the same statement, or the database refuses it.
_MOVING: Final = f"""moved AS (
    UPDATE group_sessions SET scheduled_at = %(start)s, duration_minutes = %(minutes)s, buffer_minutes = %(buffer)s,
        second_professional_id = %(second_professional)s, room_id = %(room)s, device_id = %(device)s,
        updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(group)s AND state = 'open' AND scheduled_at = %(was_start)s
       AND duration_minutes = %(was_minutes)s AND professional_id = %(professional)s
       AND second_professional_id IS NOT DISTINCT FROM %(was_second_professional)s
       AND room_id IS NOT DISTINCT FROM %(was_room)s AND device_id IS NOT DISTINCT FROM %(was_device)s
       AND {{conditions}}
    RETURNING {COLUMNS}
), seated AS (
    UPDATE appointments AS attending SET scheduled_at = %(start)s, duration_minutes = %(minutes)s,
        buffer_minutes = %(buffer)s,
        second_professional_id = %(second_professional)s, room_id = %(room)s, device_id = %(device)s,
        expires_at = greatest(attending.pre_confirmed_at, least(attending.expires_at, %(start)s)), updated_at = %(now)s
      FROM moved
     WHERE attending.organization_id = %(tenant)s AND attending.group_session_id = moved.id
       AND attending.seat IS NOT NULL
    RETURNING attending.*
)"""
_NOTING: Final = f"""
noted AS ({_NOTED.format(kind="GroupSession", details=_WAS, source="moved")} RETURNING 1),
noted_seats AS ({_NOTED.format(kind="Appointment", details=_WAS, source="seated")} RETURNING 1){{told}}"""
UPDATE: Final = f"WITH {_MOVING}, {_NOTING} SELECT * FROM moved"
# Where one that also inserts is run part by part, as Citus does, the two are moved first and noted afterwards.
UPDATE_APART: Final = f"WITH {_MOVING} SELECT * FROM moved"
_NOTING_APART: Final = f"""
WITH moved AS (SELECT * FROM group_sessions WHERE organization_id = %(tenant)s AND id = %(group)s),
seated AS (
    SELECT * FROM appointments
     WHERE organization_id = %(tenant)s AND group_session_id = %(group)s AND seat IS NOT NULL
), {_NOTING} SELECT 1"""
_ACTED: Final = {
    "from_state": '"state"',
    "to_state": '"state"',
    "actor_id": "%(actor)s::bigint",
    "reason": "%(reason)s::varchar",
    "occurred_at": "%(now)s::timestamptz",
}
_MOVED: Final = _ACTED | {
    "was_scheduled_at": "%(was_start)s::timestamptz",
    "was_duration_minutes": "%(was_minutes)s::integer",
}


def _told(kind: Any, event: str, facts: dict[str, str], source: str) -> str:
    columns = columns_of(kind, kind.lifecycle.tells)
    return told(
        kind.__name__,
        event,
        facts,
        columns,
        source=source,
        organization="%(tenant)s",
        at="%(now)s",
        order=' ORDER BY "id"',
    )


TOLD: Final = {
    INSERT: _told(GroupSession, "create", _ACTED, "made"),
    UPDATE: _told(GroupSession, "reschedule", _MOVED, "moved")
    + _told(Appointment, "reschedule", _MOVED | {"was_professional_id": "%(professional)s::bigint"}, "seated").replace(
        "told AS", "told_seats AS", 1
    ),
}


@cache
def message_of(sql: str, allow_overlap: bool, tells: bool, needs_more: bool) -> Message:
    """The locks, the check and the write, as one message."""
    conditions = [SAME_PROFESSIONAL, NOT_TAKEN, *([SAME_BESIDE, NOTHING_TAKEN] if needs_more else [])]
    if sql is not INSERT and not allow_overlap:
        conditions += [f"{attendees_busy(person)} IS NULL" for person in ("student", "client")]
    told = TOLD[sql] if tells and sql in TOLD else ""
    return Message(*_locks(sql, needs_more), sql.format(conditions=" AND ".join(conditions), told=told), types=TYPES)


@cache
def locking(sql: str, needs_more: bool) -> Message:
    """The locks alone."""
    return Message(*_locks(sql, needs_more), types=TYPES)


def _locks(sql: str, needs_more: bool) -> tuple[str, ...]:
    held = HELD_BESIDE if needs_more else (HELD,)
    return held if sql is INSERT else (*held, *SEATED)  # nobody attends a group that is made


@cache
def noting_apart(tells: bool) -> Message:
    """What is noted of a group that was moved with its seats by UPDATE_APART, in the same unit of work."""
    return Message(_NOTING_APART.format(told=TOLD[UPDATE] if tells else ""), types=TYPES)


def lock_and_expire(group_id: int, now: datetime, organization_id: int) -> None:
    """Lock a group's seats, by its professional as everywhere, and expire the overdue holds as a sweep does."""
    values = {"tenant": organization_id, "group": group_id, "now": now}
    (is_any_overdue,) = current().engine.run_message(_LOCKING, values).fetchone()
    if is_any_overdue:
        expire_seats(group_id, now, organization_id)
