"""Foreign keys between tenant tables: always (organization_id, x_id) → (organization_id, id).

Peewee sees one column; what makes it composite is the database's constraint, and here that a row of one tenant is
never followed to, or given, a row of another.
"""

from __future__ import annotations

from typing import Any

import peewee

from rayces_core.binding import current
from rayces_core.errors import CrossTenantError, TenantImmutableError


def tenant_of(row: peewee.Model) -> int | None:
    """Id of the organization a row belongs to, as far as the row itself knows."""
    value: int | None = row.__data__.get(row._meta.tenant_field)
    return value


def check_reach(row: peewee.Model) -> int | None:
    """Raise unless `row` belongs to the bound tenant; returns its organization's id."""
    own, binding = tenant_of(row), current()
    if binding.organization_id is not None and own is not None and own != binding.organization_id:
        raise CrossTenantError(
            f"this {type(row).__name__} belongs to organization {own}, but {binding.organization_id} is bound",
            bound=binding.organization_id,
            found=own,
        )
    return own


class TenantForeignKeyAccessor(peewee.ForeignKeyAccessor):
    """Reads the related row within the row's own organization."""

    def get_rel_instance(self, instance: Any) -> Any:
        """The related row, read once and kept."""
        value = instance.__data__.get(self.name)
        if value is None or self.name in instance.__rel__ or not self.field.lazy_load:
            return super().get_rel_instance(instance)
        related = self.rel_model._related(self.field.rel_field, value, check_reach(instance))
        instance.__rel__[self.name] = related
        return related

    def __set__(self, instance: Any, related: Any) -> None:
        if not isinstance(related, self.rel_model):
            super().__set__(instance, related)
            return
        mine, theirs = tenant_of(instance), tenant_of(related)
        if mine is not None and theirs is not None and mine != theirs:
            raise CrossTenantError(
                f"{self.name} must be of organization {mine}, not {theirs}", bound=mine, found=theirs
            )
        # The key may itself be a foreign key, whose attribute would be the row behind it.
        instance.__data__[self.name] = getattr(related, self.field.rel_field.safe_name)
        instance.__rel__[self.name] = related
        instance._dirty.add(self.name)


class TenantBackrefAccessor(peewee.BackrefAccessor):
    """The rows that name this one, within its organization."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        if instance is None:
            return self
        organization_id = check_reach(instance)
        key = getattr(instance, self.field.rel_field.safe_name)
        query = self.rel_model.select().where(self.field == key)
        if current().privileged:
            query = query.where(self.rel_model.organization == organization_id)
        return query


class TenantForeignKey(peewee.ForeignKeyField):
    """A reference to a row of another tenant model, of the same organization."""

    accessor_class = TenantForeignKeyAccessor
    backref_accessor_class = TenantBackrefAccessor
    field_type = "BIGINT"

    def db_value(self, value: Any) -> Any:
        """The id of a related row or instance."""
        if isinstance(value, self.rel_model):
            value = getattr(value, self.rel_field.safe_name)
        return self.rel_field.db_value(value)


class OrganizationAccessor(peewee.ForeignKeyAccessor):
    """The organization of a row; set once, never changed."""

    def __set__(self, instance: Any, value: Any) -> None:
        own = tenant_of(instance)
        new = value.id if isinstance(value, self.rel_model) else value
        if own is not None and own != new:
            raise TenantImmutableError
        super().__set__(instance, value)


class OrganizationKey(peewee.ForeignKeyField):
    """organization_id of every tenant table."""

    accessor_class = OrganizationAccessor
    field_type = "BIGINT"
