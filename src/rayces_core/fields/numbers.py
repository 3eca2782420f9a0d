"""Whole numbers and booleans, without silent conversion."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, overload

import peewee

from rayces_core.fields.base import ComputedAccessor, TypedField, V, shown


class IntegerField(TypedField[V], peewee.IntegerField):
    """INTEGER: whole numbers of 4 bytes, or of `between` (least, most). Refuses bool, float and text."""

    bounds: tuple[int, int] = (-(2**31), 2**31 - 1)

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> IntegerField[int | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> IntegerField[int]: ...

    else:  # where a type checker saw it, it would tell the type of the column by it

        def __init__(self, *args: Any, between: tuple[int, int] | None = None, **options: Any) -> None:
            super().__init__(*args, **options)
            if between is not None:
                self.bounds = between

    def db_value(self, value: Any) -> int | None:
        """Give the number; raises `InvalidDataError` for what is not whole or does not fit."""
        if value is None:
            return None
        number = value if type(value) is int else self._whole(value)
        low, high = self.bounds
        if not low <= number <= high:
            raise self.refuse(value, f"must lie between {low} and {high}, got {shown(number)}")
        return number

    def python_value(self, value: Any) -> Any:
        """Give the number as read; a whole one that SQL made a text or a numeric, as an int."""
        if value is None or type(value) is int:
            return value
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            return value
        return number if isinstance(value, str) or number == value else value

    def _whole(self, value: Any) -> int:
        if isinstance(value, bool):
            raise self.refuse(value, f"needs a whole number, got the bool {value}")
        try:
            return operator.index(value)
        except TypeError:
            raise self.refuse(value, f"needs a whole number, got {type(value).__name__} {shown(value)}") from None


class SmallIntegerField(IntegerField[V]):
    """SMALLINT: whole numbers of 2 bytes."""

    field_type = "SMALLINT"
    bounds = (-(2**15), 2**15 - 1)

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> SmallIntegerField[int | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> SmallIntegerField[int]: ...


class BigIntegerField(IntegerField[V]):
    """BIGINT: whole numbers of 8 bytes."""

    field_type = "BIGINT"
    bounds = (-(2**63), 2**63 - 1)

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> BigIntegerField[int | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> BigIntegerField[int]: ...


class GeneratedBigIntegerField(BigIntegerField[V]):
    """BIGINT that the database computes from other columns: readable and searchable, never written."""

    generated = True
    accessor_class = ComputedAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> GeneratedBigIntegerField[int | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> GeneratedBigIntegerField[int]: ...

    def to_value(self, value: object) -> Any:
        """Refuse every write in an UPDATE with `InvalidDataError`."""
        raise self.refuse(value, "is computed by the database; change the columns it comes from")


class IdField(BigIntegerField[int], peewee.IdentityField):
    """The `id` of a row: a BIGINT that the database gives."""

    field_type = "BIGINT"


class BooleanField(TypedField[V], peewee.BooleanField):
    """BOOLEAN. Takes True and False only: the text "false" would otherwise count as true."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> BooleanField[bool | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> BooleanField[bool]: ...

    def db_value(self, value: object) -> bool | None:
        """Give the bool; raises `InvalidDataError` for anything else."""
        if value is None or isinstance(value, bool):
            return value
        raise self.refuse(value, f"needs True or False, got {type(value).__name__} {shown(value)}")
