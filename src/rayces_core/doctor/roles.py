"""The roles: the application's is held by row-level security, the login becomes it, and nobody inherits one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rayces_core.doctor.finding import Check, Severity
from rayces_core.migrations.memberships import Standing, disinheriting, letting_in, standing_of

# Where nobody may create roles the library runs as the login itself; it can then log in and may own the tables.
_UNLESS_LOGIN = "CASE WHEN app.rolname = session_user THEN 'warning' ELSE 'error' END AS severity"

# Whom the tables belong to as a rule: the owner of the first table, the database or, as the last resort, the server.
_OWNER = """
(SELECT r.rolname
   FROM (SELECT 1 AS place, c.relowner AS oid FROM root JOIN pg_class c USING (oid)
         UNION ALL SELECT 2, datdba FROM pg_database WHERE datname = current_database()
         UNION ALL SELECT 3, 10) AS candidate JOIN server_role r USING (oid)
  WHERE r.rolname NOT IN (%(app_role)s, %(admin_role)s) ORDER BY candidate.place LIMIT 1) AS o
"""


def _attribute(code: str, column: str, severity: Severity, message: str, option: str) -> Check:
    query = f"SELECT quote_ident(rolname) AS object FROM {'app_role' if column == 'rolsuper' else 'app'} WHERE {column}"
    return Check(code, severity, query, message, f"ALTER ROLE {{object}} {option};")


_OURS = "ARRAY[%(app_role)s, %(admin_role)s, %(reader_role)s, %(auditor_role)s]::text[]"
_STANDING = standing_of(_OURS)
# What they give goes beyond any table: files and programs of the server, and what others run.
_BEYOND = """'{pg_execute_server_program,pg_read_server_files,pg_write_server_files,pg_read_all_data,pg_write_all_data,
             pg_read_all_stats,pg_signal_backend}'::name[]"""


def _let_in(facts: Mapping[str, Any]) -> list[str]:
    return letting_in(facts["login"], facts["role"], Standing(**facts["standing"]), facts["admin"])


def _disinherit(facts: Mapping[str, Any]) -> list[str]:
    return disinheriting(facts["member"], facts["edges"], Standing(**facts["standing"]), facts["admin"])


CHECKS = (
    Check(
        "role-missing",
        "error",
        """SELECT quote_ident(name) AS object FROM (VALUES (%(app_role)s::text), (%(admin_role)s)) AS wanted(name)
            WHERE NOT EXISTS (SELECT FROM server_role WHERE rolname = wanted.name)""",
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
        f"""SELECT quote_ident(app_role.rolname) AS object, quote_ident(m.rolname) AS spoken, m.rolname AS login,
                   app_role.rolname AS role, %(admin_role)s::text AS admin, {_STANDING} AS standing
              FROM login m, app_role WHERE NOT pg_has_role(m.oid, app_role.oid, %(may_set)s)""",
        "the login {spoken} cannot become this role, so nothing can be done for a tenant with this URL",
        _let_in,
    ),
    # What a role inherits it has without becoming the other one: outside any tenant, and after a RESET ROLE.
    Check(
        "role-inherited",
        "error",
        f"""WITH edge AS (
               SELECT m.*, r.rolname AS role, r.is_admin, pg_get_userbyid(a.grantor) AS grantor
                 FROM pg_auth_members a JOIN server_role m ON m.oid = a.member
                 JOIN (SELECT oid, rolname, false AS is_admin FROM app_role
                       UNION ALL SELECT oid, rolname, true FROM admin
                       UNION ALL SELECT oid, rolname, is_auditor FROM reader) r ON r.oid = a.roleid
                WHERE coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit) AND NOT m.rolsuper
                  AND m.rolname <> ALL ({_OURS})),
             inheriting AS (
               SELECT oid, rolname, rolinherit, bool_or(is_admin) AS sees_all,
                      string_agg(quote_ident(role), ' and ' ORDER BY role) AS roles,
                      jsonb_agg(jsonb_build_array(role, grantor) ORDER BY role, grantor) AS edges
                 FROM edge GROUP BY oid, rolname, rolinherit)
           SELECT quote_ident(m.rolname) AS object, m.rolname AS member, m.roles, m.edges,
                  %(admin_role)s::text AS admin, {_STANDING} AS standing,
                  CASE WHEN m.sees_all THEN 'error' ELSE 'warning' END AS severity,
                  CASE WHEN m.sees_all THEN 'the rows of every organization'
                       WHEN (SELECT bool_or(pg_has_role(m.oid, oid, 'MEMBER')) FROM app_role)
                       THEN 'the rows of any organization that it names'
                       ELSE 'the rows of the organizations that the comment on it names' END AS reach,
                  coalesce((SELECT ' (and with it ' || string_agg(quote_ident(l.rolname), ', ') || ')'
                              FROM server_role l WHERE l.oid <> m.oid AND l.rolcanlogin AND NOT l.rolsuper
                               AND pg_has_role(l.oid, m.oid, 'USAGE')), '') AS others
             FROM inheriting m""",
        "the role{others} inherits {roles}, so without becoming it, it reads {reach}",
        _disinherit,
    ),
    # RESET ROLE in raw SQL would give such a login back what the role took away; only the library refuses it then.
    Check(
        "login-unrestricted",
        "warning",
        f"""SELECT quote_ident(rolname) AS object, concat_ws(' and ',
                  CASE WHEN rolsuper THEN 'is a superuser' WHEN rolbypassrls THEN 'has BYPASSRLS' END,
                  CASE WHEN NOT rolsuper AND owner THEN 'owns tables of tenants' END,
                  CASE WHEN NOT rolsuper AND gives_itself THEN 'has CREATEROLE, and so may give itself any role' END,
                  CASE WHEN NOT rolsuper THEN 'is a member of ' || beyond END,
                  CASE WHEN NOT rolsuper THEN 'is let in by ' || policies END) AS what
             FROM login, (
                  SELECT bool_or(pg_has_role(login.oid, t.relowner, 'MEMBER')) AS owner FROM login, tenant t
                   WHERE t.relowner NOT IN (SELECT oid FROM app_role)) o, (
                  SELECT rolcreaterole AND current_setting('server_version_num')::int < 160000 AS gives_itself
                    FROM login) c, (
                  SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) AS beyond FROM login, pg_roles r
                   WHERE r.rolname = ANY ({_BEYOND}) AND pg_has_role(login.oid, r.oid, 'MEMBER')
                     AND NOT EXISTS (SELECT FROM pg_roles o WHERE o.rolname = ANY ({_OURS})
                                        AND pg_has_role(o.oid, r.oid, 'MEMBER'))) b, (
                  SELECT string_agg(DISTINCT format('policy %%I of %%s', p.polname, t.object), ', ') AS policies
                    FROM login, tenant t JOIN pg_policy p ON p.polrelid = t.oid
                    JOIN pg_roles r ON r.oid = ANY (p.polroles)
                   WHERE p.polpermissive AND p.polcmd IN ('r', '*') AND r.rolname <> ALL ({_OURS})
                     AND pg_has_role(login.oid, r.oid, 'USAGE')
                     AND has_any_column_privilege(login.oid, t.oid, 'SELECT')) l
            WHERE rolsuper OR rolbypassrls OR owner OR gives_itself OR beyond IS NOT NULL OR policies IS NOT NULL""",
        "the login of the URL {what}; raw SQL that left the role would be held by the library alone. Keep it for "
        "migrations, and let the application log in as others: the first one in `url`, the second in `admin_url`",
        "CREATE ROLE clinic_web LOGIN NOINHERIT; GRANT {app_role} TO clinic_web{without_inheriting}; "
        "CREATE ROLE clinic_admin LOGIN NOINHERIT; GRANT {admin_role} TO clinic_admin{without_inheriting};",
    ),
)
