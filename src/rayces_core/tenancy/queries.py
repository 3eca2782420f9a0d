"""The queries of tenant models: no read serves one tenant's rows to another, every write is stamped and checked."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from operator import and_, is_
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, overload

import peewee
from typing_extensions import TypeVar

from rayces_core.database.binding import Binding, block_here, current
from rayces_core.errors import NotPermittedError, TenancyError
from rayces_core.tenancy.columns import check_writable
from rayces_core.tenancy.constant import are_written_plainly
from rayces_core.tenancy.framed import Framed
from rayces_core.tenancy.hydration import Build, Rows, builder
from rayces_core.tenancy.joined import joined_builder, named_after
from rayces_core.tenancy.scoping import TenantLoad, check_database, home_of, prefetch_by_tenant, tenant_in
from rayces_core.tenancy.shapes import run_shaped
from rayces_core.tenancy.showing import ShownQuery
from rayces_core.tenancy.streaming import ServerCursor, Stream, built, held

Row = TypeVar("Row", bound=peewee.Model, default=Any)
_BUILT = (peewee.ROW.MODEL, peewee.ROW.TUPLE, peewee.ROW.DICT, peewee.ROW.NAMED_TUPLE)


class ScopedResult(ShownQuery):
    """Keeps a query's result only for the binding it was read under, and builds its rows by template."""

    # What was read, for whom and in which block, in one tuple: queries may be shared between threads.
    _kept: tuple[Binding, object, Any] | None = None
    _wrapper: Any = None
    _streams = False
    _repeats = False  # whether every execute() runs anew, as writing does

    @property
    def _cursor_wrapper(self) -> Any:
        return self._wrapper

    @_cursor_wrapper.setter
    def _cursor_wrapper(self, wrapper: Any) -> None:
        # Peewee drops its own so wherever it copies a query or changes one in place; what we keep goes with it.
        self._wrapper = wrapper
        if wrapper is None:
            self._kept = None

    def _execute(self, database: Any) -> Any:
        check_database(database)
        kept = None if self._repeats or self._streams else self._valid()
        if kept is not None:
            return kept
        binding, mine = current(), block_here()
        query = self.clone()
        result = query._run(database)
        # Of an INSERT the result is the new id, and its rows are kept beside.
        rows = result if isinstance(result, peewee.CursorWrapper) else query._cursor_wrapper
        if isinstance(rows, peewee.CursorWrapper):
            self._kept = binding, mine, rows
        return result

    def _valid(self) -> Any:
        kept = self._kept
        return kept[2] if kept is not None and kept[0] is current() and kept[1] is block_here() else None

    def _run(self, database: Any) -> Any:
        """Execute this query, which nobody else has."""
        self._cursor_wrapper = None
        if database is self._database and self._may_be_shaped():
            cursor = run_shaped(self)
            if cursor is not None:
                self._cursor_wrapper = self._get_cursor_wrapper(cursor)
        result = super()._execute(database)
        rows = self._cursor_wrapper
        if isinstance(rows, peewee.CursorWrapper) and not isinstance(rows, Rows) and not self._streams:
            # Peewee's own make their instances when looked at, which may be in another tenant's block.
            rows.fill_cache()
        return result

    def _may_be_shaped(self) -> bool:
        return False

    def open_on_server(self, size: int | None) -> ServerCursor:
        """A cursor on the server that gives this query's rows, `size` at a time; in a unit of work only."""
        if self._repeats:
            raise TenancyError("a write cannot stay on the server; call execute()")
        return ServerCursor(self, size)

    def _result(self) -> Any:
        # Not again in the same block: list() asks for the length too, and this may be an INSERT.
        kept = self._valid()
        if kept is not None:
            return kept
        if self._repeats:
            self._check_rows()
        result = self.execute()
        kept = self._valid()
        return result if kept is None else kept

    def _check_rows(self) -> None:
        """Refuse to write only because the rows of a write were asked for, where that is no first time or none come."""
        if self._kept is not None:
            raise TenancyError("this was written in another block; execute() writes it again, in this one")
        if not self._gives_rows():
            raise TenancyError("this write gives no rows; name them with .returning(...), or call execute()")

    def _gives_rows(self) -> bool:
        return bool(self._returning)

    def _ensure_execution(self) -> None:
        self._result()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._result())

    def __getitem__(self, item: int | slice) -> Any:
        return self._result()[item]

    def __len__(self) -> int:
        return len(self._result())

    def iterator(self, database: Any = None) -> Iterator[Any]:
        """Rows built a few at a time and kept nowhere; raises when read on after the tenant's block.

        The driver has the whole result by then, as rows of its own. ServerSide(query) inside db.atomic() leaves it on
        the server. Of a write it gives the rows that it returns.
        """
        if self._repeats:
            return held(iter(self._result()), current())
        query = self.clone()
        query._streams = True
        return held(super(ScopedResult, query).iterator(database), current())

    def _get_cursor_wrapper(self, cursor: Any) -> Any:
        build, binding = self._builder(cursor), current()
        if isinstance(cursor, ServerCursor):
            rows = super()._get_cursor_wrapper(cursor).iterator if build is None else None
            return Stream(rows or partial(built, cursor, build, binding.organization_id, home_of(binding)), cursor)
        if build is None:
            return super()._get_cursor_wrapper(cursor)
        return Rows(cursor, build, binding.organization_id, home_of(binding))

    def _builder(self, cursor: Any) -> Build | None:
        """What builds the rows; None where Peewee's own does."""
        row_type = self._row_type or self.default_row_type
        if row_type not in _BUILT:
            return None
        joined = row_type == peewee.ROW.MODEL and getattr(self, "_joins", None)
        return joined_builder(self, cursor) if joined else builder(self, cursor, row_type)


class ScopedReading(Framed, ScopedResult):
    """What SELECT and UNION share: what is derived from them is scoped as they are."""

    def scalars(self, database: Any = None) -> Iterator[Any]:
        """The first column, row by row; raises when read on after the tenant's block."""
        return held(super().scalars(database), current())

    def count(self, database: Any = None, clear_limit: bool = False) -> int:
        """How many rows there are; `clear_limit` counts those beyond the limit as well."""
        check_database(database or self._database)
        return super().count(database, clear_limit)

    def exists(self, database: Any = None) -> bool:
        """Whether there is a row."""
        check_database(database or self._database)
        return super().exists(database)

    def select_from(self, *columns: Any) -> TenantSelect:
        """A SELECT over this one."""
        if not columns:
            raise ValueError("select_from() needs the columns to select")
        return self.model.select(*columns).from_(self)

    def prefetch(self, *subqueries: Any, prefetch_type: Any = peewee.PREFETCH_TYPE.WHERE) -> list[Any]:
        """The rows with their relations read in one query for each of `subqueries`."""
        joinable = prefetch_type in (peewee.PREFETCH_TYPE.WHERE, peewee.PREFETCH_TYPE.JOIN)
        if subqueries and joinable and current().privileged:
            return prefetch_by_tenant(self, subqueries, prefetch_type)
        return super().prefetch(*subqueries, prefetch_type=prefetch_type)

    def with_related(self, *loads: Any) -> Any:
        """The same query, whose rows come with the relations that `loads` name."""
        return super().with_related(*map(TenantLoad.of, loads))

    def create_table(self, *_: Any, **__: Any) -> Any:
        """Refused: nothing would hold the copies, and a temporary table outlives the tenant's block."""
        raise TenancyError("rows of a tenant are not copied into a table of their own")

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


if TYPE_CHECKING:

    class _ModelSelect(peewee.ModelSelect[Row]):
        def dicts(self, as_dict: bool = True) -> TenantSelect[Any]: ...
        def tuples(self, as_tuple: bool = True) -> TenantSelect[Any]: ...
        def namedtuples(self, as_namedtuple: bool = True) -> TenantSelect[Any]: ...
        def objects(self, constructor: Any = None) -> TenantSelect[Any]: ...
else:

    class _ModelSelect(peewee.ModelSelect, Generic[Row]):
        pass


class TenantSelect(ScopedReading, _ModelSelect[Row]):
    """SELECT of a tenant model; gives its rows."""

    _is_narrowed = False

    def visible_to(self, user: Any) -> Self:
        """Those that this user may read, as docs/reading.md tells for each role; it chains with other scopes.

        Raises:
            NotPermittedError: the model has no rule that says who reads it.
            InvalidDataError: `user` is no saved User, or has a role that is not saved.
            CrossTenantError: `user` is of another organization than the bound one.
        """
        model = self.model.model if isinstance(self.model, peewee.ModelAlias) else self.model
        readers = vars(model).get("_readers")  # another table's rule, which a subclass would inherit, says nothing
        if readers is None:
            who = "nobody, as it has no rule; give it one with rayces_core.models.visibility.readable"
            raise NotPermittedError(f"read {model.__name__}", getattr(user, "_pk", None), (who,))
        narrowed: Self = readers(self, user)
        narrowed._is_narrowed = True
        return narrowed

    def _generate_on_clause(self, src: Any, dest: Any, to_field: Any = None, on: Any = None) -> Any:
        if to_field is None and on is None and (key := named_after(src, dest)):
            return key, True
        return super()._generate_on_clause(src, dest, to_field, on)

    def orwhere(self, *expressions: Any) -> Self:
        """Rows that match as well; refused where a user's sight narrows the query, which it would widen again.

        Raises:
            TenancyError: after `visible_to`; put the alternatives into one `where(a | b)`.
        """
        if self._is_narrowed:
            raise TenancyError("orwhere() after visible_to() would show what the user may not see; use where(a | b)")
        widened: Self = super().orwhere(*expressions)
        return widened

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Row]: ...
        @overload
        def __getitem__(self, item: int) -> Row: ...
        @overload
        def __getitem__(self, item: slice) -> list[Row]: ...
        @overload
        def first(self, database: Any = None, n: Literal[1] = 1) -> Row | None: ...
        @overload
        def first(self, database: Any = None, *, n: int) -> list[Row] | None: ...
        @overload
        def peek(self, database: Any = None, n: Literal[1] = 1) -> Row | None: ...
        @overload
        def peek(self, database: Any = None, *, n: int) -> list[Row] | None: ...

    def _may_be_shaped(self) -> bool:
        return not self._load_tree

    def __sql_selection__(self, ctx: peewee.Context, is_subquery: bool = False) -> peewee.Context:
        if is_subquery or not self.selects_all() or not are_written_plainly(self.model):
            return super().__sql_selection__(ctx, is_subquery)
        # All columns of a model are most of the text, and the same for every query but for the alias.
        meta = self.model._meta
        alias = ctx.alias_manager[meta.table]
        names = meta.remember(
            ("selection", alias), lambda: ", ".join(f'"{alias}"."{field.column_name}"' for field in meta.sorted_fields)
        )
        return ctx.literal(names)

    def selects_all(self) -> bool:
        """Whether these are all columns of the model; `_is_default` alone does not tell after columns()."""
        if not self._is_default or not peewee.is_model(self.model):
            return False
        fields = self.model._meta.sorted_fields
        return len(self._returning) == len(fields) and all(map(is_, self._returning, fields))

    def _normalize_join(self, src: Any, dest: Any, on: Any, attr: str | None) -> Any:
        named = on.unwrap() if isinstance(on, peewee.Node) else on
        generated = named is None or isinstance(named, peewee.Field | peewee.Column)
        on, attr, constructor, context = super()._normalize_join(src, dest, on, attr)
        mine, theirs = _tenant_column_of(src), _tenant_column_of(dest)
        if generated and on is not None and mine is not None and theirs is not None:
            # The key is (organization_id, id): in privileged work, id alone may meet another tenant's row.
            on = on & (mine == theirs)
        return on, attr, constructor, context


def _tenant_column_of(source: Any) -> Any:
    model = source.model if isinstance(source, peewee.ModelAlias) else getattr(source, "_model", source)
    if not peewee.is_model(model) or "organization" not in model._meta.fields:
        return None
    return source.organization_id if isinstance(source, peewee.Table) else source.organization


class TenantCompoundSelect(ScopedReading, peewee.ModelCompoundSelectQuery):
    """UNION, INTERSECT or EXCEPT; every arm is scoped by itself."""

    @property
    def _joins(self) -> Any:
        return getattr(self.lhs, "_joins", None)


class TenantRaw(Framed, ScopedResult, peewee.ModelRaw):
    """Raw SQL read as a tenant model; held by row-level security."""


class ScopedWrite:
    """Adds the tenant to an UPDATE or DELETE when it is compiled, outside the caller's own WHERE."""

    _repeats = True

    def _run(self, database: Any) -> Any:
        cursor = run_shaped(self) if database is self._database else None
        written = super()._run(database) if cursor is None else cursor.rowcount
        if self.model._meta.tenant_column == "id":
            forget_organizations()
        return written

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        tenant = tenant_in(ctx)
        if tenant is None:
            return super().__sql__(ctx)
        meta = self.model._meta
        own = peewee.Expression(meta.fields[meta.tenant_field], peewee.OP.EQ, peewee.Value(tenant, converter=False))
        query = self.clone()
        if query._where is not None:
            # In parentheses: it may be raw SQL with an OR of its own.
            own = peewee.Expression(own, peewee.OP.AND, peewee.EnclosedNodeList((query._where,)))
        query._where = own
        return super(ScopedWrite, query).__sql__(ctx)


class TenantUpdate(ScopedWrite, ScopedResult, peewee.ModelUpdate):
    """UPDATE of the tenant's rows; a row never changes its organization."""

    def __init__(self, model: Any, update: Any = None, **options: Any) -> None:
        for key in update or ():
            check_writable(model, key)
        super().__init__(model, update, **options)

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        mine = _tenant_column_of(self.model)
        others = [column for source in self._from or () if (column := _tenant_column_of(source)) is not None]
        if tenant_in(ctx) is not None or mine is None or not others:
            return super().__sql__(ctx)
        # As for joins: by an id alone a row would be given another tenant's value.
        query = self.clone()
        own = () if query._where is None else (peewee.EnclosedNodeList((query._where,)),)
        query._where = reduce(and_, (*(mine == column for column in others), *own))
        return super(TenantUpdate, query).__sql__(ctx)


def forget_organizations() -> None:
    """Have the next tenant() look again; once more after the commit, since others may look meanwhile."""
    engine = current().engine
    engine.forget_organizations()
    engine.after_commit(engine.forget_organizations)


class TenantDelete(ScopedWrite, ScopedResult, peewee.ModelDelete):
    """DELETE of the tenant's rows."""
