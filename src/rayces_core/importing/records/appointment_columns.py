"""The columns of a file of appointments, and the words in them."""

from __future__ import annotations

from typing import Final

from rayces_core.importing import values
from rayces_core.importing.choices import Choice, asked
from rayces_core.importing.columns import Column
from rayces_core.importing.hours import DATE, END_DATE, ENDS_AT, TIME, minutes
from rayces_core.importing.knowing import EXTERNAL_ID, OWN_ID
from rayces_core.importing.names import person
from rayces_core.importing.record import currency
from rayces_core.importing.records import seats, series
from rayces_core.importing.values import text
from rayces_core.importing.ways import Way

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
    Column("service_name", values.text, about="The service that is given, by its name; it must be there already."),
    Column("second_professional", person, about="Who takes part besides, as professional is written."),
    Column("room", values.text, about="By its name; it must be there already."),
    Column("device", values.text, about="By its name; it must be there already."),
    Column(
        "duration_minutes",
        minutes,
        example="45",
        about="The service's, or the professional's session, where it is empty.",
    ),
    Column("buffer_minutes", values.integer, about="The service's or the professional's where empty."),
    Column("buffer_before_minutes", values.integer, about="The service's where empty."),
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
    *series.COLUMNS,
    *seats.COLUMNS,
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
    "buffer_before_minutes": "integer",
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
