"""Where the driver's value is the field's value already, so that a row is built without asking the field.

Rule it guards: a field's own `python_value` is always called. It is left out only where it is still one of those known
here, and the column that was read is of a type for which that one gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import peewee

from rayces_core.fields.base import TypedField
from rayces_core.fields.choices import EnumField
from rayces_core.fields.numbers import IntegerField
from rayces_core.fields.text import StringField

Converter = Callable[[Any], Any]

# Object ids of PostgreSQL's types (pg_type.dat), fixed for good.
_WHOLE: Final = frozenset((20, 21, 23))
_TEXTS: Final = frozenset((18, 19, 25, 1042, 1043))
_ADAPTED: Final[dict[Any, frozenset[int]]] = {
    peewee.IntegerField.adapt: _WHOLE,
    peewee.FloatField.adapt: frozenset((700, 701)),
    peewee.TextField.adapt: _TEXTS,
    peewee.BooleanField.adapt: frozenset((16,)),
    peewee.DateTimeField.adapt: frozenset((1114, 1184)),
    peewee.DateField.adapt: frozenset((1082,)),
    peewee.TimeField.adapt: frozenset((1083, 1266)),
}
_CONVERTED: Final[dict[Any, frozenset[int]]] = {
    IntegerField.python_value: _WHOLE,
    StringField.python_value: _TEXTS,
    peewee.DecimalField.python_value: frozenset((1700,)),
}
# What is delegated: to the field that is meant, or referred to.
_DELEGATED: Final[dict[Any, str]] = {
    peewee.FieldAlias.python_value: "field",
    peewee.ForeignKeyField.python_value: "rel_field",
}


def is_as_read(converter: Converter, type_code: int | None) -> bool:
    """Whether `converter`, some field's `python_value`, gives back what psycopg2 reads from a column of this type.

    Args:
        converter: what would be called for each value.
        type_code: the type's object id in the cursor's description.
    """
    converter = _meant(converter)
    field: Any = getattr(converter, "__self__", None)
    how = getattr(converter, "__func__", None)
    if how is TypedField.python_value:
        return True
    if how is peewee.Field.python_value:
        kind: Any = type(field)
        return "adapt" not in vars(field) and (
            kind.adapt is peewee.Field.adapt or type_code in _ADAPTED.get(kind.adapt, ())
        )
    return type_code in _CONVERTED.get(how, ())


def members_of(converter: Converter) -> dict[Any, Any] | None:
    """What an enum's column is read with, stored value to member; None where `converter` is not an enum's own."""
    converter = _meant(converter)
    if getattr(converter, "__func__", None) is EnumField.python_value:
        members: dict[Any, Any] = converter.__self__.members  # type: ignore[attr-defined]
        return members
    return None


def _meant(converter: Converter) -> Converter:
    while (name := _DELEGATED.get(getattr(converter, "__func__", None))) is not None:
        converter = getattr(converter.__self__, name).python_value  # type: ignore[attr-defined]
    return converter
