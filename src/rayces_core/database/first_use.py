"""What must be true of server, schema and roles before the first statement: each fault is one clear error."""

from __future__ import annotations

from typing import Any

from rayces_core.database.connection import TenantConnection
from rayces_core.database.options import Options
from rayces_core.database.reaching import check_engine
from rayces_core.errors import (
    ConfigurationError,
    IsolationInertError,
    RoleNotHeldError,
    SchemaMissingError,
    ServerTooOldError,
)
from rayces_core.migrations.fitness import ENCODING, wrong_encoding
from rayces_core.migrations.memberships import Standing, letting_in, standing_of

OLDEST_SERVER = 15

_SCHEMA = """
SELECT to_regclass('organizations') IS NOT NULL, current_setting('server_encoding'),
       current_setting('row_security')::boolean, current_setting('session_replication_role'),
       quote_ident(current_database()), quote_ident(session_user)
"""

_ROLE = """
SELECT r.rolsuper, r.rolbypassrls, pg_has_role(l.oid, r.oid, %s), l.rolname::text
  FROM pg_roles r, pg_roles l WHERE r.rolname = %s AND l.rolname = session_user
"""

# The library's roles are those that organizations have policies for.
_STANDING = f"""
SELECT {standing_of("ours.names")}
  FROM pg_roles m, (SELECT array_agg(DISTINCT r.rolname::text) || %s::text AS names
                      FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
                     WHERE p.polrelid = to_regclass('organizations')) AS ours
 WHERE m.rolname = session_user
"""

# The role that every row of organizations is open to is the admin role, whatever its name.
_INHERITED = """
SELECT min(r.rolname::text)
  FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
 WHERE p.polrelid = to_regclass('organizations') AND p.polpermissive AND pg_get_expr(p.polqual, p.polrelid) = 'true'
   AND r.rolname <> %s AND pg_has_role(%s, r.oid, 'USAGE')
"""

# In the schema of organizations every table counts, in the others of the search path those that the role can use.
_INERT_TABLES = """
SELECT array_agg(c.oid::regclass::text ORDER BY c.oid::regclass::text)
  FROM pg_class c JOIN pg_class root ON root.oid = to_regclass('organizations')
 WHERE (c.oid = root.oid
        OR EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped))
   AND (c.relkind IN ('r', 'p') AND c.relnamespace = root.relnamespace
        OR c.relkind IN ('r', 'p', 'm', 'f')
           AND c.relnamespace IN (SELECT quote_ident(name)::regnamespace FROM unnest(current_schemas(false)) AS name)
           AND (has_any_column_privilege(%(role)s, c.oid, 'SELECT, INSERT, UPDATE')
                OR has_table_privilege(%(role)s, c.oid, 'DELETE')))
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""


# A function of the host that a trigger, rule, default, check or policy of a table runs may leave something on the
# connection, and so may one that an operator, a cast or `row.name` calls without a word that a query shows. Of these it
# has to be VOLATILE, as PostgreSQL lets no other write. Those of extensions are not the host's, nor is what holds a
# tenant during its move to another cell.
_RUNS_FUNCTIONS = """
SELECT EXISTS (
    SELECT FROM pg_proc p
     WHERE p.oid >= 16384
       AND p.pronamespace IS DISTINCT FROM to_regnamespace('rayces_cells')::oid
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                                                 AND e.deptype = 'e')
       AND (EXISTS (SELECT FROM pg_depend d
                     WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                       AND (d.classid IN ('pg_trigger'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
                                          'pg_rewrite'::regclass, 'pg_policy'::regclass)
                            OR p.provolatile = 'v'
                           AND d.classid IN ('pg_type'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass)))
            OR p.provolatile = 'v' AND p.prokind = 'f' AND p.pronargs = 1
           AND EXISTS (SELECT FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype = 'c')))
"""


# Without a policy of its own a role sees no rows, and is told nothing.
_IS_LET_IN = """
SELECT EXISTS (SELECT FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
                WHERE p.polrelid = to_regclass('organizations') AND r.rolname = %s)
"""


def check(connection: TenantConnection, role: str, given: Options | None = None, *, privileged: bool = False) -> bool:
    """Return when a connection can work as `role`; raise the ConfigurationError that says what is wrong.

    Args:
        connection: logged in as whoever the URL names, who need not be able to become any other role.
        role: the one that is worked as.
        given: how the Database works; of it the engine, and whether `role` only reads, as a later migration makes it.
        privileged: `role` is that of privileged work, which no policy needs to hold.

    Returns:
        Whether tables run functions of the host, which may leave something on a connection.
    """
    given = given or Options()
    if connection.server_version < OLDEST_SERVER * 10000:
        raise ServerTooOldError(
            f"the server is PostgreSQL {connection.server_version // 10000}; version {OLDEST_SERVER} or newer is needed"
        )
    there, encoding, held, replicating, database, login = _one(connection, _SCHEMA)
    if encoding != ENCODING:
        raise ConfigurationError(wrong_encoding(encoding, database))
    if not held:
        raise ConfigurationError(
            "row_security is off for this login or database, so the server refuses every statement that a policy would "
            f"narrow; a DBA can mend it: ALTER ROLE {login} RESET row_security; ALTER DATABASE {database} RESET "
            "row_security; or the URL says so in its options"
        )
    if replicating == "replica":
        raise ConfigurationError(
            "session_replication_role is replica for this login or database, so no reference and no trigger holds what "
            f"is written; a DBA can mend it: ALTER ROLE {login} RESET session_replication_role; ALTER DATABASE "
            f"{database} RESET session_replication_role; or the URL says so in its options"
        )
    if not there and not _sees_schema(connection, role):
        raise SchemaMissingError(
            "the database has no rayces schema yet; run `rayces migrate up` (or db.migrate()) first"
        )
    _check_role(connection, role, bypass_allowed=privileged, reads_only=given.reads_only)
    if not privileged:
        _check_inheritance(connection, role)
    if given.reads_only and not _one(connection, f'SET LOCAL ROLE "{role}"; {_IS_LET_IN}', (role,))[0]:
        raise SchemaMissingError(
            f"nothing in the database lets {role} read; run `rayces migrate up`, or, where that has nothing to do, "
            "`rayces migrate repair`"
        )
    _check_tables(connection, role)
    check_engine(connection, role, given, privileged=privileged)
    (runs_functions,) = _one(connection, _RUNS_FUNCTIONS)
    return bool(runs_functions)


def _sees_schema(connection: TenantConnection, role: str) -> bool:
    # Where a schema is not everybody's, a login that inherits nothing does not see it, but becomes a role that does.
    facts = _one(connection, _ROLE, (_may_set(connection), role))
    return bool(facts and facts[2] and _one(connection, f'SET LOCAL ROLE "{role}"; {_SCHEMA}')[0])


def _check_inheritance(connection: TenantConnection, role: str) -> None:
    (inherited,) = _one(connection, f'SET LOCAL ROLE "{role}"; {_INHERITED}', (role, role))
    if inherited:
        raise IsolationInertError(
            f"{role} inherits the rights of {inherited}, which sees every organization; a DBA can mend it: "
            f'REVOKE "{inherited}" FROM "{role}";'
        )


def _check_tables(connection: TenantConnection, role: str) -> None:
    (inert,) = _one(connection, f'SET LOCAL ROLE "{role}"; {_INERT_TABLES}', {"role": role})
    if inert:
        raise IsolationInertError(
            f"row-level security is not forced on {', '.join(inert)}, so tenants would see each other's rows; "
            "run `rayces doctor`, then `rayces migrate up`"
        )


def _check_role(connection: TenantConnection, role: str, *, bypass_allowed: bool, reads_only: bool) -> None:
    facts = _one(connection, _ROLE, (_may_set(connection), role))
    if not facts:
        raise RoleNotHeldError(f"the role {role} does not exist on this server; run `rayces migrate up` to create it")
    superuser, bypasses, held, login = facts
    if not held:
        (standing,) = _one(connection, _STANDING, (role,))
        admin = role if bypass_allowed and not reads_only else ""
        statements = letting_in(login, role, Standing(**standing), admin)
        argument = "admin_url" if bypass_allowed else "url" if reads_only else ""
        place = f"reader({argument}=…)" if reads_only else f"Database.connect(url, {argument}=…)"
        other = f" Or give {place} a login that can." if argument else ""
        raise RoleNotHeldError(
            f"the login {login} cannot become {role}; a DBA can allow it: {'; '.join(statements)};{other}"
        )
    if (superuser or bypasses) and not bypass_allowed:
        raise IsolationInertError(
            f'row-level security does not hold {role}; a DBA can mend it: ALTER ROLE "{role}" NOSUPERUSER NOBYPASSRLS;'
        )


def _may_set(connection: TenantConnection) -> str:
    return "SET" if connection.server_version >= 160000 else "MEMBER"


def _one(connection: TenantConnection, statement: str, values: Any = None) -> tuple[Any, ...]:
    return connection.plain(statement, values).fetchone() or ()
