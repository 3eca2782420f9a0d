"""Two centres under load, while a worker is killed and the database restarted: nothing is mixed up, lost or left."""

import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import psycopg2
import pytest

from rayces_core import Database, Professional, Role, Student, User, credits, scheduling
from rayces_core.demo import load_centres
from rayces_core.embedded import EmbeddedServer
from rayces_core.sign_in import Tokens
from tests.conftest import on_server
from tests.examples.conftest import CENTRE
from tests.patience import SECONDS, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.exhaustive

SECRET, NAME = "s" * 32, "centre-load"
LOAD_SECONDS = 12
# Who asks, with whom they book, what each of their pages says, and what none may say.
FAMILIES = {
    ("arrayanes", "lucia"): ("paula", "Arrayanes", "Girasol Benítez Carranza Olmos"),
    ("arrayanes", "carolina"): ("paula", "Arrayanes", "Girasol Acosta Carranza Olmos"),
    ("girasol", "julia"): ("sofia", "Girasol", "Arrayanes Toledo Acosta Benítez"),
    ("girasol", "pablo"): ("sofia", "Girasol", "Arrayanes Toledo Acosta Benítez"),
}
# What a request may be told: done, taken or not possible now, and come again while the database is away.
ANSWERS = {200, 201, 409, 422, 503}
OVERLAPPING = """
WITH booked AS (
    SELECT *, tstzrange(scheduled_at, scheduled_at + duration_minutes * interval '1 minute') AS time FROM appointments
    WHERE state IN ('pre_confirmed', 'confirmed', 'executed')
)
SELECT count(*) FROM booked one JOIN booked other USING (organization_id, professional_id)
WHERE one.id < other.id AND one.time && other.time
  AND coalesce(one.group_session_id, -one.id) <> coalesce(other.group_session_id, -other.id)
"""
DEBITED = "SELECT count(*) FROM credit_transactions WHERE transaction_type = 'appointment_debit'"
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


class Family:
    """Somebody who looks, books and confirms, and has it cancelled, racing with another for the same few times."""

    def __init__(self, db, port, centre, name):
        professional, self.own, hidden = FAMILIES[centre, name]
        self.hidden = hidden.split()
        with db.tenant(centre):
            user = User.get(User.email == f"{name}@{centre}.example.org")
            child = Student.visible_to(user).order_by(Student.id).get()
            with_whom = Professional.get(Professional.user == User.get(User.email.startswith(professional)))
            credits.adjust(user, 40, reason="for the load", by=User.get(User.role == Role.ADMIN))
            begins = datetime.now(UTC) + timedelta(days=14)
            free = scheduling.free_slots(with_whom, begins, begins + timedelta(days=21))
            desk = Tokens(SECRET).issue(User.get(User.role == Role.STAFF))
            token = Tokens(SECRET).issue(user)
        self.starts = [slot.start.isoformat() for slot in free if slot.start.minute == 0][:10]
        people = {"student_id": child.id, "professional_id": with_whom.user_id, "client_id": user.id}
        self.booking = people | {"uses_credit": True}
        headers = {"host": f"{centre}.localhost:{port}", "authorization": f"Bearer {token}"}
        self.desk = {"authorization": f"Bearer {desk}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=SECONDS)
        self.told, self.wrong, self.made = collections.Counter(), [], collections.defaultdict(set)
        self.random, self.numbers, self.last_good = random.Random(name), itertools.count(), 0.0

    def act_until(self, over):
        with self.client:
            while not over.is_set():
                start = {"scheduled_at": self.random.choice(self.starts)}
                key = f"load-{next(self.numbers)}"
                self.read()
                booked = self.ask("POST", "/api/appointments", json=self.booking | start, key=key)
                # Who hears nothing, or is told to come again, sends the same again: it is booked once.
                if booked is None or booked.status_code == 503 or self.random.random() < 0.2:
                    time.sleep(0.05)
                    booked = self.ask("POST", "/api/appointments", json=self.booking | start, key=key)
                if booked is not None and booked.status_code == 201:
                    path = f"/api/appointments/{booked.json()['id']}"
                    # A credit goes with the confirmation, and comes back when the desk cancels in time.
                    self.ask("POST", f"{path}/confirm")
                    if self.random.random() < 0.8:
                        self.ask("POST", f"{path}/cancel?reason=load", headers=self.desk)

    def read(self):
        page = self.ask("GET", "/family")
        if page is not None and page.status_code == 200 and self.own not in page.text:
            self.wrong.append(page.text)

    def ask(self, method, path, key=None, headers=(), **options):
        headers = {"idempotency-key": key} if key else dict(headers)
        try:
            answer = self.client.request(method, path, headers=headers, **options)
        except httpx.TransportError:
            self.told["broken"] += 1
            return None
        self.told[answer.status_code] += 1
        if answer.status_code < 300:
            self.last_good = time.monotonic()
        if answer.status_code not in ANSWERS or any(name in answer.text for name in self.hidden):
            self.wrong.append(f"{method} {path} {answer.status_code} {answer.text}")
        if key and answer.status_code == 201:
            self.made[key].add(answer.json()["id"])
        return answer


@contextmanager
def running(url, port, log):
    """Two workers of uvicorn on the example, under its own supervisor."""
    variables = os.environ | {"RAYCES_DATABASE_URL": f"{url}&application_name={NAME}", "CENTRE_SECRET": SECRET}
    variables.pop("RAYCES_ADMIN_DATABASE_URL", None)
    line = [sys.executable, "-m", "uvicorn", "centre.app:app", "--workers=2", f"--port={port}", "--log-level=warning"]
    process = subprocess.Popen(line, cwd=CENTRE, env=variables, stdout=log, stderr=log)
    try:

        def is_ready():
            assert process.poll() is None
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success

        wait_until(is_ready, 300)
        yield psutil.Process(process.pid)
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS)
        finally:
            for each in (*children, process):
                with suppress(psutil.NoSuchProcess):
                    each.kill()


def workers(parent):
    found = []
    for each in parent.children():
        with suppress(psutil.NoSuchProcess):
            found += [each] if "spawn_main" in " ".join(each.cmdline()) else []
    return found


def counted(url, statement, *parameters):
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data folder whose server may be stopped, and a free port."""
    return tmp_path_factory.mktemp("load"), free_port()


def test_a_killed_worker_and_a_restarted_database_mix_up_lose_and_leave_nothing(place):
    folder, port = place
    server = EmbeddedServer(folder / "data")
    on_server(server.url, "CREATE DATABASE centre")
    url = server.url.replace("/postgres?", "/centre?")
    assert url != server.url
    with Database.connect(url) as db:
        db.migrate()
        centres = load_centres(db)
        families = [Family(db, port, centre, name) for centre, name in FAMILIES]
        db.disconnect()
        with (folder / "log").open("w") as log, running(url, port, log) as parent:
            over = threading.Event()
            threads = [threading.Thread(target=family.act_until, args=(over,)) for family in families]
            for thread in threads:
                thread.start()
            time.sleep(LOAD_SECONDS / 3)
            wait_until(lambda: counted(url, DEBITED) >= 5)
            killed = workers(parent)[0]
            killed.kill()
            time.sleep(LOAD_SECONDS / 3)
            server.stop()
            server = EmbeddedServer(folder / "data")
            restarted = time.monotonic()
            time.sleep(LOAD_SECONDS / 3)
            wait_until(lambda: all(family.last_good > restarted for family in families))
            over.set()
            for thread in threads:
                thread.join()
            wait_until(lambda: len(workers(parent)) == 2)
            assert killed.pid not in [each.pid for each in workers(parent)]
        wait_until(lambda: counted(url, CONNECTED, NAME) == 0)
        assert [text[:500] for family in families for text in family.wrong] == []
        told = sum((family.told for family in families), collections.Counter())
        assert set(told) <= {*ANSWERS, "broken"}, told
        assert min(told[200], told[201], counted(url, DEBITED)) >= 5, told
        assert [key for family in families for key, ids in family.made.items() if len(ids) != 1] == []
        assert counted(url, OVERLAPPING) == 0
        for centre in centres:
            with db.tenant(centre):
                assert credits.verify().is_clean
    server.stop()
