"""Rows of joined models into instances that hold each other, by a function written once per selection and join.

Peewee works out for every row which object goes where; here that is worked out once and spelled out as code.
What goes where is still Peewee's decision: its own cursor wrapper is asked.
"""

from __future__ import annotations

from typing import Any

import peewee

from rayces_core.errors import CrossTenantError
from rayces_core.tenancy.hydration import MOST_BUILDERS, Build, Column, columns_of, compile_builder, is_permanent, pairs


def joined_builder(query: Any, cursor: Any) -> Build | None:
    """The function that builds `query`'s rows; None where a source is no model class, which Peewee then builds."""
    selection, model = query._returning, query.model
    joins = [(source, *join) for source, joined in query._joins.items() for join in joined]
    if not all(peewee.is_model(source) and peewee.is_model(dest) for source, dest, *_ in joins):
        return None
    key = (
        "joined",
        *map(id, selection),
        *((id(source), id(dest), attr, kind) for source, dest, attr, _, kind in joins),
    )
    builders = model._meta.builders
    if key in builders:
        build: Build = builders[key][0]
        return build
    if not all(is_permanent(node) for node in selection) or len(builders) >= MOST_BUILDERS:
        return None
    build = _write(query, cursor)
    builders[key] = (build, selection, joins)  # what goes by its id in the key must stay
    return build


def _write(query: Any, cursor: Any) -> Build:
    plan = peewee.ModelCursorWrapper(cursor, query.model, query._returning, query._from_list, query._joins)
    plan.initialize()
    columns = columns_of(cursor, plan.converters)
    models = list(plan.key_to_constructor)
    place = {model: number for number, model in enumerate(models)}
    held: list[dict[str, Column]] = [{} for _ in models]
    for key, name, column in zip(plan.column_keys, plan.columns, columns, strict=True):
        held[place[key]][name] = column
    body: list[str] = []
    for number, model in enumerate(models):
        body += _instance(number, model, held[number])
    for source, attribute, target, _, is_outer, is_fk in plan.src_to_dest:
        reachable = [place[model] for model in plan._dest_reachable.get(target, ()) if model in place]
        body += _link(place[source], attribute, place[target], is_outer, is_fk, reachable, source)
    scope = {f"m{number}": model for number, model in enumerate(models)}
    result = f"o{place[query.model]}"
    return compile_builder(columns, result, body=body, new=object.__new__, refuse_mixture=refuse_mixture, **scope)


def _instance(number: int, model: Any, held: dict[str, Column]) -> list[str]:
    meta, row = model._meta, f"o{number}"
    there = [held[meta.primary_key.name]] if meta.primary_key.name in held else list(held.values())
    lines = [
        f"    {row} = new(m{number})",
        f"    {row}.__data__ = {{{pairs(list(held), list(held.values()))}}}",
        f"    {row}.__rel__ = {{}}",
        f"    {row}._dirty = set()",
        f"    {row}._home = home",
        f"    s{number} = " + (" or ".join(f"{column.variable} is not None" for column in there) or "False"),
    ]
    tenant_field = getattr(meta, "tenant_field", None)
    if tenant_field is not None and tenant_field not in held:
        lines.append(f"    if tenant is not None: {row}.__data__[{tenant_field!r}] = tenant")
    return lines


def _link(
    source: int, attribute: str, target: int, is_outer: bool, is_fk: bool, reachable: list[int], model: Any
) -> list[str]:
    found = " or ".join(f"s{number}" for number in (target, *reachable))
    if is_fk:
        key = model._meta.fields[attribute].rel_field.name
        joined = [
            f"      if tenant is None: refuse_mixture(o{source}, o{target})",
            f"      o{source}.__rel__[{attribute!r}] = o{target}",
            f"      o{source}.__data__.setdefault({attribute!r}, o{target}.__data__.get({key!r}))",
        ]
        missing = f"      o{source}.__rel__[{attribute!r}] = None"
    else:
        joined = [f"      setattr(o{source}, {attribute!r}, o{target})"]
        missing = f"      setattr(o{source}, {attribute!r}, None)"
    lines = [f"    if {found}:", *joined]
    # An outer join marks the absent row, so that nobody looks for it again.
    return [*lines, f"    elif s{source}:", missing] if is_outer else lines


def refuse_mixture(row: peewee.Model, related: peewee.Model) -> None:
    """Raise where privileged work, joining by an ON of its own, would give a row a relation of another organization."""
    mine, theirs = (one.__data__.get(getattr(one._meta, "tenant_field", None)) for one in (row, related))
    if mine is not None and theirs is not None and mine != theirs:
        raise CrossTenantError(
            f"the join gives a {type(row).__name__} of organization {mine} a {type(related).__name__} of {theirs}; "
            "compare their organizations too",
            found=theirs,
        )


def named_after(parent: Any, child: Any) -> peewee.Field | None:
    """Which of the child's keys to the parent is named after it; Peewee asks that only of a join from the child."""
    keys = () if child in parent._meta.model_refs else parent._meta.model_backrefs.get(child, ())
    return next((key for key in keys if key.name == parent._meta.name), None)
