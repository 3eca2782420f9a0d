"""Which columns no statement changes: the one that holds the organization, and those that only events change."""

from __future__ import annotations

from typing import Any

import peewee

from rayces_core.errors import TenantImmutableError
from rayces_core.fields import assigned, settles


def check_writable(model: Any, key: Any) -> None:
    """Refuse to change a column that never changes, or that only events change."""
    if names_tenant(model, key):
        raise TenantImmutableError
    field = model._meta.combined.get(key if isinstance(key, str) else _column_name(key))
    if field is not None and settles(field):
        raise assigned(field)


def names_tenant(model: Any, key: Any) -> bool:
    """Whether `key`, a name, field or column, is the one that holds the organization."""
    meta = model._meta
    if meta.tenant_column == "id":
        return False
    if isinstance(key, str):
        return key in (meta.tenant_field, meta.tenant_column)
    return bool(_column_name(key) == meta.tenant_column)


def _column_name(key: Any) -> Any:
    if isinstance(key, peewee.Field):
        return key.column_name
    if isinstance(key, peewee.Column):
        return key.name
    return key._path[-1] if isinstance(key, peewee.Entity) else None
