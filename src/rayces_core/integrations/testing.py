"""Fixtures for the tests of a host: one embedded server a session, an organization of its own for each test.

pytest finds them by itself. They are described in docs/testing.md; nothing is loaded until a test asks for one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rayces_core.database.database import Database
    from rayces_core.tenancy.organization import Organization

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def rayces_db() -> Iterator[Database[Organization]]:
    """A migrated database that the tests share: embedded, or that of RAYCES_TEST_DATABASE_URL, which has to be spare.

    Give your own by a fixture of this name in conftest.py, say to run your own migrations as well.
    """
    from rayces_core import models as models  # what a database makes tenants of is among them
    from rayces_core.database.database import Database

    url = os.environ.get("RAYCES_TEST_DATABASE_URL")
    with Database.embedded() if url is None else Database.connect(url) as database:
        database.migrate()
        yield database


@pytest.fixture
def rayces_tenant(rayces_db: Database[Organization]) -> Iterator[Organization]:
    """A new organization, bound for the test; its rows are no other test's, and stay until the server is gone."""
    number = f"{os.getpid()}-{next(_numbers)}-{os.urandom(3).hex()}"
    organization = rayces_db.create_organization(f"Test {number}", subdomain=f"test-{number}")
    with rayces_db.tenant(organization):
        yield organization


@pytest.fixture
def as_user(rayces_tenant: Organization) -> Iterator[Callable[..., Any]]:  # noqa: ARG001 - it binds
    """`as_user("staff")` makes a user of that role in the test's organization, named in log lines until the test ends.

    Further columns go with it: `as_user("guardian", first_name="Ana")`.
    """
    from rayces_core.integrations.logs import acting
    from rayces_core.models.user import Role, User

    with ExitStack() as until_the_end:

        def made(role: Any = "guardian", **columns: Any) -> User:
            columns.setdefault("email", f"user-{next(_numbers)}@example.org")
            user = User.create(role=Role[role.upper()] if isinstance(role, str) else Role(role), **columns)
            until_the_end.enter_context(acting(user))
            return user

        yield made
