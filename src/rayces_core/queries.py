"""The queries of tenant models: no read serves one tenant's rows to another, every write is stamped and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import peewee

from rayces_core.binding import Binding, bound, current
from rayces_core.errors import CrossTenantError, TenancyError, TenantImmutableError, TenantNotSetError
from rayces_core.hydration import Rows, builder
from rayces_core.scoping import tenant_in

_BUILT = (peewee.ROW.MODEL, peewee.ROW.TUPLE, peewee.ROW.DICT, peewee.ROW.NAMED_TUPLE)


class ScopedResult:
    """Keeps a query's result only for the binding it was read under, and builds its rows by template."""

    _read_under: Binding | None = None

    def _execute(self, database: Any) -> Any:
        binding = current()
        if self._read_under is not binding:
            self._cursor_wrapper = None
            self._read_under = binding
        result = super()._execute(database)
        if isinstance(result, peewee.ModelCursorWrapper) and not self._streams:
            result.fill_cache()
        return result

    _streams = False

    def _ensure_execution(self) -> None:
        self.execute()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.execute())

    def iterator(self, database: Any = None) -> Iterator[Any]:
        """Rows one by one, kept nowhere; raises when read on after the tenant's block."""
        query = self.clone()
        query._streams = True
        return _held(super(ScopedResult, query).iterator(database), current())

    def _get_cursor_wrapper(self, cursor: Any) -> Any:
        row_type = self._row_type or self.default_row_type
        if row_type not in _BUILT or (row_type == peewee.ROW.MODEL and getattr(self, "_joins", None)):
            return super()._get_cursor_wrapper(cursor)
        return Rows(cursor, builder(self, cursor, row_type), current().organization_id)


def _held(rows: Iterator[Any], binding: Binding) -> Iterator[Any]:
    while True:
        now = bound.get()
        if now is not binding:
            if now is None:
                raise TenantNotSetError("the tenant's block has ended; read the iterator inside it")
            raise CrossTenantError(
                "this iterator was begun under another tenant; read it inside that block",
                bound=now.organization_id,
                found=binding.organization_id,
            )
        try:
            row = next(rows)
        except StopIteration:
            return
        yield row


class TenantSelect(ScopedResult, peewee.ModelSelect):
    """SELECT of a tenant model."""

    def _normalize_join(self, src: Any, dest: Any, on: Any, attr: str | None) -> Any:
        generated = on is None or isinstance(on, peewee.Field)
        on, attr, constructor, context = super()._normalize_join(src, dest, on, attr)
        if generated and on is not None and _has_tenant(src) and _has_tenant(dest):
            # The key is (organization_id, id): in privileged work, id alone may meet another tenant's row.
            on = on & (src.organization == dest.organization)
        return on, attr, constructor, context

    def union_all(self, rhs: Any) -> TenantCompoundSelect:
        """Rows of both, repeated ones too."""
        return TenantCompoundSelect(self.model, self, "UNION ALL", rhs)

    def union(self, rhs: Any) -> TenantCompoundSelect:
        """Rows of both, each once."""
        return TenantCompoundSelect(self.model, self, "UNION", rhs)

    def intersect(self, rhs: Any) -> TenantCompoundSelect:
        """Rows that are in both."""
        return TenantCompoundSelect(self.model, self, "INTERSECT", rhs)

    def except_(self, rhs: Any) -> TenantCompoundSelect:
        """Rows of this one that are not in the other."""
        return TenantCompoundSelect(self.model, self, "EXCEPT", rhs)

    __add__, __or__, __and__, __sub__ = union_all, union, intersect, except_


def _has_tenant(source: Any) -> bool:
    model = source.model if isinstance(source, peewee.ModelAlias) else source
    return peewee.is_model(model) and "organization" in model._meta.fields


class TenantCompoundSelect(ScopedResult, peewee.ModelCompoundSelectQuery):
    """UNION, INTERSECT or EXCEPT; every arm is scoped by itself."""

    union_all, union = TenantSelect.union_all, TenantSelect.union
    intersect, except_ = TenantSelect.intersect, TenantSelect.except_
    __add__, __or__, __and__, __sub__ = union_all, union, intersect, except_

    @property
    def _joins(self) -> Any:
        return getattr(self.lhs, "_joins", None)


class TenantRaw(ScopedResult, peewee.ModelRaw):
    """Raw SQL read as a tenant model; held by row-level security."""


class ScopedWrite:
    """Adds the tenant to an UPDATE or DELETE when it is compiled, outside the caller's own WHERE."""

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        tenant = tenant_in(ctx)
        if tenant is None:
            return super().__sql__(ctx)
        meta = self.model._meta
        own = peewee.Expression(meta.fields[meta.tenant_field], peewee.OP.EQ, peewee.Value(tenant, converter=False))
        query = self.clone()
        query._where = own if query._where is None else peewee.Expression(own, peewee.OP.AND, query._where)
        return super(ScopedWrite, query).__sql__(ctx)


class TenantUpdate(ScopedWrite, ScopedResult, peewee.ModelUpdate):
    """UPDATE of the tenant's rows; a row never changes its organization."""

    def __init__(self, model: Any, update: Any = None, **options: Any) -> None:
        for key in update or ():
            if _names_tenant(model, key):
                raise TenantImmutableError
        super().__init__(model, update, **options)


class TenantDelete(ScopedWrite, ScopedResult, peewee.ModelDelete):
    """DELETE of the tenant's rows."""


class TenantInsert(ScopedResult, peewee.ModelInsert):
    """INSERT that stamps the bound tenant on every row and refuses one that names another."""

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
            self._columns = _without(self._columns, field)
        else:
            self._stamp_rows(field, tenant, stamp)

    def _stamp_query(self, field: peewee.Field, stamp: peewee.Value) -> None:
        if any(_names_tenant(self.model, column) for column in self._columns or ()):
            return  # The values come from the SELECT; row-level security refuses another tenant's.
        if not self._columns or not isinstance(self._insert, peewee.Select):
            raise TenancyError(
                "INSERT from a query needs its fields named and a plain SELECT, so that it can be stamped"
            )
        self._columns = [*self._columns, field]
        query = self._insert.clone()
        query._returning = [*query._returning, stamp]
        query._is_default = False
        self._insert = query

    def _stamp_rows(self, field: peewee.Field, tenant: Any, stamp: peewee.Value) -> None:
        if self._columns is None:
            rows = self._insert
            self._insert = (
                _stamped(row, self.model, field, tenant, stamp) if isinstance(row, Mapping) else row for row in rows
            )
            return
        columns = [getattr(self.model, c) if isinstance(c, str) else c for c in self._columns]
        at = next((i for i, column in enumerate(columns) if column is field), None)
        self._columns = [*_without(columns, field), field]
        self._insert = _stamped_tuples(self._insert, self.model, field, tenant, stamp, at)

    def _names_organization(self) -> bool:
        if self._columns is not None:
            return any(_names_tenant(self.model, column) for column in self._columns)
        if isinstance(self._insert, Mapping):
            return any(_names_tenant(self.model, key) and self._insert[key] is not None for key in self._insert)
        self._insert = rows = list(self._insert)
        return all(
            isinstance(r, Mapping) and any(_names_tenant(self.model, k) and r[k] is not None for k in r) for r in rows
        )

    def _check_conflict(self) -> None:
        conflict = self._on_conflict
        if conflict is None:
            return
        written = [*(conflict._preserve or ()), *(conflict._update or ())]
        if any(_names_tenant(self.model, column) for column in written):
            raise TenantImmutableError
        target = conflict._conflict_target
        meta = self.model._meta
        if target and meta.tenant_column != "id" and not any(_names_tenant(self.model, column) for column in target):
            # Every unique constraint starts with the tenant, so no other target can match one.
            self._on_conflict = conflict = conflict.clone()
            conflict._conflict_target = (meta.fields[meta.tenant_field], *target)


def _names_tenant(model: Any, key: Any) -> bool:
    meta = model._meta
    if isinstance(key, str):
        return key in (meta.tenant_field, meta.tenant_column) and meta.tenant_column != "id"
    return key is meta.fields[meta.tenant_field] and meta.tenant_column != "id"


def _without(columns: Iterable[Any] | None, field: peewee.Field) -> list[Any] | None:
    return None if columns is None else [column for column in columns if column is not field]


def _check_value(model: Any, value: Any, tenant: Any) -> None:
    given = getattr(value, "id", value)
    if given is not None and given is not tenant and given != tenant:
        raise CrossTenantError(
            f"a {model.__name__} of organization {given} cannot be written while {tenant} is bound",
            bound=tenant,
            found=given,
        )


def _stamped(
    row: Mapping[Any, Any], model: Any, field: peewee.Field, tenant: Any, stamp: peewee.Value
) -> dict[Any, Any]:
    kept = {}
    for key, value in row.items():
        if _names_tenant(model, key):
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
            yield [*row, stamp]
        else:
            _check_value(model, row[at], tenant)
            yield [*row[:at], *row[at + 1 :], stamp]
