"""What can be read as a frame: a query, a model, or the text of one SELECT; as the SQL that is sent for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import peewee

from rayces_core import sql_lexer
from rayces_core.database.binding import current
from rayces_core.database.sql_guard import check
from rayces_core.database.traces import leaves_traces
from rayces_core.errors import InvalidDataError
from rayces_core.models import TENANT_MODELS, Organization
from rayces_core.tenancy.scoping import check_database

Params = Sequence[Any] | Mapping[str, Any] | None
_READS: Final = frozenset(("select", "with", "values", "table", "("))


@dataclass(frozen=True)
class Source:
    """SQL with its values in place.

    Attributes: `sql`; `models`, of which its columns may be, by table; `stains`, whether it may leave something on its
    connection.
    """

    sql: str
    models: Mapping[str, Any]
    stains: bool


def source_of(given: Any, params: Params) -> Source:
    """What is sent for a query, a model or a text; a unit of work is open.

    Raises:
        InvalidDataError: it is none of these, or does not read. UnsafeSQLError: the text would leave the tenant.
    """
    if isinstance(given, str):
        # Looked at with its values: one that stands in a string could end the SELECT as well.
        return Source(_one_select(_filled(given, params)), _known(()), stains=True)
    if params is not None:
        raise InvalidDataError("params", params, "belong to the text of a SELECT; a query has its own values")
    query = given.select() if peewee.is_model(given) or isinstance(given, peewee.ModelAlias) else given
    if not isinstance(query, peewee.SelectBase | peewee.RawQuery):
        raise InvalidDataError("source", given, f"must be a query, a model or the text of a SELECT, not {_what(given)}")
    if getattr(query, "_database", None) is not None:
        check_database(query._database)
    sql, values = current().engine.get_sql_context().sql(query).query()
    check(sql, partial(_filled, sql, values))
    sql = _filled(sql, values)
    stains = isinstance(query, peewee.RawQuery) or leaves_traces(sql)
    return Source(_one_select(sql) if isinstance(query, peewee.RawQuery) else sql, _known(_models_of(query)), stains)


def _what(given: Any) -> str:
    if isinstance(given, peewee.Query):
        return f"{type(given).__name__}, which writes; run it first, and read what it has written"
    return f"{type(given).__name__} {given!r:.60}"


def _filled(sql: str, values: Any) -> str:
    if not values:
        return sql
    return current().engine.filled(sql, values)


def _one_select(text: str) -> str:
    """The text of one SELECT, without what ends it."""
    found = list(sql_lexer.statements(text))
    if len(found) != 1 or found[0][0] not in _READS:
        raise InvalidDataError("source", text, "must be one SELECT; run what writes with db.execute_sql")
    ends = [token for token in sql_lexer.tokens(text) if text[token.start : token.end] == ";"]
    return text[: ends[0].start] if ends else text


def _known(named: Any) -> dict[str, Any]:
    """Models by table: the library's own, and those that the query names."""
    return {model._meta.table_name: model for model in (Organization, *TENANT_MODELS, *named)}


def _models_of(query: Any) -> Iterator[Any]:
    """The models that a query reads, those of its arms and joins too."""
    for arm in (getattr(query, "lhs", None), getattr(query, "rhs", None)):
        if arm is not None:
            yield from _models_of(arm)
    sources = [getattr(query, "model", None), *(getattr(query, "_from_list", None) or ())]
    for source, joined in (getattr(query, "_joins", None) or {}).items():
        sources += [source, *(join[0] for join in joined)]
    for source in sources:
        if isinstance(source, peewee.SelectBase):
            yield from _models_of(source)
        model = source.model if isinstance(source, peewee.ModelAlias) else source
        if peewee.is_model(model):
            yield model
