"""The example's application: served within this process, and as a program that people use in a browser."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import holidays
import httpx
import pytest

from rayces_core import User
from tests.patience import wait_until
from tests.ports import free_port

CENTRE = Path(__file__).parents[2] / "examples" / "centre"
# Without windows a page takes half of the processor's time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
PHONE = {"width": 390, "height": 844}
PASSWORD = "correct horse battery"
HERE = ZoneInfo("America/Argentina/Buenos_Aires")
# A browser of the test's own, which nobody has signed in with.
OF_ITS_OWN = {"locale": "es-AR"}


@pytest.fixture(scope="session")
def application(create_database, template):
    """The example on the demonstration's centres: its `app`, `db` and `rayces`, served in this process on `port`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYCES_DATABASE_URL", create_database(template))
        patch.setenv("CENTRE_SECRET", "s" * 32)
        patch.delenv("RAYCES_ADMIN_DATABASE_URL", raising=False)
        patch.syspath_prepend(CENTRE)
        import uvicorn
        from centre.app import app
        from centre.web import db, rayces

        from rayces_core.demo import load_centres

        load_centres(db)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive())
        assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield SimpleNamespace(app=app, db=db, rayces=rayces, port=port)
        server.should_exit = True
        thread.join()
        for name in [name for name in sys.modules if name.partition(".")[0] == "centre"]:
            del sys.modules[name]


@pytest.fixture(scope="session")
def token_of(application):
    """An access token by name and centre."""

    def token_of(name, centre="arrayanes"):
        with application.db.tenant(centre):
            user = User.get(User.email == f"{name}@{centre}.example.org")
            return application.rayces.tokens.issue(user)

    return token_of


@pytest.fixture(scope="session")
def packages():
    """The folder of what the example's package.json names, which is installed where it is not there yet."""
    folder, script = CENTRE / "node_modules", CENTRE / "centre" / "static" / "htmx.min.js"
    # Processes of one run would install into the same folder at once.
    with (Path(tempfile.gettempdir()) / "rayces-centre-npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "axe-core").exists():
            if shutil.which("npm") is None:
                pytest.skip("no npm is installed")
            line = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
            if subprocess.run(line, cwd=CENTRE, capture_output=True, timeout=120).returncode:
                pytest.skip("npm cannot install what the example's pages load")
        if not script.exists():
            shutil.copy(folder / "htmx.org" / "dist" / "htmx.min.js", script)
    return folder


@pytest.fixture(scope="session")
def port(packages, tmp_path_factory):
    """Where `python -m centre` serves, with everybody's password."""
    port, folder = free_port(), tmp_path_factory.mktemp("centre")
    # Tests say themselves when time has gone on.
    own = {"PORT": str(port), "CENTRE_DATA": str(folder / "data"), "CENTRE_SWEEP_SECONDS": "86400"}
    variables = os.environ | own
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "centre"], cwd=CENTRE, env=variables, stdout=log, stderr=log)
    try:

        def answers():
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/healthz")

        wait_until(answers, 300)
        yield port
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def browser():
    """Chromium. Until it is closed an event loop runs in this thread, so nobody but the pages uses the database."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def kept():
    """Pages of people who have signed in, by (name, centre)."""
    pages = {}
    yield pages
    for page in pages.values():
        page.context.close()


@pytest.fixture
def sign_in(port, browser, kept):
    """`sign_in(name)` enters as somebody, on a phone and in Spanish unless told otherwise: the page, and the site.

    Who has nothing else to be told apart by has one page in all tests of a module, and goes on with it. `context` is of
    a browser that is somebody else's already; `options` are those of one of the test's own.
    """
    contexts = []

    def sign_in(name, centre="arrayanes", context=None, **options):
        base, person = f"http://{centre}.localhost:{port}", (name, centre)
        is_kept = context is None and not options
        if is_kept and person in kept:
            return kept[person], base
        if context is None:
            context = browser.new_context(viewport=PHONE, **OF_ITS_OWN | options)
            contexts.extend([] if is_kept else [context])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{base}/sign-in")
        page.fill("[name=email]", f"{name}@{centre}.example.org")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.wait_for_selector("nav")
        if is_kept:
            kept[person] = page
        return page, base

    yield sign_in
    for context in contexts:
        context.close()
    for page in kept.values():
        for other in page.context.pages:
            if other is not page:
                other.close()


def next_wednesday():
    """One of those that are three weeks ahead and more, so that nothing of the demonstration is in the way.

    Nor is a public holiday, which some test may have filled in, on it or on the three after it.
    """
    today, known = datetime.now(HERE).date(), holidays.country_holidays("AR")
    first = today + timedelta(days=(2 - today.weekday()) % 7 + 21)
    while any(first + timedelta(days=days) in known for days in (0, 7, 14, 21)):
        first += timedelta(days=7)
    return first


def choose(form, name, text):
    """Select the first option of a form's field that has the text."""
    value = form.locator(f"[name={name}] option", has_text=text).first.get_attribute("value")
    form.locator(f"[name={name}]").select_option(value)
