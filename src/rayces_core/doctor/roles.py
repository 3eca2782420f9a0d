"""The roles: the application's is held by row-level security, the login becomes it, and nobody inherits one."""

from __future__ import annotations

from rayces_core.doctor.finding import Check, Severity

# Where nobody may create roles the library runs as the login itself; it can then log in and may own the tables.
_UNLESS_LOGIN = "CASE WHEN app.rolname = session_user THEN 'warning' ELSE 'error' END AS severity"

# Whom the tables belong to as a rule: the owner of the first table, the database or, as the last resort, the server.
_OWNER = """
(SELECT r.rolname
   FROM (SELECT 1 AS place, c.relowner AS oid FROM root JOIN pg_class c USING (oid)
         UNION ALL SELECT 2, datdba FROM pg_database WHERE datname = current_database()
         UNION ALL SELECT 3, 10) AS candidate JOIN pg_roles r USING (oid)
  WHERE r.rolname NOT IN (%(app_role)s, %(admin_role)s) ORDER BY candidate.place LIMIT 1) AS o
"""


def _attribute(code: str, column: str, severity: Severity, message: str, option: str) -> Check:
    query = f"SELECT quote_ident(rolname) AS object FROM {'app_role' if column == 'rolsuper' else 'app'} WHERE {column}"
    return Check(code, severity, query, message, f"ALTER ROLE {{object}} {option};")


# Before PostgreSQL 16 whether a role inherits is its own attribute, not the membership's. Taken from one that owns a
# database or is a member of others, it would lose more than this; such a one holds the two through a third role, or
# the application's alone, where it has no more, through one of its own.
_INHERITED = """
WITH edge AS (
    SELECT m.oid, m.rolname, r.rolname AS role, r.is_admin, pg_get_userbyid(a.grantor) AS grantor,
           bool_or(r.is_admin) OVER (PARTITION BY m.oid) AS has_admin,
           EXISTS (SELECT FROM pg_database d WHERE d.datdba = m.oid)
           OR EXISTS (SELECT FROM pg_auth_members b JOIN pg_roles o ON o.oid = b.roleid
                       WHERE b.member = m.oid AND o.rolname NOT IN (
                             %(app_role)s, %(admin_role)s, %(reader_role)s, %(auditor_role)s)) AS has_others
      FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
      JOIN (SELECT oid, rolname, false AS is_admin FROM app_role UNION ALL SELECT oid, rolname, true FROM admin
            UNION ALL SELECT oid, rolname, is_auditor FROM reader) r
           ON r.oid = a.roleid
     WHERE coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit) AND NOT m.rolsuper
       AND m.rolname NOT IN (%(app_role)s, %(admin_role)s, %(reader_role)s, %(auditor_role)s)
),
through AS (
    SELECT *, left(CASE WHEN has_admin THEN regexp_replace(%(admin_role)s, '_admin$', '') ELSE %(app_role)s END, 55)
              || '_holders' AS holders
      FROM edge
),
inherited AS (
    SELECT *, dense_rank() OVER (PARTITION BY has_others, holders ORDER BY rolname) = 1
              AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = holders) AS is_first
      FROM through
)"""

CHECKS = (
    Check(
        "role-missing",
        "error",
        """SELECT quote_ident(name) AS object FROM (VALUES (%(app_role)s::text), (%(admin_role)s)) AS wanted(name)
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)""",
        "the role does not exist",
        "CREATE ROLE {object} NOLOGIN NOINHERIT NOBYPASSRLS; -- and what comes after it: rayces migrate repair",
    ),
    _attribute("role-superuser", "rolsuper", "error", "neither policy nor grant holds a superuser", "NOSUPERUSER"),
    _attribute("role-bypassrls", "rolbypassrls", "error", "no policy holds a role with BYPASSRLS", "NOBYPASSRLS"),
    _attribute("role-createrole", "rolcreaterole", "error", "the role can grant itself others", "NOCREATEROLE"),
    _attribute("role-replication", "rolreplication", "error", "the role can read every change", "NOREPLICATION"),
    _attribute("role-login", "rolcanlogin", "warning", "who logs in as the role binds any organization", "NOLOGIN"),
    Check(
        "role-member",
        "error",
        "SELECT quote_ident(app.rolname) AS object, quote_ident(o.rolname) AS other FROM app, overreach o",
        "the role is a member of {other}, whose rights go beyond one organization",
        "REVOKE {other} FROM {object};",
    ),
    Check(
        "role-owns-table",
        "error",
        f"""SELECT t.object, quote_ident(o.rolname) AS owner, {_UNLESS_LOGIN}
             FROM app JOIN tenant t ON t.relowner = app.oid, {_OWNER}""",
        "{app_role} owns the table, so it can switch its row-level security off",
        "ALTER TABLE {object} OWNER TO {owner};",
    ),
    # A login that is only the application's is all a web process needs; privileged work has a login of its own.
    Check(
        "role-not-held",
        "error",
        """SELECT quote_ident(app_role.rolname) AS object, quote_ident(login.rolname) AS login,
                  CASE WHEN NOT modern AND login.rolinherit
                       THEN format('ALTER ROLE %%I NOINHERIT; ', login.rolname) ELSE '' END AS first
             FROM server, login, app_role WHERE NOT pg_has_role(login.oid, app_role.oid, %(may_set)s)""",
        "the login {login} cannot become this role, so nothing can be done for a tenant with this URL",
        "{first}GRANT {object} TO {login}{without_inheriting};",
    ),
    # What a role inherits it has without becoming the other one: outside any tenant, and after a RESET ROLE.
    Check(
        "role-inherited",
        "error",
        f"""{_INHERITED}
           SELECT quote_ident(i.rolname) AS object, string_agg(quote_ident(i.role), ' and ' ORDER BY i.role) AS roles,
                  CASE WHEN bool_or(is_admin) THEN 'error' ELSE 'warning' END AS severity,
                  CASE WHEN bool_or(is_admin) THEN 'the rows of every organization'
                       ELSE 'the rows of any organization that it names' END AS reach,
                  coalesce((SELECT ' (and with it ' || string_agg(quote_ident(l.rolname), ', ') || ')'
                              FROM pg_roles l WHERE l.oid <> i.oid AND l.rolcanlogin AND NOT l.rolsuper
                               AND pg_has_role(l.oid, i.oid, 'USAGE')), '') AS others,
                  CASE WHEN (SELECT modern FROM server) THEN
                            string_agg(format('GRANT %%I TO %%I WITH INHERIT FALSE, SET TRUE GRANTED BY %%I;',
                                              i.role, i.rolname, i.grantor), ' ' ORDER BY i.role)
                       WHEN NOT i.has_others THEN format('ALTER ROLE %%I NOINHERIT;', i.rolname)
                       ELSE CASE WHEN i.is_first
                                 THEN format('CREATE ROLE %%1$I NOLOGIN NOINHERIT; GRANT %%2$I TO %%1$I; ',
                                             i.holders, %(app_role)s::text)
                                      || CASE WHEN i.has_admin THEN format('GRANT %%I TO %%I; ', %(admin_role)s::text,
                                                                           i.holders) ELSE '' END
                                 ELSE '' END
                            || string_agg(format('REVOKE %%I FROM %%I; ', i.role, i.rolname), '' ORDER BY i.role)
                            || format('GRANT %%I TO %%I;', i.holders, i.rolname) END AS mend
             FROM inherited i
            GROUP BY i.oid, i.rolname, i.has_others, i.has_admin, i.is_first, i.holders""",
        "the role{others} inherits {roles}, so without becoming it, it reads {reach}",
        "{mend}",
    ),
    # RESET ROLE in raw SQL would give such a login back what the role took away; only the library refuses it then.
    Check(
        "login-unrestricted",
        "warning",
        """SELECT quote_ident(rolname) AS object, concat_ws(' and ',
                  CASE WHEN rolsuper THEN 'is a superuser' WHEN rolbypassrls THEN 'has BYPASSRLS' END,
                  CASE WHEN NOT rolsuper AND owner THEN 'owns tables of tenants' END) AS what
             FROM login, (
                  SELECT bool_or(pg_has_role(login.oid, t.relowner, 'MEMBER')) AS owner FROM login, tenant t
                   WHERE t.relowner NOT IN (SELECT oid FROM app_role)) o
            WHERE rolsuper OR rolbypassrls OR owner""",
        "the login of the URL {what}; raw SQL that left the role would be held by the library alone. Keep it for "
        "migrations, and let the application log in as others: the first one in `url`, the second in `admin_url`",
        "CREATE ROLE clinic_web LOGIN NOINHERIT; GRANT {app_role} TO clinic_web{without_inheriting}; "
        "CREATE ROLE clinic_admin LOGIN NOINHERIT; GRANT {admin_role} TO clinic_admin{without_inheriting};",
    ),
)
