"""A tenant is moved with all it has: ids, ledger, journal, messages, the host's tables; and it may be undone."""

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
from psycopg2 import Error
from psycopg2.extensions import cursor as Cursor

from rayces_core import Database, Organization, Role, StateTransition, Student, User, archive, credits, people
from rayces_core.cells import Cells, connecting
from rayces_core.cells.connecting import connected, rows, unit
from rayces_core.cells.freezing import held_tenants
from rayces_core.cells.tables import MESSAGES, moved_tables
from rayces_core.doctor.numbers import behind
from rayces_core.errors import (
    CellError,
    InactiveTenantError,
    MoveError,
    PermissionDeniedError,
    TenantMovedError,
    TenantMovingError,
    UnknownTenantError,
)
from rayces_core.migrations.session import connected as connected_runner
from rayces_core.models import TENANT_MODELS
from tests.archive import hosting
from tests.cells.conftest import everything, make_tenant
from tests.conftest import on_server
from tests.exporting.worlds import fill
from tests.factory import make_student, make_user
from tests.patience import wait_until
from tests.sizes import first

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


@pytest.mark.slow
@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize(
    "bind",
    [
        Cells.tenant,
        lambda cells, tenant: cells["a"].tenant(tenant),
        lambda cells, tenant: cells["a"].tenant(tenant, read_only=True),
    ],
    ids=["found", "in a", "in a, to read"],
)
def test_a_block_that_outlives_the_move_reads_no_old_copy(cells, filled, is_finished, bind):
    with bind(cells, filled):
        assert Student.select().count() == 1
        move_meanwhile(cells, filled, finish=is_finished)
        for read in (Student.get, lambda: list(User.select()), cells["a"].atomic().__enter__):
            with pytest.raises(TenantMovedError) as refused:
                read()
            assert refused.value.cell == "b"
    with cells.tenant(filled):
        assert Student.select().count() == 1


@pytest.mark.slow
def test_a_unit_of_one_moment_goes_on_reading_what_there_was_then(cells, filled):
    stopped_at(cells, filled, "comparing")
    with cells.tenant(filled), cells["a"].atomic("REPEATABLE READ"):
        assert Student.select().count() == 1
        move_meanwhile(cells, filled, finish=False)
        assert Student.select().count() == 1
        assert User.select().count() == 1, "of a table that it had not read before as well"


@pytest.mark.slow
def test_any_other_unit_is_told_at_its_next_statement(cells, filled):
    stopped_at(cells, filled, "comparing")
    with cells.tenant(filled), pytest.raises(TenantMovedError) as refused, cells["a"].atomic():
        assert Student.select().count() == 1
        move_meanwhile(cells, filled, finish=False)
        Student.select().count()
    assert refused.value.cell == "b"


@pytest.mark.slow
@pytest.mark.parametrize("level", [None, "REPEATABLE READ"])
def test_the_old_copy_is_not_deleted_from_under_a_unit_of_work(cells, filled, level, monkeypatch):
    monkeypatch.setattr("rayces_core.cells.freezing.PATIENCE_SECONDS", 0.5)
    with cells.tenant(filled):
        with suppress(TenantMovedError), cells["a"].atomic(level):
            process = cells["a"].engine.connection().get_backend_pid()
            move_meanwhile(cells, filled, finish=False)
            with pytest.raises(MoveError, match=rf"go on in cell 'a' \(processes [\d, ]*{process}.*find its rows gone"):
                cells.finish_move(filled.subdomain, grace=NOW)
            assert User.select().count() == 1
    assert sum(map(len, rows_in(cells, "a", filled).values()))
    assert cells.finish_move(filled.subdomain, grace=NOW).step == "finished"


@pytest.mark.slow
def test_finishing_waits_for_a_unit_of_work_that_ends(cells, filled):
    cells.move(filled.subdomain, to="b")
    with connected(cells["a"].url) as connection:
        connection.cursor().execute("BEGIN")
        ended = threading.Event()

        def end() -> None:
            ended.set()
            connection.cursor().execute("COMMIT")

        ending = threading.Timer(0.5, end)
        cells.finish_move(
            filled.subdomain, grace=NOW, progress=lambda said: ending.start() if said.startswith("waiting") else None
        )
        assert ended.is_set()
        ending.join()


class Sent(Cursor):
    """Counts what the mover's own connections send."""

    number = 0

    def execute(self, *words: object) -> None:
        Sent.number += 1
        super().execute(*words)

    def copy_expert(self, *words: object) -> None:
        Sent.number += 1
        super().copy_expert(*words)


@pytest.mark.slow
def test_a_move_sends_nothing_for_tables_without_rows_and_changes_some_tables_at_once(cells, filled, monkeypatch):
    connect = connecting.connect

    def counted(*words: str):
        connection = connect(*words)
        connection.cursor_factory = Sent
        return connection

    monkeypatch.setattr(connecting, "connect", counted)
    Sent.number = 0
    move = cells.move(filled.subdomain, to="b")
    assert len(move.checksums) > 30
    assert Sent.number < 150
    Sent.number = 0
    cells.finish_move(filled.subdomain, grace=NOW)
    assert Sent.number < 60


@pytest.mark.slow
def test_a_table_that_is_locked_keeps_none_beside_it_from_being_held(cells, filled, monkeypatch):
    """They are changed one after the other then, as far as that one."""
    monkeypatch.setattr("rayces_core.cells.freezing.PATIENCE_SECONDS", 0.2)
    with connected(cells["a"].admin_url) as connection:

        def lock(said: str) -> None:
            if said.startswith("holding"):
                connection.cursor().execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")

        with pytest.raises(MoveError, match="somebody has kept users locked"):
            cells.move(filled.subdomain, to="b", progress=lock)
        with connected(cells["a"].admin_url) as another:
            held = held_tenants(another)[filled.id]
    assert "users" not in held
    assert {"organizations", "professionals", "students"} <= set(held)
    cells.cancel_move(filled.subdomain)


class TestTheDatabasesOwnWall:
    """Whoever asks the old cell itself, past all that Python knows, such as an application that knows no cells."""

    @pytest.fixture
    def raw(self, cells, filled):
        with connected(cells["a"].url) as connection:

            def run(sql: str, tenant: int = filled.id) -> list[object]:
                bound = f"SET LOCAL ROLE rayces_app; SET LOCAL rayces.organization_id TO '{tenant}'"
                with unit(connection, local=(bound,)) as cursor:
                    cursor.execute(sql)
                    return cursor.fetchall() if cursor.description else []

            yield run

    @pytest.fixture
    def moved(self, cells, filled, raw):
        cells.move(filled.subdomain, to="b")
        yield filled
        cells.finish_move(filled.subdomain, grace=NOW)

    @pytest.mark.slow
    @pytest.mark.parametrize("table", sorted(model._meta.table_name for model in TENANT_MODELS))
    def test_no_table_of_the_old_copy_is_read_the_empty_ones_neither(self, raw, moved, table):
        with pytest.raises(TenantMovedError) as refused:
            raw(f"SELECT count(*) FROM {table}")
        assert (refused.value.tenant, refused.value.cell) == (moved.subdomain, "b")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM posts",
            "UPDATE posts SET content = ''",
            "SELECT FROM students WHERE id = -1",
            "SELECT FROM posts WHERE id = -1 LIMIT 1",
            "SELECT EXISTS (SELECT FROM posts)",
            "SELECT FROM organizations o LEFT JOIN posts p ON p.organization_id = o.id",
            "INSERT INTO likes (organization_id, user_id, post_id) SELECT organization_id, id, 1 FROM users",
        ],
    )
    def test_no_statement_gets_past_it(self, raw, moved, sql):
        with pytest.raises(TenantMovedError):
            raw(sql)

    @pytest.mark.slow
    def test_no_other_way_of_writing_the_tenants_number_does(self, cells, moved):
        with connected(cells["a"].url) as connection, pytest.raises(TenantMovedError):
            rows(
                connection,
                f"SET LOCAL ROLE rayces_app; SET LOCAL rayces.organization_id TO ' 0{moved.id} '; SELECT FROM users",
            )

    @pytest.mark.slow
    def test_a_database_that_knows_no_cells_is_told_in_a_block_that_goes_on(self, cells, filled):
        with Database.connect(cells["a"].url) as plain, plain.tenant(filled.id):
            assert Student.select().count() == 1
            move_meanwhile(cells, filled, finish=False)
            for read in (Student.get, plain.atomic()(Student.get)):
                with pytest.raises(TenantMovedError):
                    read()
        cells.finish_move(filled.subdomain, grace=NOW)

    @pytest.mark.slow
    def test_a_process_that_believes_the_old_place_for_too_long_is_told(self, cells, filled):
        urls = {name: database.url for name, database in cells.items()}
        with Cells(urls, catalogue="a", trusted_seconds=60) as stale:
            find = stale._catalogue.find
            stale._catalogue.find = lambda key: (find(key)[0], 60.0)
            with stale.tenant(filled.subdomain):
                cells.move(filled.subdomain, to="b")
                with pytest.raises(TenantMovedError):
                    Student.get()
        cells.finish_move(filled.subdomain, grace=NOW)

    @pytest.mark.slow
    def test_others_are_asked_nothing_and_privileged_work_sees_both(self, cells, raw, moved):
        other = make_tenant(cells)
        with cells.tenant(other):
            make_student()
        assert raw("SELECT count(*) FROM students", other.id) == [(1,)]
        with cells["a"].privileged(reason="test"):
            assert {moved.id, other.id} <= {each.organization_id for each in Student.select()}

    @pytest.mark.slow
    def test_a_login_that_inherits_both_roles_is_told_and_not_shown_less(self, cells, raw, moved):
        """As the owner's before PostgreSQL 16: rows of other tenants would be passed over without a word."""
        login = f"inheriting_{moved.id}"
        on_server(cells["a"].url, f"CREATE ROLE {login} INHERIT IN ROLE rayces_app, rayces_admin")
        try:
            with connected(cells["a"].url) as connection:
                with pytest.raises(PermissionDeniedError, match="is being moved"):
                    rows(connection, f"SET LOCAL ROLE {login}; SELECT FROM students")
                assert rows(connection, f"SET LOCAL ROLE {login}; SET LOCAL ROLE rayces_admin; SELECT id FROM students")
        finally:
            on_server(cells["a"].url, f"DROP ROLE {login}")

    @pytest.mark.slow
    def test_nothing_of_it_is_left_when_the_move_is_over(self, cells, filled):
        stopped_at(cells, filled, "comparing")
        cells.cancel_move(filled.subdomain)
        cells.move(filled.subdomain, to="b")
        cells.finish_move(filled.subdomain, grace=NOW)
        for database in cells:
            with connected(database.admin_url) as connection:
                of_moves = f"SELECT polname FROM pg_policy WHERE polname ~ '^rayces_moving_{filled.id}'"
                assert rows(connection, of_moves) == []


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
            before = everything()
        return tenant, before, cells.move(tenant.subdomain, to="b")

    @pytest.mark.slow
    def test_every_row_is_there_with_its_id(self, cells, moved):
        tenant, before, _ = moved
        with cells.tenant(tenant.subdomain) as bound:
            assert bound.id == tenant.id
            assert cells["b"].organization_id == tenant.id
            assert everything() == before
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

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_and_back_again(self, cells, moved):
        tenant = moved[0]
        if any(move.subdomain == tenant.subdomain for move in cells.moves()):  # where no test before has finished it
            cells.finish_move(tenant.subdomain, grace=NOW)
        with cells.tenant(tenant.subdomain):
            before = everything()
        cells.move(tenant.subdomain, to="a")
        cells.finish_move(tenant.subdomain, grace=NOW)
        with cells.tenant(tenant.subdomain):
            assert everything() == before
            assert make_user().id < 1 << 40
        assert all(each.is_well for each in cells.doctor())


class TestWhileItIsMoved:
    @pytest.fixture(params=["copying organizations", "copying students", "comparing", "switching"])
    def held(self, cells, filled, request):
        stopped_at(cells, filled, request.param)
        yield filled
        cells.cancel_move(filled.subdomain)

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_the_copy_there_is_nobodys_yet(self, cells, filled):
        stopped_at(cells, filled, "comparing")
        cells["b"].engine.forget_organizations()
        with pytest.raises(TenantMovedError) as refused:
            cells["b"].tenant(filled.id).__enter__()
        assert refused.value.cell == "a"
        cells.cancel_move(filled.subdomain)


@pytest.mark.slow
def test_retrying_writes_once_the_move_is_over(cells, filled):
    stopped_at(cells, filled, "comparing")
    tried: list[int] = []

    def write() -> None:
        tried.append(1)
        make_student(first_name="again")

    def cancel() -> None:
        wait_until(lambda: tried)
        cells.cancel_move(filled.subdomain)

    with cells.tenant(filled.subdomain):
        ending = threading.Thread(target=cancel)
        ending.start()
        cells["a"].retrying(attempts=1000, pause_seconds=0.1).run(write)
        ending.join()
        assert Student.select().where(Student.first_name == "again").count() == 1
    assert len(tried) > 1


@pytest.mark.slow
def test_what_reads_for_long_keeps_a_move_from_beginning_and_nobody_from_writing(cells, filled, monkeypatch):
    """As a backup does, which has a lock of every table until its end."""
    monkeypatch.setattr("rayces_core.cells.freezing.PATIENCE_SECONDS", 0.2)
    with connected(cells["a"].admin_url) as connection:
        connection.cursor().execute("BEGIN; SELECT FROM students")
        with pytest.raises(
            MoveError, match=r"stands at 'begun', and .* is written as ever: somebody has kept students"
        ):
            cells.move(filled.subdomain, to="b")
        with cells.tenant(filled):
            make_student()
    cells.move(filled.subdomain, to="b")
    cells.finish_move(filled.subdomain, grace=NOW)


STEPS = ["holding", "copying organizations", "copying users", "comparing", "switching", "waiting"]


@pytest.mark.slow
@pytest.mark.parametrize("what", STEPS)
def test_stopped_anywhere_it_goes_on(cells, filled, what):
    with cells.tenant(filled):
        before = everything()
    stopped_at(cells, filled, what)
    cells.move(filled.subdomain, to="b")
    with cells.tenant(filled.subdomain):
        assert everything() == before
        make_student()
    cells.finish_move(filled.subdomain, grace=NOW)


@pytest.mark.slow
def test_a_table_that_is_made_while_a_move_is_stopped_is_not_left_behind(own_cells):
    """Its rows are not held, nor was it copied."""
    tenant = make_tenant(own_cells)
    stopped_at(own_cells, tenant, "switching")
    for database in own_cells:
        on_server(
            database.url,
            "CREATE TABLE remarks (organization_id bigint REFERENCES organizations, remark text); "
            "GRANT SELECT, INSERT, DELETE ON remarks TO rayces_admin",
        )
    on_server(own_cells["a"].url, f"INSERT INTO remarks VALUES ({tenant.id}, 'late')")
    with pytest.raises(MoveError, match="remarks was made since its rows were held: cancel, and move again"):
        own_cells.move(tenant.subdomain, to="b")
    own_cells.cancel_move(tenant.subdomain)
    assert "remarks" in own_cells.move(tenant.subdomain, to="b").checksums
    with own_cells["b"].privileged(reason="test"):
        assert own_cells["b"].execute_sql("SELECT remark FROM remarks").fetchall() == [("late",)]


@pytest.mark.slow
@pytest.mark.parametrize("what", first(2, STEPS[-2::-1]))
def test_until_the_switch_it_is_cancelled_and_nothing_is_left(cells, filled, what):
    with cells.tenant(filled):
        before = everything()
    stopped_at(cells, filled, what)
    assert cells.cancel_move(filled.subdomain).step == "cancelled"
    assert sum(map(len, rows_in(cells, "b", filled).values())) == 0
    assert cells["b"].find_tenant(filled.id) is None
    with cells.tenant(filled.subdomain):
        assert everything() == before
        make_student()
    for database in cells:
        with connected(database.admin_url) as connection:
            assert filled.id not in held_tenants(connection)
    with pytest.raises(MoveError, match="no move of"):
        cells.cancel_move(filled.subdomain)


@pytest.mark.slow
def test_cancelling_that_was_stopped_goes_on_by_cancelling_alone(cells, filled):
    stopped_at(cells, filled, "comparing")
    with pytest.raises(Stopped):
        cells.cancel_move(filled.subdomain, progress=stopping_at("deleting"))
    with pytest.raises(MoveError, match="is being cancelled"):
        cells.move(filled.subdomain, to="b")
    cells.cancel_move(filled.subdomain)
    with cells.tenant(filled.subdomain):
        make_student()


@pytest.mark.slow
def test_finishing_that_was_stopped_goes_on(cells, filled):
    cells.move(filled.subdomain, to="b")
    with pytest.raises(Stopped):
        cells.finish_move(filled.subdomain, grace=NOW, progress=stopping_at("deleting"))
    assert cells.finish_move(filled.subdomain, grace=NOW).step == "finished"


@pytest.mark.slow
def test_a_tenant_that_is_switched_off_is_moved_and_stays_off(cells, filled):
    with cells["a"].privileged(reason="test"):
        Organization.update(active=False).where(Organization.id == filled.id).execute()
    cells.move(filled.subdomain, to="b")
    with pytest.raises(InactiveTenantError):
        cells.tenant(filled.subdomain).__enter__()
    assert cells.find_tenant(filled.subdomain).active is False
    cells.finish_move(filled.subdomain, grace=NOW)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_id_of_another_organization_is_never_overwritten(cells, north):
    """Another one has its id over there, which only somebody's SQL can have made, after the move had begun."""
    stopped_at(cells, north, "holding")
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


@pytest.mark.slow
def test_a_tenant_on_its_way_is_not_renamed(cells, filled):
    stopped_at(cells, filled, "comparing")
    with pytest.raises(CellError, match="is being moved"):
        cells.rename(filled.subdomain, "elsewhere")
    cells.cancel_move(filled.subdomain)


@pytest.mark.slow
def test_one_that_is_renamed_while_its_old_copy_is_left_is_finished_by_its_new_name(cells, filled):
    old, new = filled.subdomain, f"{filled.subdomain}-new"
    cells.move(old, to="b")
    cells.rename(old, new)
    assert [move.step for move in cells.moves() if move.subdomain == new] == ["opened"]
    other = cells.create_organization("Another", subdomain=old, cell="b")
    with pytest.raises(MoveError, match=f"'a' has an organization {filled.id} of its own"):
        cells.move(old, to="a")
    with cells.tenant(other):
        make_student()  # nothing holds it
    with pytest.raises(MoveError, match="no move of"):
        cells.finish_move(old, grace=NOW)
    assert cells.finish_move(new, grace=NOW).step == "finished"
    assert cells.move(old, to="a").tenant_id == other.id
    cells.finish_move(old, grace=NOW)


@pytest.mark.slow
def test_while_one_process_moves_it_another_is_told_so(cells, filled, monkeypatch):
    monkeypatch.setattr("rayces_core.cells.catalogue.LOCK_SECONDS", 0.2)

    def meanwhile(said: str) -> None:
        if said.startswith("comparing"):
            with pytest.raises(MoveError, match="somebody else makes, renames or moves"):
                cells.move(filled.subdomain, to="b")

    cells.move(filled.subdomain, to="b", progress=meanwhile)
    cells.finish_move(filled.subdomain, grace=NOW)


@pytest.mark.slow
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

    @pytest.mark.slow
    def test_they_are_moved_as_they_are_what_archives_leave_behind_included(self, hosts):
        tenant = make_tenant(hosts)
        hosting.filled(hosts["a"], tenant, [filling for _, filling, _ in hosting.SHAPES.values()])

        def rows_there(cell: str) -> dict[str, list[object]]:
            with connected(hosts[cell].admin_url) as connection:
                return {
                    table.name: rows(connection, f"SELECT ({row})::text {of} ORDER BY 1")
                    for table in moved_tables(hosts[cell])[1:]
                    for row in ["to_jsonb(t)" if table.name != MESSAGES else "to_jsonb(t) - 'id'"]
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


class TestWhatHangsOnATenant:
    """Tables of the host without organization_id, whose rows refer to a tenant's."""

    @pytest.fixture
    def hung(self, own_cells):
        for database in own_cells:
            on_server(
                database.url,
                "CREATE TABLE photos (id bigint PRIMARY KEY, whose bigint, child bigint, FOREIGN KEY (whose, child) "
                "REFERENCES students (organization_id, id) ON DELETE CASCADE); "
                "CREATE TABLE contracts (centre bigint REFERENCES organizations)",
            )
        tenant, other = make_tenant(own_cells), make_tenant(own_cells)
        with own_cells.tenant(tenant):
            make_student()
        return own_cells, tenant, other

    def hang(self, cells, tenant) -> None:
        photo = f"SELECT id, organization_id, id FROM students WHERE organization_id = {tenant.id}"
        on_server(cells["a"].url, f"INSERT INTO photos {photo}; INSERT INTO contracts VALUES ({tenant.id})")

    @pytest.mark.slow
    def test_it_is_refused_by_name_before_anything_and_others_are_moved(self, hung):
        cells, tenant, other = hung
        self.hang(cells, tenant)
        with pytest.raises(MoveError, match=rf"rows of contracts, photos refer to rows of {tenant.subdomain}"):
            cells.move(tenant.subdomain, to="b")
        assert cells.moves() == []
        cells.move(other.subdomain, to="b")
        on_server(cells["a"].url, "DELETE FROM photos; DELETE FROM contracts")
        assert cells.move(tenant.subdomain, to="b").step == "opened"

    @pytest.mark.slow
    def test_what_is_hung_on_it_meanwhile_is_not_deleted_with_the_old_copy(self, hung):
        cells, tenant, _ = hung
        stopped_at(cells, tenant, "holding its rows")
        self.hang(cells, tenant)
        with pytest.raises(MoveError, match=r"stands at 'frozen'.*rows of contracts, photos"):
            cells.move(tenant.subdomain, to="b")
        on_server(cells["a"].url, "DELETE FROM photos; DELETE FROM contracts")
        cells.move(tenant.subdomain, to="b")
        self.hang(cells, tenant)
        with pytest.raises(MoveError, match="rows of contracts, photos"):
            cells.finish_move(tenant.subdomain, grace=NOW)
        with connected(cells["a"].admin_url) as connection:
            assert rows(connection, "SELECT count(*) FROM photos") == [(1,)]

    @pytest.mark.slow
    def test_a_row_that_all_share_has_to_be_in_the_other_cell_too(self, own_cells):
        for database in own_cells:
            on_server(
                database.url,
                "CREATE TABLE rates (code text PRIMARY KEY); COMMENT ON TABLE rates IS 'rayces: shared'; "
                "ALTER TABLE students ADD COLUMN rate text REFERENCES rates; GRANT SELECT (rate), INSERT (rate), "
                "UPDATE (rate) ON students TO rayces_admin",
            )
        tenant = make_tenant(own_cells)
        with own_cells.tenant(tenant):
            make_student()
        rated = f"UPDATE students SET rate = 'half' WHERE organization_id = {tenant.id}"
        on_server(own_cells["a"].url, f"INSERT INTO rates VALUES ('half'); {rated}")
        with pytest.raises(
            MoveError, match=r"stands at 'frozen'.*students\.rate names a row that does.*rayces move cancel"
        ):
            own_cells.move(tenant.subdomain, to="b")
        on_server(own_cells["b"].url, "INSERT INTO rates VALUES ('half')")
        own_cells.move(tenant.subdomain, to="b")
        with connected(own_cells["b"].admin_url) as connection:
            assert rows(connection, "SELECT rate FROM students") == [("half",)]


SEAT = "appointments_organization_id_group_session_id_student_id_key"
ALIKE = "shoe_like bigint GENERATED ALWAYS AS (shoe + {}) STORED"
NOTED = "INSERT INTO app_migrations (name, checksum, state, version)"
# Columns of the host's, and its own migrations.
OF_A_HOST = f"""
CREATE DOMAIN shoe AS bigint CHECK (value > 0);
CREATE TYPE colour AS ENUM ('red');
ALTER TABLE students ADD shoe shoe, ADD colour colour, ADD {ALIKE.format(0)};
GRANT SELECT (shoe, colour, shoe_like), INSERT (shoe, colour), UPDATE (shoe, colour) ON students TO rayces_admin;
CREATE TABLE app_migrations (LIKE rayces_migrations INCLUDING ALL);
GRANT SELECT ON app_migrations TO rayces_admin;
{NOTED} VALUES ('001_shoes', '', 'applied', '')
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "sql", "words"),
    [
        ("a", "ALTER TABLE students ADD COLUMN shoe_size bigint", "tables of cell 'b' are not .*(students)"),
        ("b", "ALTER TABLE posts ADD CHECK (content <> '')", "tables of cell 'b' are not .*(posts)"),
        ("b", "CREATE UNIQUE INDEX ON posts (organization_id, content)", "tables of cell 'b' are not .*(posts)"),
        ("a", f"DROP INDEX {SEAT}", "tables of cell 'b' are not .*(appointments)"),
        ("a", f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{SEAT}'::regclass", "not .*(appointments)"),
        ("b", "ALTER TABLE posts ADD EXCLUDE USING gist (organization_id WITH =, id WITH =)", "are not .*(posts)"),
        ("b", "ALTER TABLE students ALTER grade_level SET NOT NULL", "tables of cell 'b' are not .*(students)"),
        ("b", "ALTER DOMAIN shoe ADD CHECK (value < 50)", "tables of cell 'b' are not .*(students)"),
        ("b", "ALTER TYPE colour ADD VALUE 'blue'", "tables of cell 'b' are not .*(students)"),
        ("a", f"ALTER TABLE students DROP shoe_like, ADD {ALIKE.format(1)}", "tables of cell 'b' are not .*(students)"),
        ("b", "UPDATE rayces_migrations SET state = 'running' WHERE name LIKE '064%'", "the same migrations .*(064_"),
        ("b", f"{NOTED} VALUES ('002_rooms', '', 'applied', '')", "the same migrations .*(app_migrations: 002_rooms)"),
    ],
    ids=[
        "by a column",
        "by a CHECK alone",
        "by a unique index alone",
        "by one that is missing",
        "by one that does not hold for all rows",
        "by an exclusion constraint",
        "by NOT NULL",
        "by a domain's CHECK",
        "by what an enum has",
        "by how a column is generated",
        "by how far they are migrated",
        "by how far the host's own migrations are",
    ],
)
def test_cells_that_differ_move_nothing_and_hold_nothing(own_cells, cell, sql, words):
    for database in own_cells:
        on_server(database.url, OF_A_HOST)
    tenant = make_tenant(own_cells)
    on_server(own_cells[cell].url, sql)
    with pytest.raises(MoveError, match=f"{re.escape(words).replace(re.escape('.*'), '.*')}.*rayces cells migrate"):
        own_cells.move(tenant.subdomain, to="b")
    assert own_cells.moves() == []
    with own_cells.tenant(tenant.subdomain):
        make_student()


@pytest.mark.slow
def test_a_sequence_out_of_its_range_is_refused_before_anything(own_cells):
    tenant = make_tenant(own_cells)
    on_server(
        own_cells["b"].url, "ALTER TABLE students ALTER COLUMN id SET MINVALUE 1 SET MAXVALUE 9000000000000000000"
    )
    with pytest.raises(MoveError, match=r"ids to rows of students.id; run `rayces cells migrate`"):
        own_cells.move(tenant.subdomain, to="b")
    own_cells.migrate()
    own_cells.move(tenant.subdomain, to="b")


@pytest.mark.slow
def test_an_archive_restores_the_journal_of_two_cells_as_history_tells_it(own_cells, tmp_path):
    """What the lower cell wrote later comes after what the higher one wrote, and other subjects keep their places."""
    tenant = make_tenant(own_cells, cell="b")
    with own_cells.tenant(tenant):
        students = [make_student(), make_student()]
        for student in students:
            student.apply()
    own_cells.move(tenant.subdomain, to="a")
    with own_cells.tenant(tenant.subdomain):
        Student.get_by_id(students[0].id).admit()
        told = [[change.event for change in each.history()] for each in Student.select().order_by(Student.id)]
        assert told == [["apply", "admit"], ["apply"]]
        archive.write(tmp_path / "north.zip")
    again = archive.restore(own_cells["b"], tmp_path / "north.zip", subdomain="again")
    with own_cells["b"].tenant(again.organization):
        by_id = StateTransition.select().order_by(StateTransition.id)
        for student, events in zip(Student.select().order_by(Student.id), told, strict=True):
            assert [change.event for change in student.history()] == events
            assert [change.event for change in by_id if change.subject_id == student.id] == events
        assert archive.content_checksum() == again.content_sha256


@pytest.mark.slow
def test_who_was_erased_or_merged_is_moved_as_such_and_others_are_erased_there(cells, north):
    with cells.tenant(north):
        desk, gone, duplicate, stays = (make_user(role=role) for role in (Role.STAFF, *3 * [Role.GUARDIAN]))
        child, other = make_student(primary_contact=gone), make_student(primary_contact=stays)
        credits.purchase(duplicate, 3)
        people.merge_users(stays, duplicate, by=desk)
        people.erase_student(cells["a"], child, by=desk)
        people.erase_user(cells["a"], gone, by=desk)
        before = everything()
    cells.move(north.subdomain, to="b")
    with cells.tenant(north.subdomain):
        assert everything() == before
        assert people.person_behind(User.get_by_id(duplicate.id)).id == stays.id
        people.erase_student(cells["b"], Student.get_by_id(other.id), by=User.get_by_id(desk.id))
        assert not credits.verify().discrepancies


@pytest.mark.slow
def test_what_writes_many_rows_at_once_is_refused_whole(cells, filled):
    stopped_at(cells, filled, "comparing")
    with cells.tenant(filled):
        before, payer = everything(), User.get()
        with pytest.raises(TenantMovingError):
            credits.purchase_many([{"user": payer, "credits": 1}] * 20)
        with connected(cells["a"].admin_url) as connection, pytest.raises(Error) as refused:
            lines = "".join(f"{filled.id}\t{name}\tSosa\n" for name in ("Luz", "Ana"))
            copying = "COPY students (organization_id, first_name, last_name) FROM STDIN"
            connection.cursor().copy_expert(copying, StringIO(lines))
        assert refused.value.pgcode == "RYMNG"
        assert everything() == before
