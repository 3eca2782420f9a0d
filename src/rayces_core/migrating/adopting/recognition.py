"""Whether a database is a MyHub that can be adopted: its tables are looked at, nothing is changed.

What is something else altogether is an error; what is a MyHub of an unusual shape is a list of findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting import columns as of_columns
from rayces_core.migrating.adopting import dependents, naming, rules
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import Column, ForeignKey, columns, foreign_keys
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

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_OWNERS = f"""
SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class
 WHERE relname = ANY (%s) AND relkind = 'r' AND relnamespace = {_NAMESPACE} ORDER BY 1
"""
_SHARED_TOKENS = """
SELECT count(*) FROM (SELECT FROM users WHERE jti IS NOT NULL GROUP BY jti HAVING count(*) > 1) AS shared
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


def old_logins(database: MigrationDatabase, named: Sequence[str], tables: Sequence[str] = TABLES) -> list[str]:
    """Whom the old application logs in as: those that are named, else the owners of its tables.

    Raises:
        MigrationError: one does not exist.
    """
    roles = list(named) or [name for (name,) in database.execute_sql(_OWNERS, (list(tables),)).fetchall()]
    for role in roles:
        if not database.one("SELECT true FROM pg_roles WHERE rolname = %s", role):
            raise MigrationError(f"there is no role {role!r}; name a login of the old application as --old-role")
    return roles


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
    wanted = [*((table, "id") for table in TABLES), *REFERENCES[1:], ("users", "email")]
    lacking = [f"{table}.{name}" for table, name in wanted if (table, name) not in there]
    if lacking:
        raise MigrationError(f"this is no MyHub: there is no column {', '.join(lacking)}; name the right database")


def findings(database: MigrationDatabase, files: Sequence[MigrationFile], choices: Mapping[str, str]) -> list[Finding]:
    """What in the shape of this MyHub stands in the way."""
    found, keys = columns(database), foreign_keys(database)
    odd = list(_tables(database, files))
    is_readable = not any(finding.kind == "tables" for finding in odd)
    return [
        *_rights(database),
        *odd,
        *_elsewhere(database),
        *of_columns.findings(found),
        *rules.findings(database),
        *naming.findings(database),
        *dependents.findings(database, choices),
        *_references(found, choices),
        *_foreign_keys(keys, found),
        *(_tokens(database, found) if is_readable else ()),
    ]


def shape(database: MigrationDatabase) -> dict[str, Any]:
    """What the record keeps of the shape of a MyHub, beside columns and keys."""
    renamed = {name: new for kind, _, name, new in naming.names(database) if kind == "index"}
    return {
        # As they are called while the adoption lasts.
        "timestamp_indexes": [
            [renamed.get(name, name), definition.replace(f" {name} ", f" {renamed.get(name, name)} ", 1)]
            for name, definition in dependents.timestamp_indexes(database)
        ],
        "timestamp_rules": dependents.timestamp_rules(database),
        "rules": [list(rule) for rule in rules.strict_rules(database)],
        "unique_columns": rules.unique_columns(database),
        "unique_indexes": rules.stored(rules.unique_indexes(database)),
        "names": naming.names(database),
        "sequences": naming.sequences(database),
    }


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


def _tables(database: MigrationDatabase, files: Sequence[MigrationFile]) -> Iterator[Finding]:
    for name, oddity in database.execute_sql(_ODD_TABLES, (list(TABLES),)).fetchall():
        yield Finding("tables", "refusal", f"{name} {oddity}", "change that, or run this as the tables' owner")
    for name in made_tables(files):
        if has_table(database, name) and not has_table(database, RECORD):
            yield Finding(
                "taken-tables",
                "refusal",
                f"there is a table {name}, a name that this library's own needs",
                f"rename it in MyHub: ALTER TABLE {name} RENAME TO old_{name}; its code has to say so too, and fails "
                "between the two",
            )


def _elsewhere(database: MigrationDatabase) -> Iterator[Finding]:
    for table, name in database.execute_sql(_ELSEWHERE, (list(TABLES),)).fetchall():
        yield Finding(
            "taken-columns",
            "refusal",
            f"{table} has a column {name}, by which this library knows a tenant's table; it will not start without "
            "row-level security there",
            f"rename it in MyHub: ALTER TABLE {quote_identifier(table)} RENAME COLUMN {name} TO old_{name}; its code "
            "has to say so too, and fails between the two",
        )


def _tokens(database: MigrationDatabase, found: list[Column]) -> Iterator[Finding]:
    if not any((each.table, each.name) == ("users", "jti") for each in found):
        return
    count = int(database.one(_SHARED_TOKENS))
    if count:
        yield Finding(
            "columns",
            "refusal",
            f"users.jti: {count} tokens belong to several users, and one has to tell whose it is",
            "give those users new ones, which signs them out: UPDATE users SET jti = gen_random_uuid() WHERE ...;",
            count,
        )


def _references(found: list[Column], choices: Mapping[str, str]) -> Iterator[Finding]:
    allowed = [("posts", "user_id")] if choices.get("missing-author") == "nullable" else []
    loose = [
        f"{each.table}.{each.name}"
        for each in found
        if (each.table, each.name) in REFERENCES and not each.not_null and (each.table, each.name) not in allowed
    ]
    if loose:
        yield choice(
            "nullable-references",
            f"{', '.join(loose)} may be empty",
            "they can become NOT NULL, and MyHub can then write no such row (posts.user_id may stay so: --fix "
            "missing-author=nullable)",
            count=len(loose),
        )


def key_of(keys: Iterable[ForeignKey], table: str, column: str, target: str) -> ForeignKey | None:
    """The foreign key of this column of MyHub's, whatever its name; the one of the right name first."""
    matching = [
        key for key in keys if (key.table, key.columns, key.target, key.target_columns) == (table, column, target, "id")
    ]
    return min(matching, key=lambda key: (table, key.name) not in MYHUB_KEYS, default=None)


def _foreign_keys(keys: list[ForeignKey], found: list[Column]) -> Iterator[Finding]:
    wrong, other = [], []
    there = {(each.table, each.name) for each in found}
    for (table, name), (column, target) in MYHUB_KEYS.items():
        if (table, column) not in there:
            continue  # it is added with its key
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
