"""Rows into objects by a function written once per selection.

Peewee resolves the columns of each result and builds every instance through __init__ and setattr; a generated
function with the names spelled out does the same in a fifth of the time. psycopg2 already returns the right
Python value for most columns, so only fields that say otherwise are converted.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import peewee

from rayces_core.tenancy.collector import undisturbed

# From rows, the bound organization's id and the database they are of.
Build = Callable[[list[tuple[Any, ...]], Any, Any], list[Any]]

CHUNK_ROWS = 1000  # so few that the driver's rows are still in the processor's cache when they are converted
MOST_BUILDERS = 500  # a model; raw SQL with ever new column names must not fill the memory


class Rows(peewee.CursorWrapper):
    """The result of a query; rows become objects when first asked for."""

    def __init__(self, cursor: Any, build: Build, tenant: int | None, home: Any) -> None:
        super().__init__(cursor)
        self._build, self._tenant, self._home = build, tenant, home

    def fill_cache(self, _: float = 0) -> None:
        """Build all rows; asking for a few costs no less, since the driver has them all."""
        if not self.populated:
            self.row_cache = self._all()
            self.count = len(self.row_cache)
            self.populated = True
            self.cursor.close()

    def _all(self) -> list[Any]:
        if self.cursor.rowcount <= CHUNK_ROWS:
            return self._build(self.cursor.fetchall(), self._tenant, self._home)
        built: list[Any] = []
        while rows := undisturbed(self._chunk):
            built += rows
        return built

    def _chunk(self) -> list[Any]:
        return self._build(self.cursor.fetchmany(CHUNK_ROWS), self._tenant, self._home)

    def __iter__(self) -> Iterator[Any]:
        self.fill_cache()
        return iter(self.row_cache)

    def __getitem__(self, item: int | slice) -> Any:
        self.fill_cache()
        return self.row_cache[item]

    def iterator(self) -> Iterator[Any]:
        """Rows one by one, kept nowhere."""
        while rows := undisturbed(self._chunk):
            yield from rows
        self.cursor.close()


def builder(query: Any, cursor: Any, row_type: int) -> Build:
    """The function that builds `query`'s rows as models, dicts, tuples or named tuples."""
    model, selection = query.model, query._returning or ()
    if isinstance(model, peewee.ModelAlias):
        model = model.model
    builders = model._meta.builders
    # Raw SQL selects by name alone.
    key = (row_type, *map(id, selection)) if selection else (row_type, *(column[0] for column in cursor.description))
    known = builders.get(key)
    if known is not None:
        return known[0]
    build = _write(model, cursor, selection, row_type)
    # Only fields of a class live as long as it does; the id of a passing node may come again.
    if len(builders) < MOST_BUILDERS and all(is_permanent(node) for node in selection):
        builders[key] = (build, selection)
    return build


def is_permanent(node: Any) -> bool:
    """Whether a selected node is a field of a model class, which lives as long as the class does."""
    return (
        isinstance(node, peewee.Field)
        and not isinstance(node, peewee.FieldAlias)
        and node.model._meta.fields.get(node.name) is node
    )


def _write(model: type[peewee.Model], cursor: Any, selection: Any, row_type: int) -> Build:
    names, fields, converters, _, _ = peewee._resolve_model_columns(cursor, model, selection)
    values = [
        Column(f"c{i}", field, converter) for i, (field, converter) in enumerate(zip(fields, converters, strict=True))
    ]
    if row_type == peewee.ROW.TUPLE:
        return _tuples(values)
    unique = peewee.CursorWrapper(cursor).dedupe_columns(names, valid_identifiers=row_type != peewee.ROW.DICT)
    if row_type == peewee.ROW.DICT:
        return compile_builder(values, "{" + pairs(unique, values) + "}")
    if row_type == peewee.ROW.NAMED_TUPLE:
        row = namedtuple("Row", unique, rename=True)
        return compile_builder(values, f"row({', '.join(value.expression for value in values)})", row=row)
    return _models(model, unique, values)


class Column:
    """One column of a result: the local variable it is unpacked into and the expression for its Python value."""

    def __init__(self, variable: str, field: Any, converter: Callable[[Any], Any] | None) -> None:
        self.variable = variable
        self.helpers: dict[str, Any] = {}
        self.expression = variable
        if converter is None or _driver_is_right(field):
            return
        helper = f"f_{variable}"
        members = getattr(getattr(field, "field", field), "members", None)
        if members is not None:
            self.helpers[helper], self.expression = members, f"{helper}[{variable}]"
        else:
            self.helpers[helper], self.expression = converter, f"{helper}({variable})"


_DRIVER_IS_RIGHT = (peewee.IntegerField, peewee.BigIntegerField, peewee.TextField, peewee.BooleanField)


def _driver_is_right(field: Any) -> bool:
    field = getattr(field, "field", field) if isinstance(field, peewee.FieldAlias) else field
    while isinstance(field, peewee.ForeignKeyField):
        field = field.rel_field
    says = getattr(field, "reads_driver_value", None)
    return bool(says) if says is not None else isinstance(field, _DRIVER_IS_RIGHT)


def _tuples(values: list[Column]) -> Build:
    if all(value.expression == value.variable for value in values):
        return lambda rows, *_: rows
    return compile_builder(values, f"({', '.join(value.expression for value in values)},)")


def _models(model: type[peewee.Model], names: list[str], values: list[Column]) -> Build:
    meta = model._meta
    data = [(name, value) for name, value in zip(names, values, strict=True) if name in meta.fields]
    others = [(name, value) for name, value in zip(names, values, strict=True) if name not in meta.fields]
    literal = pairs([name for name, _ in data], [value for _, value in data])
    body = [
        "    row = new(model)",
        f"    row.__data__ = {{{literal}}}",
        "    row.__rel__ = {}",
        "    row._dirty = set()",
        "    row._home = home",
        *(f"    setattr(row, {name!r}, {value.expression})" for name, value in others),
        *(["    row._dirty.clear()"] if others else []),
    ]
    # A partial selection must not make a row forget whose it is.
    tenant_field = getattr(meta, "tenant_field", None)
    if tenant_field is not None and tenant_field not in dict(data):
        body.insert(2, f"    if tenant is not None: row.__data__[{tenant_field!r}] = tenant")
    return compile_builder(values, "row", body=body, new=object.__new__, model=model)


def pairs(names: list[str], values: list[Column]) -> str:
    """The inside of a dict literal."""
    return ", ".join(f"{name!r}: {value.expression}" for name, value in zip(names, values, strict=True))


def compile_builder(values: list[Column], result: str, body: list[str] | None = None, **scope: Any) -> Build:
    """Compile a function over rows: an expression for each, or statements that leave `result`."""
    unpack = f"({', '.join(value.variable for value in values)},)"
    if body is None:
        lines = ["def build(rows, tenant, home):", f"  return [{result} for {unpack} in rows]"]
    else:
        lines = [
            "def build(rows, tenant, home):",
            "  out = []",
            "  append = out.append",
            f"  for {unpack} in rows:",
            *body,
        ]
        lines += [f"    append({result})", "  return out"]
    for value in values:
        scope |= value.helpers
    # Names come from fields and from make_identifier, both Python identifiers; values only ever as arguments.
    exec("\n".join(lines), scope)  # noqa: S102
    build: Build = scope["build"]
    return build
