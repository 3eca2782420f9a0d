"""Every page of the example, as everybody who may see it, on a phone, in both languages.

Pages are found by following links, as people do; a page that nothing leads to is listed, or its route fails the test.
"""

import contextlib
import json
import re
from html import unescape
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from rayces_core import User, credits
from tests.examples.conftest import CENTRE, PHONE

pytestmark = pytest.mark.exhaustive

# Where everybody begins, and what no link leads to; the status of pages that are refused.
WALKS = {
    None: ("/sign-in", "/reset?token=1.x"),
    "lucia": ("/", "/family", f"/pay/{'a' * 32}", "/desk", "/family/book?student=0"),
    "paula": ("/week",),
    "tomas": ("/desk", "/family/credits", "/people/preview?keep=5&duplicate=6"),
    "graciela": ("/outbox",),
}
REFUSED = {"/desk": 403, "/family/book?student=0": 404}
NO_PAGES = ("/healthz", "/readyz", "/api/", "/calendar/")
FILES = (".ics", "/paper", "/table")
SAME = []
# A page as the walk counts it: of all days and children one is enough.
STEPS = re.compile(r"[0-9a-f]{32}|\d+|(?<=\?).*")


class Recorded(dict):
    """A language's texts; notes what is asked for and not there."""

    def __init__(self, texts):
        super().__init__(texts)
        self.missing = set()

    def get(self, key, default=None):
        if key not in self:
            self.missing.add(key)
        return super().get(key, default)


@pytest.fixture(scope="module")
def texts(application):
    from centre.texts import TEXTS

    recorded = {language: Recorded(texts) for language, texts in TEXTS.items()}
    before = dict(TEXTS)
    TEXTS.update(recorded)
    yield recorded
    TEXTS.update(before)


@pytest.fixture(scope="module")
def tokens(application, token_of):
    """Everybody's, and a payment that Lucía has still to make."""
    with application.db.tenant("arrayanes"):
        lucia = User.get(User.email == "lucia@arrayanes.example.org")
        how = {"payment_method": "pretend", "payment_reference": "a" * 32, "amount_cents": 100, "pending": True}
        credits.purchase(lucia, 1, by=lucia, **how)
    return {who: token_of(who) for who in WALKS if who}


class Walk:
    """Follows the links of one site as one person, and notes what is wrong with each page."""

    def __init__(self, context, base, refused):
        self._base, self._host, self._refused = base, urlsplit(base).netloc, refused
        self.seen, self.wrong, self._at = {}, [], ""
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda message: message.type in ("error", "warning") and self._note(message.text))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("requestfailed", lambda request: self._note(f"{request.url} {request.failure}"))
        self.page.on("response", self._answered)

    def _note(self, what):
        # Chromium tells of a page's own status as an error too.
        if not (self._at in self._refused and "Failed to load resource" in what):
            self.wrong.append((self._at, what))

    def _answered(self, response):
        expected = self._refused.get(self._at, 200)
        if response.status not in (200, 204, 303, 304, expected):
            self._note(f"{response.url} {response.status}")

    def follow(self, *paths, look):
        waiting = list(paths)
        while waiting:
            path = waiting.pop(0)
            step = path if path in paths else STEPS.sub("*", path)
            if step in self.seen:
                continue
            self.seen[step], self._at = path, path
            self.page.goto(self._base + path)
            self.page.wait_for_load_state("load")
            self.wrong += [(path, what) for what in look(self.page)]
            links = map(urlsplit, self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)"))
            own = (link for link in links if link.netloc == self._host and not link.path.endswith(FILES))
            waiting += [f"{link.path}?{link.query}".rstrip("?") for link in own]


@pytest.fixture(scope="module")
def walked(application, packages, tokens, texts, browser):
    """`walked(who, language, look)` follows all links as somebody, and gives the Walk."""
    base = f"http://arrayanes.localhost:{application.port}"

    def walked(who, language, look):
        with contextlib.closing(browser.new_context(viewport=PHONE, locale=language)) as context:
            if who:
                context.add_cookies([{"name": "centre", "value": tokens[who], "url": base}])
            walk = Walk(context, base, REFUSED)
            walk.follow(*WALKS[who], look=look)
        return walk

    return walked


def narrow_and_accessible(axe):
    """What is wrong with a page: wider than the phone, or what axe, where it is given, calls serious or critical."""

    def look(page):
        page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
        width = page.evaluate("document.documentElement.scrollWidth")
        found = [f"{width} px wide"] if width > PHONE["width"] else []
        if axe is None:
            return found
        page.evaluate(axe)
        told = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
        return found + [
            f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}"
            for each in told
            if each["impact"] in ("serious", "critical")
        ]

    return look


@pytest.mark.parametrize("language", ["es-AR", "en-GB"])
@pytest.mark.parametrize("who", WALKS, ids=str)
def test_every_page_fits_a_phone_is_accessible_and_loads_without_an_error(who, language, walked, packages, texts):
    # What axe looks at is the same in both languages, but for the texts.
    axe = (packages / "axe-core" / "axe.min.js").read_text() if language == "es-AR" else None
    walk = walked(who, language, narrow_and_accessible(axe))
    assert walk.wrong == []
    assert texts[language[:2]].missing == set()


def test_links_lead_the_walk_to_every_page(application, tokens):
    walked = {page.partition("?")[0] for who in WALKS for page in linked(application.port, tokens.get(who), WALKS[who])}
    routes = [route for route in iter_route_contexts(application.app.routes) if "GET" in (route.methods or ())]
    shown = [route for route in routes if hasattr(route, "dependant") and not route.path.startswith(NO_PAGES)]
    pages = [route for route in shown if not route.path.endswith(FILES)]
    assert len(pages) >= 12
    assert [page.path for page in pages if not any(page.path_regex.match(path) for path in walked)] == []


def linked(port, token, paths):
    """What the walk's links lead to, address → answer, without a browser: another process may walk another person."""
    headers = {"host": f"arrayanes.localhost:{port}", "cookie": f"centre={token}"}
    waiting, seen = list(paths), {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        while waiting:
            path = unescape(waiting.pop(0))
            step = path if path in paths else STEPS.sub("*", path)
            if path.startswith("/") and not path.startswith("/static/") and step not in seen:
                seen[step] = (path, client.get(path))
                waiting += re.findall(r'<a[^>]* href="([^"]+)"', seen[step][1].text)
    return dict(seen.values())


@pytest.mark.parametrize("who", WALKS, ids=str)
def test_the_button_of_the_other_language_leads_back_to_the_very_page(who, application, tokens):
    pages = linked(application.port, tokens.get(who), WALKS[who])
    leads = {
        address: unescape(found[1])
        for address, answer in pages.items()
        if (found := re.search(r'action="/language".*?name="to" value="([^"]*)"', answer.text, re.S))
    }
    assert len(leads) >= 2
    assert {address: to for address, to in leads.items() if to != address} == {}


def test_both_languages_have_the_same_texts():
    spanish, english = (json.loads((CENTRE / "centre" / f"texts_{name}.json").read_text()) for name in ("es", "en"))
    assert spanish.keys() == english.keys()
    assert [key for key in spanish if spanish[key] == english[key]] == SAME
