"""Writing what was decided: under the locks, unless a fact has changed since it was read.

The locks, the check and the row go out as one message. PostgreSQL takes a new snapshot for each statement in it, so
the check sees what was committed while it waited for the locks. The database's own rule stays behind all of this. That
rule cannot look at the clock, so an overdue hold that is met is expired first, under the same locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from functools import cache
from typing import Any, Final, TypeVar

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.database.snapshots import SEES_THE_PRESENT, check_present
from rayces_core.errors import DeadlockError, SlotTakenError
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_states import occupies
from rayces_core.models.appointment_time import BESIDE_THE_GROUP, TAKEN, busy, expire_in_the_way, taken_beside
from rayces_core.models.group_session import LARGEST
from rayces_core.models.user import User
from rayces_core.scheduling.facts import TYPES as FACT_TYPES
from rayces_core.scheduling.facts import WITHIN_LIMITS, Facts, Wish
from rayces_core.scheduling.holdings import NOBODYS, SAME_BESIDE, beside_values, held_by
from rayces_core.scheduling.reserving import COVERED, KIND, LOCK_BALANCE, RESERVING, check_credits
from rayces_core.scheduling.services import CREDIT_KIND, PRICE_OF_PROFESSIONAL
from rayces_core.scheduling.services import PRICE as PRICE_OF_SERVICE
from rayces_core.scheduling.services import UNCHANGED as SERVICE_UNCHANGED
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
# Of a session that needs more than its professional: what it needs comes after the professionals.
LOCKS_BESIDE: Final = (
    LOCKS[0].replace("%(was_professional)s)", "%(was_professional)s, %(second_professional)s)"),
    """SELECT 1 FROM resources
        WHERE organization_id = %(tenant)s AND id IN (%(room)s, %(device)s) ORDER BY id FOR NO KEY UPDATE""",
    *LOCKS[1:],
)
# What was decided on still holds, and it is seen where it does not.
SAME_PROFESSIONAL: Final = f"""{SEES_THE_PRESENT} AND EXISTS (
    SELECT 1 FROM professionals
     WHERE organization_id = %(tenant)s AND user_id = %(professional)s AND xmin::text = %(version)s
)"""
SAME_STUDENT: Final = """EXISTS (
    SELECT 1 FROM students
     WHERE organization_id = %(tenant)s AND id = %(student)s AND xmin::text = %(student_version)s
)"""
# Merged into another or erased meanwhile, a client books no more.
STILL_A_CLIENT: Final = """EXISTS (
    SELECT 1 FROM users
     WHERE organization_id = %(tenant)s AND id = %(client)s AND merged_into_id IS NULL AND erased_at IS NULL
)"""
OCCUPIED: Final = {
    "start": "%(occupied_from)s",
    "occupied_until": "%(occupied_until)s",
    "tenant": "%(tenant)s",
    "own": "%(moving)s",
    "own_group": "%(group)s",
    "beside": BESIDE_THE_GROUP,
}
# A hold counts here whatever the clock says, as it does for the database's rule.
NOT_TAKEN: Final = f"""NOT EXISTS (SELECT 1 FROM (
    SELECT other.occupied_until FROM appointments AS other
     WHERE other.organization_id = %(tenant)s AND other.professional_id = %(professional)s
       AND {occupies("other")} AND other.id IS DISTINCT FROM %(moving)s{BESIDE_THE_GROUP}
       AND other.scheduled_at < %(occupied_until)s + interval '1 day' AND other.occupied_from < %(occupied_until)s
     ORDER BY other.scheduled_at DESC LIMIT 1
) AS latest WHERE latest.occupied_until > %(occupied_from)s)
AND NOT ({taken_beside("professional", "%(professional)s", **OCCUPIED)})"""
NOTHING_TAKEN: Final = " AND ".join(f"NOT ({taken_beside(role, NOBODYS.format(role), **OCCUPIED)})" for role in TAKEN)
PLACE: Final = {"start": "%(start)s", "until": "%(until)s", "own": "%(moving)s", "tenant": "%(tenant)s"}
NOBODY_BUSY: Final = f"""
AND {busy("student_id", "%(student)s", **PLACE)} IS NULL
AND {{client}} IS NULL
"""
CLIENT: Final = busy("client_id", "%(client)s", **PLACE)
CLIENT_BESIDE: Final = busy("client_id", "%(client)s", **PLACE, beside=BESIDE_THE_GROUP)
TYPES: Final = FACT_TYPES | {
    "version": "text",
    "student_version": "text",
    "until": "timestamptz",
    "occupied_from": "timestamptz",
    "occupied_until": "timestamptz",
    "buffer": "integer",
    "buffer_before": "integer",
    "service_version": "text",
    "giving_version": "text",
    "actor": "bigint",
    "now": "timestamptz",
    "is_set": "boolean",
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
    "slot_request": "bigint",
    **{f"{was}{role}": "bigint" for role in TAKEN for was in ("", "was_")},
    **{f"{role}_version": "text" for role in TAKEN},
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


def _booked(
    buffer: str, beside: str, columns: str = "", values: str = "", source: str = "", condition: str = ""
) -> str:
    # A row with the same key, made meanwhile, is no error: no row comes back, and the next attempt finds it.
    return f"""
WITH booked AS (
    INSERT INTO appointments (
        organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
        pre_confirmed_at, expires_at, uses_credit, credits_used, notes, idempotency_key, request_fingerprint,
        allows_overlap, buffer_before_minutes, service_id, credit_kind_id, price_cents, currency, created_at,
        updated_at, second_professional_id, room_id, device_id, reserved_credits{columns}
    ) SELECT %(tenant)s, %(professional)s, %(student)s, %(client)s, %(start)s, %(minutes)s, {buffer}, %(state)s,
        %(held_from)s::timestamptz, %(held_until)s::timestamptz, %(uses_credit)s, %(credits_used)s, %(notes)s::text,
        %(key)s::varchar, %(fingerprint)s::varchar, %(allow_overlap)s,
        %(buffer_before)s, %(service)s, {{kind}}, {{price}}, %(now)s, %(now)s, {beside}, {{reserved}}{values}
    {source} WHERE {condition}{{conditions}}
    ON CONFLICT (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING {COLUMNS}
){{reserving}}, noted AS ({NOTED.format(details=NOTHING)} FROM booked WHERE state <> 'draft' RETURNING 1){{told}}
SELECT *, pg_current_xact_id() FROM booked"""


INSERT: Final = _booked(
    "%(buffer)s", "%(second_professional)s, %(room)s, %(device)s", ", slot_request_id", ", %(slot_request)s::bigint"
)
# The lowest free seat: the professional is locked, so nobody else takes one meanwhile. Routers refuse a set that is as
# long as a column says, and a LATERAL one.
SEAT: Final = _booked(
    "attended.buffer_minutes",
    "attended.second_professional_id, attended.room_id, attended.device_id",
    ", group_session_id, seat, seats",
    ", attended.id, attended.free_seat, attended.open_seats",
    f"""FROM (
        SELECT found.*, (
            SELECT min(number) FROM generate_series(1, {LARGEST}) AS number
             WHERE number <= found.open_seats AND NOT EXISTS (
                 SELECT 1 FROM appointments AS taken
                  WHERE taken.organization_id = %(tenant)s AND taken.group_session_id = %(group)s
                    AND taken.seat = number)) AS free_seat
          FROM group_sessions AS found WHERE found.organization_id = %(tenant)s AND found.id = %(group)s
    ) AS attended""",
    """attended.free_seat IS NOT NULL
       AND attended.professional_id = %(professional)s AND attended.scheduled_at = %(start)s
       AND attended.duration_minutes = %(minutes)s AND """,
)
UPDATE: Final = f"""
WITH moved AS (
    UPDATE appointments SET scheduled_at = %(start)s, duration_minutes = %(minutes)s, buffer_minutes = %(buffer)s,
        buffer_before_minutes = %(buffer_before)s, professional_id = %(professional)s,
        second_professional_id = %(second_professional)s, room_id = %(room)s, device_id = %(device)s,
        allows_overlap = %(allow_overlap)s,
        expires_at = CASE
            WHEN state = 'draft' THEN NULL
            WHEN state = 'pre_confirmed' AND slot_request_id IS NULL THEN greatest(pre_confirmed_at, %(held_until)s)
            ELSE greatest(pre_confirmed_at, least(expires_at, %(start)s)) END,
        updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(moving)s AND state = %(state)s AND scheduled_at = %(was_start)s
       AND professional_id = %(was_professional)s AND duration_minutes = %(was_minutes)s
       AND second_professional_id IS NOT DISTINCT FROM %(was_second_professional)s
       AND room_id IS NOT DISTINCT FROM %(was_room)s AND device_id IS NOT DISTINCT FROM %(was_device)s
       AND student_id = %(student)s AND client_id = %(client)s AND group_session_id IS NULL AND {{conditions}}
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
    **dict.fromkeys(
        (INSERT, SEAT),
        told(
            "Appointment",
            "book",
            {"from_state": "NULL", **_ACTED},
            _COLUMNS,
            source="booked",
            organization="%(tenant)s",
            at="%(now)s",
        ),
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
_MADE: Final = Message(
    f"""
SELECT {COLUMNS}, NULL FROM appointments
 WHERE organization_id = %(tenant)s AND professional_id = %(professional)s AND student_id = %(student)s
   AND client_id = %(client)s AND scheduled_at = %(start)s AND duration_minutes = %(minutes)s AND created_at = %(now)s
   AND idempotency_key IS NOT DISTINCT FROM %(key)s AND request_fingerprint IS NOT DISTINCT FROM %(fingerprint)s
 ORDER BY id DESC LIMIT 1""",
    types=TYPES,
)
MADE: Final = {
    INSERT: _MADE,
    SEAT: _MADE,
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
    sql: str,
    facts: Facts,
    wish: Wish,
    by: User | None,
    *,
    limits: Mapping[str, int] | None = None,
    reserves: bool = False,
    **values: Any,
) -> Appointment | None:
    """Lock, check and write; returns the appointment as it now is, or None if what was decided on has changed.

    `limits` are those on what one client may have. `reserves` says whether it reserves the credits that it costs.

    Raises:
        InsufficientCreditsError: the client has too few that nothing else has reserved.
    """
    calendar, until, service = facts.calendar, wish.start + timedelta(minutes=facts.minutes), facts.service
    given = {
        "tenant": current().organization_id,
        "professional": calendar.professional_id,
        "student": facts.student_id,
        "client": facts.client_id,
        "version": facts.version,
        "student_version": facts.student_version,
        "start": wish.start,
        "until": until,
        "occupied_from": wish.start - timedelta(minutes=calendar.buffer_before_minutes),
        "occupied_until": until + timedelta(minutes=calendar.buffer_minutes),
        "minutes": facts.minutes,
        "buffer": calendar.buffer_minutes,
        "buffer_before": calendar.buffer_before_minutes,
        "service": None if service is None else service.id,
        "service_version": None if service is None else service.version,
        "giving_version": None if service is None else service.giving_version,
        "moving": wish.moving,
        "group": wish.group,
        "was_professional": calendar.professional_id,
        "allow_overlap": wish.allow_overlap,
        "noted_key": None,
        "noted_fingerprint": None,
        "open_holds_per_client": None,
        "future_sessions_per_client": None,
        "actor": None if by is None else by.id,
        "now": wish.now,
        "is_set": clock.is_frozen(),
    }
    held = held_by(calendar, wish.start, facts.minutes, wish.aside, again=wish.again)
    given |= {**beside_values(held), **(limits or {}), **values}
    message = _message(sql, wish.allow_overlap, bool(limits), service is not None, is_told(), bool(held), reserves)
    engine = current().engine
    meets_overdue = facts.meets_overdue or any(each.meets_overdue for each in held.values())
    with engine.atomic() if meets_overdue else nullcontext():
        if meets_overdue:
            engine.run_message(LOCKING_BESIDE if held else LOCKING, given)
            expire_in_the_way(Appointment, wish.now, {name: given[name] for name in WHOSE} | {"own": wish.moving})
        written = _row(message, given, MADE[sql])
    if written is None and reserves:
        check_credits(given)
    return written


def _row(message: Message, given: Mapping[str, Any], made: Message) -> Appointment | None:
    cursor = current().engine.run_message(message, given, made=made)
    rows = cursor.fetchall()
    if not rows:
        return None
    current().engine.note_transaction(rows[0][-1])
    return Appointment._from_rows(cursor.description[:-1], [rows[0][:-1]])[0]


LOCKING: Final = Message(*LOCKS, types=TYPES)
LOCKING_BESIDE: Final = Message(*LOCKS_BESIDE, types=TYPES)
WHOSE: Final = (
    *("tenant", "professional", "student", "client", "start", "until", "occupied_from", "occupied_until"),
    *TAKEN,
)


@cache
def _message(
    sql: str, allow_overlap: bool, limited: bool, of_service: bool, tells: bool, needs_more: bool, reserves: bool
) -> Message:
    # The time of a group is the professional's already.
    unchanged = [SAME_PROFESSIONAL, SAME_STUDENT, STILL_A_CLIENT, *([] if sql is SEAT else [NOT_TAKEN])]
    unchanged += [SAME_BESIDE, NOTHING_TAKEN] if needs_more else []
    free = "" if allow_overlap else NOBODY_BUSY.format(client=CLIENT_BESIDE if sql is SEAT else CLIENT)
    conditions = " AND ".join(unchanged) + free + (WITHIN_LIMITS if limited else "")
    conditions += SERVICE_UNCHANGED if of_service else ""
    kind = KIND if of_service else "0"
    conditions += COVERED.format(kind=kind) if reserves else ""
    parts = {
        "conditions": conditions,
        "kind": CREDIT_KIND if of_service else "NULL::bigint",
        "price": PRICE_OF_SERVICE if of_service else PRICE_OF_PROFESSIONAL,
        "reserved": "%(credits_used)s" if reserves else "0",
        "reserving": RESERVING.format(kind=kind) if reserves else "",
    }
    locks = LOCKS_BESIDE if needs_more else LOCKS
    if reserves:
        locks = (*locks, LOCK_BALANCE.format(kind=kind))
    return Message(*locks, sql.format(told=TOLD[sql] if tells else "", **parts), types=TYPES)


def until_settled(attempt: Callable[[], Made | None]) -> Made:
    """Attempt until what was read still held when it was written; concurrent changes are seen by the next attempt.

    Raises:
        SlotTakenError: the time was fought over too long, or the unit of work has lost a deadlock.
        TransactionFailedError: the unit of work sees what was committed when it began.
    """
    in_transaction = current().engine.holder_of_transaction() is not None
    for turn in range(ATTEMPTS):
        try:
            made = attempt()
        except DeadlockError as error:
            if in_transaction:  # the server has undone all of it
                raise SlotTakenError("another booking was in the way; run the unit of work again") from error
            continue
        if made is not None:
            return made
        if turn == 0:
            check_present()
    raise SlotTakenError("others keep changing that professional's time; try again")
