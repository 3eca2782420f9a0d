"""Columns that are given to a new row and then changed one way only: a state by its events, a start by moving it.

Rule it guards: no save(), update(), upsert or bulk write changes them. An assignment on a saved row is refused at once.
"""

from __future__ import annotations

from typing import Any, TypeVar

import peewee

from rayces_core.errors import InvalidDataError, RaycesError, SettledFieldError, StateAssignmentError

F = TypeVar("F")


def settles(field: Any) -> bool:
    """Whether the column of a saved row is never written by assignment."""
    return getattr(field, "by_event_only", False) or getattr(field, "settled_by", None) is not None


def assigned(field: peewee.Field) -> RaycesError:
    """Make the error for such a column that was written nevertheless: it says what changes it."""
    label = f"{field.model.__name__}.{field.name}"
    way = getattr(field, "settled_by", None)
    if way is not None:
        return SettledFieldError(label, way)
    return StateAssignmentError(
        f"{label} is changed by events alone: call one, such as appointment.confirm(); "
        "a state is given to a new row only, before it is saved"
    )


class SettlingAccessor(peewee.FieldAccessor):
    """Takes the value of a new row until it is saved; goes before the accessor that does the rest."""

    def __set__(self, instance: Any, value: object) -> None:
        # A new row has its defaults there and in _dirty; one that is being built from a result has it in neither.
        if self.name in instance.__data__ and self.name not in instance._dirty:
            raise assigned(self.field)
        super().__set__(instance, value)


class SettledAccessor(SettlingAccessor):
    """As above, for a value that comes back in forms and joins: the one that is there may be assigned again."""

    def __set__(self, instance: Any, value: object) -> None:
        if self.name in instance.__data__ and self.name not in instance._dirty and self._is_there(instance, value):
            super(SettlingAccessor, self).__set__(instance, value)
            instance._dirty.discard(self.name)
        else:
            super().__set__(instance, value)

    def _is_there(self, instance: Any, value: object) -> bool:
        try:
            return bool(self.field.db_value(value) == self.field.db_value(instance.__data__[self.name]))
        except InvalidDataError:
            return False


def settled(field: F, way: str) -> F:
    """Give `field` back as one that is changed only as `way` says: a clause that names what to call."""
    column: Any = field
    plain = column.accessor_class
    column.settled_by = way
    column.accessor_class = type(f"Settled{plain.__name__}", (SettledAccessor, plain), {})
    return field
