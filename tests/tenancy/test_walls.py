"""Acceptance: what the database itself holds, whatever code runs."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import psycopg2
import psycopg2.extras
import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import (
    Appointment,
    ConnectionLostError,
    CrossTenantError,
    Database,
    PermissionDeniedError,
    ReferenceNotFoundError,
    Student,
    UnsafeSQLError,
)
from rayces_core.analysis import url_of
from rayces_core.errors import ConfigurationError, ReadOnlyError, StatementTimeoutError
from rayces_core.models import TENANT_MODELS
from tests.conftest import on_server
from tests.factory import (
    MAKERS,
    make_appointment,
    make_organization,
    make_professional,
    make_student,
    make_user,
)
from tests.patience import wait_until
from tests.ports import free_port
from tests.walking import walked

TABLES = [model._meta.table_name for model in TENANT_MODELS]


def catalogue(db: Database, sql: str, *values: object) -> list:
    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    cursor.execute(sql, values)
    rows = cursor.fetchall()
    connection.close()
    return rows


@walked("table", [*TABLES, "organizations"])
def test_row_level_security_is_enabled_and_forced(db, table):
    sql = "select relrowsecurity, relforcerowsecurity from pg_class where oid = %s::regclass"
    assert catalogue(db, sql, table) == [(True, True)]


@walked("table", [*TABLES, "organizations"])
def test_permissive_policies_with_using_and_check_hold_the_application_role_for_each_command(db, table):
    sql = """
        select cmd, coalesce(qual, with_check), coalesce(with_check, qual), permissive from pg_policies
         where tablename = %s and 'rayces_app' = any(roles) and policyname <> 'rayces_lookup'
    """
    found = catalogue(db, sql, table)
    column = "id" if table == "organizations" else "organization_id"
    assert {command for command, *_ in found} in ({"ALL"}, {"SELECT", "INSERT", "UPDATE"})
    for _, using, check, permissive in found:
        assert permissive == "PERMISSIVE"
        for condition in (using, check):
            assert condition.lstrip("(").startswith(f"{column} = (NULLIF(current_setting(")
            assert "OR" not in condition.split()


@walked("table", TABLES)
def test_the_tenant_comes_first_in_every_key(db, table):
    sql = """
        select i.indexrelid::regclass::text, a.attname from pg_index i
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indrelid = %s::regclass and (i.indisunique or i.indisexclusion)
    """
    first_columns = dict(catalogue(db, sql, table))
    # Migration 030 says why it begins with the appointment.
    assert first_columns.pop("credit_transactions_refundable_key", "appointment_id") == "appointment_id"
    assert first_columns
    assert set(first_columns.values()) == {"organization_id"}


@walked("table", TABLES)
def test_the_tenant_is_never_null(db, table):
    sql = "select attnotnull from pg_attribute where attrelid = %s::regclass and attname = 'organization_id'"
    assert catalogue(db, sql, table) == [(True,)]


# -- raw SQL --------------------------------------------------------------------------------------------------


@pytest.fixture
def other_rows(db, b):
    """One row of every model in B."""
    with db.tenant(b):
        return {model: make() for model, make in MAKERS.items()}


def insert_copy(db: Database, table: str, organization_id: int) -> None:
    """Try, in raw SQL, to write a row of `organization_id`."""
    db.execute_sql(f"insert into {table} (organization_id) values (%s)", (organization_id,))


@walked("model", TENANT_MODELS)
def test_raw_sql_sees_only_the_bound_tenants_rows(db, a, other_rows, model):
    table = model._meta.table_name
    with db.tenant(a):
        MAKERS[model]()
        rows = db.execute_sql(f"select distinct organization_id from {table}").fetchall()
    assert rows == [(a.id,)]


@walked("model", TENANT_MODELS)
def test_raw_sql_cannot_write_for_another_tenant(db, a, b, model):
    with db.tenant(a), pytest.raises((CrossTenantError, PermissionDeniedError)):
        insert_copy(db, model._meta.table_name, b.id)


@walked("model", TENANT_MODELS)
def test_raw_sql_cannot_move_a_row_to_another_tenant(db, a, b, model):
    with db.tenant(a):
        MAKERS[model]()
        with pytest.raises((CrossTenantError, PermissionDeniedError)):
            db.execute_sql(f"update {model._meta.table_name} set organization_id = %s", (b.id,))


@walked("model", TENANT_MODELS)
def test_raw_sql_cannot_empty_a_table(db, a, other_rows, model):
    with db.tenant(a), pytest.raises(PermissionDeniedError):
        db.execute_sql(f"truncate {model._meta.table_name} cascade")


def test_raw_sql_of_a_tenant_sees_one_organization(db, a, b):
    with db.tenant(a):
        assert db.execute_sql("select id from organizations").fetchall() == [(a.id,)]


def test_a_foreign_key_to_another_tenants_row_is_refused_like_one_to_nobodys(db, a, other_rows):
    with db.tenant(a):
        professional, client = make_professional(), make_user()
        messages = []
        for student_id in (other_rows[Student].id, 10**15):
            with pytest.raises(ReferenceNotFoundError) as caught:
                db.execute_sql(
                    "insert into appointments (organization_id, professional_id, student_id, client_id, scheduled_at) "
                    "values (%s, %s, %s, %s, date_trunc('minute', now()))",
                    (a.id, professional.user_id, student_id, client.id),
                )
            messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_superusers_connection_is_held_as_well(db, a, other_rows):
    with db.tenant(a):
        assert db.execute_sql("select current_user, session_user").fetchone()[0] == "rayces_app"
        assert catalogue(db, "select rolsuper from pg_roles where rolname = session_user") == [(True,)]
        assert db.execute_sql("select count(*) from students").fetchone() == (0,)


@walked(
    "sql",
    [
        "set rayces.bypass = on",
        "set rayces.organization_id = 1",
        "set role postgres",
        "reset role",
        "set session authorization postgres",
        "set row_security = off",
        "commit; select * from students",
        "rollback; select * from students",
        "select set_config('rayces.organization_id', '1', true)",
    ],
)
def test_settings_and_statements_that_would_step_out_do_nothing(db, a, other_rows, sql):
    with db.tenant(a):
        with pytest.raises(UnsafeSQLError):
            db.execute_sql(sql)
        with db.atomic(), pytest.raises(UnsafeSQLError):
            db.execute_sql(sql)
        with pytest.raises(UnsafeSQLError):
            list(Student.raw(sql))
        with pytest.raises(UnsafeSQLError):
            db.engine.connection().cursor().execute(sql)
        assert db.execute_sql("select count(*) from students").fetchone() == (0,)


def test_a_cursor_that_would_not_carry_the_tenant_is_refused(db, a, other_rows):
    with db.tenant(a):
        connection = db.engine.connection()
        for factory in (psycopg2.extensions.cursor, psycopg2.extras.DictCursor, psycopg2.extras.RealDictCursor):
            with pytest.raises(UnsafeSQLError):
                connection.cursor(cursor_factory=factory)
        with pytest.raises(UnsafeSQLError):
            connection.cursor().callproc("version")
        with pytest.raises(UnsafeSQLError):
            connection.cursor("named").execute("select * from students")
        with pytest.raises(UnsafeSQLError):
            connection.cursor().copy_expert("copy (select * from students) to stdout", io.StringIO())


@pytest.mark.parametrize(
    "use",
    [
        lambda connection: setattr(connection, "autocommit", False),
        lambda connection: connection.set_session(autocommit=False),
        lambda connection: connection.__enter__(),
    ],
    ids=["autocommit", "set_session", "with connection"],
)
def test_a_connection_cannot_be_put_into_another_mode(db, a, use):
    with db.tenant(a):
        with pytest.raises(UnsafeSQLError, match="atomic"):
            use(db.engine.connection())
        make_student()
    with db.tenant(a):
        assert Student.select().count() == 1


def test_bulk_helpers_of_psycopg2_carry_the_tenant(db, a, other_rows):
    insert = "insert into students (organization_id, first_name, last_name) values %s"
    with db.tenant(a):
        cursor = db.engine.connection().cursor()
        psycopg2.extras.execute_values(cursor, insert, [(a.id, f"n{i}", "x") for i in range(300)])
        cursor.executemany(
            "insert into students (organization_id, first_name, last_name) values (%s, %s, %s)", [(a.id, "e", "x")]
        )
        assert Student.select().count() == 301
        with db.atomic():
            server_side = db.engine.connection().cursor("named")
            server_side.execute("select * from students")
            assert len(server_side.fetchall()) == 301
            out = io.StringIO()
            db.engine.connection().cursor().copy_expert("copy (select organization_id from students) to stdout", out)
            assert set(out.getvalue().split()) == {str(a.id)}


@walked("nested", [True, False])
def test_what_a_block_of_code_may_have_left_goes_with_its_connection(own_pool, nested):
    first, second = make_organization(own_pool), make_organization(own_pool)
    leave = "do $$ begin execute 'create temp table students as select 1 as id'; end $$"
    with Database.connect(own_pool.url, max_connections=1) as database:
        with database.tenant(first):
            database.execute_sql(leave)
            if nested:
                with database.tenant(second):
                    assert Student.select().count() == 0
        with database.tenant(second):
            make_student()
            assert Student.select().count() == 1


def test_a_bypass_that_someone_invents_is_not_honoured(db, a, other_rows):
    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    cursor.execute(
        "select set_config('role', 'rayces_app', true), set_config('rayces.organization_id', %s, true)", (str(a.id),)
    )
    cursor.execute("select set_config('rayces.bypass', 'on', true), set_config('rayces.bypass_rls', 'true', true)")
    cursor.execute("select count(*) from students")
    assert cursor.fetchone() == (0,)
    connection.close()


def test_the_application_role_without_a_tenant_sees_nothing(db, other_rows):
    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    for tenant in (None, "", "0"):
        cursor.execute(
            "begin; select set_config('role', 'rayces_app', true), set_config('rayces.organization_id', %s, true)",
            (tenant,),
        )
        cursor.execute("select count(*) from students")
        assert cursor.fetchone() == (0,)
        cursor.execute("rollback")
    connection.close()


# -- what stays on a connection -------------------------------------------------------------------------------


def left_behind(db: Database) -> tuple:
    """Role, tenant and visible rows of the one pooled connection, seen past the library."""
    (connection,) = db.engine.pool._free
    return connection.plain(
        "select current_user::text, nullif(current_setting('rayces.organization_id', true), ''),"
        " (select count(*) from organizations), (select count(*) from students)"
    ).fetchone()


@pytest.fixture
def single(own_pool):
    with Database.connect(own_pool.url, max_connections=1) as database:
        yield database, make_organization(own_pool)


def after_a_lone_statement(database):
    make_student()


def after_a_failed_statement(database):
    with pytest.raises(ReferenceNotFoundError):
        Appointment.create(professional=1, student=1, client=1, scheduled_at="2031-01-01T00:00+00:00")


def after_a_commit(database):
    with database.atomic():
        make_student()


def after_a_rollback(database):
    with pytest.raises(RuntimeError), database.atomic():
        make_student()
        raise RuntimeError


def after_a_savepoints_rollback(database):
    with database.atomic():
        with pytest.raises(RuntimeError), database.atomic():
            make_student()
            raise RuntimeError
        make_student()


def after_a_failed_transaction(database):
    with pytest.raises(PermissionDeniedError), database.atomic():
        database.execute_sql("truncate students")


def after_a_transaction_left_open(database):
    database.engine.begin()
    make_student()
    database.engine.rollback()


def after_a_reconnect(database):
    pid = database.execute_sql("select pg_backend_pid()").fetchone()[0]
    with pytest.raises(ConnectionLostError), database.atomic():
        on_server(database.url, f"select pg_terminate_backend({pid}, 5000)")
        make_student()
    make_student()


@walked(
    "use",
    [
        after_a_lone_statement,
        after_a_commit,
        after_a_rollback,
        after_a_savepoints_rollback,
        after_a_failed_transaction,
        after_a_transaction_left_open,
        after_a_reconnect,
    ],
)
def test_the_pooled_connection_carries_no_tenant_and_the_least_role(single, use):
    database, organization = single
    with database.tenant(organization):
        use(database)
    assert left_behind(database) == ("rayces_app", None, 0, 0)


# -- plans ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_rows(create_database, template):
    """A database with 50 organizations and 20,000 students, analysed."""
    with Database.connect(create_database(template)) as database:
        organizations = [make_organization(database) for _ in range(50)]
        on_server(
            database.url,
            "insert into students (organization_id, first_name, last_name) "
            "select 1 + g % 50, 'first' || g, 'last' || g from generate_series(1, 20000) g",
        )
        on_server(database.url, "analyze students")
        yield database, organizations[2]


def explain(database: Database, query) -> str:
    sql, params = query.sql()
    return "\n".join(line for (line,) in database.execute_sql("explain (costs off) " + sql, params))


def test_a_scoped_query_is_an_index_condition_on_the_tenant(many_rows):
    database, organization = many_rows
    with database.tenant(organization):
        plan = explain(database, Student.select().where(Student.last_name == "last102"))
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any(
        f"organization_id = '{organization.id}'" in line or f"organization_id = {organization.id}" in line
        for line in conditions
    ), plan


def test_the_policy_costs_one_filter_a_query_and_none_a_row(many_rows):
    database, organization = many_rows
    with database.tenant(organization):
        plan = explain(database, Student.select().where(Student.id == 52))
    per_row = [line for line in plan.splitlines() if line.strip().startswith("Filter:")]
    assert not any("current_setting" in line or "InitPlan" in line or "$0" in line for line in per_row), plan
    assert "One-Time Filter" in plan


# -- PgBouncer ------------------------------------------------------------------------------------------------


@pytest.fixture
def bouncer_url(own_db, tmp_path):
    """A PgBouncer in transaction mode with one server connection, where the program is installed."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed here")
    yield from run_bouncer(program, own_db.url, tmp_path)


def run_bouncer(program, url, folder, size=1, ignored=""):
    parts = parse_dsn(url)
    port = free_port()
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{parts["user"]}" "{parts.get("password", "")}"\n')
    server = f"host={parts['host']} port={parts.get('port', 5432)} dbname={parts['dbname']} user={parts['user']}"
    if "password" in parts:
        server += f" password={parts['password']}"
    (folder / "bouncer.ini").write_text(
        f"[databases]\napp = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = {size}\n"
        f"ignore_startup_parameters = {ignored}\n"
    )
    # It refuses to run as root; the owner of the server's socket may reach the server.
    user = (
        ["-u", Path(parts["host"]).owner() if parts["host"].startswith("/") else "nobody"] if os.geteuid() == 0 else []
    )
    process = subprocess.Popen([program, *user, str(folder / "bouncer.ini")])
    try:
        bouncer = f"postgresql://{parts['user']}@127.0.0.1:{port}/app?connect_timeout=60"
        wait_until(lambda: _is_served(bouncer))
        yield bouncer
    finally:
        process.terminate()
        process.wait(60)


def _is_served(url):
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_two_clients_interleaved_through_pgbouncer_never_see_each_others_rows(own_db, bouncer_url):
    first, second = make_organization(own_db), make_organization(own_db)
    for organization, count in ((first, 1), (second, 2)):
        with own_db.tenant(organization):
            for _ in range(count):
                make_student()
    count = "select count(*) from students"
    with Database.connect(bouncer_url) as one, Database.connect(bouncer_url) as two:
        for _ in range(20):
            for database, organization, expected in (
                (one, first, 1),
                (two, second, 2),
                (two, first, 1),
                (one, second, 2),
            ):
                with database.tenant(organization):
                    assert Student.select().count() == expected
                    assert database.execute_sql(count).fetchone() == (expected,)
                    with database.atomic():
                        assert database.execute_sql(count).fetchone() == (expected,)


def test_events_through_pgbouncer_prepare_nothing_and_clash_with_nobody(own_db, bouncer_url):
    organization = make_organization(own_db)
    with own_db.tenant(organization):
        drafts = [make_appointment() for _ in range(6)]
    with Database.connect(bouncer_url) as one, Database.connect(bouncer_url) as two:
        for number, draft in enumerate(drafts):
            for database, event in ((one, "pre_confirm"), (two, "confirm")) if number % 2 else ((two, "pre_confirm"),):
                with database.tenant(organization.id):
                    getattr(Appointment.get_by_id(draft.id), event)()
                    prepared = database.execute_sql("SELECT count(*) FROM pg_prepared_statements").fetchone()
                    assert prepared == (0,)


@pytest.mark.slow
def test_a_reader_through_pgbouncer_reads_one_organization_writes_nothing_and_leaves_others_to_write(
    own_db, bouncer_url
):
    first, second = make_organization(own_db), make_organization(own_db)
    for organization in (first, second):
        with own_db.tenant(organization):
            make_student(last_name=organization.subdomain)
    with Database.connect(bouncer_url) as database:
        reader, hasty = database.reader(), database.reader(statement_timeout=0.3)
        for organization in (first, second):
            with reader.tenant(organization):
                assert [student.last_name for student in Student.select()] == [organization.subdomain]
                with pytest.raises(ReadOnlyError):
                    make_student()
                with reader.atomic("REPEATABLE READ"):
                    assert Student.select().count() == 1
            with pytest.raises(StatementTimeoutError), hasty.tenant(organization):
                hasty.execute_sql("SELECT pg_sleep(60)")
            with database.tenant(organization):
                make_student()
                assert database.execute_sql("SHOW statement_timeout").fetchone() == ("0",)
        with pytest.raises(ConfigurationError, match="a pooling proxy stands before the server"):
            url_of(database, first)
