"""Whether a database is a rayces Rails application's, and what in the shape of its tables stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.addresses import AS_GIVEN
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.rails.moving import BEFORE, cluster
from rayces_core.migrating.adopting.rails.old import TABLES, Old
from rayces_core.migrating.adopting.recognition import made_tables
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.myhub import RECORD, SET_ASIDE, has_table
from rayces_core.migrations.session import MigrationDatabase, connected, quote_identifier

_HAS_COLUMN = """
SELECT true FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relname = %s AND a.attname = %s AND NOT a.attisdropped AND c.relkind = 'r'
   AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""
# Without these a table says nothing that could be kept.
NEEDED = {
    "organizations": ("id", "name", "subdomain"),
    "users": ("id", "organization_id", "email"),
    "posts": ("id",),
    "likes": ("id", "user_id", "post_id"),
    "professionals": ("id", "user_id"),
    "students": ("id", "organization_id", "first_name", "last_name"),
    "appointments": ("id", "professional_id", "student_id", "client_id", "scheduled_at", "state"),
    "credit_balances": ("id", "user_id", "balance"),
    "credit_transactions": ("id", "credit_balance_id", "amount", "transaction_type", "status"),
}
_ODD = """
SELECT c.relname::text,
       CASE WHEN c.relkind <> 'r' THEN 'is no ordinary table' WHEN c.relrowsecurity THEN 'has row-level security'
            WHEN EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)) THEN 'is inherited'
            ELSE 'belongs to ' || pg_get_userbyid(c.relowner) || ', whose rights this login does not have' END
  FROM pg_class c
 WHERE c.relname = ANY (%s) AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (c.relkind NOT IN ('r', 'v', 'm') OR c.relkind <> 'r' AND c.relname = ANY (%s) OR c.relrowsecurity
        OR NOT pg_has_role(current_user, c.relowner, 'USAGE')
        OR EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)))
"""
_RIGHTS = """
SELECT has_schema_privilege(current_schema(), 'CREATE'), has_database_privilege(current_database(), 'CREATE'),
       quote_ident(current_database()), quote_ident(current_user)
"""


def is_rails(database: MigrationDatabase) -> bool:
    """Whether the database is a rayces Rails application's: it has organizations, and its users belong to them.

    Also of one whose adoption was begun, or has ended.
    """
    with connected(database):
        if has_table(database, RECORD):
            return bool(database.one(_HAS_COLUMN, RECORD, "rails"))
        return has_table(database, "organizations") and bool(database.one(_HAS_COLUMN, "users", "organization_id"))


def our_tables() -> list[str]:
    """Names of all tables that this library makes."""
    return sorted({*TABLES, *made_tables(read_directory(None))})


def aside(database: MigrationDatabase, history_table: str) -> dict[str, str]:
    """What moves aside: name → the word that ALTER takes."""
    kept = (RECORD, SET_ASIDE, history_table)
    return cluster(database, database.schema, our_tables(), kept)


def refuse_foreign(database: MigrationDatabase, history_table: str) -> None:
    """Raise MigrationError where there is nothing to be adopted, saying what was found instead."""
    if has_table(database, history_table):
        raise MigrationError(
            f"this database is migrated by rayces already (there is a table {history_table}); use `rayces migrate up`"
        )
    if not is_rails(database):
        raise MigrationError("this is no rayces Rails database: it has no organizations that users belong to")
    if database.one("SELECT true FROM pg_namespace WHERE nspname = %s", BEFORE):
        raise MigrationError(
            f"there is a schema {BEFORE} already, where the old tables would go; rename it: "
            f"ALTER SCHEMA {BEFORE} RENAME TO {BEFORE}_1;"
        )


def shape(database: MigrationDatabase, old: Old, history_table: str) -> Iterator[Finding]:
    """What in the tables stands in the way, before any row is looked at."""
    yield from _rights(database)
    moved = aside(database, history_table)
    odd = database.execute_sql(_ODD, (list(moved), list(TABLES))).fetchall()
    for name, oddity in odd:
        yield Finding("tables", "refusal", f"{name} {oddity}", "change that, or run this as the tables' owner")
    for table, names in NEEDED.items():
        lacking = [name for name in names if table in old.columns and not old.has(table, name)]
        if lacking:
            what = f"{table} has no column {', '.join(lacking)}"
            yield Finding("columns", "refusal", what, "name the right database, or add what is missing")
    others = [name for name in moved if name not in TABLES]
    if others:
        yield choice(
            "other-tables",
            f"{', '.join(others)} refer to the old tables, say organization_id, or have a name that this library needs",
            f"they can go into the schema {BEFORE} with the old tables, whole",
            count=len(others),
        )


def _rights(database: MigrationDatabase) -> Iterator[Finding]:
    schema, create, name, login = database.execute_sql(_RIGHTS).fetchone()
    if not schema:
        where = f"SCHEMA {quote_identifier(database.schema)}"
        yield Finding("rights", "refusal", "the login may make no tables here", f"GRANT CREATE ON {where} TO {login};")
    if not create:
        advice = f"as a DBA: GRANT CREATE ON DATABASE {name} TO {login};"
        yield Finding("rights", "refusal", "the login may make no schemas and no extension here", advice)


def unlike(old: Old) -> Iterator[Finding]:
    """Columns whose type cannot become ours; known once the rows were planned."""
    for table, name, kind in sorted(old.unlike):
        yield Finding(
            "columns",
            "refusal",
            f"{table}.{name} is {kind}, which cannot become what this library keeps there",
            f"give it another name, under which it is taken along as it is: "
            f"ALTER TABLE {table} RENAME COLUMN {name} TO old_{name};",
        )


def roles(database: MigrationDatabase, old: Old) -> Iterator[Finding]:
    """What the numbers of roles mean: 0 is who may do most in one enumeration of the Rails application's."""
    if not old.has("users", "role"):
        return
    counts = database.execute_sql(
        f"SELECT {old.take('users', 'role', 'bigint')}, count(*) FROM {old.source('users')} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    if counts:
        told = ", ".join(f"{count} have role {'none' if role is None else role}" for role, count in counts)
        yield choice(
            "roles",
            f"of the users {told}",
            "rails says 0 admin, 1 professional, 2 staff, 3 guardian (User's enum of rayces); same says that the "
            "numbers are this library's, 0 guardian, 1 professional, 2 staff, 3 admin. What is wrong here makes "
            "guardians admins",
        )


def spelling(database: MigrationDatabase) -> Iterator[Finding]:
    """How many addresses change their spelling; asked once the rows are planned."""
    count = database.one(f"SELECT count(*) FROM plan_users WHERE gone IS NULL AND {AS_GIVEN} IS NOT NULL")
    if count:
        yield Finding(
            "email-spelling",
            "note",
            f"{count} users have an e-mail address with capitals, or blanks around it, which becomes normal",
            f"users.{AS_GIVEN} keeps what was given until `--finish` and shows it to the old application; --undo "
            "gives it back",
            count,
        )


def carried(old: Old) -> Iterator[Finding]:
    """Columns that this library has no use for."""
    names = [f"{table}.{name}" for table in TABLES for name, _ in old.carried(table)]
    if names:
        yield Finding(
            "other-columns",
            "note",
            f"{', '.join(names)} are taken along as they are, NULL allowed",
            "nothing to do; `rayces migrate check` lists them as extra",
            len(names),
        )


def unheld(database: MigrationDatabase, old_roles: Sequence[str]) -> Iterator[Finding]:
    """Logins of the old application that no policy holds."""
    for role in old_roles:
        if database.one("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", role):
            yield Finding(
                "old-roles",
                "note",
                f"row-level security does not hold {quote_identifier(role)}: it is a superuser or has BYPASSRLS",
                "stop the old application before, or let it log in as another role: a session that goes on would take "
                "this library's numbers of roles for its own",
            )
