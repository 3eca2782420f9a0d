"""Notices a change inside a value: `room.tags.append("b")` assigns nothing, yet save() has to write it.

A column is watched where its values may be mutable: any field but those known to hold numbers, texts, times and the
like. What the column would store is remembered when the value is first read from the instance, and again when it was
saved. Rows are built without it, so it costs nothing until such a value is looked at.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import pickle
import uuid
from collections.abc import Iterable
from typing import Any, Final

import peewee

from rayces_core.fields.choices import EnumField, IntEnumField, StateField
from rayces_core.fields.moments import DateField, GeneratedDateTimeField, UTCDateTimeField
from rayces_core.fields.network import InetField
from rayces_core.fields.numbers import BigIntegerField, BooleanField, IdField, IntegerField, SmallIntegerField
from rayces_core.fields.text import CurrencyField, EmailField, StringField, TextField, TimeZoneField

SEEN: Final = "_seen_in_place"

# These classes themselves; one that inherits from them may hold anything.
_PLAIN_FIELDS: Final = frozenset((
    peewee.AutoField, peewee.BigAutoField, peewee.BigIntegerField, peewee.BitField, peewee.BlobField,
    peewee.BooleanField, peewee.CharField, peewee.DateField, peewee.DateTimeField, peewee.DecimalField,
    peewee.DoubleField, peewee.FixedCharField, peewee.FloatField, peewee.IdentityField, peewee.IntegerField,
    peewee.IPField, peewee.SmallIntegerField, peewee.TextField, peewee.TimeField, peewee.TimestampField,
    peewee.UUIDField, peewee.BinaryUUIDField,
    BigIntegerField, BooleanField, CurrencyField, DateField, EmailField, EnumField, GeneratedDateTimeField, IdField,
    InetField, IntEnumField, IntegerField, SmallIntegerField, StateField, StringField, TextField, TimeZoneField,
    UTCDateTimeField,
))  # fmt: skip
_UNCHANGING: Final = (
    *(str, bytes, int, float, complex, type(None), decimal.Decimal, enum.Enum, uuid.UUID),
    *(datetime.date, datetime.time, datetime.timedelta, memoryview, peewee.Node),
)


def watch(model: Any, field: Any) -> None:
    """Have changes inside the values of `field`, just added to `model`, noticed, if its values can change."""
    if type(field) in _PLAIN_FIELDS or isinstance(field, peewee.ForeignKeyField | peewee.MetaField):
        return
    accessor = vars(model).get(field.name)
    if isinstance(accessor, peewee.FieldAccessor) and not hasattr(accessor, "watched"):
        accessor.__class__ = _watching(type(accessor), field)
        model._meta.watched_fields = (*watched_fields(model), field)


def _watching(kind: Any, field: Any) -> type:
    class Watching(kind):  # type: ignore[misc]
        """The field's own accessor, which remembers what was first read through it."""

        __slots__ = ()
        watched = field

        def __get__(self, instance: Any, instance_type: Any = None) -> Any:
            value = super().__get__(instance, instance_type)
            if instance is not None:
                held = instance.__data__.get(field.name)
                if not isinstance(held, _UNCHANGING):
                    seen = instance.__dict__.setdefault(SEEN, {})
                    if field.name not in seen:
                        seen[field.name] = _fingerprint(field, held)
            return value

    return Watching


def watched_fields(model: Any) -> tuple[Any, ...]:
    """The fields of `model` inside whose values a change is noticed."""
    known: tuple[Any, ...] = getattr(model._meta, "watched_fields", ())
    return known


def note_changes_in_place(instance: Any) -> None:
    """Mark as changed every column whose value was altered in place since it was read from the instance, or saved.

    For models that save changed columns only: an assignment is seen by itself, `settings["key"] = 1` is not.
    """
    seen = instance.__dict__.get(SEEN)
    for name, before in list(seen.items()) if seen else ():
        after = _fingerprint(instance._meta.fields[name], instance.__data__.get(name))
        if after != before:
            instance._dirty.add(name)
            seen[name] = after


def remember_saved(instance: Any, names: Iterable[str]) -> None:
    """Remember what these columns hold now, as it was just written."""
    for field in watched_fields(instance):
        if field.name in names:
            held = instance.__data__.get(field.name)
            seen = instance.__dict__.setdefault(SEEN, {})
            if isinstance(held, _UNCHANGING):
                seen.pop(field.name, None)
            else:
                seen[field.name] = _fingerprint(field, held)


def _fingerprint(field: Any, value: object) -> object:
    """What would be stored, in a form that later changes do not reach."""
    if not value and type(value) in (dict, list):
        return type(value)  # most documents of a new row
    own = getattr(field, "fingerprint", None)
    if own is not None:
        return own(value)
    try:
        stored = field.db_value(value)
        return object() if isinstance(stored, peewee.Node) else pickle.dumps(getattr(stored, "adapted", stored))
    except Exception:
        # Equal to no other, so that a save meets the check of db_value, or sends what it cannot tell apart.
        return object()
