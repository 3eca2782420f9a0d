"""SQL of the common shapes (by id, insert one, update by id), rendered once per model by the ordinary compiler.

Rendering goes through the same scoping as every query; only the values are left open. There is no second way in.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import peewee

from rayces_core.database.binding import Binding, current


class Slot:
    """The place of a value in rendered SQL."""

    __slots__ = ("index", "value")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.value = None if index is None else self


TENANT = Slot(0)
PRIVILEGED = Slot(None)


def slots(count: int) -> list[peewee.Value]:
    """Open values 1 … count, to be put into a query in place of real ones."""
    return [peewee.Value(Slot(i + 1), converter=False) for i in range(count)]


class Prepared:
    """One rendered statement, and the places of its values."""

    __slots__ = ("_pick", "sql", "values")

    def __init__(self, query: Any, binding: Binding) -> None:
        context = binding.engine.get_sql_context(tenant=PRIVILEGED if binding.privileged else TENANT)
        self.sql, self.values = context.sql(query).query()
        self._pick = _picker(self.values)

    def opened(self) -> Prepared:
        """The same statement with every value but the tenant left open, in the order they stand."""
        count = iter(range(1, len(self.values) + 1))
        self.values = [value if value is TENANT else Slot(next(count)) for value in self.values]
        self._pick = _picker(self.values)
        return self

    def run(self, binding: Binding, *values: Any) -> Any:
        """Execute with the bound tenant and `values`, in the order of their slots; returns the cursor."""
        return binding.engine.run_shape(self.sql, self._pick((binding.organization_id, *values)))

    def run_once(self, binding: Binding, *values: Any) -> Any:
        """The same, where the server is not to keep the statement: as parameters its values would be cast."""
        return binding.engine.run_prepared(self.sql, self._pick((binding.organization_id, *values)))


def _picker(values: list[Any]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    indexes = [value.index if isinstance(value, Slot) else None for value in values]
    if None in indexes:  # a value that is part of the statement
        return lambda given: tuple(given[i] if i is not None else v for i, v in zip(indexes, values, strict=True))
    if len(indexes) > 1:
        return itemgetter(*indexes)
    return lambda given: tuple(given[i or 0] for i in indexes)


def prepared(model: type[peewee.Model], shape: Any, make: Callable[[], Any]) -> Prepared:
    """The rendered statement of `shape` for the current kind of binding; `make()` builds its query the first time."""
    binding = current()
    return model._meta.remember((shape, binding.privileged), lambda: Prepared(make(), binding))
