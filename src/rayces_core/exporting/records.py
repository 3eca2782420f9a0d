"""The record types that can be exported: what their columns are called for people, and the SQL that they come from.

Rule it guards: what an import of the same type knows is exported under the very name that the import gives it, with
e-mail addresses for references, so a file goes out and comes in again. Ids and the rest follow after.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import peewee

from rayces_core.errors import InvalidDataError
from rayces_core.models import (
    Appointment,
    CreditTransaction,
    Like,
    Organization,
    Post,
    Professional,
    Role,
    StateTransition,
    Student,
    User,
)


class Kind(Enum):
    """What the values of a column are."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    MONEY = "money"  # whole cents in SQL
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Column:
    """One exported column: its name, its SQL over `t` and the joined rows, and the kind of its values."""

    name: str
    sql: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Record:
    """One record type.

    Attributes:
        joins: SQL that brings the rows referred to. when: the column that a time span is about. state, people: the
            columns that `state` and `user` are looked for in. table_sql: the table where its name has to be quoted.
    """

    name: str
    model: type[peewee.Model]
    columns: tuple[Column, ...]
    joins: str = ""
    when: str = "created_at"
    state: str | None = None
    people: tuple[str, ...] = ()
    table_sql: str = ""

    @property
    def table(self) -> str:
        """The table of its rows, as SQL."""
        return self.table_sql or str(self.model._meta.table_name)


def add(record: Record) -> None:
    """Have a record type of a host's be one of them; one of the same model is replaced."""
    for name in [name for name, each in RECORDS.items() if each.model is record.model]:
        del RECORDS[name]
    RECORDS[record.name] = record


def record_of(wanted: object) -> Record:
    """The record type of that name or model.

    Raises:
        InvalidDataError: there is none.
    """
    for record in RECORDS.values():
        if wanted in (record.name, record.model, record):
            return record
    raise InvalidDataError("record", wanted, f"is no record type; there are {', '.join(RECORDS)}")


def _columns(names: str, kind: Kind = Kind.TEXT) -> tuple[Column, ...]:
    return tuple(Column(name, f't."{name}"', kind) for name in names.split())


def _joined(column: str, alias: str, target: str = "users", field: str = "id") -> str:
    on = f"{alias}.organization_id = t.organization_id AND {alias}.{field} = t.{column}"
    return f"LEFT JOIN {target} AS {alias} ON {on}"


def _setting(name: str, kind: Kind = Kind.INTEGER) -> Column:
    cast = {Kind.INTEGER: "::integer", Kind.BOOLEAN: "::boolean"}.get(kind, "")
    return Column(name, f"(t.settings ->> '{name}'){cast}", kind)


TEXT, INTEGER, BOOLEAN, DATE, MOMENT, MONEY, DOCUMENT = Kind
_STAMPS: Final = _columns("created_at updated_at", MOMENT)
_ID: Final = _columns("id", INTEGER)
_ROLE: Final = f"(ARRAY[{', '.join(repr(role.name.lower()) for role in sorted(Role))}])[t.role + 1]"

NUMBERS_OF_SETTINGS: Final = (
    *("cancellation_notice_hours", "confirmation_hours", "booking_window_days", "minimum_notice_minutes"),
    *("start_every_minutes", "open_holds_per_client", "future_sessions_per_client"),
    *("correction_days", "reminder_quiet_minutes"),
)

_ALL: Final = (
    Record(
        "users",
        User,
        (
            *_columns("email first_name last_name phone"),
            Column("role", _ROLE),
            *_columns("external_id"),
            *_ID,
            *_columns("uid provider"),
            *_columns("sign_in_count", INTEGER),
            *_columns("current_sign_in_at last_sign_in_at", MOMENT),
            *_STAMPS,
        ),
        people=("email",),
    ),
    Record(
        "professionals",
        Professional,
        (
            Column("email", "u.email"),
            *_columns("title specialization bio license_number"),
            *_columns("weekly_schedule blocked_dates", DOCUMENT),
            *_columns("session_duration_minutes buffer_minutes", INTEGER),
            *_columns("active accepts_new_clients", BOOLEAN),
            Column("session_price", "t.session_price_cents", MONEY),
            *_columns("currency external_id"),
            *_ID,
            *_STAMPS,
        ),
        joins=_joined("user_id", "u"),
        people=("email",),
    ),
    Record(
        "students",
        Student,
        (
            *_columns("first_name last_name"),
            *_columns("date_of_birth", DATE),
            *_columns("grade_level"),
            Column("primary_contact", "p.email"),
            Column("secondary_contact", "s.email"),
            *_columns("medical_notes educational_notes"),
            *_columns("emergency_contacts documents", DOCUMENT),
            *_columns("admission_state"),
            *_columns("admission_date discharge_date on_leave_until", DATE),
            *_columns("external_id"),
            *_ID,
            *_STAMPS,
        ),
        joins=f"{_joined('primary_contact_id', 'p')} {_joined('secondary_contact_id', 's')}",
        state="admission_state",
        people=("primary_contact", "secondary_contact"),
    ),
    Record(
        "appointments",
        Appointment,
        (
            Column("professional", "p.email"),
            Column("student_first_name", "s.first_name"),
            Column("student_last_name", "s.last_name"),
            Column("student_date_of_birth", "s.date_of_birth", DATE),
            Column("client", "c.email"),
            *_columns("scheduled_at", MOMENT),
            *_columns("duration_minutes buffer_minutes", INTEGER),
            *_columns("state notes professional_notes"),
            *_columns("pre_confirmed_at expires_at confirmed_at executed_at no_show_at cancelled_at", MOMENT),
            Column("cancelled_by", "b.email"),
            *_columns("cancellation_reason"),
            *_columns("uses_credit allows_overlap", BOOLEAN),
            Column("price", "t.price_cents", MONEY),
            *_columns("currency"),
            *_columns("created_at", MOMENT),
            *_columns("created_at_made_up", BOOLEAN),
            *_columns("external_id"),
            *_columns("id student_id credits_used reminder_minutes", INTEGER),
            *_columns("metadata", DOCUMENT),
            *_columns("updated_at", MOMENT),
        ),
        joins=" ".join(
            (
                _joined("professional_id", "p"),
                _joined("student_id", "s", "students"),
                _joined("client_id", "c"),
                _joined("cancelled_by_id", "b"),
            )
        ),
        when="scheduled_at",
        state="state",
        people=("professional", "client"),
    ),
    Record(
        "credits",
        CreditTransaction,
        (
            Column("user", "u.email"),
            Column("credits", "t.amount", INTEGER),
            Column("reference", "t.idempotency_key"),
            *_columns("payment_method payment_reference"),
            Column("amount_paid", "t.amount_cents", MONEY),
            *_columns("currency"),
            Column("purchased_on", "(t.created_at AT TIME ZONE %(zone)s)::date", DATE),
            *_columns("reason"),
            Column("type", "t.transaction_type"),
            *_columns("status"),
            *_columns("processed_at", MOMENT),
            *_columns("sequence balance_before balance_after", INTEGER),
            Column("created_by", "b.email"),
            *_columns("id appointment_id", INTEGER),
            *_columns("metadata", DOCUMENT),
            *_STAMPS,
        ),
        joins=f"{_joined('user_id', 'u')} {_joined('created_by_id', 'b')}",
        state="status",
        people=("user",),
    ),
    Record(
        "posts",
        Post,
        (Column("author", "u.email"), *_columns("content"), *_columns("created_at", MOMENT), *_ID, _STAMPS[1]),
        joins=_joined("user_id", "u"),
        people=("author",),
    ),
    Record(
        "likes",
        Like,
        (
            Column("user", "u.email"),
            Column("author", "a.email"),
            Column("post_created_at", "p.created_at", MOMENT),
            Column("post_content", "p.content"),
            *_columns("created_at", MOMENT),
            *_columns("id post_id", INTEGER),
        ),
        joins=" ".join(
            (
                _joined("user_id", "u"),
                _joined("post_id", "p", "posts"),
                "LEFT JOIN users AS a ON a.organization_id = p.organization_id AND a.id = p.user_id",
            )
        ),
        people=("user",),
    ),
    Record(
        "transitions",
        StateTransition,
        (
            *_columns("subject_type"),
            *_columns("subject_id", INTEGER),
            *_columns("event from_state to_state"),
            Column("actor", "u.email"),
            *_columns("reason idempotency_key request_fingerprint"),
            *_columns("occurred_at", MOMENT),
            *_columns("made_up", BOOLEAN),
            *_columns("details", DOCUMENT),
            *_ID,
        ),
        joins=_joined("actor_id", "u"),
        when="occurred_at",
        state="to_state",
        people=("actor",),
    ),
    Record(
        "organizations",
        Organization,
        (
            *_columns("subdomain name time_zone currency email phone address"),
            *map(_setting, NUMBERS_OF_SETTINGS),
            _setting("book_prospects", BOOLEAN),
            _setting("country", TEXT),
            *_columns("settings", DOCUMENT),
            *_ID,
            *_STAMPS,
        ),
    ),
)
OURS: Final = {record.name: record for record in _ALL}
RECORDS: Final = dict(OURS)
