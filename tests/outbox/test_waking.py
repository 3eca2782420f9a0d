"""Waking: relays hear of a commit at once where they can listen, and poll where they cannot."""

import logging
import os
import time

import psycopg2
import pytest

from rayces_core import outbox, sign_in
from rayces_core.outbox import listening
from rayces_core.outbox.listening import Listener
from rayces_core.outbox.relaying import Relay
from rayces_core.outbox.waking import Waker
from tests.factory import make_appointment, make_organization, make_user
from tests.outbox.boxes import Kept, put, running
from tests.patience import wait_until


@pytest.fixture
def a(own_db):
    return make_organization(own_db)


@pytest.fixture
def waker(own_db):
    made = Waker(own_db)
    yield made
    made.close()


@pytest.fixture
def heard(own_db):
    """How often a listener has heard something; it listens already."""
    calls = []
    listener = Listener(own_db.url, lambda: calls.append(time.monotonic()))
    assert listener.is_listening.wait(60)
    wait_until(lambda: len(calls) == 1)  # what was put before
    calls.clear()
    yield calls
    listener.close()


@pytest.mark.slow
def test_a_relay_that_polls_seldom_delivers_what_it_is_woken_for_at_once(own_db, a, waker):
    kept = Kept()
    with running(Relay(own_db, {"kept": kept}, poll=600)):
        time.sleep(0.3)
        with own_db.tenant(a), own_db.atomic():
            put(own_db, a)
            own_db.on_commit(waker.wake)
        wait_until(lambda: kept.ids)


@pytest.mark.slow
def test_a_transition_wakes_after_its_commit_and_one_that_is_undone_does_not(own_db, a, waker, heard):
    with own_db.tenant(a):
        appointment = make_appointment()
        with pytest.raises(ZeroDivisionError), own_db.atomic():
            appointment.cancel(reason="x")
            raise ZeroDivisionError
        time.sleep(0.1)
        assert heard == []
        with own_db.atomic():
            appointment.cancel(reason="x")
            time.sleep(0.1)
            assert heard == []
        wait_until(lambda: heard)


@pytest.mark.slow
def test_a_message_of_the_hosts_and_a_link_that_is_asked_for_wake_too(own_db, a, waker, heard):
    with own_db.tenant(a):
        user = make_user()
        with own_db.atomic():
            outbox.put("room.painted", {}, subject=("Room", 1))
            time.sleep(0.1)
            assert heard == []
        wait_until(lambda: heard)
        heard.clear()
        sign_in.invite(user)
        wait_until(lambda: heard)


@pytest.mark.slow
def test_many_commits_at_once_are_told_of_a_few_times(own_db, a, waker, heard):
    waker.wake()
    wait_until(lambda: heard)
    heard.clear()
    for _ in range(500):
        waker.wake()
    wait_until(lambda: heard)
    time.sleep(0.1)
    assert len(heard) < 20


@pytest.mark.slow
def test_another_databases_changes_wake_nobody(own_db, db, waker, heard):
    with db.tenant(make_organization(db)):
        make_appointment().cancel(by=make_user(role=2), reason="x")
    time.sleep(0.1)
    assert heard == []


@pytest.mark.slow
def test_in_a_forked_process_it_wakes_too(own_db, waker, heard):
    waker.wake()
    wait_until(lambda: heard)
    heard.clear()
    goes_on, over = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(over)
            waker.wake()
            os.read(goes_on, 1)
        finally:
            os._exit(0)
    try:
        wait_until(lambda: heard)
    finally:
        os.close(over)
        os.close(goes_on)
        os.waitpid(child, 0)


def test_a_lost_connection_is_made_anew(own_db, heard, monkeypatch):
    monkeypatch.setattr(listening, "AGAIN_SECONDS", 0.05)
    connection = psycopg2.connect(own_db.url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: heard)  # it looks for what was put meanwhile
    heard.clear()
    cursor.execute("SELECT pg_notify('rayces_outbox', '')")
    wait_until(lambda: heard)
    connection.close()


def test_behind_a_proxy_it_does_not_listen_and_the_relay_polls(own_db, a, monkeypatch, caplog):
    monkeypatch.setattr(listening, "_is_direct", lambda connection: False)
    kept = Kept()
    with caplog.at_level(logging.INFO, logger="rayces_core"), running(Relay(own_db, {"kept": kept}, poll=0.05)):
        put(own_db, a)
        wait_until(lambda: kept.ids)
    assert "a proxy stands before the server, so the outbox is polled" in caplog.messages


def test_a_closed_waker_wakes_nobody(own_db, heard):
    waker = Waker(own_db)
    waker.close()
    waker.wake()
    time.sleep(0.05)
    assert heard == []
