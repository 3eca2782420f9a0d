"""The databases of tests/migrating, for the packaged migrations too."""

from tests.migrating.conftest import (  # noqa: F401 - fixtures
    at,
    connect,
    cursor,
    directory,
    emptied_databases,
    filled,
    fresh_roles,
    make_cursor,
    make_database,
    migrated,
    oldest_server_url,
    stages,
    tenant,
)
