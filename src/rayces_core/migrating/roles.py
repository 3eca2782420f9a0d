"""The two roles that every database of a server shares: made when missing, and held by the login that migrates.

Rule it guards: the application's role is one that row-level security holds.
"""

from __future__ import annotations

import time

import peewee

from rayces_core.errors import ConfigurationError, IsolationInertError, MigrationError, MissingRoleError
from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# The runner of another database was first, or is at it this very moment.
_RACES = ("42710", "23505", "XX000")
_TRIES = 20
_PAUSE_SECONDS = 0.05
_PRIVILEGE = "42501"
_INHERITS = "SELECT rolinherit AND NOT rolsuper FROM pg_roles WHERE rolname = current_user"
# What the login would lose on PostgreSQL 15, unless it says SET ROLE.
_OTHERS = """
SELECT string_agg(quote_ident(r.rolname), ', ')
  FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
 WHERE m.member = current_user::regrole AND r.rolname NOT IN (%s, %s)
"""


def ensure_roles(database: MigrationDatabase) -> None:
    """Make both roles and let the login become them.

    Raises:
        ConfigurationError: both are one role.
        MissingRoleError: the login may not do it; the message has the statements for a DBA.
        IsolationInertError: row-level security would not hold the application's role.
    """
    if database.app_role == database.admin_role:
        raise ConfigurationError("app_role and admin_role must be two roles; the second one sees every organization")
    for _ in range(_TRIES):
        statements = missing_statements(database)
        if not statements:
            _refuse_bypass(database)
            return
        _keep_other_memberships(database, statements)
        for statement in statements:
            _execute(database, statement, statements)
        time.sleep(_PAUSE_SECONDS)
    raise MigrationError(f"the roles {database.app_role} and {database.admin_role} could not be made; run it again")


def missing_statements(database: MigrationDatabase) -> list[str]:
    """The statements that make both roles and let the login become them; none when all is well.

    The login inherits neither: it sees rows only once it has become the role. Since PostgreSQL 16 a membership says so;
    before, the login does, and then inherits none of its other memberships either.
    """
    statements = []
    for role in (database.app_role, database.admin_role):
        name = quote_identifier(role)
        there = database.one("SELECT true FROM pg_roles WHERE rolname = %s", role)
        if not there:
            statements.append(f"CREATE ROLE {name} NOLOGIN NOINHERIT NOBYPASSRLS")
        if not there or not _held(database, role):
            statements.append(_grant(database, name))
    if not _modern(database) and statements and database.one(_INHERITS):
        statements.insert(0, f"ALTER ROLE {_login(database)} NOINHERIT")
    return statements


def _keep_other_memberships(database: MigrationDatabase, statements: list[str]) -> None:
    others = database.one(_OTHERS, database.app_role, database.admin_role)
    if others and any(statement.endswith(" NOINHERIT") for statement in statements):
        raise MissingRoleError(
            f"the login inherits {others}, and on PostgreSQL 15 a login that must not inherit the roles of tenants "
            "inherits none. Migrate with a login of its own, or have it say SET ROLE for the others and run:\n"
            + "".join(f"  {needed};\n" for needed in statements)
        )


def _modern(database: MigrationDatabase) -> bool:
    return bool(database.server.server_version >= 160_000)


def _held(database: MigrationDatabase, role: str) -> bool:
    # Since PostgreSQL 16 one can be a member without the right to SET ROLE.
    privilege = "SET" if _modern(database) else "MEMBER"
    return bool(database.one("SELECT pg_has_role(current_user, %s, %s)", role, privilege))


def _grant(database: MigrationDatabase, role: str) -> str:
    options = " WITH INHERIT FALSE, SET TRUE" if _modern(database) else ""
    return f"GRANT {role} TO {_login(database)}{options}"


def _login(database: MigrationDatabase) -> str:
    return quote_identifier(database.one("SELECT current_user::text"))


def _execute(database: MigrationDatabase, statement: str, all_statements: list[str]) -> None:
    try:
        database.command(statement)
    except peewee.DatabaseError as error:
        if sqlstate(error) == _PRIVILEGE:
            raise MissingRoleError(
                "the login may not create the roles that tenants are held by; ask a DBA to run:\n"
                + "".join(f"  {needed};\n" for needed in all_statements)
            ) from error
        if sqlstate(error) not in _RACES:
            raise


def _refuse_bypass(database: MigrationDatabase) -> None:
    role = quote_identifier(database.app_role)
    if database.one("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", database.app_role):
        raise IsolationInertError(
            f"row-level security does not hold {role}; a DBA can change that: "
            f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS;"
        )
    # Where nobody may create roles the login itself can be the application's role. It must be able to become the other
    # one, and stays outside its policies only as long as it does not inherit them.
    is_login = database.one("SELECT current_user::text") == database.app_role
    reaches = "USAGE" if is_login else "MEMBER"
    if database.one("SELECT pg_has_role(%s, %s, %s)", database.app_role, database.admin_role, reaches):
        admin = quote_identifier(database.admin_role)
        raise IsolationInertError(
            f"{role} is a member of {admin}, which sees every organization; a DBA can change that: "
            f"REVOKE {admin} FROM {role};"
        )
