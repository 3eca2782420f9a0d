"""Handing over to Celery and procrastinate, with the real libraries on queues in memory."""

import json

import celery
import procrastinate
from procrastinate.testing import InMemoryConnector

from rayces_core.outbox.hand_over import as_plain, from_plain, to_celery, to_procrastinate
from rayces_core.outbox.relaying import Relay
from tests.factory import make_organization
from tests.outbox.boxes import put, standing


def test_a_message_is_the_same_after_a_queue(bare_db):
    a = make_organization(bare_db)
    put(bare_db, a, 7, word="Ñ")
    got = []
    Relay(bare_db, {"x": got.append}).run_once()
    assert from_plain(json.loads(json.dumps(as_plain(got[0])))) == got[0]


def test_celery_gets_each_message_under_its_own_id(bare_db):
    app = celery.Celery("host", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    got = []

    @app.task(bind=True)
    def receive(self, message):
        got.append((self.request.id, from_plain(message)))

    a = make_organization(bare_db)
    put(bare_db, a, 7)
    Relay(bare_db, {"celery": to_celery(receive, queue="mail")}).run_once()
    ((task_id, message),) = got
    assert (task_id, message.subject) == (message.message_id, ("Appointment", 7))


def test_procrastinate_defers_one_job_for_each_message_and_runs_a_subjects_one_by_one(bare_db):
    connector = InMemoryConnector()
    app = procrastinate.App(connector=connector)

    @app.task(name="receive")
    def receive(message):
        pass

    a = make_organization(bare_db)
    put(bare_db, a, 7)
    with app.open():
        Relay(bare_db, {"jobs": to_procrastinate(receive, queue="mail")}).run_once()
    (job,) = connector.jobs.values()
    assert (job["task_name"], job["queue_name"], job["lock"]) == ("receive", "mail", f"{a.id}/Appointment/7")
    assert from_plain(job["args"]["message"]).organization_id == a.id
    assert standing(bare_db)[1][0] == "delivered"
