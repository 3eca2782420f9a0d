"""The Flask example: a family books once for a key, the desk sees its day, and gunicorn mixes up no answers."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rayces_core import Database, User, demo, sign_in
from tests.integrations.test_servers import served

pytestmark = pytest.mark.slow

CENTRE = Path(__file__).parents[2] / "examples" / "centre_flask"
PASSWORD = "correct horse battery"
GUNICORN = ["-m", "gunicorn", "centre_flask.app:app", "--preload", "--workers=2", "--threads=2", f"--chdir={CENTRE}"]


@pytest.fixture(scope="module")
def url(create_database, template):
    """The demonstration's centres, where the people of these tests can sign in."""
    url = create_database(template)
    with Database.connect(url) as db:
        for organization in demo.load_centres(db):
            with db.tenant(organization):
                people = User.select().where(User.first_name.in_(("Lucía", "Julia", "Tomás", "Carolina")))
                for user in people:
                    sign_in.set_password(user, PASSWORD)
    return url


@pytest.fixture(scope="module")
def app(url):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYCES_DATABASE_URL", url)
        patch.setenv("CENTRE_SECRET", "s" * 32)
        patch.delenv("RAYCES_ADMIN_DATABASE_URL", raising=False)
        patch.syspath_prepend(CENTRE)
        module = importlib.import_module("centre_flask.app")
        yield module.app
        module.db.close()
        for name in [name for name in sys.modules if name.partition(".")[0] == "centre_flask"]:
            del sys.modules[name]


class Person:
    """Somebody's browser."""

    def __init__(self, app, centre="arrayanes"):
        self.client, self.centre = app.test_client(), centre

    def ask(self, method, path, status=200, **options):
        answer = self.client.open(
            path, method=method, base_url=f"http://{self.centre}.localhost", buffered=True, **options
        )
        assert answer.status_code == status, answer.text
        return answer.json

    def enter(self, name):
        data = {"email": f"{name}@{self.centre}.example.org", "password": PASSWORD}
        self.ask("POST", "/sign-in", json=data)
        return self


@pytest.fixture
def lucia(app):
    return Person(app).enter("lucia")


def free_slot(person):
    """A child and a time that can be booked for it, as the request for it."""
    child = person.ask("GET", "/children")[0]
    for professional in person.ask("GET", "/professionals"):
        number = professional["user_id"]
        for slot in person.ask("GET", f"/slots?professional={number}&days=31"):
            return {"student_id": child["id"], "professional_id": number, "scheduled_at": slot["start"]}
    raise AssertionError("nobody has a free time in a month")


@pytest.mark.slow
def test_a_family_books_once_for_a_key_confirms_and_gives_a_held_time_back(lucia):
    wanted, key = free_slot(lucia), {"Idempotency-Key": "first"}
    booked = lucia.ask("POST", "/sessions", 201, json=wanted, headers=key)
    again = lucia.ask("POST", "/sessions", 200, json=wanted, headers=key)
    assert (again["id"], booked["state"]) == (booked["id"], "pre_confirmed")
    assert booked["id"] in [session["id"] for session in lucia.ask("GET", "/sessions")]
    taken = lucia.ask("POST", "/sessions", 409, json=wanted, headers={"Idempotency-Key": "second"})
    assert taken["code"] in ("slot_taken", "student_busy")
    assert lucia.ask("POST", f"/sessions/{booked['id']}/cancel", json={"reason": "ill"})["state"] == "cancelled"
    other = lucia.ask("POST", "/sessions", 201, json=free_slot(lucia))
    assert lucia.ask("POST", f"/sessions/{other['id']}/confirm")["state"] == "confirmed"
    refused = lucia.ask("POST", f"/sessions/{other['id']}/cancel", 403, json={"reason": "ill"})
    assert refused["code"] == "not_permitted"  # a confirmed session is the desk's to cancel


@pytest.mark.slow
def test_credits_are_the_balance_and_how_it_came_about(lucia):
    account = lucia.ask("GET", "/credits")
    assert account["lines"][-1]["balance"] == account["balance"]
    assert account["lines"][0]["entry"]["transaction_type"] == "purchase"


@pytest.mark.slow
def test_the_day_is_the_desks_and_a_sign_out_is_one(app, lucia):
    assert lucia.ask("GET", "/day", 403)["code"] == "not_permitted"
    desk = Person(app).enter("tomas")
    days = [desk.ask("GET", f"/day?day={session['scheduled_at'][:10]}") for session in lucia.ask("GET", "/sessions")]
    assert all(days)
    assert {"student", "professional", "state"} <= set(days[0][0])
    desk.ask("POST", "/sign-out", 204)
    assert desk.ask("GET", "/day", 401)["code"] == "unauthenticated"


@pytest.mark.slow
def test_another_familys_session_and_another_centres_are_not_there(app, lucia):
    mine = lucia.ask("GET", "/sessions")[0]["id"]
    for other in (Person(app).enter("carolina"), Person(app, "girasol").enter("julia")):
        assert mine not in [session["id"] for session in other.ask("GET", "/sessions")]
        assert other.ask("POST", f"/sessions/{mine}/confirm", 404)["code"] == "not_found"
    lucia.centre = "girasol"  # the browser keeps a cookie for its own host
    lucia.ask("GET", "/children", 401)


@pytest.mark.slow
def test_what_does_not_fit_says_where_and_what_is_too_large_is_not_read(lucia):
    told = lucia.ask("GET", "/slots?professional=x&days=99", 422, headers={"Accept-Language": "es"})
    assert [(fault["in"], fault["pointer"]) for fault in told["errors"]] == [
        ("query", "/professional"),
        ("query", "/days"),
    ]
    told = lucia.ask("POST", "/sessions", 422, json={"student_id": "x", "more": 1})
    pointers = {fault["pointer"] for fault in told["errors"]}
    assert pointers == {"/student_id", "/professional_id", "/scheduled_at", "/more"}
    assert {fault["in"] for fault in told["errors"]} == {"body"}
    lucia.ask("POST", "/sessions", 422, json=[1])
    large = lucia.ask("POST", "/sessions", 413, data=b"[" + b" " * 100_000, content_type="application/json")
    assert (large["code"], large["limit"]) == ("too_large", 100_000)
    for odd in ("/slots?professional=1&day=9999-12-31", "/slots?professional=1&day=0001-01-01"):
        assert lucia.client.get(odd, base_url="http://arrayanes.localhost", buffered=True).status_code < 500


def test_a_page_of_another_site_signs_nobody_in(app):
    data = {"email": "lucia@arrayanes.example.org", "password": PASSWORD}
    Person(app).ask("POST", "/sign-in", 401, json=data, headers={"Origin": "http://evil.test"})


@pytest.mark.exhaustive
def test_gunicorn_with_preload_mixes_up_no_answers(url, monkeypatch):
    """Two workers, forked when the application was loaded, two centres, sixty requests at once: each sees its own.

    `test_another_familys_session_and_another_centres_are_not_there` is the smaller one.
    """
    monkeypatch.setenv("CENTRE_SECRET", "s" * 32)
    with Database.connect(url) as db, served(db, GUNICORN, "w-centre-flask") as site:
        people = {"arrayanes": "lucia", "girasol": "julia"}
        expected, cookies = {}, {}
        for centre, name in people.items():
            with db.tenant(centre):
                expected[centre] = User.get(User.email == f"{name}@{centre}.example.org").id
            entered = ask(
                site, centre, "POST", "/sign-in", json={"email": f"{name}@{centre}.example.org", "password": PASSWORD}
            )
            assert entered.json()["id"] == expected[centre]
            cookies[centre] = entered.headers["set-cookie"].partition(";")[0]
        children = {centre: ask(site, centre, "GET", "/children", cookies[centre]).json() for centre in people}
        assert children["arrayanes"] != children["girasol"]

        def one(number):
            centre = ("arrayanes", "girasol")[number % 2]
            other = ("girasol", "arrayanes")[number % 2]
            if number % 5 == 0:
                return ask(site, centre, "GET", "/children", cookies[other]).status_code == 401
            return ask(site, centre, "GET", "/children", cookies[centre]).json() == children[centre]

        with ThreadPoolExecutor(8) as several:
            assert all(several.map(one, range(60)))


def ask(site, centre, method, path, cookie="", **options):
    headers = {"host": f"{centre}.localhost:{site.port}", "cookie": cookie}
    return httpx.request(method, f"http://127.0.0.1:{site.port}{path}", headers=headers, timeout=60, **options)
