"""The database itself, made when it is missing: what a container can run before its migrations, as often as it likes.

Rule it guards: of many that ask at once exactly one creates, the others go on; what is there is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee

from rayces_core.errors import ConfigurationError, DatabaseUnreachableError, MigrationError
from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase, connected, dedicated, quote_identifier, single_runner

MAINTENANCE_DB = "postgres"
LONGEST_NAME_BYTES = 63
LOCK_WAIT_SECONDS = 60.0

_IS_THERE = "SELECT true FROM pg_database WHERE datname = %s"
# Somebody who knows nothing of our lock was first, or is at it this very moment.
_THERE = ("42P04", "23505")
_PRIVILEGE = "42501"
# Nobody can be connected to template0 and so be in the way; what the library stores is text of any language.
_EMPTY = "TEMPLATE template0 ENCODING 'UTF8'"


def ensure_database(source: str | peewee.Database | Any, *, maintenance_db: str = MAINTENANCE_DB) -> bool:
    """Create the database that `source` names unless it is there; returns whether this call has created it.

    Args:
        source: a libpq URL, a Peewee PostgresqlDatabase, or an object with `url`.
        maintenance_db: name of another database of the same server, from which it is created.

    The new one is empty, in UTF-8, and belongs to the login. To one that is there nothing is done.

    Raises:
        ConfigurationError: no database is named, its name is too long, or the login may not create databases; then
            the message has the statement for a DBA.
        DatabaseUnreachableError: it is there and cannot be reached, or neither can the other one.
        MigrationError: a pooling proxy stands before the server, or the server cannot create it.
    """
    wanted = _named(source)
    refusal = _refusal(wanted)
    if refusal is None:
        return False
    maintenance = _maintenance(wanted, maintenance_db)
    with _reached(maintenance, refusal), single_runner(maintenance, f"create {wanted.database}", LOCK_WAIT_SECONDS):
        if not maintenance.one(_IS_THERE, wanted.database) and _create(maintenance, wanted.database):
            return True
        return _created_meanwhile(wanted)


def creation_script(source: str | peewee.Database | Any, *, maintenance_db: str = MAINTENANCE_DB) -> str:
    """The statement for a DBA that does what `ensure_database` would do; empty where there is nothing to do.

    Runs nothing. Raises ConfigurationError and DatabaseUnreachableError as `ensure_database` does.
    """
    wanted = _named(source)
    refusal = _refusal(wanted)
    if refusal is None:
        return ""
    maintenance = _maintenance(wanted, maintenance_db)
    with _reached(maintenance, refusal):
        if maintenance.one(_IS_THERE, wanted.database):
            raise refusal
        return _for_a_dba(maintenance, wanted.database)


def _named(source: str | peewee.Database | Any) -> MigrationDatabase:
    database = dedicated(source)
    if not database.database:
        raise ConfigurationError("the URL names no database to create; end it with its name: postgresql://host/name")
    if len(database.database.encode()) > LONGEST_NAME_BYTES:
        raise ConfigurationError(
            f"the database's name has more than {LONGEST_NAME_BYTES} bytes, of which PostgreSQL would drop the rest; "
            "choose a shorter one"
        )
    return database


def _refusal(wanted: MigrationDatabase) -> DatabaseUnreachableError | None:
    """Why the database cannot be connected to; None when it can."""
    try:
        with connected(wanted):
            return None
    except DatabaseUnreachableError as error:
        return error


def _maintenance(wanted: MigrationDatabase, name: str) -> MigrationDatabase:
    return MigrationDatabase(name, **wanted.connect_params)


@contextmanager
def _reached(maintenance: MigrationDatabase, refusal: DatabaseUnreachableError) -> Iterator[None]:
    try:
        # Not as a runner connects, which wants a schema: the search_path is meant for the other database.
        maintenance.connect()
    except peewee.OperationalError as error:
        if str(error) == str(refusal.__cause__):  # the server itself is out of reach
            raise refusal from None
        raise DatabaseUnreachableError(
            f"{refusal}; nor can {maintenance.database!r}, from which it would be created: {str(error).strip()}; "
            "name one that the login may connect to with --maintenance-db"
        ) from error
    try:
        yield
    finally:
        maintenance.close()


def _created_meanwhile(wanted: MigrationDatabase) -> bool:
    refusal = _refusal(wanted)
    if refusal is not None:
        raise refusal
    return False


def _create(maintenance: MigrationDatabase, name: str) -> bool:
    try:
        maintenance.command("SET statement_timeout = 0")
        maintenance.command(f"CREATE DATABASE {quote_identifier(name)} {_EMPTY}")
    except peewee.DatabaseError as error:
        if sqlstate(error) in _THERE:
            return False
        if sqlstate(error) == _PRIVILEGE:
            raise ConfigurationError(
                f"the database {name!r} is missing and the login may not create it; ask a DBA to run:\n"
                f"  {_for_a_dba(maintenance, name)}"
            ) from error
        raise MigrationError(f"the database {name!r} could not be created: {str(error).strip()}") from error
    return True


def _for_a_dba(maintenance: MigrationDatabase, name: str) -> str:
    owner = quote_identifier(maintenance.one("SELECT current_user::text"))
    return f"CREATE DATABASE {quote_identifier(name)} OWNER {owner} {_EMPTY};\n"
