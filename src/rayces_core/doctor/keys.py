"""Wall 3: keys begin with the organization, and a foreign key never leaves it."""

from __future__ import annotations

from rayces_core.doctor import remaking
from rayces_core.doctor.finding import Check
from rayces_core.doctor.holders import OF_RELATION
from rayces_core.doctor.policies import DROPPED

CHECKS = (
    Check(
        "tenant-column-nullable",
        "error",
        f"""SELECT object, {remaking.not_null("object", "'organization_id'")} AS mend
             FROM tenant WHERE NOT is_root AND NOT attnotnull""",
        "organization_id may be NULL: a row of nobody",
        "{mend}",
    ),
    Check(
        "tenant-column-type",
        "error",
        f"""SELECT object, format_type(atttypid, NULL) AS type,
                  coalesce((SELECT string_agg({DROPPED}, '') FROM policy p
                             WHERE p.polrelid = t.oid), '') AS first
             FROM tenant t
            WHERE NOT is_root AND atttypid NOT IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)""",
        "organization_id is {type}, not bigint",
        "{first}ALTER TABLE {object} ALTER COLUMN organization_id TYPE bigint USING organization_id::bigint; "
        "-- writes the table anew while nobody can use it: in a quiet hour",
    ),
    Check(
        "tenant-column-missing",
        "warning",
        f"""SELECT DISTINCT c.oid::regclass::text AS object, {OF_RELATION} AS holders
             FROM root, app, pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
            WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM tenant) AND c.oid NOT IN (SELECT oid FROM tenant)
              AND (has_any_column_privilege(app.oid, c.oid, 'SELECT, INSERT, UPDATE')
                   OR has_table_privilege(app.oid, c.oid, 'DELETE'))""",
        "the table refers to tenants' rows and {app_role} may use it, but it has no organization_id to hold it by",
        "REVOKE ALL ON {object} FROM {holders}; -- or give it an organization_id, keys and policies as others have",
    ),
    Check(
        "primary-key-missing",
        "error",
        remaking.PRIMARY_KEY,
        "the table has no primary key",
        "{mend}",
    ),
    Check(
        "primary-key-not-tenant-first",
        "error",
        remaking.PRIMARY_KEY_ANEW,
        "the primary key does not start with organization_id",
        "{mend}",
    ),
    Check(
        "unique-without-tenant",
        "error",
        remaking.UNIQUE,
        "unique {index} does not name organization_id, so a duplicate tells of another organization's row",
        "{mend}",
    ),
    Check(
        "exclusion-not-tenant-first",
        "error",
        remaking.EXCLUSION,
        "exclusion constraint {name} does not start with organization_id WITH =, so organizations exclude each other",
        "{mend}",
    ),
    Check(
        "organization-key-missing",
        "error",
        remaking.ORGANIZATION_KEY,
        "no foreign key says that organization_id names an organization",
        "{mend}",
    ),
    # Row-level security does not hold what a foreign key looks up; only its own columns do.
    Check(
        "foreign-key-not-composite",
        "error",
        remaking.FOREIGN_KEY,
        "foreign key {name} does not carry organization_id, so a row can name another organization's row of {target}",
        "{mend}",
    ),
    Check(
        "foreign-key-disabled",
        "error",
        """SELECT DISTINCT t.object, quote_ident(k.conname) AS name
             FROM tenant t JOIN pg_trigger g ON g.tgrelid = t.oid JOIN pg_constraint k ON k.oid = g.tgconstraint
            WHERE k.contype = 'f' AND g.tgenabled NOT IN ('O', 'A')""",
        "the triggers that enforce foreign key {name} are switched off",
        "ALTER TABLE {object} ENABLE TRIGGER ALL;",
    ),
    Check(
        "constraint-not-validated",
        "error",
        """SELECT t.object, quote_ident(k.conname) AS name
             FROM tenant t JOIN pg_constraint k ON k.conrelid = t.oid WHERE NOT k.convalidated""",
        "constraint {name} is not validated, so older rows may break it",
        "ALTER TABLE {object} VALIDATE CONSTRAINT {name};",
    ),
    Check(
        "index-invalid",
        "error",
        """SELECT t.object, i.indexrelid::regclass::text AS index
             FROM tenant t JOIN pg_index i ON i.indrelid = t.oid
            WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)""",
        "index {index} is invalid: building it failed, so it neither speeds up nor enforces anything",
        "REINDEX INDEX CONCURRENTLY {index};",
    ),
)
