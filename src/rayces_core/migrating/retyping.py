"""What becomes of a column's values when it gets another type: asked of every value, by casting it there and back.

A cast that shortens or rounds loses something; where PostgreSQL refuses to cast, the statement would stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import peewee

from rayces_core.migrating.counting import Count, counted
from rayces_core.migrating.effects import Retyped
from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase

_TYPE = """
SELECT format_type(a.atttypid, a.atttypmod)
  FROM pg_attribute a
 WHERE a.attrelid = to_regclass(%s) AND a.attname = (parse_ident(%s))[1] AND NOT a.attisdropped
"""
# Without USING these refuse what is too long; an explicit cast cuts it off.
_REFUSING = ("varchar", "character", "char", "bit", "varbit")
_DATA_EXCEPTION = "22"


@dataclass(frozen=True, slots=True)
class Unfit:
    """Values that the new type does not hold; `stops` where they stop the statement, instead of being changed."""

    rows: Count
    stops: bool


def unfit(database: MigrationDatabase, retyped: Retyped) -> Unfit | None:
    """The values that would not survive; None where all would, or there is no such column (yet)."""
    before = database.one(_TYPE, retyped.table.replace("%%", "%"), retyped.column.replace("%%", "%"))
    if not before or not retyped.type:
        return None
    there = retyped.using or f"{retyped.column}::{retyped.type}"
    changed = f"(({there})::{before})::text IS DISTINCT FROM {retyped.column}::text"
    try:
        rows = counted(database, retyped.table, changed)
    except peewee.DatabaseError as error:
        if not (sqlstate(error) or "").startswith(_DATA_EXCEPTION):
            return _of_all(database, retyped)
        return Unfit(Count(None), stops=True)
    return Unfit(rows, not retyped.using and _refuses(retyped.type)) if rows else None


def _refuses(type_: str) -> bool:
    return type_.lower().removeprefix("pg_catalog.").partition("(")[0].split()[:1] in [[name] for name in _REFUSING]


def _of_all(database: MigrationDatabase, retyped: Retyped) -> Unfit | None:
    """What cannot be cast back may be lost of any value; what it looks at may not be there yet."""
    try:
        rows = counted(database, retyped.table, f"{retyped.column} IS NOT NULL")
    except peewee.DatabaseError:
        return None
    return Unfit(rows, stops=False) if rows else None
