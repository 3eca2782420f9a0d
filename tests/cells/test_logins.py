"""Cells on a managed server: no login of the application's is a superuser, makes roles or gets past policies.

A DBA makes the roles; the owner of the databases migrates and moves, another login places tenants, the web's serves.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Student, credits
from rayces_core.cells import Cells
from rayces_core.errors import MissingRoleError, MoveError, PermissionDeniedError, TenantMovedError
from rayces_core.migrating import Runner
from rayces_core.migrating.hardening import Hardening
from rayces_core.migrations.session import dedicated
from tests.cells.conftest import everything, make_tenant
from tests.cells.test_moving import move_meanwhile, stopped_at
from tests.conftest import on_server
from tests.exporting.worlds import fill
from tests.factory import make_student
from tests.servers.binaries import found
from tests.servers.running import running
from tests.sizes import exhaustive

pytestmark = pytest.mark.slow

NOW = timedelta(0)
PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION"


class Managed:
    """A server that somebody else runs, with two databases of the application's."""

    def __init__(self, url: str) -> None:
        self.url = url
        with closing(psycopg2.connect(url)) as connection:
            self.holding = " WITH INHERIT FALSE, SET TRUE" if connection.server_version >= 160_000 else ""
            self.inheriting = " WITH INHERIT TRUE" if self.holding else ""
        self.dba(f"CREATE ROLE clinic_owner LOGIN {PLAIN}")
        for name in ("cell_a", "cell_b"):
            self.dba(f"CREATE DATABASE {name} OWNER clinic_owner")

    def dba(self, statement: str, database: str = "postgres") -> None:
        on_server(make_dsn(self.url, dbname=database), statement)

    def of(self, name: str, login: str) -> str:
        return make_dsn(self.url, dbname=f"cell_{name}", user=login)

    def cells(self, web: str, admin: str) -> Cells:
        databases = {name: Database.connect(self.of(name, web), admin_url=self.of(name, admin)) for name in "ab"}
        return Cells(databases, catalogue="a", trusted_seconds=0)


@pytest.fixture(scope="module", params=["18", *exhaustive("15")])
def managed(request: pytest.FixtureRequest) -> Iterator[Managed]:
    if found(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not here: python -m tests.servers.binaries fetches it")
    with running(request.param) as url:
        made = Managed(url)
        with pytest.raises(MissingRoleError) as refused:
            Runner(made.of("a", "clinic_owner")).up()
        for line in str(refused.value).splitlines():  # what it says is what a DBA is asked for
            if line.endswith(";"):
                made.dba(line.strip())
        with made.cells("clinic_owner", "clinic_owner") as cells:
            assert [result.state for result in cells.migrate()] == ["migrated", "migrated"]
        for login, role in (("clinic_web", "rayces_app"), ("clinic_admin", "rayces_admin")):
            made.dba(f"CREATE ROLE {login} LOGIN NOINHERIT {PLAIN}; GRANT {role} TO {login}{made.holding}")
        yield made


@pytest.fixture
def tenant(managed: Managed) -> Callable[[], object]:
    with managed.cells("clinic_web", "clinic_admin") as cells:
        made = make_tenant(cells)
        with cells.tenant(made.subdomain):
            fill(f"managed{made.id}")
        return made


@pytest.fixture(params=["as they are", "hardened"])
def either(request: pytest.FixtureRequest, managed: Managed) -> Iterator[None]:
    """Both databases as they are, or hardened: event triggers refuse what changes the schema to all but its owner."""
    if request.param == "as they are":
        yield
        return
    hardened = [Hardening(dedicated(make_dsn(managed.url, dbname=f"cell_{name}"))) for name in "ab"]
    for each in hardened:
        each.database.app_role, each.database.admin_role = "rayces_app", "rayces_admin"
        each.run()
    yield
    for each in hardened:
        each.run(undo=True)


@pytest.mark.slow
@pytest.mark.usefixtures("either")
def test_the_owner_moves_with_no_attribute_at_all(managed, tenant):
    with managed.cells("clinic_web", "clinic_owner") as cells:
        with cells.tenant(tenant.subdomain):
            before = everything()
        stopped_at(cells, tenant, "comparing")
        cells.cancel_move(tenant.subdomain)
        with cells.tenant(tenant.subdomain):
            move_meanwhile(cells, tenant, finish=False)
            with pytest.raises(TenantMovedError):
                Student.get()
        cells.finish_move(tenant.subdomain, grace=NOW)
        with cells.tenant(tenant.subdomain):
            assert everything() == before
            assert not credits.verify().discrepancies
            make_student()
        assert all(each.is_well for each in cells.doctor())


@pytest.mark.slow
@pytest.mark.usefixtures("either")
def test_another_login_is_told_what_it_needs_and_moves_once_it_has_it(managed, tenant):
    managed.dba(
        f"CREATE ROLE clinic_mover LOGIN NOINHERIT {PLAIN}; GRANT rayces_admin TO clinic_mover{managed.holding}"
    )
    try:
        with managed.cells("clinic_web", "clinic_mover") as cells, pytest.raises(MoveError) as refused:
            cells.move(tenant.subdomain, to="b")
        assert "the tables are of clinic_owner" in str(refused.value)
        managed.dba(str(refused.value).partition("as a DBA: ")[2])
        if not managed.inheriting:
            managed.dba("ALTER ROLE clinic_mover INHERIT")
        with managed.cells("clinic_web", "clinic_mover") as cells:
            cells.move(tenant.subdomain, to="b")
            cells.finish_move(tenant.subdomain, grace=NOW)
            with cells.tenant(tenant.subdomain):
                make_student()
    finally:
        managed.dba("DROP ROLE clinic_mover")


@pytest.mark.slow
def test_the_login_of_privileged_work_places_tenants_and_no_more(managed, tenant):
    with managed.cells("clinic_web", "clinic_admin") as cells:
        renamed = cells.rename(tenant.subdomain, f"{tenant.subdomain}-new")
        assert renamed.subdomain in {each.subdomain for each in cells.placements()}
        with pytest.raises(MoveError, match="is no member of that role"):
            cells.move(renamed.subdomain, to="b")
        assert cells.moves() == []


def test_the_webs_login_finds_tenants_and_neither_places_nor_lists_them(managed, tenant):
    with managed.cells("clinic_web", "clinic_web") as cells:
        with cells.tenant(tenant.subdomain):
            assert Student.select().exists()
        for act in (cells.placements, lambda: make_tenant(cells), lambda: cells.move(tenant.subdomain, to="b")):
            with pytest.raises(PermissionDeniedError):
                act()
