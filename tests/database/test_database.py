"""Connecting, what is checked at first use, pooling, and connections that break."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import (
    ConfigurationError,
    ConnectionLostError,
    CrossTenantError,
    Database,
    DatabaseUnreachableError,
    IsolationInertError,
    PoolTimeoutError,
    RoleNotHeldError,
    SchemaMissingError,
    ServerTooOldError,
    Student,
    TenantNotSetError,
)
from rayces_core.database.connection import TenantConnection
from rayces_core.database.first_use import check
from rayces_core.doctor import audit
from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.patience import wait_until
from tests.walking import walked


def first_use(url: str, **options: object) -> None:
    """Of each role: tenants' work first, then privileged work."""
    with Database.connect(url, **options) as database:
        assert database.find_tenant("no-such-centre") is None
        with database.privileged(reason="first use"):
            Student.select().count()


# -- the URL --------------------------------------------------------------------------------------------------


@walked("url", ["", "   ", "mysql://localhost/x", "postgresql+psycopg2://localhost/x", "host=a nonsense"])
def test_a_malformed_url_is_refused_at_once(url):
    with pytest.raises(ConfigurationError, match="URL"):
        Database.connect(url)


def test_an_unknown_connect_option_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="colour"):
        Database.connect("postgresql://localhost/x", colour="red")


@walked("name", ["", "Rayces App", 'a"b', "a;b", "1a", "x" * 64, None])
def test_a_role_name_that_is_no_plain_identifier_is_refused(name):
    with pytest.raises(ConfigurationError, match="role name"):
        Database.connect("postgresql://localhost/x", app_role=name)


def test_the_two_roles_must_differ():
    with pytest.raises(ConfigurationError, match="two roles"):
        Database.connect("postgresql://localhost/x", app_role="one", admin_role="one")


def test_a_pool_needs_at_least_one_connection():
    with pytest.raises(ConfigurationError, match="at least 1"):
        Database.connect("postgresql://localhost/x", max_connections=0)


def test_from_env_reads_the_variable(own_pool, monkeypatch):
    monkeypatch.setenv("RAYCES_DATABASE_URL", own_pool.url)
    with Database.from_env() as database:
        assert database.url == own_pool.url


@walked("value", [None, "", " "])
def test_from_env_without_the_variable_says_which_to_set(monkeypatch, value):
    monkeypatch.delenv("RAYCES_DATABASE_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("RAYCES_DATABASE_URL", value)
    with pytest.raises(ConfigurationError, match="RAYCES_DATABASE_URL=postgresql://"):
        Database.from_env()


def test_the_password_is_not_shown():
    database = Database.connect("postgresql://ana:s3cret@localhost/x")

    assert "s3cret" not in repr(database)
    assert "ana" in repr(database)


# -- first use ------------------------------------------------------------------------------------------------


def test_connecting_sends_nothing_until_first_use():
    Database.connect("postgresql://localhost:1/nowhere").close()


def test_an_unreachable_server_is_one_clear_error():
    with pytest.raises(DatabaseUnreachableError, match="check the URL"):
        first_use("postgresql://127.0.0.1:1/nowhere", connect_timeout=2)


def test_a_database_that_does_not_exist_is_one_clear_error(server_url):
    with pytest.raises(DatabaseUnreachableError, match="does not exist"):
        first_use(make_dsn(server_url, dbname="rayces_no_such_database"))


def test_a_server_older_than_15_is_refused(own_pool):
    class OldConnection(TenantConnection):
        server_version = 140012

    connection = psycopg2.connect(own_pool.url, connection_factory=OldConnection)
    with pytest.raises(ServerTooOldError, match="PostgreSQL 14; version 15"):
        check(connection, "rayces_app", privileged=False)
    connection.close()


def test_a_database_without_the_schema_says_what_to_run(make_database):
    with pytest.raises(SchemaMissingError, match="rayces migrate up"):
        first_use(make_database())


def test_a_role_that_does_not_exist_is_named(own_pool):
    with pytest.raises(RoleNotHeldError, match="rayces_no_such_role"):
        first_use(own_pool.url, app_role="rayces_no_such_role")


@pytest.fixture
def role(own_pool, request):
    """A new login role without any rights, and its URL on own_pool."""
    name = f"login_{os.getpid()}_{threading.get_native_id()}"
    on_server(own_pool.url, f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
    yield name
    on_server(own_pool.url, f"DROP OWNED BY {name}; DROP ROLE {name}")


def url_as(url: str, login: str) -> str:
    return make_dsn(url, user=login, password="pw")


def test_a_login_that_cannot_become_the_application_role_is_told_the_grant(own_pool, role):
    with pytest.raises(RoleNotHeldError, match=f'GRANT "rayces_app" TO "{role}"'):
        first_use(url_as(own_pool.url, role))


def test_a_plain_login_that_holds_the_roles_works(own_pool, role):
    on_server(own_pool.url, f"GRANT rayces_app, rayces_admin TO {role}")
    organization = make_organization(own_pool)
    with Database.connect(url_as(own_pool.url, role)) as database, database.tenant(organization):
        make_student()
        assert Student.select().count() == 1


@walked("attribute", ["BYPASSRLS", "SUPERUSER"])
def test_an_application_role_that_row_level_security_does_not_hold_is_refused(own_pool, role, attribute):
    on_server(own_pool.url, f"ALTER ROLE {role} {attribute}")
    with pytest.raises(IsolationInertError, match="NOBYPASSRLS"):
        first_use(own_pool.url, app_role=role)


def test_an_application_role_that_inherits_the_admin_role_is_refused(own_pool, role):
    on_server(own_pool.url, f"GRANT rayces_admin TO {role}")
    with pytest.raises(IsolationInertError, match='REVOKE "rayces_admin"'):
        first_use(own_pool.url, app_role=role)


@pytest.mark.slow
def test_the_login_itself_can_be_the_application_role(make_database, server_url, role):
    on_server(server_url, f"ALTER ROLE {role} NOINHERIT; GRANT rayces_admin TO {role}")
    url = make_database()
    on_server(url, f"ALTER SCHEMA public OWNER TO {role}; GRANT ALL ON DATABASE {parse_dsn(url)['dbname']} TO {role}")
    with Database.connect(url_as(url, role), app_role=role) as database:
        database.migrate()
        first, second = make_organization(database), make_organization(database)
        with database.tenant(second):
            make_student()
        with database.tenant(first):
            assert database.execute_sql("select count(*) from students").fetchone() == (0,)
            with pytest.raises(CrossTenantError):
                database.execute_sql(
                    "insert into students (organization_id, first_name, last_name) values (%s, 'a', 'b')", (second.id,)
                )
        with database.privileged(reason="test"):
            assert Student.select().count() == 1
        assert {finding.check for finding in audit(database)} >= {"role-owns-table", "role-login"}
    on_server(url, f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}")


@walked("change", ["NO FORCE", "DISABLE"])
def test_a_table_on_which_row_level_security_is_off_is_named(own_db, change):
    on_server(own_db.url, f"ALTER TABLE students {change} ROW LEVEL SECURITY")
    with pytest.raises(IsolationInertError, match="students"):
        first_use(own_db.url)


@pytest.mark.slow
def test_the_first_use_is_checked_again_after_it_failed(own_db):
    on_server(own_db.url, "ALTER TABLE students NO FORCE ROW LEVEL SECURITY")
    with Database.connect(own_db.url) as database:
        for _ in range(2):
            with pytest.raises(IsolationInertError), database.privileged(reason="test"):
                Student.select().count()
        on_server(own_db.url, "ALTER TABLE students FORCE ROW LEVEL SECURITY")
        with database.privileged(reason="test"):
            assert Student.select().count() == 0


@pytest.mark.slow
def test_an_unmigrated_database_works_once_it_is_migrated(make_database):
    with Database.connect(make_database()) as database:
        with pytest.raises(SchemaMissingError):
            database.create_organization("North", subdomain="north")
        database.migrate()
        assert database.create_organization("North", subdomain="north").id == 1


# -- the pool -------------------------------------------------------------------------------------------------


@pytest.fixture
def small(own_pool):
    """A database with two connections and a short wait, and an organization."""
    with Database.connect(own_pool.url, max_connections=2, pool_timeout=0.2) as database:
        yield database, make_organization(own_pool)


def backend(database: Database) -> int:
    return database.execute_sql("select pg_backend_pid()").fetchone()[0]


def hold(database, organization, taken, leave):
    with database.tenant(organization):
        Student.select().count()
        taken.wait(60)
        leave.wait(60)


@pytest.mark.slow
def test_an_exhausted_pool_waits_and_then_says_so(small):
    database, organization = small
    taken, leave = threading.Barrier(3), threading.Event()
    threads = [threading.Thread(target=hold, args=(database, organization, taken, leave)) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken.wait(60)
    try:
        with database.tenant(organization), pytest.raises(PoolTimeoutError) as caught:
            Student.select().count()
    finally:
        leave.set()
        for thread in threads:
            thread.join()

    assert (caught.value.max_connections, caught.value.waited_seconds) == (2, 0.2)
    with database.tenant(organization):
        assert Student.select().count() == 0


@pytest.mark.slow
def test_a_waiting_thread_gets_the_connection_that_becomes_free(own_pool):
    organization = make_organization(own_pool)
    with Database.connect(own_pool.url, max_connections=1, pool_timeout=30) as database:

        def work(_: int) -> int:
            with database.tenant(organization), database.atomic():
                make_student()
                return backend(database)

        with ThreadPoolExecutor(8) as pool:
            backends = set(pool.map(work, range(40)))
        with database.tenant(organization):
            assert Student.select().count() == 40
        assert len(backends) == 1


def test_a_block_keeps_its_connection(small):
    database, organization = small
    with database.tenant(organization):
        assert len({backend(database) for _ in range(5)}) == 1


def test_a_block_that_runs_nothing_takes_no_connection(own_pool):
    organization = make_organization(own_pool)
    with own_pool.tenant(organization):
        pass  # looked up, and remembered for a while
    with own_pool.tenant(organization):
        assert own_pool.pool_status().in_use == 0


@walked("kind", ["a look", "a unit", "a connection"])
def test_what_is_tried_outside_every_block_keeps_no_later_block_from_keeping_its_connection(own_pool, a, kind):
    with own_pool.tenant(a):
        own_pool.execute_sql("select 1")  # which looks up the organization, so that the next block need not
    if kind == "a look":
        assert own_pool.engine._state.ctx == []
    else:
        with pytest.raises(TenantNotSetError), own_pool.engine if kind == "a unit" else own_pool.engine.connection():
            pass
    with own_pool.tenant(a):
        own_pool.execute_sql("select 1")
        assert own_pool.pool_status().in_use == 1
    assert own_pool.pool_status().in_use == 0


def test_a_block_of_peewees_holds_one_connection_for_the_tenants_blocks_within(own_pool, a, b):
    for _ in range(2):
        with own_pool.engine.connection_context():
            for organization in (a, b):
                with own_pool.tenant(organization), own_pool.engine.connection_context():
                    mine = backend(own_pool)
                assert own_pool.pool_status().in_use == 1
            with own_pool.tenant(a), own_pool.atomic():
                assert backend(own_pool) == mine
        assert own_pool.pool_status().in_use == 0


@pytest.mark.slow
def test_a_block_of_peewees_ends_though_its_connection_was_lost_or_never_came(own_pool, a):
    with own_pool.tenant(a):
        own_pool.execute_sql("select 1")
    with own_pool.engine.connection_context(), own_pool.tenant(a):
        for _ in range(2):
            terminate(own_pool, backend(own_pool))
            assert backend(own_pool)
        own_pool.engine.connection().close()
        assert backend(own_pool)
    assert own_pool.pool_status().in_use == 0
    with pytest.raises(TenantNotSetError), own_pool.engine.connection_context():
        own_pool.execute_sql("select 1")
    assert own_pool.pool_status().in_use == 0


def terminate(database: Database, pid: int) -> None:
    on_server(database.url, f"SELECT pg_terminate_backend({pid}, 5000)")


@pytest.mark.slow
def test_a_pooled_connection_that_the_server_dropped_is_replaced(small):
    database, organization = small
    with database.tenant(organization):
        old = backend(database)
    terminate(database, old)

    with database.tenant(organization):
        assert backend(database) != old


@pytest.mark.slow
def test_a_connection_dropped_between_two_statements_of_a_block_is_replaced(small):
    database, organization = small
    with database.tenant(organization):
        old = backend(database)
        terminate(database, old)
        student = make_student()
        assert Student.get_by_id(student.id) == student
        assert backend(database) != old


@pytest.mark.slow
def test_a_connection_dropped_within_a_transaction_loses_the_whole_of_it(small):
    database, organization = small
    with database.tenant(organization):
        with pytest.raises(ConnectionLostError, match="run the unit of work again"), database.atomic():
            make_student()
            terminate(database, backend(database))
            make_student()
        assert Student.select().count() == 0


@pytest.mark.slow
def test_a_connection_lost_at_commit_says_so(small):
    database, organization = small
    with database.tenant(organization):
        with pytest.raises(ConnectionLostError), database.atomic():
            make_student()
            terminate(database, backend(database))
        assert Student.select().count() == 0


def test_closing_a_database_closes_its_connections(own_pool):
    organization = make_organization(own_pool)
    database = Database.connect(own_pool.url, application_name="closing-test")
    with database.tenant(organization):
        Student.select().count()
    database.close()

    left = "select count(*) from pg_stat_activity where application_name = 'closing-test'"
    with own_pool.privileged(reason="test"):
        wait_until(lambda: own_pool.execute_sql(left).fetchone() == (0,))


def test_a_database_closed_within_a_block_opens_a_connection_anew(own_pool):
    with own_pool.tenant(make_organization(own_pool)):
        make_student()
        own_pool.close()
        assert Student.select().count() == 1


@pytest.mark.slow
def test_a_broken_transaction_stays_broken_until_its_end(small):
    database, organization = small
    with database.tenant(organization):
        with pytest.raises(ConnectionLostError), database.atomic():
            terminate(database, backend(database))
            with contextlib.suppress(ConnectionLostError):
                make_student()
            make_student()
        assert Student.select().count() == 0


def test_a_closed_database_may_be_used_again(own_pool):
    organization = make_organization(own_pool)
    own_pool.close()
    with own_pool.tenant(organization):
        assert Student.select().count() == 0


@pytest.mark.slow
def test_a_forked_child_has_connections_of_its_own(small):
    database, organization = small
    with database.tenant(organization):
        mine = backend(database)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.write(write, str(backend(database)).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        theirs = int(os.read(read, 100))
        os.close(read)
        assert os.waitpid(child, 0)[1] == 0
        assert theirs != mine
        assert backend(database) == mine


def test_times_come_back_in_utc_whatever_the_server_says(own_db):
    name = parse_dsn(own_db.url)["dbname"]
    on_server(own_db.url, f"ALTER DATABASE \"{name}\" SET timezone = 'America/Argentina/Buenos_Aires'")
    organization = make_organization(own_db)
    with Database.connect(own_db.url) as database, database.tenant(organization):
        student = Student.get_by_id(make_student().id)
        assert student.created_at.utcoffset().total_seconds() == 0


def test_without_a_tenant_no_connection_is_made():
    with Database.connect("postgresql://127.0.0.1:1/nowhere") as database, pytest.raises(TenantNotSetError):
        database.execute_sql("select 1")
