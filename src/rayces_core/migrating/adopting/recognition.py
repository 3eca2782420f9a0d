"""Whether a database is a MyHub that can be adopted: its tables are looked at, nothing is changed.

What is something else altogether is an error; what is a MyHub of an unusual shape is a list of findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import INDEXES, TIMESTAMPS, Column, ForeignKey, columns, foreign_keys
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.myhub import RECORD, TABLES, has_table
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# (table, name) → column, target, as 001 makes them.
MYHUB_KEYS = {
    ("posts", "fk_rails_5b5ddfd518"): ("user_id", "users"),
    ("likes", "fk_rails_1e09b5dabf"): ("user_id", "users"),
    ("likes", "fk_rails_87a8aac469"): ("post_id", "posts"),
}
REFERENCES = (("posts", "user_id"), ("likes", "user_id"), ("likes", "post_id"))
RAILS_TABLES = ("schema_migrations", "ar_internal_metadata")

EXPECTED = {
    ("users", "email"): "character varying",
    ("users", "uid"): "character varying",
    ("users", "provider"): "character varying",
    ("posts", "content"): "text",
    **dict.fromkeys(REFERENCES, "bigint"),
}
_TIMESTAMP = re.compile(r"timestamp(\(\d\))? without time zone")
_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_PRIMARY_KEYS = f"""
SELECT c.relname::text, k.conname::text, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.contype = 'p' AND c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE}
"""
# Constraints NOT NULL and the column's own default change their type with it.
_DEPENDENTS = f"""
SELECT DISTINCT t.relname::text, x.relname::text, pg_describe_object(d.classid, d.objid, 0),
       pg_get_indexdef(i.indexrelid),
       i.indexrelid IS NOT NULL AND i.indexprs IS NULL AND i.indpred IS NULL
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  FROM pg_depend d
  JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
  LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
  LEFT JOIN pg_class x ON x.oid = i.indexrelid
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND a.attname = ANY (%s)
   AND NOT (d.classid = 'pg_attrdef'::regclass
            AND EXISTS (SELECT FROM pg_attrdef e WHERE e.oid = d.objid AND e.adrelid = t.oid AND e.adnum = a.attnum))
   AND NOT (d.classid = 'pg_constraint'::regclass
            AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'n'))
   AND d.classid <> 'pg_statistic_ext'::regclass
 ORDER BY 1, 3
"""
_RIGHTS = """
SELECT has_schema_privilege(current_schema(), 'CREATE'),
       has_database_privilege(current_database(), 'CREATE')
       OR EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist'), quote_ident(current_database())
"""
_ELSEWHERE = f"""
SELECT c.relname::text, a.attname::text
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE a.attname = 'organization_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
   AND c.relnamespace = {_NAMESPACE} AND NOT c.relname = ANY (%s) ORDER BY 1
"""
_KEPT = f"""
SELECT t.relname::text, x.relname::text, pg_get_indexdef(x.oid)
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 WHERE x.relname = ANY (%s) AND x.relnamespace = {_NAMESPACE} ORDER BY 2
"""
_PLAIN_KEY = re.compile(r"FOREIGN KEY \(\w+\) REFERENCES .+\(id\)( ON DELETE CASCADE)?( NOT VALID)?")
_ODD_TABLES = f"""
SELECT c.relname::text,
       CASE WHEN c.relkind <> 'r' THEN 'is no ordinary table' WHEN c.relrowsecurity THEN 'has row-level security'
            WHEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) THEN 'has policies'
            WHEN EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)) THEN 'is inherited'
            ELSE 'belongs to ' || pg_get_userbyid(c.relowner) || ', whose rights this login does not have' END
  FROM pg_class c
 WHERE c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (c.relkind <> 'r' OR c.relrowsecurity OR NOT pg_has_role(current_user, c.relowner, 'USAGE')
        OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
        OR EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)))
"""


def owners(database: MigrationDatabase) -> list[str]:
    """The owners of the three tables, whom the old application is taken to log in as."""
    rows = database.execute_sql(
        f"SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = ANY (%s) "
        f"AND relkind = 'r' AND relnamespace = {_NAMESPACE} ORDER BY 1",
        (list(TABLES),),
    )
    return [name for (name,) in rows.fetchall()]


def timestamp_indexes(database: MigrationDatabase) -> list[list[str]]:
    """[name, definition] of the indexes that have to be built anew when their columns become timestamptz."""
    return [[name, definition] for _, name, _, definition, plain in _dependents(database) if plain]


def refuse_foreign(database: MigrationDatabase, history_table: str) -> None:
    """Raise MigrationError where there is no MyHub to be adopted, saying what was found instead."""
    if has_table(database, history_table):
        raise MigrationError(
            f"this database is migrated by rayces already (there is a table {history_table}); use `rayces migrate up`"
        )
    missing = [name for name in (*TABLES, *RAILS_TABLES) if not has_table(database, name)]
    if missing:
        raise MigrationError(
            f"this is no MyHub: there is no table {', '.join(missing)} in schema {database.schema}; "
            "name the database of the old application, or use `rayces migrate up` on an empty one"
        )
    there = {(column.table, column.name) for column in columns(database)}
    wanted = [(table, name) for table in TABLES for name in ("id", *TIMESTAMPS)]
    lacking = [
        f"{table}.{name}" for table, name in (*wanted, *REFERENCES, ("users", "email")) if (table, name) not in there
    ]
    if lacking:
        raise MigrationError(f"this is no MyHub: there is no column {', '.join(lacking)}; name the right database")


def findings(database: MigrationDatabase, files: Sequence[MigrationFile]) -> list[Finding]:
    """What in the shape of this MyHub stands in the way."""
    found, keys = columns(database), foreign_keys(database)
    return [
        *_rights(database),
        *_tables(database, files),
        *_indexes(database),
        *_columns(found, files, database.execute_sql(_ELSEWHERE, (list(TABLES),)).fetchall()),
        *_primary_keys(database),
        *_timestamps(database),
        *_references(found),
        *_foreign_keys(keys),
    ]


def made_tables(files: Sequence[MigrationFile]) -> list[str]:
    """Names of the tables that this library makes beside MyHub's."""
    return sorted({name for file in files[1:] for name in re.findall(r"CREATE TABLE (\w+)", file.source.decode())})


def _rights(database: MigrationDatabase) -> Iterator[Finding]:
    schema, extension, name = database.execute_sql(_RIGHTS).fetchone()
    login = quote_identifier(database.one("SELECT current_user::text"))
    if not schema:
        where = f"SCHEMA {quote_identifier(database.schema)}"
        yield Finding("rights", "refusal", "the login may make no tables here", f"GRANT CREATE ON {where} TO {login};")
    if not extension:
        advice = f"as a DBA: CREATE EXTENSION btree_gist; or GRANT CREATE ON DATABASE {name} TO {login};"
        yield Finding("rights", "refusal", "the login may not make the extension btree_gist", advice)


def _indexes(database: MigrationDatabase) -> Iterator[Finding]:
    for table, name, definition in database.execute_sql(_KEPT, (list(INDEXES),)).fetchall():
        column = name.rpartition("_on_")[2]
        if not re.fullmatch(rf"CREATE INDEX {name} ON .+{table} USING btree \({column}\)", definition):
            yield Finding(
                "indexes",
                "refusal",
                f"{name} is not the index of {column} that Rails makes, and would be dropped for it: {definition}",
                f"give it another name: ALTER INDEX {name} RENAME TO {name}_of_myhub;",
            )


def _tables(database: MigrationDatabase, files: Sequence[MigrationFile]) -> Iterator[Finding]:
    for name, oddity in database.execute_sql(_ODD_TABLES, (list(TABLES),)).fetchall():
        yield Finding("tables", "refusal", f"{name} {oddity}", "change that, or run this as the tables' owner")
    for name in made_tables(files):
        if has_table(database, name) and not has_table(database, RECORD):
            yield Finding(
                "taken-tables",
                "refusal",
                f"there is a table {name}, a name that this library's own needs",
                f"rename it: ALTER TABLE {name} RENAME TO old_{name};",
            )


def _columns(
    found: list[Column], files: Sequence[MigrationFile], elsewhere: Sequence[tuple[str, str]]
) -> Iterator[Finding]:
    there = {(column.table, column.name): column for column in found}
    added: dict[str, str] = files[2].load().USER_COLUMNS
    taken = [("users", name) for name in added] + [(table, "organization_id") for table in TABLES]
    for table, name in taken:
        if (table, name) in there:
            yield Finding(
                "taken-columns",
                "refusal",
                f"{table} has a column {name} already, a name that this library's own needs",
                f"rename it in MyHub: ALTER TABLE {table} RENAME COLUMN {name} TO old_{name};",
            )
    for (table, name), kind in EXPECTED.items():
        yield from _unlike(table, name, kind, there.get((table, name)))
    for table, name in elsewhere:
        yield Finding(
            "taken-columns",
            "refusal",
            f"{table} has a column {name}, by which this library knows a tenant's table; it will not start without "
            "row-level security there",
            f"rename it in MyHub: ALTER TABLE {quote_identifier(table)} RENAME COLUMN {name} TO old_{name};",
        )
    for table in TABLES:
        yield from _ids(table, there[table, "id"])
        for name in TIMESTAMPS:
            column = there[table, name]
            if not _TIMESTAMP.fullmatch(column.type) or not column.not_null:
                state = "NOT NULL" if column.not_null else "nullable"
                yield Finding(
                    "columns",
                    "refusal",
                    f"{table}.{name} is {column.type} and {state}, not a timestamp without time zone NOT NULL",
                    "change it in MyHub before",
                )


def _unlike(table: str, name: str, kind: str, column: Column | None) -> Iterator[Finding]:
    if column is None:
        yield Finding(
            "columns",
            "refusal",
            f"{table} has no column {name}",
            f"add it: ALTER TABLE {table} ADD COLUMN {name} {kind};",
        )
    elif column.type != kind:
        yield Finding(
            "columns",
            "refusal",
            f"{table}.{name} is {column.type}, not {kind}",
            f"change it in MyHub: ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind};",
        )
    elif column.default is not None:
        yield Finding(
            "columns",
            "refusal",
            f"{table}.{name} has the default {column.default}",
            f"drop it: ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT;",
        )


def _ids(table: str, column: Column) -> Iterator[Finding]:
    expected = f"nextval('{table}_id_seq'::regclass)"
    if column.type != "bigint" or column.default != expected:
        yield Finding(
            "ids",
            "refusal",
            f"{table}.id is {column.type} with default {column.default or 'none'}, not bigint with {expected}",
            "make the ids of MyHub bigint with their own sequence before",
        )


def _primary_keys(database: MigrationDatabase) -> Iterator[Finding]:
    found = {table: (name, text) for table, name, text in database.execute_sql(_PRIMARY_KEYS, (list(TABLES),))}
    for table in TABLES:
        if found.get(table) != (f"{table}_pkey", "PRIMARY KEY (id)"):
            yield Finding(
                "primary-keys",
                "refusal",
                f"the primary key of {table} is {' '.join(found.get(table, ('missing',)))}",
                f"it has to be {table}_pkey PRIMARY KEY (id)",
            )


def _dependents(database: MigrationDatabase) -> list[tuple[str, str, str, str, bool]]:
    rows: list[tuple[str, str, str, str, bool]] = database.execute_sql(
        _DEPENDENTS, (list(TABLES), list(TIMESTAMPS))
    ).fetchall()
    return rows


def _timestamps(database: MigrationDatabase) -> Iterator[Finding]:
    for table, _, what, _, plain in _dependents(database):
        if not plain:
            yield Finding(
                "timestamps",
                "refusal",
                f"{what} depends on created_at or updated_at of {table}, which become timestamptz",
                "drop it, and make it again after the adoption",
            )
    names = [name for name, _ in timestamp_indexes(database)]
    if names:
        yield choice(
            "timestamp-indexes",
            f"the indexes {', '.join(names)} have to be built anew, as their columns become timestamptz",
            "they can be dropped and built CONCURRENTLY, and are missed in between",
            count=len(names),
        )


def _references(found: list[Column]) -> Iterator[Finding]:
    loose = [
        f"{each.table}.{each.name}" for each in found if (each.table, each.name) in REFERENCES and not each.not_null
    ]
    if loose:
        yield choice(
            "nullable-references",
            f"{', '.join(loose)} may be empty",
            "they can become NOT NULL, and MyHub can then write no such row",
            count=len(loose),
        )


def key_of(keys: Iterable[ForeignKey], table: str, column: str, target: str) -> ForeignKey | None:
    """The foreign key of this column of MyHub's, whatever its name; the one of the right name first."""
    matching = [
        key for key in keys if (key.table, key.columns, key.target, key.target_columns) == (table, column, target, "id")
    ]
    return min(matching, key=lambda key: (table, key.name) not in MYHUB_KEYS, default=None)


def _foreign_keys(keys: list[ForeignKey]) -> Iterator[Finding]:
    wrong, other = [], []
    for (table, name), (column, target) in MYHUB_KEYS.items():
        key = key_of(keys, table, column, target)
        if key is None:
            wrong.append(f"{table}.{column} has no foreign key")
        elif key.name != name:
            wrong.append(f"{key.name} of {table} is not called {name}")
        elif not key.is_valid:
            wrong.append(f"{name} of {table} was never validated")
        if key is not None and not _PLAIN_KEY.fullmatch(key.definition):
            other.append(f"{name} of {table} is {key.definition}")
    if wrong:
        yield choice(
            "foreign-keys",
            "; ".join(wrong),
            "the keys of Rails' making can be completed, without stopping the application",
            count=len(wrong),
        )

    if other:
        yield choice(
            "foreign-key-actions",
            "; ".join(other),
            "keys that are checked at once and delete what hangs on a row take their place",
            count=len(other),
        )
