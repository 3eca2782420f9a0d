"""Nothing of one tenant reaches the next on a connection, whatever a session of PostgreSQL can hold."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

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
    with Database.connect(url, max_connections=1, pool_timeout=5) as database:
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
    "a value of a sequence": "SELECT setseed(0.5)",
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


def test_a_function_that_makes_a_temporary_table_serves_each_tenant_its_own_rows(own):
    database, north, south = own
    from peewee import fn

    for organization, name in ((north, "North"), (south, "South"), (north, "North")):
        with database.tenant(organization):
            assert database.execute_sql("SELECT * FROM report()").fetchall() == [(name,)]
    for organization, name in ((south, "South"), (north, "North")):
        with database.tenant(organization):
            assert Student.select(fn.report()).limit(1).scalar() == name


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


def test_a_connection_that_another_tenant_has_left_something_on_is_taken_last(make_database, template):
    with Database.connect(make_database(template), max_connections=2) as database:
        north, south = make_organization(database), make_organization(database)
        entered, leave = threading.Event(), threading.Event()

        def meanwhile() -> None:
            with database.tenant(south):
                assert Student.select().count() == 0
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=meanwhile)
        with database.tenant(north):
            raw = database.execute_sql("SELECT pg_backend_pid()").fetchone()
            thread.start()
            entered.wait(10)
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
