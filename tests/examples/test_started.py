"""`python -m centre` as it is started: a forgotten password, a sheet that is too large, secrets that stay."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.patience import SECONDS, wait_until
from tests.ports import free_port

CENTRE = Path(__file__).parents[2] / "examples" / "centre"
PASSWORD = "correct horse battery"

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The program, what it prints, and a client of the first centre."""
    folder, port = tmp_path_factory.mktemp("started"), free_port()
    log, variables = folder / "log", os.environ | {"PORT": str(port), "CENTRE_DATA": str(folder / "data")}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "centre"], cwd=CENTRE, env=variables, stdout=file, stderr=file
        )
    try:
        host = {"host": f"arrayanes.localhost:{port}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=host, timeout=SECONDS) as client:
            wait_until(lambda: is_alive(client) or process.poll() is not None, 300)
            assert process.poll() is None, log.read_text()
            yield SimpleNamespace(client=client, said=log.read_text, data=folder / "data", host=host["host"])
        assert "Traceback" not in log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def is_alive(client):
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def enter(started, password, name="hernan"):
    return started.client.post("/sign-in", data={"email": f"{name}@arrayanes.example.org", "password": password})


def test_a_link_on_the_console_leads_to_a_new_password_once(started):
    for email in ("hernan@arrayanes.example.org", "nobody@arrayanes.example.org"):
        asked = started.client.post("/forgot", data={"email": email})
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in")
    line = re.compile(r"For hernan@\S+, to choose a new password: (\S+)")
    wait_until(lambda: line.search(started.said()))
    (link,) = line.findall(started.said())
    address, _, token = link.partition("/reset?token=")
    assert address == f"http://{started.host}"
    form = started.client.get(f"/reset?token={token}")
    assert f'value="{token}"' in form.text
    assert form.headers["referrer-policy"] == "same-origin"
    short = started.client.post("/reset", data={"token": token, "password": "short"})
    assert short.status_code == 422
    changed = started.client.post("/reset", data={"token": token, "password": "another long password"})
    assert (changed.status_code, changed.headers["location"]) == (303, "/sign-in")
    wrong = enter(started, PASSWORD)
    assert (wrong.headers["location"], "flash" in wrong.cookies) == ("/sign-in", True)
    assert enter(started, "another long password").headers["location"] == "/family"
    again = started.client.post("/reset", data={"token": token, "password": "a third long password"})
    assert again.status_code == 410
    assert "nobody@" not in started.said()


def test_a_sheet_that_is_too_large_is_told_on_its_page_and_read_no_further(started):
    entered = enter(started, PASSWORD, "tomas")
    headers = {"cookie": f"centre={entered.cookies['centre']}", "accept-language": "es"}
    page = f"http://{started.host}/import"
    large = {"file": ("students.csv", b"x" * 3_000_000, "text/csv")}
    plain = started.client.post("/import", files=large, headers=headers)
    assert (plain.status_code, "2000000 bytes" in plain.text) == (413, True)
    from_the_form = started.client.post("/import", files=large, headers=headers | {"referer": f"{page}?x=1"})
    assert from_the_form.status_code in (303, 413)
    small = started.client.post("/import", files={"file": ("students.csv", b"a,b\n1,2\n")}, headers=headers)
    assert small.status_code < 500


def test_its_secrets_are_drawn_and_kept_for_its_own_account(started):
    (path,) = started.data.glob("*.json")
    kept = json.loads(path.read_text())
    assert path.stat().st_mode & 0o077 == 0
    assert set(kept) == {"tokens", "payments"}
    assert kept["payments"].startswith("whsec_")
    unsigned = started.client.post("/webhooks/pretend", content=b"{}")
    assert unsigned.status_code == 400
