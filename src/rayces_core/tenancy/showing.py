"""What notebooks show of models, rows and queries, and the names that completion offers.

Rule it guards: to show something never writes or locks, and never breaks the unit of work that it is shown in. Rows are
read under the walls, as ever; where no tenant is bound, that is what is shown.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Final

import peewee

from rayces_core.database.binding import current
from rayces_core.errors import RaycesError
from rayces_core.showing import html_table, text_table, told

ROWS: Final = 10
COUNTED: Final = 10_000  # as far as rows are counted

# Of what Peewee gives, what an application uses; the rest stays there, and is not offered.
_OF_MODELS = """
    DoesNotExist alias bulk_create bulk_update create delete delete_by_id delete_instance dirty_field_names dirty_fields
    filter get get_by_id get_or_create get_or_none insert insert_from insert_many is_dirty raw save select set_by_id
    update
"""
_OF_QUERIES = """
    alias columns count cte dicts distinct except_ execute exists filter first for_update from_ get get_or_none group_by
    group_by_extend having intersect iterator join join_from lateral left_outer_join limit namedtuples objects offset
    on_conflict on_conflict_ignore order_by order_by_extend orwhere paginate peek prefetch returning scalar scalars
    select select_extend select_from selected_columns sql switch tuples union union_all where window with_cte
    with_related
"""
_USED: Final = frozenset((_OF_MODELS + _OF_QUERIES).split())
# The library's own that only it, or Peewee, calls.
_INNER: Final = frozenset(
    ("create_table", "dependencies", "open_on_server", "selects_all", "validate_model", "was_repeated")
)


def offered(kind: type, names: Iterable[str]) -> list[str]:
    """Those of the names that applications use: fields, events, the library's methods, and Peewee's that are used."""
    return sorted(name for name in names if name.startswith("_") or name in _USED or _is_own(kind, name))


def _is_own(kind: type, name: str) -> bool:
    if name in _INNER:
        return False
    for base in kind.__mro__:
        if name in vars(base):
            return base.__module__ != "peewee"
    return True


# -- rows and models --------------------------------------------------------------------------------------------------


def shown_row(row: Any) -> str:
    """The values that a row has in memory; asks no database."""
    meta = row._meta
    values = [
        (field.column_name, told(field.column_name, row.__data__[field.name]))
        for field in meta.sorted_fields
        if field.name in row.__data__
    ]
    return html_table(("column", "value"), values, title=repr(row))


def shown_model(model: Any) -> str:
    """The columns of a model, as it declares them; asks no database."""
    meta = model._meta
    columns = [
        (
            field.column_name,
            type(field).__name__.removesuffix("Field"),
            "" if field.null else "required",
            field.rel_model.__name__ if isinstance(field, peewee.ForeignKeyField) else "",
        )
        for field in meta.sorted_fields
    ]
    note = (model.__doc__ or "").strip().partition("\n")[0]
    return html_table(("column", "type", "", "of"), columns, title=f"{model.__name__}: {meta.table_name}", note=note)


# -- queries ----------------------------------------------------------------------------------------------------------


class ShownQuery:
    """What a query is to somebody at a notebook."""

    def __dir__(self) -> list[str]:
        return offered(type(self), super().__dir__())

    def _repr_html_(self) -> str:
        return shown_query(self)["text/html"]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # Both at once, so that what is displayed is read once.
        return shown_query(self)


def shown_query(query: Any) -> dict[str, str]:
    """The first rows of a query and how many there are, as MIME types; a sentence where it is not run."""
    name = type(query).__name__
    if not reads_only(query):
        return _sentence(name, "not run, since it writes, locks or is your own SQL; call .execute(), or list() it")
    try:
        names, rows, count = _first_rows(query)
    except RaycesError as error:
        return _sentence(name, f"{type(error).__name__}: {error}")
    if not rows:
        return _sentence(name, "no rows")
    return {
        "text/plain": text_table(names, rows, note=count),
        "text/html": html_table(names, rows, note=count),
    }


def reads_only(query: Any) -> bool:
    """Whether to run it changes nothing and keeps nobody waiting."""
    if isinstance(query, peewee.CompoundSelectQuery):
        return reads_only(query.lhs) and reads_only(query.rhs)
    return isinstance(query, peewee.SelectBase) and not getattr(query, "_for_update", None)


def _first_rows(query: Any) -> tuple[list[str], list[list[str]], str]:
    engine = current().engine
    # A statement that fails would break the unit of work that is open.
    with engine.atomic() if engine.session.in_transaction else nullcontext():
        rows = list(_limited(query, ROWS + 1).dicts())
        count = len(rows) if len(rows) <= ROWS else _limited(query, COUNTED + 1).count()
    names = list(rows[0]) if rows else []
    texts = [[told(name, row[name]) for name in names] for row in rows[:ROWS]]
    several = f"more than {COUNTED:,} rows" if count > COUNTED else f"{count:,} row{'' if count == 1 else 's'}"
    return names, texts, several if count <= ROWS else f"{several}, the first {ROWS} of them"


def _limited(query: Any, most: int) -> Any:
    """The same query for at most so many rows; one whose limit is no number keeps it."""
    limited = query.clone()
    if getattr(limited, "_load_tree", None):
        limited._load_tree = None
    if limited._limit is None:
        return limited.limit(most)
    return limited.limit(min(limited._limit, most)) if type(limited._limit) is int else limited


def _sentence(name: str, sentence: str) -> dict[str, str]:
    shown = f"<div><strong>{html.escape(name)}</strong>: {html.escape(sentence)}</div>"
    return {"text/plain": f"<{name}: {sentence}>", "text/html": shown}
