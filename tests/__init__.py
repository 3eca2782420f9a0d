"""Tests; in a laboratory of Citus where RAYCES_TEST_CITUS_URL names one."""

import os

if os.environ.get("RAYCES_TEST_CITUS_URL"):
    from tests.citus import suite

    suite.install()
