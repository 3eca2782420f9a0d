"""The fixtures that a host's tests get, tried in a host's own project."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HOST = """
import logging
import pytest
from rayces_core import Student, User, clock
from rayces_core.integrations.logs import TenantFilter
from datetime import datetime, UTC

SEEN = set()

@pytest.mark.parametrize("turn", [1, 2])
def test_each_has_an_organization_of_its_own(rayces_tenant, turn):
    assert rayces_tenant.id not in SEEN
    SEEN.add(rayces_tenant.id)
    assert Student.select().count() == 0
    Student.create(first_name="Luz", last_name="Sosa")

def test_users_by_role(as_user, rayces_db, rayces_tenant):
    guardian, staff = as_user(), as_user("staff", first_name="Eva")
    assert (guardian.is_guardian, staff.is_staff, staff.first_name) == (True, True, "Eva")
    assert rayces_db.organization_id == rayces_tenant.id
    record = logging.makeLogRecord({})
    TenantFilter().filter(record)
    assert record.user_id == staff.id
    with pytest.raises(KeyError):
        as_user("nobody")

def test_nobody_is_left_over():
    record = logging.makeLogRecord({})
    TenantFilter().filter(record)
    assert (record.organization_id, record.user_id) == (None, None)

def test_the_clock_is_held(rayces_tenant):
    with clock.frozen(datetime(2031, 3, 3, tzinfo=UTC)):
        assert Student.create(first_name="A", last_name="B").created_at == datetime(2031, 3, 3, tzinfo=UTC)
"""

# Plugins that only take their time to load.
OTHERS_LEFT_OUT = [f"-pno:{name}" for name in ("ddtrace", "hypothesispytest", "anyio", "schemathesis", "xdist")]


@pytest.mark.slow
def test_a_host_has_a_database_an_organization_and_users(pytester, make_database, template, monkeypatch):
    monkeypatch.setenv("RAYCES_TEST_DATABASE_URL", make_database(template))
    pytester.makepyfile(HOST)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *OTHERS_LEFT_OUT)
    result.assert_outcomes(passed=5)


@pytest.mark.exhaustive
def test_without_a_server_of_its_own_a_host_gets_an_embedded_one(pytester, monkeypatch):
    monkeypatch.delenv("RAYCES_TEST_DATABASE_URL", raising=False)
    pytester.makepyfile(HOST)
    pytester.runpytest_subprocess().assert_outcomes(passed=5)


@pytest.mark.slow
def test_a_project_that_uses_none_of_it_loads_nothing_heavy():
    heavy = ("peewee", "psycopg2", "pydantic", "rayces_core.database", "rayces_core.models")
    code = f"import sys, rayces_core.integrations.testing; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_pytest_finds_them_by_the_wheels_entry_point():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert importlib.import_module(project["entry-points"]["pytest11"]["rayces"]).rayces_tenant
