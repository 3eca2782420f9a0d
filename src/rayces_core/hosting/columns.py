"""What a field of a host's model is in a file: how its values are read, stored and written out.

Rule it guards: a kind of field that is not known here is refused when the model is registered, not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from uuid import UUID

import peewee
from playhouse import postgres_ext

from rayces_core import fields
from rayces_core.exporting.records.shape import Kind
from rayces_core.importing import values
from rayces_core.importing.columns import Reading

Read = Callable[[Any, Reading], Any]
CENTS: Final = "_cents"


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a field are read, their type in PostgreSQL, what an export writes them as, and what one may be."""

    read: Read
    type: str
    kind: Kind
    example: str


def _uuid(value: Any, reading: Reading) -> UUID:
    written = values.text(value, reading)
    try:
        return UUID(written)
    except ValueError:
        raise ValueError(f"{written!r:.60} is no UUID; write it as 123e4567-e89b-12d3-a456-426614174000") from None


_TEXT: Final = Form(values.text, "text", Kind.TEXT, "A text")
# The first that fits; a subclass stands before what it is one of.
_FORMS: Final[tuple[tuple[tuple[type, ...], Form], ...]] = (
    ((fields.EmailField,), Form(values.email, "varchar", Kind.TEXT, "ana.paz@example.org")),
    ((fields.CurrencyField,), Form(values.currency, "varchar", Kind.TEXT, "ARS")),
    ((fields.TextField,), _TEXT),
    (
        (fields.StringField, peewee.CharField, peewee.FixedCharField),
        Form(values.identifier, "varchar", Kind.TEXT, "A1"),
    ),
    ((peewee.TextField,), _TEXT),
    ((fields.BooleanField, peewee.BooleanField), Form(values.boolean, "boolean", Kind.BOOLEAN, "yes")),
    (
        (fields.UTCDateTimeField, postgres_ext.DateTimeTZField),
        Form(values.moment, "timestamptz", Kind.MOMENT, "03/03/2026 14:00"),
    ),
    ((fields.DateField, peewee.DateField), Form(values.date, "date", Kind.DATE, "31/12/2026")),
    ((fields.JSONField, postgres_ext.BinaryJSONField), Form(values.document, "jsonb", Kind.DOCUMENT, "[]")),
    ((peewee.DecimalField,), Form(values.decimal, "numeric", Kind.TEXT, "1.5")),
    ((peewee.UUIDField,), Form(_uuid, "uuid", Kind.TEXT, "123e4567-e89b-12d3-a456-426614174000")),
    ((peewee.IntegerField,), Form(values.integer, "bigint", Kind.INTEGER, "1")),
)
_MONEY: Final = Form(values.money, "bigint", Kind.MONEY, "1500.00")


def form_of(field: Any) -> Form | None:
    """How a field's values are in a file; None where nobody knows."""
    if isinstance(field, fields.EnumField | fields.IntEnumField):
        return _choice(field.enum_class, "varchar" if isinstance(field, fields.EnumField) else "smallint")
    if is_money(field):
        return _MONEY
    return next((form for kinds, form in _FORMS if isinstance(field, kinds)), None)


def is_money(field: Any) -> bool:
    """Whether a field has whole cents, by its name: `price_cents` is the column `price` of a file, an amount."""
    return isinstance(field, peewee.IntegerField) and field.column_name.endswith(CENTS)


def name_of(field: Any) -> str:
    """What a field's column is called in a file."""
    name: str = field.column_name
    return name.removesuffix(CENTS) if is_money(field) else name


def _choice(enum_class: type[Enum], kind: str) -> Form:
    words = {member: (member.name.lower(), str(member.value)) for member in enum_class}
    return Form(values.choice(words), kind, Kind.TEXT, next(iter(enum_class)).name.lower())


def shown(field: Any, column: str) -> str:
    """The SQL of what an export shows, of a column of `t`."""
    if isinstance(field, fields.IntEnumField):
        named = " ".join(f"WHEN {member.value} THEN '{member.name.lower()}'" for member in field.enum_class)
        return f"CASE {column} {named} END"
    if isinstance(field, peewee.DecimalField):  # three decimals would be read as thousands
        return f"CASE scale({column}) WHEN 3 THEN round({column}, 4) ELSE {column} END::text"
    return f"{column}::text" if isinstance(field, peewee.UUIDField) else column
