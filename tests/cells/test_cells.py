"""Cells: a tenant is found in its cell, names are unique over all of them, and no unit of work spans two."""

import asyncio
import threading

import pytest

from rayces_core import Cells, Database, Organization, Student, User
from rayces_core.errors import (
    CellError,
    CellSwitchError,
    CheckFailedError,
    ConfigurationError,
    DuplicateError,
    EventLoopError,
    InactiveTenantError,
    TenantNotCachedError,
    TenantNotSetError,
    TenantSwitchError,
    UnknownTenantError,
)
from tests.cells.conftest import make_tenant
from tests.factory import make_student, make_user


def test_a_tenant_is_bound_in_its_own_cell(cells, north):
    south = make_tenant(cells, cell="b")
    with cells.tenant(north.subdomain) as bound:
        make_student(first_name="Norte")
        assert bound.id == north.id
        assert cells["a"].organization_id == north.id
    with cells.tenant(south.id):
        make_student(first_name="Sur")
        assert [student.first_name for student in Student.select()] == ["Sur"]
    with cells["a"].tenant(north.id):
        assert [student.first_name for student in Student.select()] == ["Norte"]


@pytest.mark.parametrize("key", ["subdomain", "SUBDOMAIN", "id", "organization"])
def test_a_tenant_is_found_by_whatever_names_it(cells, north, key):
    given = {"subdomain": north.subdomain, "SUBDOMAIN": f" {north.subdomain.upper()} ", "id": north.id}
    with cells.tenant(given.get(key, north)) as bound:
        assert bound.subdomain == north.subdomain
    assert cells.find_tenant(given.get(key, north.id)).id == north.id


@pytest.mark.parametrize("key", ["nowhere", 7_777_777, "no'where\"; --", "a\0", "\ud800", -1, 2**70])
def test_who_is_nowhere_is_unknown(cells, key):
    with pytest.raises(UnknownTenantError):
        cells.tenant(key).__enter__()
    assert cells.find_tenant(key) is None


@pytest.mark.parametrize("key", [True, 1.5, None, ("a",)])
def test_what_is_no_name_is_unknown(cells, key):
    with pytest.raises(UnknownTenantError):
        cells.tenant(key).__enter__()


def test_who_is_switched_off_is_inactive(cells, north):
    with cells["a"].privileged(reason="test"):
        Organization.update(active=False).where(Organization.id == north.id).execute()
    cells["a"].engine.forget_organizations()
    with pytest.raises(InactiveTenantError):
        cells.tenant(north.subdomain).__enter__()


def test_an_event_loop_is_told_of_what_was_not_looked_up(cells, north, own_reading):
    with pytest.raises(TenantNotCachedError):
        own_reading.tenant(north.subdomain, cached_only=True).__enter__()
    with own_reading.tenant(north.subdomain):
        pass
    with own_reading.tenant(north.subdomain, cached_only=True) as bound:
        assert bound.id == north.id


def test_an_event_loop_that_is_not_to_wait_is_refused_a_look_up(cells, north):
    urls = {name: database.url for name, database in cells.items()}
    with Cells(urls, catalogue="a", in_event_loop="refuse") as strict:

        async def look() -> None:
            strict.tenant(north.subdomain).__enter__()

        with pytest.raises(EventLoopError):
            asyncio.run(look())


@pytest.fixture
def own_reading(cells):
    """The shared cells as another process has them, which trusts what it has looked up."""
    with Cells({name: database.url for name, database in cells.items()}, catalogue="a", trusted_seconds=30) as made:
        made._catalogue.find = lambda key, find=made._catalogue.find: (find(key)[0], 30.0)
        yield made


def test_what_was_looked_up_is_not_asked_again(own_reading, north):
    asked = []
    find = own_reading._catalogue.find
    own_reading._catalogue.find = lambda key: asked.append(key) or find(key)
    for _ in range(3):
        with own_reading.tenant(north.subdomain):
            pass
        assert own_reading.find_tenant("nobody-there") is None
    assert asked == [north.subdomain, "nobody-there"]


def test_a_block_is_a_decorator_and_serves_threads(cells, north):
    @cells.tenant(north.subdomain)
    def count() -> int:
        return Student.select().count()

    found = []
    threads = [threading.Thread(target=lambda: found.append(count())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 0, 0]


def test_statements_of_every_cell_are_told(own_cells):
    seen = []
    own_cells.on_query(lambda query: seen.append((query.table, query.organization_id)))
    made = [make_tenant(own_cells, cell=cell) for cell in ("a", "b")]
    for tenant in made:
        with own_cells.tenant(tenant):
            Student.select().count()
    assert {("students", tenant.id) for tenant in made} <= set(seen)


# What only one database has, and where it is asked for with cells.
OF_ONE_DATABASE = {
    "connect": "Cells(...)", "embedded": "Cells(...)", "beside": "cells[name]", "reader": "cells[name]",
    "reads_only": "cells[name]", "privileged": "each of the cells", "migration_status": "each of the cells",
    "pool_status": "each of the cells", "interruptible": "cells[name]", "use": "cells[name]", "rollback": "cells[name]",
}  # fmt: skip


def test_cells_have_every_name_that_a_database_has_but_those_of_one_alone():
    names = {name for name in dir(Database) if not name.startswith("_")}
    assert names - set(dir(Cells)) == OF_ONE_DATABASE.keys()


class TestUnitsOfWork:
    @pytest.fixture
    def south(self, cells):
        return make_tenant(cells, cell="b")

    def test_another_cells_tenant_is_refused_within_a_unit(self, cells, north, south):
        with cells.tenant(north), cells["a"].atomic():
            make_user(email="kept@example.org")
            with pytest.raises(CellSwitchError) as refused:
                cells.tenant(south).__enter__()
            assert (refused.value.open_cell, refused.value.cell) == ("a", "b")
        with cells.tenant(north):
            assert User.select().count() == 1

    def test_the_unit_is_that_of_the_cell_of_whatever_is_bound(self, cells, north, south):
        for tenant in (north, south):
            told = []
            with cells.tenant(tenant):
                with pytest.raises(ZeroDivisionError), cells.atomic():
                    make_user(email="undone@example.org")
                    cells.on_commit(lambda told=told: told.append("undone"))
                    raise ZeroDivisionError
                with cells.atomic():
                    make_user(email="kept@example.org")
                    cells.on_commit(lambda told=told: told.append("kept"))
                    assert told == []
                assert [user.email for user in User.select()] == ["kept@example.org"]
                assert cells.execute_sql("SELECT email FROM users").fetchall() == [("kept@example.org",)]
                assert (told, cells.organization_id) == (["kept"], tenant.id)
                assert cells.current_tenant.subdomain == tenant.subdomain

    def test_what_is_run_again_is_so_in_the_cell_it_is_called_for(self, cells, north, south):
        attempts = []

        @cells.retrying(pause_seconds=0)
        def save() -> int:
            make_user()
            attempts.append(cells.organization_id)
            if len(attempts) % 2:
                cells.execute_sql("DO $$ BEGIN RAISE deadlock_detected; END $$")
            return User.select().count()

        for tenant in (north, south):
            with cells.tenant(tenant):
                assert save() == 1
        assert attempts == [north.id, north.id, south.id, south.id]

    def test_there_is_none_without_a_cell(self, cells, db, a):
        assert cells.current_tenant is None
        for begin in (cells.atomic, lambda: cells.execute_sql("SELECT 1"), lambda: cells.on_commit(print)):
            with pytest.raises(TenantNotSetError):
                begin()
            with db.tenant(a), pytest.raises(TenantSwitchError, match="none of these cells"):
                begin()
        with db.tenant(a):
            assert cells.current_tenant is None
        with cells["a"].privileged(reason="test"):
            assert cells.current_tenant is cells.organization_id is None

    def test_so_it_is_by_the_other_cells_database(self, cells, north, south):
        with cells.tenant(south), cells["b"].atomic():
            with pytest.raises(CellSwitchError):
                cells["a"].tenant(north.id).__enter__()

    def test_so_is_privileged_work(self, cells, north):
        with cells.tenant(north), cells["a"].atomic(), pytest.raises(CellSwitchError):
            cells["b"].privileged(reason="test").__enter__()

    def test_so_is_making_a_tenant(self, cells, north):
        with cells.tenant(north), cells["a"].atomic(), pytest.raises(CellSwitchError):
            make_tenant(cells, cell="b")

    def test_the_same_tenant_is_bound_again_within_its_unit(self, cells, north):
        with cells.tenant(north), cells["a"].atomic(), cells.tenant(north.subdomain):
            make_user()
        with cells.tenant(north):
            assert User.select().count() == 1

    def test_another_tenant_of_the_cell_is_refused_as_ever(self, cells, north):
        other = make_tenant(cells)
        with cells.tenant(north), cells["a"].atomic(), pytest.raises(TenantSwitchError):
            cells.tenant(other).__enter__()

    def test_without_a_unit_blocks_of_two_cells_nest(self, cells, north, south):
        with cells.tenant(north):
            with cells.tenant(south):
                make_user(email="there@example.org")
            assert User.select().count() == 0


class TestPlacing:
    @pytest.mark.slow
    def test_a_new_tenant_goes_where_the_fewest_are(self, own_cells):
        placed = [own_cells.placement(make_tenant(own_cells, cell=None).subdomain).cell for _ in range(4)]
        assert placed == ["a", "b", "a", "b"]

    def test_the_rule_may_be_the_hosts(self, cells):
        with Cells(
            {name: database.url for name, database in cells.items()}, catalogue="a", place=lambda tenants: max(tenants)
        ) as hosts:
            made = make_tenant(hosts, cell=None)
            assert hosts.placement(made.id).cell == "b"

    @pytest.mark.parametrize("nonsense", [None, "", 7, ["a"], object()])
    def test_a_rule_that_gives_no_cell_is_refused_and_the_name_free(self, cells, nonsense):
        urls = {name: database.url for name, database in cells.items()}
        with Cells(urls, catalogue="a", place=lambda _: nonsense) as hosts, pytest.raises(CellError, match="no cell"):
            hosts.create_organization("Nowhere", subdomain="nowhere")
        assert cells.placement("nowhere") is None

    @pytest.mark.parametrize("cell", ["a", "b"])
    def test_a_subdomain_is_one_tenants_in_all_cells(self, cells, north, cell):
        with pytest.raises(DuplicateError) as refused:
            cells.create_organization("Twin", subdomain=north.subdomain, cell=cell)
        assert refused.value.fields == ("subdomain",)

    def test_a_name_that_is_refused_is_free_again(self, cells):
        with pytest.raises(CheckFailedError):
            cells.create_organization(" ", subdomain="blank-name")
        assert cells.create_organization("Blank", subdomain="blank-name").subdomain == "blank-name"

    def test_a_cell_that_is_not_there_is_refused(self, cells):
        with pytest.raises(CellError, match="no cell 'z'; there are a, b"):
            make_tenant(cells, cell="z")

    def test_one_that_was_reserved_and_never_made_is_taken_over(self, cells):
        with cells._catalogue.writing() as written:
            written.reserve("half-made", "a")
        assert cells.find_tenant("half-made") is None
        made = cells.create_organization("Half", subdomain="half-made", cell="b")
        assert cells.placement("half-made").cell == "b"
        assert cells["a"].find_tenant("half-made") is None
        with cells.tenant("half-made") as bound:
            assert bound.id == made.id

    def test_one_that_was_made_and_never_noted_is_noted(self, cells):
        with cells._catalogue.writing() as written:
            written.reserve("not-noted", "a")
        made = cells["a"].create_organization("Not noted", subdomain="not-noted")
        with pytest.raises(DuplicateError):
            cells.create_organization("Another", subdomain="not-noted", cell="b")
        with cells.tenant("not-noted") as bound:
            assert bound.id == made.id

    def test_of_many_who_ask_for_a_name_at_once_one_gets_it(self, cells):
        results: list[object] = []

        def ask(cell: str) -> None:
            try:
                results.append(cells.create_organization("Race", subdomain="the-race", cell=cell).id)
            except DuplicateError as error:
                results.append(error)

        threads = [threading.Thread(target=ask, args=("ab"[number % 2],)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(each, int) for each in results) == 1
        assert len(results) == 4


class TestRenaming:
    def test_a_tenant_gets_another_name_in_catalogue_and_cell(self, cells, north):
        with cells.tenant(north):
            make_student()
        new = f"new-{north.id}"
        cells.rename(north.subdomain, new)
        with cells.tenant(new) as bound:
            assert (bound.id, bound.subdomain, Student.select().count()) == (north.id, new, 1)
        with pytest.raises(UnknownTenantError):
            cells.tenant(north.subdomain).__enter__()
        assert make_tenant(cells, cell="b").subdomain != new

    def test_a_name_of_another_cells_tenant_is_refused(self, cells, north):
        south = make_tenant(cells, cell="b")
        with pytest.raises(DuplicateError):
            cells.rename(north.subdomain, south.subdomain)
        with cells.tenant(north.subdomain) as bound:
            assert bound.id == north.id

    def test_a_malformed_name_is_refused_and_free(self, cells, north):
        with pytest.raises(CheckFailedError):
            cells.rename(north.subdomain, "Not A Name")
        assert cells.placement("Not A Name".lower()) is None
        assert [each.subdomain for each in cells.placements() if each.state == "reserved"] == []

    def test_stopped_half_way_it_is_done_again(self, cells, north):
        with cells._catalogue.writing() as written:
            written.reserve("after-all", "a")
        with cells["a"].privileged(reason="test"):
            Organization.update(subdomain="after-all").where(Organization.id == north.id).execute()
        with cells.tenant(north.subdomain):  # by its id, so that nobody waits for the end of it
            pass
        cells.rename(north.subdomain, "after-all")
        with cells.tenant("after-all") as bound:
            assert bound.id == north.id

    def test_nobody_is_renamed(self, cells):
        with pytest.raises(UnknownTenantError):
            cells.rename("nowhere", "somewhere")


def test_privileged_work_over_all_cells_is_a_loop(own_cells):
    for cell in "aab":
        make_tenant(own_cells, cell=cell)
    counted = {}
    for name, database in own_cells.items():
        with database.privileged(reason="test"):
            counted[name] = Organization.select().count()
    assert counted == {"a": 2, "b": 1}
    assert [database.url for database in own_cells] == [own_cells["a"].url, own_cells["b"].url]
    assert (len(own_cells), "a" in own_cells, "z" in own_cells) == (2, True, False)


class TestArguments:
    URL = "postgresql://nobody@localhost/none"

    @pytest.mark.parametrize(
        "databases, catalogue, words",
        [
            ({}, "a", "one cell at least"),
            ({"a": URL}, "z", "no cell's name and no URL"),
            ({"1a": URL}, "1a", "no name of a cell"),
            ({"a b": URL}, "a b", "no name of a cell"),
            ({"a": "mysql://x"}, "a", "only postgresql://"),
            ({"a": {"admin_url": URL}}, "a", "cell 'a' needs a URL"),
            ({"a": 5}, "a", "cell 'a' needs a URL"),
            ({"a": {"url": URL, "engine": "oracle"}}, "a", "engine must be"),
        ],
    )
    def test_malformed_ones_are_refused_at_once(self, databases, catalogue, words):
        with pytest.raises(ConfigurationError, match=words):
            Cells(databases, catalogue=catalogue)

    def test_what_a_cell_says_of_itself_goes_before_what_is_said_of_all(self):
        own = {"url": self.URL, "engine": "citus", "max_connections": 2}
        with Cells({"a": self.URL, "b": own}, catalogue="a", max_connections=5) as made:
            assert [database.max_connections for database in made] == [5, 2]
            assert [database.engine.kind.binds_apart for database in made] == [False, True]

    @pytest.mark.slow
    def test_a_database_that_was_made_is_a_cell(self, make_database, template):
        made = Database.connect(make_database(template), max_connections=3)
        with Cells({"only": made}, catalogue="only") as one:
            one.migrate()
            make_tenant(one, cell=None)
            assert one["only"] is made

    def test_a_file_lists_them(self, cells, cells_file, north):
        with Cells.from_env() as listed, listed.tenant(north.subdomain) as bound:
            assert bound.id == north.id
            assert listed["b"].url == cells["b"].url

    @pytest.mark.parametrize(
        "text, words",
        [
            ("", r"write catalogue = "),
            ('catalogue = "a"', r"write catalogue = "),
            ('catalogue = "a"\ncell = 1\n[cells]\na = "x"', "cell is unknown"),
            ('catalogue = "a"\n[cells]\na = 5', "cell a needs a URL"),
            ('catalogue = "a"\n[cells]\na = "$NOT_SET_AT_ALL"', "NOT_SET_AT_ALL, which is not set"),
            ("catalogue = ", "cannot be read"),
        ],
    )
    def test_a_malformed_file_is_refused(self, tmp_path, text, words):
        path = tmp_path / "cells.toml"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=words):
            Cells.from_file(path)

    def test_an_environment_without_a_file_is_refused(self, monkeypatch):
        monkeypatch.delenv("RAYCES_CELLS", raising=False)
        with pytest.raises(ConfigurationError, match="set RAYCES_CELLS"):
            Cells.from_env()


@pytest.mark.slow
def test_a_cell_is_connected_to_for_the_first_time_within_a_block_of_another(own_cells):
    north, south = make_tenant(own_cells), make_tenant(own_cells, cell="b")
    own_cells["b"].disconnect()
    with Cells({name: each.url for name, each in own_cells.items()}, catalogue="a") as fresh, fresh.tenant(north):
        assert Student.select().count() == 0
        with fresh.tenant(south):
            assert Student.select().count() == 0
