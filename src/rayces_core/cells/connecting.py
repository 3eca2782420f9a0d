"""Connections of their own for work on the catalogue and on whole cells, and units of work on them.

Rule it guards: such a unit runs under PostgreSQL's own settings, whatever a database or a role has set, and leaves
nothing behind on a connection that a pooling proxy hands on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import parse_dsn

from rayces_core.database.constraints import translate
from rayces_core.database.urls import with_defaults
from rayces_core.errors.connection import unreachable
from rayces_core.migrations import settings


def connect(url: str, application_name: str = "rayces cells") -> Connection:
    """An open connection, each statement by itself; raises DatabaseUnreachableError."""
    try:
        given = parse_dsn(with_defaults(url)) | {"application_name": application_name, "client_encoding": "UTF8"}
        connection: Connection = settings.connect(**given)
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
    connection.autocommit = True
    return connection


@contextmanager
def connected(url: str, application_name: str = "rayces cells") -> Iterator[Connection]:
    """A connection for the block."""
    connection = connect(url, application_name)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def unit(connection: Connection, *, begin: str = "", local: Sequence[str] = ()) -> Iterator[Any]:
    """A unit of work for the block; gives a cursor of it, whose errors are the library's.

    Args:
        begin: what follows BEGIN, such as an isolation level. local: settings of the unit, as `SET LOCAL` statements.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "; ".join((f"BEGIN {begin}", *settings.pinning(connection.server_version, scope="LOCAL"), *local))
            )
            yield cursor
            cursor.execute("COMMIT")
    except psycopg2.Error as error:
        _undo(connection)
        raise translate(error) from error
    except BaseException:
        _undo(connection)
        raise


def _undo(connection: Connection) -> None:
    with suppress(psycopg2.Error):
        if not connection.closed:
            connection.cursor().execute("ROLLBACK")


def one(connection: Connection, sql: str, values: Any = None) -> Any:
    """The first row of a lone statement, or None."""
    found = rows(connection, sql, values)
    return found[0] if found else None


def rows(connection: Connection, sql: str, values: Any = None) -> list[Any]:
    """The rows of a lone statement; [] of one that gives none."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        raise translate(error) from error
