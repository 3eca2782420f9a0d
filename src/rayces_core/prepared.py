"""SQL of the common shapes (by id, insert one, update by id), rendered once per model by the ordinary compiler.

Rendering goes through the same scoping as every query; only the values are left open. There is no second way in.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import peewee

from rayces_core.binding import Binding, current


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
    """One rendered statement."""

    __slots__ = ("_pick", "sql")

    def __init__(self, query: Any, binding: Binding) -> None:
        tenant = PRIVILEGED if binding.privileged else TENANT
        context = binding.engine.get_sql_context(tenant=tenant)
        self.sql, values = context.sql(query).query()
        self._pick = _picker(values)

    def run(self, binding: Binding, *values: Any) -> Any:
        """Execute with the bound tenant and `values`, in the order of their slots; returns the cursor."""
        return binding.engine.run_prepared(self.sql, self._pick((binding.organization_id, *values)))


def _picker(values: list[Any]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if all(isinstance(value, Slot) for value in values):
        indexes: list[Any] = [value.index for value in values]
        if len(indexes) > 1:
            return itemgetter(*indexes)
        return lambda given: (given[indexes[0]],)
    return lambda given: tuple(given[value.index or 0] if isinstance(value, Slot) else value for value in values)


def prepared(model: type[peewee.Model], shape: Any, make: Callable[[], Any]) -> Prepared:
    """The rendered statement of `shape` for the current kind of binding; `make()` builds its query the first time."""
    binding = current()
    return model._meta.remember((shape, binding.privileged), lambda: Prepared(make(), binding))
