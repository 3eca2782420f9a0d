"""hstore columns, declared with playhouse's HStoreField, as dicts.

psycopg2 knows hstore only where `register_hstore` was called, for one connection when reading and for every dict of the
process when writing. Here the field itself does both, and nothing else of the process is touched.
"""

from __future__ import annotations

from typing import Any

import peewee
import psycopg2
from psycopg2.extras import HstoreAdapter


class Pairs(HstoreAdapter):
    """A dict on its way into an hstore column."""

    @property
    def adapted(self) -> dict[str, str | None]:
        """The dict itself."""
        pairs: dict[str, str | None] = self.wrapped
        return pairs

    def __conform__(self, _: object) -> Pairs:
        return self


def read_as_dict(field: Any) -> None:
    """Have `field`, if it is an hstore column, take and give dicts; what its class overrides stays."""
    kind = type(field)
    if getattr(kind, "field_type", None) != "HSTORE" or "_takes_dicts" in vars(kind):
        return
    plain = next((each for each in kind.__mro__ if each.__module__ == "playhouse.postgres_ext"), None)
    if plain is not None:
        ours = {name: method for name, method in _METHODS.items() if getattr(kind, name) is getattr(plain, name)}
        field.__class__ = type(kind.__name__, (kind,), {"_takes_dicts": True, **ours})


def _db_value(_: Any, value: Any) -> Any:
    return Pairs(value) if isinstance(value, dict) else value


def _python_value(_: Any, value: Any) -> Any:
    try:
        return HstoreAdapter.parse(value, None) if isinstance(value, str) else value  # type: ignore[no-untyped-call]
    except psycopg2.InterfaceError:
        return value  # what a function made of the column


def _contains(self: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return peewee.Expression(self, "@>", peewee.Value(Pairs(value), converter=False))
    return super(type(self), self).contains(value)


def _update(self: Any, __data: dict[str, Any] | None = None, **data: Any) -> Any:
    return peewee.Expression(self, "||", peewee.Value(Pairs({**(__data or {}), **data}), converter=False))


_METHODS = {"db_value": _db_value, "python_value": _python_value, "contains": _contains, "update": _update}
