"""Writing what was decided: under the locks, unless a fact has changed since it was read.

The locks, the check and the row go out as one message. PostgreSQL takes a new snapshot for each statement in it, so
the check sees what was committed while it waited for the locks. The database's own rule stays behind all of this. That
rule cannot look at the clock, so an overdue hold that is met is expired first, under the same locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Final, TypeVar

from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import DeadlockError, SlotTakenError
from rayces_core.models.appointment import OCCUPYING_SQL, Appointment
from rayces_core.models.appointment_time import busy, expire_in_the_way
from rayces_core.models.user import User
from rayces_core.scheduling.facts import FUTURE_SESSIONS, OPEN_HOLDS, Facts, Wish
from rayces_core.scheduling.facts import TYPES as FACT_TYPES
from rayces_core.state_machine.telling import columns_of, is_told, told

Made = TypeVar("Made")

ATTEMPTS: Final = 10
# The order of these locks is the order everywhere: professional, student, client, then the appointment itself.
LOCKS: Final = (
    # Of two, where an appointment is given away, the lower id first.
    """SELECT 1 FROM professionals
        WHERE organization_id = %(tenant)s AND user_id IN (%(professional)s, %(was_professional)s)
        ORDER BY user_id FOR NO KEY UPDATE""",
    "SELECT 1 FROM students WHERE organization_id = %(tenant)s AND id = %(student)s FOR NO KEY UPDATE",
    "SELECT 1 FROM users WHERE organization_id = %(tenant)s AND id = %(client)s FOR NO KEY UPDATE",
)
# What was decided on still holds. A hold counts here whatever the clock says, as it does for the database's rule.
UNCHANGED: Final = f"""
EXISTS (
    SELECT 1 FROM professionals
     WHERE organization_id = %(tenant)s AND user_id = %(professional)s AND xmin::text = %(version)s
) AND EXISTS (
    SELECT 1 FROM students
     WHERE organization_id = %(tenant)s AND id = %(student)s AND xmin::text = %(student_version)s
) AND NOT EXISTS (SELECT 1 FROM (
    SELECT other.occupied_until FROM appointments AS other
     WHERE other.organization_id = %(tenant)s AND other.professional_id = %(professional)s
       AND other.state IN ({OCCUPYING_SQL}) AND other.id IS DISTINCT FROM %(moving)s
       AND other.scheduled_at < %(occupied_until)s
     ORDER BY other.scheduled_at DESC LIMIT 1
) AS latest WHERE latest.occupied_until > %(start)s)"""
PLACE: Final = {"start": "%(start)s", "until": "%(until)s", "own": "%(moving)s", "tenant": "%(tenant)s"}
NOBODY_BUSY: Final = f"""
AND {busy("student_id", "%(student)s", **PLACE)} IS NULL
AND {busy("client_id", "%(client)s", **PLACE)} IS NULL
"""
# The client's row is locked, so that nobody else adds one meanwhile.
WITHIN_LIMITS: Final = f"""
AND (%(open_holds_per_client)s IS NULL OR {OPEN_HOLDS} < %(open_holds_per_client)s)
AND (%(future_sessions_per_client)s IS NULL OR {FUTURE_SESSIONS} < %(future_sessions_per_client)s)
"""
TYPES: Final = FACT_TYPES | {
    "version": "text",
    "student_version": "text",
    "until": "timestamptz",
    "occupied_until": "timestamptz",
    "buffer": "integer",
    "actor": "bigint",
    "now": "timestamptz",
    "state": "varchar",
    "held_from": "timestamptz",
    "held_until": "timestamptz",
    "uses_credit": "boolean",
    "credits_used": "integer",
    "notes": "text",
    "fingerprint": "varchar",
    "event": "varchar",
    "from_state": "varchar",
    "reason": "varchar",
    "was_start": "timestamptz",
    "was_professional": "bigint",
    "was_minutes": "integer",
    "allow_overlap": "boolean",
    "open_holds_per_client": "integer",
    "future_sessions_per_client": "integer",
    "noted_key": "varchar",
    "noted_fingerprint": "varchar",
}
COLUMNS: Final = ", ".join(f'"{field.column_name}"' for field in Appointment._meta.sorted_fields)
NOTED: Final = """
    INSERT INTO state_transitions
        (organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at,
         idempotency_key, request_fingerprint, details)
    SELECT %(tenant)s, 'Appointment', id, %(event)s, %(from_state)s, state, %(actor)s::bigint, %(reason)s::varchar,
           %(now)s, %(noted_key)s::varchar, %(noted_fingerprint)s::varchar, {details}
"""
NOTHING: Final = "'{{}}'"  # the braces of a template
# When it was to begin before it was moved, as documents have moments.
WAS: Final = """jsonb_build_object(
               'scheduled_at', to_char(%(was_start)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))"""
# What the professional asks for today: the locked row's, which is the version that was decided on.
PRICE: Final = ", ".join(
    f"""(SELECT {column} FROM professionals AS asked
         WHERE asked.organization_id = %(tenant)s AND asked.user_id = %(professional)s
           AND asked.session_price_cents IS NOT NULL)"""
    for column in ("session_price_cents", "currency")
)
# A row with the same key, made meanwhile, is no error: no row comes back, and the next attempt finds it.
INSERT: Final = f"""
WITH booked AS (
    INSERT INTO appointments (
        organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
        pre_confirmed_at, expires_at, uses_credit, credits_used, notes, idempotency_key, request_fingerprint,
        allows_overlap, price_cents, currency, created_at, updated_at
    ) SELECT %(tenant)s, %(professional)s, %(student)s, %(client)s, %(start)s, %(minutes)s, %(buffer)s, %(state)s,
        %(held_from)s::timestamptz, %(held_until)s::timestamptz, %(uses_credit)s, %(credits_used)s, %(notes)s::text,
        %(key)s::varchar, %(fingerprint)s::varchar, %(allow_overlap)s, {PRICE},
        %(now)s, %(now)s
    WHERE {{conditions}}
    ON CONFLICT (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING {COLUMNS}
), noted AS ({NOTED.format(details=NOTHING)} FROM booked WHERE state <> 'draft' RETURNING 1){{told}}
SELECT *, pg_current_xact_id() FROM booked"""
UPDATE: Final = f"""
WITH moved AS (
    UPDATE appointments SET scheduled_at = %(start)s, duration_minutes = %(minutes)s, buffer_minutes = %(buffer)s,
        professional_id = %(professional)s, allows_overlap = %(allow_overlap)s, reminder_minutes = NULL,
        expires_at = CASE
            WHEN state = 'draft' THEN NULL
            WHEN state = 'pre_confirmed' THEN greatest(pre_confirmed_at, %(held_until)s)
            ELSE greatest(pre_confirmed_at, least(expires_at, %(start)s)) END,
        updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(moving)s AND state = %(state)s AND scheduled_at = %(was_start)s
       AND professional_id = %(was_professional)s AND duration_minutes = %(was_minutes)s
       AND student_id = %(student)s AND client_id = %(client)s AND {{conditions}}
    RETURNING {COLUMNS}
), noted AS ({NOTED.format(details=WAS)} FROM moved RETURNING 1){{told}}
SELECT *, pg_current_xact_id() FROM moved"""
_ACTED: Final = {
    "to_state": '"state"',
    "actor_id": "%(actor)s::bigint",
    "reason": "%(reason)s::varchar",
    "occurred_at": "%(now)s::timestamptz",
}
_COLUMNS: Final = columns_of(Appointment, Appointment.lifecycle.tells or ())
# What is told outside: a booking, and a move with what it was before.
TOLD: Final = {
    INSERT: told(
        "Appointment",
        "book",
        {"from_state": "NULL", **_ACTED},
        _COLUMNS,
        source="booked",
        organization="%(tenant)s",
        at="%(now)s",
    ),
    UPDATE: told(
        "Appointment",
        "reschedule",
        {
            "from_state": '"state"',
            **_ACTED,
            "was_scheduled_at": "%(was_start)s::timestamptz",
            "was_professional_id": "%(was_professional)s::bigint",
            "was_duration_minutes": "%(was_minutes)s::integer",
        },
        _COLUMNS,
        source="moved",
        organization="%(tenant)s",
        at="%(now)s",
    ),
}
# Asked where the answer is lost: what was written, as the statement itself gives it.
MADE: Final = {
    INSERT: Message(
        f"""
SELECT {COLUMNS}, NULL FROM appointments
 WHERE organization_id = %(tenant)s AND professional_id = %(professional)s AND student_id = %(student)s
   AND client_id = %(client)s AND scheduled_at = %(start)s AND duration_minutes = %(minutes)s AND created_at = %(now)s
   AND idempotency_key IS NOT DISTINCT FROM %(key)s AND request_fingerprint IS NOT DISTINCT FROM %(fingerprint)s
 ORDER BY id DESC LIMIT 1""",
        types=TYPES,
    ),
    UPDATE: Message(
        f"""
SELECT {COLUMNS}, NULL FROM appointments
 WHERE organization_id = %(tenant)s AND id = %(moving)s AND EXISTS (
     SELECT 1 FROM state_transitions
      WHERE organization_id = %(tenant)s AND subject_type = 'Appointment' AND subject_id = %(moving)s
        AND event = %(event)s AND actor_id IS NOT DISTINCT FROM %(actor)s AND reason IS NOT DISTINCT FROM %(reason)s
        AND occurred_at = %(now)s)""",
        types=TYPES,
    ),
}


def write(
    sql: str, facts: Facts, wish: Wish, by: User | None, *, limits: Mapping[str, int] | None = None, **values: Any
) -> Appointment | None:
    """Lock, check and write; returns the appointment as it now is, or None if what was decided on has changed.

    `limits` are those on what one client may have.
    """
    calendar, until = facts.calendar, wish.start + timedelta(minutes=facts.minutes)
    given = {
        "tenant": current().organization_id,
        "professional": calendar.professional_id,
        "student": facts.student_id,
        "client": facts.client_id,
        "version": facts.version,
        "student_version": facts.student_version,
        "start": wish.start,
        "until": until,
        "occupied_until": until + timedelta(minutes=calendar.buffer_minutes),
        "minutes": facts.minutes,
        "buffer": calendar.buffer_minutes,
        "moving": wish.moving,
        "was_professional": calendar.professional_id,
        "allow_overlap": wish.allow_overlap,
        "noted_key": None,
        "noted_fingerprint": None,
        "open_holds_per_client": None,
        "future_sessions_per_client": None,
        "actor": None if by is None else by.id,
        "now": wish.now,
    }
    given |= {**(limits or {}), **values}
    message, engine = _message(sql, wish.allow_overlap, bool(limits), is_told()), current().engine
    if not facts.meets_overdue:
        return _row(message, given, MADE[sql])
    with engine.atomic():
        engine.run_message(LOCKING, given)
        expire_in_the_way(Appointment, wish.now, {name: given[name] for name in WHOSE} | {"own": wish.moving})
        return _row(message, given, MADE[sql])


def _row(message: Message, given: Mapping[str, Any], made: Message) -> Appointment | None:
    cursor = current().engine.run_message(message, given, made=made)
    rows = cursor.fetchall()
    if not rows:
        return None
    current().engine.note_transaction(rows[0][-1])
    return Appointment._from_rows(cursor.description[:-1], [rows[0][:-1]])[0]


LOCKING: Final = Message(*LOCKS, types=TYPES)
WHOSE: Final = ("tenant", "professional", "student", "client", "start", "until", "occupied_until")


@cache
def _message(sql: str, allow_overlap: bool, limited: bool, tells: bool) -> Message:
    conditions = UNCHANGED + ("" if allow_overlap else NOBODY_BUSY) + (WITHIN_LIMITS if limited else "")
    return Message(*LOCKS, sql.format(conditions=conditions, told=TOLD[sql] if tells else ""), types=TYPES)


def until_settled(attempt: Callable[[], Made | None]) -> Made:
    """Attempt until what was read still held when it was written; concurrent changes are seen by the next attempt.

    Raises:
        SlotTakenError: the time was fought over too long, or the unit of work has lost a deadlock.
    """
    in_transaction = current().engine.holder_of_transaction() is not None
    for _ in range(ATTEMPTS):
        try:
            made = attempt()
        except DeadlockError as error:
            if in_transaction:  # the server has undone all of it
                raise SlotTakenError("another booking was in the way; run the unit of work again") from error
            continue
        if made is not None:
            return made
    raise SlotTakenError("others keep changing that professional's time; try again")
