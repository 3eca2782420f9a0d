"""How an instance is written: the new row, the changed columns, the deletion. Common statements are rendered once.

Rule it guards: an instance is written only while its own tenant is bound, and only what changed is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import peewee

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.fields import assigned, note_changes_in_place, settles
from rayces_core.fields.in_place import remember_saved
from rayces_core.tenancy.constant import is_constant
from rayces_core.tenancy.hydration import written_back
from rayces_core.tenancy.prepared import prepared, slots
from rayces_core.tenancy.relations import dependents
from rayces_core.tenancy.scoping import check_reach, home_of, known_tenant_of


class Writable:
    """The part of a scoped model that writes its instances; comes before peewee.Model among the bases."""

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
            data = self._prune_fields(data, self._known(only))
        self._fill_in_relations(data)
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
        remember_saved(self, data)
        return 1

    def _known(self, only: Iterable[Any]) -> list[Any]:
        names = list(only)
        for name in names:
            if isinstance(name, str) and name not in self._meta.combined:
                raise InvalidDataError(f"{type(self).__name__}.{name}", None, "there is no such field")
        return names

    def _fill_in_relations(self, data: dict[str, Any]) -> None:
        """Take the id of a related row that was saved since it was assigned; refuse one that never was."""
        self._populate_unsaved_relations(data)
        for name, related in self.__rel__.items():
            if related is not None and name in data and data[name] is None and related._pk is None:
                raise InvalidDataError(
                    f"{type(self).__name__}.{name}", related, "the related row is not saved yet; save it first"
                )

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
        stored = self._stored(data)
        if stored is None or not is_constant(cls, "insert"):
            insert = cls.insert(data).returning(*cls._made_by_database())
            insert._fills_defaults = False
            return tuple(insert.tuples().execute()[0])

        def query() -> Any:
            open_values = dict(zip(data, slots(len(data)), strict=True))
            insert = cls.insert(open_values).returning(*cls._made_by_database())
            insert._fills_defaults = False
            return insert

        statement = prepared(cls, ("insert", *data), query)
        cursor = statement.run(binding, *stored)
        build = cls._meta.remember("written back", lambda: written_back(cursor, cls._made_by_database()))
        return tuple(build(cursor.fetchall(), None, None)[0])

    def _stored(self, data: dict[str, Any]) -> list[Any] | None:
        """What the columns of `data` hold, for SQL that is rendered already; None where a value is SQL of its own.

        A value may be SQL, and so may be what its field makes of it.
        """
        fields, stored = self._meta.fields, []
        for name, value in data.items():
            if isinstance(value, peewee.Node) and not isinstance(value, peewee.Model):
                return None
            held = fields[name].db_value(value)
            if isinstance(held, peewee.Node):
                return None
            stored.append(held)
        return stored

    def _update_row(self, only: Iterable[Any] | None) -> int | bool:
        cls, key = type(self), self._meta.primary_key
        note_changes_in_place(self)
        names = self._dirty if only is None else {f if isinstance(f, str) else f.name for f in self._known(only)}
        data = {name: self.__data__[name] for name in sorted(names) if name in self.__data__ and name != key.name}
        self._fill_in_relations(data)
        if self._meta.tenant_field in data:
            data.pop(self._meta.tenant_field)
        # One that is named to be written is refused further on, as in every UPDATE.
        settled = {name: data.pop(name) for name in cls._settled() if name in data and only is None}
        if not data and not settled:
            self._dirty.clear()
            return False
        if "updated_at" in cls._meta.fields and "updated_at" not in data:
            data["updated_at"] = clock.now()
        count = self._update_as_it_stands(data, settled) if settled else self._update_values(data)
        for name in data:
            self.__data__[name] = data[name]
        self._dirty -= {*data, *settled}
        remember_saved(self, data)
        return count

    def _update_as_it_stands(self, data: dict[str, Any], settled: dict[str, Any]) -> int:
        """Write where the row holds what was given for settled columns, as in a form that posts all of them."""
        cls, fields = type(self), self._meta.fields
        same = {name: fields[name] == value for name, value in settled.items()}
        count = int(cls.update(data).where(self._pk_expr(), *same.values()).execute())
        if not count:
            for name, condition in same.items():
                # NULL is neither equal nor unequal.
                differs = ~condition if settled[name] is None else ~condition | fields[name].is_null()
                if cls.select().where(self._pk_expr(), differs).exists():
                    raise assigned(fields[name])
        return count

    def _update_values(self, data: dict[str, Any]) -> int:
        cls, binding = type(self), current()
        key = cls._meta.primary_key
        own, stored, pk = known_tenant_of(self), self._stored(data), key.db_value(self._pk)
        if stored is None or isinstance(pk, peewee.Node) or not is_constant(cls, "update"):
            return int(cls.update(data).where(self._pk_expr()).execute())

        def query() -> Any:
            *values, own_key, tenant = slots(len(data) + 2)
            statement = cls.update(dict(zip(data, values, strict=True))).where(key == own_key)
            return statement.where(cls._tenant_field() == tenant) if binding.privileged else statement

        statement = prepared(cls, ("update", *data), query)
        return int(statement.run(binding, *stored, pk, own).rowcount)

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
        self._home = home_of(current())
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
    def _settled(cls) -> list[str]:
        fields = cls._meta.sorted_fields
        return cls._meta.remember("settled", lambda: [field.name for field in fields if settles(field)])

    @classmethod
    def _made_by_database(cls) -> list[peewee.Field]:
        def made() -> list[peewee.Field]:
            tenant = [] if cls._meta.tenant_column == "id" else [cls._tenant_field()]
            return [cls._meta.primary_key, *tenant, *filter(_is_generated, cls._meta.sorted_fields)]

        return cls._meta.remember("made by database", made)


def _is_generated(field: peewee.Field) -> bool:
    return getattr(field, "generated", False)
