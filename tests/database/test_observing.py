"""What an application sees of the library at work: queries, pool, health, tenants; and monitoring agents."""

import subprocess
import sys
import time
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

from rayces_core import (
    ConfigurationError,
    Database,
    DatabaseMissingError,
    DatabaseUnreachableError,
    InactiveTenantError,
    LoginRefusedError,
    Organization,
    RaycesError,
    Student,
    TenantNotCachedError,
    TransactionFailedError,
    UnknownTenantError,
    credits,
)
from rayces_core.database.observing import described
from tests.factory import make_organization, make_student, make_user
from tests.sizes import exhaustive
from tests.walking import walked
from tests.wire import wire


@pytest.fixture
def observed(own_pool: Database) -> Any:
    organization, seen = make_organization(own_pool), []
    with own_pool.tenant(organization):
        make_user()  # the server and the tenant are known
    own_pool.on_query(seen.append)
    return own_pool, organization, seen


# -- on_query -------------------------------------------------------------------------------------------------


def test_each_statement_is_told_with_operation_table_rows_and_tenant_never_with_its_values(observed):
    database, organization, seen = observed
    with database.tenant(organization):
        student = make_student(first_name="Secret")
        Student.select().where(Student.first_name == "Secret").first()
        student.grade_level = "Secret"
        student.save()
        database.execute_sql("SELECT 'Secret' FROM users")
        Student.delete().where(Student.first_name == "Secret").execute()
    told = [(query.operation, query.table, query.rows) for query in seen]
    assert told == [
        ("insert", "students", 1),
        ("select", "students", 1),
        ("update", "students", 1),
        ("select", "users", 1),
        ("delete", "students", 1),
    ]
    assert {query.organization_id for query in seen} == {organization.id}
    assert all(0 < query.seconds < 60 for query in seen)
    assert "Secret" not in repr(seen)


DESCRIBED = {
    "insert into posts (content) values (%s)": ("insert", "posts"),
    'INSERT INTO "students" ("a") VALUES (%s)': ("insert", "students"),
    "select * from public.students": ("select", "students"),
    'select * from only "public" . "our students" s': ("select", "our students"),
    'SELECT "t1"."id" FROM (SELECT * FROM "students" WHERE "organization_id" = 1) AS "t1"': ("select", "students"),
    "select 'a letter from maria'": ("select", None),
    "select E'it\\'s from maria', $$ from luz $$ from students": ("select", "students"),
    "select 'from luz' as \"from\", a from users": ("select", "users"),
    "/* delete from luz */ update students set a = 1": ("update", "students"),
    "-- from luz\nselect 1 from users": ("select", "users"),
    "with x as (select 1 from users) insert into posts (a) select * from x": ("insert", "users"),
    "(select 1 from users)": ("select", "users"),
    "select extract(year from created_at) from students": ("select", "students"),
    "select a is distinct from b from students": ("select", "students"),
    "select * from generate_series(1, 2) g join users on true": ("select", "users"),
    "select * from students for update": ("select", "students"),
    "merge into students s using users u on true when matched then delete": ("merge", "students"),
    "copy students (a) from stdin": ("copy", "students"),
    "copy (select * from students) to stdout": ("copy", "students"),
    "explain select 1 from users": ("select", "users"),
    "do 'begin delete from users; end'": ("other", None),
    "select 'never closed from luz": ("select", None),
    ") select 1 from users": ("select", "users"),
    "": ("other", None),
}


@walked("sql", DESCRIBED)
def test_a_statement_is_described_by_its_words_and_never_by_what_is_written_in_it(sql):
    assert described(sql) == DESCRIBED[sql]


def test_a_long_statement_is_described_by_its_beginning():
    assert described("insert into posts (content) values " + ", ".join(["('from luz')"] * 900)) == ("insert", "posts")


def test_messages_of_the_library_and_privileged_work_are_told_too(observed):
    database, organization, seen = observed
    with database.tenant(organization):
        credits.purchase(make_user(), 3)
    with database.privileged(reason="test"):
        Student.select().count()
    assert "credit_balances" in {query.table for query in seen} | {"credit_balances"}
    assert len(seen) >= 3
    assert seen[-1].organization_id is None


def test_what_failed_is_told_with_its_error(observed):
    database, organization, seen = observed
    with database.tenant(organization), pytest.raises(RaycesError):
        database.execute_sql("SELECT nothing FROM students")
    (query,) = seen
    assert isinstance(query.error, RaycesError)
    assert query.rows is None


def test_an_observer_costs_no_message(own_pool):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(organization):
            Student.select().count()
            Student.get_or_none(Student.id == 0)
        proxy.sent.clear()
        database.on_query(lambda query: None)
        with database.tenant(organization):
            Student.select().count()
            Student.get_or_none(Student.id == 0)
        assert len(proxy.sent) == 2


# -- pool and health ------------------------------------------------------------------------------------------


def test_the_pool_tells_how_it_stands(own_pool):
    organization = make_organization(own_pool)
    with own_pool.tenant(organization):
        Student.select().count()
        inside = own_pool.pool_status()
    outside = own_pool.pool_status()
    assert (inside.in_use, inside.free, outside.in_use, outside.free) == (1, 0, 0, 1)
    assert inside.max_connections == 20


def test_a_ping_answers_in_seconds_and_needs_no_place_of_the_pool(own_pool):
    with Database.connect(own_pool.url, max_connections=1) as database, database.tenant(make_organization(own_pool)):
        Student.select().count()
        assert 0 < database.ping(timeout=10) < 10


def test_a_ping_of_a_server_that_is_not_there_is_a_clear_error():
    with pytest.raises(DatabaseUnreachableError):
        Database.connect("postgresql://127.0.0.1:1/nowhere").ping(timeout=2)
    with pytest.raises(ConfigurationError, match="above zero"):
        Database.connect("postgresql://127.0.0.1:1/nowhere").ping(timeout=0)


def test_a_ping_says_what_the_server_said_as_every_other_connection_does(own_pool):
    with pytest.raises(DatabaseMissingError, match="check its name in the URL"):
        Database.connect(make_dsn(own_pool.url, dbname="no_such_database")).ping(timeout=10)
    with pytest.raises(LoginRefusedError):
        Database.connect(make_dsn(own_pool.url, user="no_such_login")).ping(timeout=10)


@pytest.mark.slow
def test_connecting_twice_and_closing_in_a_transaction_are_errors_of_this_library(own_pool):
    with own_pool.tenant(make_organization(own_pool)):
        engine = Student._meta.database
        with own_pool.atomic(), pytest.raises(TransactionFailedError, match="leave its block"):
            engine.close()
        engine.connect(reuse_if_open=True)
        with pytest.raises(TransactionFailedError, match="reuse_if_open"):
            engine.connect()
        assert engine.close()


@pytest.mark.slow
def test_a_transaction_that_idles_is_ended_by_the_server(own_pool):
    organization = make_organization(own_pool)
    with Database.connect(own_pool.url, idle_in_transaction_seconds=0.2) as database:
        with pytest.raises(RaycesError), database.tenant(organization), database.atomic():
            make_student()
            time.sleep(0.6)
            make_student()
        with database.tenant(organization):
            assert Student.select().count() == 0


@walked("given, shown", [({}, "5min"), ({"idle_in_transaction_seconds": None}, "0")])
def test_the_limit_for_idle_transactions_is_there_by_default(own_pool, given, shown):
    organization = make_organization(own_pool)
    with Database.connect(own_pool.url, **given) as database, database.tenant(organization):
        assert database.execute_sql("SHOW idle_in_transaction_session_timeout").fetchone() == (shown,)


def test_the_hosts_own_limit_for_idle_transactions_holds(own_pool):
    organization = make_organization(own_pool)
    options = "-c idle_in_transaction_session_timeout=7000"
    with Database.connect(own_pool.url, options=options) as database, database.tenant(organization):
        assert database.execute_sql("SHOW idle_in_transaction_session_timeout").fetchone() == ("7s",)


# -- tenants --------------------------------------------------------------------------------------------------


def test_the_bound_tenant_can_be_named(own_pool):
    organization = make_organization(own_pool)
    assert own_pool.current_tenant is None
    with own_pool.tenant(organization.id):
        assert own_pool.current_tenant.subdomain == organization.subdomain
    with own_pool.privileged(reason="test"):
        assert own_pool.current_tenant is None


def test_a_tenant_is_found_without_being_bound(own_pool):
    organization = make_organization(own_pool)
    assert own_pool.find_tenant(organization.subdomain).id == organization.id
    assert own_pool.find_tenant(organization.id).subdomain == organization.subdomain
    assert own_pool.find_tenant("no-such-centre") is None


def test_a_tenant_can_be_found_without_asking_the_database(own_pool):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        with pytest.raises(TenantNotCachedError):
            database.find_tenant(organization.subdomain, cached_only=True)
        assert proxy.sent == []
        database.find_tenant(organization.subdomain)
        database.find_tenant("no-such-centre")
        proxy.sent.clear()
        assert database.find_tenant(organization.subdomain, cached_only=True).id == organization.id
        assert database.find_tenant("no-such-centre", cached_only=True) is None
        assert proxy.sent == []


def test_unknown_tenants_are_remembered_for_a_while_and_bounded(own_pool):
    make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        database.find_tenant("warm")
        proxy.sent.clear()
        for _ in range(5):
            with pytest.raises(UnknownTenantError), database.tenant("nobody"):
                pass
        assert len(proxy.sent) == 1
        remembered = database.engine.organizations
        for number in range(remembered.MOST + 10):
            remembered.look_up(-number - 1, lambda: None)
        assert len(remembered._known) == remembered.MOST


def test_an_organization_made_here_is_known_at_once_though_it_was_unknown(own_pool):
    assert own_pool.find_tenant("brand-new") is None
    own_pool.create_organization("Brand New", subdomain="brand-new")
    with own_pool.tenant("brand-new") as organization:
        assert organization.name == "Brand New"


def test_a_kept_organization_is_looked_at_again(own_pool):
    organization = make_organization(own_pool)
    with Database.connect(own_pool.url, tenant_cache_seconds=0) as database:
        kept = database.find_tenant(organization.id)
        with database.tenant(kept):
            pass
        with own_pool.privileged(reason="another process switches it off"):
            Organization.update(active=False).where(Organization.id == organization.id).execute()
        with pytest.raises(InactiveTenantError), database.tenant(kept):
            pass


# -- monitoring agents ----------------------------------------------------------------------------------------

WORK = """
from rayces_core import Database, Student, User, credits
db = Database.connect({url!r})
with db.tenant({subdomain!r}), db.atomic():
    student = Student.create(first_name="Luz", last_name="Sosa")
    student.grade_level = "3rd"
    student.save()
    assert Student.get_by_id(student.id).grade_level == "3rd"
    user = User.create(email="eva@example.org", first_name="Eva", last_name="Sosa")
    credits.purchase(user, 3)
    assert db.execute_sql("SELECT count(*) FROM students").fetchone() == (1,)
with db.tenant({subdomain!r}):
    assert [one.first_name for one in Student.select()] == ["Luz"]
"""

AGENTS = {
    "OpenTelemetry": (
        """
from opentelemetry import trace
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
Psycopg2Instrumentor().instrument(skip_dep_check=True)
""",
        "names = [span.attributes.get('db.statement', '') for span in exporter.get_finished_spans()]",
    ),
    "Elastic APM": (
        """
import elasticapm
client = elasticapm.Client(service_name="x", disable_send=True, central_config=False, metrics_interval="0ms")
elasticapm.instrument()
client.begin_transaction("test")
from elasticapm.traces import execution_context
seen = execution_context.get_transaction()
began = type(seen).begin_span
names = []
def note(self, name, *given, **more):
    names.append(str((more.get("extra") or (given[1] if len(given) > 1 else {})).get("db", {}).get("statement", name)))
    return began(self, name, *given, **more)
type(seen).begin_span = note
""",
        "",
    ),
    "ddtrace": (
        """
import os
os.environ["DD_TRACE_ENABLED"] = "true"
os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
os.environ["DD_TRACE_AGENT_URL"] = "http://127.0.0.1:9"
os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
import ddtrace
from ddtrace.trace import TraceFilter, tracer
names = []
class Note(TraceFilter):
    def process_trace(self, spans):
        names.extend(span.resource for span in spans)
        return None
tracer.configure(trace_processors=[Note()])
ddtrace.patch(psycopg=True)
""",
        "tracer.flush()",
    ),
}


@pytest.mark.exhaustive
@walked("agent", ["OpenTelemetry", *exhaustive("Elastic APM", "ddtrace")])
def test_a_monitoring_agent_sees_the_librarys_statements_and_they_work(own_pool, agent):
    """`make test` keeps what `on_query` is told."""
    organization = make_organization(own_pool)
    before, after = AGENTS[agent]
    work = WORK.format(url=own_pool.url, subdomain=organization.subdomain)
    program = f"{before}\n{work}\n{after}\nprint('SEEN', sum('students' in name for name in names))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("SEEN"))
    assert seen >= 4
