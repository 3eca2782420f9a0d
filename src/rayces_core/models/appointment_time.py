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
from rayces_core.database.snapshots import SEES_THE_PRESENT, check_present
from rayces_core.errors import (
    ClientBusyError,
    DeviceTakenError,
    RoomTakenError,
    SecondProfessionalTakenError,
    SlotTakenError,
    StudentBusyError,
)
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models import credit_holding
from rayces_core.models.appointment_states import EXPIRED, occupies
from rayces_core.state_machine import DatabaseGuard, Guard

CONFIRMATION_HOURS: Final = OrganizationSettings.model_fields["confirmation_hours"].default


def holds_time(row: str) -> str:
    """SQL: `row` holds its time at %(now)s."""
    return f"({occupies(row)} AND ({row}.state <> 'pre_confirmed' OR {row}.expires_at >= %(now)s))"


def busy(column: str, person: str, *, start: str, until: str, own: str, tenant: str, beside: str = "") -> str:
    """SQL: id of a session of the student's or the client's own that overlaps, without the professional's buffer.

    `beside` is a condition on `other` that leaves out what is not in the way, with AND in front.
    """
    return f"""(
    SELECT other.id FROM appointments AS other
     WHERE other.organization_id = {tenant} AND other.{column} = {person} AND {holds_time("other")}
       AND other.id IS DISTINCT FROM {own}{beside}
       AND other.scheduled_at < {until} AND other.scheduled_at < {start} + interval '8 hours'
       AND other.scheduled_at > {start} - interval '8 hours'
       AND other.scheduled_at + make_interval(mins => other.duration_minutes) > {start}
     ORDER BY other.scheduled_at LIMIT 1
)"""


# A group's clients may bring several children to it.
BESIDE_THE_GROUP: Final = " AND (other.group_session_id = %(group)s) IS NOT TRUE"


def held_by_group(
    professional: str,
    *,
    start: str,
    occupied_until: str,
    tenant: str,
    own: str = "NULL",
    column: str = "professional_id",
) -> str:
    """SQL: an open group session, attended or not, has the professional's time; `own` is one that does not count.

    `column` is another one by which it may hold somebody or something.
    """
    return f"""EXISTS (
    SELECT 1 FROM group_sessions AS held
     WHERE held.organization_id = {tenant} AND held.{column} = {professional} AND held.state = 'open'
       AND held.id IS DISTINCT FROM {own}
       AND held.scheduled_at < {occupied_until} AND held.scheduled_at > {start} - interval '32 hours'
       AND held.occupied_until > {start}
)"""


def held_beside(
    column: str, whose: str, *, start: str, occupied_until: str, tenant: str, own: str, beside: str = ""
) -> str:
    """SQL: an appointment holds somebody or something by this column, whatever the clock says; `beside` as of `busy`.

    No session occupies more than 8 hours and a day of buffer on either side.
    """
    return f"""EXISTS (
    SELECT 1 FROM appointments AS other
     WHERE other.organization_id = {tenant} AND other.{column} = {whose} AND {occupies("other")}
       AND other.id IS DISTINCT FROM {own}{beside}
       AND other.scheduled_at < {occupied_until} + interval '1 day'
       AND other.scheduled_at > {start} - interval '32 hours'
       AND other.occupied_from < {occupied_until} AND other.occupied_until > {start}
)"""


# Who is what to a session, and by which columns others hold them.
HELD_BY: Final = {
    "professional": ("second_professional_id",),
    "second_professional": ("professional_id", "second_professional_id"),
    "room": ("room_id",),
    "device": ("device_id",),
}


# What a session needs besides its professional: the error where it is taken, and what that says.
TAKEN: Final[Mapping[str, tuple[type[SlotTakenError], str]]] = {
    "second_professional": (SecondProfessionalTakenError, "the second professional already has an appointment then"),
    "room": (RoomTakenError, "the room is taken at that time"),
    "device": (DeviceTakenError, "the device is taken at that time"),
}


def taken_beside(role: str, whose: str, **place: str) -> str:
    """SQL: somebody or something is held, but for what a professional holds as the first one, which is asked apart.

    `place` is start, occupied_until, tenant, own and own_group, and beside.
    """
    beside, own_group, own = place.pop("beside", ""), place.pop("own_group", "NULL"), place.pop("own")
    columns = HELD_BY[role]
    groups = columns if role != "professional" else ("professional_id", *columns)
    return " OR ".join(
        [held_beside(column, whose, own=own, beside=beside, **place) for column in columns]
        + [held_by_group(whose, own=own_group, column=column, **place) for column in groups]
    )


# -- overdue holds ----------------------------------------------------------------------------------------------------


def overdue_in_the_way(
    row: str,
    *,
    start: str,
    until: str,
    occupied_from: str,
    occupied_until: str,
    people: Mapping[str, str],
    beside: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """SQL: `row`, which is pre_confirmed, is an overdue hold in the way of the professional, the student or the client.

    With `beside` also of these: role → whose.

    Each by itself, so that an index finds the few there are, however long no sweep has run. No hold takes longer than
    480 minutes, and a day of buffer on either side.
    """
    overdue = f"{row}.expires_at < %(now)s AND {row}.id IS DISTINCT FROM {people['own']}"
    near = f"{row}.scheduled_at > {start} - interval '8 hours' AND {row}.scheduled_at < {start} + interval '8 hours'"
    around = (
        f"{row}.scheduled_at > {start} - interval '56 hours' AND {row}.scheduled_at < {start} + interval '56 hours'"
    )
    in_session = (
        f"{row}.scheduled_at < {until} AND {row}.scheduled_at + make_interval(mins => {row}.duration_minutes) > {start}"
    )
    of_professional = f"{row}.occupied_from < {occupied_until} AND {row}.occupied_until > {occupied_from}"
    held = [("professional_id", people["professional"]), ("second_professional_id", people["professional"])]
    held += [(column, whose) for role, whose in (beside or {}).items() for column in HELD_BY[role]]
    return (
        *(f"{row}.{column} = {whose} AND {overdue} AND {around} AND {of_professional}" for column, whose in held),
        f"{row}.student_id = {people['student']} AND {overdue} AND {near} AND {in_session}",
        f"{row}.client_id = {people['client']} AND {overdue} AND {near} AND {in_session}",
    )


_IN_THE_WAY: Final = overdue_in_the_way(
    "appointments",
    start="%(start)s",
    until="%(until)s",
    occupied_from="%(occupied_from)s",
    occupied_until="%(occupied_until)s",
    people={name: f"%({name})s" for name in ("own", "professional", "student", "client")},
    beside={name: f"%({name})s" for name in ("second_professional", "room", "device")},
)
IN_THE_WAY: Final = f"organization_id = %(tenant)s AND ({' OR '.join(f'({one})' for one in _IN_THE_WAY)})"


def expire_in_the_way(model: Any, now: datetime, values: Mapping[str, Any]) -> None:
    """Expire the overdue holds in the way, as a sweep does: journal, effects and announcements included.

    `values` are those of IN_THE_WAY; the people are locked already.
    """
    model.lifecycle.move_many("expire", IN_THE_WAY, values, organization=values["tenant"], now=now, reason=EXPIRED)


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
            "second_professional": draft.second_professional_id,
            "room": draft.room_id,
            "device": draft.device_id,
            "start": draft.scheduled_at,
            "until": draft.ends_at,
            "occupied_from": draft.occupies_from,
            "occupied_until": draft.occupies_until,
        },
    )
    credit_holding.expire_overdue(type(draft), [draft.client_id], now, draft.organization_id)


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
_TAKEN: Final = {
    role: taken_beside(
        role,
        f"appointments.{role}_id",
        start="appointments.occupied_from",
        occupied_until="appointments.occupied_until",
        tenant="%(organization_id)s",
        own="appointments.id",
    )
    for role in HELD_BY
}
# What was decided on is as it was seen: a column of the draft, the table that its key is of, who saw which version.
_SEEN: Final = {
    "seen_professional": ("professional_id", "professionals", "user_id"),
    "seen_student": ("student_id", "students", "id"),
    "seen_second_professional": ("second_professional_id", "professionals", "user_id"),
    "seen_room": ("room_id", "resources", "id"),
    "seen_device": ("device_id", "resources", "id"),
    "seen_service": ("service_id", "services", "id"),
}
_GIVING: Final = """EXISTS (SELECT 1 FROM professional_services AS kept
        WHERE kept.organization_id = %(organization_id)s AND kept.service_id = appointments.service_id
          AND kept.professional_id = appointments.professional_id"""
_AS_SEEN: Final = " AND ".join(
    [
        f"""NOT EXISTS (SELECT 1 FROM {table} AS kept
        WHERE kept.organization_id = %(organization_id)s AND kept.{key} = appointments.{column}
          AND kept.xmin::text <> coalesce(%({seen})s, kept.xmin::text))"""
        for seen, (column, table, key) in _SEEN.items()
    ]
    + [
        f"NOT {_GIVING} AND kept.xmin::text <> coalesce(%(seen_giving)s, kept.xmin::text))",
        f"(coalesce(%(seen_giving)s, '') <> '') <= {_GIVING})",  # where it was given, it still is
    ]
)
TIME_IS_FREE: Final = DatabaseGuard(
    "it could be booked, but for hours, notice and window; all it needs is free, its credits too",
    # People before appointments: two that wait for each other's range would be a deadlock.
    locks=tuple(
        f"SELECT 1 FROM {table} WHERE organization_id = %(organization_id)s "
        f"AND {key} IN ({', '.join(f'(SELECT {person}_id {_OWN})' for person in people)}) ORDER BY {key} "
        "FOR NO KEY UPDATE"
        for table, key, people in (
            ("professionals", "user_id", ("professional", "second_professional")),
            ("resources", "id", ("room", "device")),
            ("students", "id", ("student",)),
            ("users", "id", ("client",)),
        )
    )
    + credit_holding.LOCKS,
    # Those that occupy time never overlap, so only the last one begun before the end can reach in. Ranges would not
    # do: row-level security keeps what is not leakproof, as && is not, from the index. An overdue hold counts here, as
    # it does for the exclusion constraint: it is cleared away, and then this is asked again.
    sql=f"""{SEES_THE_PRESENT} AND NOT EXISTS (SELECT 1 FROM (
        SELECT other.occupied_until FROM appointments AS other
        WHERE other.organization_id = %(organization_id)s
          AND other.professional_id = appointments.professional_id AND other.id <> appointments.id
          AND {occupies("other")} AND other.occupied_from < appointments.occupied_until
          AND other.scheduled_at < appointments.occupied_until + interval '1 day'
        ORDER BY other.scheduled_at DESC LIMIT 1
    ) AS latest WHERE latest.occupied_until > appointments.occupied_from)
    AND NOT ({" OR ".join(_TAKEN.values())})
    AND (appointments.allows_overlap OR ({_BUSY["student"]} IS NULL AND {_BUSY["client"]} IS NULL))
    AND {credit_holding.COVERED} AND {_AS_SEEN}""",
    clear=_clear,
    refusal=lambda draft, now: _not_free(draft, now),
    seen=(*_SEEN, "seen_giving"),
)
_BUSY_SQL: Final = f"SELECT {_BUSY['student']}, {_BUSY['client']} {_OWN}"
_BESIDE_SQL: Final = f"SELECT {', '.join(f'({_TAKEN[role]})' for role in TAKEN)} {_OWN}"


def _not_free(draft: Any, now: datetime) -> Exception:
    check_present()
    error = _whose(draft, now)
    if error is None and (lacking := credit_holding.lacking(draft, now)) is not None:
        return lacking
    error = error or SlotTakenError(conflicting_id=None)
    error.scheduled_at = draft.scheduled_at
    return error


def _whose(draft: Any, now: datetime) -> SlotTakenError | StudentBusyError | None:
    taken = draft.conflicting_id(now)
    place = {"organization_id": draft.organization_id, "id": draft.id, "now": now}
    if taken is None:
        found = current().engine.run_prepared(_BESIDE_SQL, place).fetchone()
        for role, is_taken in zip(TAKEN, found, strict=True):
            if is_taken:
                return taken_error(role, draft.conflicting_id(now, role))
    if taken is None and not draft.allows_overlap:
        student, client = current().engine.run_prepared(_BUSY_SQL, place).fetchone()
        if student is not None:
            return student_busy(student)
        if client is not None:
            return client_busy(client)
    return None if taken is None else SlotTakenError(conflicting_id=taken)


def taken_error(role: str, conflicting_id: int | None, message: str | None = None) -> SlotTakenError:
    """The error for what a session needs besides its professional, where it is taken."""
    kind, sentence = TAKEN[role]
    fields = (f"{role}_id", "scheduled_at")
    message = message or f"{sentence}; choose another time, or another one"
    return kind(message, conflicting_id=conflicting_id, fields=fields)


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
