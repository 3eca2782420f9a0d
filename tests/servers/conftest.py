"""The migrated database of the suite's own server, to compare with."""

from tests.migrating.conftest import migrated  # noqa: F401 - a fixture
