"""Tenants whose rows are told apart only by their organization, with all walls up and with the first wall alone.

Row-level security would hide every fault of the compiled SQL, so most tests run a second time on a database where it
is switched off: what holds there is held by the library itself.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from rayces_core import Database, Organization
from rayces_core.models import TENANT_MODELS
from tests.citus import suite
from tests.conftest import on_server
from tests.factory import make_organization
from tests.tenancy.beside import Beside, make_tables
from tests.tenancy.host_tables import TABLES
from tests.tenancy.worlds import World, populate, several_pairs, start_of_ids

WALLS = ["all walls", "wall 1 alone"]


@pytest.fixture(scope="session")
def wall_1_db(create_database: Callable[..., str], template: str) -> Iterator[Database]:
    """A database without row-level security; with its keys, foreign keys and grants."""
    with Database.connect(create_database(template), pool_timeout=10) as database:
        with database.tenant(make_organization(database)):  # the first use insists on it, for each role
            database.execute_sql("SELECT 1")
        for model in TENANT_MODELS:
            on_server(database.url, f"ALTER TABLE {model._meta.table_name} DISABLE ROW LEVEL SECURITY")
        on_server(database.url, "ALTER TABLE organizations DISABLE ROW LEVEL SECURITY")
        yield database


@pytest.fixture(scope="session")
def quiet_db(create_database: Callable[..., str], template: str) -> Iterator[Database]:
    """A database with few rows: privileged work reads all of them, and its cross joins the square of that."""
    with Database.connect(create_database(template), pool_timeout=10) as database:
        yield database


def _database(request: pytest.FixtureRequest, all_walls: str) -> Database:
    return request.getfixturevalue(all_walls if request.param == "all walls" else "wall_1_db")


@pytest.fixture(scope="module", params=WALLS)
def world(request: pytest.FixtureRequest) -> World:
    """Two populated tenants, for tests that change nothing."""
    return _world(_database(request, "quiet_db"))


@pytest.fixture(scope="module")
def walled(db: Database) -> World:
    """The same with all walls up, for what only the database can hold: raw SQL and plain Peewee."""
    return _world(db)


@pytest.fixture(scope="session")
def take_pair() -> Callable[[Database], World]:
    """Gives two tenants that nobody has had before."""
    stock: dict[int, list[World]] = {}

    def take(database: Database) -> World:
        if not stock.get(id(database)):
            stock[id(database)] = several_pairs(database, 16)
        return stock[id(database)].pop()

    return take


@pytest.fixture(params=WALLS)
def pair(request: pytest.FixtureRequest, take_pair: Callable[[Database], World]) -> World:
    """Two tenants of the test's own, with one row of each kind."""
    return take_pair(_database(request, "db"))


@pytest.fixture(params=WALLS)
def make_pair(request: pytest.FixtureRequest, take_pair: Callable[[Database], World]) -> Callable[[], Any]:
    """Gives such tenants to each case of a walk."""
    database = _database(request, "db")
    return lambda: nullcontext(take_pair(database))


@pytest.fixture
def make_walled_pair(db: Database, take_pair: Callable[[Database], World]) -> Callable[[], Any]:
    """The same with all walls up."""
    return lambda: nullcontext(take_pair(db))


@pytest.fixture
def walled_pair(db: Database, take_pair: Callable[[Database], World]) -> World:
    """The same with all walls up."""
    return take_pair(db)


def _world(database: Database, ours: int = 2, theirs: int = 3) -> World:
    made = World(database, make_organization(database), make_organization(database), start_of_ids())
    with database.tenant(made.a):
        populate(database, "ours", made.base, ours)
    with database.tenant(made.b):
        populate(database, "theirs", made.base, theirs)
    return made


@pytest.fixture(scope="session")
def beside(create_database: Callable[..., str], template: str) -> Iterator[Beside]:
    """Tenant models beside plain ones with the same fields and rows."""
    url = create_database(template)
    make_tables(url)
    suite.take_in(url)
    with Database.connect(url, pool_timeout=10) as database:
        made = Beside(database)
        yield made
        made.plain.close()


@pytest.fixture(scope="session")
def host_db(create_database: Callable[..., str], template: str) -> Iterator[Database]:
    """A database that has tables of a host's own as well."""
    url = create_database(template)
    on_server(url, TABLES)
    suite.take_in(url)
    with Database.connect(url, pool_timeout=10) as database:
        yield database


@pytest.fixture
def north(host_db: Database) -> Organization:
    """An organization beside those tables."""
    return make_organization(host_db, settings={"language": "es"})


@pytest.fixture
def south(host_db: Database) -> Organization:
    """Another one."""
    return make_organization(host_db, settings={"language": "pt"})
