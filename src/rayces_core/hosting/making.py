"""The record types of a described model: what an import does by sets, and what an export shows."""

from __future__ import annotations

import json
from typing import Any

from playhouse.postgres_ext import BinaryJSONField

from rayces_core.archive.tables import quoted
from rayces_core.exporting.records.shape import Column as Shown
from rayces_core.exporting.records.shape import Kind
from rayces_core.exporting.records.shape import Record as Exported
from rayces_core.hosting.columns import Read, form_of, shown
from rayces_core.hosting.model import Described
from rayces_core.importing.columns import Column
from rayces_core.importing.knowing import OWN_ID
from rayces_core.importing.record import Record
from rayces_core.importing.record import quoted as text

_STAMPS = ("created_at", "updated_at")


def import_record(model: Described) -> Record:
    """What imports have to know."""
    resolved = {quoted(value.column): value.form.type for value in model.values}
    resolved |= {quoted(each.column): "bigint" for each in model.references}  # the id of a numbered row
    writable = {name: f"r.{name}" for name in resolved}
    keys = [quoted(value.column) for value in model.key_values()]
    keys += [quoted(reference.column) for reference in model.key_references()]
    others = [name for name in resolved if name not in keys]
    columns_of = {quoted(value.column): value.name for value in model.values}
    columns_of |= {quoted(each.column): each.header(each.known.parts[0]) for each in model.references}
    loose = {quoted(each.column) for each in model.values if each.field.null}
    loose |= {quoted(each.column) for each in model.references if not each.required}
    changing = "updated_at" in model.model._meta.columns
    return Record(
        name=model.name,
        model=model.model,
        table_sql=model.table,
        columns=(*_columns(model), OWN_ID),
        types=_staged(model),
        # Peewee's own field of documents makes something for its driver of them.
        fields={value.name: value.field for value in model.values if not isinstance(value.field, BinaryJSONField)},
        resolved={**resolved, **{each.many: "bigint" for each in model.references}},
        resolving=_resolving(model),
        matching=" AND ".join(_same(name, name in loose) for name in keys),
        same_key=", ".join(f"coalesce(r.{name}::text, '')" if name in loose else f"r.{name}" for name in keys),
        key=", ".join(columns_of[name] for name in keys),
        name_of=f"concat_ws(' ', {', '.join(f't.{name}::text' for name in keys)})",
        compared={name: (columns_of[name], f"t.{name}") for name in others},
        renaming={name: (columns_of[name], f"t.{name}") for name in keys} if changing else {},
        updating={name: f"coalesce({said}, t.{name})" for name, said in writable.items()} if changing else {},
        emptied=dict.fromkeys((name for name in others if name in loose), "NULL"),
        checks=tuple(each.check() for each in model.references),
        inserting=_inserting(model, resolved),
    )


def _columns(model: Described) -> list[Column]:
    keys = {value.name for value in model.key_values()}
    made = []
    for value in model.values:
        required = value.required or (value.name in keys and not value.field.null)
        made.append(_column(model, value.name, value.form.read, required, value.form.example))
    for reference in model.references:
        for part in reference.known.parts:
            required = reference.required and not part.optional
            made.append(_column(model, reference.header(part), part.read, required, part.example))
    return made


def _column(model: Described, name: str, read: Read, required: bool, example: str) -> Column:
    names, given = model.called.get(name, ((), ""))
    return Column(name, read, required, names, example=given or (example if required else ""))


def _staged(model: Described) -> dict[str, str]:
    made = {value.name: value.form.type for value in model.values}
    made |= {each.header(part): part.type for each in model.references for part in each.known.parts}
    return {**made, "id": "varchar"}


def _resolving(model: Described) -> str:
    found = [f"s.{quoted(value.name)}" for value in model.values]
    found += [each.found for each in model.references]
    found += [f"{each.alias}.many" for each in model.references]
    joins = " ".join(each.joined() for each in model.references)
    return f"SELECT {', '.join(('s.row', 's.faulty', *found))} FROM staged AS s {joins}"


def _same(name: str, loose: bool) -> str:
    return f"t.{name} IS NOT DISTINCT FROM r.{name}" if loose else f"t.{name} = r.{name}"


def _inserting(model: Described, resolved: dict[str, str]) -> str:
    defaults = {quoted(value.column): _default(value.field) for value in model.values if not value.required}
    written = {
        name: f"coalesce(r.{name}, {default})" if (default := defaults.get(name)) else f"r.{name}" for name in resolved
    }
    for field in model.states:
        written[quoted(field.column_name)] = _default(field) or "NULL"
    for stamp in _STAMPS:
        if stamp in model.model._meta.columns:
            written[stamp] = "%(now)s"
    return f"""
        INSERT INTO {model.table} (organization_id, {", ".join(written)})
        SELECT %(tenant)s, {", ".join(written.values())} FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """


def _default(field: Any) -> str:
    """What a column has where a row says nothing, as the model has it; as SQL, empty where it has none."""
    given = field.default() if callable(field.default) else field.default
    if given is None:
        return ""
    stored = json.dumps(given) if isinstance(given, dict | list) else field.db_value(given)
    return f"{text(str(stored))}::{(form.type if (form := form_of(field)) else 'varchar')}"


# -- exports ---------------------------------------------------------------------------------------------------


def export_record(model: Described) -> Exported:
    """What exports have to know: the columns of an import first, then ids and stamps."""
    columns = [
        Shown(value.name, shown(value.field, f"t.{quoted(value.column)}"), value.form.kind) for value in model.values
    ]
    for reference in model.references:
        columns += [
            Shown(reference.header(part), reference.exported(part), part.kind) for part in reference.known.parts
        ]
    columns += [Shown(field.column_name, f"t.{quoted(field.column_name)}") for field in model.states]
    columns.append(Shown("id", "t.id", Kind.INTEGER))
    columns += [Shown(each.column, f"t.{quoted(each.column)}", Kind.INTEGER) for each in model.references]
    columns += [Shown(stamp, f"t.{stamp}", Kind.MOMENT) for stamp in _STAMPS if stamp in model.model._meta.columns]
    return Exported(
        model.name,
        model.model,
        tuple(columns),
        joins=" ".join(reference.export_join() for reference in model.references),
        when="created_at" if "created_at" in model.model._meta.columns else "",
        state=model.states[0].column_name if model.states else None,
        people=tuple(
            each.header(part) for each in model.references for part in each.known.parts if part.name == "email"
        ),
        table_sql=model.table,
    )
