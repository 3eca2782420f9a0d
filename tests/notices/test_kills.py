"""Many workers at once, and workers that are killed at random: each is sent, and where nobody dies once."""

import multiprocessing
import random
import signal
import time
from collections import Counter
from datetime import timedelta

import pytest

from rayces_core import Notice, notices
from tests.notices.senders import reminders
from tests.notices.workers import once, work
from tests.patience import SECONDS
from tests.scheduling.worlds import ALWAYS, DAY, INSTANT, NOW, open_centre
from tests.sizes import quick_or_whole

CONFIRMED = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes,
                          state, pre_confirmed_at, expires_at, confirmed_at)
SELECT %(tenant)s, %(professional)s, %(student)s, %(client)s, %(first)s + number * interval '15 minutes', 15,
       'confirmed', %(now)s, %(now)s + interval '24 hours', %(now)s
  FROM generate_series(0, %(count)s - 1) AS number RETURNING id
"""
CONTEXT = multiprocessing.get_context("forkserver")
SESSIONS = quick_or_whole(60, 180)


def confirmed(centre, count):
    """So many sessions of fifteen minutes each, one after the other."""
    people = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    values = people | {"tenant": centre.db.organization_id, "first": DAY, "now": NOW, "count": count}
    return [number for (number,) in centre.db.execute_sql(CONFIRMED, values).fetchall()]


@pytest.fixture
def sessions(own_db):
    """Sessions of two organizations that are all to be reminded of."""
    made = []
    for _ in range(2):
        with open_centre(own_db, weekly_schedule=ALWAYS, settings=reminders(9 * 24 * 60)) as centre:
            made += confirmed(centre, SESSIONS // 2)
    return made


@pytest.mark.slow
def test_workers_at_once_send_each_exactly_once(own_db, sessions):
    gate, lines, processes = CONTEXT.Barrier(4), [], []
    for _ in range(4):
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=once, args=(own_db.url, DAY - INSTANT, gate, theirs))
        process.start()
        lines.append(ours)
        processes.append(process)
    sent = []
    for line in lines:
        assert line.poll(SECONDS), "a worker does not answer"
        sent += line.recv()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert Counter(sent) == Counter(sessions)
    assert notices.standing(own_db, now=DAY).sent == len(sessions)


@pytest.mark.slow
def test_killed_workers_lose_nothing_and_repeat_under_the_same_key(own_db, sessions, tmp_path):
    log, chance = tmp_path / "sent", random.Random(5)
    kills = quick_or_whole(4, 12)

    def start(seed):
        process = CONTEXT.Process(target=work, args=(own_db.url, str(log), seed, DAY - timedelta(hours=1)))
        process.start()
        return process

    workers = [start(seed) for seed in range(2)]
    until, killed = time.monotonic() + 300, 0
    while True:
        time.sleep(0.4)
        stands = notices.standing(own_db, now=DAY)
        if killed < kills:
            place = chance.randrange(2)
            workers[place].kill()
            workers[place].join()
            workers[place] = start(10 + killed)
            killed += 1
        elif stands.sent == len(sessions):
            break
        assert time.monotonic() < until, stands
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode in (0, -signal.SIGTERM)  # one that was only just starting
    sent = [line.split() for line in log.read_text().splitlines()]
    assert {int(appointment) for _, appointment in sent} == set(sessions)
    assert len({key for key, _ in sent}) == len(sessions)
    with own_db.privileged(reason="test"):
        assert {row.reference for row in Notice.select()} == {key for key, _ in sent}
