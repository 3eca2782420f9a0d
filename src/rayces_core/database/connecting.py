"""A connection to the server, also where a monitoring agent has put itself before the driver; and how it stands there.

ddtrace and Elastic APM return a proxy of the connection, OpenTelemetry gives it a cursor class of its own: the library
works with the connection itself, and sends its statements through the agent's cursors, so that they are seen.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as PlainConnection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.binding import Home, home_known_as
from rayces_core.database.connection import Footing, TenantConnection
from rayces_core.database.cursor import TenantCursor
from rayces_core.errors import ConfigurationError
from rayces_core.errors.connection import unreachable
from rayces_core.migrations.settings import PINNED, READ_ALIKE, connect

# The schema of the library's own tables first, then the others as they are; temporary objects are put last.
_SEARCH_PATH: Final = """
SELECT string_agg(quote_ident(name), ', '
                  ORDER BY name <> coalesce((SELECT relnamespace::regnamespace::text FROM pg_class
                                              WHERE oid = to_regclass('organizations')), ''), place)
  FROM unnest(current_schemas(false)) WITH ORDINALITY AS schemas(name, place)
 WHERE name !~ '^pg_(toast_)?temp_'
"""
_IDENTITY: Final = """
SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()
"""
_UNLIKE: Final = """
SELECT name FROM unnest(%s::text[], %s::text[]) AS held (name, value) WHERE current_setting(name) <> value
"""
_IDLE_LIMIT: Final = "SELECT setting = '0' FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
# Of two that are called alike, that of the library's own schema.
_CONSTRAINTS: Final = """
SELECT name::text, relname::text
  FROM (SELECT conname AS name, conrelid AS oid FROM pg_constraint
         UNION SELECT i.relname, x.indrelid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indisunique
       ) AS named JOIN pg_class c USING (oid)
 WHERE c.relnamespace <> 'pg_catalog'::regnamespace
 ORDER BY c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('organizations')), name
"""


def open_connection(dsn: str, kind: type[TenantConnection] = TenantConnection) -> TenantConnection:
    """Connect, with a connection of this kind.

    Raises:
        DatabaseUnreachableError: there is no server, no such database, or it refuses the login.
    """
    try:
        made = connect(dsn, connection_factory=kind, cursor_factory=TenantCursor)
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
    connection = _own(made)
    if connection is not made:
        connection.tracer = made.cursor
    elif connection.cursor_factory is not TenantCursor:
        connection.tracer = connection.cursor
    return connection


def _own(made: Any) -> TenantConnection:
    # A proxy calls itself of the class that it stands for, so isinstance() would not tell.
    connection = made
    while not issubclass(type(connection), PlainConnection):
        connection = getattr(connection, "__wrapped__", None)
    if not issubclass(type(connection), TenantConnection):
        raise ConfigurationError(
            f"psycopg2.connect() gives a {type(made).__module__}.{type(made).__qualname__}, not the connection asked "
            "for; what has replaced it must pass connection_factory on"
        )
    found: TenantConnection = connection
    return found


def find_home(connection: TenantConnection) -> Home:
    """Which database this is, whatever address leads to it: the cluster's own number, and the database's within it."""
    try:
        return home_known_as(*(connection.plain(_IDENTITY).fetchone() or (object(),)))
    except psycopg2.errors.InsufficientPrivilege:  # a host may have taken the function from PUBLIC: then by address
        info = connection.info
        return home_known_as(info.host, info.port, info.dbname)


def find_footing(
    connection: TenantConnection, role: str, idle_limit_ms: int | None, settings: dict[str, str]
) -> Footing:
    """How connections stand on this server: asked with the first one."""
    # As the role, since a schema that the login may not use is not in its search path.
    (found,) = connection.plain(f'SET LOCAL ROLE "{role}"; {_SEARCH_PATH}').fetchone() or (None,)
    unlike = connection.plain(_UNLIKE, (list(READ_ALIKE), [PINNED[name] for name in READ_ALIKE])).fetchall()
    (has_no_limit,) = connection.plain(_IDLE_LIMIT).fetchone() or (False,)
    return Footing(
        role=role,
        is_direct=connection.is_direct(),
        search_path=f"{found}, pg_temp" if found else "pg_temp",
        idle_limit_ms=idle_limit_ms if has_no_limit else None,
        settings={name: PINNED[name] for (name,) in unlike} | settings,
        tables_of_constraints=dict(connection.plain(_CONSTRAINTS).fetchall()) if connection.binds_apart else {},
    )
