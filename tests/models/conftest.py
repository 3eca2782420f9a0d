"""A bound tenant with the people of one appointment, and strangers."""

from types import SimpleNamespace
from typing import Any

import pytest

from rayces_core import Role
from tests.factory import make_professional, make_student, make_user


@pytest.fixture
def bound(db: Any, a: Any) -> Any:
    """The organization `a`, bound."""
    with db.tenant(a):
        yield a


@pytest.fixture
def people(bound: Any) -> SimpleNamespace:
    """Users by what they are to an appointment of `professional` with `client`."""
    professional = make_professional()
    return SimpleNamespace(
        admin=make_user(role=Role.ADMIN),
        staff=make_user(role=Role.STAFF),
        professional=professional.user,
        profile=professional,
        other_professional=make_professional().user,
        client=make_user(),
        other_guardian=make_user(),
        student=make_student(),
    )
