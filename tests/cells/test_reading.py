"""Replicas of cells: a block that only reads is served by one of its tenant's cell, if that has got the tenant."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import NamedTuple

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Cells, Database, ReadOnlyError, Student, TenantMovedError, UnknownTenantError
from tests.cells.conftest import make_tenant
from tests.factory import make_student
from tests.patience import wait_until
from tests.replication import caught_up, following, pause, primary_server, resume, run

pytestmark = pytest.mark.slow


class Site(NamedTuple):
    """What Cells are made of: two databases of one server, and of a replica that follows it."""

    databases: dict[str, dict[str, object]]

    @property
    def primary(self) -> str:
        return str(self.databases["a"]["url"])

    @property
    def replica(self) -> str:
        return self.databases["a"]["replicas"][0]

    def opened(self) -> Cells:
        return Cells(self.databases, catalogue="a", trusted_seconds=0, replica_wait_seconds=0)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with primary_server() as primary:
        for name in "ab":
            run(primary.url, f"CREATE DATABASE cell_{name}")
        with following(primary) as replica:
            made = Site(
                {
                    name: {
                        "url": make_dsn(primary.url, dbname=f"cell_{name}"),
                        "replicas": [make_dsn(replica.url, dbname=f"cell_{name}")],
                    }
                    for name in "ab"
                }
            )
            with made.opened() as cells:
                cells.migrate()
            yield made


@pytest.fixture
def cells(site: Site) -> Iterator[Cells]:
    with site.opened() as made:
        yield made
    resume(site.replica)


@pytest.fixture
def north(cells: Cells, site: Site):
    made = make_tenant(cells)
    with cells.tenant(made):
        make_student()
    caught_up(site.primary, site.replica)
    return made.subdomain


@pytest.fixture
def went(cells: Cells) -> list[str]:
    """Where each statement went: cell, and whether to its replica; what a replica refuses is left out."""
    heard: list[str] = []
    for name, database in cells.items():

        def note(query, name=name):
            if query.replica is None or query.error is None:
                heard.append(f"{name} {'primary' if query.replica is None else 'replica'}")

        database.on_query(note)
    return heard


def count() -> int:
    return Student.select().count()


def where(went: list[str], cells: Cells, tenant: str, **given: object) -> tuple[int, list[str]]:
    """How many students a block that only reads sees, and who was asked."""
    with cells.tenant(tenant, read_only=True, **given):
        went.clear()
        return count(), list(went)


@pytest.mark.slow
def test_a_block_that_only_reads_is_served_by_a_replica_of_its_cell(cells, north, went):
    assert where(went, cells, north) == (1, ["a replica"])
    with cells.tenant(north, read_only=True), pytest.raises(ReadOnlyError):
        make_student()
    asked = cells._catalogue.find(north)[0]
    cells._known.look_up(north, lambda: (asked, 30.0))
    with cells.known_tenant(north, read_only=True):
        went.clear()
        assert (count(), went) == (1, ["a replica"])
    with cells.tenant(north):
        went.clear()
        assert (count(), went) == (1, ["a primary"])


def test_what_was_written_here_is_read_where_it_is(cells, north, site, went):
    pause(site.replica)
    with cells.tenant(north):
        make_student()
    assert where(went, cells, north) == (2, ["a primary"])


@pytest.mark.slow
def test_a_token_is_of_the_tenants_cell_and_has_another_process_read_as_late(cells, north, site):
    pause(site.replica)
    with cells.tenant(north):
        make_student()
    token = cells.causal_token(north)
    with site.opened() as elsewhere, elsewhere.tenant(north, read_only=True):
        assert count() == 1
    with site.opened() as elsewhere, elsewhere.tenant(north, read_only=True, after=token):
        assert count() == 2
    with pytest.raises(UnknownTenantError):
        cells.causal_token("nowhere")


def test_a_block_within_one_that_only_reads_does_so_in_another_cell_as_well(cells, north, site, went):
    south = make_tenant(cells, cell="b")
    caught_up(site.primary, site.replica)
    with cells.tenant(north, read_only=True), cells.tenant(south) as bound:
        went.clear()
        assert (count(), bound.id, went) == (0, south.id, ["b replica"])
        with pytest.raises(ReadOnlyError):
            make_student()
        with cells.tenant(south, read_only=False):
            make_student()


@pytest.mark.slow
def test_a_replica_that_lacks_a_tenant_who_was_moved_there_is_not_read(cells, north, site, went):
    with site.opened() as elsewhere:  # where nothing was written in cell b
        for database in elsewhere:
            database.on_query(lambda query: went.append(str(query.replica is not None and query.error is None)))
        make_tenant(cells, cell="b")
        caught_up(site.primary, site.replica)
        pause(site.replica)
        cells.move(north, to="b")
        with elsewhere.tenant(north, read_only=True):
            assert count() == 1
        resume(site.replica)
        caught_up(site.primary, site.replica)

        def is_read_there() -> bool:
            with elsewhere.tenant(north, read_only=True):
                went.clear()
                assert count() == 1
            return went == ["True"]

        wait_until(is_read_there)  # the primary's log may be a record ahead at any moment, of its own accord
        elsewhere.finish_move(north, grace=timedelta(0))
        caught_up(site.primary, site.replica)
        with elsewhere.tenant(north, read_only=True):
            assert count() == 1


@pytest.mark.slow
def test_a_block_that_only_reads_and_goes_on_longer_than_a_move_is_told(cells, north, site):
    with cells.tenant(north, read_only=True):
        assert count() == 1
        with cells.tenant(north, read_only=False):
            make_student()  # from now on the replica has not all, and the primary is read
        pause(site.replica)
        assert count() in (1, 2)
        mover = Thread(target=move_for_good, args=(site, north))
        mover.start()
        mover.join()
        with pytest.raises(TenantMovedError):
            count()


def move_for_good(site: Site, tenant: str) -> None:
    with site.opened() as cells:
        cells.move(tenant, to="b")
        cells.finish_move(tenant, grace=timedelta(0))


def test_a_file_names_replicas_by_the_environment(site, tmp_path, monkeypatch):
    monkeypatch.setenv("CELL_A", site.primary)
    monkeypatch.setenv("REPLICA", site.replica)
    path = tmp_path / "cells.toml"
    path.write_text('catalogue = "a"\n[cells]\na = {url = "$CELL_A", replicas = ["$REPLICA"]}\n')
    with Cells.from_file(path, max_connections=3) as listed:
        assert listed["a"].max_connections == 3
        assert [each.name for each in listed["a"].pool_status().replicas] == [
            "{host}:{port}/{dbname}".format(**parse_dsn(site.replica))
        ]
        assert isinstance(listed["a"], Database)
