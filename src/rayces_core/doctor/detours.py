"""Ways round the walls: what reads tenants' tables with somebody else's rights, and defaults that bind a tenant."""

from __future__ import annotations

from rayces_core.doctor.finding import Check
from rayces_core.doctor.holders import OF_RELATION

CHECKS = (
    Check(
        "view-as-owner",
        "error",
        "SELECT object, severity FROM view_over_tenants WHERE relkind = 'v' AND NOT as_invoker",
        "the view reads tenants' rows with the rights of its owner, not of who asks",
        "ALTER VIEW {object} SET (security_invoker = true);",
    ),
    Check(
        "materialized-view",
        "error",
        f"""SELECT v.object, {OF_RELATION} AS holders
             FROM app, view_over_tenants v JOIN pg_class c ON c.oid = v.object::regclass JOIN reachable USING (oid)
            WHERE v.relkind = 'm'""",
        "the materialized view is a copy of tenants' rows that row-level security cannot hold; privileged work may "
        "keep it",
        "REVOKE ALL ON {object} FROM {holders};",
    ),
    # SQL that a function puts together at run time names no table here, so it stays unseen.
    Check(
        "function-as-owner",
        "error",
        """SELECT p.oid::regprocedure::text AS object, quote_ident(o.rolname) AS owner,
                  string_agg(t.object, ', ' ORDER BY t.object) AS tables,
                  CASE WHEN (SELECT has_function_privilege(app.oid, p.oid, 'EXECUTE') FROM app)
                         OR EXISTS (SELECT FROM reader WHERE has_function_privilege(reader.oid, p.oid, 'EXECUTE'))
                       THEN 'error' ELSE 'warning' END AS severity
             FROM pg_proc p JOIN server_role o ON o.oid = p.proowner
             JOIN tenant t ON p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '') ~* ('\\m' || t.relname || '\\M')
            WHERE p.prosecdef AND p.oid NOT IN (SELECT tgfoid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM tenant))
              AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
              AND (o.rolsuper OR o.rolbypassrls
                   OR (SELECT pg_has_role(o.oid, admin.oid, 'MEMBER') FROM admin))
            GROUP BY p.oid, o.rolname""",
        "the function runs as {owner}, whom no policy holds, and mentions {tables}",
        "ALTER ROUTINE {object} SECURITY INVOKER; -- or, where somebody else calls it: "
        "REVOKE EXECUTE ON ROUTINE {object} FROM {app_role}, PUBLIC;",
    ),
    Check(
        "foreign-table",
        "error",
        f"""SELECT c.oid::regclass::text AS object, {OF_RELATION} AS holders
             FROM app, reachable JOIN pg_class c USING (oid) JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind = 'f' AND a.attname = 'organization_id' AND NOT a.attisdropped""",
        "the foreign table holds tenants' rows, and row-level security cannot hold it",
        "REVOKE ALL ON {object} FROM {holders};",
    ),
    # What a tenant writes sets them off, with the rights of somebody else.
    Check(
        "trigger-as-owner",
        "error",
        """SELECT t.object, quote_ident(g.tgname) AS name, p.oid::regprocedure::text AS function,
                  quote_ident(o.rolname) AS owner,
                  CASE WHEN o.rolsuper OR o.rolbypassrls OR (SELECT pg_has_role(o.oid, admin.oid, 'MEMBER') FROM admin)
                       THEN 'error' ELSE 'warning' END AS severity
             FROM tenant t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
             JOIN pg_proc p ON p.oid = g.tgfoid AND p.prosecdef JOIN server_role o ON o.oid = p.proowner""",
        "trigger {name} runs {function} as {owner}, whatever tenant writes the row",
        "ALTER ROUTINE {function} SECURITY INVOKER;",
    ),
    # Each tells which organization: nobody has to see its row for that.
    Check(
        "tenant-held",
        "warning",
        """SELECT 'organization ' || split_part(h.name, '_', 3) AS object,
                  count(DISTINCT t.oid) FILTER (WHERE h.kind = 'TRIGGER') AS tables,
                  string_agg(format('DROP %%s %%I ON %%s;', h.kind, h.name, t.object), ' ' ORDER BY t.object, h.name)
                      AS drops
             FROM tenant t, LATERAL (
                  SELECT 'TRIGGER' AS kind, g.tgname AS name FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
                   WHERE g.tgrelid = t.oid AND g.tgname ~ '^rayces_moving_[0-9]+_(insert|change)$'
                     AND p.proname = 'refuse_moving'
                  UNION ALL
                  SELECT 'POLICY', polname FROM pg_policy
                   WHERE polrelid = t.oid AND polname ~ '^rayces_moving_[0-9]+(_read)?$') h
            GROUP BY 1 HAVING bool_or(h.kind = 'TRIGGER')""",
        "triggers on {tables} tables keep it from being written, as they do while it is moved to another cell; where "
        "`rayces move list` has no move of it, they were left behind",
        "{drops} -- where it has no move; else: rayces move tenant, finish or cancel",
    ),
    Check(
        "rule-as-owner",
        "error",
        """SELECT t.object, quote_ident(r.rulename) AS name, quote_ident(o.rolname) AS owner,
                  CASE WHEN o.rolsuper OR o.rolbypassrls OR (SELECT pg_has_role(o.oid, admin.oid, 'MEMBER') FROM admin)
                       THEN 'error' ELSE 'warning' END AS severity
             FROM tenant t JOIN pg_rewrite r ON r.ev_class = t.oid JOIN server_role o ON o.oid = t.relowner""",
        "rule {name} writes with the rights of the table's owner {owner}, whatever tenant sets it off",
        "DROP RULE {name} ON {object};",
    ),
    Check(
        "setting-default",
        "error",
        """SELECT coalesce(quote_ident(r.rolname), 'ALL') AS object, split_part(setting, '=', 1) AS name,
                  CASE WHEN s.setdatabase <> 0 THEN ' IN DATABASE ' || quote_ident(current_database())
                       ELSE '' END AS place
             FROM pg_db_role_setting s LEFT JOIN server_role r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
            WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
              AND setting ~ '^(rayces[.](organization_id|lookup)|role|row_security)='""",
        "sessions begin with {name} already set, so one that binds no organization is not refused",
        "ALTER ROLE {object}{place} RESET {name};",
    ),
)
