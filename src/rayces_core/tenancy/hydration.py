"""Rows into objects by a function written once per selection.

Peewee resolves the columns of each result and builds every instance through __init__ and setattr; a generated
function with the names spelled out does the same in a fifth of the time. psycopg2 already returns the right
Python value for most columns, so `python_value` is called only where it would give something else.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import peewee

from rayces_core.fields.reading import is_as_read, members_of
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
    key = (row_type, *map(id, selection))
    if not _reads_its_table(query):
        # Raw SQL selects by name alone; of a sub-query or an arm of a union, a column may have another type.
        key = (*key, *(column[:2] for column in cursor.description))
    known = builders.get(key)
    if known is not None:
        return known[0]
    build = _write(model, cursor, selection, row_type)
    # Only fields of a class live as long as it does; the id of a passing node may come again.
    if len(builders) < MOST_BUILDERS and all(is_permanent(node) for node in selection):
        builders[key] = (build, selection)
    return build


def _reads_its_table(query: Any) -> bool:
    """Whether what is selected comes from the model's own table, so that its columns have their own types."""
    sources = getattr(query, "_from_list", None)
    if sources is None:
        return isinstance(query, peewee.ModelUpdate | peewee.ModelInsert | peewee.ModelDelete)
    return len(sources) == 1 and sources[0] is query.model


def is_permanent(node: Any) -> bool:
    """Whether a selected node is a field of a model class, which lives as long as the class does."""
    return (
        isinstance(node, peewee.Field)
        and not isinstance(node, peewee.FieldAlias)
        and node.model._meta.fields.get(node.name) is node
    )


def _write(model: type[peewee.Model], cursor: Any, selection: Any, row_type: int) -> Build:
    names, _, converters, _, _ = peewee._resolve_model_columns(cursor, model, selection)
    values = columns_of(cursor, converters)
    if row_type == peewee.ROW.TUPLE:
        return _tuples(values)
    unique = peewee.CursorWrapper(cursor).dedupe_columns(names, valid_identifiers=row_type != peewee.ROW.DICT)
    if row_type == peewee.ROW.DICT:
        return compile_builder(values, "{" + pairs(unique, values) + "}")
    if row_type == peewee.ROW.NAMED_TUPLE:
        row = namedtuple("Row", unique, rename=True)
        return compile_builder(values, f"row({', '.join(value.expression for value in values)})", row=row)
    return _models(model, unique, values)


def columns_of(cursor: Any, converters: Iterable[Callable[[Any], Any] | None]) -> list[Column]:
    """The columns of a result, each with what turns its values into the field's, if anything does."""
    read = zip(cursor.description, converters, strict=True)
    return [Column(f"c{i}", description[1], converter) for i, (description, converter) in enumerate(read)]


class Column:
    """One column of a result: the local variable it is unpacked into and the expression for its Python value."""

    def __init__(self, variable: str, type_code: int | None, converter: Callable[[Any], Any] | None) -> None:
        self.variable = variable
        self.helpers: dict[str, Any] = {}
        self.expression = variable
        if converter is None or is_as_read(converter, type_code):
            return
        helper, members = f"f_{variable}", members_of(converter)
        self.helpers[helper] = converter if members is None else members
        self.expression = f"{helper}({variable})" if members is None else f"{helper}[{variable}]"


def written_back(cursor: Any, fields: list[peewee.Field]) -> Build:
    """The function that turns rows of `fields`, as RETURNING gave them to `cursor`, into tuples of their values."""
    return _tuples(columns_of(cursor, [field.python_value for field in fields]))


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
