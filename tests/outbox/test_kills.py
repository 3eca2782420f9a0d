"""Relays that are killed at random, sends that fail, units of work that are rolled back: what holds all the same."""

import json
import multiprocessing
import random
import signal
import threading
import time

import pytest

from rayces_core.outbox import keeping
from tests.factory import make_organization
from tests.outbox.boxes import PUT
from tests.outbox.relaying import relay
from tests.sizes import quick_or_whole

MESSAGES = quick_or_whole(400, 1200)
SUBJECTS = 25


class Undone(Exception):
    pass


def write(db, organization, count, seed):
    """Put messages one by one, a fifth of them in units that are rolled back.

    Of subjects that no other writer has: who changes one holds its row, so none commits before an earlier one does.
    """
    chance = random.Random(seed)
    with db.tenant(organization):
        for number in range(count):
            kept = chance.random() > 0.2
            subject, mark = seed * SUBJECTS + chance.randrange(SUBJECTS), f"{'kept' if kept else 'undone'} {number}"
            values = {"organization": organization.id, "topic": "t.t", "subject": subject, "times": 1}
            try:
                with db.atomic():
                    db.execute_sql(PUT, values | {"payload": json.dumps({"mark": mark})})
                    if not kept:
                        raise Undone
            except Undone:
                pass


@pytest.mark.slow
def test_each_message_is_delivered_in_order_and_nothing_that_was_undone(own_db, tmp_path):
    context = multiprocessing.get_context("forkserver")
    log, chance = tmp_path / "delivered", random.Random(7)
    organizations = [make_organization(own_db) for _ in range(2)]

    def start(seed):
        process = context.Process(target=relay, args=(own_db.url, str(log), seed))
        process.start()
        return process

    relays = [start(seed) for seed in range(2)]
    share = MESSAGES // 4
    writers = [
        threading.Thread(target=write, args=(own_db, organization, share, number))
        for number, organization in enumerate(organizations * 2)
    ]
    for writer in writers:
        writer.start()
    until, seed, last = time.monotonic() + 300, 10, 10 + quick_or_whole(4, 12)
    while True:
        time.sleep(0.25)
        if seed < last:
            place = chance.randrange(2)
            relays[place].kill()
            relays[place].join()
            relays[place] = start(seed)
            seed += 1
        counts = keeping.counted(own_db)
        if seed == last and not counts["pending"] and not any(writer.is_alive() for writer in writers):
            break
        assert time.monotonic() < until, counts
    for process in relays:
        process.terminate()
    for process in relays:
        process.join(60)
        assert process.exitcode in (0, -signal.SIGTERM)  # one that was only just starting

    with own_db.privileged(reason="test"):
        rows = own_db.execute_sql("SELECT organization_id, id, subject_id, payload ->> 'mark' FROM outbox_messages")
        put = {(organization, id_): (subject, mark) for organization, id_, subject, mark in rows.fetchall()}
    delivered = [json.loads(line) for line in log.read_text().splitlines()]
    assert keeping.counted(own_db) == {"pending": 0, "delivered": len(put), "dead": 0}
    assert {(organization, id_) for organization, id_, *_ in delivered} == set(put)
    assert all(mark.startswith("kept") for _, mark in put.values())
    first = {}
    for organization, id_, subject, mark, bound in delivered:
        assert bound == organization
        assert put[organization, id_] == (subject, mark)
        first.setdefault((organization, id_), len(first))
    # In order within a subject, but for repetitions of what a killed relay could not write down.
    for subject in {(organization, put[organization, id_][0]) for organization, id_ in put}:
        ids = [id_ for (organization, id_) in first if (organization, put[organization, id_][0]) == subject]
        assert ids == sorted(ids)
