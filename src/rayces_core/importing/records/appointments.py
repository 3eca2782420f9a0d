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

from rayces_core.importing import values
from rayces_core.importing.choices import Choice, asked
from rayces_core.importing.columns import Column
from rayces_core.importing.hours import DATE, END_DATE, ENDS_AT, TIME, TIMES, minutes
from rayces_core.importing.knowing import EXTERNAL_ID, OWN_ID
from rayces_core.importing.names import person
from rayces_core.importing.record import Fault, Record, currency, fault, folded, no_user, quoted, user
from rayces_core.importing.records.appointment_writing import INSERTING, LOCKING, clear_the_way
from rayces_core.importing.records.overlaps import note_overlaps
from rayces_core.importing.records.people import PROFESSIONALS, STUDENTS, named, nobody
from rayces_core.importing.values import text
from rayces_core.importing.ways import Way
from rayces_core.importing.words import named as with_names
from rayces_core.models.appointment import OCCUPYING_SQL, Appointment
from rayces_core.models.appointment_time import holds_time

STATES: Final = {
    "draft": ("draft", "borrador"),
    "pre_confirmed": (
        *("pre_confirmed", "pre confirmed", "pre confirmado", "pre confirmada", "a confirmar", "por confirmar"),
        *("sin confirmar", "unconfirmed", "tentative"),
    ),
    "confirmed": ("confirmed", "confirmado", "confirmada"),
    "executed": (
        *("executed", "done", "attended", "completed", "realizado", "realizada", "asistió", "presente", "atendido"),
        *("atendida", "completado", "completada", "finalizado", "finalizada", "concluído", "concluída"),
    ),
    "cancelled": ("cancelled", "canceled", "cancelado", "cancelada", "anulado", "anulada"),
    "no_show": (
        *("no_show", "no show", "absent", "ausente", "no asistió", "faltó", "inasistencia", "ausente sin aviso"),
        *("faltou", "não compareceu"),
    ),
}
ASKED: Final = {
    **asked(
        *("pending", "pendiente", "pendente", "reservado", "reservada", "booked", "scheduled", "programado"),
        *("programada", "agendado", "agendada", "marcado", "marcada", "asignado", "asignada", "activo", "activa"),
        means=("confirmed", "pre_confirmed"),
    ),
    **asked("ausente con aviso", "no asistió con aviso", means=("cancelled", "no_show")),
    **asked(
        "reprogramado", "reprogramada", "reagendado", "reagendada", "rescheduled", means=("cancelled", "confirmed")
    ),
}
FIRM: Final = ("confirmed", "executed", "no_show", "cancelled")
# Which states a stamp belongs to; cancelled ones may have been held and confirmed before.
STAMPS: Final = {
    "pre_confirmed_at": ("pre_confirmed", *FIRM),
    "expires_at": ("pre_confirmed", *FIRM),
    "confirmed_at": FIRM,
    "executed_at": ("executed",),
    "no_show_at": ("no_show",),
    "cancelled_at": ("cancelled",),
    "cancelled_by": ("cancelled",),
    "cancellation_reason": ("cancelled",),
}
IN_ORDER: Final = ("pre_confirmed_at", "confirmed_at", "executed_at", "no_show_at", "cancelled_at")

COLUMNS: Final = (
    Column(
        "professional",
        person,
        required=True,
        example="eva.luna@example.org",
        about="By e-mail address, or by name where it is one's alone; the profile must be there already.",
    ),
    Column(
        "student_first_name",
        values.text,
        required=True,
        example="Luz",
    ),
    Column(
        "student_last_name",
        values.text,
        required=True,
        example="Sosa",
    ),
    Column(
        "student_date_of_birth",
        values.date,
        example="31/12/2019",
        about="Needed where two students have the same name.",
    ),
    Column(
        "client",
        person,
        example="ana.paz@example.org",
        about="The user who booked, by e-mail address or name; the student's primary contact where it is empty.",
    ),
    Column(
        "scheduled_at",
        values.moment,
        required=True,
        example="03/03/2026 14:00",
        about="In the organization's time zone where no offset is written.",
    ),
    Column(
        "duration_minutes",
        minutes,
        example="45",
        about="The professional's session where it is empty.",
    ),
    Column("buffer_minutes", values.integer, about="The professional's where empty."),
    Column(
        "state",
        Choice(STATES, ASKED),
        example="executed",
        about="draft (the default), pre_confirmed, confirmed, executed, cancelled or no_show.",
    ),
    Column("notes", values.text),
    Column("professional_notes", values.text),
    Column("pre_confirmed_at", values.moment),
    Column("expires_at", values.moment),
    Column("confirmed_at", values.moment),
    Column("executed_at", values.moment),
    Column("no_show_at", values.moment),
    Column("cancelled_at", values.moment),
    Column("cancelled_by", values.email, about="The e-mail address of who cancelled."),
    Column("cancellation_reason", values.text),
    Column(
        "uses_credit",
        values.boolean,
        about="Only for a draft or pre_confirmed one; what was paid before is in the opening balances.",
    ),
    Column(
        "price",
        values.money,
        example="$ 12.500,50",
        about="What the session costs or did cost, as people write it; stored in cents. None where it is empty.",
    ),
    Column("currency", currency, about="Of the price; the professional's where it is empty."),
    Column("created_at", values.moment, about="When it was booked; where it is empty no lead time is counted."),
    Column(
        "created_at_made_up",
        values.boolean,
        about="Of an export: created_at is none that anybody told.",
        in_template=False,
    ),
    EXTERNAL_ID,
    OWN_ID,
)

STUDENT: Final = Column("student", text, about="The whole name of the student, where first and last are no columns.")
ALSO: Final = (STUDENT, DATE, TIME, ENDS_AT, END_DATE)
BY_NAME: Final = Way(("student",), ("student_first_name", "student_last_name"))

PLAIN: Final = {
    "scheduled_at": "timestamptz",
    "duration_minutes": "integer",
    "buffer_minutes": "integer",
    "state": "varchar",
    "notes": "varchar",
    "professional_notes": "varchar",
    **{name: "timestamptz" for name in STAMPS if name.endswith("_at")},
    "cancellation_reason": "varchar",
    "uses_credit": "boolean",
    "created_at": "timestamptz",
    "created_at_made_up": "boolean",
    "external_id": "varchar",
}
PEOPLE: Final = {"professional_id": "professional", "client_id": "client", "cancelled_by_id": "cancelled_by"}
COMPARED: Final = (
    *("duration_minutes", "buffer_minutes", "state", "notes", "professional_notes", "cancellation_reason"),
    *(name for name in STAMPS if name.endswith("_at")),
    *("uses_credit", "external_id"),
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
RESOLVING: Final = f"""
SELECT s.row, s.faulty, {", ".join(f"s.{name}" for name in PLAIN)}, p.user_id, coalesce(client.id, named_client.id),
       canceller.id,
       coalesce(CASE WHEN student.many = 1 THEN student.id END, named_student.id),
       coalesce(CASE WHEN student.many = 1 THEN student.contact_id END, named_student.more),
       coalesce(student.many, named_student.many, 0),
       coalesce(s.duration_minutes, p.session_duration_minutes),
       coalesce(s.buffer_minutes, p.buffer_minutes),
       s.scheduled_at + interval '1 minute' * (coalesce(s.duration_minutes, p.session_duration_minutes)::bigint
                                               + coalesce(s.buffer_minutes, p.buffer_minutes)),
       s.price, CASE WHEN s.price IS NOT NULL THEN coalesce(s.currency, p.currency) END
  FROM staged AS s
  {user("professional", "worker")} {named("professional", "named_worker", PROFESSIONALS)}
  LEFT JOIN professionals AS p
    ON p.organization_id = %(tenant)s AND p.user_id = coalesce(worker.id, named_worker.id)
  {user("client", "client")} {named("client", "named_client")} {user("cancelled_by", "canceller")}
  {named("student", "named_student", STUDENTS, born="student_date_of_birth")}
  LEFT JOIN {STUDENTS_FOUND} AS student
    ON student.student_first_name = s.student_first_name AND student.student_last_name = s.student_last_name
   AND student.student_date_of_birth IS NOT DISTINCT FROM s.student_date_of_birth
"""
TAKES_TIME: Final = f"coalesce(r.state, 'draft') IN ({OCCUPYING_SQL})"
WHEN: Final = "to_char(r.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
# Those that hold time never overlap, so only the last one begun before the end can reach in.
CONFLICTS: Final = fault(
    "scheduled_at",
    WHEN,
    "'the professional has another appointment from ' || "
    "to_char(other.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI') || ' until ' || "
    "to_char(other.occupied_until AT TIME ZONE %(zone)s, 'HH24:MI') || ', the buffer included'",
    quoted("move one of them, or leave the row out"),
    f"""FROM resolved AS r CROSS JOIN LATERAL (
        SELECT o.scheduled_at, o.occupied_until FROM appointments AS o
         WHERE o.organization_id = %(tenant)s AND o.professional_id = r.professional_id
           AND {holds_time("o")} AND o.scheduled_at < r.occupied_until
         ORDER BY o.scheduled_at DESC LIMIT 1
    ) AS other
    WHERE r.existing_id IS NULL AND NOT r.faulty AND {TAKES_TIME} AND other.occupied_until > r.scheduled_at""",
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
# One that is there may have used credit here: it is compared, as its other columns are.
PAID_BEFORE: Final = fault(
    "uses_credit",
    "r.uses_credit",
    "'cannot be imported with the state ' || r.state",
    quoted("empty it: what was paid before the import is in the opening balances"),
    f"""FROM resolved AS r WHERE r.uses_credit AND r.existing_id IS NULL
        AND r.state IN ({", ".join(f"'{state}'" for state in FIRM)})""",
)

APPOINTMENTS: Final = Record(
    name="appointments",
    model=Appointment,
    columns=with_names("appointments", COLUMNS),
    also=with_names("appointments", ALSO),
    ways=(BY_NAME, *TIMES),
    types={
        **{column.name: "varchar" for column in (*COLUMNS, STUDENT)},
        **PLAIN,
        "student_date_of_birth": "date",
        "price": "integer",
    },
    fields={name: getattr(Appointment, name) for name in (*PLAIN, "currency")} | {"price": Appointment.price_cents},
    rules=rules,
    resolved={
        **PLAIN,
        **dict.fromkeys((*PEOPLE, "student_id", "contact_id", "students"), "bigint"),
        "minutes": "integer",
        "buffer": "integer",
        "occupied_until": "timestamptz",
        "price_cents": "integer",
        "currency": "varchar",
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
    | {"expires_at": ("expires_at", EXPIRES)}
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
        PAID_BEFORE,
    ),
    updating={"external_id": "coalesce(r.external_id, t.external_id)"},
    emptied={"external_id": "NULL"},
    fixed=tuple(column.name for column in (*COLUMNS, STUDENT) if column is not EXTERNAL_ID),
    why_fixed="an import never changes an appointment; call its events, or leave the row out",
    locking=LOCKING,
    clearing=clear_the_way,
    conflicts=CONFLICTS,
    among_themselves=note_overlaps,
    inserting=INSERTING,
)
