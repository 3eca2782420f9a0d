"""Makes record types of a host's models, for imports and exports alike.

Rule it guards: a file that was exported comes in again. So both have the same columns under the same names, and a
reference stands by what its row is known by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rayces_core.errors import ConfigurationError
from rayces_core.exporting import records as exports
from rayces_core.hosting.columns import form_of, name_of
from rayces_core.hosting.making import export_record, import_record
from rayces_core.hosting.model import Described, Value
from rayces_core.hosting.references import OURS, Known, Reference, ours
from rayces_core.importing import records as imports
from rayces_core.state_machine import StateMachine
from rayces_core.tenancy.model import TenantForeignKey, TenantModel

_NO_WORDS: Final[Mapping[str, Iterable[str]]] = {}
_NO_EXAMPLES: Final[Mapping[str, str]] = {}
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
# What the tables of an import call columns of their own, and what no file may say.
_TAKEN: Final = frozenset(("row", "faulty", "existing_id", "given_id", "differs", "late", "certain", "id"))
_BY_THEMSELVES: Final = frozenset(("id", "organization_id", "created_at", "updated_at"))
_registered: dict[type[TenantModel], Described] = {}


def register(
    model: type[TenantModel],
    *,
    key: str | Iterable[str],
    name: str | None = None,
    words: Mapping[str, Iterable[str]] = _NO_WORDS,
    examples: Mapping[str, str] = _NO_EXAMPLES,
    leave_out: Iterable[str] = (),
) -> None:
    """Make a model of the host's a record type of imports, exports and templates; again, it is described anew.

    Args:
        model: a TenantModel with a numbered `id`; models that it refers to are registered before it.
        key: the field or fields by which a row is known within its organization, best those of a unique key.
        name: of the record type, in the plural; default: the name of its table.
        words: field → what its column is called in files besides its own name.
        examples: field → what a template shows.
        leave_out: fields that no file has.

    Raises:
        ConfigurationError: the model is none, a field is of a kind that cannot be in a file or refers to what is not
            registered, or the name is another record type's.
    """
    described = _described(model, key, name, words, examples, frozenset(leave_out))
    _refuse_taken(described)
    imports.add(import_record(described))
    exports.add(export_record(described))
    _registered[model] = described


def registered() -> tuple[type[TenantModel], ...]:
    """The models that were registered, in that order."""
    return tuple(_registered)


def _described(
    model: Any,
    key: str | Iterable[str],
    name: str | None,
    words: Mapping[str, Iterable[str]],
    examples: Mapping[str, str],
    left_out: frozenset[str],
) -> Described:
    if not (isinstance(model, type) and issubclass(model, TenantModel)):
        raise ConfigurationError(f"{model!r:.60} is no TenantModel; register the class of a model of yours")
    if model in OURS or model._meta.table_name in {record.table for record in exports.OURS.values()}:
        raise ConfigurationError(f"{model.__name__} is a record type of this library already")
    if not isinstance(model._meta.primary_key, type(TenantModel.id)):
        raise ConfigurationError(
            f"{model.__name__}: rows of files are known by a numbered `id`; its key is another one"
        )
    keys = (key,) if isinstance(key, str) else tuple(key)
    known = set(model._meta.fields)
    for what, given in (("key", keys), ("words", words), ("examples", examples), ("leave_out", left_out)):
        if unknown := sorted(set(given) - known):
            raise ConfigurationError(f"{model.__name__} has no field {unknown[0]} that {what} names")
    if not keys or set(keys) & left_out:
        raise ConfigurationError(f"{model.__name__}: key names the fields that a row is known by; name one or more")
    return _walk(model, keys, name or model._meta.table_name, words, examples, left_out)


def _walk(
    model: Any,
    keys: tuple[str, ...],
    name: str,
    words: Mapping[str, Iterable[str]],
    examples: Mapping[str, str],
    left_out: frozenset[str],
) -> Described:
    states = {value.field for value in vars(model).values() if isinstance(value, StateMachine)}
    made = Described(model, name, keys)
    selves = []
    for field in model._meta.sorted_fields:
        if field.column_name in _BY_THEMSELVES or field.name in left_out:
            continue
        if isinstance(field, TenantForeignKey):
            if field.rel_model is model:
                selves.append(field)
                continue
            made.references.append(_reference(field, _known(model, field), words, examples, made))
        elif field.name in states:
            made.states.append(field)
        else:
            form = form_of(field)
            if form is None:
                raise _unknown(model, field, f"is a {type(field).__name__}")
            required = not field.null and field.default is None
            made.values.append(Value(field, name_of(field), form, required))
            made.call(name_of(field), words.get(field.name, ()), examples.get(field.name, ""))
    for field in selves:
        made.references.append(_reference(field, made.known(), words, examples, made))
    _check_names(made)
    return made


def _reference(
    field: Any, known: Known, words: Mapping[str, Iterable[str]], examples: Mapping[str, str], made: Described
) -> Reference:
    reference = Reference(field.column_name, field.name, known, not field.null and field.default is None)
    headers = [reference.header(part) for part in known.parts]
    made.call(headers[0], words.get(field.name, ()), examples.get(field.name, ""))
    for header in headers[1:]:
        made.call(header, (), "")
    return reference


def _known(model: Any, field: Any) -> Known:
    target = field.rel_model
    known = ours(field) or (_registered[target].known() if target in _registered else None)
    if known is None:
        raise _unknown(model, field, f"refers to {target.__name__}, which is not registered; register that first")
    return known


def _unknown(model: Any, field: Any, what: str) -> ConfigurationError:
    return ConfigurationError(f'{model.__name__}.{field.name} {what}; or leave_out=["{field.name}"]')


def _check_names(made: Described) -> None:
    names = [value.name for value in made.values]
    names += [reference.header(part) for reference in made.references for part in reference.known.parts]
    every = [*names, *(value.field.column_name for value in made.values), *(each.column for each in made.references)]
    for name in every:
        if name in _TAKEN or not _PLAIN.fullmatch(name):
            raise ConfigurationError(
                f"{made.model.__name__}: no file can have a column {name!r}; leave the field out, or name its column "
                "otherwise (a-z, 0-9 and _)"
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(
            f"{made.model.__name__}: two fields would be the column {twice}; leave one of them out"
        )


def _refuse_taken(described: Described) -> None:
    name = described.name
    mine = described.model in _registered and _registered[described.model].name == name
    if not _PLAIN.fullmatch(name) or (not mine and (name in imports.RECORDS or name in exports.RECORDS)):
        raise ConfigurationError(
            f"{name!r} cannot name the record type of {described.model.__name__}: it is another's, or no plain word; "
            "give a name= of a-z, 0-9 and _"
        )
