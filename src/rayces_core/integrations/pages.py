"""Pages by keyset: the next one begins after the last row, so that rows that are added meanwhile move nothing.

Rule it guards: a cursor is a place in an order and nothing else; the query that it continues says what is seen.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, Generic, TypeVar

import peewee
from pydantic import BaseModel, ConfigDict, TypeAdapter

from rayces_core.errors import InvalidDataError
from rayces_core.integrations.schemas import type_of
from rayces_core.showing import SECRET
from rayces_core.tenancy.queries import TenantSelect

T = TypeVar("T")
LARGEST = 200


class Page(BaseModel, Generic[T]):
    """A page in an answer: its items, and `after=` of the next page, null on the last one."""

    model_config = ConfigDict(from_attributes=True)
    items: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """A page of rows; `Page[AppointmentOut].model_validate(rows)` makes the answer."""

    items: list[T]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One column of the order. PostgreSQL sorts nulls as if they were larger than everything."""

    field: Any
    descends: bool

    @property
    def name(self) -> str:
        return str(self.field.name)

    def ordering(self) -> Any:
        return self.field.desc() if self.descends else self.field.asc()

    def equal(self, value: Any) -> Any:
        return self.field.is_null() if value is None else self.field == value

    def beyond(self, value: Any) -> Any:
        if self.descends:
            return self.field.is_null(False) if value is None else self.field < value
        if value is None:
            return None
        return (self.field > value) | self.field.is_null() if self.field.null else self.field > value


def keyset(
    query: TenantSelect[Any], *, after: str | None = None, limit: int = 50, order: Sequence[Any] = ()
) -> Rows[Any]:
    """One page of the query's rows.

    Args:
        after: `next` of the page before; None for the first.
        limit: rows at most, 1 to 200.
        order: columns of the query's own model, `Appointment.scheduled_at` or `….desc()`; the id is always the last.
            Instead of whatever order the query has. An index that begins with the organization and these serves it.

    Raises:
        InvalidDataError: the cursor is none, or one of another order; `limit` or `order` is malformed; the query has
            a limit or an offset of its own.
    """
    asked: Any = query
    if asked._limit is not None or asked._offset:
        raise InvalidDataError(
            "query", "LIMIT", "has a limit or offset of its own, which pages do not keep; leave it out"
        )
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST:
        raise InvalidDataError("limit", limit, f"needs a whole number from 1 to {LARGEST}")
    steps = _steps(query, order)
    if after is not None:
        query = query.where(_after(steps, _read(after, steps)))
    rows = list(query.order_by(*(step.ordering() for step in steps)).limit(limit + 1))
    following = _written(rows[limit - 1], steps) if len(rows) > limit else None
    return Rows(rows[:limit], following)


def filtered(query: TenantSelect[Any], **wanted: Any) -> TenantSelect[Any]:
    """The query's rows whose columns are equal to what is given; what is None is not asked. A list means one of them.

    Raises:
        InvalidDataError: there is no such column, it is secret, or it cannot hold the value.
    """
    for name, value in wanted.items():
        field = query.model._meta.combined.get(name)
        if field is None or SECRET.search(name):
            raise InvalidDataError(name, value, f"{query.model.__name__} is not filtered by it")
        if value is not None:
            column = getattr(query.model, field.name)
            query = query.where(column.in_(list(value)) if isinstance(value, list | tuple) else column == value)
    return query


def _steps(query: Any, order: Sequence[Any]) -> list[_Step]:
    given = [_step(query.model, one) for one in order]
    descends = bool(given) and given[-1].descends
    return given if any(step.name == "id" for step in given) else [*given, _Step(query.model.id, descends)]


def _step(model: Any, one: Any) -> _Step:
    descends = isinstance(one, peewee.Ordering) and one.direction == "DESC"
    field = one.node if isinstance(one, peewee.Ordering) else one
    name = str(getattr(field, "name", ""))
    is_its_own = name in model._meta.fields and getattr(field, "model", None) is model
    if (isinstance(one, peewee.Ordering) and one.nulls) or not is_its_own or SECRET.search(name):
        raise InvalidDataError("order", one, f"needs columns of {model.__name__} that are no secret, .desc() or not")
    return _Step(getattr(model, name), descends)


def _after(steps: list[_Step], values: list[Any]) -> Any:
    """Beyond in the first column, or the same there and beyond in the second, and so on."""
    arms = []
    for place, (step, value) in enumerate(zip(steps, values, strict=True)):
        beyond = step.beyond(value)
        if beyond is not None:
            same = [one.equal(known) for one, known in zip(steps[:place], values[:place], strict=True)]
            arms.append(reduce(and_, [*same, beyond]))
    return reduce(lambda one, other: one | other, arms)


def _shape(steps: list[_Step]) -> str:
    return ",".join(f"-{step.name}" if step.descends else step.name for step in steps)


def _written(row: Any, steps: list[_Step]) -> str:
    if any(step.name not in row.__data__ for step in steps):
        raise InvalidDataError("order", _shape(steps), "the query has to select the columns that it is ordered by")
    values = [TypeAdapter(Any).dump_python(row.__data__[step.name], mode="json") for step in steps]
    text = json.dumps([_shape(steps), *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str, steps: list[_Step]) -> list[Any]:
    try:
        text = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        shape, *values = json.loads(text)
        if shape == _shape(steps):
            return [_value(step, value) for step, value in zip(steps, values, strict=True)]
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidDataError("after", cursor, "is no cursor; give what the page before gave as next") from error
    raise InvalidDataError("after", cursor, "is the cursor of another order; begin with the first page")


def _value(step: _Step, value: Any) -> Any:
    if value is None:
        if not step.field.null:
            raise ValueError(step.name)
        return None
    read = TypeAdapter(type_of(step.field)).validate_python(value) if step.name != "id" else _id(value)
    step.field.db_value(read)
    return read


def _id(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("an id is a whole number")
    return value
