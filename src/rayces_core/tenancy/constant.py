"""Which models may have their SQL rendered once: those that say nothing of their own on the way to it.

A model that overrides `select()`, or whose fields or queries render themselves, may filter by anything: the time, a
context variable, a setting of the tenant. What such a filter was the first time must not serve the second.
"""

from __future__ import annotations

from typing import Any

import peewee

from rayces_core.tenancy.scoping import TenantMetadata

# What `field == value` calls where nothing but the column and the value is written.
PLAIN_COMPARISONS: set[Any] = {peewee.Field.__eq__}
_IN_EVERY_CLASS = frozenset(
    ("__module__", "__doc__", "__annotations__", "__parameters__", "__orig_bases__", "__qualname__", "model")
)


def root_of(model: Any) -> Any:
    """The scoped model at the root of `model`, where the library's own methods are."""
    return [kind for kind in model.__mro__ if isinstance(vars(kind).get("_meta"), TenantMetadata)][-1]


def keeps(model: Any, name: str) -> bool:
    """Whether `model` and its bases leave the class method `name` as the library has it."""

    def found() -> bool:
        own = getattr(getattr(model, name), "__func__", None)
        return own is not None and own is getattr(root_of(model), name).__func__

    return bool(model._meta.remember(("keeps", name), found))


def only_adds(kind: type, base: type) -> bool:
    """Whether `kind` is `base`, or adds to it without changing anything that it has."""
    if base not in kind.__mro__:
        return False
    between = kind.__mro__[: kind.__mro__.index(base)]
    return not any(hasattr(base, name) for each in between for name in vars(each) if name not in _IN_EVERY_CLASS)


def is_written_plainly(field: Any) -> bool:
    """Whether a field is rendered as its column and nothing else."""
    kind = type(field)
    return kind.__sql__ is peewee.Field.__sql__ and kind.column is peewee.Field.column


def are_written_plainly(model: Any) -> bool:
    """Whether all fields of `model` are."""
    return bool(
        model._meta.remember("written plainly", lambda: all(map(is_written_plainly, model._meta.sorted_fields)))
    )


def is_compared_plainly(field: Any) -> bool:
    """Whether `field == value` is what it is for every column."""
    return getattr(type(field), "__eq__", None) in PLAIN_COMPARISONS


def is_constant(model: Any, name: str) -> bool:
    """Whether the SQL that the class method `name` begins is the same each time, but for the values given to it."""

    def found() -> bool:
        kept = keeps(model, name) and are_written_plainly(model)
        return kept and (name != "select" or only_adds(model._select_class, root_of(model)._select_class))

    return bool(model._meta.remember(("constant", name), found))
