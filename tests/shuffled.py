"""`make test TEST_ARGS="-p tests.shuffled"`: modules, and the tests in each, in an order by chance.

xdist gives a worker the earlier half of a module after the later one, so a test that hangs on what ran before it fails
sooner or later. RAYCES_ORDER is the number that an order is known by; without it the run takes one and says it.
"""

import os
import random

import pytest

ORDER = "RAYCES_ORDER"


def pytest_configure() -> None:
    """Workers have what the run began with."""
    os.environ.setdefault(ORDER, str(random.randrange(1_000_000)))


def pytest_report_header() -> str:
    return f"order: {ORDER}={os.environ[ORDER]}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chance, modules = random.Random(os.environ[ORDER]), dict[str, list[pytest.Item]]()
    for item in items:
        modules.setdefault(str(item.path), []).append(item)
    shuffled = list(modules.values())
    chance.shuffle(shuffled)
    for tests in shuffled:
        chance.shuffle(tests)
    items[:] = [test for tests in shuffled for test in tests]
