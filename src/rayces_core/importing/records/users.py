"""Users, known by their e-mail address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.choices import Choice, asked
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import EXTERNAL_ID, OWN_ID
from rayces_core.importing.names import BY_FULL_NAME, TWO_COLUMNS, USERS_NAME
from rayces_core.importing.record import Fault, Record
from rayces_core.importing.words import named
from rayces_core.models.user import Language, Role, User

ROLES: Final = {
    Role.GUARDIAN: (
        *("guardian", "parent", "mother", "father", "familiar", "responsable", "cliente", "client", "madre", "padre"),
        *("tutor legal", "responsável", "mãe", "pai"),
    ),
    Role.PROFESSIONAL: ("professional", "profesional", "terapeuta", "therapist", "profissional"),
    Role.STAFF: ("staff", "secretaria", "secretaría", "secretary", "recepción", "equipo"),
    Role.ADMIN: ("admin", "administrator", "administrador", "administradora"),
}
_STUDENT: Final = "is no role of a user; import students as students, and leave the row out here"
ASKED: Final = {
    **asked("tutor", "tutora", means=("guardian", "professional")),
    **asked(
        *("teacher", "docente", "profesor", "profesora", "maestro", "maestra", "professor", "professora"),
        means=("professional", "staff"),
    ),
    **asked("administrativo", "administrativa", "administración", "administrative", means=("staff", "admin")),
    **dict.fromkeys(("student", "alumno", "alumna", "estudiante", "paciente", "patient", "aluno", "aluna"), _STUDENT),
}
LANGUAGES: Final = {
    Language.ENGLISH: ("en", "english", "inglés", "inglês"),
    Language.SPANISH: ("es", "spanish", "español", "castellano", "espanhol"),
}

COLUMNS: Final = (
    Column(
        "email",
        values.email,
        required=True,
        example="ana.paz@example.org",
        about="The address; it is what a user is known by.",
    ),
    Column("first_name", values.name, example="Ana"),
    Column("last_name", values.name, example="Paz"),
    Column(
        "phone",
        values.phone,
        example="+54 11 4321-5678",
        about="Read by the habits of the organization's country where the country code is missing.",
    ),
    Column(
        "role",
        Choice(ROLES, ASKED),
        example="guardian",
        about="guardian (the default), professional, staff or admin.",
    ),
    EXTERNAL_ID,
    OWN_ID,
    Column(
        "language",
        Choice(LANGUAGES, {}),
        example="es",
        about="In which the user is written to: en or es; the organization's where nothing stands here.",
    ),
)
NAMES: Final = ("first_name", "last_name", "phone", "external_id", "language")


def rules(row: Mapping[str, Any], _: datetime) -> Iterable[Fault]:
    """What the values of a user say about each other."""
    if row.get("last_name") is None and "," in (row.get("first_name") or ""):
        yield "first_name", "has a comma and stands without a last name: it is a whole one", TWO_COLUMNS


USERS: Final = Record(
    name="users",
    model=User,
    columns=named("users", COLUMNS),
    also=named("users", (USERS_NAME,)),
    ways=(BY_FULL_NAME,),
    rules=rules,
    types=dict.fromkeys(("email", *NAMES, "id"), "varchar") | {"role": "smallint"},
    fields={name: getattr(User, name) for name in ("email", *NAMES, "role")},
    resolved=dict.fromkeys(("email", *NAMES), "varchar") | {"role": "smallint"},
    resolving="SELECT s.row, s.faulty, s.email, s.first_name, s.last_name, s.phone, s.external_id, s.language, s.role "
    "FROM staged AS s",
    matching="t.email = r.email",
    same_key="r.email",
    key="email",
    unique="r.email",
    name_of="t.email",
    compared={name: (name, f"t.{name}") for name in (*NAMES, "role")},
    renaming={"email": ("email", "t.email")},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in ("email", *NAMES, "role")},
    emptied=dict.fromkeys(NAMES, "NULL"),
    inserting="""
        INSERT INTO users (
            organization_id, email, first_name, last_name, phone, external_id, language, role, jti, created_at,
            updated_at
        ) SELECT %(tenant)s, r.email, r.first_name, r.last_name, r.phone, r.external_id, r.language,
                 coalesce(r.role, 0), gen_random_uuid()::text, %(now)s, %(now)s
            FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
