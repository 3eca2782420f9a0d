"""The server the bench works on, set as one in use is, and the databases and the login that it makes and drops."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core.embedded.server import EmbeddedServer

# fsync is on, as everywhere but in a temporary embedded server.
SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "6GB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "5min",
    "random_page_cost": "1.1",
}


class Workshop:
    """A server on which databases are made for one run.

    Attributes:
        role: the login of the old application: it owns the tables and is no superuser.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []
        self.role = f"myhub_{secrets.token_hex(4)}"
        self._password = secrets.token_hex()
        on_server(url, f"CREATE ROLE {self.role} LOGIN NOSUPERUSER PASSWORD '{self._password}'")

    def database(self, template: str = "template0", *, big: bool = False) -> str:
        """Make a database that the old application's login owns; returns its name. A `big` one is copied by file."""
        name = f"rayces_bench_{self.role}_{len(self._made) + 1}"
        strategy = "file_copy" if big else "wal_log"
        on_server(self._url, f'CREATE DATABASE "{name}" OWNER {self.role} TEMPLATE "{template}" STRATEGY {strategy}')
        self._made.append(name)
        return name

    def admin(self, name: str) -> str:
        """URL of the superuser, who adopts and looks on."""
        return make_dsn(self._url, dbname=name)

    def application(self, name: str) -> str:
        """URL of the old application."""
        return make_dsn(self._url, dbname=name, user=self.role, password=self._password)

    def close(self) -> None:
        """Drop what was made."""
        for name in self._made:
            on_server(self._url, f'DROP DATABASE "{name}" WITH (FORCE)')
        on_server(self._url, f"DROP ROLE {self.role}")


@contextmanager
def workshop(url: str | None) -> Iterator[Workshop]:
    """A workshop on the server of `url`, whose login has to be a superuser, or on an embedded one of its own."""
    with _server(url) as running, closing(Workshop(running)) as made:
        yield made


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with TemporaryDirectory(prefix="rayces-bench-") as folder:
        data = Path(folder) / "data"
        with EmbeddedServer(data) as server:
            for name, value in SETTINGS.items():
                on_server(server.url, f"ALTER SYSTEM SET {name} = '{value}'")
        with EmbeddedServer(data) as server:
            yield server.url


def on_server(url: str, statement: str) -> None:
    """Run one statement by itself."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)
