"""What a model may say of itself: whatever would lead round a wall is refused when its class is made.

Rule it guards: a class that exists is held by all three walls; nothing is found out after a write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from inspect import getattr_static
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

import peewee

from rayces_core.database.binding import database
from rayces_core.errors import TenancyError
from rayces_core.tenancy.constant import root_of
from rayces_core.tenancy.links import TenantManyToManyAccessor, through_model
from rayces_core.tenancy.queries import TenantSelect
from rayces_core.tenancy.relations import (
    OrganizationKey,
    TenantBackrefAccessor,
    TenantForeignKey,
    TenantForeignKeyAccessor,
)
from rayces_core.tenancy.scoping import TenantMetadata
from rayces_core.tenancy.showing import offered, shown_model

M = TypeVar("M", bound=peewee.Model)
# What the root decides for all: a base that is no tenant model has Peewee's defaults for these.
_OF_THE_ROOT = ("legacy_table_names", "model_metadata_class", "only_save_dirty", "tenant_column", "tenant_field")
_DECIDES_SQL = frozenset(("select", "get", "insert", "update", "_select_class"))
_OF_FIELDS = (peewee.FieldAccessor, peewee.ObjectIdAccessor)
_NO_SINGLE_KEY = (
    "{name} needs one column as its key: leave primary_key out of Meta, which gives it `id`, and say what else is "
    "unique in the migration, as UNIQUE (organization_id, …)"
)


class CheckedMetadata(TenantMetadata):
    """Metadata that lets in no field that would take a wall away, and gives plain keys and links theirs.

    Attribute: `complete`, whether the class is made and was not refused.
    """

    complete = False

    def add_field(self, field_name: str, field: Any, set_attribute: bool = True) -> None:
        """Take up a field; raises TenancyError for one that is, or would hide, the organization."""
        if self.tenant_column != "id":
            self._check_organization(field_name, field)
            if isinstance(field, peewee.ForeignKeyField):
                self._hold_key(field)
            elif isinstance(field, peewee.ManyToManyField):
                self._hold_links(field)
        self._check_names(field_name, field)
        try:
            super().add_field(field_name, field, set_attribute)
        except TenancyError as error:  # a back-reference that would hide something
            raise self._refused(str(error)) from None

    def remove_field(self, field_name: str) -> None:
        """Drop a field; raises TenancyError for the one that names the organization."""
        if field_name == self.tenant_field:
            raise TenancyError(f"{self.model.__name__}.{field_name} says whose a row is; it stays")
        super().remove_field(field_name)

    def _check_organization(self, name: str, field: Any) -> None:
        named = {name, field.column_name, _own_id_name(field)} & {self.tenant_field, self.tenant_column}
        if named and not isinstance(field, OrganizationKey):
            raise self._refused(
                f"{self.model.__name__}.{name}: every tenant model has `organization` and `organization_id` already; "
                "leave the field out, or call it something else"
            )

    def _check_names(self, name: str, field: Any) -> None:
        for given in filter(None, (name, _own_id_name(field))):
            if hides_ours(self.model, given):
                way = f'column_name="{given}"' if given == name else "another object_id_name"
                raise self._refused(
                    f"{self.model.__name__}.{given} would hide what every model has by that name; call the field "
                    f"something else, and give it {way}"
                )

    def _hold_key(self, field: Any) -> None:
        """Keep a plain or deferred foreign key within the row's organization, in privileged work as well."""
        named = field.rel_model
        own = named == "self" or (peewee.is_model(named) and _is_tenants(named))
        if own and field.accessor_class is peewee.ForeignKeyAccessor:
            field.accessor_class = TenantForeignKeyAccessor
            field.backref_accessor_class = TenantBackrefAccessor
        elif isinstance(field, TenantForeignKey) and not own and not isinstance(named, ScopedType):
            raise self._refused(
                f"{self.model.__name__}: {named.__name__} is no TenantModel, so its rows are of no organization; "
                "name them by a peewee.ForeignKeyField"
            )

    def _refused(self, reason: str) -> TenancyError:
        if not self.complete:
            withdraw(self.model)
        return TenancyError(reason)

    def _hold_links(self, field: Any) -> None:
        field.accessor_class = TenantManyToManyAccessor
        if isinstance(field._through_model, peewee.DeferredThroughModel):
            return
        if field._through_model is None:
            field._through_model = through_model(self.model, field)
        if not _is_tenants(field._through_model):
            raise self._refused(
                f"{self.model.__name__}: {field._through_model.__name__} links rows of tenants, so it has to be a "
                "TenantModel; leave through_model out, or write it with two TenantForeignKeys"
            )


def _own_id_name(field: Any) -> Any:
    """The attribute of a foreign key's plain id, where the host has chosen it."""
    return getattr(field, "object_id_name", None)


def hides_ours(model: Any, name: str) -> bool:
    """Whether an attribute of this name would hide one that is no field, of the library's models or of Peewee's."""
    ours = (base for base in model.__mro__[1:] if base.__module__.startswith(("rayces_core.", "peewee")))
    return any(not isinstance(vars(base)[name], _OF_FIELDS) for base in ours if name in vars(base))


def _is_tenants(model: Any) -> bool:
    return isinstance(model._meta, TenantMetadata) and model._meta.tenant_column != "id"


class ScopedType(peewee.ModelBase):
    """The class of scoped models: checks what the host wrote before Peewee acts on it, and what came of it."""

    if TYPE_CHECKING:

        def __iter__(cls: type[M]) -> Iterator[M]: ...
        def __getitem__(cls: type[M], key: Any) -> M: ...

    def __new__(mcs, name: str, bases: tuple[Any, ...], attrs: dict[str, Any], **options: Any) -> Any:
        """Make the class, or raise TenancyError with what to write instead."""
        scoped = [base for base in bases if isinstance(base, ScopedType)]
        if not scoped:  # the root itself
            return super().__new__(mcs, name, bases, attrs, **options)
        root = root_of(scoped[0])
        _check_bases(name, bases)
        attrs["Meta"] = _checked_meta(name, attrs.get("Meta"), scoped[0], free=scoped[0] is root)
        _keep_the_key(bases, scoped[0], attrs)
        made: Any = super().__new__(mcs, name, bases, attrs, **options)
        try:
            _check(made, root)
        except TenancyError:
            withdraw(made)
            raise
        made._meta.complete = True
        return made

    def __dir__(cls) -> list[str]:
        return offered(cls, super().__dir__())

    @property
    def _repr_html_(cls) -> MethodType:
        # Of the class itself; a row has a method of this name. IPython asks classes for bound methods only.
        return MethodType(shown_model, cls)

    def __setattr__(cls, name: str, value: Any) -> None:
        if isinstance(value, peewee.BackrefAccessor):
            if not _may_refer_back(cls, name, value):
                return
            value.before = vars(cls).get(name)  # for a class that is refused
        super().__setattr__(name, value)
        if name in _DECIDES_SQL and "_meta" in vars(cls):
            _forget_rendered(cls)


def _may_refer_back(model: Any, name: str, given: Any) -> bool:
    """Whether the back-reference is to be set; raises TenancyError where it would hide something else.

    A host's subclass of a model of ours inherits the foreign keys; what leads back goes on leading to ours.
    """
    known, key = getattr_static(model, name, None), given.field
    if isinstance(known, peewee.BackrefAccessor):
        is_ours = known.rel_model.__module__.startswith("rayces_core.")
        if not is_ours or given.rel_model.__module__.startswith("rayces_core."):
            return True
        if issubclass(given.rel_model, known.rel_model):
            return False
    elif known is None and not hides_ours(model, name):
        return True
    raise TenancyError(
        f"{given.rel_model.__name__}.{key.name}: {model.__name__}.{name} is something else already; give the foreign "
        'key another backref="...", or "+" for none'
    )


def _forget_rendered(model: Any) -> None:
    """Have all SQL of `model`, and of the models made from it, compiled anew: what it begins with was replaced."""
    del model._meta.table
    for child in model.__subclasses__():
        _forget_rendered(child)


def _check_bases(name: str, bases: Sequence[Any]) -> None:
    for base in bases:
        meta = getattr(base, "_meta", None)
        if meta is None:
            continue
        if meta.database not in (None, database):
            raise TenancyError(
                f"{name} finds its database through the bound tenant, but its base {base.__name__} names one; "
                "leave `database` out of that Meta"
            )
        if type(meta) is not peewee.Metadata and not isinstance(meta, CheckedMetadata):
            raise _other_metadata(name, type(meta))
        if meta.primary_key is False or meta.composite_key:
            raise TenancyError(_NO_SINGLE_KEY.format(name=name))


def _checked_meta(name: str, given: Any, base: Any, *, free: bool) -> type:
    """The Meta that Peewee gets: what the host wrote, and what the root decides where the host wrote nothing."""
    own = {key: value for key, value in vars(given).items() if not key.startswith("_")} if given else {}
    if own.get("database") not in (None, database):
        raise TenancyError(
            f"{name} finds its database through the bound tenant; leave `database` out of its Meta "
            "and use `with db.tenant(...):`"
        )
    kind = own.get("model_metadata_class", CheckedMetadata)
    if not issubclass(kind, CheckedMetadata) or kind.table is not TenantMetadata.table:
        raise _other_metadata(name, kind)
    if getattr(given, "primary_key", None) is False or isinstance(
        getattr(given, "primary_key", None), peewee.CompositeKey
    ):
        raise TenancyError(_NO_SINGLE_KEY.format(name=name))
    if own.get("temporary"):
        raise TenancyError(f"{name}: a temporary table has no row-level security; make the table in a migration")
    if not own.get("only_save_dirty", True):
        raise TenancyError(
            f"{name}: save() writes what changed; to write a column whatever it was, name it: save(only=[...])"
        )
    if not free and own.keys() & {"tenant_column", "tenant_field"}:
        raise TenancyError(f"{name}: the column of the organization is organization_id in every table")
    kept = {key: getattr(base._meta, key) for key in _OF_THE_ROOT if hasattr(base._meta, key)}
    return type("Meta", (), {"database": database} | kept | own)


def _other_metadata(name: str, kind: type) -> TenancyError:
    return TenancyError(
        f"{name}: {kind.__name__} would write its table without the tenant; leave model_metadata_class out of Meta"
    )


def _keep_the_key(bases: Sequence[Any], base: Any, attrs: dict[str, Any]) -> None:
    """Keep our `id` where a plain base comes first, whose own Peewee made up."""
    first = next(each for each in bases if hasattr(each, "_meta"))
    key, ours = first._meta.primary_key, base._meta.primary_key
    made_up = type(key) is peewee.AutoField and key.name == "id"
    declared = any(getattr(value, "primary_key", False) for value in attrs.values() if isinstance(value, peewee.Field))
    if first is not base and made_up and not declared:
        attrs[ours.name] = deepcopy(ours)


def _check(made: Any, root: Any) -> None:
    meta, name = made._meta, made.__name__
    if meta.primary_key is False or meta.composite_key:
        raise TenancyError(_NO_SINGLE_KEY.format(name=name))
    abstract = made.__module__.startswith("rayces_core.tenancy.")
    if not abstract and meta.tenant_column != "id" and meta.tenant_field not in meta.fields:
        raise TenancyError(f"{name}.validate_model() has to call super().validate_model(), which adds the organization")
    if not (isinstance(made._select_class, type) and issubclass(made._select_class, TenantSelect)):
        raise TenancyError(
            f"{name}._select_class has to be a subclass of TenantSelect, which keeps rows to their tenant"
        )
    if made._schema._database not in (None, database):
        raise TenancyError(f"{name}: tables are made by migrations; leave `database` out of schema_options")
    _check_order(made, root)


def _check_order(made: Any, root: Any) -> None:
    """Refuse a plain model among the bases whose methods ours would hide without a word."""
    behind = made.__mro__[made.__mro__.index(root) + 1 :]
    for base in behind:
        plain = peewee.is_model(base) and base is not peewee.Model
        hidden = sorted(vars(base).keys() & {"save", "delete_instance", "__init__", "select", "update", "insert"})
        if plain and hidden:
            raise TenancyError(
                f"{made.__name__}: {base.__name__}.{hidden[0]} would never be called; put {base.__name__} first: "
                f"class {made.__name__}({base.__name__}, TenantModel)"
            )


def withdraw(made: Any) -> None:
    """Take back what other models know of a class that is refused."""
    for key in list(made._meta.refs):
        made._meta.remove_ref(key)
        back = vars(key.rel_model).get(key.backref)
        if getattr(back, "rel_model", None) is made:
            delattr(key.rel_model, key.backref)
            if (before := getattr(back, "before", None)) is not None:
                setattr(key.rel_model, key.backref, before)
