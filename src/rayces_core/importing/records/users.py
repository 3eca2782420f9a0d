"""Users, known by their e-mail address."""

from __future__ import annotations

from typing import Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.record import Record
from rayces_core.models.user import Role, User

ROLES: Final = {
    Role.GUARDIAN: ("guardian", "parent", "tutor", "familiar", "responsable", "cliente", "client"),
    Role.PROFESSIONAL: ("professional", "profesional", "terapeuta", "therapist"),
    Role.STAFF: ("staff", "secretaria", "secretaría", "recepción", "equipo"),
    Role.ADMIN: ("admin", "administrator", "administrador", "administradora"),
}

COLUMNS: Final = (
    Column(
        "email",
        values.email,
        required=True,
        names=("e-mail", "mail", "email address", "correo", "correo electrónico"),
        example="ana.paz@example.org",
        about="The address; it is what a user is known by.",
    ),
    Column("first_name", values.text, names=("first name", "given name", "nombre", "nombres"), example="Ana"),
    Column("last_name", values.text, names=("last name", "surname", "apellido", "apellidos"), example="Paz"),
    Column(
        "phone",
        values.phone,
        names=("telephone", "mobile", "teléfono", "celular", "móvil"),
        example="+54 11 4321-5678",
        about="Read by the habits of the organization's country where the country code is missing.",
    ),
    Column(
        "role",
        values.choice(ROLES),
        names=("rol", "perfil", "tipo"),
        example="guardian",
        about="guardian (the default), professional, staff or admin.",
    ),
)

USERS: Final = Record(
    name="users",
    model=User,
    columns=COLUMNS,
    types=dict.fromkeys(("email", "first_name", "last_name", "phone"), "varchar") | {"role": "smallint"},
    fields={name: getattr(User, name) for name in ("email", "first_name", "last_name", "phone", "role")},
    resolved=dict.fromkeys(("email", "first_name", "last_name", "phone"), "varchar") | {"role": "smallint"},
    resolving="SELECT s.row, s.faulty, s.email, s.first_name, s.last_name, s.phone, s.role FROM staged AS s",
    matching="t.email = r.email",
    same_key="r.email",
    key="email",
    compared={name: (name, f"t.{name}") for name in ("first_name", "last_name", "phone", "role")},
    updating={name: f"coalesce(r.{name}, t.{name})" for name in ("first_name", "last_name", "phone", "role")},
    inserting="""
        INSERT INTO users (
            organization_id, email, first_name, last_name, phone, role, jti, created_at, updated_at
        ) SELECT %(tenant)s, r.email, r.first_name, r.last_name, r.phone, coalesce(r.role, 0),
                 gen_random_uuid()::text, %(now)s, %(now)s
            FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
