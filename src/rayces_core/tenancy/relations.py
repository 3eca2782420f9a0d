"""Foreign keys between tenant tables: always (organization_id, x_id) → (organization_id, id).

Peewee sees one column; what makes it composite is the database's constraint, and here that a row of one tenant is
never followed to, or given, a row of another.
"""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

import peewee

from rayces_core.database.binding import bound_here, current
from rayces_core.errors import CrossTenantError, InvalidDataError, TenantImmutableError
from rayces_core.tenancy.constant import PLAIN_COMPARISONS
from rayces_core.tenancy.scoping import (
    TenantMetadata,
    check_home,
    check_reach,
    known_tenant_of,
    share_home,
    tenant_of,
)

M = TypeVar("M", bound=peewee.Model)
Related = TypeVar("Related")


class TenantForeignKeyAccessor(peewee.ForeignKeyAccessor):
    """Reads the related row within the row's own organization."""

    def get_rel_instance(self, instance: Any) -> Any:
        """The related row, read once and kept."""
        value = instance.__data__.get(self.name)
        if value is None or self.name in instance.__rel__ or not self.field.lazy_load:
            return super().get_rel_instance(instance)
        related = self.rel_model._related(self.field.rel_field, value, known_tenant_of(instance))
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
        share_home(instance, related)
        # The key may itself be a foreign key, whose attribute would be the row behind it.
        instance.__data__[self.name] = getattr(related, self.field.rel_field.safe_name)
        instance.__rel__[self.name] = related
        instance._dirty.add(self.name)


class TenantBackrefAccessor(peewee.BackrefAccessor):
    """The rows that name this one, within its organization."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        if instance is None:
            return self
        organization_id = known_tenant_of(instance)
        key = getattr(instance, self.field.rel_field.safe_name)
        query = self.rel_model.select().where(self.field == key)
        if current().privileged:
            query = query.where(self.rel_model.organization == organization_id)
        return query


class TenantForeignKey(peewee.ForeignKeyField, Generic[Related]):
    """A reference to a row of another tenant model, of the same organization."""

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, model: type[M], *args: Any, null: Literal[True], **options: Any
        ) -> TenantForeignKey[M | None]: ...
        @overload
        def __new__(
            cls, model: type[M], *args: Any, null: Literal[False] = ..., **options: Any
        ) -> TenantForeignKey[M]: ...
        @overload
        def __new__(cls, model: Literal["self"], *args: Any, **options: Any) -> TenantForeignKey[Any]: ...

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Related: ...
        def __set__(self, instance: object, value: Any) -> None: ...

    accessor_class = TenantForeignKeyAccessor
    backref_accessor_class = TenantBackrefAccessor

    def __eq__(self, other: Any) -> Any:
        found = self._names_one_of(other)
        return super().__eq__(other) if found is None else found

    def __ne__(self, other: Any) -> Any:
        found = self._names_one_of(other)
        return super().__ne__(other) if found is None else self.is_null(False) & ~found

    __hash__ = peewee.ForeignKeyField.__hash__

    def in_(self, other: Any) -> Any:
        """Whether it names one of these."""
        found = self._names_one_of(other)
        return super().in_(other) if found is None else found

    __lshift__ = in_

    def not_in(self, other: Any) -> Any:
        """Whether it names none of these."""
        found = self._names_one_of(other)
        return super().not_in(other) if found is None else self.is_null(False) & ~found

    def _names_one_of(self, other: Any) -> Any:
        """In privileged work: whether it names one of these rows, by organization and id; None is for Peewee to say."""
        rows = other if isinstance(other, list | tuple | set | frozenset) else (other,)
        if not rows or not all(isinstance(row, peewee.Model) for row in rows):
            return None
        binding = bound_here()
        if binding is None or not binding.privileged or "organization" not in self.model._meta.fields:
            return None
        owners = [tenant_of(row) if isinstance(row._meta, TenantMetadata) else None for row in rows]
        if None in owners:
            return None
        organization = self.model._meta.fields["organization"]
        each = (
            peewee.Expression(self, peewee.OP.EQ, row) & (organization == owner)
            for row, owner in zip(rows, owners, strict=True)
        )
        return reduce(or_, each)

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Take its place in a model; in a plain one, whose rows know no organization, as a plain key."""
        if not isinstance(model._meta, TenantMetadata):
            self.accessor_class = peewee.ForeignKeyAccessor
            self.backref_accessor_class = peewee.BackrefAccessor
        super().bind(model, name, set_attribute)

    @property
    def field_type(self) -> str:
        """The type of the key that it names."""
        own = self.rel_field.field_type
        return "BIGINT" if own.startswith("BIG") else super().field_type

    def db_value(self, value: Any) -> Any:
        """The id of a related row or instance."""
        if isinstance(value, self.rel_model):
            check_home(value)
            value = getattr(value, self.rel_field.safe_name)
        elif isinstance(value, peewee.Model) and not isinstance(self.rel_field, peewee.ForeignKeyField):
            # A key that is itself a foreign key takes the row that it names, and says itself whether it is one.
            wanted = self.rel_model.__name__
            raise InvalidDataError(
                f"{self.model.__name__}.{self.name}", value, f"must be a {wanted}, not a {type(value).__name__}"
            )
        return self.rel_field.db_value(value)


PLAIN_COMPARISONS.add(TenantForeignKey.__eq__)


class OrganizationAccessor(peewee.ForeignKeyAccessor):
    """The organization of a row; set once, never changed."""

    def get_rel_instance(self, instance: Any) -> Any:
        """The organization, read once and kept."""
        check_reach(instance)
        if self.name not in instance.__rel__:
            value = instance.__data__.get(self.name)
            if value is None:
                raise self.rel_model.DoesNotExist(f"this {type(instance).__name__} has no organization yet")
            instance.__rel__[self.name] = self.rel_model.get(self.field.rel_field == value)
        return instance.__rel__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if isinstance(value, peewee.Model):
            share_home(instance, value)
        own = tenant_of(instance)
        new = value.id if isinstance(value, self.rel_model) else value
        # Without an id it is no row yet, or what an outer join gives where there is none.
        if own in (None, new) or (value is None and instance._pk is None):
            super().__set__(instance, value)
        elif new is None and _is_partly_read(value):
            instance.__rel__[self.name] = value
        else:
            raise TenantImmutableError


def _is_partly_read(value: Any) -> bool:
    # One that the caller made has its defaults; one that a join read has the selected columns only.
    return isinstance(value, peewee.Model) and not {f.name for f in value._meta.defaults} <= value.__data__.keys()


class OrganizationKey(peewee.ForeignKeyField):
    """organization_id of every tenant table.

    `row.organization` is read when it is asked for, though Peewee is told otherwise: model_to_dict(row) then gives its
    id, and does not read and show the whole organization, settings and all.
    """

    accessor_class = OrganizationAccessor
    field_type = "BIGINT"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"lazy_load": False})

    def db_value(self, value: Any) -> Any:
        """The id of an organization or instance."""
        check_home(value)
        return super().db_value(value)


# -- rows that name others --------------------------------------------------------------------------------------


def dependents(row: peewee.Model, *, through_nullable: bool, into_nullable: bool) -> Iterator[tuple[Any, Any]]:
    """Conditions, with their foreign keys, that find what names `row`, what names that, and so on: leaves first.

    Peewee's own takes the id for what every foreign key refers to, and knows no organization.
    """
    organization_id = known_tenant_of(row)
    found: dict[Any, list[tuple[Any, Any]]] = {}
    waiting: list[tuple[Any, Any]] = [(type(row), None)]
    seen = set()
    while waiting:
        model, condition = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for key, child in model._meta.backrefs.items():
            if key.null and not through_nullable:
                continue
            named = _named(row, key, model, condition)
            if current().privileged and "organization" in child._meta.fields:
                named = named & (child.organization == organization_id)
            found.setdefault(child, []).append((named, key))
            if into_nullable or not key.null:
                waiting.append((child, named))
    for child in reversed(peewee.sort_models(list(found))):
        yield from found[child]


def _named(row: peewee.Model, key: Any, model: Any, condition: Any) -> Any:
    if condition is None or key.model is type(row):
        return key == row.__data__[key.rel_field.name]
    return key << model.select(key.rel_field).where(condition)
