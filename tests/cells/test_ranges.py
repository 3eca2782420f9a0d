"""Each cell gives ids of its own range, below 2^53; what is no cell's to take is refused with what to do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import Appointment, Cells, Role, Student, User, analysis, clock
from rayces_core.cells import ranges
from rayces_core.cells.connecting import connected
from rayces_core.errors import CellError
from tests.cells.conftest import make_tenant
from tests.cells.test_moving import Stopped, stopping_at
from tests.conftest import on_server
from tests.factory import make_appointment, make_student, make_transition, make_user, write_past
from tests.sizes import examples

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_ranges_lie_beside_each_other_and_end_where_numbers_are_exact():
    assert ranges.range_of(0) == (1, 2**40)
    assert ranges.range_of(1) == (2**40 + 1, 2**41)
    assert ranges.range_of(ranges.MOST_CELLS - 1)[1] == 2**53


def test_every_counted_column_is_a_bigint_within_its_cells_range(cells):
    for number, database in enumerate(cells):
        with connected(database.admin_url) as connection:
            counted = ranges.counted(connection)
            assert {each.relation for each in counted} >= {"organizations", "users", "appointments", "outbox_messages"}
            assert [each.name for each in counted if each.type != "bigint" or not each.is_within(number)] == []


def test_ids_of_two_cells_never_meet(cells, north):
    south = make_tenant(cells, cell="b")
    with cells.tenant(north):
        ours = [make_student().id for _ in range(3)]
    with cells.tenant(south):
        theirs = [make_student().id for _ in range(3)]
    assert max(ours) <= 2**40 < min(theirs)
    assert north.id <= 2**40 < south.id


@pytest.mark.slow
@examples(4, 20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["write", "move", "stop"]), min_size=3, max_size=6).filter(lambda s: "move" in s))
def test_however_a_tenant_goes_to_and_fro_no_id_is_given_twice(cells, steps):
    """Neither to it nor to a neighbour in the cell it is in, and a row keeps the id that it got."""
    tenant, neighbours = make_tenant(cells), {name: make_tenant(cells, cell=name) for name in "ab"}
    made: list[int] = []
    for step in ("write", *steps, "write"):
        here = cells.placement(tenant.id).cell
        there = "b" if here == "a" else "a"
        if step == "move":
            cells.move(tenant.subdomain, to=there)
            cells.finish_move(tenant.subdomain, grace=timedelta(0))
        elif step == "stop":
            with pytest.raises(Stopped):
                cells.move(tenant.subdomain, to=there, progress=stopping_at("comparing"))
            cells.cancel_move(tenant.subdomain)
        else:
            for each in (tenant, neighbours[here]):
                with cells.tenant(each):
                    made.append(make_student().id)
    found = []
    for each in (tenant, *neighbours.values()):
        with cells.tenant(each):
            found += [student.id for student in Student.select()]
    assert len(set(made)) == len(made)
    assert sorted(found) == sorted(made)


def happens(day, events):
    """Events of the tenant's student by an actor of their own, and a move of the session; gives the actor."""
    student, booked = Student.get_or_none() or make_student(), Appointment.get_or_none() or make_session()
    with clock.frozen(NOW + timedelta(days=day)):
        actor = make_user(role=Role.ADMIN)
        for event in events:
            getattr(student, event)(by=actor)
        was = (NOW + timedelta(days=20 + day)).isoformat()
        make_transition(
            subject_type="Appointment", subject_id=booked.id, event="reschedule", details={"scheduled_at": was}
        )
    return actor


def make_session():
    booked = make_appointment(student=Student.get(), scheduled_at=NOW + timedelta(days=30))
    write_past(booked, state="confirmed", created_at=NOW, pre_confirmed_at=NOW, expires_at=NOW, confirmed_at=NOW)
    return booked


@pytest.mark.slow
def test_what_happened_is_told_in_its_order_whichever_cell_it_happened_in(cells):
    """Of a tenant that went to a cell with lower ids as of one that was always there."""
    told = []
    for moves in (True, False):
        tenant = make_tenant(cells, cell="b" if moves else "a")
        with cells.tenant(tenant):
            happens(0, ["apply", "reject"])
            happens(1, ["reapply"])
        if moves:
            cells.move(tenant.subdomain, to="a")
        with cells.tenant(tenant.subdomain):
            actor = happens(2, ["admit"])
            assert [change.event for change in Student.get().history()] == ["apply", "reject", "reapply", "admit"]
            assert Student.get().actor_of("reapply", "admit") == actor
            measures = analysis.admission_funnel, analysis.admission_wait, analysis.lead_time
            until = NOW + timedelta(days=60)
            frames = [measure(NOW.date(), until.date(), now=until) for measure in measures]
            told.append([frame.drop("organization_id", "student_id", strict=False).to_dicts() for frame in frames])
    assert told[0] == told[1]


@pytest.mark.slow
def test_migrating_again_changes_no_number(own_cells):
    tenant = make_tenant(own_cells, cell="b")
    with own_cells.tenant(tenant):
        before = make_student().id
    assert [result.state for result in own_cells.migrate()] == ["migrated", "migrated"]
    with own_cells.tenant(tenant):
        assert make_student().id == before + 1


class TestADatabaseInUse:
    @pytest.fixture
    def used(self, own_db):
        """A database with tenants, as one has it before there are cells."""
        for name in ("old-north", "old-south"):
            with own_db.tenant(own_db.create_organization(name, subdomain=name)):
                make_user()
        return own_db

    @pytest.mark.slow
    def test_it_becomes_a_cell_with_its_tenants_whatever_its_place(self, used, make_database, template):
        with Cells({"new": make_database(template), "old": used.url}, catalogue="old", trusted_seconds=0) as cells:
            with pytest.raises(CellError, match=r"cell 'old': .*export tenant.*import tenant"):
                cells.migrate()  # the new one came first, and has the range that begins at 1
        with Cells({"old": used.url, "new": make_database(template)}, catalogue="new", trusted_seconds=0) as cells:
            cells.migrate()
            there = [(each.subdomain, each.cell) for each in cells.placements()]
            assert there == [("old-north", "old"), ("old-south", "old")]
            with cells.tenant("old-south"):
                last = User.select().get().id
                assert make_user().id == last + 1
            made = make_tenant(cells, cell="new")
            assert made.id > 2**40
            cells.move("old-north", to="new")
            with cells.tenant("old-north"):
                assert User.select().count() == 1

    @pytest.mark.slow
    def test_two_that_both_began_at_one_are_not(self, used, make_database, template):
        with Cells({"x": make_database(template)}, catalogue="x") as first:
            first.migrate()
            make_tenant(first, cell="x")
            urls = {"x": first["x"].url, "y": used.url}
            with Cells(urls, catalogue="x") as both, pytest.raises(CellError) as refused:
                both.migrate()
        assert [result.state for result in refused.value.results] == ["migrated", "failed"]
        assert "Give this cell a new database" in str(refused.value)

    @pytest.mark.slow
    def test_names_that_two_cells_have_are_told(self, own_cells):
        make_tenant(own_cells, cell="a", active=True)
        taken = make_tenant(own_cells, cell="a")
        own_cells["b"].create_organization("Twin", subdomain=taken.subdomain)
        with pytest.raises(CellError, match=f"both have an organization '{taken.subdomain}'"):
            own_cells.migrate()
        findings = {each.cell: [f.check for f in each.findings if f.severity == "error"] for each in own_cells.doctor()}
        assert findings == {"a": [], "b": ["cell-catalogue"]}


def test_two_names_of_one_database_are_refused(own_cells):
    url = own_cells["a"].url
    with Cells({"a": url, "again": url}, catalogue="a") as twins, pytest.raises(CellError, match="are one database"):
        twins.migrate()


@pytest.mark.slow
def test_urls_that_were_exchanged_are_noticed(own_cells):
    tenant = make_tenant(own_cells)
    swapped = {"a": own_cells["b"].url, "b": own_cells["a"].url}
    with Cells(swapped, catalogue=own_cells["a"].url, trusted_seconds=0) as wrong:
        with pytest.raises(CellError, match="leads to the database of cell"):
            wrong.migrate()
        with pytest.raises(CellError, match="leads to the database of cell"):
            wrong.move(tenant.subdomain, to="b")
        assert all("leads to the database of cell" in str(each.error) for each in wrong.doctor())


@pytest.mark.slow
def test_before_there_is_a_catalogue_it_is_said_how_to_make_one(make_database, template):
    with Cells({"a": make_database(template)}, catalogue="a") as bare, pytest.raises(CellError, match="cells migrate"):
        bare.tenant("north").__enter__()


@pytest.mark.slow
def test_a_sequence_that_was_set_back_is_told_by_the_doctor_and_mended(own_cells):
    on_server(own_cells["b"].url, "ALTER TABLE users ALTER COLUMN id SET MINVALUE 1 SET MAXVALUE 9007199254740992")
    found = own_cells.doctor()[1].findings
    assert [f.object for f in found if f.check == "cell-ids"] == ['"public"."users"']
    own_cells.migrate()
    assert own_cells.doctor()[1].is_well


AWAY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.slow
def test_migrating_goes_as_far_as_the_first_cell_that_is_away_and_tells_of_each(own_cells):
    with Cells({"a": own_cells["a"].url, "b": AWAY, "c": own_cells["b"].url}, catalogue="a") as some:
        with pytest.raises(CellError, match="cell 'b'") as refused:
            some.migrate()
    assert [each.state for each in refused.value.results] == ["migrated", "failed", "not tried"]


@pytest.mark.slow
def test_the_doctor_looks_at_each_cell_while_the_catalogue_is_away(own_cells):
    on_server(own_cells["b"].url, "ALTER TABLE students DISABLE ROW LEVEL SECURITY")
    with Cells({"a": AWAY, "b": own_cells["b"].url}, catalogue="a") as some:
        gone, here = some.doctor()
    assert (gone.is_well, here.is_well) == (False, False)
    assert "students" in {finding.object.split(".")[-1].strip('"') for finding in here.findings}
    assert "the catalogue is away" in str(here.error)


@pytest.mark.slow
def test_a_cell_that_cannot_be_reached_keeps_nobody_from_looking_at_the_others(own_cells):
    urls = {"a": own_cells["a"].url, "b": AWAY}
    with Cells(urls, catalogue="a") as half:
        here, gone = half.doctor()
        assert (here.is_well, gone.is_well) == (True, False)
        tenant = make_tenant(own_cells, cell="a")
        with half.tenant(tenant.subdomain):
            assert Student.select().count() == 0
