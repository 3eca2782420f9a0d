"""The shape of MyHub's tables brought to what migration 001 makes, and back to what it was.

Rule it guards: every statement is harmless or short, and says nothing twice, so that it can be stopped anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from rayces_core.migrating.adopting.columns import MOMENT, SIGN_IN_TIMES, tables_in_lock_order
from rayces_core.migrating.adopting.recognition import MYHUB_KEYS, REFERENCES, key_of
from rayces_core.migrating.adopting.record import (
    INDEXES,
    TIMESTAMPS,
    Before,
    Column,
    ForeignKey,
    columns,
    foreign_keys,
)
from rayces_core.migrating.execution import Execution
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.steps import Migrator

ZONED = MOMENT[1]
_PRESENT = "rayces_adoption_present"
_RULE = "SELECT true FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"
_INDEX = (
    "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE c.relname = %s AND c.relnamespace = quote_ident(current_schema())::regnamespace"
)


class Statements(Protocol):
    """Runs statements one by one, each its own transaction."""

    def __call__(self, sql: str) -> None:
        """Run one."""


def one_by_one(execution: Execution, label: str) -> Statements:
    """Run each statement as a step of no migration: watched, bounded and retried."""

    def run(sql: str) -> None:
        migrator = Migrator(execution.database)
        migrator.sql(sql)
        execution.run_alone(label, migrator.steps[0])

    return run


def complete_foreign_keys(database: MigrationDatabase, run: Statements) -> None:
    """Give the three foreign keys the names of Rails and make those that are missing; they hold for new rows."""
    for (table, name), (column, target) in MYHUB_KEYS.items():
        key = key_of(foreign_keys(database), table, column, target)
        if key is None:
            run(f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {target} (id) NOT VALID")
        elif key.name != name:
            run(f"ALTER TABLE {table} RENAME CONSTRAINT {quote_identifier(key.name)} TO {name}")


def validate_foreign_keys(database: MigrationDatabase, run: Statements) -> None:
    """Let the three foreign keys hold for old rows too."""
    ours = {name for _, name in MYHUB_KEYS}
    for key in foreign_keys(database):
        if key.name in ours and not key.is_valid:
            run(f"ALTER TABLE {key.table} VALIDATE CONSTRAINT {key.name}")


def make_references_obligatory(database: MigrationDatabase, run: Statements, *, but: Sequence[str] = ()) -> None:
    """Make user_id and post_id NOT NULL; a validated CHECK saves reading the table under a lock.

    `but` names columns, as table.column, that may stay empty.
    """
    for column in columns(database):
        known = (column.table, column.name) in REFERENCES and f"{column.table}.{column.name}" not in but
        if known and not column.not_null:
            _forbid_null(column.table, column.name, run)


def make_times_obligatory(database: MigrationDatabase, run: Statements, fill: Callable[[str], object]) -> None:
    """Make created_at and updated_at NOT NULL, once `fill` has given the rows of a table what they lack of them."""
    for column in columns(database):
        if column.name in TIMESTAMPS and not column.not_null:
            _forbid_null(column.table, column.name, run, partial(fill, column.table))


def _forbid_null(table: str, name: str, run: Statements, fill: Callable[[], object] = lambda: None) -> None:
    rule = f"{_PRESENT}_{name}"
    run(
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {rule}, "
        f"ADD CONSTRAINT {rule} CHECK ({name} IS NOT NULL) NOT VALID"
    )
    fill()
    run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {rule}")
    run(f"ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL, DROP CONSTRAINT {rule}")


def drop_timestamp_indexes(before: Before, run: Statements) -> None:
    """Take away the indexes that a change of type would build anew while nobody can read or write."""
    for name, _ in before.timestamp_indexes:
        run(f"DROP INDEX CONCURRENTLY IF EXISTS {quote_identifier(str(name))}")


def build_timestamp_indexes(database: MigrationDatabase, before: Before, run: Statements) -> None:
    """Build them again as they were defined."""
    for name, definition in before.timestamp_indexes:
        if not database.one(_INDEX, name):
            run(str(definition).replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
    for table, name, definition in before.timestamp_rules:
        if not definition.endswith(" NOT VALID"):
            run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote_identifier(name)}")


def zoned_timestamps(before: Before) -> Iterator[str]:
    """The statements that make times without a zone timestamptz, and let created_at and updated_at fill themselves."""
    for table, found in _times(before):
        changes = [f"ALTER COLUMN {each.name} TYPE {ZONED}" for each in found if not _is_zoned(each)]
        changes += [f"ALTER COLUMN {each.name} SET DEFAULT now()" for each in found if each.name in TIMESTAMPS]
        yield from _altered(before, table, changes)


def original_timestamps(before: Before) -> Iterator[str]:
    """The statements that give them the type and the default they had."""
    for table, found in _times(before):
        changes = [f"ALTER COLUMN {each.name} DROP DEFAULT" for each in found if each.name in TIMESTAMPS]
        changes += [f"ALTER COLUMN {each.name} TYPE {each.type}" for each in found if not _is_zoned(each)]
        changes += [
            f"ALTER COLUMN {each.name} SET DEFAULT {each.default}" for each in found if each.default is not None
        ]
        yield from _altered(before, table, changes)


def _times(before: Before) -> Iterator[tuple[str, list[Column]]]:
    for table in tables_in_lock_order():
        names = (*TIMESTAMPS, *SIGN_IN_TIMES)
        yield table, [each for each in before.columns if each.table == table and each.name in names]


def _is_zoned(column: Column) -> bool:
    return column.base == ZONED


def _altered(before: Before, table: str, changes: list[str]) -> Iterator[str]:
    """One statement, around which the CHECKs on these columns go and come again, to be validated later."""
    rules = [
        (name, definition.removesuffix(" NOT VALID")) for of, name, definition in before.timestamp_rules if of == table
    ]
    drops = [f"DROP CONSTRAINT IF EXISTS {quote_identifier(name)}" for name, _ in rules]
    if drops:
        yield f"ALTER TABLE {table} {', '.join(drops)}"
    if changes:
        yield f"ALTER TABLE {table} {', '.join(changes)}"
    for name, definition in rules:
        yield f"ALTER TABLE {table} ADD CONSTRAINT {quote_identifier(name)} {definition} NOT VALID"


def restore(database: MigrationDatabase, before: Before, run: Statements) -> None:
    """Undo what was done to the shape of the tables, as far as 001 and MyHub differ."""
    for (table, name), (column, target) in MYHUB_KEYS.items():
        key = key_of(before.foreign_keys, table, column, target)
        _restore_key(database, table, name, key, run)
    for name in INDEXES:
        if name not in before.indexes:
            run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    for table, name in REFERENCES:
        if database.one(_RULE, table, f"{_PRESENT}_{name}"):
            run(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {_PRESENT}_{name}")
    now = {(column.table, column.name): column for column in columns(database)}
    for was in before.columns:
        is_ = now.get((was.table, was.name), was)
        if is_.not_null and not was.not_null:
            run(f"ALTER TABLE {was.table} ALTER COLUMN {was.name} DROP NOT NULL")
        elif was.not_null and not is_.not_null:
            _forbid_null(was.table, was.name, run)


def _restore_key(database: MigrationDatabase, table: str, name: str, was: ForeignKey | None, run: Statements) -> None:
    there = {key.name: key for key in foreign_keys(database) if key.table == table}
    if was is None:
        run(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        return
    if was.name not in there or there[was.name].definition.removesuffix(" NOT VALID") != _plain(was):
        definition = f"ADD CONSTRAINT {quote_identifier(was.name)} {_plain(was)} NOT VALID"
        run(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}, {definition}")
    elif was.name != name and name in there:
        run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    if was.is_valid:
        run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote_identifier(was.name)}")


def _plain(key: ForeignKey) -> str:
    return key.definition.removesuffix(" NOT VALID")
