"""Ids, primary keys and indexes of MyHub's tables under other names than Rails gives them.

Rule it guards: migrations name these objects, so they bear the names that migrations know while the adoption lasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rayces_core.migrating.adopting.columns import NUMBER
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import INDEXES, columns
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_PRIMARY_KEYS = f"""
SELECT c.relname::text, k.conname::text, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.contype = 'p' AND c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE}
"""
# The sequence that an id comes from, whether the column owns it, and how many other columns take from it.
_SEQUENCES = f"""
SELECT t.relname::text, s.relname::text, s.relnamespace = t.relnamespace,
       EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = s.oid
                  AND o.refclassid = 'pg_class'::regclass AND o.refobjid = t.oid AND o.refobjsubid = a.attnum),
       (SELECT count(*) - 1 FROM pg_depend o WHERE o.classid = 'pg_attrdef'::regclass
           AND o.refclassid = 'pg_class'::regclass AND o.refobjid = s.oid),
       format('AS %%s START %%s INCREMENT %%s MINVALUE %%s MAXVALUE %%s CACHE %%s', q.seqtypid::regtype, q.seqstart,
              q.seqincrement, q.seqmin, q.seqmax, q.seqcache),
       format('START %%s INCREMENT %%s CACHE %%s', q.seqstart, q.seqincrement, q.seqcache)
  FROM pg_attrdef d JOIN pg_class t ON t.oid = d.adrelid
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.adnum AND a.attname = 'id'
  JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE}
"""
_KEPT = f"""
SELECT t.relname::text, x.relname::text, pg_get_indexdef(x.oid)
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 WHERE x.relname = ANY (%s) AND x.relnamespace = {_NAMESPACE} ORDER BY 2
"""
_IS_THERE = f"SELECT true FROM pg_class WHERE relname = %s AND relnamespace = {_NAMESPACE}"


def names(database: MigrationDatabase) -> list[list[str]]:
    """[kind, table, name, new name] of what has to be renamed for migrations to find it."""
    found = []
    for table, name, _ in database.execute_sql(_PRIMARY_KEYS, (list(TABLES),)).fetchall():
        if name != f"{table}_pkey":
            found.append(["constraint", table, name, f"{table}_pkey"])
    for table, name, *_ in database.execute_sql(_SEQUENCES, (list(TABLES),)).fetchall():
        if name != f"{table}_id_seq":
            found.append(["sequence", table, name, f"{table}_id_seq"])
    for table, name, definition in database.execute_sql(_KEPT, (list(INDEXES),)).fetchall():
        column = name.rpartition("_on_")[2]
        if not re.fullmatch(rf"CREATE INDEX {name} ON .+{table} USING btree \({column}\)", definition):
            found.append(["index", table, name, f"{name}_of_myhub"])
    return found


def sequences(database: MigrationDatabase) -> dict[str, list[str]]:
    """Table → how CREATE SEQUENCE makes the sequence of its ids, and how an identity column that goes on like it.

    None for what is an identity column already.
    """
    return {row[0]: [row[5], row[6]] for row in database.execute_sql(_SEQUENCES, (list(TABLES),)).fetchall()}


def findings(database: MigrationDatabase) -> list[Finding]:
    """What is to be said of ids, keys and names."""
    return [*_ids(database), *_primary_keys(database), *_names(database)]


def _ids(database: MigrationDatabase) -> Iterator[Finding]:
    known = {row[0]: row[1:5] for row in database.execute_sql(_SEQUENCES, (list(TABLES),)).fetchall()}
    for column in columns(database):
        if column.name != "id" or column.base not in NUMBER or column.identity:
            continue
        name, is_here, is_owned, others = known.get(column.table, ("", False, False, 0))
        if not str(column.default).startswith("nextval(") or not is_here:
            what = f"{column.table}.id has {f'the default {column.default}' if column.default else 'no default'}"
            advice = f"give it a sequence of its own in schema {database.schema}, as bigserial does"
        elif others:
            what, advice = (
                f"other columns take from {name} as well, the sequence of {column.table}.id",
                ("give those, or the ids, another one: ALTER TABLE ... ALTER COLUMN ... SET DEFAULT nextval('...')"),
            )
        elif not is_owned:
            quoted = quote_identifier(name)
            what = f"{name}, from which {column.table}.id comes, does not belong to it"
            advice = f"say so, which nobody notices: ALTER SEQUENCE {quoted} OWNED BY {column.table}.id;"
        else:
            continue
        yield Finding("ids", "refusal", what, advice)


def _primary_keys(database: MigrationDatabase) -> Iterator[Finding]:
    found = {table: text for table, _, text in database.execute_sql(_PRIMARY_KEYS, (list(TABLES),)).fetchall()}
    for table in TABLES:
        if found.get(table) == "PRIMARY KEY (id)":
            continue
        what = f"the primary key of {table} is {found.get(table, 'missing')}, not PRIMARY KEY (id)"
        yield Finding(
            "primary-keys",
            "refusal",
            what,
            f"without stopping anybody: CREATE UNIQUE INDEX CONCURRENTLY {table}_ids ON {table} (id); then, in one "
            "short statement that also drops the old key if there is one, "
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {table}_ids;",
        )


def _names(database: MigrationDatabase) -> Iterator[Finding]:
    found = names(database)
    for kind, table, name, new in found:
        if database.one(_IS_THERE, new):
            quoted = quote_identifier(new)
            yield Finding(
                "names",
                "refusal",
                f"the {kind} {name} of {table} has to be called {new}, and something else is",
                f"give that another name, if MyHub does not name it: ALTER ... {quoted} RENAME TO ...;",
            )
    if found:
        yield choice(
            "names",
            "; ".join(f"{kind} {name} of {table}" for kind, table, name, _ in found),
            "they are not called as Rails calls them, or are something else than Rails calls so; they are renamed to "
            f"{', '.join(new for *_, new in found)}, until --undo",
            count=len(found),
        )
