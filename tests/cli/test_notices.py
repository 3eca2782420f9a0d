"""`rayces notices`: deliver, list, retry, prune."""

from __future__ import annotations

import json
import signal
import sys
from datetime import timedelta

import pytest

from rayces_core import clock
from rayces_core.database.database import Database
from tests.cli.process import Terminal, environment, is_one_sentence, start
from tests.conftest import on_server
from tests.notices.senders import reminders
from tests.patience import wait_until
from tests.scheduling.worlds import ALWAYS, open_centre

SENDERS = """
import pathlib
from rayces_core.errors import UndeliverableError

def write(outgoing):
    if pathlib.Path("full").exists():
        raise UndeliverableError("the mailbox is full")
    with pathlib.Path("sent").open("a") as file:
        file.write(outgoing.key + "\\n")

senders = {"email": write}

def made(db):
    return senders
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder with an application's senders, where commands run."""
    (tmp_path / "hostnotices.py").write_text(SENDERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("hostnotices", None)
    return tmp_path


@pytest.fixture
def session(bare_db: Database):
    """One that is confirmed and begins within the hour of its reminder."""
    with open_centre(bare_db, weekly_schedule=ALWAYS, settings=reminders(24 * 60)) as centre:
        soon = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
        centre.book(soon, confirm=True, override_window=True, now=clock.now() - timedelta(days=1))
        return centre


@pytest.mark.slow
def test_deliver_list_retry_and_prune(bare: Terminal, session, host):
    (host / "full").touch()
    ran = bare("notices", "deliver", "hostnotices:senders", "--once")
    assert (ran.code, ran.out) == (0, "0 sent, 1 failed, 0 skipped, 0 again\n")
    shown = bare("notices", "list", "--organization", session.organization.subdomain)
    assert "0 queued, 0 due, 0 sent, 1 failed, 0 skipped" in shown.out
    (failed,) = json.loads(bare("notices", "list", "--json").out)
    assert (failed["state"], failed["event"], "address" in failed) == ("failed", "reminder", False)
    assert failed["reason"] == "UndeliverableError: the mailbox is full"

    (host / "full").unlink()
    assert bare("notices", "retry").out == "1 notice due again\n"
    assert bare("notices", "deliver", "hostnotices:made", "--once").out.startswith("1 sent, ")
    assert len((host / "sent").read_text().split()) == 1
    assert bare("notices", "deliver", "hostnotices:made", "--once").out.startswith("0 sent, ")
    assert bare("notices", "prune").out == "0 notices deleted, 0 addresses forgotten\n"


@pytest.mark.slow
def test_an_organization_whose_turn_an_error_ended_is_told(bare: Terminal, bare_db: Database, session, host):
    on_server(bare_db.url, "ALTER TABLE notices ADD CONSTRAINT none_more CHECK (false) NOT VALID")
    try:
        ran = bare("notices", "deliver", "hostnotices:senders", "--once")
    finally:
        on_server(bare_db.url, "ALTER TABLE notices DROP CONSTRAINT none_more")
    assert (ran.code, ran.out) == (1, "0 sent, 0 failed, 0 skipped, 0 again\n")
    assert ran.err.splitlines()[-1] == "organizations that are left to the next pass: 1"


def test_senders_that_are_nowhere_are_a_sentence(bare: Terminal, host):
    ran = bare("notices", "deliver", "nowhere:x")
    assert ran.code == 2
    assert is_one_sentence(ran.err)


@pytest.mark.slow
def test_it_runs_until_sigterm(bare_db: Database, session, host):
    variables = environment(RAYCES_DATABASE_URL=bare_db.url)
    process = start("notices", "deliver", "hostnotices:senders", "--poll", "0.1", cwd=str(host), env=variables)
    try:
        wait_until(lambda: (host / "sent").exists())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "1 sent, 0 failed, 0 skipped, 0 again\n", "")
