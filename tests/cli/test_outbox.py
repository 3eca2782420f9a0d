"""`rayces outbox`: run, list, retry, prune."""

from __future__ import annotations

import json
import signal
import sys
import time

import pytest

from rayces_core.database.database import Database
from tests.cli.process import Terminal, environment, is_one_sentence, start
from tests.factory import make_organization
from tests.outbox.boxes import put, standing, states
from tests.patience import wait_until

HANDLERS = """
import pathlib, time

def keep(message):
    if message.payload.get("fails"):
        raise ValueError("no")
    with pathlib.Path("got").open("a") as file:
        file.write(message.message_id + "\\n")
    while message.payload.get("waits") and not pathlib.Path("go").exists():
        time.sleep(0.01)

handlers = {"keep": keep}

def made(db):
    from rayces_core import outbox
    return outbox.relay(db, handlers, attempts=1)
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder with an application's handlers, where commands run."""
    (tmp_path / "hostapp.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("hostapp", None)
    return tmp_path


@pytest.mark.slow
def test_run_once_delivers_what_is_due(bare: Terminal, bare_db: Database, host):
    put(bare_db, make_organization(bare_db), times=3)
    ran = bare("outbox", "run", "hostapp:handlers", "--once")
    assert (ran.code, ran.out) == (0, "3 messages were taken\n")
    assert len((host / "got").read_text().split()) == 3
    assert set(states(bare_db)) == {"delivered"}


@pytest.mark.slow
def test_list_retry_and_prune(bare: Terminal, bare_db: Database, host):
    a = make_organization(bare_db)
    put(bare_db, a, 1, fails=True)
    put(bare_db, a, 2)
    assert bare("outbox", "run", "hostapp:made", "--once").code == 0

    shown = bare("outbox", "list")
    assert "ValueError: no" in shown.out
    assert "0 pending, 1 delivered, 1 dead" in shown.out
    (dead,) = json.loads(bare("outbox", "list", "--json", "--organization", a.subdomain).out)
    assert (dead["state"], dead["topic"], "payload" in dead) == ("dead", "appointment.confirm", False)
    assert len(json.loads(bare("outbox", "list", "--state", "any", "--json", "--organization", str(a.id)).out)) == 2

    assert bare("outbox", "retry", dead["message_id"]).out == "1 messages are due again\n"
    assert standing(bare_db)[1][0] == "pending"
    assert bare("outbox", "prune", "--days", "30").out == "0 messages are deleted\n"
    assert bare("outbox", "prune", "--days", "0").out == "1 messages are deleted\n"
    assert bare("outbox", "retry", "--all").out == "0 messages are due again\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "nowhere:x"], 2),
        (["run", "hostapp"], 2),
        (["run", "hostapp:nothing"], 2),
        (["run", "--batch", "0"], 2),
        (["retry"], 2),
        (["retry", "not-an-id"], 2),
        (["prune"], 2),
        (["list", "--organization", "nowhere"], 3),
        (["list", "--organization", "²"], 3),
    ],
)
def test_mistakes_are_told_in_a_sentence(bare: Terminal, host, words, code):
    ran = bare("outbox", *words)
    assert ran.code == code
    assert is_one_sentence(ran.err)


@pytest.mark.slow
def test_sigterm_finishes_what_is_being_delivered(bare_db: Database, host):
    a = make_organization(bare_db)
    put(bare_db, a, 1, waits=True)
    put(bare_db, a, 1)
    variables = environment(RAYCES_DATABASE_URL=bare_db.url)
    process = start("outbox", "run", "hostapp:handlers", "--poll", "0.05", cwd=str(host), env=variables)
    try:
        wait_until(lambda: (host / "got").exists())
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        (host / "go").touch()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert states(bare_db) == ["delivered", "pending"]
