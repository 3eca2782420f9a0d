"""Which appointments hold time, and what an appointment has to meet before it takes any: one wording for every way in.

Rule it guards: an overdue hold holds nothing, from the moment it is overdue. The exclusion constraint cannot look at
the clock, so whoever takes time expires the overdue holds in the way first, under the same locks: professional,
student, client, then appointments, in this order everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from peewee import SQL

from rayces_core.database.binding import current
from rayces_core.errors import ClientBusyError, SlotTakenError, StudentBusyError
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.appointment_states import EXPIRED, OCCUPYING_SQL
from rayces_core.state_machine import DatabaseGuard, Guard

CONFIRMATION_HOURS: Final = OrganizationSettings.model_fields["confirmation_hours"].default


def holds_time(row: str) -> str:
    """SQL: `row` holds its time at %(now)s."""
    return f"({row}.state IN ({OCCUPYING_SQL}) AND ({row}.state <> 'pre_confirmed' OR {row}.expires_at >= %(now)s))"


def busy(column: str, person: str, *, start: str, until: str, own: str, tenant: str) -> str:
    """SQL: id of a session of the student's or the client's own that overlaps, without the professional's buffer."""
    return f"""(
    SELECT other.id FROM appointments AS other
     WHERE other.organization_id = {tenant} AND other.{column} = {person} AND {holds_time("other")}
       AND other.id IS DISTINCT FROM {own}
       AND other.scheduled_at < {until} AND other.scheduled_at < {start} + interval '8 hours'
       AND other.scheduled_at > {start} - interval '8 hours'
       AND other.scheduled_at + make_interval(mins => other.duration_minutes) > {start}
     ORDER BY other.scheduled_at LIMIT 1
)"""


# -- overdue holds ----------------------------------------------------------------------------------------------------


def overdue_in_the_way(
    row: str, *, start: str, until: str, occupied_until: str, people: Mapping[str, str]
) -> tuple[str, str, str]:
    """SQL: `row`, which is pre_confirmed, is an overdue hold in the way of the professional, the student or the client.

    Each by itself, so that an index finds the few there are, however long no sweep has run. No hold takes longer than
    480 minutes and a buffer of a day.
    """
    overdue = f"{row}.expires_at < %(now)s AND {row}.id IS DISTINCT FROM {people['own']}"
    near = f"{row}.scheduled_at > {start} - interval '32 hours' AND {row}.scheduled_at < {start} + interval '32 hours'"
    in_session = (
        f"{row}.scheduled_at < {until} AND {row}.scheduled_at + make_interval(mins => {row}.duration_minutes) > {start}"
    )
    of_professional = f"{row}.scheduled_at < {occupied_until} AND {row}.occupied_until > {start}"
    return (
        f"{row}.professional_id = {people['professional']} AND {overdue} AND {near} AND {of_professional}",
        f"{row}.student_id = {people['student']} AND {overdue} AND {near} AND {in_session}",
        f"{row}.client_id = {people['client']} AND {overdue} AND {near} AND {in_session}",
    )


_IN_THE_WAY: Final = overdue_in_the_way(
    "appointments",
    start="%(start)s",
    until="%(until)s",
    occupied_until="%(occupied_until)s",
    people={name: f"%({name})s" for name in ("own", "professional", "student", "client")},
)
IN_THE_WAY: Final = f"organization_id = %(tenant)s AND ({' OR '.join(f'({one})' for one in _IN_THE_WAY)})"


def expire_in_the_way(model: Any, now: datetime, values: Mapping[str, Any]) -> None:
    """Expire the overdue holds in the way, as a sweep does: journal, effects and announcements included.

    `values` are those of IN_THE_WAY; the people are locked already.
    """
    model.lifecycle.move_many("expire", IN_THE_WAY, values, now=now, reason=EXPIRED)


def _clear(draft: Any, now: datetime) -> None:
    expire_in_the_way(
        type(draft),
        now,
        {
            "tenant": draft.organization_id,
            "own": draft.id,
            "professional": draft.professional_id,
            "student": draft.student_id,
            "client": draft.client_id,
            "start": draft.scheduled_at,
            "until": draft.ends_at,
            "occupied_until": draft.scheduled_at + draft.occupies,
        },
    )


# -- guards -----------------------------------------------------------------------------------------------------------

NOT_EXPIRED: Final = Guard(
    "expired",
    "`expires_at` has not passed",
    "the hold has expired and its time is free again; book it anew",
    lambda appointment, now: now <= appointment.expires_at,
    ("expires_at",),
)
OVERDUE: Final = Guard(
    "not_overdue",
    "`expires_at` has passed",
    "the hold has not expired yet",
    lambda appointment, now: now > appointment.expires_at,
    ("expires_at",),
)
BEGUN: Final = Guard(
    "not_begun",
    "`scheduled_at` has passed",
    "the session has not begun yet",
    lambda appointment, now: now >= appointment.scheduled_at,
    ("scheduled_at",),
)
AHEAD: Final = Guard(
    "begun",
    "`scheduled_at` has not passed",
    "the session would have begun already; move it with scheduling.reschedule(...), or cancel it",
    lambda appointment, now: now < appointment.scheduled_at,
    ("scheduled_at",),
)

_OWN: Final = "FROM appointments WHERE organization_id = %(organization_id)s AND id = %(id)s"
_UNTIL: Final = "appointments.scheduled_at + make_interval(mins => appointments.duration_minutes)"
_BUSY: Final = {
    person: busy(
        f"{person}_id",
        f"appointments.{person}_id",
        start="appointments.scheduled_at",
        until=_UNTIL,
        own="appointments.id",
        tenant="%(organization_id)s",
    )
    for person in ("student", "client")
}
TIME_IS_FREE: Final = DatabaseGuard(
    "professional, student and client are free",
    # People before appointments: two that wait for each other's range would be a deadlock.
    locks=tuple(
        f"SELECT 1 FROM {table} WHERE organization_id = %(organization_id)s "
        f"AND {key} = (SELECT {person}_id {_OWN}) FOR NO KEY UPDATE"
        for table, key, person in (
            ("professionals", "user_id", "professional"),
            ("students", "id", "student"),
            ("users", "id", "client"),
        )
    ),
    # Those that occupy time never overlap, so only the last one begun before the end can reach in. Ranges would not
    # do: row-level security keeps what is not leakproof, as && is not, from the index. An overdue hold counts here, as
    # it does for the exclusion constraint: it is cleared away, and then this is asked again.
    sql=f"""NOT EXISTS (SELECT 1 FROM (
        SELECT other.occupied_until FROM appointments AS other
        WHERE other.organization_id = %(organization_id)s
          AND other.professional_id = appointments.professional_id AND other.id <> appointments.id
          AND other.state IN ({OCCUPYING_SQL}) AND other.scheduled_at < appointments.occupied_until
        ORDER BY other.scheduled_at DESC LIMIT 1
    ) AS latest WHERE latest.occupied_until > appointments.scheduled_at)
    AND (appointments.allows_overlap OR ({_BUSY["student"]} IS NULL AND {_BUSY["client"]} IS NULL))""",
    clear=_clear,
    refusal=lambda draft, now: _not_free(draft, now),
)
_BUSY_SQL: Final = f"SELECT {_BUSY['student']}, {_BUSY['client']} {_OWN}"


def _not_free(draft: Any, now: datetime) -> Exception:
    error = _whose(draft, now)
    error.scheduled_at = draft.scheduled_at
    return error


def _whose(draft: Any, now: datetime) -> SlotTakenError | StudentBusyError:
    taken = draft.conflicting_id(now)
    if taken is None and not draft.allows_overlap:
        place = {"organization_id": draft.organization_id, "id": draft.id, "now": now}
        student, client = current().engine.run_prepared(_BUSY_SQL, place).fetchone()
        if student is not None:
            return student_busy(student)
        if client is not None:
            return client_busy(client)
    return SlotTakenError(conflicting_id=taken)


ELSEWHERE: Final = "choose another time"


def student_busy(conflicting_id: int, advice: str = ELSEWHERE) -> StudentBusyError:
    """The error for a student who is elsewhere at that time."""
    sentence = f"the student has another appointment at that time; {advice}"
    return StudentBusyError(sentence, conflicting_id=conflicting_id)


def client_busy(conflicting_id: int, advice: str = ELSEWHERE) -> ClientBusyError:
    """The error for a client who is elsewhere at that time."""
    sentence = f"the client has another appointment at that time; {advice}"
    return ClientBusyError(sentence, conflicting_id=conflicting_id)


HELD_UNTIL: Final = SQL(f"""least(scheduled_at, %(now)s + make_interval(hours => (
    SELECT coalesce((settings ->> 'confirmation_hours')::int, {CONFIRMATION_HOURS})
    FROM organizations WHERE id = %(organization_id)s
)))""")


def held_until(start: datetime, now: datetime, hours: int) -> datetime:
    """When a hold that is taken now ends: after so many hours, and at the start at the latest."""
    return min(start, now + timedelta(hours=hours))
