"""A login that reads one organization alone, whatever its own SQL binds: a line in the comment on it says which.

Rule it guards: only who may alter the login can change the comment, so the login cannot unpin itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rayces_core.errors import ConfigurationError, UnknownTenantError
from rayces_core.migrations.readers import pin
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.tenant_tables import literal

_COMMENT: Final = "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = %s"
_FOUND: Final = "SELECT id FROM organizations WHERE subdomain = %s OR id::text = %s"
_MAY_BIND: Final = """
SELECT string_agg(quote_ident(r.rolname), ' and ' ORDER BY r.rolname)
  FROM pg_roles l JOIN pg_roles r ON r.rolname = ANY (%s::name[]) AND pg_has_role(l.oid, r.oid, 'MEMBER')
 WHERE l.rolname = %s
"""


def pinning(database: MigrationDatabase, login: str, tenant: str) -> Iterator[str]:
    """The statement that lets `login` see the organization as a reader; none where it does.

    Raises:
        UnknownTenantError: there is no such organization.
        ConfigurationError: the login holds a role by which it may bind any organization.
    """
    roles = [database.app_role, database.admin_role, database.auditor_role]
    if (held := database.one(_MAY_BIND, roles, login)) is not None:
        raise ConfigurationError(
            f"the login {login} holds {held}, so it may read any organization; give who reads one a login of its own"
        )
    line = pin(_organization(database, tenant), str(database.one("SELECT current_database()::text")))
    lines = str(database.one(_COMMENT, login)).splitlines()
    if line not in lines:
        text = literal(chr(10).join([*lines, line]))
        yield f"COMMENT ON ROLE {quote_identifier(login)} IS {text}"


def _organization(database: MigrationDatabase, tenant: str) -> int:
    # The owner of the tables sees no row of them; the admin role sees all.
    database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
    found = database.one(_FOUND, tenant.strip().lower(), tenant.strip())
    database.command("RESET ROLE")
    if found is None:
        raise UnknownTenantError(tenant)
    return int(found)
