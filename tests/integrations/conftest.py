"""What the tests of integrations leave to those of other rooms: a database as it was."""

from collections.abc import Iterator

import pytest

from rayces_core import Database


@pytest.fixture(autouse=True, scope="module")
def loops_are_refused_here_alone(db: Database) -> Iterator[None]:
    """A web application has its database refuse event loops for good, and everybody's tests share this one."""
    yield
    for engine in (db._tenants, db._admins):
        engine.loops.are_refused = False
