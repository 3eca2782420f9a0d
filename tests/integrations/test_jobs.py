"""Jobs carry their tenant and user: through Celery, RQ and procrastinate themselves, each with a worker of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rayces_core import Role, Student, User
from rayces_core.errors import (
    CrossTenantError,
    InactiveTenantError,
    InvalidDataError,
    TenantNotSetError,
    UnknownTenantError,
)
from rayces_core.integrations.jobs import TENANT, USER, carried, carry
from rayces_core.integrations.logs import TenantFilter
from tests.factory import make_organization, make_user
from tests.patience import wait_until
from tests.walking import walked

ROOT = Path(__file__).parents[2]


def test_a_job_is_done_as_the_tenant_and_user_that_it_carries(db, a):
    with db.tenant(a):
        user = make_user()
        headers = carry(by=user)
        user.role = Role.STAFF
        user.save()
    assert json.loads(json.dumps(headers)) == {TENANT: str(a.id), USER: str(user.id)}
    with carried(db, headers) as me:
        assert db.organization_id == a.id
        assert (me.id, me.role) == (user.id, Role.STAFF)  # as it is now
    with db.tenant(a):
        headers = carry()
    with carried(db, headers) as me:
        assert me is None


def test_its_log_lines_name_both(db, a):
    import logging

    with db.tenant(a):
        user = make_user()
        headers = carry(by=user)
    with carried(db, headers):
        record = logging.makeLogRecord({})
        TenantFilter().filter(record)
    assert (record.organization_id, record.user_id) == (a.id, user.id)


@pytest.mark.parametrize("headers", [None, {}, {USER: "1"}, {TENANT: None}, {"Rayces-Tenant": "1"}])
def test_a_job_without_headers_fails_closed_even_inside_another_tenants_block(db, a, headers):
    with pytest.raises(TenantNotSetError, match="carry"), carried(db, headers):
        pytest.fail("it ran")
    with db.tenant(a), pytest.raises(TenantNotSetError), carried(db, headers):
        pytest.fail("it ran")


@walked("name", [TENANT, USER])
@walked("value", ["north", "", "0", "-1", "1.5", "\u0661", 5, True, "9" * 30, "0" * 19 + "17", ["1"]])
def test_headers_that_are_no_ids_are_refused(db, a, name, value):
    with pytest.raises(InvalidDataError), carried(db, {TENANT: str(a.id), name: value}):
        pytest.fail("it ran")


def test_a_tenant_or_user_that_is_gone_off_or_anothers_stops_the_job(db, a, b):
    with db.tenant(b):
        theirs = make_user()
    with pytest.raises(UnknownTenantError), carried(db, {TENANT: str(2**40)}):
        pytest.fail("it ran")
    with pytest.raises(User.DoesNotExist), carried(db, {TENANT: str(a.id), USER: str(theirs.id)}):
        pytest.fail("it ran")
    off = make_organization(db, active=False)
    with pytest.raises(InactiveTenantError), carried(db, {TENANT: str(off.id)}):
        pytest.fail("it ran")


def test_nothing_is_carried_without_a_tenant_or_for_a_strange_user(db, a, b):
    with pytest.raises(TenantNotSetError):
        carry()
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        carry()
    with db.tenant(b):
        theirs = make_user()
    with db.tenant(a), pytest.raises(CrossTenantError):
        carry(by=theirs)
    with db.tenant(a), pytest.raises(InvalidDataError):
        carry(by=User(email="x@example.org"))


@pytest.fixture
def host(own_db, tmp_path, monkeypatch):
    """Two organizations with a user each, and the environment of a worker."""
    monkeypatch.setenv("JOBS_DATABASE_URL", own_db.url)
    monkeypatch.setenv("JOBS_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT))
    tenants = [make_organization(own_db) for _ in range(2)]
    users = []
    for tenant in tenants:
        with own_db.tenant(tenant):
            users.append(make_user())
    return own_db, tenants, users


def started(*command):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(  # a worker, as its own command starts it
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def ended(process):
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def students(db):
    with db.privileged(reason="test"):
        return {(row.organization_id, row.first_name, row.last_name) for row in Student.select()}


def wait_for(db, count):
    until = time.monotonic() + 120
    while len(students(db)) < count and time.monotonic() < until:
        time.sleep(0.1)
    return students(db)


def done(tenants, users):
    return {(tenant.id, f"job {n}", str(user.id)) for n, (tenant, user) in enumerate(zip(tenants, users, strict=True))}


@pytest.mark.exhaustive
def test_celery_carries_them_in_its_headers(host, monkeypatch):
    """`make test` keeps the other two queues."""
    pytest.importorskip("celery")
    db, tenants, users = host
    from tests.integrations.celery_host import work

    work.delay("lost")  # without headers: it fails in the worker, and writes nothing
    for n, (tenant, user) in enumerate(zip(tenants, users, strict=True)):
        with db.tenant(tenant):
            work.apply_async((f"job {n}",), headers=carry(by=user))
    worker = started("-m", "celery", "-A", "tests.integrations.celery_host", "worker", "-P", "solo", "-c", "1")
    try:
        assert wait_for(db, 2) == done(tenants, users)
    finally:
        ended(worker)


@pytest.mark.slow
def test_rq_carries_them_in_its_meta(host, tmp_path):
    rq, redis = pytest.importorskip("rq"), pytest.importorskip("redis")
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server is installed")
    db, tenants, users = host
    socket = str(tmp_path / "redis.sock")
    server = subprocess.Popen([binary, "--port", "0", "--unixsocket", socket, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        connection = redis.Redis(unix_socket_path=socket)
        wait_until(Path(socket).exists)
        queue = rq.Queue(connection=connection)
        queue.enqueue("tests.integrations.job_host.rq_job", "lost")
        for n, (tenant, user) in enumerate(zip(tenants, users, strict=True)):
            with db.tenant(tenant):
                queue.enqueue("tests.integrations.job_host.rq_job", f"job {n}", meta={"rayces": carry(by=user)})
        code = (
            f"import redis, rq; c = redis.Redis(unix_socket_path={socket!r});"
            "rq.SimpleWorker([rq.Queue(connection=c)], connection=c).work(burst=True)"
        )
        started("-c", code).wait(120)
        assert students(db) == done(tenants, users)
        assert queue.failed_job_registry.count == 1
    finally:
        ended(server)
        connection.close()


@pytest.mark.slow
def test_procrastinate_carries_them_as_an_argument_through_postgresql(host, make_database, monkeypatch):
    procrastinate = pytest.importorskip("procrastinate")
    db, tenants, users = host
    url = make_database()
    monkeypatch.setenv("JOBS_QUEUE_URL", url)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url)).open() as app:
        app.schema_manager.apply_schema()
        app.configure_task("work", allow_unknown=True).defer(name="lost")
        for n, (tenant, user) in enumerate(zip(tenants, users, strict=True)):
            with db.tenant(tenant):
                app.configure_task("work", allow_unknown=True).defer(name=f"job {n}", rayces=carry(by=user))
        started("-m", "tests.integrations.procrastinate_host").wait(120)
        states = sorted(job.status for job in app.job_manager.list_jobs())
    assert students(db) == done(tenants, users)
    assert states == ["failed", "succeeded", "succeeded"]
