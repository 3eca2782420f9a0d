"""Acceptance: every way to read gives the bound tenant's rows, at any time, and nothing without a tenant."""

import contextlib

import peewee
import pytest

from rayces_core import TenancyError, TenantNotSetError
from tests.tenancy import relation_paths  # noqa: F401 - adds its paths
from tests.tenancy.read_paths import PATHS
from tests.tenancy.worlds import forget_rendered_sql
from tests.walking import walked

each_path = walked("path", PATHS)


@each_path
def test_it_raises_without_a_tenant_before_any_sql(walled, path):
    query = path.build(walled.base)
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        path.read(query)


@pytest.mark.slow
@each_path
def test_what_is_built_outside_and_run_inside_is_scoped(world, path):
    query = path.build(world.base)
    with world.in_a():
        assert path.read(query) == path.expect("ours", 2)


@pytest.mark.slow
@each_path
def test_what_was_built_and_read_under_a_gives_bs_rows_under_b_and_none_afterwards(world, path):
    with world.in_a():
        query = path.build(world.base)
        assert path.read(query) == path.expect("ours", 2)
        again = query.clone() if path.keeps_rows else query
        with world.in_b():
            assert path.read(again) == path.expect("theirs", 3)
    again = query.clone() if path.keeps_rows else query
    with pytest.raises(TenantNotSetError):
        path.read(again)


@pytest.mark.slow
@each_path
def test_what_privileged_work_has_read_first_is_scoped_when_a_tenant_reads_it(world, path):
    """What is kept of a query, be it rows or SQL, is not the tenant's."""
    query = path.build(world.base)
    forget_rendered_sql()
    with world.privileged(), contextlib.suppress(TenancyError, peewee.PeeweeException, AttributeError, IndexError):
        path.read(query)
    again = query.clone() if path.keeps_rows else query
    with world.in_a():
        assert path.read(again) == path.expect("ours", 2)
