"""The applications under real servers: uvicorn and gunicorn --preload, as processes that are ended and killed."""

import asyncio
import collections
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import httpx
import psutil
import psycopg2
import pytest

from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.patience import SECONDS, wait_until
from tests.ports import free_port
from tests.sizes import exhaustive

UVICORN = ["-m", "uvicorn", "tests.integrations.application:app", "--port"]
GUNICORN = ["-m", "gunicorn", "tests.integrations.flask_application:app", "--preload", "--workers=2", "--threads=4"]


class Site:
    """A server, two tenants, and how often each may see its own."""

    def __init__(self, db, port, process, name):
        self.db, self.port, self.process, self.name = db, port, process, name
        self.tenants = [make_organization(db), make_organization(db)]
        for number, tenant in enumerate(self.tenants, start=1):
            with db.tenant(tenant):
                for _ in range(number):
                    make_student()

    def client(self, **options):
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=SECONDS, **options)

    def get(self, path, tenant, method="GET"):
        with self.client(headers={"host": f"{tenant.subdomain}.example.test:{self.port}"}) as client:
            return client.request(method, path)

    def connections(self, which="true"):
        asked = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND {which}"
        with contextlib.closing(psycopg2.connect(self.db.url)) as connection, connection.cursor() as cursor:
            cursor.execute(asked, (self.name,))
            return cursor.fetchone()[0]


@contextlib.contextmanager
def served(db, command, name):
    port = free_port()
    line = [sys.executable, *(f"{part}" for part in command)]
    line += [str(port)] if command is UVICORN else [f"--bind=127.0.0.1:{port}"]
    env = os.environ | {"RAYCES_DATABASE_URL": f"{db.url}{'&' if '?' in db.url else '?'}application_name={name}"}
    if "=" in db.url and "://" not in db.url:
        env["RAYCES_DATABASE_URL"] = f"{db.url} application_name={name}"
    log = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would stop the server once full
    process = subprocess.Popen(line, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        _until_it_answers(process, port, log)
        yield Site(db, port, process, name)
    finally:
        for each in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.kill()
        process.wait()
        log.close()


def _until_it_answers(process, port, log):
    def answers():
        assert process.poll() is None, log.seek(0) or log.read().decode()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

    wait_until(answers)


# Of uvicorn tests/integrations/test_bodies.py is, in `make test` as well.
@pytest.fixture(params=["gunicorn", *exhaustive("uvicorn")])
def site(request, db):
    with served(db, UVICORN if request.param == "uvicorn" else GUNICORN, f"w-{request.param}") as site:
        yield site


@pytest.mark.slow
def test_both_tenants_see_their_own_and_the_server_ends_in_order(site):
    for students, tenant in enumerate(site.tenants, start=1):
        assert site.get("/sync", tenant).json()["students"] == students
        assert site.get("/stream", tenant).text == f"{tenant.id}\n" * students
    missing = site.get("/no-such-route", site.tenants[0], "HEAD")
    assert (missing.status_code, missing.headers["content-type"], missing.text) == (404, "application/problem+json", "")
    assert site.get("/sync", site.tenants[0], "DELETE").json()["code"] == "method_not_allowed"
    with site.client() as client:
        nobody = client.head("/sync")
        assert (nobody.status_code, nobody.text) == (404, "")
        assert client.get("/readyz").status_code == 200
        with contextlib.suppress(httpx.HTTPError), client.stream("GET", "/stream") as cut:
            cut.close()
    assert 0 < site.connections() <= 2 * (4 + 2)
    ended = _ended_during_a_slow_request(site)
    assert ended in ((200, 0), (200, -signal.SIGTERM))  # uvicorn ends by the signal itself, once it is done
    wait_until(lambda: site.connections() == 0)


def _ended_during_a_slow_request(site):
    """What a request that is under way when the server is told to end gets, and how the server ends."""

    async def both():
        headers = {"host": f"{site.tenants[0].subdomain}.example.test"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{site.port}", headers=headers, timeout=SECONDS
        ) as client:
            slow = asyncio.create_task(client.get("/slow"))
            while not site.connections("wait_event = 'PgSleep'") and not slow.done():
                await asyncio.sleep(0.01)
            site.process.send_signal(signal.SIGTERM)
            return (await slow).status_code

    status = asyncio.run(both())
    return status, site.process.wait(SECONDS)


@pytest.mark.exhaustive
def test_killed_backends_and_workers_mix_up_no_answers(site):
    seen, until = collections.Counter(), time.monotonic() + 6

    async def ask(client, number):
        while time.monotonic() < until or seen[200] <= 50:
            students, tenant = (number % 2) + 1, site.tenants[number % 2]
            try:
                answer = await client.get("/sync", headers={"host": f"{tenant.subdomain}.example.test"})
            except httpx.HTTPError:
                seen["broken"] += 1
                continue
            said = answer.json()
            if answer.status_code == 200 and (said["tenant"], said["students"]) != (tenant.id, students):
                seen["wrong"] += 1
            seen[answer.status_code] += 1

    async def disturb():
        while time.monotonic() < until - 1:
            await asyncio.sleep(1)
            what = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"
            await asyncio.to_thread(on_server, site.db.url, f"{what} = '{site.name}'")
            workers = psutil.Process(site.process.pid).children()
            if workers and site.name == "w-gunicorn":
                with contextlib.suppress(psutil.NoSuchProcess):
                    workers[0].kill()

    async def all_at_once():
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", timeout=SECONDS) as client:
            await asyncio.gather(disturb(), *(ask(client, number) for number in range(12)))

    asyncio.run(all_at_once())
    assert seen["wrong"] == 0
    assert set(seen) <= {200, 503, "broken", "wrong"}, seen
    for students, tenant in enumerate(site.tenants, start=1):
        assert site.get("/sync", tenant).json()["students"] == students
