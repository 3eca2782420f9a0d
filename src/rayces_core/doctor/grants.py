"""What the two roles and everybody else may do with tenants' tables."""

from __future__ import annotations

from rayces_core.doctor import needed
from rayces_core.doctor.finding import Check
from rayces_core.doctor.holders import OF_DATABASE, OF_SCHEMA

CHECKS = (
    # Of the tables that this library's models stand for, every right that they need; of others, that they can be read.
    Check(
        "grant-missing",
        "error",
        f"""SELECT object, quote_ident(rolname) AS role, string_agg(privilege, ', ' ORDER BY place, privilege) AS rights
             FROM ({needed.MISSING}) AS missing(object, rolname, place, privilege) GROUP BY object, rolname""",
        "{role} has no {rights}, so what needs it fails",
        "GRANT {rights} ON {object} TO {role};",
    ),
    Check(
        "schema-usage-missing",
        "error",
        f"""SELECT n.oid::regnamespace::text AS object, quote_ident(r.rolname) AS role
             FROM {needed.ROLES} r, root JOIN pg_namespace n ON n.oid = root.relnamespace
            WHERE NOT has_schema_privilege(r.oid, n.oid, 'USAGE')""",
        "{role} may not use the schema, so it finds no table",
        "GRANT USAGE ON SCHEMA {object} TO {role};",
    ),
    Check(
        "sequence-usage-missing",
        "error",
        f"""SELECT s.oid::regclass::text AS object, quote_ident(r.rolname) AS role, t.object AS table
             FROM {needed.ROLES} r, tenant t JOIN pg_depend d ON d.refobjid = t.oid AND d.deptype = 'a'
             JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
            WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
              AND has_any_column_privilege(r.oid, t.oid, 'INSERT')
              AND NOT has_sequence_privilege(r.oid, s.oid, 'USAGE')""",
        "{role} may insert into {table}, but not take the next number for it",
        "GRANT USAGE ON SEQUENCE {object} TO {role};",
    ),
    # None of these asks row-level security, and MAINTAIN (since 17) locks all rows; a grant option passes on what is
    # held to who is not.
    Check(
        "grant-dangerous",
        "error",
        """SELECT DISTINCT object, quote_ident(role) AS role,
                  privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS privilege,
                  CASE WHEN is_grantable THEN 'GRANT OPTION FOR ' ELSE '' END || privilege_type
                  || coalesce(' (' || quote_ident(column_name) || ')', '') AS revoked
             FROM app_grant
            WHERE privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN') OR is_grantable""",
        "{role} has {privilege}, which row-level security does not hold",
        "REVOKE {revoked} ON {object} FROM {role};",
    ),
    Check(
        "grant-identity-update",
        "error",
        """SELECT g.object, quote_ident(g.role) AS role, coalesce(quote_ident(g.column_name), 'every column') AS column,
                  coalesce(' (' || quote_ident(g.column_name) || ')', '') AS part,
                  CASE WHEN g.column_name IS NULL THEN (
                      SELECT format(' GRANT UPDATE (%%s) ON %%s TO %%I;',
                                    string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), g.object, g.role)
                        FROM pg_attribute a
                       WHERE a.attrelid = g.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                         AND a.attname NOT IN ('organization_id', 'id')) ELSE '' END AS again
             FROM app_grant g
            WHERE g.privilege_type = 'UPDATE'
              AND (g.column_name IN ('organization_id', 'id')
                   OR g.column_name IS NULL AND g.relname NOT IN (
                      SELECT relname FROM kept_for_ever WHERE privilege = 'UPDATE'))""",
        "{role} may UPDATE {column}; it must not change organization_id or id",
        "REVOKE UPDATE{part} ON {object} FROM {role};{again}",
    ),
    # Revoking a privilege on the table takes those on its columns away as well, so these are given anew.
    Check(
        "grant-append-only",
        "error",
        """SELECT DISTINCT g.object, quote_ident(g.role) AS role,
                  g.privilege_type || coalesce(' (' || quote_ident(g.column_name) || ')', '') AS privilege,
                  CASE WHEN g.column_name IS NULL AND cardinality(k.columns || may.erase) > 0 THEN
                       format(' GRANT %%s (%%s) ON %%s TO %%I;',
                              k.privilege, array_to_string(k.columns || may.erase, ', '), g.object, g.role)
                       ELSE '' END AS again
             FROM (SELECT *, false AS is_admin FROM app_grant UNION ALL SELECT *, true FROM admin_grant) g
             JOIN kept_for_ever k ON k.relname = g.relname AND k.privilege = g.privilege_type,
                  LATERAL (SELECT CASE WHEN g.is_admin THEN k.erased ELSE '{}' END AS erase) may
            WHERE g.oid = to_regclass(quote_ident(k.relname)) AND (k.also_admin OR NOT g.is_admin)
              AND (g.column_name = ANY (k.columns || may.erase)) IS NOT TRUE
              AND (g.column_name IN ('organization_id', 'id') AND NOT g.is_admin) IS NOT TRUE""",
        "{role} has {privilege}, but what is in this table is kept as it was written",
        "REVOKE {privilege} ON {object} FROM {role};{again}",
    ),
    Check(
        "grant-public",
        "error",
        """SELECT DISTINCT object, privilege_type || coalesce(' (' || quote_ident(column_name) || ')', '') AS privilege
             FROM granted WHERE grantee = 0""",
        "every role of the server has {privilege} (granted to PUBLIC)",
        "REVOKE {privilege} ON {object} FROM PUBLIC;",
    ),
    # What it makes there nobody audits, and a table or function may stand before one of the search_path.
    Check(
        "schema-create",
        "warning",
        f"""SELECT quote_ident(n.nspname) AS object, {OF_SCHEMA} AS holders
             FROM app, pg_namespace n
            WHERE has_schema_privilege(app.oid, n.oid, 'CREATE') AND n.nspname NOT LIKE 'pg\\_%%'
              AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM overreach) AND app.oid <> n.nspowner""",
        "{app_role} may create objects in the schema, and what it makes there nobody audits",
        "REVOKE CREATE ON SCHEMA {object} FROM {holders};",
    ),
    Check(
        "database-create",
        "warning",
        f"""SELECT quote_ident(d.datname) AS object, {OF_DATABASE} AS holders
             FROM app, pg_database d
            WHERE d.datname = current_database() AND has_database_privilege(app.oid, d.oid, 'CREATE')
              AND NOT EXISTS (SELECT FROM overreach) AND app.oid <> d.datdba""",
        "{app_role} may create schemas in the database, and what it makes there nobody audits",
        "REVOKE CREATE ON DATABASE {object} FROM {holders};",
    ),
)
