"""Cells and catalogue on servers of their own, which come and go."""

from contextlib import ExitStack
from datetime import timedelta

import pytest

from rayces_core import Cells, Database, Student, credits
from rayces_core.errors import DatabaseUnreachableError, MoveError, TenantMovingError
from tests.cells.conftest import everything
from tests.exporting.worlds import fill
from tests.factory import make_student
from tests.replication import server_of_version


@pytest.mark.exhaustive
def test_a_tenant_goes_from_one_server_to_another():
    """By the logins that `Database.embedded` gives: no superuser is at work.

    `make test` keeps the move between two databases of one server, in tests/cells/test_moving.py.
    """
    with Cells({"x": Database.embedded(), "y": Database.embedded()}, catalogue="y", trusted_seconds=0) as cells:
        assert [result.state for result in cells.migrate()] == ["migrated", "migrated"]
        north = cells.create_organization("North", subdomain="north", cell="x")
        cells.create_organization("South", subdomain="south", cell="y")
        with cells.tenant("north"):
            fill()
            before = everything()
        cells.move("north", to="y")
        with cells.tenant("north") as bound:
            assert bound.id == north.id
            assert everything() == before
            assert not credits.verify().discrepancies
            make_student()
        with cells.tenant("south"):
            assert Student.select().count() == 0
        cells.finish_move("north", grace=timedelta(0))
        assert all(each.is_well for each in cells.doctor())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "step", "lives_in"),
    [
        pytest.param("comparing", "copied", "x", marks=pytest.mark.exhaustive),
        ("switching", "opening", "x"),
        pytest.param("waiting until", "switched", "y", marks=pytest.mark.exhaustive),
    ],
)
def test_a_catalogue_whose_server_goes_away_between_two_steps_stops_the_move_and_loses_nothing(
    make_database, template, tmp_path, what, step, lives_in
):
    urls = {name: make_database(template) for name in "xy"}
    with ExitStack() as running:
        url = running.enter_context(server_of_version(tmp_path / "of-catalogue")).url

        def stop_at(said):
            if said.startswith(what):
                running.close()

        with Cells(urls, catalogue=url, trusted_seconds=0) as cells:
            cells.migrate()
            tenant = cells.create_organization("North", subdomain="north", cell="x")
            with cells.tenant("north"):
                fill()
                before = everything()
            with pytest.raises(MoveError, match=f"stands at {step!r}, and nobody writes north"):
                cells.move("north", to="y", progress=stop_at)
            with Database.connect(urls["x"]) as knows_no_cells, knows_no_cells.tenant(tenant.id):
                assert everything() == before, "reading goes on"
                with pytest.raises(TenantMovingError):
                    make_student()
            with pytest.raises(DatabaseUnreachableError):
                cells.placement("north")
            assert running.enter_context(server_of_version(tmp_path / "of-catalogue")).url == url
            assert cells.placement("north").cell == lives_in
            assert cells.move("north", to="y").step == "opened"
            with cells.tenant("north"):
                assert everything() == before
                assert not credits.verify().discrepancies
                make_student()
