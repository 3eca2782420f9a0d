"""The roles: the application's is held by row-level security, the login becomes it, and nobody inherits one."""

from __future__ import annotations

from rayces_core.doctor.finding import Check, Severity

# Where nobody may create roles the library runs as the login itself; it can then log in and may own the tables.
_UNLESS_LOGIN = "CASE WHEN app.rolname = session_user THEN 'warning' ELSE 'error' END AS severity"


def _attribute(code: str, column: str, severity: Severity, message: str, option: str) -> Check:
    query = f"SELECT quote_ident(rolname) AS object FROM {'app_role' if column == 'rolsuper' else 'app'} WHERE {column}"
    return Check(code, severity, query, message, f"ALTER ROLE {{object}} {option};")


CHECKS = (
    Check(
        "role-missing",
        "error",
        """SELECT quote_ident(name) AS object FROM (VALUES (%(app_role)s::text), (%(admin_role)s)) AS wanted(name)
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)""",
        "the role does not exist",
        "CREATE ROLE {object} NOLOGIN; then run: rayces migrate up",
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
        f"""SELECT t.object, {_UNLESS_LOGIN} FROM app JOIN tenant t ON t.relowner = app.oid""",
        "{app_role} owns the table, so it can switch its row-level security off",
        "ALTER TABLE {object} OWNER TO ...; to the role that runs the migrations",
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
        """SELECT quote_ident(m.rolname) AS object, quote_ident(r.rolname) AS role,
                  CASE WHEN r.is_admin THEN 'error' ELSE 'warning' END AS severity,
                  CASE WHEN r.is_admin THEN 'every organization''s rows'
                       ELSE 'any organization''s rows, by naming it' END AS reach,
                  coalesce((SELECT ' (and with it ' || string_agg(quote_ident(l.rolname), ', ') || ')'
                              FROM pg_roles l WHERE l.oid <> m.oid AND l.rolcanlogin AND NOT l.rolsuper
                               AND pg_has_role(l.oid, m.oid, 'USAGE')), '') AS others,
                  coalesce((SELECT '; its other memberships then need a SET ROLE: ' || string_agg(o.rolname, ', ')
                              FROM pg_auth_members b JOIN pg_roles o ON o.oid = b.roleid
                             WHERE NOT modern AND b.member = m.oid
                               AND o.rolname NOT IN (%(app_role)s, %(admin_role)s)), '') AS price,
                  CASE WHEN modern THEN format('GRANT %%I TO %%I WITH INHERIT FALSE, SET TRUE GRANTED BY %%I;',
                                               r.rolname, m.rolname, pg_get_userbyid(a.grantor))
                       ELSE format('ALTER ROLE %%I NOINHERIT;', m.rolname) END AS mend
             FROM server, pg_auth_members a JOIN pg_roles m ON m.oid = a.member
             JOIN (SELECT oid, rolname, false AS is_admin FROM app_role
                    UNION ALL SELECT oid, rolname, true FROM admin) r ON r.oid = a.roleid
            WHERE coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit) AND NOT m.rolsuper
              AND m.rolname NOT IN (%(app_role)s, %(admin_role)s)""",
        "the role{others} inherits {role}, so it reads {reach} without becoming it{price}",
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
