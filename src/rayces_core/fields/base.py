"""What every column type shares: the value's type, what the driver may be trusted with, the error, text operators."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

import peewee
from peewee import ColumnBase, Expression

from rayces_core.errors import InvalidDataError

V = TypeVar("V")


class ComputedAccessor(peewee.FieldAccessor):
    """Keeps what a row was read with, without counting it as a change to save."""

    def __set__(self, instance: Any, value: object) -> None:
        instance.__data__[self.name] = value


class NormalisingAccessor(peewee.FieldAccessor):
    """Puts an assigned value in the column's own form at once, so an instance shows what a later read would."""

    def __set__(self, instance: Any, value: object) -> None:
        super().__set__(instance, self.field.normalise(value))


class TypedField(Generic[V]):
    """What the fields below share: the value's type for type checkers and the error.

    Attributes:
        generated: the database computes the column; it is never written.
        by_event_only: given to a new row, then changed by the events of a state machine only.
        settled_by: given to a new row, then changed only the way that this text says; None for any other column.
    """

    generated: ClassVar[bool] = False
    by_event_only: ClassVar[bool] = False
    settled_by: str | None = None

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> V: ...
        def __set__(self, instance: object, value: V) -> None: ...

    @property
    def label(self) -> str:
        """The name used in errors: `Model.field`."""
        model = getattr(self, "model", None)
        return f"{model.__name__}.{self.name}" if model is not None else type(self).__name__  # type: ignore[attr-defined]

    def refuse(self, value: object, reason: str) -> InvalidDataError:
        """Make the error for a value that this column cannot hold."""
        return InvalidDataError(self.label, value, reason)

    def python_value(self, value: Any) -> Any:
        """Give the value as psycopg2 read it."""
        return value


def shown(value: object) -> str:
    """Write a refused value for an error message, cut to a readable length."""
    try:
        return f"{value!r:.60}"
    except ValueError:
        # Python does not print integers of more than some thousand digits.
        return "a number too long to print"


def _pattern(name: str) -> Any:
    """Make an operator whose right side is a part of a text, so is not checked as a whole value of the column."""
    plain = getattr(ColumnBase, name)

    def operation(column: ColumnBase, rhs: object) -> Expression:
        return plain(column.coerce(False), rhs)  # type: ignore[no-any-return]

    return operation


class PatternOperators:
    """Text operators for columns that accept only certain texts."""

    like, ilike = _pattern("like"), _pattern("ilike")
    regexp, iregexp = _pattern("regexp"), _pattern("iregexp")
    contains, startswith, endswith = _pattern("contains"), _pattern("startswith"), _pattern("endswith")
    concat = __add__ = _pattern("concat")
    __mod__, __pow__ = like, ilike
