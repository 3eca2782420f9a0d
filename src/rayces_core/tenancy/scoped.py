"""ScopedModel: a Peewee model whose rows are held to the bound tenant, on every path Peewee offers.

Rule it guards: reads are scoped at the SQL source, writes are stamped and checked, a row never changes hands.
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import getattr_static
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import peewee

from rayces_core import clock
from rayces_core.database.binding import bound_here, current
from rayces_core.errors import CrossTenantError, InvalidDataError
from rayces_core.fields.in_place import remember_saved
from rayces_core.tenancy.bulk import updates_of
from rayces_core.tenancy.constant import is_compared_plainly, is_constant, keeps
from rayces_core.tenancy.definition import CheckedMetadata, ScopedType
from rayces_core.tenancy.hydration import Build, builder
from rayces_core.tenancy.inserting import TenantInsert
from rayces_core.tenancy.prepared import prepared, slots
from rayces_core.tenancy.queries import (
    TenantDelete,
    TenantRaw,
    TenantSelect,
    TenantUpdate,
)
from rayces_core.tenancy.scoping import TenantAlias, check_home, check_reach, home_of, tenant_of
from rayces_core.tenancy.showing import offered, shown_row
from rayces_core.tenancy.writing import Writable


class ScopedModel(Writable, peewee.Model, metaclass=ScopedType):
    """What tenant models and Organization share: queries that are scoped, instances that are held to their tenant."""

    _select_class: ClassVar[type] = TenantSelect
    # Whether what gave the row found it made by an earlier request with the same key, instead of making it.
    was_repeated: bool = False
    # Which database the row is of, once it was read from or written to one.
    _home: Any = None
    # Narrows a query to what a user may read; None refuses everyone.
    _readers: ClassVar[Any] = None

    class Meta:
        """Settings that every scoped model inherits."""

        model_metadata_class = CheckedMetadata
        legacy_table_names = False
        only_save_dirty = True
        tenant_column = "organization_id"
        tenant_field = "organization"
        # True where every default of a field stands in the table as well, so that it need not be sent.
        defaults_in_database = False

    def __init__(self, *args: Any, **values: Any) -> None:
        built_from_row = "__no_default__" in values
        for name in () if built_from_row else values:
            if name not in self._meta.combined and (fault := _not_given(type(self), name)):
                raise InvalidDataError(f"{type(self).__name__}.{name}", values[name], fault)
        super().__init__(*args, **values)
        if built_from_row and (binding := bound_here()) is not None:
            self._home = home_of(binding)
            if not binding.privileged:
                self.__data__.setdefault(self._meta.tenant_field, binding.organization_id)

    def __eq__(self, other: object) -> bool:
        # An id alone may be that of rows of two organizations, or of two databases.
        if not super().__eq__(other):
            return False
        mine, theirs = (self._home, tenant_of(self)), (other._home, tenant_of(other))
        return all(one == another or None in (one, another) for one, another in zip(mine, theirs, strict=True))

    __hash__ = peewee.Model.__hash__

    def __sql__(self, ctx: peewee.Context) -> peewee.Context:
        check_home(self)
        # Peewee takes the id where a foreign key refuses the instance, and so compares with a row of another table.
        if ctx.state.converter is not None and ctx.state.is_fk_expr:
            return ctx.sql(peewee.Value(self, converter=ctx.state.converter))
        return super().__sql__(ctx)

    def __dir__(self) -> list[str]:
        return offered(type(self), super().__dir__())

    def _repr_html_(self) -> str:
        return shown_row(self)

    @classmethod
    def _normalize_data(cls, data: Any, kwargs: Any) -> Any:
        for name, value in ({**data, **kwargs} if isinstance(data, dict) else kwargs).items():
            if not cls._names_field(name):
                raise InvalidDataError(f"{cls.__name__}.{name}", value, "there is no such field")
        return super()._normalize_data(data, kwargs)

    @classmethod
    def _names_field(cls, key: Any) -> bool:
        return not isinstance(key, str) or key in cls._meta.combined

    if TYPE_CHECKING:

        @classmethod
        def filter(cls, *nodes: Any, **filters: Any) -> TenantSelect[Self]:
            """Rows of the bound tenant that match; `student__grade_level="3"` follows a foreign key."""

        @classmethod
        def get_or_create(cls, **values: Any) -> tuple[Self, bool]:
            """The row with these values, and whether it was made; `defaults=` says what else a new one gets."""

    # -- queries ----------------------------------------------------------------------------------------------

    @classmethod
    def select(cls, *fields: Any) -> TenantSelect[Self]:
        """Rows of the bound tenant."""
        return cls._select_class(cls, fields or cls._meta.sorted_fields, is_default=not fields)

    @classmethod
    def visible_to(cls, user: Any) -> TenantSelect[Self]:
        """Rows that this user may read; see docs/reading.md. Raises as the scope of a query does."""
        return cls.select().visible_to(user)

    @classmethod
    def alias(cls, alias: str | None = None) -> peewee.ModelAlias[Self]:
        """A second name for this model within one query."""
        return TenantAlias(cls, alias)

    @classmethod
    def update(cls, __data: Any = None, **update: Any) -> TenantUpdate:
        """UPDATE of the bound tenant's rows; `updated_at` is set unless given."""
        values = cls._normalize_data(__data, update)
        if not values:
            raise InvalidDataError(cls.__name__, None, "update() was given nothing to write")
        touched = cls._meta.fields.get("updated_at")
        if touched is not None and touched not in set(values):
            values[touched] = clock.now()
        return TenantUpdate(cls, values)

    @classmethod
    def insert(cls, __data: Any = None, **insert: Any) -> TenantInsert:
        """INSERT of one row, stamped with the bound tenant."""
        return TenantInsert(cls, cls._normalize_data(__data, insert))

    @classmethod
    def insert_many(cls, rows: Iterable[Any], fields: Any = None) -> TenantInsert:
        """INSERT of many rows, each stamped with the bound tenant."""
        return TenantInsert(cls, insert=rows, columns=fields)

    @classmethod
    def insert_from(cls, query: Any, fields: Iterable[Any]) -> TenantInsert:
        """INSERT of what `query` selects, stamped with the bound tenant."""
        columns = [getattr(cls, field) if isinstance(field, str) else field for field in fields]
        return TenantInsert(cls, insert=query, columns=columns)

    @classmethod
    def raw(cls, sql: str, *params: Any) -> TenantRaw:
        """Rows of raw SQL as instances; row-level security holds it."""
        return TenantRaw(cls, sql, params)

    @peewee.classmethod_only
    def delete(cls) -> TenantDelete:  # noqa: N805 - Peewee makes this a class method
        """DELETE of the bound tenant's rows."""
        return TenantDelete(cls)

    @classmethod
    def bulk_create(cls, model_list: Iterable[Any], batch_size: int | None = None) -> None:
        """INSERT many instances, all or none; each is stamped, and gets its id and what the database computed.

        Raises:
            InvalidDataError: a value is malformed, or `batch_size` is not above zero.
        """
        if batch_size is not None and batch_size < 1:
            raise InvalidDataError("batch_size", batch_size, "must be above zero")
        instances = list(model_list)
        for instance in instances:
            check_reach(instance)
        named = [instance for instance in instances if instance._pk is not None]
        with current().engine.atomic():
            for group in (named, [instance for instance in instances if instance._pk is None]):
                for batch in peewee.chunked(group, batch_size or len(group) or 1):
                    cls._create_batch(batch, with_ids=group is named)

    @classmethod
    def _create_batch(cls, batch: list[Any], with_ids: bool) -> None:
        fields = [field for field in cls._insertable() if with_ids or field is not cls._meta.primary_key]
        for instance in batch:
            instance._fill_in_relations(instance.__data__)
        rows = [[instance.__data__.get(field.name) for field in fields] for instance in batch]
        made = cls.insert_many(rows, fields=fields).returning(*cls._made_by_database()).tuples().execute()
        for instance, values in zip(batch, made, strict=True):
            instance._take_up(values)
            instance._dirty.clear()
            remember_saved(instance, cls._insertable_names())

    @classmethod
    def bulk_update(cls, model_list: Iterable[Any], fields: Iterable[Any], batch_size: int | None = None) -> int:
        """UPDATE these fields of many instances; returns the number of rows.

        Raises:
            CrossTenantError: an instance belongs to another tenant; nothing is written.
        """
        columns = [cls._meta.fields[field] if isinstance(field, str) else field for field in fields]
        return sum(int(update.execute()) for update in updates_of(cls, model_list, columns, batch_size))

    # -- by id ------------------------------------------------------------------------------------------------

    @classmethod
    def get(cls, *query: Any, **filters: Any) -> Self:
        """The one row that matches; by id it costs a statement rendered once."""
        if len(query) == 1 and not filters:
            key = cls._id_in(query[0])
            if key is not None:
                return cls._by_id(key)
        return super().get(*query, **filters)

    @classmethod
    def get_by_id(cls, pk: Any) -> Self:
        """The row with this id; raises the model's DoesNotExist."""
        if not keeps(cls, "get"):
            return cls.get(cls._meta.primary_key == pk)
        return cls._by_id(pk)

    @classmethod
    def _by_id(cls, pk: Any) -> Self:
        key = cls._meta.primary_key
        row = cls._find(key, key.db_value(pk))
        if row is None:
            raise cls.DoesNotExist(f"there is no {cls.__name__} with {key.name} {pk!r}")
        return row

    @classmethod
    def set_by_id(cls, key: Any, value: Any) -> Any:
        """UPDATE the row with this id; with None for the id, INSERT one."""
        if key is None:
            return cls.insert(value).execute()
        return cls._write_one(cls.update(value).where(cls._meta.primary_key == key))

    @classmethod
    def delete_by_id(cls, pk: Any) -> int:
        """DELETE the row with this id; returns 1, or 0 if there is none."""
        return cls._write_one(cls.delete().where(cls._meta.primary_key == pk))

    @classmethod
    def _write_one(cls, query: Any) -> int:
        binding = current()
        if not binding.privileged:
            return int(query.execute())
        with binding.engine.atomic():
            count = int(query.execute())
            if count > 1:
                raise cls._ambiguous()
        return count

    @classmethod
    def _ambiguous(cls) -> CrossTenantError:
        return CrossTenantError(f"several organizations have a {cls.__name__} with this id; name the organization too")

    @classmethod
    def _id_in(cls, expression: Any) -> Any:
        if isinstance(expression, int) and not isinstance(expression, bool):
            return expression
        plain = isinstance(expression, peewee.Expression) and expression.op == peewee.OP.EQ
        if plain and expression.lhs is cls._meta.primary_key and isinstance(expression.rhs, int):
            return expression.rhs
        return None

    @classmethod
    def _find(cls, field: peewee.Field, value: Any, organization_id: int | None = None) -> Self | None:
        if not (is_constant(cls, "select") and is_compared_plainly(field)):
            return cls._find_anew(field, value, organization_id)
        binding = current()
        within = binding.privileged and organization_id is not None

        def query() -> Any:
            open_values = slots(2 if within else 1)
            found = cls.select().where(field == open_values[0])
            if within:
                found = found.where(cls._tenant_field() == open_values[1])
                return found.limit(peewee.SQL("1"))
            # Two are enough to see that privileged work would take one of several tenants' rows.
            return found.limit(peewee.SQL("2" if binding.privileged else "1"))

        statement = prepared(cls, ("find", field.name, within), query)
        cursor = statement.run(binding, value, organization_id) if within else statement.run(binding, value)
        rows = cursor.fetchall()
        if not rows:
            return None
        if len(rows) > 1:
            raise cls._ambiguous()
        return cls._from_rows(cursor.description, rows)[0]

    @classmethod
    def _find_anew(cls, field: peewee.Field, value: Any, organization_id: int | None) -> Self | None:
        query = cls.select().where(field == peewee.Value(value, converter=False))
        if current().privileged and organization_id is not None:
            query = query.where(cls._tenant_field() == organization_id)
        rows = list(query.limit(2 if current().privileged else 1))
        if len(rows) > 1:
            raise cls._ambiguous()
        return rows[0] if rows else None

    @classmethod
    def _from_rows(cls, description: Any, rows: list[tuple[Any, ...]]) -> list[Self]:
        """Instances of `rows`, which hold all columns in the order of the fields; `description` is the cursor's."""
        binding = current()

        def made() -> Build:
            # Not select(), which the model may have narrowed: these are all its columns.
            whole = TenantSelect(cls, cls._meta.sorted_fields, is_default=True)
            return builder(whole, SimpleNamespace(description=description), peewee.ROW.MODEL)

        return cls._meta.remember("build", made)(rows, binding.organization_id, home_of(binding))

    @classmethod
    def _related(cls, field: peewee.Field, value: Any, organization_id: int | None) -> Self:
        if not keeps(cls, "get"):
            own = (cls._tenant_field() == organization_id,) if current().privileged else ()
            return cls.get(field == value, *own)
        found = cls._find(field, value, organization_id)
        if found is None:
            raise cls.DoesNotExist(f"there is no {cls.__name__} with {field.name} {value!r}")
        return found


def _not_given(model: type, name: str) -> str:
    """Why no new row can be given a value by a name that is none of a field's; empty where it can."""
    found = getattr_static(model, name, None)
    if isinstance(found, property) and found.fset is None:
        return "is told by other fields, and takes no value"
    if callable(found) or isinstance(found, classmethod | staticmethod):
        return "is a method, no field"
    return "" if hasattr(model, name) else "there is no such field"
