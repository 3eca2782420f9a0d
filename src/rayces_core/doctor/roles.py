"""The roles: the application's is held by row-level security, and the login can become both."""

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
    Check(
        "role-not-held",
        "error",
        """SELECT quote_ident(r.rolname) AS object, quote_ident(login.rolname) AS login
             FROM login, (SELECT oid, rolname FROM app_role UNION SELECT oid, rolname FROM admin) r
            WHERE NOT pg_has_role(login.oid, r.oid, %(may_set)s)""",
        "the login {login} cannot become this role, so the library cannot work with this URL",
        "GRANT {object} TO {login};",
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
        "the login of the URL {what}; raw SQL that left the role would be held by the library alone",
        "Run the application as a login of its own: CREATE ROLE ... LOGIN; GRANT {app_role}, {admin_role} TO ...;",
    ),
)
