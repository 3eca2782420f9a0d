"""The two ends of an adoption: for good, once the old application is gone, and the checks before going back."""

from __future__ import annotations

from collections.abc import Iterator

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.addresses import keep_for_good, left_behind, not_normalising
from rayces_core.migrating.adopting.comparing import unlike
from rayces_core.migrating.adopting.recognition import made_tables
from rayces_core.migrating.adopting.record import Before, foreign_keys, organization_id
from rayces_core.migrating.adopting.shaping import Statements
from rayces_core.migrating.adopting.transition import (
    KEPT_INDEXES,
    ONLY_POLICY,
    POLICY,
    PRIMARY_KEY_INDEX,
    tenant_tables,
)
from rayces_core.migrating.catalogue import entries
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.myhub import SET_ASIDE, TABLES, has_table
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_ON_PRIMARY_KEYS = f"""
SELECT pg_describe_object('pg_rewrite'::regclass, d.objid, 0)
  FROM pg_depend d JOIN pg_constraint k ON k.oid = d.refobjid
  JOIN pg_class c ON c.oid = k.conrelid
 WHERE d.refclassid = 'pg_constraint'::regclass AND d.classid = 'pg_rewrite'::regclass AND k.contype = 'p'
   AND c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE} ORDER BY 1
"""
_IS_HELD = f"SELECT relrowsecurity FROM pg_class WHERE relname = 'organizations' AND relnamespace = {_NAMESPACE}"
_INDEX = f"SELECT true FROM pg_class WHERE relname = %s AND relkind = 'i' AND relnamespace = {_NAMESPACE}"


def exchange_for_good(database: MigrationDatabase, run: Statements) -> None:
    """Drop what only the old application needed and exchange the primary keys, in one short transaction."""
    statements = ["LOCK TABLE likes, posts, users IN ACCESS EXCLUSIVE MODE"]
    for table in TABLES:
        statements += [f"DROP POLICY IF EXISTS {name} ON {table}" for name in (POLICY, ONLY_POLICY)]
        statements.append(f"ALTER TABLE {table} ALTER COLUMN organization_id DROP DEFAULT")
        index = f"{table}_{PRIMARY_KEY_INDEX}"
        if database.one(_INDEX, index):
            statements.append(
                f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, "
                f"ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {index}"
            )
    statements += not_normalising()
    narrowed = [name for name in tenant_tables(len(read_directory(None))) if has_table(database, name)]
    statements += [f"DROP POLICY IF EXISTS {ONLY_POLICY} ON {name}" for name in narrowed]
    run(";\n".join(statements))
    for index in KEPT_INDEXES.values():
        run(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    keep_for_good(database, run)


def refuse_other_keys(database: MigrationDatabase) -> None:
    """Raise MigrationError while other tables refer to the primary keys that are about to be exchanged."""
    others = [key for key in foreign_keys(database) if key.target_columns == "id"]
    if others:
        lines = "".join(f"\n  ALTER TABLE {key.path} DROP CONSTRAINT {quote_identifier(key.name)};" for key in others)
        raise MigrationError(
            "other tables refer to primary keys that become (organization_id, id); nothing was changed. Give those "
            f"tables an organization_id with a key of both columns and row-level security, or drop theirs:{lines}"
        )
    views = [name for (name,) in database.execute_sql(_ON_PRIMARY_KEYS, (list(TABLES),)).fetchall()]
    if views:
        raise MigrationError(
            "these group by a primary key and select the rest, which needs the key as it is; nothing was changed. Drop "
            f"them, or name every column in GROUP BY: {', '.join(views)}"
        )


def refuse_losses(database: MigrationDatabase, *, yes: bool) -> None:
    """Raise MigrationError where going back would mix organizations, or drop rows without having been told to."""
    if not has_table(database, "organizations"):
        return
    _refuse_new_keys(database)
    key = organization_id(database)
    with database.atomic():
        if database.one(_IS_HELD):
            database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
        mixed = dict(_foreign_rows(database, key))
        lost = dict(_later_rows(database))
    if mixed:
        raise MigrationError(
            f"other organizations have rows in {_listed(mixed)}, which plain MyHub would show to everybody; delete "
            "those organizations' rows first"
        )
    if lost and not yes:
        raise MigrationError(f"going back would drop the rows of {_listed(lost)}; --yes says so")


def unlike_before(database: MigrationDatabase, before: Before) -> tuple[str, ...]:
    """The lines of the catalogue in which MyHub differs from what it was, each marked + or -."""
    # What is left is there from an earlier adoption.
    left = left_behind(database)
    was = [line for line in before.catalogue if f" {SET_ASIDE}" not in line and line not in left]
    found = [each for each in entries(database) if f" {SET_ASIDE}" not in each.line and each.line not in left]
    return unlike(database, was, found)


def _refuse_new_keys(database: MigrationDatabase) -> None:
    ours = {*TABLES, *made_tables(read_directory(None))}
    keys = [key for key in foreign_keys(database) if key.target_columns != "id" and key.table not in ours]
    keys = [key for key in keys if "organization_id" in key.target_columns.split(", ")]
    if keys:
        lines = "".join(f"\n  ALTER TABLE {key.path} DROP CONSTRAINT {quote_identifier(key.name)};" for key in keys)
        raise MigrationError(f"other tables refer to (organization_id, id), which goes; drop their keys:{lines}")


def _foreign_rows(database: MigrationDatabase, key: int) -> Iterator[tuple[str, int]]:
    for table in TABLES:
        has_column = "SELECT true FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'organization_id'"
        if database.one(f"{has_column} AND NOT attisdropped", table):
            count = database.one(
                f"SELECT count(*) FROM {table} WHERE organization_id <> %s",
                key,
            )
            if count:
                yield table, count


def _later_rows(database: MigrationDatabase) -> Iterator[tuple[str, int]]:
    for table in made_tables(read_directory(None)):
        if table == "organizations" or not has_table(database, table):
            continue
        count = database.one(f"SELECT count(*) FROM {quote_identifier(table)}")
        if count:
            yield table, count


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{table} ({count})" for table, count in counts.items())
