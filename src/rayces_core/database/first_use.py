"""What must be true of server, schema and roles before the first statement: each fault is one clear error."""

from __future__ import annotations

from typing import Any

from rayces_core.database.connection import TenantConnection
from rayces_core.errors import IsolationInertError, RoleNotHeldError, SchemaMissingError, ServerTooOldError

OLDEST_SERVER = 15

_SCHEMA = "SELECT to_regclass('organizations') IS NOT NULL, session_user::text"

_ROLE = """
SELECT rolsuper, rolbypassrls, pg_has_role(session_user, oid, %s) FROM pg_roles WHERE rolname = %s
"""

_INERT_TABLES = """
SELECT array_agg(c.relname::text ORDER BY c.relname)
  FROM pg_class c
 WHERE c.relkind IN ('r', 'p')
   AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('organizations'))
   AND (c.oid = to_regclass('organizations')
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'))
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""


# A function of the host that a trigger, rule, default, check or policy of a table runs may leave something on the
# connection; those of extensions are not the host's.
_RUNS_FUNCTIONS = """
SELECT EXISTS (
    SELECT FROM pg_depend d
      JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
     WHERE d.classid IN ('pg_trigger'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
                         'pg_rewrite'::regclass, 'pg_policy'::regclass)
       AND p.oid >= 16384
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                                                 AND e.deptype = 'e'))
"""


_SEES_ALL = """
SELECT min(r.rolname::text)
  FROM pg_policy p CROSS JOIN unnest(p.polroles) AS held(oid) JOIN pg_roles r ON r.oid = held.oid
 WHERE p.polrelid = to_regclass('organizations') AND p.polpermissive
   AND pg_get_expr(p.polqual, p.polrelid) = 'true'
   AND r.rolname <> %s AND pg_has_role(%s, r.oid, 'USAGE')
"""


def check(connection: TenantConnection, role: str, *, privileged: bool) -> bool:
    """Return when tenants are held on this database; raise the ConfigurationError that says what is wrong.

    Returns whether tables run functions of the host, which may leave something on a connection.
    """
    if connection.server_version < OLDEST_SERVER * 10000:
        raise ServerTooOldError(
            f"the server is PostgreSQL {connection.server_version // 10000}; version {OLDEST_SERVER} or newer is needed"
        )
    there, login = _one(connection, _SCHEMA)
    if not there:
        raise SchemaMissingError(
            "the database has no rayces schema yet; run `rayces migrate up` (or db.migrate()) first"
        )
    _check_role(connection, role, str(login), privileged=privileged)
    if not privileged:
        _check_inheritance(connection, role)
    (inert,) = _one(connection, _INERT_TABLES)
    if inert:
        raise IsolationInertError(
            f"row-level security is not forced on {', '.join(inert)}, so tenants would see each other's rows; "
            "run `rayces doctor`, then `rayces migrate up`"
        )
    (runs_functions,) = _one(connection, _RUNS_FUNCTIONS)
    return bool(runs_functions)


def _check_inheritance(connection: TenantConnection, role: str) -> None:
    # Whatever the admin role is called: it is the one that a policy shows every row to.
    (seeing,) = _one(connection, _SEES_ALL, (role, role))
    if seeing:
        raise IsolationInertError(
            f"{role} inherits the rights of {seeing}, which sees every organization; a DBA can mend it: "
            f'REVOKE "{seeing}" FROM "{role}";'
        )


def _check_role(connection: TenantConnection, role: str, login: str, *, privileged: bool) -> None:
    may_set = "SET" if connection.server_version >= 160000 else "MEMBER"
    facts = _one(connection, _ROLE, (may_set, role))
    if not facts:
        raise RoleNotHeldError(f"the role {role} does not exist on this server; run `rayces migrate up` to create it")
    superuser, bypasses, held = facts
    if not held:
        other = "; or give Database.connect(url, admin_url=…) a login that can" if privileged else ""
        raise RoleNotHeldError(
            f'the login {login} cannot become {role}; a DBA can allow it: GRANT "{role}" TO "{login}"{other}'
        )
    if (superuser or bypasses) and not privileged:
        raise IsolationInertError(
            f'row-level security does not hold {role}; a DBA can mend it: ALTER ROLE "{role}" NOSUPERUSER NOBYPASSRLS;'
        )


def _one(connection: TenantConnection, statement: str, values: tuple[object, ...] | None = None) -> tuple[Any, ...]:
    return connection.plain(statement, values).fetchone() or ()
