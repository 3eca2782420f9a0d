"""A real PostgreSQL for the run: the embedded server, one of the version that RAYCES_TEST_POSTGRESQL says (15 to 18),
or the one that RAYCES_TEST_DATABASE_URL names.

The schema is migrated once into a template database. Tests share one clone of it and keep out of each other's way
by using organizations of their own; a test that looks at the whole database takes a clone (`own_db`).
"""

import gc
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from hypothesis import settings
from psycopg2.extensions import make_dsn

from rayces_core.database.binding import bound_here
from rayces_core.database.database import Database
from tests.citus import suite
from tests.factory import begin_test
from tests.nodes import past_rules
from tests.servers.binaries import WHEEL
from tests.servers.running import running
from tests.sizes import BY_CHANCE, EVERYTHING

# Rewriting the assertions of the suite takes 10 s, and every process of a race would compile the library anew; what is
# compiled lies in __pycache__, which the checkout ignores.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test presses it in.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without a size of its own a property is tried with few examples, always the same; with all and new ones by test-all.
settings.register_profile("quick", max_examples=12, derandomize=True, deadline=None, suppress_health_check=BY_CHANCE)
settings.register_profile("whole", deadline=None, suppress_health_check=BY_CHANCE)
settings.load_profile("whole" if EVERYTHING else "quick")

# A database is 300 files and a cluster 1,000: a disk may take 0.3 s to make the former, memory takes 0.02 s. So all
# that is temporary lies there, also that of the processes that tests start, unless TMPDIR says where.
MEMORY, ENOUGH = Path("/dev/shm"), 3 * 1024**3
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_configure(config: pytest.Config) -> None:
    """Each statement of the library is looked at: could a router send it to the one place of its tenant?"""
    from tests.router.collecting import Collector
    from tests.router.plugin import Judge

    collector = Collector()
    if suite.LABORATORY:
        from tests.citus.tasks import Tasks

        config.pluginmanager.register(Tasks(config, collector), "tasks")
    config.pluginmanager.register(Judge(config, collector), "router")


# What collecting makes stays to the end of the run, so no garbage collection has to walk it, then or later.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a run makes little garbage in circles, and lives for minutes
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are named one by one, in any order, run file by file: what a file shares is made once."""
    items.sort(key=lambda item: (str(item.path), item.location[1] or 0))


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of a superuser on a running server, maintenance database."""
    named = suite.LABORATORY or os.environ.get("RAYCES_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with running(os.environ.get("RAYCES_TEST_POSTGRESQL", WHEEL)) as url:
        for setting in SPARING:
            on_server(url, f"ALTER SYSTEM SET {setting}")
        on_server(url, "SELECT pg_reload_conf()")
        yield url
        for kept in _maintaining.values():
            kept.close()


# A run makes hundreds of databases that live for a second: nobody has to keep their statistics, or compile for them.
SPARING = ("autovacuum = off", "jit = off", "checkpoint_timeout = '1h'", "max_wal_size = '1GB'")
# Copying the files of a template takes a third of the work of logging every block of it.
COPIED = "STRATEGY FILE_COPY"


def on_server(url: str, statement: str) -> None:
    """Run one statement by itself as the server's superuser."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()


def named_database(url: str, name: str) -> str:
    """The same server, another database."""
    return make_dsn(url, dbname=name)


# Opening a connection takes the server 7 ms, so the one that makes and drops databases stays open.
_maintaining: dict[str, Any] = {}


def maintain(url: str, statement: str) -> None:
    """Run one statement on the maintenance database as the superuser, over a connection that is kept."""
    kept = _maintaining.get(url)
    try:
        if kept is not None and not kept.closed:
            kept.cursor().execute(statement)
            return
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        if not kept.closed:
            raise
    kept = _maintaining[url] = psycopg2.connect(url)
    kept.autocommit = True
    kept.cursor().execute(statement)


@contextmanager
def cloned(url: str, template: str) -> Iterator[str]:
    """A database of its own for the block, made from `template`; gives its URL."""
    if template.startswith(suite.DISTRIBUTED):
        with suite.cloned(url, template) as made:
            yield made
        return
    name = f"rayces_test_{uuid.uuid4().hex[:12]}"
    maintain(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" {COPIED}')
    try:
        yield named_database(url, name)
    finally:
        maintain(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def create_database(server_url: str) -> Iterator[Callable[..., str]]:
    """Make a database (a clone of `template`, if given) and return its URL; dropped at the end of the run."""
    with ExitStack() as made:
        yield lambda template="template0": made.enter_context(cloned(server_url, template))


@pytest.fixture
def make_database(server_url: str) -> Iterator[Callable[..., str]]:
    """Like create_database, dropped after the test."""
    with ExitStack() as made:
        yield lambda template="template0": made.enter_context(cloned(server_url, template))


@pytest.fixture(scope="session")
def template(server_url: str, create_database: Callable[..., str]) -> Iterator[str]:
    """Name of a database that is migrated and empty; nobody is connected to it."""
    if suite.LABORATORY:
        with suite.template(server_url) as distributed:
            yield distributed
        return
    named = os.environ.get("RAYCES_TEST_TEMPLATE")
    if named:
        yield named
        return
    url = create_database()
    with Database.connect(url) as database:
        database.migrate()
    yield psycopg2.extensions.parse_dsn(url)["dbname"]


@pytest.fixture(scope="session")
def db(create_database: Callable[..., str], template: str) -> Iterator[Database]:
    """The migrated database that tests share."""
    with Database.connect(create_database(template), max_connections=20, pool_timeout=60) as database:
        yield database


@contextmanager
def scratch_copied_from(template: str) -> Iterator[None]:
    """For the block a scratch database begins as a copy of `template`, so that only what is not applied there is run.

    Running all migrations takes ten times as long; some tests of `rayces migrate check` let it run all.
    """
    from rayces_core.migrating import rehearsal

    def create(session: Any, name: str) -> None:
        session.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {COPIED}')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "_create", create)
        yield


@pytest.fixture
def scratch_is_migrated(template: str) -> Iterator[None]:
    """Where every packaged migration is applied, a scratch database begins with all of them."""
    with scratch_copied_from(template):
        yield


@pytest.fixture
def own_db(make_database: Callable[..., str], template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with Database.connect(make_database(template), pool_timeout=60) as database:
        yield database


@pytest.fixture
def a(db: Database) -> object:
    """An organization of the test's own."""
    from tests.factory import make_organization

    return make_organization(db)


@pytest.fixture
def b(db: Database) -> object:
    """Another one."""
    from tests.factory import make_organization

    return make_organization(db)


@pytest.fixture
def own_pool(db: Database) -> Iterator[Database]:
    """The shared database with a pool of the test's own, which it may count, observe, exhaust and close."""
    with Database.connect(db.url, pool_timeout=60) as database:
        yield database


@pytest.fixture
def on_the_runs_server(make_database: Callable[..., str], template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Database.embedded()` of a document's example is a new database of the server that runs already.

    Starting a server and migrating take most of the time of an example, and the README's does both.
    """
    monkeypatch.setattr(Database, "embedded", lambda: Database.connect(make_database(template)))


@pytest.fixture(scope="module")
def kernel(a_kernel: Any) -> Any:
    """A kernel of Jupyter with `db`, whose organizations north and south have one and two students; see tests.kernel.

    Its process is the run's, its variables are the module's. Each test leaves no tenant used.
    """
    running_kernel, opening = a_kernel
    running_kernel.cell(
        "import builtins\nbuiltins.__dict__.pop('_', None)  # left by Python's own displayhook\n%reset -f"
    )
    running_kernel.cell(opening)
    return running_kernel


@pytest.fixture
def activity(kernel: Any) -> Iterator[Callable[[str], Callable[[], int]]]:
    """How many statements that began later wait for such an event of the server's, in the kernel's database."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %s"
    with closing(psycopg2.connect(kernel.cell("print(db.url)").printed.strip())) as connection:
        connection.autocommit = True

        def one(statement: str, *values: Any) -> Any:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchone()[0]

        def waiting(event: str) -> Callable[[], int]:
            since = one("SELECT clock_timestamp()")
            return lambda: int(one(f"{asked} AND query_start > %s", event, since))

        yield waiting


@pytest.fixture(scope="session")
def a_kernel(create_database: Callable[..., str], template: str) -> Iterator[Any]:
    """A running kernel, and what makes `db` in it."""
    from tests.factory import make_organization, make_student
    from tests.kernel import kernel_running

    url = create_database(template)
    with Database.connect(url) as database:
        for subdomain, students in (("north", 1), ("south", 2)):
            with database.tenant(
                make_organization(database, subdomain=subdomain, name=f"{subdomain.title()} <Centre>")
            ):
                for number in range(students):
                    make_student(first_name=f"{subdomain}{number}")
    with kernel_running() as running_kernel:
        opening = (
            f"from rayces_core import *\nfrom rayces_core import credits, scheduling\ndb = Database.connect({url!r})"
        )
        yield running_kernel, opening


# -- processes that race: all of them are forked from one that has loaded what any of them needs ----------------------

RACING = (
    "bench.contenders.by_hand",
    "bench.contenders.rayces",
    "bench.crowd",
    "rayces_core.cli.importing",
    "rayces_core.models",
    "rayces_core.credits",
    "rayces_core.scheduling",
    "tests.cells.killing",
    "tests.cli.forked",
    "tests.credits.jack_worker",
    "tests.credits.racers",
    "tests.scheduling.racing",
    "tests.sign_in.racing",
    "tests.migrating.adopting.killing",
    "tests.outbox.relaying",
    "tests.state_machine.racers",
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Times that a test's rows have by default go up, wherever in the run it stands."""
    begin_test(item.path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """No module leaves a tenant bound for the next one."""
    yield
    if (nextitem is None or nextitem.path != item.path) and bound_here() is not None:
        raise AssertionError(f"{item.path} left a tenant bound: {bound_here()}")


def pytest_collection_finish() -> None:
    """Modules of tests name what they need themselves, and the last one that is collected would have it alone."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(RACING))


# -- a database that is emptied instead of made: a tenth of the time, as its connection knows it already ---------------

HISTORY = "rayces_migrations"
EMPTYING = """
SELECT (SELECT string_agg(format('DELETE FROM %%I', tablename), '; ') FROM pg_tables
         WHERE schemaname = current_schema() AND tablename <> %s),
       (SELECT string_agg(format('ALTER SEQUENCE %%I RESTART', sequencename), '; ') FROM pg_sequences
         WHERE schemaname = current_schema())
"""


@pytest.fixture(scope="session")
def bare_url(create_database: Callable[..., str], template: str) -> str:
    """URL of the migrated database that is emptied again and again; see `bare_db`."""
    return create_database(template)


class Emptying:
    """Deletes every row of a database, over a connection that stays open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open()

    def _open(self) -> None:
        self.connection = psycopg2.connect(self.url)
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            cursor.execute(EMPTYING, (HISTORY,))
            self.deleting, restarting = cursor.fetchone()
        self.statements = f"SET session_replication_role = replica; {self.deleting}; {restarting}"

    def __call__(self) -> None:
        """Delete them, over another connection if this one was cut, as tests cut everybody's."""
        if suite.LABORATORY:  # where ids go on
            with past_rules(self.url) as cursor:
                cursor.execute(self.deleting)
            return
        try:
            self.connection.cursor().execute(self.statements)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not self.connection.closed:
                raise
            self._open()
            self.connection.cursor().execute(self.statements)


@pytest.fixture(scope="session")
def empty_it(bare_url: str) -> Iterator[Emptying]:
    """Deletes every row of it."""
    made = Emptying(bare_url)
    yield made
    made.connection.close()


@pytest.fixture
def bare_db(bare_url: str, empty_it: Emptying) -> Iterator[Database]:
    """A migrated database without a row, for a test that looks at the whole of it and leaves schema and grants alone.

    Whoever changes the schema, or holds connections beyond the test, takes `own_db`.
    """
    empty_it()
    with Database.connect(bare_url, pool_timeout=60) as database:
        yield database
