"""Cells behind PgBouncer in transaction mode: the whole way of a tenant, with nothing but PgBouncer's addresses."""

import json
from datetime import timedelta

import pytest

from rayces_core import CellSwitchError, Student, User, credits
from rayces_core.cells import Cells
from rayces_core.cells.connecting import connected, one
from rayces_core.errors import DuplicateError, MoveError, TenantMovedError, TenantMovingError
from tests.cells.conftest import everything, make_tenant
from tests.cells.test_moving import move_meanwhile, stopped_at
from tests.exporting.worlds import fill
from tests.factory import make_student, make_user

NOW = timedelta(0)


@pytest.mark.slow
def test_it_is_one_that_pools_transactions(behind):
    """Two clients are answered by one process of the server's, which neither of them was told of."""
    for database in behind:
        with connected(database.url) as first, connected(database.url) as second:
            served = {one(each, "SELECT pg_backend_pid()")[0] for each in (first, second, first)}
            assert len(served) == 1
            assert not served & {first.get_backend_pid(), second.get_backend_pid()}


@pytest.mark.slow
def test_tenants_are_made_found_renamed_and_bound_there(behind):
    north, south = make_tenant(behind), make_tenant(behind, cell="b")
    with pytest.raises(DuplicateError):
        behind.create_organization("Again", subdomain=north.subdomain, cell="b")
    for tenant in (north, south, north):
        with behind.tenant(tenant.subdomain):
            make_student()
    renamed = behind.rename(north.subdomain, f"{north.subdomain}-new")
    with behind.tenant(renamed.subdomain), behind["a"].atomic():
        assert Student.select().count() == 2
        with pytest.raises(CellSwitchError):
            behind.tenant(south).__enter__()
    assert all(each.is_well for each in behind.doctor())


@pytest.mark.slow
def test_a_tenant_is_moved_cancelled_moved_again_and_finished(behind):
    north, other = make_tenant(behind), make_tenant(behind)
    with behind.tenant(north):
        fill("bouncing")
        before = everything()
    stopped_at(behind, north, "comparing")
    with behind.tenant(north):
        assert everything() == before
        with pytest.raises(TenantMovingError):
            make_student()
    with behind.tenant(other):
        make_student()
    behind.cancel_move(north.subdomain)
    with behind.tenant(north):
        credits.purchase(User.select().first(), 1)
        before = everything()
        move_meanwhile(behind, north, finish=False)
        with pytest.raises(TenantMovedError):
            Student.get()
    with behind.tenant(north):
        assert everything() == before
        assert not credits.verify().discrepancies
        assert make_user().id > 1 << 40
    assert behind.finish_move(north.subdomain, grace=NOW).step == "finished"
    assert all(each.is_well for each in behind.doctor())


@pytest.mark.slow
def test_the_old_copy_is_not_deleted_from_under_a_unit_of_work(behind, monkeypatch):
    monkeypatch.setattr("rayces_core.cells.freezing.PATIENCE_SECONDS", 0.5)
    north = make_tenant(behind)
    behind.move(north.subdomain, to="b")
    with connected(behind["a"].url) as connection:
        connection.cursor().execute("BEGIN; SELECT 1")
        with pytest.raises(MoveError, match="would find its rows gone"):
            behind.finish_move(north.subdomain, grace=NOW)
    behind.finish_move(north.subdomain, grace=NOW)


def test_migrating_says_whose_address_it_needs(behind):
    with pytest.raises(Exception, match="give migrations the server's own URL"):
        behind.migrate()


@pytest.mark.slow
def test_so_admin_url_is_the_servers_own_and_all_else_goes_through(behind, cells, tmp_path):
    lines = (
        json.dumps(name) + f" = {{url = {json.dumps(behind[name].url)}, admin_url = {json.dumps(cells[name].url)}}}"
        for name in "ab"
    )
    path = tmp_path / "cells.toml"
    path.write_text('catalogue = "a"\n[cells]\n' + "\n".join(lines))
    with Cells.from_file(path, trusted_seconds=0) as mixed:
        assert [result.state for result in mixed.migrate()] == ["migrated", "migrated"]
        north = make_tenant(mixed)
        mixed.move(north.subdomain, to="b")
        with mixed.tenant(north):
            make_student()
        mixed.finish_move(north.subdomain, grace=NOW)
