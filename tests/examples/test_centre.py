"""The example is used in a browser: a family signs in, books and pays; others see what is theirs, and no more."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

CENTRE = Path(__file__).parents[2] / "examples" / "centre"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PASSWORD = "correct horse battery"

pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("centre")
    variables = os.environ | {"PORT": str(port), "CENTRE_DATA": str(folder / "data")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "centre"], cwd=CENTRE, env=variables, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.2)
        yield port
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def sign_in(port, browser):
    contexts = []

    def sign_in(name, centre="arrayanes", context=None):
        if context is None:
            contexts.append(context := browser.new_context(viewport={"width": 390, "height": 844}, locale="es-AR"))
        page, base = context.new_page(), f"http://{centre}.localhost:{port}"
        page.set_default_timeout(15_000)
        page.goto(f"{base}/sign-in")
        page.fill("[name=email]", f"{name}@{centre}.example.org")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.wait_for_selector("nav")
        return page, base

    yield sign_in
    for context in contexts:
        context.close()


def test_a_family_books_a_time_and_another_tab_that_is_stale_is_told(sign_in):
    page, base = sign_in("lucia")
    page.goto(f"{base}/family")
    page.click("a.button >> nth=0")
    page.wait_for_selector(".slots button")
    stale = page.context.new_page()
    stale.goto(page.url)
    page.click(".slots button >> nth=0")
    page.wait_for_selector(".flash.good")
    assert "Reservado" in page.inner_text(".flash")
    stale.click(".slots button >> nth=0")
    stale.wait_for_selector(".flash")
    assert stale.locator(".flash.good").count() == 0


def test_credits_are_bought_by_a_payment_that_calls_the_webhook(sign_in):
    page, base = sign_in("carolina")
    page.goto(f"{base}/family/credits")
    before = int(page.inner_text("main p strong"))
    page.click("main form button")
    page.wait_for_url("**/pay/**")
    page.click("text=Pagar")
    page.wait_for_selector(".flash.good")
    assert int(page.inner_text("main p strong")) == before + 4


def test_each_sees_what_is_theirs(sign_in):
    expected = {
        "lucia": {"/family": 200, "/week": 403, "/desk": 403, "/outbox": 403},
        "paula": {"/week": 200, "/desk": 403},
        "tomas": {"/desk": 200, "/students": 200, "/import": 200, "/outbox": 403},
        "graciela": {"/outbox": 200, "/desk": 200},
    }
    for name, pages in expected.items():
        page, base = sign_in(name)
        assert {path: page.goto(f"{base}{path}").status for path in pages} == pages


def test_two_centres_in_one_browser_are_two(sign_in):
    page, base = sign_in("lucia")
    other, other_base = sign_in("julia", "girasol", page.context)
    assert "Espacio Girasol" in other.inner_text("header")
    page.goto(f"{base}/family")
    assert "Centro Arrayanes" in page.inner_text("header")
    assert other.goto(f"{other_base}/family").status == 200


def test_a_session_that_is_ended_elsewhere_is_over(sign_in):
    page, base = sign_in("hernan")
    elsewhere, _ = sign_in("hernan")
    with elsewhere.expect_navigation():
        elsewhere.evaluate(
            "() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/sign-out';"
            " f.innerHTML = '<input name=everywhere value=true>'; document.body.append(f); f.submit() }"
        )
    page.goto(f"{base}/family")
    assert page.url.endswith("/sign-in")


def test_odd_input_is_refused_and_no_fault_of_the_server(port):
    host = f"arrayanes.localhost:{port}"
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": host}) as client:
        entered = client.post("/sign-in", data={"email": "tomas@arrayanes.example.org", "password": PASSWORD})
        client.headers["cookie"] = f"centre={entered.cookies['centre']}"
        move = {"when": "tomorrow", "professional": 1, "key": "k" * 8}
        answers = [
            *(client.get(f"/{page}?day={day}") for page in ("desk", "week") for day in ("0001-01-01", "9999-12-31")),
            client.get("/family/book?student=1&day=9999-12-31"),
            client.get("/api/slots?professional=1&start=9999-12-31T00:00:00Z"),
            client.post("/desk/sessions/1/move", data=move),
            *(client.post("/import", files={"file": (name, b"a,b")}) for name in ("..", "x" * 300, "a/b.xlsx")),
            client.post("/webhooks/pretend", content=b"{}"),
            client.post("/sign-out", headers={"origin": "http://["}),
            client.post("/desk/sessions/1/move", headers={"referer": "http://["}, data=move),
        ]
        assert [str(answer.url) for answer in answers if answer.status_code >= 500] == []
        reset = {"token": "1.x", "password": "p" * 12}
        lost = client.post("/reset", headers={"referer": f"http://{host}//evil.test"}, data=reset)
        assert "location" not in lost.headers


def test_a_sign_out_ends_the_token_of_this_device_and_no_other(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": f"arrayanes.localhost:{port}"}) as client:

        def enter():
            data = {"email": "diego@arrayanes.example.org", "password": PASSWORD}
            token = client.post("/sign-in", data=data).cookies["centre"]
            client.cookies.clear()
            return {"cookie": f"centre={token}"}

        here, there = enter(), enter()
        assert client.get("/family", headers=here).status_code == 200
        left = client.post("/sign-out", headers=here)
        assert 'centre=""' in left.headers["set-cookie"]
        assert client.get("/family", headers=here).headers["location"] == "/sign-in"
        assert client.get("/family", headers=there).status_code == 200
