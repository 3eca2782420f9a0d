"""The tables that a host's models stand for, as `Migrator.tenant_table` would be asked for them.

Rule it guards: what a model does not say is not guessed; what Python works out is no default of a column.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import peewee

from rayces_core.errors import ConfigurationError
from rayces_core.migrations.tenant_tables import NUMBERED, Parent

TENANT = "organization_id"
STAMPS = ("created_at", "updated_at")
# A model's word for a type → what it is in a table; Peewee's serial types are numbered by the database.
_NUMBERS = {"BIGINT", "BIGSERIAL", "SERIAL", "INTEGER"}
_STAMP = "timestamptz"
_VALUE = re.compile(r"\s*(DEFAULT|GENERATED)\b", re.IGNORECASE)
_CONSTANTS = (str, int, float, Decimal, date, time, timedelta, UUID)  # a datetime is a date as well
_SPEAKER = peewee.PostgresqlDatabase(None)


@dataclass(frozen=True, slots=True)
class ModelledColumn:
    """One column: its type as SQL, whether it may be empty, and the constant that the model fills in, if any."""

    name: str
    type: str
    nullable: bool
    default: object = None
    constraints: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """What stands behind the column's name in CREATE TABLE."""
        return self._defined("" if self.nullable else " NOT NULL")

    @property
    def nullable_definition(self) -> str:
        """The same for a column whose rows are filled in later."""
        return self._defined("")

    @property
    def fills_in(self) -> bool:
        """Whether rows that are there have a value at once."""
        return self.default is not None or self._has_value_of_its_own

    @property
    def _has_value_of_its_own(self) -> bool:
        return any(_VALUE.match(each) for each in self.constraints)

    def _defined(self, not_null: str) -> str:
        default = self.default is not None and not self._has_value_of_its_own
        said = [f"DEFAULT {literal_of(self.default)}"] if default else []
        return " ".join([f"{self.type}{not_null}", *said, *self.constraints])


@dataclass(frozen=True)
class ModelledTable:
    """The table of one model: its own columns, and column → the table it refers to.

    `checks` are constraints as SQL, `searched` columns whose index is of another method than btree, and `unsaid` what
    a model says in a way that is not read here.
    """

    model: str
    name: str
    key: ModelledColumn
    columns: list[ModelledColumn]
    parents: dict[str, Parent]
    unique: list[tuple[str, ...]] = field(default_factory=list)
    indexes: list[tuple[str, ...]] = field(default_factory=list)
    has_stamps: bool = False
    checks: list[str] = field(default_factory=list)
    searched: list[tuple[str, str]] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)


def models_of(path: str, *, may_have_none: bool = False) -> list[Any]:
    """The host's models in `package.module`, or the one that `package.module:Model` names.

    Raises:
        ConfigurationError: there is no such module or model, or it has no model of a tenants' table unless it
            `may_have_none`.
    """
    module_name, _, wanted = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise ConfigurationError(
            f"there is no module {module_name!r} (looked for {error.name!r}); name it as Python imports it, from the "
            "folder that holds it or with that in PYTHONPATH"
        ) from error
    found = [each for each in vars(module).values() if _is_own(each, module_name)]
    chosen = [each for each in found if wanted in ("", each.__name__)]
    if not chosen and not may_have_none:
        what = f"no model {wanted}" if wanted else "no TenantModel with a table"
        plain = "".join(f"; {each.__name__} is no TenantModel" for each in plain_models(module))
        raise ConfigurationError(f"{module_name} has {what}; it has {', '.join(_names(found)) or 'none'}{plain}")
    return in_order([*chosen, *_links(chosen)])


def _links(models: Sequence[Any]) -> list[Any]:
    """The tables of many-to-many fields, which no module has a name for; not those of models that a host wrote."""
    fields = [each for model in models for each in model._meta.manytomany.values()]
    through = dict.fromkeys(each.get_through_model() for each in fields)
    return [model for model in through if model not in models and TENANT in model._meta.columns]


def plain_models(module: Any) -> list[Any]:
    """The Peewee models of a host's module that belong to no organization; bases of others are none."""
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, peewee.Model)
        and TENANT not in each._meta.columns
        and each.__module__ == module.__name__
        and not each.__subclasses__()
    ]


def _names(models: Sequence[Any]) -> list[str]:
    return [model.__name__ for model in models]


def _is_own(found: object, module: str) -> bool:
    """Whether it is a tenants' model of the host: not an imported one of this library's, nor a base class."""
    return (
        isinstance(found, type)
        and issubclass(found, peewee.Model)
        and TENANT in found._meta.columns
        and not found.__module__.startswith("rayces_core.")
        and (found.__module__ == module or found.__module__.startswith(module + "."))
        and not getattr(found._meta, "abstract", False)
    )


def in_order(models: Iterable[Any]) -> list[Any]:
    """Each once, parents before those that refer to them."""
    chosen = dict.fromkeys(models)
    return [model for model in _sorted(list(chosen)) if model in chosen]


def _sorted(models: list[Any]) -> list[Any]:
    return peewee.sort_models(models)  # type: ignore[attr-defined, no-any-return]


def table_of(model: Any) -> ModelledTable:
    """The table that a model stands for."""
    meta = model._meta
    parents = {each.column_name: _parent(each) for each in _references(model)}
    key = meta.primary_key
    plain = [
        _column(each) for each in meta.sorted_fields if each is not key and each.column_name not in (TENANT, *parents)
    ]
    stamps = [each for each in plain if each.name in STAMPS and each.type == _STAMP and not each.nullable]
    has_stamps = len(stamps) == len(STAMPS)
    return ModelledTable(
        model.__name__,
        f"{meta.schema}.{meta.table_name}" if meta.schema else meta.table_name,
        _column(key),
        [each for each in plain if not (has_stamps and each in stamps)],
        parents,
        *_keys(model, parents),
        has_stamps=has_stamps,
        checks=_checks(model),
        searched=[
            (each.column_name, str(each.index_type).lower()) for each in meta.sorted_fields if _is_searched(each)
        ],
        unsaid=[" ".join(_sql_of(each).split()) for each in meta.indexes if not _is_pair(each)],
    )


def _checks(model: Any) -> list[str]:
    """Constraints of Meta and of references, as they stand in CREATE TABLE; those of a plain field stand behind it."""
    said = [each for one in _references(model) for each in one.constraints or ()]
    return [_sql_of(each) for each in (*said, *(model._meta.constraints or ()))]


def _sql_of(constraint: Any) -> str:
    context: Any = _SPEAKER.get_sql_context()
    sql, values = context.sql(constraint).query()
    return str(sql) if not values else str(sql) % tuple(literal_of(value) for value in values)


def _is_searched(each: Any) -> bool:
    """Whether its index is of a method that finds parts of a value, as those of arrays and documents."""
    return bool(each.index) and (getattr(each, "index_type", None) or "BTREE").upper() != "BTREE"


def _is_pair(given: object) -> bool:
    return isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], (tuple, list))


def _references(model: Any) -> Iterator[Any]:
    for each in model._meta.sorted_fields:
        if isinstance(each, peewee.ForeignKeyField) and each.column_name != TENANT and not each.primary_key:
            yield each


def _parent(reference: Any) -> Parent:
    target = reference.rel_model._meta
    name = f"{target.schema}.{target.table_name}" if target.schema else target.table_name
    action = (reference.on_delete or "NO ACTION").upper()
    return Parent(name, reference.null, action, reference.rel_field.column_name, type_of(reference.rel_field))


def _keys(model: Any, parents: dict[str, Parent]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """What is unique within an organization, and what has an index; a parent's column has one by itself."""
    unique: list[tuple[str, ...]] = [
        (each.column_name,) for each in model._meta.sorted_fields if each.unique and not each.primary_key
    ]
    indexes: list[tuple[str, ...]] = [
        (each.column_name,)
        for each in model._meta.sorted_fields
        if each.index and not (each.unique or each.primary_key or _is_searched(each))
        if each.column_name not in (TENANT, *parents)
    ]
    for given in model._meta.indexes:
        if _is_pair(given):
            columns = tuple(_column_of(model, name) for name in given[0])
            within = tuple(name for name in columns if name != TENANT)
            if within:
                (unique if given[1] else indexes).append(within)
    return unique, indexes


def _column_of(model: Any, name: str) -> str:
    found = model._meta.fields.get(name)
    return str(found.column_name) if found is not None else name


def _column(each: Any) -> ModelledColumn:
    said = [_sql_of(one) for one in each.constraints or ()]
    if each.collation:
        said.insert(0, f'COLLATE "{each.collation}"')
    return ModelledColumn(each.column_name, type_of(each), each.null, _constant(each), tuple(said))


def _constant(each: Any) -> object:
    """The value that a model fills in, where it is one that SQL has a plain constant for; else None."""
    default = None if callable(each.default) or each.default is None else each.db_value(each.default)
    return default if isinstance(default, _CONSTANTS) else None


def type_of(each: Any) -> str:
    """The type of a field's column as SQL, in the words that PostgreSQL's manual uses."""
    context: Any = _SPEAKER.get_sql_context()
    text = str(context.sql(each.ddl_datatype(_SPEAKER.get_sql_context())).query()[0]).lower()
    known = {"bigserial": NUMBERED, "serial": "integer", "datetime": "timestamp"}
    return known.get(text, text)


def literal_of(value: object) -> str:
    """A constant as SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def is_numbered(key: ModelledColumn) -> bool:
    """Whether the database numbers a key by itself."""
    return key.type.upper() in _NUMBERS
