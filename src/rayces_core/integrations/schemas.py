"""Pydantic models for answers and requests, made from the models and from the library's own functions.

Rule it guards: a secret is in no answer, not even when it is named; a request has what the function takes.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, timedelta
from enum import Enum
from types import UnionType
from typing import Any, Final, cast
from uuid import UUID

import peewee
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from rayces_core import credits, scheduling
from rayces_core.errors import ConfigurationError, InvalidDataError
from rayces_core.fields import (
    BooleanField,
    DateField,
    InetField,
    IntegerField,
    JSONField,
    UTCDateTimeField,
)
from rayces_core.models import Appointment, CreditBalance, Student
from rayces_core.scheduling.calendar import LONGEST_MINUTES, SHORTEST_MINUTES
from rayces_core.scheduling.holdings import Kept
from rayces_core.showing import SECRET
from rayces_core.tenancy.scoped import ScopedModel

# Who acts, and when, is never said by a request's body; a key is a header.
OURS: Final = ("self", "by", "now", "idempotency_key")
# What the functions' annotations mean in a request: rows are ids.
ROWS: Final = (
    *("Student", "Professional", "User", "Appointment", "Service", "CreditKind", "CreditPackage", "Resource"),
    "GroupSession",
)
ASKED: Final[dict[str, Any]] = {
    "datetime": AwareDatetime,
    "date": date,
    "timedelta": timedelta,
    "Mapping": Mapping,
    "Iterable": list,
    "Kept": Kept,
    **dict.fromkeys(ROWS, int),
}
EXAMPLES: Final[tuple[tuple[Any, Any], ...]] = (
    (AwareDatetime, "2031-03-03T15:00:00Z"),
    (date, "2031-03-03"),
    (bool, True),
    (int, 1),
)
TYPING: Final = {name: kind for name, kind in vars(typing).items() if name != "Callable"}
# What the description says of numbers that the functions themselves refuse, each with its own error.
ID: Final[dict[str, Any]] = {"minimum": 1, "maximum": 2**63 - 1}
LIMITS: Final[dict[str, dict[str, Any]]] = {
    "duration_minutes": {"minimum": SHORTEST_MINUTES, "maximum": LONGEST_MINUTES}
}


class Request(BaseModel):
    """What a request's body holds. A row is named as in the answers, `student_id`; the function's own name does too."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    def arguments(self) -> dict[str, Any]:
        """What the library's function takes: `scheduling.book(**data.arguments(), by=me)`."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def schema_of(
    model: type[ScopedModel],
    include: Collection[str] | None = None,
    exclude: Collection[str] = (),
    *,
    name: str | None = None,
    **extra: Any,
) -> type[BaseModel]:
    """A Pydantic model for answers: the model's columns, read from its instances by `model_validate(row)`.

    Args:
        include, exclude: names of columns; a foreign key is its `…_id`. All that are no secret, unless given.
        name: of the schema in OpenAPI; `AppointmentOut` for Appointment unless given. Two schemas need two names.
        extra: further fields, each a type or `(type, default)`; `ends_at=AwareDatetime` is read from the property.

    Raises:
        InvalidDataError: a name is no column, or a column that is secret.
    """
    columns = {field.object_id_name if _is_key(field) else field.name: field for field in model._meta.sorted_fields}
    for given in (*(include or ()), *exclude):
        if given not in columns:
            raise InvalidDataError("include", given, f"{model.__name__} has no column of that name")
    secret = {column for column in columns if SECRET.search(column)}
    if named := sorted(secret & {*(include or ()), *extra}):
        raise InvalidDataError("include", named[0], "is a secret, which no answer holds")
    chosen = [c for c in columns if (include is None or c in include) and c not in secret and c not in exclude]
    fields = {column: _answered(columns[column]) for column in chosen}
    further = {key: value if isinstance(value, tuple) else (value, ...) for key, value in extra.items()}
    config = ConfigDict(from_attributes=True)
    made: type[BaseModel] = create_model(
        name or f"{model.__name__}Out", __config__=config, **cast("Any", fields | further)
    )
    return made


def type_of(field: Any) -> Any:
    """The Python type of a column's values; `None` is not among them."""
    if _is_key(field):
        return type_of(field.rel_field)
    choices = getattr(field, "enum_class", None)
    if choices is not None:
        return choices
    if isinstance(field, JSONField):
        return field.schema
    for kind, python in (
        (UTCDateTimeField, AwareDatetime),
        (DateField, date),
        (BooleanField, bool),
        (IntegerField, int),
        (InetField, str),
        (peewee.UUIDField, UUID),
    ):
        if isinstance(field, kind):
            return python
    return int if isinstance(field, peewee.IntegerField) else UUID if type(field).__name__ == "UUIDField" else str


def input_of(
    function: Callable[..., Any], *, name: str, exclude: Collection[str] = (), overrides: bool = False
) -> type[Request]:
    """A Pydantic model for a request: what `function` takes, people and rows by id; call it by `**data.arguments()`.

    Args:
        exclude: arguments that the path or the server gives. overrides: have those that staff alone may use as well.

    Raises:
        ConfigurationError: the function takes something that no request can hold, such as a row that has no id yet or a
            Database: `exclude` it, and give it yourself.
    """
    fields = {}
    for key, parameter in inspect.signature(function, eval_str=False).parameters.items():
        skipped = key in OURS or key in exclude or parameter.kind is inspect.Parameter.VAR_KEYWORD
        if skipped or (not overrides and key.startswith(("override_", "allow_"))):
            continue
        kind = _asked(_hint(function, parameter))
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        alias = _alias(key, parameter.annotation)
        limits = ID if alias else LIMITS.get(key)
        fields[key] = (kind, Field(default, alias=alias, examples=_example(kind), json_schema_extra=limits))
    made: type[Request] = create_model(name, __base__=Request, **cast("Any", fields))
    return made


def _alias(key: str, annotation: Any) -> str | None:
    is_row = isinstance(annotation, str) and any(re.search(rf"\b{row}\b", annotation) for row in ROWS)
    return f"{key}_id" if is_row else None


def _hint(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    # An annotation of the library's own source; what it names there but a request cannot hold is refused.
    known = {**TYPING, **{name: kind for name, kind in _globals(function) if _can_be_asked(kind)}, **ASKED}
    try:
        return eval(annotation, known, {})  # noqa: S307
    except NameError as error:
        raise ConfigurationError(
            f"{function.__name__} takes {parameter.name!r} as {annotation}, and no request holds {error.name}; "
            f"exclude=({parameter.name!r},), and give it yourself"
        ) from None


def _globals(function: Callable[..., Any]) -> Iterable[tuple[str, Any]]:
    return getattr(inspect.unwrap(function), "__globals__", {}).items()


def _can_be_asked(kind: Any) -> bool:
    """Whether it is a choice of words or a class of such: the rest of a module's names are no types of values."""
    return typing.get_origin(kind) is typing.Literal or (isinstance(kind, type) and issubclass(kind, Enum))


def _asked(hint: Any) -> Any:
    return dict[str, Any] if typing.get_origin(hint) is Mapping else _without_mapping(hint)


def _without_mapping(hint: Any) -> Any:
    if not isinstance(hint, UnionType) and typing.get_origin(hint) is not typing.Union:
        return hint
    kinds = [_asked(kind) for kind in typing.get_args(hint)]
    return typing.Union[tuple(kinds)]  # noqa: UP007 - made of what is known at run time only


def _answered(field: peewee.Field) -> tuple[Any, Any]:
    kind = type_of(field)
    shown = kind | None if field.null else kind
    return shown, Field(examples=_example(kind))


def _example(kind: Any) -> list[Any] | None:
    kinds = (kind, *typing.get_args(kind))
    for known, example in EXAMPLES:
        if known in kinds:
            return [example]
    choices = next((each for each in kinds if isinstance(each, type) and issubclass(each, Enum)), None)
    return None if choices is None else [next(iter(choices)).value]


def _is_key(field: Any) -> bool:
    return isinstance(field, peewee.ForeignKeyField)


# What a user has of a kind: the balance, what is reserved of it, and what is available.
BalanceOut = schema_of(
    CreditBalance, name="BalanceOut", include=("credit_kind_id", "balance", "reserved"), available=int
)
BookIn = input_of(scheduling.book, name="BookIn")
# How a series recurs, and what each of its sessions is.
BookSeriesIn: type[Request] = create_model(
    "BookSeriesIn", __base__=(input_of(scheduling.book_series, name="RecurrenceIn"), BookIn)
)
RescheduleIn = input_of(scheduling.reschedule, name="RescheduleIn", exclude=("appointment",))
BookGroupIn = input_of(scheduling.book_group, name="BookGroupIn", exclude=("group",))
GroupSessionIn = input_of(scheduling.create_group_session, name="GroupSessionIn")
RescheduleGroupIn = input_of(scheduling.reschedule_group, name="RescheduleGroupIn", exclude=("group",))
RescheduleSeriesIn = input_of(scheduling.reschedule_series, name="RescheduleSeriesIn", exclude=("appointment",))
SlotRequestIn = input_of(scheduling.request_slot, name="SlotRequestIn")
TimeOffIn = input_of(scheduling.request_time_off, name="TimeOffIn")
CancelIn = input_of(Appointment.cancel, name="CancelIn", exclude=("refund",))
AdmitIn = input_of(Student.admit, name="AdmitIn")
PurchaseIn = input_of(credits.purchase, name="PurchaseIn")
PurchasePackageIn = input_of(credits.purchase_package, name="PurchasePackageIn")
AdjustIn = input_of(credits.adjust, name="AdjustIn")
RefundIn = input_of(credits.refund, name="RefundIn", exclude=("appointment",))
