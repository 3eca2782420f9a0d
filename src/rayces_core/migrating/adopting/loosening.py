"""MyHub's stricter rules set aside as was chosen, and put back.

Rule it guards: nothing here rewrites or reads a table under a lock that stops the application, but for the way back of
a column that was made longer, and every statement may be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.authors import KIND as AUTHORS
from rayces_core.migrating.adopting.columns import (
    VARYING,
    is_kept,
    is_ours,
    is_required,
    is_short,
    missing,
    neutral,
    tables_in_lock_order,
)
from rayces_core.migrating.adopting.record import TIMESTAMPS, Before, Column, Record, columns
from rayces_core.migrating.adopting.shaping import Statements
from rayces_core.migrating.myhub import RECORD, TABLES, has_table
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_INDEX = (
    "SELECT pg_get_indexdef(c.oid) FROM pg_class c WHERE c.relname = %s AND c.relkind = 'i' "
    "AND c.relnamespace = quote_ident(current_schema())::regnamespace"
)
# Asked of its columns: the text of an expression changes with the types in it.
_IS_NARROW = (
    "SELECT a.attname = 'organization_id' FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE c.relname = %s "
    "AND c.relnamespace = quote_ident(current_schema())::regnamespace"
)
_CONSTRAINT = "SELECT true FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"
_IS_HELD = "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass"
_SEQUENCE = "AS bigint START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 CACHE 1"
_NEW_UNIQUE = "rayces_adoption_unique"
_CHECK = re.compile(r"CHECK \((.*)\)(?: NO INHERIT)?(?: NOT VALID)?", re.DOTALL)


def loosened(before: Before, choices: Mapping[str, str]) -> list[Column]:
    """The columns of MyHub whose type, default or NOT NULL is another once it is adopted, beside what 003 to 005 do."""
    constants = {(table, name) for table, names in _constants(before) for name in names}
    return [
        column
        for column in before.columns
        if ("required-columns" in choices and is_required(column))
        or (choices.get("short-columns") == "widen" and is_short(column))
        or ("defaults" in choices and (column.table, column.name) in constants)
    ]


def _constants(before: Before) -> Iterator[tuple[str, list[str]]]:
    for table, _, _, _, constants, *_ in before.unique_indexes:
        yield str(table), [name for name in str(constants).split(",") if name]


def type_while_adopted(record: Record, table: str, name: str) -> str:
    """The type that a column of MyHub's has until the way back, beside what becomes of times."""
    column = next(each for each in record.before.columns if (each.table, each.name) == (table, name))
    return VARYING if is_short(column) and record.choices.get("short-columns") == "widen" else column.type


def loosen(record: Record, run: Statements) -> None:
    """Add what MyHub lacks and take its stricter rules away, one short statement a table."""
    before, choices = record.before, record.choices
    constants = {(table, name) for table, names in _constants(before) for name in names}
    for table in tables_in_lock_order():
        changes = [
            f"ADD COLUMN IF NOT EXISTS {name} {kind}"
            for name, kind in missing(before.columns).get(table, {}).items()
            if (table, name) != ("posts", "user_id")
        ]
        for column in before.columns:
            if column.table == table:
                is_unique = [table, column.name] in before.unique_columns
                changes += _looser(column, choices, is_unique=is_unique)
                if (table, column.name) in constants and "defaults" in choices:
                    name = quote_identifier(column.name)
                    changes += [f"ALTER COLUMN {name} DROP DEFAULT", f"ALTER COLUMN {name} DROP NOT NULL"]
        if choices.get("rules") == "drop":
            changes += [
                f"DROP CONSTRAINT IF EXISTS {quote_identifier(name)}" for of, name, _ in before.rules if of == table
            ]
        if changes:
            run(f"ALTER TABLE {table} {', '.join(changes)}")


def _looser(column: Column, choices: Mapping[str, str], *, is_unique: bool) -> Iterator[str]:
    change = f"ALTER COLUMN {quote_identifier(column.name)}"
    if is_required(column) and "required-columns" in choices:
        value = neutral(column)
        given = choices["required-columns"] == "default" and value is not None and not is_ours(column)
        yield f"{change} SET DEFAULT {value}" if given and not is_unique else f"{change} DROP NOT NULL"
    if is_short(column) and choices.get("short-columns") == "widen":
        yield f"{change} TYPE {VARYING}"
    if column.name in TIMESTAMPS and not column.not_null and "nullable-times" in choices:
        yield f"{change} SET DEFAULT now()"


def tighten(database: MigrationDatabase, record: Record, run: Statements) -> None:
    """The way back: types, defaults and rules as they were; NOT NULL is put back by whoever knows all columns."""
    before, choices = record.before, record.choices
    changed = loosened(before, choices)
    now = {(each.table, each.name): each for each in columns(database)}
    for table in tables_in_lock_order():
        changes = [f"DROP COLUMN IF EXISTS {name}" for name in missing(before.columns).get(table, {})]
        for column in changed:
            if column.table == table:
                changes += _stricter(column, now[table, column.name])
        if changes:
            run(f"ALTER TABLE {table} {', '.join(changes)}")
    for table, name, definition in before.rules if choices.get("rules") == "drop" else []:
        _put_back(database, table, name, definition, run)


def _stricter(column: Column, now: Column) -> Iterator[str]:
    change = f"ALTER COLUMN {quote_identifier(column.name)}"
    if now.type != column.type:
        yield f"{change} TYPE {column.type}"
    if now.default != column.default:
        yield f"{change} DROP DEFAULT" if column.default is None else f"{change} SET DEFAULT {column.default}"


def _put_back(database: MigrationDatabase, table: str, name: str, definition: str, run: Statements) -> None:
    quoted, is_valid = quote_identifier(name), not definition.endswith(" NOT VALID")
    if not database.one(_CONSTRAINT, table, name):
        later = definition.startswith(("CHECK", "FOREIGN")) and is_valid
        run(f"ALTER TABLE {table} ADD CONSTRAINT {quoted} {definition}{' NOT VALID' if later else ''}")
    if is_valid and not definition.startswith("EXCLUDE"):
        run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted}")


# -- what is unique beyond an organization -----------------------------------------------------------------------------


def narrow_unique_indexes(database: MigrationDatabase, before: Before, run: Statements, *, harmless: bool) -> None:
    """Put indexes that begin with organization_id in the place of those that are unique over all of them.

    `harmless` takes also those that no row of this library could run into.
    """
    for table, name, _, constraint, narrowed, is_shared in _replaced(before):
        if (is_shared or harmless) and not database.one(_IS_NARROW, name):
            _build(database, narrowed, run)
            quoted = quote_identifier(name)
            gone = f"ALTER TABLE {table} DROP CONSTRAINT {quoted}" if constraint else f"DROP INDEX {quoted}"
            run(f"{gone}; ALTER INDEX {_NEW_UNIQUE} RENAME TO {quoted}")


def widen_unique_indexes(database: MigrationDatabase, before: Before, run: Statements) -> None:
    """The way back; while there is but one organization, the same rows are unique."""
    for table, name, definition, constraint, _, _ in _replaced(before):
        quoted = quote_identifier(name)
        if database.one(_IS_NARROW, name):
            _build(database, definition, run)
            run(f"DROP INDEX {quoted}; ALTER INDEX {_NEW_UNIQUE} RENAME TO {quoted}")
        if constraint and not database.one(_CONSTRAINT, table, name):
            deferrable = constraint[constraint.find(" DEFERRABLE") :] if " DEFERRABLE" in constraint else ""
            run(f"ALTER TABLE {table} ADD CONSTRAINT {quoted} UNIQUE USING INDEX {quoted}{deferrable}")
    if database.one(_INDEX, _NEW_UNIQUE):
        run(f"DROP INDEX CONCURRENTLY IF EXISTS {_NEW_UNIQUE}")


def _replaced(before: Before) -> Iterator[tuple[str, str, str, str | None, str, bool]]:
    for table, name, definition, constraint, _, narrowed, shared in before.unique_indexes:
        if narrowed:
            yield str(table), str(name), str(definition), constraint, narrowed, bool(shared)


def _build(database: MigrationDatabase, definition: str, run: Statements) -> None:
    """Build it under a name of its own; what an interrupted run has left there may be another one."""
    start = re.compile(r"^CREATE UNIQUE INDEX .+? ON ")
    left = database.one(_INDEX, _NEW_UNIQUE)
    if left and start.sub("", left) != start.sub("", definition):
        run(f"DROP INDEX CONCURRENTLY IF EXISTS {_NEW_UNIQUE}")
    run(start.sub(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {_NEW_UNIQUE} ON ", definition))


# -- names -------------------------------------------------------------------------------------------------------------


def rename(before: Before, run: Statements) -> None:
    """Give primary keys, sequences and indexes the names that migrations know."""
    for kind, table, name, new in before.names:
        run(_renaming(kind, table, name, new))


def rename_back(database: MigrationDatabase, before: Before, run: Statements) -> None:
    """The way back; what migrations made under the name of a renamed index goes."""
    for kind, table, name, new in before.names:
        if kind == "index" and database.one(_INDEX, new):
            run(f"DROP INDEX CONCURRENTLY IF EXISTS {quote_identifier(name)}")
        run(_renaming(kind, table, new, name))


def _renaming(kind: str, table: str, name: str, new: str) -> str:
    """The statement; harmless to repeat, as it asks whether there is something of the name."""
    if kind == "constraint":
        return f"""DO $$ BEGIN IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = '{table}'::regclass
            AND conname = {_literal(name)}) THEN ALTER TABLE {table} RENAME CONSTRAINT {quote_identifier(name)}
            TO {quote_identifier(new)}; END IF; END $$"""
    return f"ALTER {kind} IF EXISTS {quote_identifier(name)} RENAME TO {quote_identifier(new)}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# -- before going back -------------------------------------------------------------------------------------------------


def refuse_unfit(database: MigrationDatabase, record: Record) -> None:
    """Raise MigrationError where rows that were written since would not fit MyHub's own rules, which come back."""
    made = database.one(f"SELECT author_id FROM {RECORD} WHERE author_is_made")
    with database.atomic():
        if has_table(database, "organizations") and database.one(_IS_HELD, "users"):
            database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
        lines = [
            f"\n  {what}: {count} rows of {table}, the first with id {first}"
            for what, table, condition in _conditions(record)
            for count, first in _unfit(database, table, condition, made)
            if count
        ]
    if lines:
        raise MigrationError(
            "rows that were written since the adoption break rules of MyHub's that come back; nothing was changed. "
            f"Change or delete those rows first:{''.join(lines)}"
        )


def _conditions(record: Record) -> Iterator[tuple[str, str, str]]:
    for column in loosened(record.before, record.choices):
        name = quote_identifier(column.name)
        if column.not_null:
            yield f"{column.table}.{column.name} must not be empty", column.table, f"{name} IS NULL"
        if column.length and is_short(column):
            what = f"{column.table}.{column.name} holds {column.length} characters"
            yield what, column.table, f"length({name}) > {column.length:d}"
    for table, name, definition in record.before.rules if record.choices.get("rules") == "drop" else []:
        # One that was never validated comes back like that, and takes old rows as they are.
        check = None if definition.endswith(" NOT VALID") else _CHECK.fullmatch(definition)
        if check:
            yield f"{name} is {definition}", table, f"({check[1]}) IS FALSE"


def _unfit(database: MigrationDatabase, table: str, condition: str, made: int | None) -> list[tuple[int, int]]:
    spared = f" AND id <> {made:d}" if made is not None and table == "users" else ""
    query = f"SELECT count(*), min(id) FROM {table} WHERE {condition}{spared}".replace("%", "%%")
    rows: list[tuple[int, int]] = database.execute_sql(query).fetchall()
    return rows


def renamed_lines(before: Before) -> Iterator[str]:
    """Lines of the catalogue about what was renamed, by its new name."""
    for _, _, name, new in before.names:
        yield from (line.replace(f" {name} ", f" {new} ", 1) for line in before.catalogue if f" {name} " in line)


# -- what is no drift --------------------------------------------------------------------------------------------------


def own_columns(record: Record) -> set[tuple[str, str]]:
    """The columns that differ from a fresh install's, or from what MyHub had, because of the adoption."""
    own = {(each.table, each.name) for each in record.before.columns if is_kept(each, record.choices)}
    own |= {(each.table, each.name) for each in loosened(record.before, record.choices)}
    own |= {(table, "id") for table in TABLES if record.before.sequences.get(table, [""])[0] != _SEQUENCE}
    return own | ({("posts", "user_id")} if AUTHORS in record.choices else set())
