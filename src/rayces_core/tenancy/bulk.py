"""Updates of many rows at once: each row its own values, in one statement for a batch of one organization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import peewee

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.tenancy.queries import TenantUpdate
from rayces_core.tenancy.scoping import known_tenant_of

_TEXTS = ("VARCHAR", "CHAR", "TEXT")


def updates_of(
    model: Any, instances: Iterable[Any], columns: list[Any], batch_size: int | None
) -> Iterator[TenantUpdate]:
    """UPDATEs that write to each of `instances`, by id, its own values of `columns`; one organization each."""
    rows_of: dict[int | None, list[Any]] = {}
    for instance in instances:
        rows_of.setdefault(known_tenant_of(instance), []).append(instance)
    tenant = model._meta.fields[model._meta.tenant_field]
    for organization_id, rows in rows_of.items():
        for batch in peewee.chunked(rows, batch_size or len(rows)):
            update = _update_each(model, batch, columns)
            yield update if organization_id is None else update.where(tenant == organization_id)


def _update_each(model: Any, rows: list[Any], columns: list[Any]) -> TenantUpdate:
    key, values = model._meta.primary_key, {}
    for column in columns:
        if any(column.name not in row.__data__ for row in rows):
            raise InvalidDataError(f"{model.__name__}.{column.name}", None, "was not read with every row")
        given = [(key.to_value(row._pk), getattr(row, column.safe_name)) for row in rows]
        cases = [(key == pk, v if isinstance(v, peewee.Node) else column.case_value(v)) for pk, v in given]
        values[column] = _typed(column, [value for _, value in given], peewee.Case(None, cases))
    update: TenantUpdate = model.update(values).where(key.in_([row._pk for row in rows]))
    return update


def _typed(column: Any, values: list[Any], cases: Any) -> Any:
    """Cases as the column's type, where PostgreSQL would take them for text: nothing but NULLs and quoted values."""
    if any(isinstance(value, peewee.Node) and not isinstance(value, peewee.Model) for value in values):
        return cases
    stored = [column.db_value(value) for value in values]
    untyped = all(value is None or isinstance(value, str) for value in stored)
    datatype = getattr(column.ddl_datatype(current().engine.get_sql_context()), "sql", None) or "TEXT"
    return cases.cast(datatype) if untyped and not datatype.startswith(_TEXTS) else cases
