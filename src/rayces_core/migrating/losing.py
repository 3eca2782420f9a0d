"""What a way back takes away of the rows: tables, columns with what is in them, rows, what a new type does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import peewee

from rayces_core.migrating.counting import Count, counted, seen
from rayces_core.migrating.depending import address_of, cascaded
from rayces_core.migrating.effects import Dropped, Effect, Emptied, Retyped, Unheld
from rayces_core.migrating.retyping import unfit
from rayces_core.migrations.session import MigrationDatabase

TENANT_COLUMN = "organization_id"

_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c
 WHERE c.relkind IN ('r', 'p') AND (c.oid = to_regclass(%s) OR c.relnamespace = to_regnamespace(%s)) ORDER BY 1
"""
_KNOWN = "SELECT to_regclass(%s)::text"
_COLUMN = """
SELECT a.attname::text, quote_ident(a.attname), a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
 WHERE a.attrelid = to_regclass(%s) AND a.attname = (parse_ident(%s))[1] AND NOT a.attisdropped
"""
_ENDS = "SELECT min({column})::text || ' ' || max({column})::text FROM {table}"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a way back takes away: `what` as `table students` or `column users.phone`, and the rows that are in it.

    Of a column those count whose value is not its default. `rows` is None where nobody may count them.
    """

    migration: str
    what: str
    rows: int | None
    is_estimate: bool = False

    def __str__(self) -> str:
        """As a line says it."""
        return f"{self.migration}: {self.what}, {Count(self.rows, self.is_estimate)}"


WayBack = list[tuple[str, list[Effect]]]


class Losing:
    """What a way back loses; a table is counted once, and its columns only where it stays.

    Attributes:
        losses: tables, columns and deleted rows, in the order of the way back.
        taken_along: what CASCADE drops that is no part of what is dropped.
        mixed: tables that lose the column that says whose a row is, while they hold several organizations' rows.
        unheld: tables of several organizations that no policy holds apart any more.
    """

    def __init__(self, database: MigrationDatabase, way_back: WayBack) -> None:
        self._database = database
        self._gone = {table for _, effects in way_back for effect in effects for table in self._tables(effect)}
        self._told: set[str] = set()
        self.losses = tuple(self._losses(way_back))
        self.taken_along = tuple(self._along(way_back))
        self.mixed = tuple(self._mixed(way_back))
        self.unheld = tuple(self._unheld(way_back))

    def _losses(self, way_back: WayBack) -> Iterator[Loss]:
        for name, effects in way_back:
            for effect in effects:
                for what, count in self._counts(effect):
                    if what not in self._told:
                        self._told.add(what)
                        yield Loss(name, what, count.rows, count.is_estimate)

    def _counts(self, effect: Effect) -> Iterator[tuple[str, Count]]:
        for table in self._tables(effect):
            yield f"table {table}", counted(self._database, table)
        match effect:
            case Dropped(kind="column"):
                yield from self._column(effect)
            case Emptied():
                table = self._known(effect.table)
                if table and table not in self._gone:
                    yield f"rows of {table}", self._deleted(effect)
            case Retyped():
                table = self._known(effect.table)
                found = unfit(self._database, effect) if table and table not in self._gone else None
                if found and not found.stops:
                    yield f"values of {table}.{effect.column} that {effect.type} does not hold", found.rows

    def _column(self, effect: Dropped) -> Iterator[tuple[str, Count]]:
        table = self._known(effect.table)
        found = self._of_column(effect) if table and table not in self._gone else None
        if found is None:
            return
        name, column, is_generated, default = found
        if is_generated:
            yield f"column {table}.{name}", Count(0)
            return
        said = f"{column} IS DISTINCT FROM ({default})" if default else f"{column} IS NOT NULL"
        try:
            yield f"column {table}.{name}", counted(self._database, table, said.replace("%", "%%"))
        except peewee.DatabaseError:  # a type that cannot be compared, as json
            yield f"column {table}.{name}", counted(self._database, table, f"{column} IS NOT NULL".replace("%", "%%"))

    def _deleted(self, effect: Emptied) -> Count:
        try:
            return counted(self._database, effect.table, effect.condition)
        except peewee.DatabaseError:  # it looks at what is made by then
            return Count(None)

    def _along(self, way_back: WayBack) -> Iterator[str]:
        for name, effects in way_back:
            for effect in effects:
                if isinstance(effect, Dropped) and effect.cascades:
                    address = address_of(self._database, effect)
                    for what in cascaded(self._database, address) if address else ():
                        yield f"{name}: CASCADE takes along {what}"

    def _mixed(self, way_back: WayBack) -> Iterator[str]:
        ends: dict[str, str] = {}
        for _, effects in way_back:
            for effect in effects:
                if not isinstance(effect, Dropped) or effect.kind != "column":
                    continue
                table = self._known(effect.table)
                found = self._of_column(effect) if table and table not in self._gone else None
                if found is not None and found[0] == TENANT_COLUMN:
                    ends[table] = self._organizations(table)
        if len({key for each in ends.values() for key in each.split()}) > 1:
            yield from (table for table, each in ends.items() if each)

    def _unheld(self, way_back: WayBack) -> Iterator[str]:
        for _, effects in way_back:
            for effect in effects:
                table = self._known(effect.table) if isinstance(effect, Unheld) else ""
                if not table or table in self._gone or table in self.mixed:
                    continue
                if self._of_column(Dropped("column", TENANT_COLUMN, table)) is None:
                    continue
                if len(set(self._organizations(table).split())) > 1:
                    yield table

    def _organizations(self, table: str) -> str:
        """The lowest and the highest organization that has rows in it; two unlike ones where nobody can tell."""
        try:
            return seen(self._database, _ENDS.format(column=TENANT_COLUMN, table=table.replace("%", "%%"))) or ""
        except peewee.DatabaseError:
            return "? ??" if counted(self._database, table) else ""

    def _tables(self, effect: Effect) -> list[str]:
        if not isinstance(effect, Dropped) or effect.kind not in ("table", "schema"):
            return []
        name = effect.name.replace("%%", "%")
        names = (name, None) if effect.kind == "table" else (None, name)
        return [table for (table,) in self._database.execute_sql(_TABLES, names).fetchall()]

    def _known(self, name: str) -> str:
        """The table as the catalogue writes it; empty if there is none of that name."""
        return self._database.one(_KNOWN, name.replace("%%", "%")) or ""

    def _of_column(self, effect: Dropped) -> tuple[str, str, bool, str | None] | None:
        names = (effect.table.replace("%%", "%"), effect.name.replace("%%", "%"))
        row: tuple[str, str, bool, str | None] | None = self._database.execute_sql(_COLUMN, names).fetchone()
        return row
