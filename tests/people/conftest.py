"""A bound tenant with somebody at the desk, and one person who was entered twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from rayces_core import Role, User
from tests.factory import make_user


@pytest.fixture
def bound(db: Any, a: Any) -> Iterator[Any]:
    """The organization `a`, bound."""
    with db.tenant(a):
        yield a


@pytest.fixture
def desk(bound: Any) -> User:
    """A member of staff."""
    return make_user(role=Role.STAFF, first_name="Desk")


@pytest.fixture
def ana(bound: Any) -> User:
    """The one that stays."""
    return make_user(first_name="Ana", last_name="Paz", phone="+54 11 4000 0000")


@pytest.fixture
def twin(bound: Any) -> User:
    """The same person, entered once more."""
    return make_user(first_name="Ana Maria", last_name="Paz", phone="11 4000-0000", external_id="F-17")
