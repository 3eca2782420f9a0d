"""Nothing of one tenant reaches the next on a connection, whatever a session of PostgreSQL can hold."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from peewee import SQL, Column
from psycopg2.extensions import connection as PlainConnection
from psycopg2.extensions import cursor as PlainCursor

from rayces_core import Database, PermissionDeniedError, RaycesError, Student, UnknownTableError, UnsafeSQLError
from rayces_core import credits as ledger
from rayces_core.database.cursor import TenantCursor
from tests.conftest import on_server
from tests.factory import make_organization, make_student, make_user
from tests.walking import walked
from tests.wire import wire

REPORT = """
CREATE OR REPLACE FUNCTION report() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS reported AS SELECT last_name FROM students;
    RETURN QUERY SELECT last_name::text FROM reported;
END $$;
"""


@pytest.fixture(scope="module")
def own(create_database: Callable[..., str], template: str) -> Iterator[Any]:
    """A database whose tenants share one connection, and two of them, each with a student of its name."""
    url = create_database(template)
    on_server(url, REPORT)
    with Database.connect(url, max_connections=1, pool_timeout=60) as database:
        north, south = make_organization(database), make_organization(database)
        for organization, name in ((north, "North"), (south, "South")):
            with database.tenant(organization):
                make_student(last_name=name)
        yield database, north, south


def unguarded(database: Database, sql: str) -> None:
    """As raw SQL that the guard does not see through would run: by a function, or built in a DO block."""
    quoted = sql.replace("'", "''")
    database.execute_sql(f"DO $outer$ BEGIN EXECUTE '{quoted}'; END $outer$")


LEFT_BEHIND = {
    "a temporary table": "CREATE TEMP TABLE kept AS SELECT * FROM students",
    "a temporary table of the library's name": "CREATE TEMP TABLE students (LIKE public.students)",
    "a temporary view": "CREATE TEMP VIEW students AS SELECT * FROM public.students",
    "a temporary function": "CREATE FUNCTION pg_temp.now() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a temporary sequence": "CREATE TEMP SEQUENCE students_id_seq",
    "a time-out": "SET statement_timeout = 1",
    "a time-out by the view of settings": "UPDATE pg_settings SET setting = '1' WHERE name = 'statement_timeout'",
    "a lock time-out": "SET lock_timeout = 1",
    "read-only transactions": "SET default_transaction_read_only = on",
    "another way to write days": "SET DateStyle = 'SQL, DMY'",
    "another time zone": "SET TIME ZONE 'Asia/Tokyo'",
    "another search path": "SET search_path = pg_temp, public",
    "no row-level security asked for": "SET row_security = off",
    "a tenant": "SET rayces.organization_id = '1'",
    "a look-up": "SET rayces.lookup = 'north'",
    "another role": "SET ROLE rayces_admin",
    "the login's role": "RESET ROLE",
    "a setting of one's own": "SET north.secret = 'x'",
    "a lock of the session": "SELECT pg_advisory_lock(4711)",
    "a channel": "LISTEN north",
    "a prepared statement": "PREPARE north AS SELECT 1",
}


def state(database: Database) -> dict[str, Any]:
    """What PostgreSQL itself tells of the session."""
    row = database.execute_sql("""
        SELECT current_user::text, current_setting('search_path'), current_setting('statement_timeout'),
               current_setting('lock_timeout'), current_setting('default_transaction_read_only'),
               current_setting('DateStyle'), current_setting('TimeZone'), current_setting('row_security'),
               nullif(current_setting('north.secret', true), ''),
               nullif(current_setting('rayces.lookup', true), ''),
               (SELECT count(*) FROM pg_class WHERE pg_my_temp_schema() = relnamespace),
               (SELECT count(*) FROM pg_proc WHERE pg_my_temp_schema() = pronamespace),
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
               (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors WHERE is_holdable),
               (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'rayces\\_%%')
    """).fetchone()
    return dict(enumerate(row))


@pytest.mark.slow
@walked("what", LEFT_BEHIND)
def test_what_one_tenant_leaves_does_not_reach_the_next(own, what):
    database, north, south = own
    with database.tenant(south):
        before = state(database)
    with database.tenant(north):
        unguarded(database, LEFT_BEHIND[what])
    with database.tenant(south):
        assert [row.last_name for row in Student.select()] == ["South"]
        assert state(database) == before
        student = make_student(last_name="Written")
        assert student.created_at.utcoffset().total_seconds() == 0
        student.delete_instance()
    with database.tenant(north):
        assert [row.last_name for row in Student.select()] == ["North"]


def test_a_held_cursor_does_not_reach_the_next(own):
    database, north, south = own
    with database.tenant(north), database.atomic():
        TenantCursor(database.engine.connection()).run(
            "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM students", stains=True
        )
    with database.tenant(south), pytest.raises(Exception, match='cursor "c" does not exist'):
        database.execute_sql("FETCH ALL FROM c")


def test_the_last_value_of_a_sequence_is_not_the_next_tenants(own):
    database, north, south = own
    with database.tenant(north):
        unguarded(database, "CREATE TEMP SEQUENCE counted")
        unguarded(database, "SELECT nextval('counted')")
        assert database.execute_sql("SELECT lastval()").fetchone() == (1,)
    with database.tenant(south), pytest.raises(RaycesError, match="lastval is not yet defined"):
        database.execute_sql("SELECT lastval()")


def test_numbers_that_look_random_do_not_go_on_as_one_tenant_has_begun_them(own):
    database, north, south = own
    with database.tenant(north):
        unguarded(database, "SELECT setseed(0.5)")
        [foreseen] = database.execute_sql("SELECT random()").fetchone()
        unguarded(database, "SELECT setseed(0.5)")
    with database.tenant(south):
        assert database.execute_sql("SELECT random()").fetchone() != (foreseen,)


def test_what_the_server_said_to_one_tenant_is_not_told_the_next(own):
    database, north, south = own
    with database.tenant(north):
        unguarded(database, "LISTEN north")
        database.execute_sql("DO $$ BEGIN RAISE NOTICE 'of north'; PERFORM pg_notify('north', 'of north'); END $$")
        connection = database.engine.connection()
        assert "of north" in str(connection.notices)
        assert "of north" in str(connection.notifies)
    with database.tenant(south):
        assert Student.select().count() == 1
        connection = database.engine.connection()
        assert connection.notices == connection.notifies == []


# -- the driver's own ways to change a session -----------------------------------------------------------------------

REFUSED: dict[str, Callable[[Any], object]] = {
    "set_session": lambda connection: connection.set_session(readonly=True),
    "set_isolation_level": lambda connection: connection.set_isolation_level(3),
    "set_client_encoding": lambda connection: connection.set_client_encoding("LATIN1"),
    "reset": lambda connection: connection.reset(),
    "tpc_begin": lambda connection: connection.tpc_begin("north"),
    "lobject": lambda connection: connection.lobject(),
    "__enter__": lambda connection: connection.__enter__(),
    "autocommit": lambda connection: setattr(connection, "autocommit", False),
    "isolation_level": lambda connection: setattr(connection, "isolation_level", "SERIALIZABLE"),
    "readonly": lambda connection: setattr(connection, "readonly", True),
    "deferrable": lambda connection: setattr(connection, "deferrable", True),
    "cursor_factory": lambda connection: setattr(connection, "cursor_factory", PlainCursor),
}
# They tell something, end something, or have a transaction of the driver's to act on, which is refused.
OTHERS = """
    DataError DatabaseError Error IntegrityError InterfaceError InternalError NotSupportedError OperationalError
    ProgrammingError Warning async async_ binary_types cancel close closed commit cursor dsn encoding fileno
    get_backend_pid get_dsn_parameters get_native_connection get_parameter_status get_transaction_status info
    isexecuting notices notifies pgconn_ptr poll protocol_version rollback server_version status string_types
    tpc_commit tpc_prepare tpc_recover tpc_rollback xid
    """


def test_each_way_of_the_driver_is_known():
    names = {name for name in dir(PlainConnection) if not name.startswith("_")} | {"__enter__"}
    assert names == REFUSED.keys() | set(OTHERS.split())


@walked("name", REFUSED)
def test_the_drivers_own_ways_to_change_a_session_are_refused(own, name):
    database, north, south = own
    with database.tenant(south):
        before, kind = state(database), database.engine.connection().cursor_factory
    with database.tenant(north), pytest.raises(UnsafeSQLError):
        REFUSED[name](database.engine.connection())
    with database.tenant(south):
        assert state(database) == before
        assert database.engine.connection().cursor_factory is kind


@pytest.mark.parametrize("name", ["commit", "rollback", "tpc_recover"])
def test_the_drivers_commit_and_rollback_end_no_unit_of_work(own, name):
    database, north, _ = own
    with database.tenant(north):
        with database.atomic() as unit:
            make_student(last_name="Undone")
            getattr(database.engine.connection(), name)()
            assert database.engine.connection().in_transaction
            unit.rollback()
        assert Student.select().where(Student.last_name == "Undone").count() == 0


def test_a_function_that_makes_a_temporary_table_serves_each_tenant_its_own_rows(own):
    database, north, south = own
    from peewee import fn

    for organization, name in ((north, "North"), (south, "South"), (north, "North")):
        with database.tenant(organization):
            assert database.execute_sql("SELECT * FROM report()").fetchall() == [(name,)]
    for organization, name in ((south, "South"), (north, "North")):
        with database.tenant(organization):
            assert Student.select(fn.report()).limit(1).scalar() == name


@pytest.mark.slow
def test_a_trigger_that_makes_a_temporary_table_serves_each_tenant_its_own_rows(make_database, template):
    url = make_database(template)
    on_server(
        url,
        """
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            CREATE TEMP TABLE IF NOT EXISTS noted (name text);
            INSERT INTO noted VALUES (NEW.last_name);
            NEW.grade_level := (SELECT string_agg(name, ',') FROM noted);
            RETURN NEW;
        END $$;
        CREATE TRIGGER note BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION note();
        """,
    )
    with Database.connect(url, max_connections=1) as database:
        for organization, name in ((make_organization(database), "North"), (make_organization(database), "South")):
            with database.tenant(organization):
                assert Student.get_by_id(make_student(last_name=name).id).grade_level == name


LEAVING = """
CREATE FUNCTION leave(text) RETURNS {gives} LANGUAGE plpgsql AS $$
BEGIN CREATE TEMP TABLE IF NOT EXISTS kept AS SELECT last_name FROM students; RETURN {given}; END $$;
"""
# What calls a host's function without its name in a query: the SQL that makes it, and a query that calls it.
UNNAMED: dict[str, tuple[str, Callable[[], Any]]] = {
    "the default of a domain": (
        LEAVING.format(gives="text", given="$1")
        + "CREATE DOMAIN grade AS text DEFAULT leave('3'); ALTER TABLE students ADD COLUMN grade grade",
        lambda: make_student(last_name="Other"),
    ),
    "an operator of a check": (
        LEAVING.format(gives="boolean", given="true")
        + "CREATE OPERATOR !!! (FUNCTION = leave, RIGHTARG = text);"
        + "ALTER TABLE students ADD CHECK (!!! last_name::text) NOT VALID",
        lambda: make_student(last_name="Other"),
    ),
    "an operator": (
        LEAVING.format(gives="boolean", given="true") + "CREATE OPERATOR !!! (FUNCTION = leave, RIGHTARG = text)",
        lambda: Student.select().where(SQL("!!! last_name::text")).count(),
    ),
    "a cast": (
        "CREATE TYPE whole AS (name text);"
        + LEAVING.format(gives="whole", given="row($1)::whole")
        + "CREATE CAST (text AS whole) WITH FUNCTION leave(text)",
        lambda: list(Student.select(Student.last_name.cast("text").cast("whole").alias("whole")).tuples()),
    ),
    "a function in the place of a column": (
        LEAVING.format(gives="text", given="$1")
        + "CREATE FUNCTION whole(students) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT leave($1.last_name)'",
        lambda: list(Student.select(Column(Student._meta.table, "whole")).tuples()),
    ),
}


@pytest.mark.slow
@walked("what", UNNAMED)
def test_a_function_that_is_called_without_its_name_leaves_nothing_for_the_next(make_database, template, what):
    url = make_database(template)
    with Database.connect(url) as database:
        north, south = make_organization(database), make_organization(database)
        with database.tenant(north):
            make_student(last_name="North")
    made, call = UNNAMED[what]
    on_server(url, made)
    with Database.connect(url, max_connections=1) as database:
        with database.tenant(north):
            call()
        with database.tenant(south):
            assert Student.select().count() == 0
            with pytest.raises(UnknownTableError):
                database.execute_sql("SELECT * FROM kept")


@pytest.mark.slow
def test_functions_of_a_host_that_cannot_write_cost_the_library_nothing(make_database, template):
    url = make_database(template)
    on_server(
        url,
        """
        CREATE FUNCTION whole(students) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.last_name';
        CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
        CREATE FUNCTION report() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT version()';
        CREATE INDEX ON students (plain(last_name::text));
        CREATE OPERATOR !!! (FUNCTION = plain, RIGHTARG = text);
        """,
    )
    with Database.connect(url) as database, database.tenant(make_organization(database)):
        assert Student.select().count() == 0
        assert not database.engine.is_cautious


def test_the_librarys_own_tables_are_found_before_temporary_ones_of_the_same_tenant(own):
    database, north, _ = own
    with database.tenant(north), database.atomic():
        database.execute_sql(
            "CREATE TEMP TABLE students (LIKE public.students) ON COMMIT DROP"
        ) if False else unguarded(database, "CREATE TEMP TABLE students (LIKE public.students)")
        student = make_student(last_name="Kept")
        assert database.execute_sql("SELECT count(*) FROM public.students").fetchone() == (2,)
        student.delete_instance()


def test_names_of_prepared_statements_cannot_be_guessed_and_are_forgotten(own):
    database, north, south = own
    with database.tenant(north):
        user = make_user()
        ledger.purchase(user, 5)
        names = database.execute_sql("SELECT name FROM pg_prepared_statements").fetchall()
        assert names
        assert all(len(name) > 20 for (name,) in names)
        for (name,) in names:
            unguarded(database, f"DEALLOCATE {name}")
            unguarded(database, f"PREPARE {name} AS SELECT 1")
    with database.tenant(south):
        assert ledger.purchase(make_user(), 7).balance_after == 7


def test_a_connection_that_cannot_be_cleansed_is_replaced(own):
    database, north, south = own
    with database.tenant(north):
        pid = database.execute_sql("SELECT pg_backend_pid()").fetchone()
        unguarded(database, "SET statement_timeout = 1")
    with database.tenant(south):
        assert Student.select().count() == 1
        assert database.execute_sql("SELECT 1").fetchone() == (1,)
    assert pid is not None


def test_the_librarys_own_statements_are_not_cleansed_after(own):
    database, north, south = own
    with wire(database.url) as proxy, Database.connect(proxy.url, max_connections=1) as watched:
        for organization in (north, south):
            with watched.tenant(organization):
                make_student().delete_instance()
        proxy.sent.clear()
        for _ in range(2):
            for organization in (north, south):
                with watched.tenant(organization):
                    Student.select().where(Student.first_name == "nobody").count()
                    Student.select().where(Student.id == 0).exists()
                    ledger.balance(make_user())
        assert not [sent for sent in proxy.sent if "DISCARD" in sent]
        with watched.tenant(north):
            watched.execute_sql("SELECT 1")
        with watched.tenant(south):
            assert Student.select().count() == 1
        assert [sent for sent in proxy.sent if "DISCARD" in sent] == ["DISCARD ALL"]


def test_a_cursor_kept_from_another_tenants_block_is_cleansed_too(own):
    database, north, south = own
    with database.tenant(north):
        cursor = database.engine.connection().cursor()
        unguarded(database, "CREATE TEMP TABLE kept_by_cursor AS SELECT * FROM students")
    with database.tenant(south), pytest.raises(UnknownTableError):
        cursor.execute("SELECT * FROM kept_by_cursor")


@pytest.mark.slow
def test_a_connection_that_another_tenant_has_left_something_on_is_taken_last(make_database, template):
    with Database.connect(make_database(template), max_connections=2) as database:
        north, south = make_organization(database), make_organization(database)
        entered, leave = threading.Event(), threading.Event()

        def meanwhile() -> None:
            with database.tenant(south):
                assert Student.select().count() == 0
                entered.set()
                leave.wait(60)

        thread = threading.Thread(target=meanwhile)
        with database.tenant(north):
            raw = database.execute_sql("SELECT pg_backend_pid()").fetchone()
            thread.start()
            entered.wait(60)
            leave.set()
            thread.join()
        with database.tenant(south):  # the one given back last is north's
            assert database.execute_sql("SELECT pg_backend_pid()").fetchone() != raw
        with database.tenant(north):
            assert database.execute_sql("SELECT pg_backend_pid()").fetchone() == raw


def test_large_objects_are_refused(own):
    database, north, _ = own
    with database.tenant(north), pytest.raises(UnsafeSQLError, match="bytes in a column"):
        database.engine.connection().lobject()


@pytest.mark.slow
@walked("role", ["rayces_admin", "NONE"])
def test_a_login_that_holds_the_app_role_alone_has_nothing_to_fall_back_on(own, role, server_url):
    database, north, _ = own
    login = f"web_{north.id}_{role.lower()}"
    on_server(server_url, f"CREATE ROLE {login} LOGIN NOINHERIT; GRANT rayces_app TO {login}")
    try:
        url = psycopg2.extensions.make_dsn(database.url, user=login)
        with Database.connect(url) as web, web.tenant(north.subdomain):
            assert [row.last_name for row in Student.select()] == ["North"]
            with pytest.raises((PermissionDeniedError, RaycesError)):
                unguarded(web, f"SET ROLE {role}; SELECT count(*) FROM students")
            with pytest.raises(RaycesError, match="admin_url"), web.privileged(reason="test"):
                Student.select().count()
        with Database.connect(url, admin_url=database.url) as web, web.privileged(reason="test"):
            assert Student.select().count() == 2
    finally:
        on_server(server_url, f"DROP ROLE {login}")


def test_a_login_that_may_not_ask_for_the_clusters_number_works_all_the_same(own_db, server_url):
    organization = make_organization(own_db)
    login = f"asks_{organization.id}_{organization.subdomain[-6:]}".replace("-", "_")
    on_server(own_db.url, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    on_server(server_url, f"CREATE ROLE {login} LOGIN NOINHERIT; GRANT rayces_app TO {login}")
    try:
        with Database.connect(psycopg2.extensions.make_dsn(own_db.url, user=login)) as web:
            with web.tenant(organization.subdomain):
                make_student()
                assert Student.select().count() == 1
    finally:
        on_server(server_url, f"DROP ROLE {login}")


@pytest.mark.slow
def test_the_embedded_servers_url_is_that_of_a_login_without_rights(tmp_path):
    with Database.embedded() as database:
        database.migrate()
        organization = database.create_organization("North", subdomain="north")
        connection = psycopg2.connect(database.url)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            connection.cursor().execute("SELECT count(*) FROM students")
        connection.close()
        superuser = psycopg2.connect(database.admin_url)
        superuser.cursor().execute("SELECT count(*) FROM students")
        superuser.close()
        with database.tenant(organization), pytest.raises(UnknownTableError):
            database.execute_sql("SELECT * FROM nothing")
