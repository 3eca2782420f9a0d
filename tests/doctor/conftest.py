"""A patient for each test, and a PostgreSQL 15 beside the embedded one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn

from tests.conftest import on_server
from tests.doctor.patient import Patient
from tests.migrating.conftest import oldest_server_url  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def plain_login(server_url: str, template: str) -> Iterator[str]:
    name = f"login_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(server_url)
    modern = connection.server_version >= 160000
    connection.close()
    on_server(
        server_url,
        f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'plain'; "
        f"GRANT rayces_app, rayces_admin TO {name}{' WITH INHERIT FALSE, SET TRUE' if modern else ''}",
    )
    yield name
    on_server(server_url, f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def healthy_url(create_database: Callable[..., str], template: str) -> str:
    return create_database(template)


@pytest.fixture(scope="module")
def surgeon(healthy_url: str) -> Iterator[Connection]:
    connection = psycopg2.connect(healthy_url)
    yield connection
    connection.close()


@pytest.fixture
def patient(surgeon: Connection, plain_login: str, healthy_url: str) -> Iterator[Patient]:
    yield Patient(surgeon, plain_login, parse_dsn(healthy_url)["dbname"])
    surgeon.rollback()
