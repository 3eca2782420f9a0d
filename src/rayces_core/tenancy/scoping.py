"""Wall 1: every reference to a tenant table in FROM or JOIN is rendered as a sub-select of the bound tenant's rows.

It happens when the SQL is compiled, at execution, so no filter of the caller can widen it, outer joins keep
their left rows, and a query built under one tenant runs as the one that is bound then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import peewee

from rayces_core.database.binding import DIALECT, Binding, bound_here, current
from rayces_core.database.binding import database as bound_database
from rayces_core.errors import CrossTenantError, InvalidDataError, TenancyError
from rayces_core.fields.hstore import read_as_dict
from rayces_core.fields.in_place import watch


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

    def select(self, *columns: Any) -> peewee.ModelSelect[Any]:
        """Rows of the bound tenant."""
        return self._model.select(*columns).from_(self) if columns else self._model.select()

    def _by_model_only(self, *_: Any, **__: Any) -> Any:
        raise TenancyError(f"write through the model {self._model.__name__}, which stamps and checks the tenant")

    insert = replace = update = delete = _by_model_only


class TenantAlias(peewee.ModelAlias):
    """A second name for a tenant model within one query; scoped like the model itself."""

    def select(self, *selection: Any) -> peewee.ModelSelect[Any]:
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
    `defaults_in_database`, whether the table has the fields' defaults too; `prepared`, SQL rendered once, by shape;
    `builders`, functions that turn rows into objects, by selection.
    """

    tenant_column: str
    tenant_field: str
    defaults_in_database: bool
    prepared: dict[Any, Any]
    builders: dict[Any, Any]

    def add_field(self, field_name: str, field: Any, set_attribute: bool = True) -> None:
        """Take up a field; what it wants to know of its database it is told at once, as there is one dialect."""
        known = len(self._db_hooks)
        read_as_dict(field)
        super().add_field(field_name, field, set_attribute)
        # Outside a block Peewee has just told it that there is none.
        for hook in self._db_hooks[known:]:
            hook(DIALECT)
        if set_attribute:
            watch(self.model, field)

    @property
    def database(self) -> Any:
        """The database of whatever tenant is bound; no model has another."""
        return bound_database

    @database.setter
    def database(self, given: Any) -> None:
        if given not in (None, bound_database):
            self.set_database(given)

    @property
    def table_name(self) -> str:
        """Name of the table; what was rendered with another is forgotten."""
        return self._table_name

    @table_name.setter
    def table_name(self, name: str) -> None:
        self._table_name = name
        del self.table

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
        # What was rendered names the old table or the old columns; the first time, there is nothing.
        self.prepared, self.builders = {}, {}

    def remember(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make()` gave the first time it was asked for under `key`, until the table or its columns change."""
        try:
            return self.prepared[key]
        except KeyError:
            return self.prepared.setdefault(key, make())

    def set_database(self, _: Any) -> None:
        """Refused: Meta.database, Model.bind() and bind_ctx() would take the model away from the bound tenant."""
        raise TenancyError(
            f"{self.model.__name__} finds its database through the bound tenant: "
            "name none in Meta and bind none; use `with db.tenant(...):`"
        )


# -- rows in memory ----------------------------------------------------------------------------------------------


def tenant_of(row: peewee.Model) -> int | None:
    """Id of the organization a row belongs to, as far as the row itself knows."""
    value: int | None = row.__data__.get(row._meta.tenant_field)
    return value


def home_of(binding: Binding) -> Any:
    """Which database a binding is of; the engines of one Database are one home."""
    return getattr(binding.engine, "home", binding.engine)


def check_home(row: Any) -> None:
    """Raise where `row` was read from, or written to, another database than the bound one: its id means nothing here.

    A row that is new, or was pickled, knows no database; then its organization alone counts.
    """
    home, binding = getattr(row, "_home", None), bound_here()
    if home is not None and binding is not None and home is not home_of(binding):
        raise CrossTenantError(
            f"this {type(row).__name__} is of another database than the bound one; read it there, or write a new one",
            bound=binding.organization_id,
        )


def share_home(row: Any, related: Any) -> None:
    """Let a row that names `related` be of its database; raise where it is of another already."""
    mine, theirs = getattr(row, "_home", None), getattr(related, "_home", None)
    if theirs is None:
        return
    if mine is None:
        row._home = theirs
    elif mine is not theirs:
        raise CrossTenantError(f"this {type(related).__name__} is of another database than the {type(row).__name__}")


def check_database(database: Any) -> None:
    """Raise where a query would run on another database than the bound one, with none of its walls."""
    if database is not bound_database and getattr(database, "home", database) is not home_of(current()):
        raise TenancyError(
            "the query of a tenant model runs where its tenant is bound; leave the database out, "
            "and bind the tenant of the one that you mean: `with other.tenant(...):`"
        )


def check_reach(row: peewee.Model) -> int | None:
    """Raise unless `row` belongs to the bound tenant or is new; returns its organization's id, if it has one."""
    own, binding = tenant_of(row), current()
    check_home(row)
    if binding.organization_id is not None and own is not None and own != binding.organization_id:
        raise CrossTenantError(
            f"this {type(row).__name__} belongs to organization {own}, but {binding.organization_id} is bound",
            bound=binding.organization_id,
            found=own,
        )
    return own


def check_saved(row: object, model: type[peewee.Model], name: str, way: str = "save it first") -> None:
    """Raise unless it is a saved row of that model which the bound tenant reaches.

    `name` is the argument's; `way` says how one is made.
    """
    if not isinstance(row, model):
        raise InvalidDataError(name, row, f"needs a saved {model.__name__}, got {type(row).__name__}")
    check_reach(row)
    if getattr(row, "id", None) is None:
        raise InvalidDataError(name, row, f"is not saved yet; {way}")


def known_tenant_of(row: peewee.Model) -> int | None:
    """Like check_reach, where an id alone may mean rows of several tenants: privileged work must know whose it is."""
    own = check_reach(row)
    if own is None and current().privileged:
        raise CrossTenantError(
            f"this {type(row).__name__} was loaded without its organization; select organization too"
        )
    return own


class TenantLoad(peewee.Load):
    """A relation that is read along with the rows; in privileged work too it stays within their organization."""

    @classmethod
    def of(cls, load: Any) -> TenantLoad:
        """The same relation, and those after it, as ours."""
        given = load if isinstance(load, peewee.Load) else peewee.Load(load)
        mine = cls.__new__(cls)
        mine.__dict__ = {**given.__dict__, "_children": tuple(map(cls.of, given._children))}
        return mine

    def _run(self, parents: Any, parent_query: Any, depth: int = 0, database: Any = None) -> Any:
        privileged = current().privileged
        if privileged and self._per_parent is not None:
            raise TenancyError("per_parent counts rows by id, which organizations may share; bind a tenant for it")
        children, query = super()._run(parents, parent_query, depth, database)
        if privileged:
            owners, targets = (children, parents) if self._is_backref else (parents, children)
            link(self._field, owners, targets, lists=self._is_backref)
        return children, query


def prefetch_by_tenant(query: Any, subqueries: tuple[Any, ...], kind: Any) -> list[Any]:
    """Like peewee.prefetch(), whose rows meet by id alone; here by organization and id."""
    steps = peewee.prefetch_add_subquery(query, subqueries, kind)
    rows = [list(step.query) for step in steps]
    for step, mine in zip(steps[1:], rows[1:], strict=True):
        theirs = [
            row for other, found in zip(steps, rows, strict=True) if other.model in step.rel_models for row in found
        ]
        for key in step.fields:
            owners, targets = (theirs, mine) if step.is_backref else (mine, theirs)
            link(key, owners, targets, lists=not step.is_backref)
    return rows[0]


def link(key: Any, owners: list[Any], targets: list[Any], *, lists: bool) -> None:
    """Bring together rows that hold the foreign key `key` and those it names, of one organization each.

    `lists` also gives each target the list of its owners, under the name of the back-reference.
    """
    named = {(known_tenant_of(row), row.__data__[key.rel_field.name]): row for row in targets}
    held = defaultdict(list)
    for owner in owners:
        place = (known_tenant_of(owner), owner.__data__[key.name])
        held[place].append(owner)
        owner.__rel__.pop(key.name, None)
        if place in named:
            owner.__rel__[key.name] = named[place]
    for target in targets if lists else ():
        setattr(target, key.backref, held[known_tenant_of(target), target.__data__[key.rel_field.name]])
