"""Wall 3: keys begin with the organization, and a foreign key never leaves it."""

from __future__ import annotations

from rayces_core.doctor.finding import Check

CHECKS = (
    Check(
        "tenant-column-nullable",
        "error",
        "SELECT object FROM tenant WHERE NOT is_root AND NOT attnotnull",
        "organization_id may be NULL: a row of nobody",
        "ALTER TABLE {object} ALTER COLUMN organization_id SET NOT NULL;",
    ),
    Check(
        "tenant-column-type",
        "error",
        """SELECT object, format_type(atttypid, NULL) AS type FROM tenant
            WHERE NOT is_root AND atttypid <> 'bigint'::regtype""",
        "organization_id is {type}, not bigint",
        "ALTER TABLE {object} ALTER COLUMN organization_id TYPE bigint;",
    ),
    Check(
        "tenant-column-missing",
        "warning",
        """SELECT DISTINCT c.oid::regclass::text AS object
             FROM root, app, pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
            WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM tenant) AND c.oid NOT IN (SELECT oid FROM tenant)
              AND (has_any_column_privilege(app.oid, c.oid, 'SELECT, INSERT, UPDATE')
                   OR has_table_privilege(app.oid, c.oid, 'DELETE'))""",
        "the table refers to tenants' rows and {app_role} may use it, but it has no organization_id to hold it by",
        "Give {object} an organization_id and the same keys and policies as the others, or REVOKE ALL ON {object} "
        "FROM {app_role};",
    ),
    Check(
        "primary-key-missing",
        "error",
        """SELECT object FROM tenant t
            WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)""",
        "the table has no primary key",
        "ALTER TABLE {object} ADD PRIMARY KEY (organization_id, id);",
    ),
    Check(
        "primary-key-not-tenant-first",
        "error",
        """SELECT t.object
             FROM tenant t JOIN pg_index i ON i.indrelid = t.oid
            WHERE NOT t.is_root AND i.indisprimary AND i.indkey[0] <> t.tenant_column""",
        "the primary key does not start with organization_id",
        "Make the primary key of {object} (organization_id, id); a MyHub that is adopted gets it by "
        "`rayces migrate adopt --finish`.",
    ),
    Check(
        "unique-without-tenant",
        "error",
        """SELECT t.object, i.indexrelid::regclass::text AS index
             FROM tenant t JOIN pg_index i ON i.indrelid = t.oid
            WHERE NOT t.is_root AND i.indisunique AND NOT i.indisprimary
              AND t.tenant_column <> ALL ((i.indkey::int2[])[0:i.indnkeyatts - 1])""",
        "unique {index} does not name organization_id, so a duplicate tells of another organization's row",
        "Make {index} anew with organization_id among its columns, as the first one unless there is a reason.",
    ),
    Check(
        "exclusion-not-tenant-first",
        "error",
        """SELECT t.object, quote_ident(k.conname) AS name
             FROM tenant t JOIN pg_constraint k ON k.conrelid = t.oid
            WHERE NOT t.is_root AND k.contype = 'x'
              AND (k.conkey[1] <> t.tenant_column
                   OR (SELECT oprname FROM pg_operator WHERE oid = k.conexclop[1]) <> '=')""",
        "exclusion constraint {name} does not start with organization_id WITH =, so organizations exclude each other",
        "Make {name} anew with organization_id WITH = as its first element.",
    ),
    Check(
        "organization-key-missing",
        "error",
        """SELECT object FROM tenant t, root
            WHERE NOT is_root AND NOT EXISTS (
                  SELECT FROM pg_constraint k
                   WHERE k.conrelid = t.oid AND k.contype = 'f' AND k.confrelid = root.oid
                     AND k.conkey = ARRAY[t.tenant_column])""",
        "no foreign key says that organization_id names an organization",
        "ALTER TABLE {object} ADD FOREIGN KEY (organization_id) REFERENCES organizations (id);",
    ),
    # Row-level security does not hold what a foreign key looks up; only its own columns do.
    Check(
        "foreign-key-not-composite",
        "error",
        """SELECT t.object, quote_ident(k.conname) AS name, other.object AS target
             FROM tenant t JOIN pg_constraint k ON k.conrelid = t.oid JOIN tenant other ON other.oid = k.confrelid
            WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT t.is_root AND NOT other.is_root
              AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair(mine, theirs)
                               WHERE mine = t.tenant_column AND theirs = other.tenant_column)""",
        "foreign key {name} does not carry organization_id, so a row can name another organization's row of {target}",
        "Make {name} anew as FOREIGN KEY (organization_id, ...) REFERENCES {target} (organization_id, ...).",
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
