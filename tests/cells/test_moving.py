"""A tenant is moved with all it has: ids, ledger, journal, messages, the host's tables; and it may be undone."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rayces_core import Organization, Student, User, credits
from rayces_core.cells import Cells
from rayces_core.cells.connecting import connected, rows
from rayces_core.cells.freezing import held_tenants
from rayces_core.cells.tables import moved_tables
from rayces_core.doctor.numbers import behind
from rayces_core.errors import (
    CellError,
    InactiveTenantError,
    MoveError,
    TenantMovedError,
    TenantMovingError,
    UnknownTenantError,
)
from rayces_core.migrations.session import connected as connected_runner
from rayces_core.models import TENANT_MODELS
from tests.archive import hosting
from tests.cells.conftest import make_tenant
from tests.conftest import on_server
from tests.exporting.worlds import fill
from tests.factory import make_student, make_user, rows_of

NOW = timedelta(0)


class Stopped(Exception):
    """As Ctrl-C would, at one step of a move."""


def stopping_at(what: str):
    def progress(said: str) -> None:
        if said.startswith(what):
            raise Stopped(said)

    return progress


def stopped_at(cells: Cells, tenant: Organization, what: str) -> None:
    with pytest.raises(Stopped):
        cells.move(tenant.subdomain, to="b", progress=stopping_at(what))


def rows_in(cells: Cells, cell: str, tenant: Organization) -> dict[str, list[str]]:
    """Every row of the tenant in a cell, past whatever keeps an application out."""
    with cells[cell].privileged(reason="test"):
        run = cells[cell].execute_sql
        tables = sorted(model._meta.table_name for model in TENANT_MODELS)
        select = "SELECT to_jsonb(t)::text FROM {} t WHERE organization_id = %s ORDER BY 1"
        return {name: [row for (row,) in run(select.format(name), (tenant.id,)).fetchall()] for name in tables}


@pytest.fixture
def filled(cells: Cells, north: Organization) -> Organization:
    with cells.tenant(north):
        make_student()
        credits.purchase(make_user(), 3)
    return north


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_block_that_outlives_the_move_reads_no_old_copy(cells, filled, is_finished):
    with cells.tenant(filled):
        assert Student.select().count() == 1
        move_meanwhile(cells, filled, finish=is_finished)
        for read in (Student.get, lambda: list(User.select()), cells["a"].atomic().__enter__):
            with pytest.raises(TenantMovedError) as refused:
                read()
            assert refused.value.cell == "b"
    with cells.tenant(filled):
        assert Student.select().count() == 1


def test_what_a_unit_of_work_has_begun_it_goes_on_reading(cells, filled):
    with cells.tenant(filled), cells["a"].atomic():
        assert Student.select().count() == 1
        move_meanwhile(cells, filled, finish=False)
        assert Student.select().count() == 1


def move_meanwhile(cells: Cells, tenant: Organization, *, finish: bool) -> None:
    """A whole move by somebody else."""

    def move() -> None:
        cells.move(tenant.subdomain, to="b")
        if finish:
            cells.finish_move(tenant.subdomain, grace=NOW)

    mover = threading.Thread(target=move)
    mover.start()
    mover.join()


class TestAWholeMove:
    @pytest.fixture(scope="class")
    @classmethod
    def moved(cls, cells: Cells) -> tuple:
        """A tenant with rows in every table, what it had, and its move."""
        tenant = make_tenant(cells)
        with cells.tenant(tenant):
            fill()
            before = rows_of(*TENANT_MODELS)
        return tenant, before, cells.move(tenant.subdomain, to="b")

    def test_every_row_is_there_with_its_id(self, cells, moved):
        tenant, before, _ = moved
        with cells.tenant(tenant.subdomain) as bound:
            assert bound.id == tenant.id
            assert cells["b"].organization_id == tenant.id
            assert rows_of(*TENANT_MODELS) == before
        assert all(before.values()), "a table without rows proves nothing"

    def test_the_move_tells_what_was_compared(self, moved):
        _, before, move = moved
        assert (move.source, move.target, move.step) == ("a", "b", "opened")
        assert move.rows_copied == 1 + sum(map(len, before.values()))
        assert set(move.checksums) == {"organizations"} | {model._meta.table_name for model in TENANT_MODELS}
        assert all(len(digest) == 64 for digest in move.checksums.values())

    def test_the_ledger_adds_up_there(self, cells, moved):
        with cells.tenant(moved[0].subdomain):
            assert not credits.verify().discrepancies

    def test_its_organization_is_what_it_was(self, cells, moved):
        tenant = moved[0]
        with cells.tenant(tenant.subdomain) as bound:
            assert {**bound.__data__, **tenant.__data__} == bound.__data__
            assert (bound.moving, bound.moving_cell) == (None, None)

    def test_it_goes_on_there_with_ids_of_that_cell(self, cells, moved):
        with cells.tenant(moved[0].subdomain):
            made = make_student(first_name="later")
            assert made.id > 1 << 40
            Student.delete_by_id(made.id)

    def test_the_old_copy_is_read_and_written_by_nobody(self, cells, moved):
        tenant = moved[0]
        cells["a"].engine.forget_organizations()
        for key in (tenant.id, tenant.subdomain):
            with pytest.raises(TenantMovedError) as refused:
                cells["a"].tenant(key).__enter__()
            assert (refused.value.tenant, refused.value.cell) == (tenant.subdomain, "b")
        with cells["a"].privileged(reason="test"), pytest.raises(TenantMovedError):
            User.update(first_name="x").where(User.organization_id == tenant.id).execute()

    def test_it_is_not_moved_where_it_is(self, cells, moved):
        with pytest.raises(MoveError, match="finish its move"):
            cells.move(moved[0].subdomain, to="b")
        with pytest.raises(MoveError, match="being moved to 'b'"):
            cells.move(moved[0].subdomain, to="a")

    def test_it_cannot_be_cancelled_any_more(self, cells, moved):
        with pytest.raises(MoveError, match="lives in cell 'b' already"):
            cells.cancel_move(moved[0].subdomain)

    def test_the_old_copy_is_kept_for_the_grace_and_goes_then(self, cells, moved):
        tenant, before, _ = moved
        with pytest.raises(MoveError, match="is kept until"):
            cells.finish_move(tenant.subdomain)
        assert sum(map(len, rows_in(cells, "a", tenant).values())) == sum(map(len, before.values()))
        done = cells.finish_move(tenant.subdomain, grace=NOW)
        assert done.step == "finished"
        assert sum(map(len, rows_in(cells, "a", tenant).values())) == 0
        assert cells["a"].find_tenant(tenant.id) is None
        assert cells.placement(tenant.id).state == "placed"
        with pytest.raises(MoveError, match="no move of"):
            cells.finish_move(tenant.subdomain, grace=NOW)

    def test_and_back_again(self, cells, moved):
        tenant = moved[0]
        if any(move.subdomain == tenant.subdomain for move in cells.moves()):  # where no test before has finished it
            cells.finish_move(tenant.subdomain, grace=NOW)
        with cells.tenant(tenant.subdomain):
            before = rows_of(*TENANT_MODELS)
        cells.move(tenant.subdomain, to="a")
        cells.finish_move(tenant.subdomain, grace=NOW)
        with cells.tenant(tenant.subdomain):
            assert rows_of(*TENANT_MODELS) == before
            assert make_user().id < 1 << 40
        assert all(each.is_well for each in cells.doctor())


class TestWhileItIsMoved:
    @pytest.fixture(params=["copying organizations", "copying state_transitions", "comparing", "switching"])
    def held(self, cells, filled, request):
        stopped_at(cells, filled, request.param)
        yield filled
        cells.cancel_move(filled.subdomain)

    def test_it_is_read_and_not_written_and_others_notice_nothing(self, cells, held):
        other = make_tenant(cells)
        with cells.tenant(held.subdomain):
            assert Student.select().exists()
            for write in (
                lambda: make_student(),
                lambda: Student.update(first_name="x").execute(),
                lambda: User.delete().execute(),
                lambda: credits.purchase(User.select().first(), 1),
            ):
                with pytest.raises(TenantMovingError) as refused:
                    write()
                assert (refused.value.tenant, refused.value.cell) == (held.subdomain, "b")
                assert refused.value.retryable
        with cells.tenant(other):
            make_student()
            fill("other")

    def test_the_copy_there_is_nobodys_yet(self, cells, filled):
        stopped_at(cells, filled, "comparing")
        cells["b"].engine.forget_organizations()
        with pytest.raises(TenantMovedError) as refused:
            cells["b"].tenant(filled.id).__enter__()
        assert refused.value.cell == "a"
        cells.cancel_move(filled.subdomain)


def test_retrying_writes_once_the_move_is_over(cells, filled):
    stopped_at(cells, filled, "comparing")
    tried: list[int] = []

    def write() -> None:
        tried.append(1)
        make_student(first_name="again")

    with cells.tenant(filled.subdomain):
        ending = threading.Timer(0.2, cells.cancel_move, (filled.subdomain,))
        ending.start()
        cells["a"].retrying(attempts=100, pause_seconds=0.1).run(write)
        ending.join()
        assert Student.select().where(Student.first_name == "again").count() == 1
    assert len(tried) > 1


STEPS = ["holding", "copying organizations", "copying users", "comparing", "switching", "waiting"]


@pytest.mark.parametrize("what", STEPS)
def test_stopped_anywhere_it_goes_on(cells, filled, what):
    with cells.tenant(filled):
        before = rows_of(*TENANT_MODELS)
    stopped_at(cells, filled, what)
    cells.move(filled.subdomain, to="b")
    with cells.tenant(filled.subdomain):
        assert rows_of(*TENANT_MODELS) == before
        make_student()
    cells.finish_move(filled.subdomain, grace=NOW)


@pytest.mark.parametrize("what", STEPS[:-1])
def test_until_the_switch_it_is_cancelled_and_nothing_is_left(cells, filled, what):
    with cells.tenant(filled):
        before = rows_of(*TENANT_MODELS)
    stopped_at(cells, filled, what)
    assert cells.cancel_move(filled.subdomain).step == "cancelled"
    assert sum(map(len, rows_in(cells, "b", filled).values())) == 0
    assert cells["b"].find_tenant(filled.id) is None
    with cells.tenant(filled.subdomain):
        assert rows_of(*TENANT_MODELS) == before
        make_student()
    for database in cells:
        with connected(database.admin_url) as connection:
            assert filled.id not in held_tenants(connection)
    with pytest.raises(MoveError, match="no move of"):
        cells.cancel_move(filled.subdomain)


def test_cancelling_that_was_stopped_goes_on_by_cancelling_alone(cells, filled):
    stopped_at(cells, filled, "comparing")
    with pytest.raises(Stopped):
        cells.cancel_move(filled.subdomain, progress=stopping_at("deleting"))
    with pytest.raises(MoveError, match="is being cancelled"):
        cells.move(filled.subdomain, to="b")
    cells.cancel_move(filled.subdomain)
    with cells.tenant(filled.subdomain):
        make_student()


def test_finishing_that_was_stopped_goes_on(cells, filled):
    cells.move(filled.subdomain, to="b")
    with pytest.raises(Stopped):
        cells.finish_move(filled.subdomain, grace=NOW, progress=stopping_at("deleting"))
    assert cells.finish_move(filled.subdomain, grace=NOW).step == "finished"


def test_a_tenant_that_is_switched_off_is_moved_and_stays_off(cells, filled):
    with cells["a"].privileged(reason="test"):
        Organization.update(active=False).where(Organization.id == filled.id).execute()
    cells.move(filled.subdomain, to="b")
    with pytest.raises(InactiveTenantError):
        cells.tenant(filled.subdomain).__enter__()
    assert cells.find_tenant(filled.subdomain).active is False
    cells.finish_move(filled.subdomain, grace=NOW)


def test_repairing_counts_no_rows_that_came_from_another_cell(cells, filled):
    cells.move(filled.subdomain, to="b")
    cells.finish_move(filled.subdomain, grace=NOW)
    south = make_tenant(cells, cell="b")
    with cells.tenant(south):
        make_student()
    cells.move(south.subdomain, to="a")
    cells.finish_move(south.subdomain, grace=NOW)
    with cells.tenant(south.subdomain):
        assert Student.select().get().id > 2**40
    runner = cells["a"]._runner()
    with connected_runner(runner.database):
        assert behind(runner.database) == []


def test_a_copy_that_is_not_alike_is_not_switched_to(cells, filled):
    stopped_at(cells, filled, "comparing")
    with connected(cells["b"].admin_url) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('rayces.moving', %s, false)", (str(filled.id),))
        cursor.execute("UPDATE students SET first_name = 'forged' WHERE organization_id = %s", (filled.id,))
    with pytest.raises(MoveError, match=r"stands at 'copied'.*\(students\).*rayces move cancel"):
        cells.move(filled.subdomain, to="b")
    assert cells.placement(filled.id).cell == "a"
    cells.cancel_move(filled.subdomain)


def test_an_id_of_another_organization_is_never_overwritten(cells, north):
    """Another one has its id over there, which only somebody's SQL can have made."""
    with connected(cells["b"].admin_url) as connection:
        connection.cursor().execute(
            "INSERT INTO organizations (id, name, subdomain) VALUES (%s, 'Other', %s)", (north.id, f"o{north.id}")
        )
    with pytest.raises(MoveError, match=r"an organization \d+ of its own"):
        cells.move(north.subdomain, to="b")
    with pytest.raises(MoveError, match="at home in that cell"):
        cells.cancel_move(north.subdomain)
    with connected(cells["b"].admin_url) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('rayces.moving', %s, false)", (str(north.id),))
        cursor.execute("DELETE FROM organizations WHERE id = %s", (north.id,))
    cells.cancel_move(north.subdomain)


def test_who_and_where_to_is_checked_first(cells, north):
    with pytest.raises(UnknownTenantError):
        cells.move("nowhere", to="b")
    with pytest.raises(CellError, match="no cell 'z'"):
        cells.move(north.subdomain, to="z")
    with pytest.raises(MoveError, match="lives in cell 'a' already"):
        cells.move(north.subdomain, to="a")
    with pytest.raises(MoveError, match="no move of"):
        cells.finish_move(north.subdomain, grace=NOW)


def test_a_tenant_on_its_way_is_not_renamed(cells, filled):
    stopped_at(cells, filled, "comparing")
    with pytest.raises(CellError, match="is being moved"):
        cells.rename(filled.subdomain, "elsewhere")
    cells.cancel_move(filled.subdomain)


def test_while_one_process_moves_it_another_is_told_so(cells, filled, monkeypatch):
    monkeypatch.setattr("rayces_core.cells.catalogue.LOCK_SECONDS", 0.2)

    def meanwhile(said: str) -> None:
        if said.startswith("comparing"):
            with pytest.raises(MoveError, match="somebody else makes, renames or moves"):
                cells.move(filled.subdomain, to="b")

    cells.move(filled.subdomain, to="b", progress=meanwhile)
    cells.finish_move(filled.subdomain, grace=NOW)


def test_a_process_that_believed_the_old_cell_looks_anew(cells, filled):
    """As another process has it, that has just looked the tenant up, in the catalogue and in the cell."""
    urls = {name: database.url for name, database in cells.items()}
    with Cells(urls, catalogue="a", trusted_seconds=60) as stale:
        find = stale._catalogue.find
        stale._catalogue.find = lambda key: (find(key)[0], 60.0)
        with stale.tenant(filled.subdomain):
            pass
        cells.move(filled.subdomain, to="b")
        stale["a"].engine.forget_organizations()
        with stale.tenant(filled.subdomain):
            assert stale["b"].organization_id == filled.id
            make_student()
    cells.finish_move(filled.subdomain, grace=NOW)


class TestTablesOfTheHost:
    @pytest.fixture(scope="class")
    @classmethod
    def hosts(cls, create_database, template) -> Iterator[Cells]:
        with Cells({name: create_database(template) for name in "ab"}, catalogue="a", trusted_seconds=0) as made:
            for database in made:
                hosting.host(database.url, ";".join(making for making, _, _ in hosting.SHAPES.values()))
            with pytest.raises(CellError, match=r"tickets\.nr: ids of moved tenants do not fit") as refused:
                made.migrate()
            assert [result.state for result in refused.value.results] == ["failed", "not tried"]
            mending = str(refused.value).partition("do not fit; ")[2]  # what it says is what helps
            for database in made:
                on_server(database.url, mending)
            made.migrate()
            yield made

    def test_they_are_moved_as_they_are_what_archives_leave_behind_included(self, hosts):
        tenant = make_tenant(hosts)
        hosting.filled(hosts["a"], tenant, [filling for _, filling, _ in hosting.SHAPES.values()])

        def rows_there(cell: str) -> dict[str, list[object]]:
            with connected(hosts[cell].admin_url) as connection:
                return {
                    table.name: rows(connection, f"SELECT to_jsonb(t)::text {of} ORDER BY 1")
                    for table in moved_tables(hosts[cell])[1:]
                    for of in [f"FROM {table.sql} t WHERE organization_id = {tenant.id}"]
                }

        before = rows_there("a")
        move = hosts.move(tenant.subdomain, to="b")
        assert rows_there("b") == before
        expected = {name: count for _, _, rows_of_it in hosting.SHAPES.values() for name, count in rows_of_it.items()}
        assert {name: len(before[name]) for name in expected} == expected
        assert len(move.checksums) > len(TENANT_MODELS) + 10
        assert {"caches", "gates"} <= set(move.checksums)
        hosts.finish_move(tenant.subdomain, grace=NOW)
        assert not any(rows_there("a").values())


def test_cells_whose_tables_differ_move_nothing(own_cells):
    tenant = make_tenant(own_cells)
    on_server(own_cells["a"].url, "ALTER TABLE students ADD COLUMN shoe_size bigint")
    with pytest.raises(MoveError, match=r"not those of the tenant's own \(students\).*rayces cells migrate"):
        own_cells.move(tenant.subdomain, to="b")
    assert own_cells.moves() == []
    with own_cells.tenant(tenant.subdomain):
        make_student()


def test_a_sequence_out_of_its_range_is_refused_before_anything(own_cells):
    tenant = make_tenant(own_cells)
    on_server(
        own_cells["b"].url, "ALTER TABLE students ALTER COLUMN id SET MINVALUE 1 SET MAXVALUE 9000000000000000000"
    )
    with pytest.raises(MoveError, match=r"ids to rows of students.id; run `rayces cells migrate`"):
        own_cells.move(tenant.subdomain, to="b")
    own_cells.migrate()
    own_cells.move(tenant.subdomain, to="b")
