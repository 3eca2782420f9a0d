"""Families' requests for a time, known by who asks for what and, where it is said, by their place in the line.

Rule it guards: who was offered a time waits again, in the same place, as what is held for a family does not come along;
and a request that is there is never changed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rayces_core.fields.schemas import END_OF_DAY, WEEKDAYS
from rayces_core.importing import values
from rayces_core.importing.choices import Choice
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.hours import minutes
from rayces_core.importing.names import person
from rayces_core.importing.record import Fault, Record, fault, missing, quoted, user
from rayces_core.importing.records.appointment_columns import BY_NAME, STUDENT
from rayces_core.importing.records.appointments import NO_CLIENT, SEVERAL, STUDENTS_FOUND, UNKNOWN_STUDENT
from rayces_core.importing.records.people import PROFESSIONALS, STUDENTS, named, nobody
from rayces_core.importing.values import fold
from rayces_core.importing.words import named as with_names
from rayces_core.models.slot_request import SlotRequest

CLOCK: Final = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})(?::00)?")
DAYS: Final = {
    fold(word): day
    for day, words in zip(
        WEEKDAYS,
        (
            *(("monday", "lunes"), ("tuesday", "martes"), ("wednesday", "miércoles"), ("thursday", "jueves")),
            *(("friday", "viernes"), ("saturday", "sábado"), ("sunday", "domingo")),
        ),
        strict=True,
    )
    for word in words
}
STATES: Final = {
    "waiting": ("waiting", "en espera", "espera", "offered", "ofrecido"),
    "taken": ("taken", "aceptado"),
    "withdrawn": ("withdrawn", "retirado"),
    "lapsed": ("lapsed", "vencido"),
}


def weekdays(value: Any, reading: Reading) -> list[str]:
    """Read days of the week: "monday, wednesday", "lunes y miércoles", or a list in JSON."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        value = ", ".join(map(str, values.document(value, reading)))
    found = []
    for word in filter(None, re.split(r"[\s,;/]+|\by\b|\band\b", value)):
        if fold(word) not in DAYS:
            raise ValueError(f"{word!r:.60} is no day of the week; write them as monday, wednesday")
        found.append(DAYS[fold(word)])
    return [day for day in WEEKDAYS if day in found]


def clock(value: Any, reading: Reading) -> str:
    """Read an hour of the day, "24:00" among them."""
    written = f"{value:%H:%M}" if isinstance(value, dt.time) else values.text(value, reading)
    found = CLOCK.fullmatch(written.strip())
    if found is None or not 0 <= int(found[1]) * 60 + int(found[2]) <= 24 * 60 or int(found[2]) > 59:
        raise ValueError(f"{written!r:.60} is no hour of the day; write it as 14:30")
    return f"{int(found[1]):02}:{found[2]}"


COLUMNS: Final = (
    Column(
        "client",
        person,
        example="ana.paz@example.org",
        about="Who asks, by e-mail address or name; the student's primary contact where it is empty.",
    ),
    Column("student_first_name", values.text, required=True, example="Luz"),
    Column("student_last_name", values.text, required=True, example="Sosa"),
    Column("student_date_of_birth", values.date, about="Needed where two students have the same name."),
    Column("professional", person, example="eva.luna@example.org", about="With whom; anybody where it is empty."),
    Column("service_name", values.text, about="What is asked for, by its name; it must be there already."),
    Column("duration_minutes", minutes, about="Where no service says it; the professional's where it is empty."),
    Column("weekdays", weekdays, example="monday, wednesday", about="Every day where it is empty."),
    Column("from_time", clock, example="14:00", about="The session begins no sooner."),
    Column("until_time", clock, example="18:30", about="The session ends no later."),
    Column("from_day", values.date, example="2031-03-03", about="The first day; that of the import where empty."),
    Column("until_day", values.date, required=True, example="2031-12-31", about="The last day, within a year."),
    Column("uses_credit", values.boolean, about="Whether confirming an offer costs a credit."),
    Column(
        "state",
        Choice(STATES, {}),
        about="waiting (the default; who was offered a time waits again), taken, withdrawn or lapsed.",
    ),
    Column("place_at", values.moment, about="Since when it waits; the moment of the import where it is empty."),
)
PLAIN: Final = {
    "duration_minutes": "integer",
    "weekdays": "jsonb",
    "from_time": "varchar",
    "until_time": "varchar",
    "from_day": "date",
    "until_day": "date",
    "uses_credit": "boolean",
    "state": "varchar",
    "place_at": "timestamptz",
}
DEFAULTS: Final = {
    "weekdays": "coalesce(s.weekdays, '[" + ", ".join(f'"{day}"' for day in WEEKDAYS) + "]'::jsonb)",
    "from_time": "coalesce(s.from_time, '00:00')",
    "until_time": f"coalesce(s.until_time, '{END_OF_DAY}')",
    "from_day": "coalesce(s.from_day, (%(now)s AT TIME ZONE %(zone)s)::date)",
    "uses_credit": "coalesce(s.uses_credit, false)",
    "state": "coalesce(s.state, 'waiting')",
}
IDS: Final = ("student_id", "contact_id", "students", "client_id", "professional_id", "service_id")
ASKED: Final = ("professional_id", "service_id", "duration_minutes")
WISH: Final = ("weekdays", "from_time", "until_time", "until_day")


def rules(row: Mapping[str, Any], _: dt.datetime) -> Iterable[Fault]:
    """What the table's own rules say, told row by row."""
    if (row.get("from_time") or "00:00") >= (row.get("until_time") or END_OF_DAY):
        yield "until_time", "is not after from_time", "correct one of the two"
    if row.get("service_name") is not None and row.get("duration_minutes") is not None:
        yield "duration_minutes", "comes with a service, which says how long it is", "empty it"


RESOLVING: Final = f"""
SELECT s.row, s.faulty, {", ".join(DEFAULTS.get(name, f"s.{name}") for name in PLAIN)},
       coalesce(CASE WHEN student.many = 1 THEN student.id END, named_student.id),
       coalesce(CASE WHEN student.many = 1 THEN student.contact_id END, named_student.more),
       coalesce(student.many, named_student.many, 0),
       coalesce(client.id, named_client.id, CASE WHEN s.client IS NULL THEN
           coalesce(CASE WHEN student.many = 1 THEN student.contact_id END, named_student.more) END),
       p.user_id, service.id
  FROM staged AS s
  {user("professional", "worker")} {named("professional", "named_worker", PROFESSIONALS)}
  LEFT JOIN professionals AS p
    ON p.organization_id = %(tenant)s AND p.user_id = coalesce(worker.id, named_worker.id)
  {user("client", "client")} {named("client", "named_client")}
  {named("student", "named_student", STUDENTS, born="student_date_of_birth")}
  LEFT JOIN {STUDENTS_FOUND} AS student
    ON student.student_first_name = s.student_first_name AND student.student_last_name = s.student_last_name
   AND student.student_date_of_birth IS NOT DISTINCT FROM s.student_date_of_birth
  LEFT JOIN services AS service
    ON service.organization_id = %(tenant)s AND lower(service.name) = lower(s.service_name)
"""
SAME: Final = " AND ".join(
    (
        *(f"t.{name} = r.{name}" for name in ("student_id", "client_id", *WISH)),
        *(f"t.{name} IS NOT DISTINCT FROM r.{name}" for name in ASKED),
        "(r.place_at IS NULL OR t.place_at = r.place_at)",
    )
)

TOO_LONG: Final = fault(
    "until_day",
    "r.until_day",
    "'is not within a year from ' || r.from_day || ' on'",
    quoted("correct it, or from_day, which is the day of the import where it is empty"),
    "FROM resolved AS r WHERE r.existing_id IS NULL AND r.until_day NOT BETWEEN r.from_day AND r.from_day + 365",
)

SLOT_REQUESTS: Final = Record(
    name="slot_requests",
    model=SlotRequest,
    columns=with_names("slot_requests", COLUMNS),
    also=with_names("slot_requests", (STUDENT,)),
    ways=(BY_NAME,),
    types={
        **{column.name: "varchar" for column in (*COLUMNS, STUDENT)},
        **PLAIN,
        "student_date_of_birth": "date",
    },
    fields={name: getattr(SlotRequest, name) for name in PLAIN if name not in ("state",)},
    rules=rules,
    resolved={**PLAIN, **dict.fromkeys(IDS, "bigint")},
    resolving=RESOLVING,
    matching=SAME,
    same_key=", ".join(f"r.{name}" for name in ("student_id", "client_id", *ASKED, *WISH, "place_at")),
    key="client, student, professional, service_name, weekdays, hours, until_day",
    compared={"uses_credit": ("uses_credit", "t.uses_credit")},
    fixed=tuple(column.name for column in (*COLUMNS, STUDENT)),
    why_fixed="an import never changes a request; withdraw it and ask again, or leave the row out",
    checks=(
        nobody("student", "student_id", STUDENTS, born="student_date_of_birth"),
        UNKNOWN_STUDENT,
        SEVERAL,
        nobody("client", "client_id"),
        NO_CLIENT,
        nobody("professional", "professional_id", PROFESSIONALS),
        missing(
            "service_name",
            "service_id",
            "no service of this organization is called so",
            "correct it, import the services first, or leave the column out",
        ),
        TOO_LONG,
    ),
    inserting="""
        WITH made AS (
            INSERT INTO slot_requests (
                organization_id, client_id, student_id, professional_id, service_id, duration_minutes, weekdays,
                from_time, until_time, from_day, until_day, uses_credit, state, place_at, created_at, updated_at
            ) SELECT %(tenant)s, r.client_id, r.student_id, r.professional_id, r.service_id, r.duration_minutes,
                     r.weekdays, r.from_time, r.until_time, r.from_day, r.until_day, r.uses_credit, r.state,
                     coalesce(r.place_at, %(now)s), %(now)s, %(now)s
                FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
            RETURNING id, state
        )
        INSERT INTO state_transitions (
            organization_id, subject_type, subject_id, event, from_state, to_state, reason, occurred_at, made_up
        ) SELECT %(tenant)s, 'SlotRequest', made.id, step.event, step.source, step.target, 'imported', %(now)s, true
            FROM made JOIN (VALUES
                ('taken', 1, 'offer', 'waiting', 'offered'),
                ('taken', 2, 'take', 'offered', 'taken'),
                ('withdrawn', 1, 'withdraw', 'waiting', 'withdrawn'),
                ('lapsed', 1, 'lapse', 'waiting', 'lapsed')
            ) AS step (state, place, event, source, target) ON step.state = made.state
           ORDER BY made.id, step.place
    """,
)
