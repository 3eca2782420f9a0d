"""A tenant for tests of time: its wall clock shows UTC."""

import pytest

from tests.factory import make_organization


@pytest.fixture
def here(db):
    """A tenant whose wall clock is UTC."""
    with db.tenant(make_organization(db, time_zone="UTC")) as organization:
        yield organization
