"""Wall 2: row-level security is on, forced, and lets the application's role see one organization only."""

from __future__ import annotations

from rayces_core.doctor.conditions import ERASING, LOOKED_UP
from rayces_core.doctor.finding import Check
from rayces_core.doctor.policies import DROPPED

# What makes policy `p` anew, whether or not `s`, which is how it should be, has its name.
_REPLACED = f"{DROPPED} || replace(s.sql, {DROPPED}, '')"

_FORCE = "ALTER TABLE {object} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"

# Where nothing is decided at all, one statement makes what the migrations make; else what is missing, by command.
_MISSING = """
SELECT w.object, string_agg(c.verb, ', ' ORDER BY c.verb) AS commands,
       CASE WHEN {nothing} THEN (SELECT sql FROM proper p WHERE p.oid = w.oid AND p.is_admin = w.is_admin
                                    AND p.command = '*')
            ELSE string_agg((SELECT sql FROM proper p WHERE p.oid = w.oid AND p.is_admin = w.is_admin
                                AND p.command = w.command), ' ' ORDER BY w.command) END AS mend
  FROM wanted w JOIN command c USING (command)
 WHERE {which} AND NOT EXISTS (SELECT FROM {decided} d WHERE d.polrelid = w.oid AND d.command = w.command {right})
 GROUP BY w.oid, w.is_admin, w.object
"""

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
        _MISSING.format(
            which="NOT w.is_admin",
            decided="deciding",
            right="AND d.is_the_one",
            nothing="NOT EXISTS (SELECT FROM deciding d WHERE d.polrelid = w.oid AND d.is_the_one)",
        ),
        "no policy lets {app_role} {commands} rows of the bound organization",
        "{mend}",
    ),
    Check(
        "policy-expression",
        "error",
        f"""SELECT p.object, p.name, t.tenant_column_name AS column, {_REPLACED} AS mend
             FROM app_policy p JOIN tenant t ON t.oid = p.polrelid
             JOIN proper s ON s.oid = p.polrelid AND s.command = p.polcmd AND NOT s.is_admin
            WHERE p.is_the_one AND NOT p.is_right""",
        "the condition of policy {name} is not that {column} is the bound organization, as the migrations word it",
        "{mend}",
    ),
    Check(
        "policy-extra",
        "error",
        "SELECT object, name FROM app_policy WHERE NOT is_the_one",
        "policy {name} is permissive and reaches {app_role}; permissive policies add up, so it opens the table further",
        "DROP POLICY {name} ON {object};",
    ),
    Check(
        "policy-admin",
        "error",
        _MISSING.format(
            which="w.is_admin",
            decided="admin_policy",
            right="",
            nothing="NOT EXISTS (SELECT FROM admin_policy d WHERE d.polrelid = w.oid)",
        ),
        "no policy lets {admin_role} {commands} rows of every organization, as privileged work does",
        "{mend}",
    ),
    # Up to migration 025 a restrictive policy did it.
    Check(
        "policy-settled",
        "error",
        """SELECT p.object, p.name, CASE WHEN p.names_admin THEN {admin} ELSE {app} END AS role,
                  {replaced} AS mend
             FROM policy p JOIN proper s ON s.oid = p.polrelid AND s.is_admin = p.names_admin AND s.command = p.polcmd
            WHERE (p.is_ledger AND p.names_app OR (p.is_ledger OR p.is_journal) AND p.names_admin)
              AND p.polpermissive AND p.polcmd IN ('w', '*')
              AND p.using_ IN ('tenant', 'true')
              AND NOT EXISTS (SELECT FROM policy r WHERE r.polrelid = p.polrelid AND NOT r.polpermissive
                                 AND r.polcmd IN ('w', '*') AND r.using_ = 'pending')""".format(
            admin="(SELECT quote_ident(rolname) FROM admin)",
            app="(SELECT quote_ident(rolname) FROM app)",
            replaced=_REPLACED,
        ),
        "settled rows of {object} can be changed by {role}: policy {name} does not keep updates to open ones",
        "{mend}",
    ),
    Check(
        "policy-erasing",
        "warning",
        f"""SELECT t.object,
                  coalesce((SELECT {DROPPED} FROM policy p WHERE p.polrelid = t.oid AND p.name = 'rayces_admin_erase'),
                           '') AS first
             FROM tenant t, admin
            WHERE t.is_home AND t.relname = 'credit_transactions'
              AND NOT EXISTS (SELECT FROM policy p WHERE p.polrelid = t.oid AND p.polpermissive AND p.names_admin
                                 AND p.polcmd IN ('w', '*') AND p.using_ = 'erasing' AND p.check_ = 'erasing')""",
        "no policy lets {admin_role} take the words out of settled rows of {object}, as people.erase_user does",
        f"{{first}}CREATE POLICY rayces_admin_erase ON {{object}} FOR UPDATE TO {{admin_role}} USING ({ERASING}) "
        f"WITH CHECK ({ERASING});",
    ),
    Check(
        "policy-lookup",
        "warning",
        f"""SELECT t.object,
                  coalesce((SELECT {DROPPED} FROM policy p WHERE p.polrelid = t.oid AND p.name = 'rayces_lookup'), '')
                  AS first
             FROM tenant t, app
            WHERE t.is_root AND NOT EXISTS (SELECT FROM policy WHERE is_lookup AND names_app)""",
        "no policy shows {app_role} an organization that is looked up, so only {admin_role} finds a tenant by its name",
        f"{{first}}CREATE POLICY rayces_lookup ON {{object}} FOR SELECT TO {{app_role}} USING ({LOOKED_UP});",
    ),
)
