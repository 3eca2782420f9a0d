"""Many-to-many: links between rows of one organization, in a table that is held as every other.

Peewee's own field makes a plain model for the links, which would know no organization.
"""

from __future__ import annotations

from typing import Any

import peewee

from rayces_core.database.binding import current
from rayces_core.errors import TenancyError
from rayces_core.tenancy.constant import root_of
from rayces_core.tenancy.queries import TenantSelect
from rayces_core.tenancy.relations import TenantForeignKey
from rayces_core.tenancy.scoping import TenantMetadata, check_reach, known_tenant_of


def through_model(model: Any, field: Any) -> Any:
    """The tenant model of a ManyToManyField's links: `id`, the organization, and a key to each side.

    Its table is `<left>_<right>_through`, with one column a side, `<model>_id`; each pair is there once.
    """
    left, right = (field.rel_model, model) if field._is_backref else (model, field.rel_model)
    sides = {side._meta.name: side for side in (left, right)}
    if len(sides) != 2:
        raise TenancyError(
            f"{model.__name__}: rows of one model are linked by a through_model of your own, with two TenantForeignKeys"
        )
    options = {"on_delete": field._on_delete, "on_update": field._on_update}
    meta = {
        "table_name": f"{left._meta.table_name}_{right._meta.table_name}_through",
        "schema": model._meta.schema,
        "indexes": ((("organization", *sides), True),),
    }
    keys = {name: _key_to(side, options) for name, side in sides.items()}
    base = model.__mro__[model.__mro__.index(root_of(model)) - 1]
    attributes = {"__module__": model.__module__, "__doc__": "Which rows are linked.", "Meta": type("Meta", (), meta)}
    return type(base)(f"{left.__name__}{right.__name__}Through", (base,), attributes | keys)


def _key_to(side: Any, options: dict[str, Any]) -> Any:
    kind = TenantForeignKey if isinstance(side._meta, TenantMetadata) else peewee.ForeignKeyField
    return kind(side, **options)


class TenantManyToManyQuery(TenantSelect, peewee.ManyToManyQuery):
    """The rows that one row is linked with; they are linked and parted within the tenant's block."""

    def __init__(self, instance: Any, accessor: Any, rel: Any, *args: Any, **options: Any) -> None:
        peewee.ManyToManyQuery.__init__(self, instance, accessor, rel, *args, **options)
        # The key may itself be a foreign key, whose attribute would be the row behind it.
        self._src_attr, self._dest_attr = (key.rel_field.safe_name for key in (accessor.src_fk, accessor.dest_fk))

    def _id_list(self, given: Any) -> list[Any]:
        for row in given:
            if isinstance(row, peewee.Model):
                check_reach(row)
        return [getattr(row, self._dest_attr) if isinstance(row, peewee.Model) else row for row in given]

    def add(self, value: Any, clear_existing: bool = False) -> Any:
        """Link these rows, ids or what a query selects; `clear_existing` parts the others, or none if that fails."""
        self._check_tenant()
        with current().engine.atomic():
            return super().add(value, clear_existing)

    def remove(self, value: Any) -> Any:
        """Part these rows, ids or what a query selects; returns how many were linked."""
        self._check_tenant()
        return super().remove(value)

    def clear(self) -> Any:
        """Part all; returns how many were linked."""
        self._check_tenant()
        return super().clear()

    def _check_tenant(self) -> None:
        check_reach(self._instance)
        if current().privileged:
            raise TenancyError("links are made by id, which organizations may share; bind the tenant for it")


class TenantManyToManyAccessor(peewee.ManyToManyFieldAccessor):
    """Reads the rows that a row is linked with, within its organization."""

    def get_query(self, instance: Any) -> Any:
        """The linked rows as a query."""
        own = known_tenant_of(instance)
        key = getattr(instance, self.src_fk.rel_field.safe_name)
        if key is None and self.field._prevent_unsaved:
            raise ValueError(f"the links of an unsaved {type(instance).__name__} cannot be read; save it first")
        query = TenantManyToManyQuery(instance, self, self.rel_model).join(self.through_model).join(self.model)
        query = query.where(self.src_fk == key)
        return query.where(self.through_model.organization == own) if current().privileged else query
