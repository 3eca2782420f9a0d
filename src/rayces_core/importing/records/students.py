"""Students, known by their name and date of birth; the users to contact are named by their e-mail addresses.

A student comes in any state of admission, with the journal of the shortest way there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.choices import Choice, asked
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import EXTERNAL_ID, OWN_ID
from rayces_core.importing.names import BY_FULL_NAME, FULL_NAME, person
from rayces_core.importing.record import Fault, Record, begun, fault, folded, quoted, user
from rayces_core.importing.records.contacts import (
    CONTACT_CHECKS,
    CONTACT_COLUMNS,
    CONTACT_NAMES,
    FACTS,
    JOINED,
    MAKING,
    NEWCOMERS,
    TO_BE_MADE,
)
from rayces_core.importing.records.people import named, nobody
from rayces_core.importing.words import named as with_names
from rayces_core.models.student import AdmissionState, Student
from rayces_core.models.user import User

STATES: Final = {
    "prospect": ("prospect", "prospecto", "interesado", "interesada", "interessado", "interessada"),
    "applied": ("applied", "solicitó", "postulado", "postulada"),
    "waitlisted": ("waitlisted", "waiting", "en espera", "lista de espera", "em espera"),
    "admitted": ("admitted", "admitido", "admitida"),
    "enrolled": (
        *("enrolled", "active", "inscripto", "inscripta", "inscrito", "inscrita", "activo", "activa"),
        *("matriculado", "matriculada", "ativo", "ativa"),
    ),
    "on_leave": (
        *("on_leave", "on leave", "licencia", "de licencia", "suspendido", "suspendida", "baja temporal"),
        *("de licença", "licença", "afastado", "afastada"),
    ),
    "discharged": (
        *("discharged", "egresado", "egresada", "baja", "de baja", "dado de baja", "dada de baja", "baja definitiva"),
        *("alta médica", "alta terapéutica", "desligado", "desligada", "left"),
    ),
    "rejected": ("rejected", "rechazado", "rechazada", "rejeitado", "rejeitada"),
}
ASKED: Final = {
    **asked("alta", "de alta", "dado de alta", "dada de alta", means=("enrolled", "discharged")),
    **asked("inactive", "inactivo", "inactiva", "inativo", "inativa", means=("discharged", "on_leave")),
}

# State → the events that lead there from the first one, each with the column that dates it.
WAYS: Final[Mapping[str, tuple[tuple[str, str, str, str], ...]]] = {
    "prospect": (),
    "applied": (("apply", "prospect", "applied", ""),),
    "waitlisted": (("apply", "prospect", "applied", ""), ("waitlist", "applied", "waitlisted", "")),
    "rejected": (("reject", "prospect", "rejected", ""),),
}
_ADMITTED: Final = (
    ("apply", "prospect", "applied", "admission_date"),
    ("admit", "applied", "admitted", "admission_date"),
)
_ENROLLED: Final = (*_ADMITTED, ("enroll", "admitted", "enrolled", "admission_date"))
WAY_TO: Final[Mapping[str, tuple[tuple[str, str, str, str], ...]]] = {
    **WAYS,
    "admitted": _ADMITTED,
    "enrolled": _ENROLLED,
    "on_leave": (*_ENROLLED, ("suspend", "enrolled", "on_leave", "")),
    "discharged": (*_ENROLLED, ("discharge", "enrolled", "discharged", "discharge_date")),
}
STEPS: Final = ", ".join(
    f"('{state}', {place}, '{event}', '{source}', '{target}', '{dated_by}')"
    for state, way in WAY_TO.items()
    for place, (event, source, target, dated_by) in enumerate(way)
)

COLUMNS: Final = (
    Column("first_name", values.name, required=True, example="Luz"),
    Column("last_name", values.name, required=True, example="Sosa"),
    Column(
        "date_of_birth",
        values.date,
        example="31/12/2019",
        about="With the name it is what a student is known by.",
    ),
    Column("grade_level", values.identifier, example="sala de 5"),
    Column(
        "primary_contact",
        person,
        example="ana.paz@example.org",
        about="The user to contact, by e-mail address or name; made where name or phone stand beside an address.",
    ),
    Column(
        "secondary_contact",
        person,
        example="",
        about="Another user to contact, as the primary one.",
    ),
    Column("medical_notes", values.text),
    Column("educational_notes", values.text),
    Column(
        "emergency_contacts",
        values.document,
        about="JSON: a list of name, relationship, phone and email.",
    ),
    Column("documents", values.document, about="JSON: name to url, uploaded_at and kind."),
    Column(
        "admission_state",
        Choice(STATES, ASKED),
        example="enrolled",
        about="prospect (the default), applied, waitlisted, admitted, enrolled, on_leave, discharged or rejected.",
    ),
    Column("admission_date", values.date),
    Column("discharge_date", values.date),
    Column("on_leave_until", values.date),
    EXTERNAL_ID,
    OWN_ID,
)

TEXTS: Final = (
    *("first_name", "last_name", "grade_level", "medical_notes", "educational_notes", "admission_state"),
    "external_id",
)
DAYS: Final = ("date_of_birth", "admission_date", "discharge_date", "on_leave_until")
DOCUMENTS: Final = ("emergency_contacts", "documents")
PLAIN: Final = {**dict.fromkeys(TEXTS, "varchar"), **dict.fromkeys(DAYS, "date"), **dict.fromkeys(DOCUMENTS, "jsonb")}
CONTACTS: Final = ("primary_contact", "secondary_contact")
NATURAL: Final = ("first_name", "last_name", "date_of_birth")
OPTIONAL: Final = (
    *("grade_level", "medical_notes", "educational_notes", "emergency_contacts", "documents"),
    *("admission_date", "discharge_date", "external_id"),
)


LONGEST: Final = 200  # names are indexed
BEHIND_BIRTH: Final = ("admission_date", "discharge_date")
OLDEST: Final = 120  # years; hardly anybody has lived longer
TWINS: Final = fault(
    "last_name",
    "r.name_key",
    quoted("there are several students of this name and date of birth, and the row differs from them"),
    quoted("change the one that is meant in the application, or leave the row out"),
    f"""FROM resolved AS r JOIN (
        SELECT {folded("t.first_name", "t.last_name")} AS name_key, t.date_of_birth FROM students AS t
         WHERE t.organization_id = %(tenant)s GROUP BY 1, 2 HAVING count(*) > 1
    ) AS twins ON twins.name_key = r.name_key AND twins.date_of_birth IS NOT DISTINCT FROM r.date_of_birth
    WHERE cardinality(r.differs) > 0 AND NOT r.certain""",
)
LEFT_BEFORE: Final = fault(
    "discharge_date",
    "coalesce(r.discharge_date, t.discharge_date)",
    quoted("would be before the admission_date"),
    quoted("correct one of the two"),
    "FROM resolved AS r JOIN students AS t ON t.organization_id = %(tenant)s AND t.id = r.existing_id "
    "WHERE coalesce(r.discharge_date, t.discharge_date) < coalesce(r.admission_date, t.admission_date)",
)

# One that is there as it is stays; the application alone could have made it.
STILL_HERE: Final = fault(
    "discharge_date",
    "r.discharge_date",
    "'does not go with the state ' || coalesce(r.admission_state, t.admission_state, 'prospect')",
    quoted("empty it, or correct the state"),
    "FROM resolved AS r LEFT JOIN students AS t ON t.organization_id = %(tenant)s AND t.id = r.existing_id "
    "WHERE coalesce(r.admission_state, t.admission_state, 'prospect') <> 'discharged' "
    "AND r.discharge_date IS DISTINCT FROM t.discharge_date AND r.discharge_date IS NOT NULL AND NOT r.faulty",
)


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What the values of a student say about each other."""
    if (born := row.get("date_of_birth")) is not None:
        yield from _life(born, row, now)
    admitted, discharged = row.get("admission_date"), row.get("discharge_date")
    if admitted and discharged and discharged < admitted:
        yield "discharge_date", "is before the admission_date", "correct one of the two"
    if row.get("on_leave_until") is not None and row.get("admission_state") != "on_leave":
        yield "on_leave_until", "goes with the state on_leave only", "empty it, or correct the state"
    for name in ("first_name", "last_name"):
        if row.get(name) is not None and not row[name].strip():
            yield name, "is blank", "fill it in"
        if len(row.get(name) or "") > LONGEST:
            yield name, f"has more than {LONGEST} characters", "shorten it"


def _life(born: date, row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    if not begun(born, now):
        yield "date_of_birth", "lies ahead", "correct it, with four digits of the year"
    if now.year - born.year > OLDEST:
        yield "date_of_birth", f"is more than {OLDEST} years ago", "correct it, or empty it"
    for name in BEHIND_BIRTH:
        if name in row and row[name] < born:
            yield name, "is before the date_of_birth", "correct one of the two"


def _found(contact: str) -> str:
    """The id of a contact: found by address or name, or of a user who is made when the row is written."""
    made = f"CASE WHEN new_{contact}.email IS NOT NULL THEN {TO_BE_MADE} END"
    return f"coalesce({contact}.id, named_{contact}.id, {made})"


STUDENTS: Final = Record(
    name="students",
    model=Student,
    columns=with_names("students", COLUMNS),
    also=with_names("students", (FULL_NAME, *CONTACT_COLUMNS)),
    ways=(BY_FULL_NAME,),
    types={**PLAIN, **dict.fromkeys((*CONTACTS, *CONTACT_NAMES, "id"), "varchar")},
    fields={name: getattr(Student, name) for name in PLAIN}
    | {
        name: getattr(User, name.split("contact_", 1)[1]) for name in CONTACT_NAMES if not name.endswith("contact_name")
    },
    rules=rules,
    resolved={**PLAIN, **{f"{name}_id": "bigint" for name in CONTACTS}, "name_key": "text", "contacts": "jsonb"},
    resolving=f"WITH {NEWCOMERS} SELECT s.row, s.faulty, {', '.join(f's.{name}' for name in PLAIN)}, "
    f"{_found('primary_contact')}, {_found('secondary_contact')}, "
    f"{folded('s.first_name', 's.last_name')}, {FACTS} FROM staged AS s "
    + " ".join(f"{user(name, name)} {named(name, f'named_{name}')}" for name in CONTACTS)
    + f" {JOINED}",
    matching=f"{folded('t.first_name', 't.last_name')} = r.name_key "
    "AND t.date_of_birth IS NOT DISTINCT FROM r.date_of_birth",
    same_key="r.name_key, coalesce(r.date_of_birth, '-infinity')",
    key="first_name, last_name, date_of_birth",
    called=f"{folded('t.first_name', 't.last_name')} = r.name_key "
    "AND (r.date_of_birth IS NULL OR t.date_of_birth IS NOT DISTINCT FROM r.date_of_birth)",
    name_of="concat_ws(' ', t.first_name, t.last_name, t.date_of_birth::text)",
    renaming={name: (name, f"t.{name}") for name in NATURAL},
    compared={name: (name, f"t.{name}") for name in (*OPTIONAL, "admission_state", "on_leave_until")}
    | {f"{name}_id": (name, f"t.{name}_id") for name in CONTACTS},
    updating={
        name: f"coalesce(r.{name}, t.{name})"
        for name in (*NATURAL, *OPTIONAL, "primary_contact_id", "secondary_contact_id")
    },
    emptied={
        **dict.fromkeys(("date_of_birth", *OPTIONAL, "primary_contact_id", "secondary_contact_id"), "NULL"),
        "emergency_contacts": "'[]'::jsonb",
        "documents": "'{}'::jsonb",
    },
    fixed=("admission_state", "on_leave_until"),
    why_fixed="admission changes by its events alone; leave the column out, or call the event",
    checks=(
        *(nobody(name, f"{name}_id") for name in CONTACTS),
        *CONTACT_CHECKS,
        TWINS,
        LEFT_BEFORE,
        STILL_HERE,
    ),
    preparing=(MAKING,),
    inserting=f"""
        WITH made AS (
            INSERT INTO students (
                organization_id, first_name, last_name, date_of_birth, primary_contact_id, secondary_contact_id,
                grade_level, medical_notes, educational_notes, emergency_contacts, documents, admission_date,
                discharge_date, on_leave_until, external_id, admission_state, created_at, updated_at
            ) SELECT %(tenant)s, r.first_name, r.last_name, r.date_of_birth, r.primary_contact_id,
                     r.secondary_contact_id, r.grade_level, r.medical_notes, r.educational_notes,
                     coalesce(r.emergency_contacts, '[]'), coalesce(r.documents, '{{}}'), r.admission_date,
                     r.discharge_date, r.on_leave_until, r.external_id,
                     coalesce(r.admission_state, '{AdmissionState.PROSPECT}'), %(now)s, %(now)s
                FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
            RETURNING id, admission_state, admission_date, discharge_date
        ), zone AS (
            SELECT time_zone FROM organizations WHERE id = %(tenant)s
        )
        INSERT INTO state_transitions (
            organization_id, subject_type, subject_id, event, from_state, to_state, reason, occurred_at, made_up
        ) SELECT %(tenant)s, 'Student', made.id, step.event, step.source, step.target, 'imported',
                 least(%(now)s, coalesce((
                     CASE WHEN step.dated_by = 'admission_date'
                               THEN coalesce(made.admission_date, made.discharge_date)
                          WHEN step.dated_by = 'discharge_date' THEN made.discharge_date
                      END)::timestamp AT TIME ZONE (SELECT time_zone FROM zone), %(now)s)),
                 coalesce((
                     CASE WHEN step.event = 'admit' THEN made.admission_date
                          WHEN step.event = 'discharge' THEN made.discharge_date END
                 )::timestamp AT TIME ZONE (SELECT time_zone FROM zone) > %(now)s, true)
            FROM made JOIN (VALUES {STEPS}) AS step (state, place, event, source, target, dated_by)
              ON step.state = made.admission_state
           ORDER BY made.id, step.place
    """,
)
