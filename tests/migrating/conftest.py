"""Databases at a chosen migration, connections that close themselves, roles of their own, and a PostgreSQL 15."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.errors import ConfigurationError
from rayces_core.migrating import Runner
from rayces_core.migrating.checking import Expected, what_they_make
from rayces_core.migrating.files import read_directory
from rayces_core.migrations.session import auditor_of, reader_of
from tests.conftest import COPIED, cloned, maintain, scratch_copied_from
from tests.servers.binaries import found
from tests.servers.running import running
from tests.sizes import exhaustive

from .filler import fill
from .fortress import Fortress

# Back to what template0 holds; whoever is still connected is sent away first, because they may hold locks.
# Each table of a schema takes longer to drop than its files, so a full database is dropped as a whole.
FEW = 8
TABLES = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace('public')"
EMPTY = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
END
$$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


@pytest.fixture(scope="session")
def emptied_databases(server_url: str) -> Iterator[list[str]]:
    """URLs of empty databases to be used again: emptying one is far quicker than making one."""
    idle: list[str] = []
    yield idle
    for url in idle:
        maintain(server_url, f'DROP DATABASE "{parse_dsn(url)["dbname"]}" WITH (FORCE)')


@pytest.fixture
def make_database(server_url: str, emptied_databases: list[str]) -> Iterator[Callable[[], str]]:
    """Make an empty database and return its URL."""
    lent: list[str] = []

    def make() -> str:
        if emptied_databases:
            url = emptied_databases.pop()
        else:
            name = f"rayces_test_{uuid.uuid4().hex[:12]}"
            maintain(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0 {COPIED}')
            url = make_dsn(server_url, dbname=name)
        lent.append(url)
        return url

    yield make
    for url in lent:
        name = parse_dsn(url)["dbname"]
        if _emptied(url):
            maintain(server_url, f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
            emptied_databases.append(url)
        else:
            maintain(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _emptied(url: str) -> bool:
    """Whether the database had few tables and has none now."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(TABLES)
        few = int(cursor.fetchone()[0]) <= FEW
        if few:
            cursor.execute(EMPTY)
        return few


@pytest.fixture(scope="session")
def stages(server_url: str, template: str) -> Iterator[Callable[[int], str]]:
    """Give the name of a database that is migrated up to and including this number; each is made once, from another."""
    made = {0: "template0", len(read_directory(None)): template}
    with ExitStack() as kept:

        def stage(number: int) -> str:
            if number not in made:
                url = kept.enter_context(cloned(server_url, made[max(each for each in made if each < number)]))
                Runner(url).up(number)
                made[number] = parse_dsn(url)["dbname"]
            return made[number]

        yield stage


@pytest.fixture
def at(server_url: str, stages: Callable[[int], str]) -> Iterator[Callable[[int], str]]:
    """Make a database that is migrated up to and including this number, a tenth of the work of migrating one."""
    with ExitStack() as copies:
        yield lambda number: copies.enter_context(cloned(server_url, stages(number)))


@pytest.fixture
def connect() -> Iterator[Callable[[str], Any]]:
    """Open an autocommitting connection, closed after the test."""
    opened = []

    def open_one(url: str) -> Any:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def fresh_roles(server_url: str) -> Iterator[Callable[[], str]]:
    """Names of roles that nobody has, dropped after the test; to be asked for before `make_database`."""
    names = []

    def make() -> str:
        names.append(f"r_{uuid.uuid4().hex[:12]}")
        return names[-1]

    yield make
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    for name in reversed(names):
        for role in (reader_of(name), auditor_of(name), name):
            connection.cursor().execute(f'DROP ROLE IF EXISTS "{role}"')
    connection.close()


@pytest.fixture(scope="session")
def migrated(create_database: Any, template: str) -> str:
    """URL of a database with every migration applied, only to be looked at."""
    return create_database(template)


@pytest.fixture(scope="session")
def expected(migrated: str, template: str, server_url: str) -> Iterator[Expected]:
    """What all packaged migrations make, to compare a database with."""
    with ExitStack() as kept:
        with scratch_copied_from(template):
            made = kept.enter_context(what_they_make([Runner(migrated)], server_url))
        yield made


@pytest.fixture
def directory(tmp_path: Path) -> Callable[..., Path]:
    """Write migrations: file name without `.py` → its SQL, or its whole source when it defines `migrate`."""

    def write(**files: str) -> Path:
        folder = tmp_path / "migrations"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            source = (
                text
                if "def migrate" in text
                else f"def migrate(migrator, database, *, fake=False):\n    migrator.sql({text!r})\n"
            )
            (folder / f"{name.removeprefix('m')}.py").write_text(source)
        return folder

    return write


@pytest.fixture(scope="session")
def filled(create_database: Any, template: str) -> Iterator[Any]:
    """A connection to a migrated database with two organizations."""
    connection = psycopg2.connect(create_database(template))
    fill(connection, 99)
    connection.commit()
    yield connection
    connection.close()


@pytest.fixture
def cursor(filled: Any) -> Iterator[Any]:
    """A cursor as the schema's owner; what it does is rolled back."""
    yield filled.cursor()
    filled.rollback()


@pytest.fixture
def make_cursor(filled: Any) -> Callable[[], Any]:
    """Gives such a cursor to each case of a walk."""

    @contextmanager
    def make() -> Iterator[Any]:
        try:
            yield filled.cursor()
        finally:
            filled.rollback()

    return make


@pytest.fixture
def tenant(cursor: Any) -> Any:
    """The same cursor as the application's role, in the first organization."""
    cursor.execute("SELECT set_config('rayces.organization_id', min(id)::text, true) FROM organizations")
    cursor.execute("SET LOCAL ROLE rayces_app")
    return cursor


@pytest.fixture(scope="session")
def oldest_server_url() -> Iterator[str]:
    """Superuser URL of a PostgreSQL 15, the oldest that the library supports."""
    if found("15") is None:
        pytest.skip("PostgreSQL 15 is not here: python -m tests.servers.binaries fetches it")
    with running("15") as url:
        yield url


# `make test` has some on PostgreSQL 15 as well, which say so themselves.
@pytest.fixture(scope="module", params=["embedded", *exhaustive("oldest")])
def fortress(request: pytest.FixtureRequest) -> Iterator[Fortress]:
    server = request.getfixturevalue("server_url" if request.param == "embedded" else "oldest_server_url")
    template = request.getfixturevalue("template") if request.param == "embedded" else "template0"
    outside = psycopg2.connect(server)
    outside.autocommit = True
    name = f"fortress_{uuid.uuid4().hex[:12]}"
    outside.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {template} {COPIED}")
    url = make_dsn(server, dbname=name)
    if template == "template0":
        Runner(url).up()
    connection = psycopg2.connect(url)
    connection.autocommit = True
    made = Fortress(url, f"guard_{name}", connection)
    made.make_login(made.login)
    yield made
    connection.close()
    outside.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    for role in made.made:
        outside.cursor().execute(f"DROP ROLE IF EXISTS {role}")
    outside.close()


@pytest.fixture
def hardened(fortress: Fortress) -> Fortress:
    """Hardened, and left so for the next."""
    fortress.harden()
    return fortress


@pytest.fixture
def unhardened(fortress: Fortress) -> Fortress:
    """As it was before, which the doctor agrees with."""
    try:
        fortress.hardening().run(undo=True)
    except ConfigurationError:  # nothing says that it is hardened
        return fortress
    assert fortress.checks() == set()
    return fortress
