"""Whose the tables are: a script that another login ran, or a restore, leaves them to somebody else.

Rule it guards: nobody finds out in the middle that the tables are another's.
"""

from __future__ import annotations

from typing import Final, NoReturn

from rayces_core.errors import ConfigurationError, RoleNotHeldError
from rayces_core.migrating.history import IS_HISTORY
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# The organizations, whatever carries one, and the histories and records beside them.
_OURS: Final = f"""
SELECT c.oid, c.relname, c.relowner
  FROM pg_class c
 WHERE c.relkind IN ('r', 'p') AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND (c.relname = 'organizations' OR c.relname LIKE 'rayces\\_%'
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'
                      AND NOT a.attisdropped)
        OR {IS_HISTORY})
"""
_OTHERS: Final = f"""
SELECT string_agg(DISTINCT quote_ident(pg_get_userbyid(t.relowner)), ', '), min(t.relname::text), count(*),
       current_user::text
  FROM ({_OURS}) t WHERE NOT pg_has_role(t.relowner, 'USAGE') HAVING count(*) > 0
"""
_OWNER: Final = """
SELECT string_agg(DISTINCT quote_ident(pg_get_userbyid(c.relowner)), ', '), min(c.relname::text), count(*),
       current_user::text
  FROM pg_class c
 WHERE c.relname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE')
   AND c.relnamespace = quote_ident(current_schema())::regnamespace HAVING count(*) > 0
"""
_MAY_CREATE: Final = "SELECT has_schema_privilege(%s, current_schema()::text, 'CREATE')"


def refuse_other_owners(database: MigrationDatabase) -> None:
    """Raise RoleNotHeldError where tables belong to a login that this one may not act as."""
    row = database.execute_sql(_OTHERS.replace("%", "%%")).fetchone()
    if row is not None:
        _refuse(*row)


def refuse_closed_schema(database: MigrationDatabase) -> None:
    """Raise RoleNotHeldError where the login may make no table in the current schema.

    In `public` PostgreSQL 15 and later lets only the owner of the database, who on 15 loses it by NOINHERIT.
    """
    login = database.one("SELECT current_user::text")
    if not database.one(_MAY_CREATE, login):
        schema = quote_identifier(database.schema)
        raise RoleNotHeldError(
            f"the login {login} may make no tables in the schema {schema}; nothing was run. The schema's owner or a "
            f"superuser lets it: GRANT USAGE, CREATE ON SCHEMA {schema} TO {quote_identifier(login)};"
        )


def refuse_other_owner(database: MigrationDatabase, *tables: str) -> None:
    """The same for these tables of the current schema alone, as far as they are there."""
    row = database.execute_sql(_OWNER, (list(tables),)).fetchone()
    if row is not None:
        _refuse(*row)


def _refuse(owners: str, table: str, count: int, login: str) -> NoReturn:
    others = "" if count == 1 else f" and {count - 1} other table{'s' * (count > 2)}"
    raise RoleNotHeldError(
        f"{table}{others} belong{'s' if count == 1 else ''} to {owners}, which the login {login} may not act as, so it "
        f"can change nothing there; nothing was run. Run the command as {owners}, or have a superuser give the tables "
        f"to this login: rayces migrate repair --owner {login}"
    )


def giving(database: MigrationDatabase, owner: str) -> list[str]:
    """The statements that give `owner` every table of this library and of its host, and let it make others.

    Raises:
        ConfigurationError: there is no such role.
    """
    if not database.one("SELECT true FROM pg_roles WHERE rolname = %s", owner):
        raise ConfigurationError(
            f"there is no login {owner}; make it first: CREATE ROLE {quote_identifier(owner)} LOGIN CREATEROLE;"
        )
    rows = database.execute_sql(
        f"SELECT relname::text FROM ({_OURS}) t WHERE relowner <> quote_ident(%s)::regrole ORDER BY 1".replace(
            "\\_%'", "\\_%%'"
        ),
        (owner,),
    ).fetchall()
    given = [f"ALTER TABLE {quote_identifier(name)} OWNER TO {quote_identifier(owner)}" for (name,) in rows]
    if not database.one(_MAY_CREATE, owner):
        given.insert(
            0, f"GRANT USAGE, CREATE ON SCHEMA {quote_identifier(database.schema)} TO {quote_identifier(owner)}"
        )
    return given
