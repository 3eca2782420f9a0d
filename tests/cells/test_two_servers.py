"""Two cells on two servers of their own, with the logins that `Database.embedded` gives: no superuser is at work."""

from datetime import timedelta

from rayces_core import Cells, Database, Student, credits
from rayces_core.models import TENANT_MODELS
from tests.exporting.worlds import fill
from tests.factory import make_student, rows_of


def test_a_tenant_goes_from_one_server_to_another():
    with Cells({"x": Database.embedded(), "y": Database.embedded()}, catalogue="y", trusted_seconds=0) as cells:
        assert [result.state for result in cells.migrate()] == ["migrated", "migrated"]
        north = cells.create_organization("North", subdomain="north", cell="x")
        cells.create_organization("South", subdomain="south", cell="y")
        with cells.tenant("north"):
            fill()
            before = rows_of(*TENANT_MODELS)
        cells.move("north", to="y")
        with cells.tenant("north") as bound:
            assert bound.id == north.id
            assert rows_of(*TENANT_MODELS) == before
            assert not credits.verify().discrepancies
            make_student()
        with cells.tenant("south"):
            assert Student.select().count() == 0
        cells.finish_move("north", grace=timedelta(0))
        assert all(each.is_well for each in cells.doctor())
