"""The facts that every check starts from, as common table expressions on the system catalogue.

Nothing here is specific to our tables but the rows of `kept_for_ever`. A role that is missing makes its expression
empty, so checks that need it find nothing and only `role-missing` speaks.
"""

from __future__ import annotations

from typing import Final

from rayces_core.doctor.conditions import OPEN_OF
from rayces_core.doctor.hardening import HARDENING
from rayces_core.doctor.policies import POLICIES
from rayces_core.doctor.readers import POLICIES as READERS

# What the tenants' role can use, in any schema. Through a role whose rights it has it counts as well.
# `server_role` is the view pg_roles, planned once: a dozen checks ask for it.
_REACHABLE: Final = """
server_role AS MATERIALIZED (SELECT * FROM pg_roles),
server AS (SELECT current_setting('server_version_num')::int >= 160000 AS modern),
root AS (SELECT oid, relnamespace FROM pg_class WHERE oid = to_regclass('organizations')),
reachable AS (
    SELECT c.oid, c.relkind, c.relowner, has_any_column_privilege(app.oid, c.oid, 'SELECT') AS readable
      FROM app, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
       AND has_schema_privilege(app.oid, n.oid, 'USAGE')
       AND (has_any_column_privilege(app.oid, c.oid, 'SELECT, INSERT, UPDATE')
            OR has_table_privilege(app.oid, c.oid, 'DELETE, TRUNCATE'))
)"""

# The schema is the one whose organizations the search_path finds. A host's table in another schema is ours to audit
# when it refers to organizations or the tenants' role can reach it; a partition or child table always is.
_TENANT_TABLES: Final = f"""
tenant_oid(oid) AS (
    SELECT oid FROM root
    UNION
    SELECT c.oid
      FROM root, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE a.attname = 'organization_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
       AND (c.relnamespace = root.relnamespace
            OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.confrelid = root.oid)
            OR c.oid IN (SELECT oid FROM reachable))
    UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN tenant_oid t ON t.oid = i.inhparent
),
tenant AS (
    SELECT c.oid, c.oid::regclass::text AS object, c.relname, c.relkind, c.relowner, c.relacl,
           c.relrowsecurity, c.relforcerowsecurity, c.oid = root.oid AS is_root, a.attnum AS tenant_column,
           quote_ident(a.attname) AS tenant_column_name, a.attnotnull, a.atttypid,
           c.relnamespace = root.relnamespace AS is_home,
           c.relnamespace = root.relnamespace AND c.relname IN ('credit_transactions', 'invoices') AS is_ledger,
           c.relnamespace = root.relnamespace AND c.relname = 'state_transitions' AS is_journal,
           {OPEN_OF.format(name="c.relname")} AS pending,
           EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AS is_child
      FROM root, tenant_oid JOIN pg_class c USING (oid)
      JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
     WHERE a.attname = CASE WHEN c.oid = root.oid THEN 'id' ELSE 'organization_id' END
)"""

# `app` is empty for a superuser too: what else such a role may do follows from that alone.
# `overreach` are roles that the application's role must not be a member of. What it may do through one of them is left
# out of `grantee`, so that one mistake is one finding.
_ROLES: Final = """
app_role AS (SELECT * FROM server_role WHERE rolname = %(app_role)s),
app AS (SELECT * FROM app_role WHERE NOT rolsuper),
admin AS (SELECT * FROM server_role WHERE rolname = %(admin_role)s),
login AS (SELECT * FROM server_role WHERE rolname = session_user),
membership AS (
    SELECT r.* FROM app, server_role r WHERE r.oid <> app.oid AND pg_has_role(app.oid, r.oid, 'MEMBER')
),
overreach AS (
    SELECT m.oid, m.rolname
      FROM membership m
     WHERE m.rolsuper OR m.rolbypassrls OR m.rolcreaterole OR m.rolreplication OR m.rolname LIKE 'pg\\_%%'
        OR m.oid IN (SELECT oid FROM admin) OR m.oid IN (SELECT relowner FROM tenant)
),
grantee AS (
    SELECT oid FROM app UNION SELECT oid FROM membership WHERE oid NOT IN (SELECT oid FROM overreach)
)"""

_GRANTS: Final = """
granted AS (
    SELECT t.oid, t.object, t.relname, t.relowner, NULL::name AS column_name,
           g.grantee, g.privilege_type, g.is_grantable
      FROM tenant t, aclexplode(t.relacl) g
    UNION ALL
    SELECT t.oid, t.object, t.relname, t.relowner, a.attname,
           g.grantee, g.privilege_type, g.is_grantable
      FROM tenant t JOIN pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped, aclexplode(a.attacl) g
),
app_grant AS (
    SELECT g.*, pg_get_userbyid(g.grantee) AS role FROM granted g JOIN grantee ON grantee.oid = g.grantee
     WHERE g.grantee <> g.relowner
),
admin_grant AS (
    SELECT g.*, pg_get_userbyid(g.grantee) AS role FROM granted g JOIN admin ON admin.oid = g.grantee
     WHERE g.grantee <> g.relowner
),
kept_for_ever(relname, privilege, columns, erased, also_admin) AS (
    VALUES ('state_transitions', 'DELETE', '{}'::name[], '{}'::name[], true),
           ('state_transitions', 'UPDATE', '{}', '{reason,details}', true),
           ('credit_transactions', 'DELETE', '{}', '{}', true),
           ('credit_transactions', 'UPDATE', '{status,processed_at,balance_before,balance_after,sequence,'
                                             'previous_sequence,refundable_before,refundable_after,metadata,'
                                             'updated_at}', '{reason}', true),
           ('appointments', 'DELETE', '{}', '{}', false)
)"""

# A view with security_invoker asks in the name of who asks it, so what is beneath it decides.
_VIEWS: Final = """
reads(view, relation) AS (
    SELECT DISTINCT r.ev_class, d.refobjid
      FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
      JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
     WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
),
over_tenants(oid) AS (
    SELECT view FROM reads WHERE relation IN (SELECT oid FROM tenant)
    UNION
    SELECT reads.view FROM reads JOIN over_tenants o ON o.oid = reads.relation
),
invoker(oid) AS (
    SELECT c.oid FROM pg_class c, pg_options_to_table(c.reloptions) o
     WHERE c.relkind = 'v' AND o.option_name = 'security_invoker' AND o.option_value::boolean
),
view_over_tenants AS (
    SELECT c.oid::regclass::text AS object, c.relkind, c.oid IN (SELECT oid FROM invoker) AS as_invoker,
           CASE WHEN c.oid IN (SELECT oid FROM reachable)
                  OR EXISTS (SELECT FROM reader WHERE has_any_column_privilege(reader.oid, c.oid, 'SELECT'))
                THEN 'error' ELSE 'warning' END AS severity
      FROM over_tenants JOIN pg_class c USING (oid)
)"""

FACTS: Final = "WITH RECURSIVE" + ",".join(
    (_REACHABLE, _TENANT_TABLES, _ROLES, _GRANTS, POLICIES, READERS, _VIEWS, HARDENING)
)
