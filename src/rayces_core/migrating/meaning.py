"""What a definition means: what one server makes of its text, in a database with the tables that it speaks of.

PostgreSQL prints an expression otherwise once it has read its own print of it, as after a dump and restore, and each
version prints in its own way. So both texts are made anew on the scratch database, in one session, again and again
until what the catalogue says of them stays as it is; then they are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import peewee
import psycopg2

from rayces_core.migrating.catalogue import Entry
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# An expression settles after one round; one that has not after so many is taken for what it is then.
_ROUNDS: Final = 5
_AGAIN: Final = "rayces_again"

_OF_COLUMN: Final = (
    "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid "
    "AND a.attnum = d.adnum WHERE a.attrelid = {table_oid} AND a.attname = "
)

# How a definition is made anew, and what the catalogue then says of it. {text} is the definition; {table}, {name} are
# quoted and {type} is a column's.
_MAKING: Final = {
    "default": (
        "ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {text}",
        _OF_COLUMN + "{name_text}",
    ),
    "generated": (
        "ALTER TABLE {table} ADD COLUMN {again} {type} GENERATED ALWAYS AS ({text}) STORED",
        _OF_COLUMN + "{again_text}",
    ),
    "constraint": (
        "ALTER TABLE {table} ADD CONSTRAINT {again} {text}",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {table_oid} AND conname = {again_text}",
    ),
    "domain": (
        "ALTER DOMAIN {table} ADD CONSTRAINT {again} {text}",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = {type_oid} AND conname = {again_text}",
    ),
    "policy": (
        "CREATE POLICY {again} ON {table} USING ({text})",
        "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = {table_oid} AND polname = {again_text}",
    ),
    "index": (
        "ALTER INDEX IF EXISTS {name} RENAME TO {again}; {text}",
        "SELECT pg_get_indexdef(oid) FROM pg_class WHERE oid = to_regclass({name_as_text})",
    ),
    "view": (
        "CREATE TEMPORARY VIEW {again} AS {text}",
        "SELECT pg_get_viewdef('pg_temp.{again}'::regclass)",
    ),
    "function": ("{text}", "SELECT pg_get_functiondef(to_regprocedure({table_text}))"),
    "trigger": (
        "DROP TRIGGER IF EXISTS {name} ON {table}; {text}",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = {table_oid} AND tgname = {name_text}",
    ),
    "rule": (
        "DROP RULE IF EXISTS {name} ON {table}; {text}",
        "SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = {table_oid} AND rulename = {name_text}",
    ),
}


class Meanings:
    """Compares definitions on a scratch database, whose connection is open; nothing of it stays."""

    def __init__(self, database: MigrationDatabase) -> None:
        self._database = database
        self._known: dict[tuple[str, tuple[str, ...], str], str | None] = {}

    @contextmanager
    def among(self, entries: Iterable[Entry]) -> Iterator[Meanings]:
        """For the block, the scratch database also has the tables and columns of `entries`, where it lacks them."""
        with self._undone():
            for entry in entries:
                if entry.line.startswith("column "):
                    self._add_column(*entry.place)
            self._known.clear()
            yield self
        self._known.clear()

    def same(self, one: Entry, other: Entry) -> bool:
        """Whether two entries say the same; where the server cannot read a definition, they do not."""
        if (one.shape, one.how, len(one.definitions)) != (other.shape, other.how, len(other.definitions)):
            return False
        return one.line == other.line or all(
            self._alike(one, mine, other, theirs)
            for mine, theirs in zip(one.definitions, other.definitions, strict=True)
        )

    def _alike(self, one: Entry, mine: str, other: Entry, theirs: str) -> bool:
        if mine == theirs:
            return True
        settled = self.settled(one.how, one.place, mine)
        return settled is not None and settled == self.settled(other.how, other.place, theirs)

    def settled(self, how: str, place: tuple[str, ...], text: str) -> str | None:
        """What the server prints of a definition once it stays the same; None where it cannot read it."""
        key = (how, place, text)
        if key not in self._known:
            before, printed = None, text
            for _ in range(_ROUNDS):
                before, again = printed, self._printed(how, place, printed)
                if again is None or again == before:
                    break
                printed = again
            else:
                again = printed
            self._known[key] = again
        return self._known[key]

    def _printed(self, how: str, place: tuple[str, ...], text: str) -> str | None:
        make, read = _MAKING[how]
        words = _words(place)
        with suppress(peewee.PeeweeException, psycopg2.Error), self._undone() as cursor:
            cursor.execute(make.format_map({**words, "text": text}))
            cursor.execute(read.format_map(words))
            row = cursor.fetchone()
            return None if row is None else row[0]
        return None

    def _add_column(self, table: str, name: str, kind: str) -> None:
        # A type that is not there is one that migrations do not make, so nothing of theirs speaks of the column.
        cursor: Any = self._database.cursor()  # type: ignore[no-untyped-call]
        with suppress(peewee.PeeweeException, psycopg2.Error), self._database.atomic():
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {quote_identifier(table)} (); "
                f"ALTER TABLE {quote_identifier(table)} ADD COLUMN IF NOT EXISTS {quote_identifier(name)} {kind}"
            )

    @contextmanager
    def _undone(self) -> Iterator[Any]:
        with self._database.atomic() as block:
            yield self._database.cursor()  # type: ignore[no-untyped-call]
            block.rollback()


def _words(place: tuple[str, ...]) -> dict[str, str]:
    table, name, kind = (*place, "", "", "")[:3]
    return {
        "table": quote_identifier(table),
        "table_text": _literal(table),
        "table_oid": f"{_literal(quote_identifier(table))}::regclass",
        "type_oid": f"{_literal(quote_identifier(table))}::regtype",
        "name": quote_identifier(name),
        "name_text": _literal(name),
        "name_as_text": _literal(quote_identifier(name)),
        "type": kind,
        "again": _AGAIN,
        "again_text": _literal(_AGAIN),
    }


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
