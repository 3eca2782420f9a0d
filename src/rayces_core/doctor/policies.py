"""Facts of wall 2: which policy decides about which command, and how it would be spelled right.

Permissive policies add up, so for each command there is exactly one that lets the application's role see the bound
organization. One FOR ALL does for a table; the ledger and the invoices (`is_ledger`) have one for each command, as what
is settled or issued is not changed. On organizations a second one shows the row that is looked up by its subdomain
while no tenant is bound.

What a condition means is known by a word, as `conditions` finds them out: tenant, pending, true, and
erasing, which takes words out of the journal.
"""

from __future__ import annotations

from typing import Final

from rayces_core.doctor.conditions import BOUND_TENANT, ERASING


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# What takes policy `p` away. It is left out where there is none, which a NOTICE would tell; IF EXISTS is for one that
# the remedy of another finding has dropped by then.
DROPPED: Final = "format('DROP POLICY IF EXISTS %%s ON %%s; ', p.name, p.object)"

POLICIES: Final = f"""
policy AS (
    SELECT p.polrelid, t.object, t.is_ledger, t.is_journal, quote_ident(p.polname) AS name,
           p.polcmd::text AS polcmd, p.polpermissive,
           coalesce((SELECT oid FROM app) = ANY (p.polroles), false) AS names_app,
           0 = ANY (p.polroles) OR EXISTS (SELECT FROM grantee WHERE grantee.oid = ANY (p.polroles)) AS reaches_app,
           coalesce((SELECT oid FROM admin) = ANY (p.polroles), false) AS names_admin,
           m.using_, coalesce(m.check_, m.using_) AS check_,
           t.is_root AND p.polcmd = 'r' AND m.using_ = 'lookup' AS is_lookup
      FROM pg_policy p JOIN tenant t ON t.oid = p.polrelid
      LEFT JOIN jsonb_to_recordset(%(meanings)s::jsonb) AS m(policy oid, using_ text, check_ text) ON m.policy = p.oid
),
command(command, verb, privilege) AS (
    VALUES ('r', 'select', 'SELECT'), ('a', 'insert', 'INSERT'), ('w', 'update', 'UPDATE'), ('d', 'delete', 'DELETE')
),
deciding AS (
    SELECT p.*, c.command,
           row_number() OVER (
               PARTITION BY p.polrelid, c.command
               ORDER BY p.names_app DESC, r.is_right IS TRUE DESC, p.polcmd = '*' DESC, p.name
           ) = 1 AND p.names_app AS is_the_one, r.is_right IS TRUE AS is_right
      FROM policy p JOIN command c ON p.polcmd IN ('*', c.command),
           LATERAL (SELECT (c.command = 'a' OR p.using_ = 'tenant'
                            OR p.is_ledger AND c.command = 'w' AND p.using_ = 'tenant-pending')
                           AND (c.command IN ('r', 'd') OR p.check_ = 'tenant') AS is_right) r
     WHERE p.polpermissive AND p.reaches_app AND NOT p.is_lookup
),
app_policy AS (
    SELECT polrelid, object, name, polcmd, bool_and(is_the_one) AS is_the_one, bool_and(is_right) AS is_right
      FROM deciding GROUP BY 1, 2, 3, 4
),
admin_policy AS (
    SELECT p.polrelid, c.command
      FROM policy p JOIN command c ON p.polcmd IN ('*', c.command)
     WHERE p.polpermissive AND p.names_admin AND (c.command IN ('r', 'd') OR p.check_ = 'true')
       AND (c.command = 'a' OR p.using_ = 'true' OR p.is_ledger AND c.command = 'w' AND p.using_ = 'pending')
        OR p.polpermissive AND p.names_admin AND p.is_journal AND c.command = 'w'
       AND p.using_ = 'erasing' AND p.check_ = 'erasing'
),
wanted AS (
    SELECT t.oid, t.object, r.is_admin, c.command
      FROM tenant t, command c, (SELECT oid, false AS is_admin FROM app UNION ALL SELECT oid, true FROM admin) r
     WHERE NOT t.is_child AND NOT (t.is_ledger AND c.command = 'd')
       AND (c.command = 'r' OR CASE WHEN c.command = 'd' THEN has_table_privilege(r.oid, t.oid, 'DELETE')
                                    ELSE has_any_column_privilege(r.oid, t.oid, c.privilege) END)
),
spelled AS (
    SELECT t.oid, r.is_admin, c.command, t.is_ledger OR t.is_journal AND r.is_admin AS is_split,
           coalesce((SELECT {DROPPED} FROM policy p WHERE p.polrelid = t.oid AND p.name = n.name), '')
           || format('CREATE POLICY %%s ON %%s FOR %%s TO %%I%%s%%s;', n.name, t.object, c.verb, r.rolname,
                  CASE WHEN c.verb <> 'insert' THEN ' USING (' || h.held ||
                       CASE WHEN NOT t.is_ledger OR c.verb <> 'update' THEN '' WHEN r.is_admin THEN ''
                            ELSE ' AND ' || t.pending END || ')' END,
                  CASE WHEN c.verb NOT IN ('select', 'delete') THEN ' WITH CHECK (' || h.checked || ')' END) AS sql
      FROM tenant t, (SELECT command, verb FROM command UNION ALL VALUES ('*', 'all')) c,
           (SELECT rolname, false AS is_admin, 'rayces_tenant' AS name FROM app
             UNION ALL SELECT rolname, true, 'rayces_admin' FROM admin) r,
           LATERAL (SELECT r.name || CASE WHEN c.verb = 'all' THEN '' ELSE '_' || c.verb END AS name) n,
           LATERAL (SELECT t.tenant_column_name || {_literal(" = " + BOUND_TENANT)} AS own) o,
           LATERAL (SELECT CASE WHEN NOT r.is_admin THEN o.own
                                WHEN t.is_ledger AND c.verb = 'update' THEN t.pending
                                WHEN t.is_journal AND c.verb = 'update' THEN {_literal(ERASING)}
                                ELSE 'true' END AS held,
                           CASE WHEN NOT r.is_admin THEN o.own
                                WHEN t.is_journal AND c.verb = 'update' THEN {_literal(ERASING)}
                                ELSE 'true' END AS checked) h
),
proper AS (
    SELECT oid, is_admin, command, sql FROM spelled WHERE NOT is_split OR command <> '*'
    UNION ALL
    SELECT oid, is_admin, '*', string_agg(sql, ' ' ORDER BY command DESC) FROM spelled
     WHERE is_split AND command IN ('r', 'a', 'w') GROUP BY oid, is_admin
)"""
