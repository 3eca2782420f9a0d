"""Appointments, history included: known by professional, student and moment.

Rule it guards: the times that are taken never overlap, an appointment has every stamp that its state needs, and its
journal leads to that state. What was paid before is in the opening balances, so nothing that is confirmed or later
uses credit here. An appointment that is there is never changed, its `external_id` left aside: its events do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from rayces_core.importing.hours import TIMES
from rayces_core.importing.knowing import EXTERNAL_ID
from rayces_core.importing.record import Fault, Record, fault, folded, missing, no_user, quoted, user
from rayces_core.importing.records import holds, seats, series
from rayces_core.importing.records.appointment_columns import (
    ALSO,
    BY_NAME,
    COLUMNS,
    FIRM,
    IN_ORDER,
    PLAIN,
    STAMPS,
    STUDENT,
)
from rayces_core.importing.records.appointment_writing import INSERTING, LOCKING, clear_the_way
from rayces_core.importing.records.holding import HOLDERS, MOVE, WHEN, taken
from rayces_core.importing.records.overlaps import note_overlaps
from rayces_core.importing.records.people import PROFESSIONALS, STUDENTS, named, nobody
from rayces_core.importing.records.seats import TAKES_TIME
from rayces_core.importing.words import named as with_names
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import holds_time
from rayces_core.tenancy.organization import Organization

PEOPLE: Final = {"professional_id": "professional", "client_id": "client", "cancelled_by_id": "cancelled_by"}
BESIDE: Final = {"second_professional_id": "second_professional", "room_id": "room", "device_id": "device"}
COMPARED: Final = (
    *(
        "duration_minutes",
        "buffer_minutes",
        "buffer_before_minutes",
        "state",
        "notes",
        "professional_notes",
        "cancellation_reason",
    ),
    *(name for name in STAMPS if name.endswith("_at")),
    *("uses_credit", "external_id"),
)
UNKNOWN_BESIDE: Final = (
    nobody("second_professional", "second_professional_id", PROFESSIONALS),
    *(
        missing(
            kind,
            f"{kind}_id",
            f"no {kind} of this organization is called so",
            "correct it, import the resources first, or leave the column out",
        )
        for kind in ("room", "device")
    ),
)


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What the values of an appointment say about each other."""
    state = row.get("state") or "draft"
    for name, states in STAMPS.items():
        if row.get(name) is not None and state not in states:
            yield name, f"does not go with the state {state}", "empty it, or correct the state"
    if (row.get("price") or 0) < 0:
        yield "price", "is below zero", "correct it"
    if row.get("currency") is not None and row.get("price") is None:
        yield "currency", "comes without a price", "fill in both, or neither"
    given = [(name, row[name]) for name in IN_ORDER if row.get(name) is not None]
    for (first, earlier), (second, later) in pairwise(given):
        if later < earlier:
            yield second, f"is before {first}", "correct one of the two"
    for name, moment in given:
        if moment > now:
            yield name, "lies ahead", "correct it"
    yield from series.rules(row)
    yield from seats.rules(row)
    starts = row.get("scheduled_at")
    if starts is not None and (starts.second or starts.microsecond):
        yield "scheduled_at", "does not lie on a whole minute", "drop the seconds"
    if starts is not None and state in ("executed", "no_show"):
        if starts > now:
            yield "state", f"is {state}, but the appointment lies ahead", "correct the state or scheduled_at"
        if (ended := row.get(f"{state}_at")) is not None and ended < starts:
            yield f"{state}_at", "is before scheduled_at", "correct one of the two"


NAMED: Final = "s.student_first_name, s.student_last_name, s.student_date_of_birth"
STUDENTS_FOUND: Final = f"""(
    WITH child AS (
        SELECT id, date_of_birth, primary_contact_id, {folded("first_name", "last_name")} AS name FROM students
         WHERE organization_id = %(tenant)s
    ), wanted AS MATERIALIZED (
        SELECT s.*, {folded("s.student_first_name", "s.student_last_name")} AS name
          FROM (SELECT DISTINCT {NAMED} FROM staged AS s) AS s
    )
    SELECT {NAMED}, count(*) AS many, min(child.id) AS id, min(child.primary_contact_id) AS contact_id
      FROM wanted AS s JOIN child ON child.name = s.name
       AND (s.student_date_of_birth IS NULL OR child.date_of_birth = s.student_date_of_birth)
     GROUP BY {NAMED}
)"""
MINUTES: Final = (
    "coalesce(lent.duration_minutes, s.duration_minutes, service.duration_minutes, p.session_duration_minutes)"
)
AFTER: Final = "coalesce(lent.buffer_minutes, s.buffer_minutes, service.buffer_after_minutes, p.buffer_minutes)"
BEFORE: Final = "coalesce(s.buffer_before_minutes, CASE WHEN lent.id IS NULL THEN service.buffer_before_minutes END, 0)"
TYPES: Final = {
    **{column.name: "varchar" for column in (*COLUMNS, STUDENT)},
    **PLAIN,
    **series.TYPES,
    **seats.TYPES,
    "student_date_of_birth": "date",
    "price": "integer",
}
NEEDED: Final = {"second_professional_id": "p2.user_id", "room_id": "room.id", "device_id": "device.id"}
RESOLVING: Final = f"""
SELECT s.row, s.faulty, {", ".join(f"s.{name}" for name in PLAIN)}, p.user_id, coalesce(client.id, named_client.id),
       canceller.id,
       coalesce(CASE WHEN student.many = 1 THEN student.id END, named_student.id),
       coalesce(CASE WHEN student.many = 1 THEN student.contact_id END, named_student.more),
       coalesce(student.many, named_student.many, 0),
       {MINUTES}, {AFTER}, s.scheduled_at + interval '1 minute' * ({MINUTES}::bigint + {AFTER}),
       {BEFORE}, s.scheduled_at - interval '1 minute' * {BEFORE}::bigint, service.id,
       s.price, CASE WHEN s.price IS NOT NULL THEN coalesce(s.currency, p.currency) END,
       {", ".join(f"coalesce(lent.{name}, {said})" for name, said in NEEDED.items())},
       {series.RESOLVING}, {seats.RESOLVING}, {", ".join(NEEDED.values())}
  FROM {series.spread_out(TYPES)} AS s
  {user("professional", "worker")} {named("professional", "named_worker", PROFESSIONALS)}
  LEFT JOIN professionals AS p
    ON p.organization_id = %(tenant)s AND p.user_id = coalesce(worker.id, named_worker.id)
  {user("client", "client")} {named("client", "named_client")} {user("cancelled_by", "canceller")}
  {named("student", "named_student", STUDENTS, born="student_date_of_birth")}
  LEFT JOIN {STUDENTS_FOUND} AS student
    ON student.student_first_name = s.student_first_name AND student.student_last_name = s.student_last_name
   AND student.student_date_of_birth IS NOT DISTINCT FROM s.student_date_of_birth
  {user("second_professional", "second")} {named("second_professional", "named_second", PROFESSIONALS)}
  LEFT JOIN professionals AS p2
    ON p2.organization_id = %(tenant)s AND p2.user_id = coalesce(second.id, named_second.id)
  LEFT JOIN resources AS room
    ON room.organization_id = %(tenant)s AND room.kind = 'room' AND lower(room.name) = lower(s.room)
  LEFT JOIN resources AS device
    ON device.organization_id = %(tenant)s AND device.kind = 'device' AND lower(device.name) = lower(s.device)
  LEFT JOIN services AS service
    ON service.organization_id = %(tenant)s AND lower(service.name) = lower(s.service_name)
  {seats.JOINED}
"""
# Those who attend one group are there at one time.
OF_ANOTHER_GROUP: Final = " AND (o.group_session_id = r.group_session_id) IS NOT TRUE"
# Those that hold time never overlap, so only the last one begun before the end can reach in.
CONFLICTS: Final = fault(
    "scheduled_at",
    WHEN,
    "'the professional has another appointment from ' || "
    "to_char(other.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI') || ' until ' || "
    "to_char(other.occupied_until AT TIME ZONE %(zone)s, 'HH24:MI') || ', the buffer included'",
    quoted(MOVE),
    f"""FROM resolved AS r CROSS JOIN LATERAL (
        SELECT o.scheduled_at, o.occupied_until FROM appointments AS o
         WHERE o.organization_id = %(tenant)s AND o.professional_id = r.professional_id
           AND {holds_time("o")} AND o.occupied_from < r.occupied_until{OF_ANOTHER_GROUP}
           AND o.scheduled_at < r.occupied_until + interval '1 day'
         ORDER BY o.scheduled_at DESC LIMIT 1
    ) AS other
    WHERE r.existing_id IS NULL AND NOT r.faulty AND {TAKES_TIME} AND other.occupied_until > r.occupied_from""",
)
TAKEN_BESIDE: Final = tuple(taken("appointments", holders, TAKES_TIME, OF_ANOTHER_GROUP) for holders in HOLDERS)
TWICE: Final = fault(
    "second_professional",
    "s.second_professional",
    quoted("is the professional already"),
    quoted("name another one, or empty it"),
    "FROM resolved AS r JOIN staged AS s ON s.row = r.row WHERE r.second_professional_id = r.professional_id",
)
LENGTH: Final = fault(
    "duration_minutes",
    "r.minutes",
    quoted("an appointment lasts 15 to 480 minutes"),
    quoted("correct it"),
    "FROM resolved AS r WHERE r.minutes NOT BETWEEN 15 AND 480",
)
SEVERAL: Final = fault(
    "student_last_name",
    "s.student_first_name || ' ' || s.student_last_name",
    "r.students || ' students have this name'",
    quoted("say the date of birth in student_date_of_birth, or make one of the two students"),
    "FROM resolved AS r JOIN staged AS s ON s.row = r.row WHERE r.students > 1 AND s.student IS NULL",
)
UNKNOWN_STUDENT: Final = fault(
    "student_last_name",
    "s.student_first_name || ' ' || s.student_last_name",
    quoted("no student of this organization has this name and date of birth"),
    quoted("correct it, or import the students first"),
    "FROM resolved AS r JOIN staged AS s ON s.row = r.row "
    "WHERE r.students = 0 AND s.student_first_name IS NOT NULL AND s.student_last_name IS NOT NULL",
)
NO_CLIENT: Final = fault(
    "client",
    "s.client",
    quoted("nobody is named, and the student has no primary contact"),
    quoted("name the client's e-mail address"),
    "FROM resolved AS r JOIN staged AS s ON s.row = r.row "
    "WHERE s.client IS NULL AND r.students = 1 AND r.contact_id IS NULL",
)

# As it is written: never before the appointment was held and confirmed.
EXPIRES: Final = (
    "CASE WHEN t.expires_at = greatest(r.expires_at, t.pre_confirmed_at, t.confirmed_at) THEN r.expires_at "
    "ELSE t.expires_at END"
)
BUFFER: Final = fault(
    "buffer_minutes",
    "r.buffer",
    quoted("a buffer is of 0 to 1440 minutes"),
    quoted("correct it"),
    "FROM resolved AS r WHERE r.buffer NOT BETWEEN 0 AND 1440",
)
BUFFER_BEFORE: Final = BUFFER.replace("buffer_minutes", "buffer_before_minutes").replace("r.buffer ", "r.before ")
# One that is there may have used credit here: it is compared, as its other columns are.
PAID_BEFORE: Final = fault(
    "uses_credit",
    "r.uses_credit",
    "'cannot be imported with the state ' || r.state",
    quoted("empty it: what was paid before the import is in the opening balances"),
    f"""FROM resolved AS r WHERE r.uses_credit AND r.existing_id IS NULL
        AND r.state IN ({", ".join(f"'{state}'" for state in FIRM)})""",
)


def note_those_of_the_source(staging: Any) -> None:
    """Note what is no occurrence of its series, and then what overlaps a row that goes in."""
    series.note_strays(staging)
    note_overlaps(staging, f"r.{seats.GROUP} IS NULL AND {TAKES_TIME}")


APPOINTMENTS: Final = Record(
    name="appointments",
    model=Appointment,
    columns=with_names("appointments", COLUMNS),
    also=with_names("appointments", ALSO),
    ways=(BY_NAME, *TIMES),
    types=TYPES,
    fields={name: getattr(Appointment, name) for name in (*PLAIN, "currency")}
    | {"price": Appointment.price_cents, "series_time_zone": Organization.time_zone},
    rules=rules,
    resolved={
        **PLAIN,
        **dict.fromkeys((*PEOPLE, "student_id", "contact_id", "students"), "bigint"),
        "minutes": "integer",
        "buffer": "integer",
        "occupied_until": "timestamptz",
        "before": "integer",
        "occupied_from": "timestamptz",
        "service_id": "bigint",
        "price_cents": "integer",
        "currency": "varchar",
        **dict.fromkeys(BESIDE, "bigint"),
        **series.RESOLVED,
        **seats.RESOLVED,
        **{f"said_{name}": "bigint" for name in NEEDED},
    },
    resolving=RESOLVING,
    matching="t.professional_id = r.professional_id AND t.student_id = r.student_id "
    "AND t.scheduled_at = r.scheduled_at",
    same_key="r.professional_id, r.student_id, r.scheduled_at",
    key="professional, student, scheduled_at",
    name_of="(SELECT concat_ws(' ', s.first_name, s.last_name) FROM students AS s "
    "WHERE s.organization_id = %(tenant)s AND s.id = t.student_id) || ' at ' "
    "|| to_char(t.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')",
    compared={name: (name, f"t.{name}") for name in COMPARED}
    | {name: (PEOPLE[name], f"t.{name}") for name in ("client_id", "cancelled_by_id")}
    | {"expires_at": ("expires_at", EXPIRES), "service_id": ("service_name", "t.service_id")}
    | {column: (name, f"t.{column}") for column, name in BESIDE.items()}
    | {"occurrence_at": ("occurrence_at", "t.occurrence_at")}
    | {"group_session_id": (seats.GROUP, "t.group_session_id")}
    | {"price_cents": ("price", "t.price_cents"), "currency": ("currency", "t.currency")},
    checks=(
        nobody("professional", "professional_id", PROFESSIONALS),
        nobody("student", "student_id", STUDENTS, born="student_date_of_birth"),
        UNKNOWN_STUDENT,
        SEVERAL,
        nobody("client", "client_id"),
        no_user("cancelled_by", "cancelled_by_id"),
        NO_CLIENT,
        LENGTH,
        BUFFER,
        BUFFER_BEFORE,
        missing(
            "service_name",
            "service_id",
            "no service of this organization is called so",
            "correct it, import the services first, or leave the column out",
        ),
        *UNKNOWN_BESIDE,
        TWICE,
        PAID_BEFORE,
        series.TWICE,
        seats.UNKNOWN,
        *seats.OTHERWISE,
    ),
    updating={"external_id": "coalesce(r.external_id, t.external_id)"},
    emptied={"external_id": "NULL"},
    fixed=tuple(column.name for column in (*COLUMNS, STUDENT) if column is not EXTERNAL_ID),
    why_fixed="an import never changes an appointment; call its events, or leave the row out",
    locking=LOCKING,
    clearing=clear_the_way,
    conflicts=(CONFLICTS, *TAKEN_BESIDE, series.TAKEN, series.CHANGED, *seats.UNGUARDED),
    unguarded=seats.UNGUARDED,
    among_themselves=note_those_of_the_source,
    spreading=series.spread,
    preparing=(*series.MAKING, seats.SEATING),
    inserting=INSERTING,
    after_commit=holds.reserve,
)
