"""What a team should know before it adopts its MyHub, though nothing stands in the way.

Rule it guards: what gets slower, or is shared wider than meant, is said before and not found out after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rayces_core.migrating.adopting.finding import Finding
from rayces_core.migrating.adopting.record import foreign_keys
from rayces_core.migrating.adopting.rules import unique_indexes
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_UNIQUE = f"""
SELECT x.relname::text
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND i.indisunique AND NOT i.indisprimary ORDER BY 1
"""
# Functions of the server itself are no dependencies in its catalogue, so the stored expression is read.
_LEAKING = f"""
SELECT x.relname::text, string_agg(DISTINCT f.proname::text, ', '), string_agg(DISTINCT f.oid::regprocedure::text, ', ')
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
 CROSS JOIN LATERAL (
        SELECT m[1]::oid AS function
          FROM regexp_matches(i.indexprs::text, ':(?:func|opfunc)id (\\d+)', 'g') AS m
        UNION
        SELECT o.oprcode
          FROM unnest(i.indclass) AS c (opclass) JOIN pg_opclass k ON k.oid = c.opclass
          JOIN pg_amop a ON a.amopfamily = k.opcfamily AND a.amoplefttype = k.opcintype
          JOIN pg_operator o ON o.oid = a.amopopr
         WHERE a.amoppurpose = 's' AND a.amoprighttype = k.opcintype) AS used
  JOIN pg_proc f ON f.oid = used.function
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND NOT f.proleakproof
 GROUP BY 1 ORDER BY 1
"""
_BY_DEFAULT = f"""
SELECT DISTINCT quote_ident(r.rolname),
       CASE WHEN d.defaclnamespace = 0 THEN '' ELSE ' IN SCHEMA ' || quote_ident(current_schema()) END
  FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) AS g JOIN pg_roles r ON r.oid = g.grantee
 WHERE d.defaclobjtype = 'r' AND d.defaclrole = quote_ident(current_user)::regrole AND g.grantee <> d.defaclrole
   AND d.defaclnamespace IN (0, {_NAMESPACE}) AND r.rolname = ANY (%s)
 ORDER BY 1, 2
"""


def notes(database: MigrationDatabase, old_roles: Sequence[str]) -> list[Finding]:
    """What is to be known of this MyHub, each a finding of severity note."""
    return [
        *_other_keys(database),
        *_unique_indexes(database),
        *_slower_indexes(database),
        *_unheld(database, old_roles),
        *_default_privileges(database, old_roles),
        *_time_zone(database),
    ]


def _other_keys(database: MigrationDatabase) -> Iterator[Finding]:
    for key in foreign_keys(database):
        if key.table not in TABLES:
            yield Finding(
                "other-foreign-keys",
                "note",
                f"{key.name} of {key.path} refers to {key.target} ({key.target_columns})",
                "it holds until `--finish`, which exchanges the primary keys; make it one with organization_id by then",
            )


def _unique_indexes(database: MigrationDatabase) -> Iterator[Finding]:
    found = unique_indexes(database)
    chosen = {each.name for each in found if each.is_shared or each.constants}  # those wait for a choice
    kept = {each.name for each in found if each.referred}
    names = [name for (name,) in database.execute_sql(_UNIQUE, (list(TABLES),)).fetchall()]
    for name in [name for name in names if name not in chosen]:
        yield Finding(
            "unique-indexes",
            "note",
            f"{name} is unique for all organizations together",
            "once the old application is gone, make it one that begins with organization_id"
            if name in kept
            else "--finish makes it one that begins with organization_id",
        )


def _slower_indexes(database: MigrationDatabase) -> Iterator[Finding]:
    for name, functions, signatures in database.execute_sql(_LEAKING, (list(TABLES),)).fetchall():
        yield Finding(
            "slower-indexes",
            "note",
            f"under row-level security queries cannot use {name}: {functions} is not leakproof",
            f"measure those queries; a superuser may vouch for it: ALTER FUNCTION ... LEAKPROOF of {signatures}",
        )


def _unheld(database: MigrationDatabase, old_roles: Sequence[str]) -> Iterator[Finding]:
    for role in old_roles:
        if database.one("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", role):
            yield Finding(
                "old-roles",
                "note",
                f"row-level security does not hold {quote_identifier(role)}: it is a superuser or has BYPASSRLS",
                "let the old application log in as another role before a second organization comes",
            )


def _default_privileges(database: MigrationDatabase, old_roles: Sequence[str]) -> Iterator[Finding]:
    for role, where in database.execute_sql(_BY_DEFAULT, (list(old_roles),)).fetchall():
        yield Finding(
            "default-privileges",
            "note",
            f"{role} gets rights on every table that this login makes; the adoption takes those on its own tables back",
            f"end it before a later migration makes one: ALTER DEFAULT PRIVILEGES{where} REVOKE ALL ON TABLES "
            f"FROM {role};",
        )


def _time_zone(database: MigrationDatabase) -> Iterator[Finding]:
    zone = database.one("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'")
    if zone not in ("UTC", "Etc/UTC", "GMT"):
        yield Finding(
            "time-zone",
            "note",
            f"sessions are in the time zone {zone} unless they say otherwise",
            "Rails says UTC; whoever else writes times without a zone has to SET TIME ZONE 'UTC' as well",
        )
