"""Wall 1: every reference to a tenant table in FROM or JOIN is rendered as a sub-select of the bound tenant's rows.

It happens when the SQL is compiled, at execution, so no filter of the caller can widen it, outer joins keep
their left rows, and a query built under one tenant runs as the one that is bound then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from rayces_core.binding import current
from rayces_core.errors import TenancyError

if TYPE_CHECKING:
    from rayces_core.queries import TenantSelect


def tenant_in(ctx: peewee.Context) -> Any:
    """The organization id to compile for: the bound one or, for SQL rendered once, its slot; None if privileged."""
    slot = ctx.state.tenant
    return current().organization_id if slot is None else slot.value


def write_source(ctx: peewee.Context, meta: TenantMetadata, entity: peewee.Node) -> peewee.Context:
    """Write a tenant table as a source: only the tenant's rows, or the bare table in privileged work."""
    tenant = tenant_in(ctx)
    if tenant is None:
        return ctx.sql(entity)
    ctx.literal("(SELECT * FROM ").sql(entity).literal(f' WHERE "{meta.tenant_column}" = ')
    return ctx.value(tenant, converter=False).literal(")")


class TenantTable(peewee.Table):
    """The table of a tenant model."""

    def clone(self) -> TenantTable:
        """A copy with columns of its own, still scoped."""
        return TenantTable(
            self.__name__, self._columns, self._primary_key, self._schema, self._alias, self._model, self._database
        )

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        if ctx.scope != peewee.SCOPE_SOURCE:
            return super().__sql__(ctx)
        if self._alias:
            ctx.alias_manager[self] = self._alias
        return self.apply_alias(write_source(ctx, self._model._meta, peewee.Entity(*self._path)))

    def select(self, *columns: Any) -> TenantSelect:
        """Rows of the bound tenant."""
        return self._model.select(*columns).from_(self) if columns else self._model.select()

    def _by_model_only(self, *_: Any, **__: Any) -> Any:
        raise TenancyError(f"write through the model {self._model.__name__}, which stamps and checks the tenant")

    insert = replace = update = delete = _by_model_only


class TenantAlias(peewee.ModelAlias):
    """A second name for a tenant model within one query; scoped like the model itself."""

    def select(self, *selection: Any) -> TenantSelect:
        """Rows of the bound tenant, under this alias."""
        return self.model._select_class(self, selection or self.get_field_aliases())

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        if ctx.scope != peewee.SCOPE_SOURCE:
            return super().__sql__(ctx)
        if self.alias:
            ctx.alias_manager[self] = self.alias
        meta = self.model._meta
        return write_source(ctx, meta, meta.entity).literal(" AS ").sql(peewee.Entity(ctx.alias_manager[self]))


class TenantMetadata(peewee.Metadata):
    """Metadata of a tenant model.

    Attributes: `tenant_column`, the column that holds the organization's id; `tenant_field`, its field's name;
    `prepared`, SQL rendered once, by shape; `builders`, functions that turn rows into objects, by selection.
    """

    tenant_column: str
    tenant_field: str

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prepared: dict[Any, Any] = {}
        self.builders: dict[Any, Any] = {}

    @property
    def table(self) -> TenantTable:
        """The table, as a source that scopes itself."""
        if self._table is None:
            columns = [field.column_name for field in self.sorted_fields]
            self._table = TenantTable(
                self.table_name, columns, schema=self.schema, _model=self.model, _database=self.database
            )
        return self._table

    @table.deleter
    def table(self) -> None:
        self._table = None
        # What was rendered names the old table or the old columns.
        self.prepared, self.builders = {}, {}
