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


def check(connection: TenantConnection, app_role: str, admin_role: str) -> None:
    """Return when tenants are held on this database; raise the ConfigurationError that says what is wrong."""
    if connection.server_version < OLDEST_SERVER * 10000:
        raise ServerTooOldError(
            f"the server is PostgreSQL {connection.server_version // 10000}; version {OLDEST_SERVER} or newer is needed"
        )
    there, login = _one(connection, _SCHEMA)
    if not there:
        raise SchemaMissingError(
            "the database has no rayces schema yet; run `rayces migrate up` (or db.migrate()) first"
        )
    for role in (app_role, admin_role):
        _check_role(connection, role, str(login), bypass_allowed=role == admin_role)
    (inherits,) = _one(connection, "SELECT pg_has_role(%s, %s, 'USAGE')", (app_role, admin_role))
    if inherits:
        raise IsolationInertError(
            f"{app_role} inherits the rights of {admin_role}, which sees every organization; a DBA can mend it: "
            f'REVOKE "{admin_role}" FROM "{app_role}";'
        )
    (inert,) = _one(connection, _INERT_TABLES)
    if inert:
        raise IsolationInertError(
            f"row-level security is not forced on {', '.join(inert)}, so tenants would see each other's rows; "
            "run `rayces doctor`, then `rayces migrate up`"
        )


def _check_role(connection: TenantConnection, role: str, login: str, *, bypass_allowed: bool) -> None:
    may_set = "SET" if connection.server_version >= 160000 else "MEMBER"
    facts = _one(connection, _ROLE, (may_set, role))
    if not facts:
        raise RoleNotHeldError(f"the role {role} does not exist on this server; run `rayces migrate up` to create it")
    superuser, bypasses, held = facts
    if not held:
        raise RoleNotHeldError(
            f'the login {login} cannot become {role}; a DBA can allow it: GRANT "{role}" TO "{login}";'
        )
    if (superuser or bypasses) and not bypass_allowed:
        raise IsolationInertError(
            f'row-level security does not hold {role}; a DBA can mend it: ALTER ROLE "{role}" NOSUPERUSER NOBYPASSRLS;'
        )


def _one(connection: TenantConnection, statement: str, values: tuple[object, ...] | None = None) -> tuple[Any, ...]:
    return connection.plain(statement, values).fetchone() or ()
