"""The example is used in a browser: a family signs in, books and pays; others see what is theirs, and no more."""

import contextlib

import httpx
import pytest

from tests.examples.conftest import PHONE

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def sign_in(port, browser):
    contexts = []

    def sign_in(name, centre="arrayanes", context=None, **options):
        if context is None:
            contexts.append(context := browser.new_context(viewport=PHONE, locale="es-AR", **options))
        page, base = context.new_page(), f"http://{centre}.localhost:{port}"
        page.set_default_timeout(30_000)
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


def test_two_centres_in_one_browser_are_two(sign_in):
    page, base = sign_in("lucia")
    other, other_base = sign_in("julia", "girasol", page.context)
    assert "Espacio Girasol" in other.inner_text("header")
    page.goto(f"{base}/family")
    assert "Centro Arrayanes" in page.inner_text("header")
    assert other.goto(f"{other_base}/family").status == 200


def test_a_session_that_is_ended_elsewhere_is_over_and_the_page_says_so(sign_in):
    page, base = sign_in("hernan")
    elsewhere, _ = sign_in("hernan")
    with elsewhere.expect_navigation():
        elsewhere.evaluate(
            "() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/sign-out';"
            " f.innerHTML = '<input name=everywhere value=true>'; document.body.append(f); f.submit() }"
        )
    page.click("nav a >> nth=1")
    page.wait_for_selector("[name=password]")
    assert "La sesión terminó" in page.inner_text(".flash")
    page.goto(f"{base}/family")
    assert page.url.endswith("/sign-in")
    assert page.locator(".flash").count() == 0


@pytest.mark.parametrize("scripts", [True, False], ids=["htmx", "plain forms"])
def test_a_double_click_books_once(sign_in, scripts):
    page, base = sign_in("diego", java_script_enabled=scripts)
    page.goto(f"{base}/family")
    before = page.locator(".card.state-pre_confirmed").count()
    page.click("a.button >> nth=1")
    page.wait_for_selector(".slots button")
    page.dblclick(".slots button >> nth=-1")
    page.wait_for_selector(".flash.good")
    page.goto(f"{base}/family")
    assert page.locator(".card.state-pre_confirmed").count() == before + 1


def test_the_keyboard_alone_signs_in_books_and_cancels(port, browser):
    with contextlib.closing(browser.new_context(viewport=PHONE, locale="es-AR")) as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(f"http://arrayanes.localhost:{port}/sign-in")
        page.keyboard.type("carolina@arrayanes.example.org")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav")
        assert tab_to(page, "main a.button").startswith("Reservar")
        page.keyboard.press("Enter")
        page.wait_for_selector(".slots button")
        tab_to(page, ".slots button")
        page.keyboard.press("Space")
        page.wait_for_selector(".flash.good")
        assert "Reservado" in page.inner_text(".flash")
        assert tab_to(page, ".card.state-pre_confirmed form[action$=cancel] button").startswith("Cancelar")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Sesión cancelada")


FOCUSED = """() => {
  const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e)
  const outline = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2
  return {text: e.innerText, outline, shown: r.width > 1 && r.bottom > 0 && r.top < innerHeight}
}"""


def tab_to(page, selector):
    """Press Tab until an element has the focus, which is seen wherever it stops; returns what the element says."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["outline"], focused
        assert focused["shown"], focused
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return focused["text"]
    raise AssertionError(f"no Tab leads to {selector}")


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
