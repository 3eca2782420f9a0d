"""A bound tenant with somebody who buys and somebody at the desk, and a policy that ends with its test."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from rayces_core import Role, User, clock, credits
from tests.credits.ledger import NOW
from tests.factory import make_user


@pytest.fixture
def bound(db: Any, a: Any) -> Iterator[Any]:
    """The organization `a`, bound."""
    with db.tenant(a):
        yield a


@pytest.fixture
def ana(bound: Any) -> User:
    """A guardian without a balance."""
    return make_user()


@pytest.fixture
def rich(ana: User) -> User:
    """A guardian with ten credits."""
    credits.purchase(ana, 10)
    return ana


@pytest.fixture
def desk(bound: Any) -> User:
    """A member of staff."""
    return make_user(role=Role.STAFF, first_name="Desk")


@pytest.fixture
def frozen() -> Iterator[datetime]:
    """The clock held at NOW, so that moments which are given are taken as they are."""
    with clock.frozen(NOW) as at:
        yield at


@pytest.fixture
def use_policy() -> Iterator[Callable[[credits.Policy], None]]:
    """Have a policy decide until the end of the test."""
    before = credits.policy()
    yield lambda policy: credits.use_policy(policy)
    credits.use_policy(before)
