"""Wall 2: row-level security is on, forced, and lets the application's role see one organization only."""

from __future__ import annotations

from rayces_core.doctor.finding import Check

BOUND_TENANT = "(SELECT nullif(current_setting('rayces.organization_id', true), '')::bigint)"
_FORCE = "ALTER TABLE {object} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
_REPLACE = (
    "DROP POLICY {name} ON {object}; CREATE POLICY rayces_tenant ON {object} TO {app_role} "
    f"USING ({{column}} = {BOUND_TENANT}) WITH CHECK ({{column}} = {BOUND_TENANT});"
)

CHECKS = (
    Check(
        "rls-disabled",
        "error",
        "SELECT object FROM tenant WHERE NOT relrowsecurity AND NOT is_child",
        "row-level security is off, so raw SQL sees the rows of every organization",
        _FORCE,
    ),
    Check(
        "rls-not-forced",
        "error",
        "SELECT object FROM tenant WHERE relrowsecurity AND NOT relforcerowsecurity AND NOT is_child",
        "row-level security does not hold the table's owner",
        "ALTER TABLE {object} FORCE ROW LEVEL SECURITY;",
    ),
    # Without a policy of its own a partition shows nothing to who asks it directly, which is all it needs.
    Check(
        "rls-partition",
        "error",
        "SELECT object FROM tenant WHERE is_child AND NOT (relrowsecurity AND relforcerowsecurity)",
        "the policies of the parent do not hold who asks this partition or child table directly",
        _FORCE,
    ),
    Check(
        "policy-missing",
        "error",
        """SELECT object, tenant_column_name AS column FROM tenant t, app
            WHERE NOT is_child AND NOT EXISTS (SELECT FROM app_policy p WHERE p.polrelid = t.oid AND p.is_the_one)""",
        "no policy lets {app_role} see the bound organization",
        "CREATE POLICY rayces_tenant ON {object} TO {app_role} "
        f"USING ({{column}} = {BOUND_TENANT}) WITH CHECK ({{column}} = {BOUND_TENANT});",
    ),
    Check(
        "policy-expression",
        "error",
        """SELECT t.object, t.tenant_column_name AS column, p.name FROM app_policy p JOIN tenant t ON t.oid = p.polrelid
            WHERE p.is_the_one AND (p.using_ = p.condition AND p.check_ = p.condition) IS NOT TRUE""",
        "the condition of policy {name} is not that {column} is the bound organization",
        _REPLACE,
    ),
    Check(
        "policy-command",
        "error",
        """SELECT t.object, t.tenant_column_name AS column, p.name FROM app_policy p JOIN tenant t ON t.oid = p.polrelid
            WHERE p.is_the_one AND p.polcmd <> '*'""",
        "policy {name} is for one command only, not FOR ALL",
        _REPLACE,
    ),
    Check(
        "policy-extra",
        "error",
        """SELECT t.object, p.name FROM app_policy p JOIN tenant t ON t.oid = p.polrelid WHERE NOT p.is_the_one""",
        "policy {name} is permissive and reaches {app_role}; permissive policies add up, so it opens the table further",
        "DROP POLICY {name} ON {object};",
    ),
    Check(
        "policy-admin",
        "error",
        """SELECT object FROM tenant t, admin
            WHERE NOT is_child AND NOT EXISTS (
                  SELECT FROM policy p WHERE p.polrelid = t.oid AND p.polpermissive AND p.names_admin
                     AND p.polcmd = '*' AND p.using_ = 'true' AND p.check_ = 'true')""",
        "no policy opens the table to {admin_role}, so privileged work sees nothing",
        "CREATE POLICY rayces_admin ON {object} TO {admin_role} USING (true) WITH CHECK (true);",
    ),
    Check(
        "policy-settled",
        "error",
        """SELECT object FROM tenant t, root, app, pg_class c
            WHERE c.oid = t.oid AND c.relnamespace = root.relnamespace AND t.relname = 'credit_transactions'
              AND NOT EXISTS (
                  SELECT FROM policy p WHERE p.polrelid = t.oid AND NOT p.polpermissive AND p.names_app
                     AND p.polcmd IN ('w', '*') AND p.using_ = 'status=''pending''')""",
        "settled ledger rows can be changed: no restrictive policy keeps updates to pending ones",
        "CREATE POLICY rayces_pending_only ON {object} AS RESTRICTIVE FOR UPDATE TO {app_role} "
        "USING (status = 'pending') WITH CHECK (true);",
    ),
)
