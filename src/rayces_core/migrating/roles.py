"""The roles that every database of a server shares: made when missing, and held by the login that migrates.

Two of them write, the application's and the admin's; two only read. Of the latter a login need hold none.

Rule it guards: the application's role and the reader's are such as row-level security holds.
"""

from __future__ import annotations

import time

import peewee

from rayces_core.errors import ConfigurationError, IsolationInertError, MigrationError, MissingRoleError
from rayces_core.migrations import memberships
from rayces_core.migrations.memberships import Standing, held_by, holders_of, standing_of
from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# The runner of another database was first, or is at it this very moment.
_RACES = ("42710", "23505", "XX000")
_TRIES = 20
_PAUSE_SECONDS = 0.05
_PRIVILEGE = "42501"
_INHERITS = "SELECT rolinherit FROM pg_roles WHERE rolname = %s"
# Before PostgreSQL 16 whoever may make roles may also grant them.
_MAY_GRANT = """
SELECT pg_has_role(%s, 'MEMBER WITH ADMIN OPTION')
       OR rolcreaterole AND current_setting('server_version_num')::int < 160000
  FROM pg_roles WHERE rolname = current_user
"""
_STANDING = f"SELECT {standing_of('%(ours)s')} FROM pg_roles m WHERE m.rolname = %(login)s"


def ensure_roles(database: MigrationDatabase) -> None:
    """Make the roles and let the login become them.

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
        for statement in statements:
            _execute(database, statement, statements)
        time.sleep(_PAUSE_SECONDS)
    raise MigrationError(f"the roles {database.app_role} and {database.admin_role} could not be made; run it again")


def missing_statements(database: MigrationDatabase, login: str | None = None) -> list[str]:
    """The statements that make the roles and let `login`, else this one, become them; none when all is well.

    The login inherits neither: it sees rows only once it has become the role. Since PostgreSQL 16 its membership says
    so. Before, a role does: the login is let in through one that inherits nothing. The login itself could be the one,
    but would lose its other memberships, and as the owner of a database the right to create tables in `public`.

    Migrations need none of the roles that read, so a login that lacks one which is there goes on without, unless it may
    give it.
    """
    statements, login = [], login or database.one("SELECT current_user::text")
    writing, reading = (database.app_role, database.admin_role), (database.reader_role, database.auditor_role)
    roles = (*writing, *reading)
    there = [role for role in roles if database.one("SELECT true FROM pg_roles WHERE rolname = %s", role)]
    wanted = [role for role in roles if role not in there or not _held(database, role, login)]
    wanted = [role for role in wanted if role in writing or role not in there or database.one(_MAY_GRANT, role)]
    for role in roles:
        if role not in there:
            statements.append(f"CREATE ROLE {quote_identifier(role)} NOLOGIN NOINHERIT NOBYPASSRLS")
        if role in wanted and (is_modern(database) or not database.one(_INHERITS, login)):
            options = " WITH INHERIT FALSE, SET TRUE" if is_modern(database) else ""
            statements.append(f"GRANT {quote_identifier(role)} TO {quote_identifier(login)}{options}")
    if wanted and not is_modern(database) and database.one(_INHERITS, login):
        holders = holders_of(database.admin_role, database.admin_role)
        statements += held_by(login, wanted, holders, _standing(database, login))
    return statements


def letting_in(database: MigrationDatabase, login: str, role: str) -> list[str]:
    """The statements after which that login can become this role and does not inherit it; it holds it in no way yet."""
    return memberships.letting_in(login, role, _standing(database, login), database.admin_role)


def _standing(database: MigrationDatabase, login: str) -> Standing:
    (facts,) = database.execute_sql(_STANDING, {"ours": database.roles, "login": login}).fetchone()
    return Standing(**facts)


def is_modern(database: MigrationDatabase) -> bool:
    """Whether a membership says if it inherits: since PostgreSQL 16."""
    return bool(database.server.server_version >= 160_000)


def _held(database: MigrationDatabase, role: str, login: str) -> bool:
    # Since PostgreSQL 16 one can be a member without the right to SET ROLE.
    privilege = "SET" if is_modern(database) else "MEMBER"
    return bool(database.one("SELECT pg_has_role(%s, %s, %s)", login, role, privilege))


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
    for name in (database.app_role, database.reader_role):
        role = quote_identifier(name)
        if database.one("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", name):
            raise IsolationInertError(
                f"row-level security does not hold {role}; a DBA can change that: "
                f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS;"
            )
    role = quote_identifier(database.app_role)
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
