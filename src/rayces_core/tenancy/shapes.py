"""Plain queries are compiled once per shape: the same fields and operators, whatever the values.

Compiling costs Peewee more than the server needs to answer. A query made of nothing but a model's own fields,
comparisons with plain values, AND, OR, ORDER BY, LIMIT and OFFSET has a shape that can be told in a few microseconds;
its SQL is rendered by the ordinary compiler the first time, scoped as ever, and kept with the places of its values.
A query with anything else in it is compiled each time. So is one whose rendering puts other values in other places
than were found here.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

import peewee

from rayces_core.database.binding import Binding, current
from rayces_core.tenancy.constant import are_written_plainly, only_adds
from rayces_core.tenancy.prepared import TENANT, Prepared
from rayces_core.tenancy.scoping import check_home

MOST_SHAPES = 300  # a model; conditions of ever new lengths must not fill the memory

_COMPARISONS = frozenset((peewee.OP.EQ, peewee.OP.NE, peewee.OP.LT, peewee.OP.LTE, peewee.OP.GT, peewee.OP.GTE))
_CONNECTIVES = frozenset((peewee.OP.AND, peewee.OP.OR))
_CAST = (float, decimal.Decimal, datetime.date, datetime.time)  # a datetime is a date
_PLAIN = (str, int, bool, enum.Enum, datetime.date, datetime.time, decimal.Decimal, uuid.UUID)


class _Values(list[Any]):
    """The values of a query, in the order they stand.

    Attributes: `exact`, whether each that a column is compared with is of a type that no cast changes: as a parameter
    it takes the column's type, and PostgreSQL would round 2.5 to 3, or a moment to its day.
    """

    exact = True


class _Unshapely(Exception):  # noqa: N818 - a signal within this file
    """The query has something that is not looked into."""


def run_shaped(query: Any) -> Any:
    """Run `query` by the SQL kept for its shape and return the cursor; None if it has to be compiled."""
    values = _Values()
    try:
        key = _shape(query, values)
    except _Unshapely:
        return None
    binding = current()
    kept: dict[Any, Prepared | None] = query.model._meta.remember("shapes", dict)
    key = (*key, binding.privileged)
    if key not in kept:
        if len(kept) >= MOST_SHAPES:
            return None
        kept[key] = _render(query, values, binding)
    statement = kept[key]
    if statement is None:
        return None
    return statement.run(binding, *values) if values.exact else statement.run_once(binding, *values)


def _render(query: Any, values: _Values, binding: Binding) -> Prepared | None:
    statement = Prepared(query, binding)
    found = [value for value in statement.values if value is not TENANT]
    same = len(found) == len(values) and all(
        type(mine) is type(theirs) and mine == theirs for mine, theirs in zip(values, found, strict=True)
    )
    return statement.opened() if same else None


def _shape(query: Any, values: _Values) -> tuple[Any, ...]:
    model = query.model
    if not peewee.is_model(model) or query._cte_list or getattr(query, "_alias", None):
        raise _Unshapely
    if not model._meta.remember(("shapely", type(query)), lambda: _renders_plainly(query)):
        raise _Unshapely
    head = _select(query) if isinstance(query, peewee.Select) else _write(query, values)
    where = None if query._where is None else _condition(query._where, model, values)
    order = tuple(_ordering(node, model) for node in query._order_by or ())
    ends = tuple(_count(value, values) for value in (query._limit, query._offset))
    return (type(query), head, where, order, ends)


def _renders_plainly(query: Any) -> bool:
    """Whether the query's class and the model's fields leave it to the library how they are written."""
    own = next(kind for kind in type(query).__mro__ if kind.__module__ == "rayces_core.tenancy.queries")
    return only_adds(type(query), own) and are_written_plainly(query.model)


def _select(query: Any) -> Any:
    plain = not (
        query._joins
        or query._group_by
        or query._having is not None
        or query._distinct is not None
        or query._simple_distinct
        or query._windows is not None
        or query._for_update is not None
        or query._lateral
        or len(query._from_list) != 1
        or query._from_list[0] is not query.model
    )
    if not plain:
        raise _Unshapely
    if query.selects_all():
        return None
    for node in query._returning:
        _own(node, query.model)
    return tuple(map(id, query._returning))


def _write(query: Any, values: _Values) -> Any:
    if query._returning:
        raise _Unshapely
    update = getattr(query, "_update", None)
    if update is None:
        return None
    if query._from or not all(isinstance(field, peewee.Field) for field in update):
        raise _Unshapely
    fields = sorted(update, key=lambda field: field._sort_key)
    for field in fields:
        _own(field, query.model)
        values.append(_plain(field, update[field]))
    return tuple(map(id, fields))


def _condition(node: Any, model: Any, values: _Values) -> tuple[Any, ...]:
    if type(node) is not peewee.Expression:
        raise _Unshapely
    if node.op in _CONNECTIVES:
        return (node.op, node.flat, _condition(node.lhs, model, values), _condition(node.rhs, model, values))
    if node.op not in _COMPARISONS:
        raise _Unshapely
    field = _own(node.lhs, model)
    values.append(value := _plain(field, node.rhs))
    if isinstance(value, _CAST):
        values.exact = False
    return (node.op, node.flat, id(field))


def _ordering(node: Any, model: Any) -> tuple[Any, ...]:
    if type(node) is not peewee.Ordering:
        return (id(_own(node, model)),)
    if node.collation:
        raise _Unshapely
    return (id(_own(node.node, model)), node.direction, node.nulls)


def _own(node: Any, model: Any) -> Any:
    """A field of the model itself, which lives as long as the model does."""
    if isinstance(node, peewee.Field) and model._meta.fields.get(getattr(node, "name", None)) is node:
        return node
    raise _Unshapely


def _plain(field: Any, value: Any) -> Any:
    named = isinstance(field, peewee.ForeignKeyField) and isinstance(value, field.rel_model)
    if not (named or isinstance(value, _PLAIN)):
        raise _Unshapely
    if named:
        check_home(value)
    stored = field.db_value(value)
    if isinstance(stored, peewee.Node):
        raise _Unshapely
    return stored


def _count(value: Any, values: _Values) -> bool:
    if value is None:
        return False
    if type(value) is not int:
        raise _Unshapely
    values.append(value)
    return True
