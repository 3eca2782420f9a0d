"""TenantModel: a Peewee model whose rows belong to one organization, on every path Peewee offers.

Rule it guards: reads are scoped at the SQL source, writes are stamped and checked, a row never changes hands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

import peewee

from rayces_core import clock
from rayces_core.binding import bound, current, database
from rayces_core.database import organization_model, use_organization_model
from rayces_core.errors import CrossTenantError, TenancyError
from rayces_core.fields import IdField, UTCDateTimeField, note_changes_in_place
from rayces_core.hydration import builder
from rayces_core.prepared import prepared, slots
from rayces_core.queries import TenantDelete, TenantInsert, TenantRaw, TenantSelect, TenantUpdate, updates_of
from rayces_core.relations import OrganizationKey, TenantForeignKey, dependents
from rayces_core.scoping import TenantAlias, TenantMetadata, check_reach, known_tenant_of

if TYPE_CHECKING:
    from rayces_core.models.organization import Organization

__all__ = ["OrganizationScoped", "TenantForeignKey", "TenantModel", "TimestampedTenantModel"]


class ScopedModel(peewee.Model):
    """What TenantModel and Organization share: queries that are scoped, instances that are held to their tenant."""

    _select_class: ClassVar[type] = TenantSelect

    class Meta:
        """Settings that every scoped model inherits."""

        database = database
        model_metadata_class = TenantMetadata
        legacy_table_names = False
        only_save_dirty = True
        tenant_column = "organization_id"
        tenant_field = "organization"
        # True where every default of a field stands in the table as well, so that it need not be sent.
        defaults_in_database = False

    def __init__(self, *args: Any, **values: Any) -> None:
        built_from_row = "__no_default__" in values
        super().__init__(*args, **values)
        if built_from_row and (binding := bound.get()) is not None and not binding.privileged:
            self.__data__.setdefault(self._meta.tenant_field, binding.organization_id)

    # -- queries ----------------------------------------------------------------------------------------------

    @classmethod
    def select(cls, *fields: Any) -> peewee.ModelSelect[Self]:
        """Rows of the bound tenant."""
        return TenantSelect(cls, fields or cls._meta.sorted_fields, is_default=not fields)

    @classmethod
    def alias(cls, alias: str | None = None) -> peewee.ModelAlias[Self]:
        """A second name for this model within one query."""
        return TenantAlias(cls, alias)

    @classmethod
    def update(cls, __data: Any = None, **update: Any) -> TenantUpdate:
        """UPDATE of the bound tenant's rows; `updated_at` is set unless given."""
        values = cls._normalize_data(__data, update)
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
        """INSERT many instances; each is stamped, and gets its id and what the database computed."""
        instances = list(model_list)
        for instance in instances:
            check_reach(instance)
        fields = [field for field in cls._insertable() if field is not cls._meta.primary_key]
        for start in range(0, len(instances), batch_size or len(instances) or 1):
            batch = instances[start : start + (batch_size or len(instances))]
            for instance in batch:
                instance._populate_unsaved_relations(instance.__data__)
            rows = [[instance.__data__.get(field.name) for field in fields] for instance in batch]
            made = cls.insert_many(rows, fields=fields).returning(*cls._made_by_database()).tuples().execute()
            for instance, values in zip(batch, made, strict=True):
                instance._take_up(values)
                instance._dirty.clear()

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
                return cls.get_by_id(key)
        return super().get(*query, **filters)

    @classmethod
    def get_by_id(cls, pk: Any) -> Self:
        """The row with this id; raises the model's DoesNotExist."""
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
        binding = current()
        within = binding.privileged and organization_id is not None
        open_values = slots(2 if within else 1)

        def query() -> Any:
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
        found: Self = builder(cls._whole(), cursor, peewee.ROW.MODEL)(rows, binding.organization_id)[0]
        return found

    @classmethod
    def _whole(cls) -> TenantSelect:
        return cls._meta.remember("whole", cls.select)

    @classmethod
    def _related(cls, field: peewee.Field, value: Any, organization_id: int | None) -> Self:
        found = cls._find(field, value, organization_id)
        if found is None:
            raise cls.DoesNotExist(f"there is no {cls.__name__} with {field.name} {value!r}")
        return found

    # -- instances --------------------------------------------------------------------------------------------

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int | bool:
        """INSERT the new row, or UPDATE the changed columns of the loaded one.

        Returns:
            Number of rows written; False when nothing had changed.

        Raises:
            CrossTenantError: the instance belongs to another tenant than the bound one.
            InvalidDataError: a value is malformed. ConstraintError: the database refuses the row.
        """
        check_reach(self)
        if force_insert or self._pk is None:
            return self._insert_row(only)
        return self._update_row(only)

    def _insert_row(self, only: Iterable[Any] | None) -> int:
        insertable = self._insertable_names()
        data = {key: value for key, value in self.__data__.items() if key in insertable}
        if only is not None:
            data = self._prune_fields(data, only)
        self._populate_unsaved_relations(data)
        if self._pk is None:
            data.pop(self._meta.primary_key.name, None)
        if not current().privileged:
            data.pop("organization", None)
        # Here, since SQL that is rendered once must not keep the value that a default had then.
        for field, default in self._meta.defaults.items():
            if field.name not in data:
                data[field.name] = default() if callable(default) else default
        self._take_up(self._insert_values(self._without_defaults(data)))
        self._dirty -= set(data)
        self._dirty.discard(self._meta.tenant_field)
        return 1

    def _without_defaults(self, data: dict[str, Any]) -> dict[str, Any]:
        """Leave to the database what it would fill in just so: half of the columns, and the dearest to send."""
        if not self._meta.defaults_in_database:
            return data
        defaults = self._meta.remember("defaults", self._plain_defaults)
        return {
            name: value
            for name, value in data.items()
            if name not in defaults or type(value) is not type(defaults[name]) or value != defaults[name]
        }

    @classmethod
    def _plain_defaults(cls) -> dict[str, Any]:
        plain = {field.name: None for field in cls._insertable() if field.null and field.default is None}
        for field, default in cls._meta.defaults.items():
            if default in (dict, list):
                plain[field.name] = default()
            elif not callable(default):
                plain[field.name] = default
        return plain

    def _insert_values(self, data: dict[str, Any]) -> tuple[Any, ...]:
        cls, binding = type(self), current()
        if any(isinstance(value, peewee.Node) and not isinstance(value, peewee.Model) for value in data.values()):
            insert = cls.insert(data).returning(*cls._made_by_database())
            insert._fills_defaults = False
            return tuple(insert.tuples().execute()[0])
        fields = cls._meta.fields

        def query() -> Any:
            open_values = dict(zip(data, slots(len(data)), strict=True))
            insert = cls.insert(open_values).returning(*cls._made_by_database())
            insert._fills_defaults = False
            return insert

        statement = prepared(cls, ("insert", *data), query)
        cursor = statement.run(binding, *(fields[name].db_value(value) for name, value in data.items()))
        return tuple(cursor.fetchone())

    def _update_row(self, only: Iterable[Any] | None) -> int | bool:
        cls, key = type(self), self._meta.primary_key
        note_changes_in_place(self)
        names = self._dirty if only is None else {f if isinstance(f, str) else f.name for f in only}
        data = {name: self.__data__[name] for name in sorted(names) if name in self.__data__ and name != key.name}
        self._populate_unsaved_relations(data)
        if self._meta.tenant_field in data:
            data.pop(self._meta.tenant_field)
        if not data:
            self._dirty.clear()
            return False
        if "updated_at" in cls._meta.fields and "updated_at" not in data:
            data["updated_at"] = clock.now()
        count = self._update_values(data)
        for name in data:
            self.__data__[name] = data[name]
        self._dirty -= set(data)
        return count

    def _update_values(self, data: dict[str, Any]) -> int:
        cls, binding = type(self), current()
        key, fields = cls._meta.primary_key, cls._meta.fields
        own = known_tenant_of(self)
        if any(isinstance(value, peewee.Node) and not isinstance(value, peewee.Model) for value in data.values()):
            return int(cls.update(data).where(self._pk_expr()).execute())

        def query() -> Any:
            *values, pk, tenant = slots(len(data) + 2)
            statement = cls.update(dict(zip(data, values, strict=True))).where(key == pk)
            return statement.where(cls._tenant_field() == tenant) if binding.privileged else statement

        statement = prepared(cls, ("update", *data), query)
        given = [fields[name].db_value(value) for name, value in data.items()]
        return int(statement.run(binding, *given, self._pk, own).rowcount)

    def delete_instance(self, recursive: bool = False, delete_nullable: bool = False) -> int:
        """DELETE the row; `recursive` deletes what names it as well, all or nothing.

        Raises:
            CrossTenantError: the instance belongs to another tenant. StillReferencedError: others name it.
        """
        check_reach(self)
        if not recursive:
            return int(type(self).delete().where(self._pk_expr()).execute())
        with current().engine.atomic():
            return int(super().delete_instance(recursive=True, delete_nullable=delete_nullable))

    def dependencies(self, search_nullable: bool = True, exclude_null_children: bool = False) -> Iterator[Any]:
        """What names this row, and what names that, as pairs of a condition and its foreign key."""
        return dependents(self, through_nullable=search_nullable, into_nullable=not exclude_null_children)

    def _pk_expr(self) -> Any:
        own = super()._pk_expr()
        if not current().privileged:
            return own
        return own & (self._tenant_field() == known_tenant_of(self))

    def _take_up(self, values: Iterable[Any]) -> None:
        for field, value in zip(self._made_by_database(), values, strict=True):
            self.__data__[field.name] = value

    # -- fields -----------------------------------------------------------------------------------------------

    @classmethod
    def _tenant_field(cls) -> Any:
        return cls._meta.fields[cls._meta.tenant_field]

    @classmethod
    def _insertable(cls) -> list[peewee.Field]:
        return cls._meta.remember("insertable", lambda: [f for f in cls._meta.sorted_fields if not _is_generated(f)])

    @classmethod
    def _insertable_names(cls) -> set[str]:
        return cls._meta.remember("insertable names", lambda: {field.name for field in cls._insertable()})

    @classmethod
    def _made_by_database(cls) -> list[peewee.Field]:
        def made() -> list[peewee.Field]:
            tenant = [] if cls._meta.tenant_column == "id" else [cls._tenant_field()]
            return [cls._meta.primary_key, *tenant, *filter(_is_generated, cls._meta.sorted_fields)]

        return cls._meta.remember("made by database", made)


def _is_generated(field: peewee.Field) -> bool:
    return getattr(field, "generated", False)


class TenantModel(ScopedModel):
    """A row of one organization: `id`, `organization_id` and `organization`, and nothing of another's."""

    id = IdField()

    if TYPE_CHECKING:
        organization: Organization
        organization_id: int

    @classmethod
    def validate_model(cls) -> None:
        """Give every subclass its organization; Peewee calls this when the class is complete."""
        if cls.__module__ == __name__ or "organization" in cls._meta.fields:
            return  # a base class of this file, or inherited already
        key = OrganizationKey(organization_model(), column_name="organization_id", backref="+", index=False)
        cls._meta.add_field("organization", key)


class TimestampedTenantModel(TenantModel):
    """A TenantModel that knows when it was made and last changed."""

    created_at = UTCDateTimeField(default=clock.now)
    updated_at = UTCDateTimeField(default=clock.now)


class OrganizationScoped(ScopedModel):
    """Base of Organization: in a tenant's block the only row there is is the tenant's own."""

    class Meta:
        """The organization's own id is what holds it."""

        tenant_column = "id"
        tenant_field = "id"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if OrganizationScoped in cls.__bases__:
            use_organization_model(cls)

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int | bool:
        """Write the organization; only privileged work may insert one."""
        if (force_insert or self._pk is None) and not current().privileged:
            raise TenancyError("an organization is made by db.create_organization(...) or in a privileged block")
        written = super().save(force_insert, only)
        current().engine.organizations.clear()
        return written
