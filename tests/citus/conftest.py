"""A distributed database of the laboratory that RAYCES_TEST_CITUS_URL names; without one these tests are skipped."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg2.extensions import make_dsn

from rayces_core.citus import distribute
from rayces_core.database.database import Database
from rayces_core.migrating.runner import Runner
from tests.citus.lab import drop_database, made_database


@contextmanager
def distributed_database() -> Iterator[str]:
    """URL of the superuser on a coordinator's database of its own, migrated and distributed; taken away afterwards."""
    laboratory = os.environ.get("RAYCES_TEST_CITUS_URL")
    if not laboratory:
        pytest.skip("RAYCES_TEST_CITUS_URL names no laboratory; python -m tests.citus.lab starts one")
    name = f"rayces_test_{uuid.uuid4().hex[:12]}"
    try:
        url = made_database(laboratory, name)
        Runner(url, app_role="rayces_app", admin_role="rayces_admin").up()
        distribute(url)
        yield url
    finally:
        drop_database(laboratory, name)


@pytest.fixture(scope="session")
def superuser() -> Iterator[str]:
    """The one that tests share."""
    with distributed_database() as url:
        yield url


@pytest.fixture(scope="session")
def distributed(superuser: str) -> Iterator[Database]:
    """The database as an application has it: its login is the application's role."""
    url = make_dsn(superuser, user="rayces_app")
    with Database.connect(url, admin_url=superuser, engine="citus", pool_timeout=10) as database:
        yield database
