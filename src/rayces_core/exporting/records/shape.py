"""What a record type is for an export: its columns by the names that people read, and the SQL that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import peewee

from rayces_core.models import Role


class Kind(Enum):
    """What the values of a column are."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    MONEY = "money"  # whole cents in SQL
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Column:
    """One exported column: its name, its SQL over `t` and the joined rows, and the kind of its values."""

    name: str
    sql: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Record:
    """One record type.

    Attributes:
        joins: SQL that brings the rows referred to. when: the column that a time span is about. state, people: the
            columns that `state` and `user` are looked for in. table_sql: the table where its name has to be quoted.
    """

    name: str
    model: type[peewee.Model]
    columns: tuple[Column, ...]
    joins: str = ""
    when: str = "created_at"
    state: str | None = None
    people: tuple[str, ...] = ()
    table_sql: str = ""

    @property
    def table(self) -> str:
        """The table of its rows, as SQL."""
        return self.table_sql or str(self.model._meta.table_name)


def columns(names: str, kind: Kind = Kind.TEXT) -> tuple[Column, ...]:
    """Columns that are called as the table's own are."""
    return tuple(Column(name, f't."{name}"', kind) for name in names.split())


def joined(column: str, alias: str, target: str = "users", field: str = "id") -> str:
    """SQL that brings the row that a column refers to, as `alias`."""
    on = f"{alias}.organization_id = t.organization_id AND {alias}.{field} = t.{column}"
    return f"LEFT JOIN {target} AS {alias} ON {on}"


def setting(name: str, kind: Kind = Kind.INTEGER) -> Column:
    """What a key of the settings says, as a column."""
    cast = {Kind.INTEGER: "::integer", Kind.BOOLEAN: "::boolean"}.get(kind, "")
    return Column(name, f"(t.settings ->> '{name}'){cast}", kind)


TEXT, INTEGER, BOOLEAN, DATE, MOMENT, MONEY, DOCUMENT = Kind
STAMPS: Final = columns("created_at updated_at", MOMENT)
ID: Final = columns("id", INTEGER)
ROLE: Final = f"(ARRAY[{', '.join(repr(role.name.lower()) for role in sorted(Role))}])[t.role + 1]"
