"""UUID columns."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal, overload

import peewee

from rayces_core.fields.base import NormalisingAccessor, TypedField, V, shown


class UUIDField(TypedField[V], peewee.Field):
    """UUID: takes a uuid.UUID or its text, gives a uuid.UUID."""

    field_type = "UUID"
    accessor_class: Any = NormalisingAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> UUIDField[uuid.UUID | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> UUIDField[uuid.UUID]: ...

    def normalise(self, value: Any) -> Any:
        """Turn the text of a UUID into it; leave anything else to `db_value`."""
        try:
            return uuid.UUID(value) if isinstance(value, str) else value
        except ValueError:
            return value

    def db_value(self, value: object) -> str | None:
        """Give the UUID's text; raises `InvalidDataError` for what is none."""
        if value is None:
            return None
        known = self.normalise(value)
        if not isinstance(known, uuid.UUID):
            raise self.refuse(value, f"needs a UUID, got {shown(value)}")
        return str(known)

    def python_value(self, value: Any) -> Any:
        """Give the UUID; psycopg2 reads its text."""
        return self.normalise(value)
