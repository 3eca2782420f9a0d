"""In a laboratory: a database with rows is distributed, also by a run that is killed again and again, and goes on."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Appointment, CreditBalance, Database, IsolationInertError, Student, credits, scheduling
from rayces_core.citus import compare, distribute
from rayces_core.errors import PermissionDeniedError
from rayces_core.migrating.hardening import Hardening
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import dedicated
from tests.citus.lab import drop_database, join, made_databases, run
from tests.citus.test_engine import SOON, WEEK
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.migrating.filler import fill
from tests.migrations.test_packaged_migrations import FEEDS, FILES, HOLDS, OLDER_HOLDS, REVOKED_FEEDS

COUNTED = """
SELECT tablename::text, (xpath('/row/count/text()', query_to_xml('SELECT count(*) FROM ' || quote_ident(tablename),
                                                                 false, true, '')))[1]::text::int
  FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"""
BILLS = """
def migrate(migrator, database, *, fake=False):
    migrator.tenant_table("bills", "student_id bigint NOT NULL, total_cents bigint NOT NULL")

def rollback(migrator, database, *, fake=False):
    migrator.drop_tenant_table("bills")
"""
OF_STUDENTS = """
ATOMIC = False

def migrate(migrator, database, *, fake=False):
    migrator.sql(
        "ALTER TABLE bills ADD CONSTRAINT bills_student_fkey "
        "FOREIGN KEY (organization_id, student_id) REFERENCES students (organization_id, id) NOT VALID"
    )
    migrator.sql("ALTER TABLE bills VALIDATE CONSTRAINT bills_student_fkey")
    migrator.tenant_column("bills", "paid_on", "date")

def rollback(migrator, database, *, fake=False):
    migrator.drop_tenant_column("bills", "paid_on")
    migrator.sql("ALTER TABLE bills DROP CONSTRAINT bills_student_fkey")
"""


@pytest.fixture
def nodes():
    """URLs of the superuser on an empty database of each node, the coordinator's first; none has Citus."""
    laboratory = os.environ.get("RAYCES_TEST_CITUS_URL")
    if not laboratory:
        pytest.skip("RAYCES_TEST_CITUS_URL names no laboratory; python -m tests.citus.lab starts one")
    name = f"rayces_test_{uuid.uuid4().hex[:12]}"
    try:
        yield made_databases(laboratory, name)
    finally:
        drop_database(laboratory, name)


@pytest.fixture
def bare(nodes):
    """The coordinator's, with Citus."""
    join(nodes)
    return nodes[0]


@pytest.fixture
def undistributed(bare):
    """The same, migrated and not distributed yet."""
    Runner(bare).up()
    run(bare, "ALTER ROLE rayces_app LOGIN")
    return bare


@contextmanager
def opened(url):
    with Database.connect(make_dsn(url, user="rayces_app"), admin_url=url, engine="citus") as database:
        yield database


def populate(url):
    """Three organizations at work."""
    with opened(url) as database:
        organizations = [make_organization(database) for _ in range(3)]
        for organization in organizations:
            with database.tenant(organization):
                professional, student, client = make_professional(weekly_schedule=WEEK), make_student(), make_user()
                credits.purchase(client, 5)
                people = {"student": student, "professional": professional, "client": client}
                for hours in (0, 2):  # the first stays a hold
                    booked = scheduling.book(**people, scheduled_at=SOON + timedelta(hours=hours), uses_credit=True)
                booked.confirm()
                Student.insert_many([{"first_name": f"n{n}", "last_name": "x"} for n in range(2000)]).execute()
    return organizations


def found_differences(url):
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        return compare(connection)


def check_all_is_there(url, organizations, counted):
    assert run(url, COUNTED) == counted
    assert found_differences(url) == []
    with opened(url) as database:
        for organization in organizations:
            with database.tenant(organization):
                assert Student.select().count() == 2001
                assert (CreditBalance.get().balance, CreditBalance.get().reserved) == (4, 1)
                for booked in Appointment.select():
                    booked.cancel(reason="ill", refund=True)
                assert (CreditBalance.get().balance, CreditBalance.get().reserved) == (5, 0)
                assert credits.verify().is_clean
        with database.privileged(reason="test"):
            report = credits.verify()
        assert (report.balances, report.appointments, report.discrepancies) == (3, 6, ())


def test_rows_are_distributed_with_their_tables(undistributed):
    organizations = populate(undistributed)
    counted = run(undistributed, COUNTED)
    distribute(undistributed)
    check_all_is_there(undistributed, organizations, counted)


def test_a_hardened_database_is_distributed_and_its_tenants_change_no_schema(undistributed):
    own = dedicated(undistributed)
    own.app_role, own.admin_role = "rayces_app", "rayces_admin"
    Hardening(own).run()
    organizations = populate(undistributed)
    counted = run(undistributed, COUNTED)
    distribute(undistributed)
    check_all_is_there(undistributed, organizations, counted)
    with opened(undistributed) as database, database.tenant(organizations[0]):
        with pytest.raises(PermissionDeniedError, match="hardened"):
            database.execute_sql("DO $$ BEGIN EXECUTE 'DROP OW' || 'NED BY CURRENT_USER'; END $$")
        assert Student.select().count() == 2001


def test_a_run_that_is_killed_at_each_table_goes_on_where_it_was(undistributed):
    organizations = populate(undistributed)
    counted = run(undistributed, COUNTED)
    killed = sum(killed_at_its_second_step(undistributed, 0.02 * (n % 5)) for n in range(18))
    assert killed > 8
    distribute(undistributed)
    check_all_is_there(undistributed, organizations, counted)


def test_an_application_that_runs_meanwhile_is_refused_and_does_not_read_empty_tables(nodes):
    url = nodes[0]
    Runner(url).up()
    with Database.connect(url) as unaware:
        organization = make_organization(unaware)
        with unaware.tenant(organization):
            make_student()
        join(nodes)
        with Database.connect(url, engine="citus") as aware:
            for database in (unaware, aware):  # all is on the coordinator still
                with database.tenant(organization):
                    assert Student.select().count() == 1
            distribute(url)
            for database, why in ((unaware, 'engine="citus"'), (aware, "COPY")):
                with pytest.raises(IsolationInertError, match=why), database.tenant(organization):
                    Student.select().count()
            with pytest.raises(IsolationInertError), unaware.privileged(reason="test"):
                Student.select().count()
    with opened(url) as database, database.tenant(organization):
        assert Student.select().count() == 1


def killed_at_its_second_step(url, seconds):
    """SIGKILL to a run of the command so long after it began with its second step; False where it was faster."""
    command = [sys.executable, "-m", "rayces_core", "citus", "distribute", "--engine", "citus", "--database-url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as it:
        it.stdout.readline()
        if it.stdout.readline():
            time.sleep(seconds)
            it.kill()
        it.wait()
        return it.returncode == -signal.SIGKILL


def test_the_librarys_own_migrations_run_on_rows_that_are_distributed_and_back(bare):
    runner = Runner(bare)
    runner.up(HOLDS - 1)
    with closing(psycopg2.connect(bare)) as connection:
        connection.autocommit = True
        fill(connection, HOLDS - 1)  # a balance of 4 in each of two organizations
        connection.cursor().execute(OLDER_HOLDS)
    distribute(bare)
    for file in FILES[HOLDS - 1 :]:
        assert runner.up(file.number) == [file.name]
        distribute(bare)
    assert found_differences(bare) == []
    held = "SELECT organization_id, balance, reserved FROM credit_balances WHERE balance > 0 ORDER BY 1"
    assert [(balance, reserved) for _, balance, reserved in run(bare, held)] == [(4, 3)] * 2
    with opened(bare) as database, database.privileged(reason="test"):
        assert credits.verify().is_clean
    assert len(runner.down(HOLDS - 1, yes=True)) == len(FILES) - HOLDS + 1
    assert found_differences(bare) == []


def test_the_newest_migrations_run_on_every_table_s_rows_that_are_distributed_and_back(bare):
    before = FEEDS - 2
    runner = Runner(bare)
    runner.up(before)
    with closing(psycopg2.connect(bare)) as connection:
        connection.autocommit = True
        fill(connection, before)
        connection.cursor().execute(REVOKED_FEEDS)
    distribute(bare)
    counted = rows_of_tenants(bare)
    hashes = "SELECT DISTINCT left(secret_hash, 2), revoked_at IS NULL FROM calendar_feeds ORDER BY 1"
    assert run(bare, hashes) == [("11", True), ("22", False)]
    for _ in range(2):
        assert len(runner.up()) == len(FILES) - before
        assert distribute(bare) == []
        assert found_differences(bare) == []
        assert rows_of_tenants(bare) == counted
        assert run(bare, hashes) == [("00", False), ("11", True)]
        assert len(runner.down(before, yes=True)) == len(FILES) - before
        assert found_differences(bare) == []
        assert rows_of_tenants(bare) == counted


def rows_of_tenants(url):
    """How many rows each table has, but for the record of migrations."""
    found = dict(run(url, COUNTED))
    assert all(found[name] for name in ("calendar_feeds", "credit_packages", "credit_lots", "group_sessions"))
    return {name: count for name, count in found.items() if not name.endswith("_migrations")}


def test_migrations_of_a_host_run_on_a_distributed_database_and_back(undistributed, tmp_path):
    organizations = populate(undistributed)
    distribute(undistributed)
    (tmp_path / "001_bills.py").write_text(BILLS)
    (tmp_path / "002_of_students.py").write_text(OF_STUDENTS)
    runner = Runner(undistributed, directory=tmp_path, history_table="clinic_migrations")
    assert runner.up(1) == ["001_bills"]
    assert distribute(undistributed) == ["bills"]
    assert runner.up() == ["002_of_students"]
    distribute(undistributed)
    assert found_differences(undistributed) == []
    with opened(undistributed) as database, database.tenant(organizations[0]):
        student = Student.get()
        made = "INSERT INTO bills (organization_id, student_id, total_cents) VALUES (%s, %s, 100)"
        database.execute_sql(made, (organizations[0].id, student.id))
        assert database.execute_sql("SELECT student_id, paid_on FROM bills").fetchall() == [(student.id, None)]
    assert runner.down(0, yes=True) == ["002_of_students", "001_bills"]
    assert found_differences(undistributed) == []
