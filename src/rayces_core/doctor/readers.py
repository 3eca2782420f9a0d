"""The two roles that only read: what they may do besides, and what keeps them from reading.

Whatever they may do besides is an error; that they may not read keeps `db.reader()` from working, and nothing else.
"""

from __future__ import annotations

from typing import Final

from rayces_core.doctor.finding import Check
from rayces_core.doctor.needed import WRITES
from rayces_core.migrations.readers import AUDITOR, LOOKUP, READER

# Password hashes, links that work once, webhooks' secrets, addresses of calendars: nobody asks questions of those.
SECRETS: Final = ("credentials", "single_use_tokens", "webhook_endpoints", "calendar_feeds", "outside_calendars")
_READ: Final = ", ".join(f"'{table}'" for table in WRITES if table not in SECRETS)
_SECRET: Final = ", ".join(f"'{table}'" for table in SECRETS)

# A policy that lets one of the two read, and whether it lets it read what it should.
POLICIES: Final = """
reader AS (
    SELECT r.*, r.rolname = %(auditor_role)s AS is_auditor
      FROM server_role r WHERE r.rolname IN (%(reader_role)s, %(auditor_role)s)
),
reader_policy AS (
    SELECT t.oid, t.object, quote_ident(p.polname) AS name, r.oid AS reader, r.is_auditor, m.using_,
           CASE WHEN r.is_auditor THEN m.using_ = 'true' WHEN m.using_ = 'reader-lookup' THEN t.is_root
                ELSE m.using_ = 'reader' END IS TRUE AS is_right
      FROM pg_policy p JOIN tenant t ON t.oid = p.polrelid CROSS JOIN reader r
      LEFT JOIN jsonb_to_recordset(%(meanings)s::jsonb) AS m(policy oid, using_ text) ON m.policy = p.oid
     WHERE p.polpermissive AND p.polcmd IN ('r', '*') AND NOT r.rolsuper AND EXISTS (
           SELECT FROM unnest(p.polroles) AS held(oid)
            WHERE held.oid = r.oid
               OR held.oid <> 0 AND pg_has_role(r.oid, held.oid, 'USAGE')
                  AND held.oid NOT IN (SELECT oid FROM app UNION ALL SELECT oid FROM admin))
)"""

# Each policy that there should be: of every table that they read.
_WANTED: Final = f"""
SELECT t.oid, t.object, w.name, r.oid AS reader, r.rolname, w.using_,
       replace(w.held, '{{key}}', t.tenant_column_name) AS held
  FROM tenant t CROSS JOIN reader r
  JOIN (VALUES ('{READER}', 'reader', %(reader_held)s, false, false), ('{AUDITOR}', 'true', 'true', true, false),
               ('{LOOKUP}', 'reader-lookup', %(reader_looked_up)s, false, true))
       AS w(name, using_, held, is_auditor, is_of_root) USING (is_auditor)
 WHERE (t.is_root OR NOT w.is_of_root) AND NOT t.is_child AND NOT r.rolsuper
   AND CASE WHEN t.is_home AND t.relname IN ({_READ}) THEN true WHEN t.is_home AND t.relname IN ({_SECRET}) THEN false
            ELSE has_any_column_privilege(r.oid, t.oid, 'SELECT') END
"""
_SHUT_OUT: Final = f"""
SELECT w.object, quote_ident(w.rolname) AS role,
       coalesce((SELECT format('DROP POLICY IF EXISTS %%s ON %%s; ', w.name, w.object) FROM pg_policy p
                  WHERE p.polrelid = w.oid AND p.polname = w.name), '')
       || format('CREATE POLICY %%s ON %%s FOR SELECT TO %%I USING (%%s);', w.name, w.object, w.rolname, w.held) AS mend
  FROM ({_WANTED}) AS w
 WHERE NOT EXISTS (SELECT FROM reader_policy p WHERE p.oid = w.oid AND p.reader = w.reader AND p.using_ = w.using_)
UNION ALL
SELECT t.object, quote_ident(r.rolname), format('GRANT SELECT ON %%s TO %%I;', t.object, r.rolname)
  FROM tenant t CROSS JOIN reader r
 WHERE t.is_home AND t.relname IN ({_READ}) AND NOT has_table_privilege(r.oid, t.oid, 'SELECT')
UNION ALL
SELECT n.oid::regnamespace::text, quote_ident(r.rolname),
       format('GRANT USAGE ON SCHEMA %%s TO %%I;', n.oid::regnamespace, r.rolname)
  FROM reader r, root JOIN pg_namespace n ON n.oid = root.relnamespace
 WHERE NOT has_schema_privilege(r.oid, n.oid, 'USAGE')
"""

_LISTED: Final = """
SELECT c.oid, c.oid::regclass::text AS object, c.relname, c.relkind, c.relowner AS owner, g.grantee, g.privilege_type,
       g.is_grantable, coalesce(' (' || quote_ident(g.attname) || ')', '') AS part
  FROM pg_class c JOIN (
       SELECT o.oid, x.*, NULL::name AS attname FROM pg_class o, aclexplode(o.relacl) x
       UNION ALL
       SELECT a.attrelid, x.*, a.attname FROM pg_attribute a, aclexplode(a.attacl) x
        WHERE a.attacl IS NOT NULL AND NOT a.attisdropped) g USING (oid)
"""
_RIGHTS: Final = f"""
SELECT l.object, quote_ident(r.rolname) AS role, l.privilege_type || l.part AS privilege,
       format('REVOKE %%s%%s ON %%s%%s FROM %%I;', l.privilege_type, l.part,
              CASE WHEN l.relkind = 'S' THEN 'SEQUENCE ' ELSE '' END, l.object, r.rolname) AS mend
  FROM ({_LISTED}) AS l JOIN reader r ON r.oid = l.grantee AND r.oid <> l.owner
 WHERE l.privilege_type <> 'SELECT' OR l.is_grantable
    OR l.relname IN ({_SECRET}) AND l.oid IN (SELECT oid FROM tenant WHERE is_home)
UNION ALL
SELECT n.oid::regnamespace::text, quote_ident(r.rolname), g.privilege_type,
       format('REVOKE CREATE ON SCHEMA %%s FROM %%I;', n.oid::regnamespace, r.rolname)
  FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g JOIN reader r ON r.oid = g.grantee
 WHERE g.privilege_type = 'CREATE'
"""

CHECKS: Final = (
    Check(
        "reader-missing",
        "warning",
        """SELECT quote_ident(name) AS object FROM (VALUES (%(reader_role)s::text), (%(auditor_role)s)) AS wanted(name)
            WHERE NOT EXISTS (SELECT FROM server_role WHERE rolname = wanted.name)""",
        "the role does not exist, so db.reader() cannot read",
        "CREATE ROLE {object} NOLOGIN NOINHERIT NOBYPASSRLS; -- and what comes after it: rayces migrate repair",
    ),
    Check(
        "reader-shut-out",
        "warning",
        f"SELECT object, role, string_agg(mend, ' ') AS mend FROM ({_SHUT_OUT}) AS s GROUP BY object, role",
        "{role} does not see the rows that db.reader() is to read",
        "{mend}",
    ),
    Check(
        "reader-attribute",
        "error",
        """SELECT quote_ident(rolname) AS object,
                  concat_ws(' ', CASE WHEN rolsuper THEN 'NOSUPERUSER' END,
                            CASE WHEN rolbypassrls THEN 'NOBYPASSRLS' END,
                            CASE WHEN rolcreaterole THEN 'NOCREATEROLE' END,
                            CASE WHEN rolcreatedb THEN 'NOCREATEDB' END,
                            CASE WHEN rolreplication THEN 'NOREPLICATION' END,
                            CASE WHEN rolcanlogin THEN 'NOLOGIN' END) AS options
             FROM reader
            WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin""",
        "the role is to read, and may do more by an attribute of its own (it lacks {options})",
        "ALTER ROLE {object} {options};",
    ),
    # Through another role it may write, or read what it may not; each SELECT of its own is looked at by itself.
    Check(
        "reader-member",
        "error",
        """SELECT quote_ident(r.rolname) AS object, quote_ident(m.rolname) AS other
             FROM reader r JOIN server_role m
               ON m.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, m.oid, 'MEMBER')
            WHERE m.rolsuper OR m.rolbypassrls OR m.rolcreaterole OR m.rolreplication OR m.rolname LIKE 'pg\\_%%'
               OR m.rolname IN (%(app_role)s, %(admin_role)s) OR m.rolname = %(auditor_role)s
               OR EXISTS (SELECT FROM tenant t
                           WHERE t.relowner = m.oid OR has_any_column_privilege(m.oid, t.oid, 'INSERT, UPDATE')
                              OR has_table_privilege(m.oid, t.oid, 'DELETE, TRUNCATE'))""",
        "the role is a member of {other}, which may do more than read one organization",
        "REVOKE {other} FROM {object};",
    ),
    Check(
        "reader-policy",
        "error",
        "SELECT object, name, string_agg(DISTINCT CASE WHEN is_auditor THEN 'every organization' ELSE "
        "'the bound organization, to a login that may bind it' END, '') AS what "
        "FROM reader_policy WHERE NOT is_right GROUP BY object, name",
        "policy {name} is permissive and lets who only reads see another thing than {what}",
        "DROP POLICY {name} ON {object};",
    ),
    Check(
        "reader-grant",
        "error",
        f"SELECT * FROM ({_RIGHTS}) AS r",
        "{role} has {privilege}, and is to read what is no secret, and nothing else",
        "{mend}",
    ),
    Check(
        "reader-detour",
        "error",
        f"""SELECT DISTINCT l.object, quote_ident(r.rolname) AS role
             FROM ({_LISTED}) AS l JOIN reader r ON r.oid = l.grantee AND NOT r.is_auditor
            WHERE l.relkind = 'm' AND l.object IN (SELECT object FROM view_over_tenants)
               OR l.relkind = 'f' AND EXISTS (
                  SELECT FROM pg_attribute a
                   WHERE a.attrelid = l.oid AND a.attname = 'organization_id' AND NOT a.attisdropped)""",
        "the object holds rows of all tenants, which no policy holds, and {role} may read it",
        "REVOKE ALL ON {object} FROM {role};",
    ),
)
