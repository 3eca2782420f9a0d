"""The logins that an embedded server's applications use: each can become the role it is made for, and has no right."""

from __future__ import annotations

import time

import psycopg2

from rayces_core.errors import EmbeddedServerError

_TRIES = 20
_PAUSE_SECONDS = 0.05
_STATE = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(login)s),
       EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s),
       EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles l ON l.oid = m.member
                WHERE r.rolname = %(role)s AND l.rolname = %(login)s AND NOT m.inherit_option AND m.set_option)
"""


def held_login(url: str, role: str, *others: str) -> str:
    """Make the login for this role, and have it hold the roles once they are there; returns the login's name.

    It never inherits: outside the role it sees no row.
    """
    login = f"{role[:57]}_login"
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        for _ in range(_TRIES):
            missing = list(
                dict.fromkeys(each for held in (role, *others) for each in _missing(connection, login, held))
            )
            if not missing:
                return login
            _run(connection, missing)
    finally:
        connection.close()
    raise EmbeddedServerError(f"the login {login} could not be made; another process keeps changing it")


def _missing(connection: psycopg2.extensions.connection, login: str, role: str) -> list[str]:
    cursor = connection.cursor()
    cursor.execute(_STATE, {"login": login, "role": role})
    has_login, has_role, holds = cursor.fetchone() or (False, False, False)
    statements = [] if has_login else [f'CREATE ROLE "{login}" LOGIN NOINHERIT']
    if has_role and not holds:
        statements.append(f'GRANT "{role}" TO "{login}" WITH INHERIT FALSE, SET TRUE')
    return statements


def _run(connection: psycopg2.extensions.connection, statements: list[str]) -> None:
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    except psycopg2.Error:  # another process is at it as well: look again
        time.sleep(_PAUSE_SECONDS)
