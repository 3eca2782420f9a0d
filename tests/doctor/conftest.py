"""A PostgreSQL 15 beside the embedded one."""

from tests.migrating.conftest import oldest_server_url  # noqa: F401 - a fixture
