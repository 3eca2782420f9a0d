"""Time columns: aware moments in UTC, and calendar days."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal, overload

import peewee
from peewee import ColumnBase, Expression, Value

from rayces_core import clock
from rayces_core.fields.base import ComputedAccessor, NormalisingAccessor, TypedField, V


class MomentArithmetic:
    """`column + interval` and `column - interval`; what is subtracted may be a moment too, and is then checked."""

    def __add__(self, rhs: object) -> Expression:
        return ColumnBase.__add__(self.coerce(False), rhs)  # type: ignore[attr-defined]

    def __sub__(self, rhs: object) -> Expression:
        column = self if isinstance(rhs, date) else self.coerce(False)  # type: ignore[attr-defined]
        return ColumnBase.__sub__(column, rhs)  # type: ignore[arg-type]


class UTCDateTimeField(MomentArithmetic, TypedField[V], peewee.DateTimeField):
    """TIMESTAMPTZ: takes aware datetimes of any zone, gives them in UTC."""

    field_type = "TIMESTAMPTZ"
    accessor_class: Any = NormalisingAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> UTCDateTimeField[datetime | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> UTCDateTimeField[datetime]: ...

    def normalise(self, value: Any) -> Any:
        """Turn an aware datetime into UTC; leave anything else to `db_value`."""
        return clock.utc(value, self.label) if isinstance(value, datetime) and value.utcoffset() is not None else value

    def db_value(self, value: object) -> datetime | None:
        """Give the moment in UTC; raises `NaiveDatetimeError` without a zone, `InvalidDataError` for other types."""
        if value is None or (isinstance(value, datetime) and value.tzinfo is UTC):
            return value
        return clock.utc(value, self.label)


class GeneratedDateTimeField(UTCDateTimeField[V]):
    """TIMESTAMPTZ that the database computes from other columns: readable and searchable, never written."""

    generated = True
    accessor_class = ComputedAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> GeneratedDateTimeField[datetime | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> GeneratedDateTimeField[datetime]: ...

    def to_value(self, value: object) -> Value:
        """Refuse every write in an UPDATE with `InvalidDataError`."""
        raise self.refuse(value, "is computed by the database; change the columns it comes from")


class DateField(MomentArithmetic, TypedField[V], peewee.DateField):
    """DATE: a calendar day. A datetime is refused, because its day depends on a time zone."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> DateField[date | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> DateField[date]: ...

    def db_value(self, value: object) -> date | None:
        """Give the day; raises `InvalidDataError` for a datetime and for what is no date."""
        if isinstance(value, datetime):
            raise self.refuse(value, "needs a date, got a datetime; say which day, .date() in the organization's zone")
        if value is None or isinstance(value, date):
            return value
        raise self.refuse(value, f"needs a datetime.date, got {type(value).__name__}")
