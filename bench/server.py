"""The database that is measured: one of its own, made for the run and dropped after it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.database.database import Database
from rayces_core.embedded.server import EmbeddedServer


@contextmanager
def migrated_database(url: str | None) -> Iterator[str]:
    """URL of a fresh, migrated database on the server of `url`, or on an embedded one that lives as long."""
    with server_of(url) as server, database_on(server) as own:
        yield own


@contextmanager
def server_of(url: str | None) -> Iterator[str]:
    """`url` itself, or that of an embedded server which lives as long.

    The embedded one has a folder of its own, because then it keeps its commits safe, as a server in use does.
    """
    if url is not None:
        yield url
        return
    with TemporaryDirectory(prefix="rayces-bench-") as folder, EmbeddedServer(Path(folder) / "data") as server:
        yield server.url


@contextmanager
def server_with(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """URL of the embedded server of this folder, with these settings, as long as the block goes on."""
    with EmbeddedServer(folder) as server:
        for name, value in settings.items():
            _run(server.url, f"ALTER SYSTEM SET {name} = '{value}'")
    with EmbeddedServer(folder) as server:
        yield server.url


@contextmanager
def database_on(url: str, suffix: str = "") -> Iterator[str]:
    """URL of a fresh, migrated database on this server, dropped after it; `suffix` tells several of a run apart."""
    name = f"rayces_bench_{os.getpid()}{suffix}"
    try:
        yield made_database(url, name)
    finally:
        _run(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def made_database(url: str, name: str) -> str:
    """URL of a fresh, migrated database of this name on this server."""
    _run(url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    own = make_dsn(url, dbname=name)
    with Database.connect(own) as database:
        database.migrate()
    return own


def set_flush(url: str, *, flushed: bool) -> None:
    """Whether commits wait for the disk, for connections made from now on; `flushed` leaves it to the server."""
    name = parse_dsn(url)["dbname"]
    change = "RESET synchronous_commit" if flushed else "SET synchronous_commit = off"
    _run(url, f'ALTER DATABASE "{name}" {change}')


def described(url: str) -> str:
    """The server's version and how it treats commits."""
    settings = "current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')"
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {settings}")
            ((version, fsync, commit),) = cursor.fetchall()
        return f"PostgreSQL {version} (fsync {fsync}, synchronous_commit {commit})"
    finally:
        connection.close()


def _run(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()
