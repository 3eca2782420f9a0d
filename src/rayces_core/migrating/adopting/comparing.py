"""How a catalogue differs from what is remembered of it: by meaning, not by PostgreSQL's print.

What is made anew, or was restored from a dump, is printed otherwise. Definitions of before are made on empty temporary
copies of the tables, so nothing of the old application's is locked or read for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import peewee

from rayces_core.migrating.catalogue import Entry
from rayces_core.migrating.meaning import Meanings
from rayces_core.migrations.session import MigrationDatabase

# Each as it is printed in a definition, as the copy is called, and what makes the copy.
_TABLES = """
SELECT format('%%I.%%I', n.nspname, c.relname), format('pg_temp.%%I', c.relname),
       format('CREATE TEMPORARY TABLE %%I (LIKE %%I.%%I INCLUDING INDEXES)', c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p', 'f')
"""
_DOMAINS = """
SELECT format('CREATE DOMAIN pg_temp.%%I AS %%s', t.typname, format_type(t.typbasetype, t.typtypmod))
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE n.nspname = %s AND t.typname = ANY (%s) AND t.typtype = 'd'
"""


def unlike(database: MigrationDatabase, was: Iterable[str], found: Iterable[Entry]) -> tuple[str, ...]:
    """The lines in which what is found differs from what was, each marked + or -; the connection is open."""
    missing, added = Counter(was), []
    for entry in found:
        if missing[entry.line]:
            missing[entry.line] -= 1
        else:
            added.append(entry)
    gone = sorted(missing.elements())
    if gone and added:
        with suppress(peewee.PeeweeException), _copies(database, added) as (meanings, copied):
            _strike_out(gone, added, meanings, copied)
    return (*(f"- {line}" for line in gone), *(f"+ {entry.line}" for entry in added))


def _strike_out(gone: list[str], added: list[Entry], meanings: Meanings, copied: dict[str, str]) -> None:
    """Remove from both lists what means the same."""
    for entry in list(added):
        for line in gone:
            then = entry.as_in(line)
            if then is not None and meanings.same(_of_copies(entry, copied), _of_copies(then, copied)):
                added.remove(entry)
                gone.remove(line)
                break


def _of_copies(entry: Entry, copied: dict[str, str]) -> Entry:
    """The entry with definitions that name the copies where they name the table with its schema."""
    definitions = list(entry.definitions)
    for table, copy in copied.items():
        definitions = [definition.replace(f" ON {table} ", f" ON {copy} ") for definition in definitions]
    return replace(entry, definitions=tuple(definitions))


@contextmanager
def _copies(database: MigrationDatabase, entries: Sequence[Entry]) -> Iterator[tuple[Meanings, dict[str, str]]]:
    """For the block, empty copies of the tables and domains that entries speak of stand before them."""
    names = sorted({name for entry in entries for name in entry.relations})
    domains = sorted({entry.place[0] for entry in entries if entry.how == "domain"})
    with database.atomic() as block:
        tables = database.execute_sql(_TABLES, (database.schema, names)).fetchall()
        made = database.execute_sql(_DOMAINS, (database.schema, domains)).fetchall()
        for statement in (*(making for _, _, making in tables), *(making for (making,) in made)):
            database.command(statement)
        database.command(f"SET LOCAL search_path = pg_temp, {database.one('SHOW search_path')}")
        yield Meanings(database), {table: copy for table, copy, _ in tables}
        block.rollback()
