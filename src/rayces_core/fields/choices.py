"""Columns that hold the values of one enum."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

import peewee

from rayces_core.errors import InvalidDataError
from rayces_core.fields.base import NormalisingAccessor, PatternOperators, TypedField, V, shown
from rayces_core.fields.settled import SettlingAccessor

Text = TypeVar("Text", bound=StrEnum)
Number = TypeVar("Number", bound=IntEnum)


class _Members(dict[Any, Any]):
    """Stored value to enum member."""

    def __missing__(self, key: object) -> Any:
        known = ", ".join(repr(value) for value in self if value is not None)
        raise InvalidDataError("enum", key, f"the database holds {shown(key)}, which is none of {known}")


class _ChoiceField(PatternOperators, TypedField[V], peewee.Field):
    """A column that holds the values of one enum, and is read as its members.

    Attributes:
        members: stored value to member, NULL to None; what rows are read with.
    """

    accessor_class = NormalisingAccessor
    stored_type: ClassVar[type] = str

    def __init__(self, enum_class: type[Enum], **options: Any) -> None:
        self.enum_class = enum_class
        self.members = _Members({None: None} | {member.value: member for member in enum_class})
        super().__init__(**options)

    def normalise(self, value: Any) -> Any:
        """Turn an allowed plain value into its member; leave anything else to `db_value`."""
        return self.members.get(value, value) if type(value) is self.stored_type else value

    def db_value(self, value: object) -> Any:
        """Give the stored value of a member or of an allowed plain value; raises `InvalidDataError` for others."""
        if value is None:
            return None
        member = value if isinstance(value, Enum) else self.normalise(value)
        if isinstance(member, self.enum_class):
            return member.value
        allowed = ", ".join(repr(choice.value) for choice in self.enum_class)
        raise self.refuse(value, f"must be one of {allowed}; got {shown(value)}")

    def python_value(self, value: Any) -> Any:
        """Give the member; raises `InvalidDataError` for a stored value that is none."""
        return self.members[value]


class EnumField(_ChoiceField[V]):
    """VARCHAR that holds the values of a StrEnum, and is read as its members."""

    field_type = "VARCHAR"

    if TYPE_CHECKING:

        @overload
        def __new__(cls, enum_class: type[Text], *, null: Literal[True], **options: Any) -> EnumField[Text | None]: ...
        @overload
        def __new__(cls, enum_class: type[Text], *, null: Literal[False] = ..., **options: Any) -> EnumField[Text]: ...


class StateAccessor(SettlingAccessor, NormalisingAccessor):
    """Takes the state of a new row until it is saved; from then on only an event changes it."""


class StateField(EnumField[V]):
    """An EnumField that only the events of a state machine change, once the row is made."""

    by_event_only = True
    accessor_class: Any = StateAccessor

    if TYPE_CHECKING:

        def __new__(cls, enum_class: type[Text], **options: Any) -> StateField[Text]: ...  # noqa: D102


class IntEnumField(_ChoiceField[V]):
    """SMALLINT that holds the values of an IntEnum, and is read as its members."""

    field_type = "SMALLINT"
    stored_type = int

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, enum_class: type[Number], *, null: Literal[True], **options: Any
        ) -> IntEnumField[Number | None]: ...
        @overload
        def __new__(
            cls, enum_class: type[Number], *, null: Literal[False] = ..., **options: Any
        ) -> IntEnumField[Number]: ...
