"""What several tests of the database room stand behind."""

import pytest

from rayces_core import Database
from tests.cutting import cutter


@pytest.fixture(scope="module")
def through(create_database, template):
    """A Database whose connections go through a proxy that cuts them, and the proxy."""
    url = create_database(template)
    with cutter(url) as proxy, Database.connect(proxy.url) as database:
        yield database, proxy
