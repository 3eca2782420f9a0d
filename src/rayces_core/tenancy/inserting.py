"""INSERT of tenant rows: each is stamped with the bound tenant; one that names another is refused before any SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import peewee

from rayces_core.errors import CrossTenantError, InvalidDataError, TenancyError, TenantNotSetError
from rayces_core.tenancy.columns import check_writable, names_tenant
from rayces_core.tenancy.queries import ScopedResult
from rayces_core.tenancy.scoping import check_home, tenant_in

_NO_ROW = object()


class TenantInsert(ScopedResult, peewee.ModelInsert):
    """INSERT that stamps the bound tenant on every row and refuses one that names another."""

    _fills_defaults = True
    _repeats = True

    def get_default_data(self) -> Any:
        """The defaults of columns that a row does not name."""
        return super().get_default_data() if self._fills_defaults else {}

    def _gives_rows(self) -> bool:
        return self._return_cursor or not self._as_rowcount  # the ids, if nothing else was asked for

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        meta = self.model._meta
        query = self.clone()
        query._check_conflict()
        tenant = tenant_in(ctx)
        if meta.tenant_column == "id":
            if tenant is not None:
                raise TenancyError("an organization is made by db.create_organization(...) or in a privileged block")
        elif tenant is not None:
            query._stamp(meta.fields[meta.tenant_field], tenant)
        elif not query._names_organization():
            raise TenantNotSetError("privileged work must name the organization of every row it inserts")
        return super(TenantInsert, query).__sql__(ctx)

    def _stamp(self, field: peewee.Field, tenant: Any) -> None:
        stamp = peewee.Value(tenant, converter=False)
        if self._query_type == peewee.Insert.QUERY:
            self._stamp_query(field, stamp)
        elif isinstance(self._insert, Mapping):
            self._insert = _stamped(self._insert, self.model, field, tenant, stamp)
        else:
            self._stamp_rows(field, tenant, stamp)

    def _stamp_query(self, field: peewee.Field, stamp: peewee.Value) -> None:
        if _place_of_tenant(self.model, self._columns or ()) is not None:
            return  # The values come from the SELECT; row-level security refuses another tenant's.
        if not self._columns or not isinstance(self._insert, peewee.SelectBase):
            raise TenancyError("INSERT from a query needs its fields named and a SELECT, so that it can be stamped")
        self._columns = [*self._columns, field]
        query = self._insert.clone()
        if isinstance(query, peewee.CompoundSelectQuery):
            source = query.alias("arms")
            query = peewee.Select((source,), [source.__star__])
        query._returning = [*query._returning, stamp]
        query._is_default = False
        self._insert = query

    def _stamp_rows(self, field: peewee.Field, tenant: Any, stamp: peewee.Value) -> None:
        self._choose_columns()
        if self._columns is None:
            self._insert = (_stamped(row, self.model, field, tenant, stamp) for row in self._insert)
            return
        at = _place_of_tenant(self.model, self._columns)
        # In front, so that a row with too many values or too few puts none of them there.
        self._columns = [field, *_without(self._columns, self.model)]
        self._insert = _stamped_tuples(self._insert, self.model, field, tenant, stamp, at)

    def _choose_columns(self) -> None:
        """Name the columns of rows that are tuples; rows that are dicts name their own, and `_columns` is None."""
        if self._columns:
            return
        rows = iter(self._insert)
        first = next(rows, _NO_ROW)
        by_name = first is _NO_ROW or isinstance(first, Mapping)
        self._columns = None if by_name else self.get_default_columns()
        self._insert = () if first is _NO_ROW else chain((first,), rows)

    def _names_organization(self) -> bool:
        if self._query_type == peewee.Insert.QUERY:
            return _place_of_tenant(self.model, self._columns or ()) is not None
        if isinstance(self._insert, Mapping):
            return _tells_tenant(self.model, self._insert, None)
        self._choose_columns()
        self._insert = rows = list(self._insert)
        at = _place_of_tenant(self.model, self._columns or ())
        return all(_tells_tenant(self.model, row, at) for row in rows)

    def _check_conflict(self) -> None:
        conflict = self._on_conflict
        if conflict is None:
            return
        for column in (*(conflict._preserve or ()), *(conflict._update or ())):
            check_writable(self.model, column)
        target = conflict._conflict_target
        meta = self.model._meta
        if target and meta.tenant_column != "id" and not any(names_tenant(self.model, column) for column in target):
            # Every unique constraint starts with the tenant, so no other target can match one.
            self._on_conflict = conflict = conflict.clone()
            conflict._conflict_target = (meta.fields[meta.tenant_field], *target)


def _place_of_tenant(model: Any, columns: Iterable[Any]) -> int | None:
    return next((i for i, column in enumerate(columns) if names_tenant(model, column)), None)


def _without(columns: Iterable[Any], model: Any) -> list[Any]:
    return [column for column in columns if not names_tenant(model, column)]


def _tells_tenant(model: Any, row: Any, at: int | None) -> bool:
    if isinstance(row, Mapping):
        return any(names_tenant(model, key) and row[key] is not None for key in row)
    return at is not None and at < len(row) and row[at] is not None


def _check_value(model: Any, value: Any, tenant: Any) -> None:
    check_home(value)
    given = getattr(value, "id", value)
    if given is not None and given is not tenant and given != tenant:
        raise CrossTenantError(
            f"a {model.__name__} of organization {given} cannot be written while {tenant} is bound",
            bound=tenant,
            found=given,
        )


def _check_names(model: Any, row: Mapping[Any, Any]) -> None:
    for key in row:
        if isinstance(key, str) and key not in model._meta.combined:
            raise InvalidDataError(f"{model.__name__}.{key}", row[key], "there is no such field")


def _stamped(row: Any, model: Any, field: peewee.Field, tenant: Any, stamp: peewee.Value) -> dict[Any, Any]:
    if not isinstance(row, Mapping):
        raise TenancyError("the rows must be all dicts, or all tuples, so that each can be stamped")
    _check_names(model, row)
    kept = {}
    for key, value in row.items():
        if names_tenant(model, key):
            _check_value(model, value, tenant)
        else:
            kept[key] = value
    kept[field] = stamp
    return kept


def _stamped_tuples(
    rows: Iterable[Any], model: Any, field: peewee.Field, tenant: Any, stamp: peewee.Value, at: int | None
) -> Iterator[Any]:
    for row in rows:
        if isinstance(row, Mapping):
            yield _stamped(row, model, field, tenant, stamp)
        elif at is None:
            yield [stamp, *row]
        else:
            _check_value(model, row[at] if at < len(row) else None, tenant)
            yield [stamp, *row[:at], *row[at + 1 :]]
