"""A bound tenant of Buenos Aires with a family, a desk, and sessions that were held."""

import pytest

from rayces_core import Role, clock
from tests.factory import make_organization, make_user
from tests.invoicing.world import NOW


@pytest.fixture
def centre(db):
    """A centre that sends invoices with the tax of 21 percent, its tenant bound, and the clock at NOW."""
    settings = {"tax_id": "30-71234567-1", "tax_basis_points": 2100, "invoice_due_days": 10}
    with db.tenant(made := make_organization(db, settings=settings)), clock.frozen(NOW):
        yield made


@pytest.fixture
def ana(centre):
    return make_user(first_name="Ana", last_name="Gómez", phone="+541155550000")


@pytest.fixture
def desk(centre):
    return make_user(role=Role.STAFF)
