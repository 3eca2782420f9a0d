"""In a laboratory: PgBouncer in transaction mode before the coordinator; no tenant stays on its connections."""

import io
import shutil
from contextlib import closing, contextmanager

import psycopg2
import pytest

from rayces_core import Database, ReadOnlyError, Student, credits, importing, scheduling
from tests.citus.test_engine import SOON, WEEK
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.tenancy.test_walls import run_bouncer
from tests.wire import wire


@pytest.fixture(scope="module")
def addresses(distributed, superuser, tmp_path_factory):
    """The URL of a PgBouncer for tenants' work and of one for privileged work, each with one connection."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed here")
    bouncing = contextmanager(run_bouncer)
    of_tenants, of_all = tmp_path_factory.mktemp("tenants"), tmp_path_factory.mktemp("all")
    with bouncing(program, distributed.url, of_tenants) as url, bouncing(program, superuser, of_all) as admin_url:
        yield url, admin_url


@contextmanager
def behind(addresses):
    url, admin_url = addresses
    with Database.connect(url, admin_url=admin_url, engine="citus") as database:
        yield database


@pytest.fixture
def database(addresses):
    with behind(addresses) as made:
        yield made


def test_two_applications_on_one_connection_never_see_each_others_rows(addresses, database):
    first, second = make_organization(database), make_organization(database)
    with behind(addresses) as other:
        for organization, count in ((first, 1), (second, 2)):
            with database.tenant(organization):
                for _ in range(count):
                    make_student()
        served = set()
        for _ in range(5):
            for application, organization, expected in (
                (database, first, 1),
                (other, second, 2),
                (other, first, 1),
                (database, second, 2),
            ):
                with application.tenant(organization):
                    assert Student.select().count() == expected
                    with application.atomic():
                        assert application.execute_sql("SELECT count(*) FROM students").fetchone() == (expected,)
                        served |= set(application.execute_sql("SELECT pg_backend_pid()").fetchone())
        assert len(served) == 1


def test_what_is_left_on_the_connection_binds_nobody(addresses, database):
    organization = make_organization(database)
    with database.tenant(organization):
        make_student()
    with closing(psycopg2.connect(addresses[0])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT pg_advisory_lock(7)")
        cursor.execute("CREATE TEMP TABLE students AS SELECT 'not theirs' AS first_name")
        with database.tenant(organization), database.atomic():
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND pid = pg_backend_pid()"
            assert database.execute_sql(locks).fetchone() == (0,)
            assert Student.get().first_name != "not theirs"
        cursor.execute("SELECT count(*) FROM students")
        assert cursor.fetchone() == (0,)


def test_a_slot_is_booked_paid_for_and_given_back(database):
    with database.tenant(make_organization(database)):
        professional, student, client = make_professional(weekly_schedule=WEEK), make_student(), make_user()
        credits.purchase(client, 2)
        people = {"student": student, "professional": professional, "client": client}
        booked = scheduling.book(**people, scheduled_at=SOON, uses_credit=True)
        booked.confirm()
        assert credits.balance(client) == 1
        booked.cancel(reason="ill", refund=True)
        assert credits.balance(client) == 2
        assert credits.verify().is_clean
    with database.privileged(reason="test"):
        assert credits.verify().is_clean


def test_rows_are_copied_imported_and_only_read(database):
    organization = make_organization(database)
    with database.tenant(organization):
        rows = [{"first_name": f"n{n}", "last_name": "x"} for n in range(50)]
        assert importing.run(rows, "students", batch_rows=20).created == 50
        out = io.StringIO()
        with database.atomic():
            database.engine.cursor().copy_expert("COPY students (first_name) TO STDOUT", out)
        assert len(out.getvalue().split()) == 50
    with (
        database.tenant(organization, read_only=True),
        pytest.raises(ReadOnlyError),
        database.atomic("REPEATABLE READ"),
    ):
        assert Student.select().count() == 50
        make_student()


def test_a_statement_takes_as_many_messages_as_without_it(addresses, database):
    organization = make_organization(database)
    with (
        wire(addresses[0]) as proxy,
        Database.connect(proxy.url, admin_url=addresses[1], engine="citus") as counted,
        counted.tenant(organization),
    ):
        Student.select().count()
        before = len(proxy.sent)
        Student.select().count()
        assert len(proxy.sent) - before == 4
