"""The examples of docs/web.md are run as they stand."""

import contextlib
import io
import json
import sys
from datetime import timedelta
from functools import partial
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from rayces_core import Database, InsufficientCreditsError, Role, Student, clock, sign_in
from rayces_core.integrations import problems
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.test_docs import ROOT, code_blocks

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


NAMED = {
    "FastAPI(": "fastapi",
    "Flask(": "flask",
    "class Problems": "middleware",
    "get_wsgi": "wsgi",
    "Celery(": "celery",
}


@pytest.fixture(scope="module")
def run(db):
    """What each example defines, each a file of its own, and what they printed; Django has its settings before."""
    pytest.importorskip("django")
    from django.conf import settings

    urls, module = ModuleType("rayces_docs_urls"), ModuleType("rayces_docs")
    settings.configure(
        ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=["rayces_docs.Problems"], DATABASES={}
    )
    sys.modules["rayces_docs"] = module
    names, said = {}, io.StringIO()
    with environment(RAYCES_DATABASE_URL=db.url, SECRET="s" * 32), contextlib.redirect_stdout(said):
        from django.urls import path

        urls.urlpatterns = [path("students/<int:number>", lambda request, number: gone(number))]
        for number, block in enumerate(code_blocks(ROOT / "docs" / "web.md", "python")):
            if "demo.started" in block:  # has a test of its own
                continue
            which = next((name for mark, name in NAMED.items() if mark in block), "errors")
            names[which] = own = {"__name__": "rayces_docs"}
            exec(compile(block, f"web.md, example {number + 1}", "exec"), own)
            if which == "middleware":  # Django looks it up by name
                vars(module).update(own)
    yield names, said.getvalue()
    for own in names.values():
        if "db" in own:
            own["db"].close()


@contextlib.contextmanager
def environment(**variables):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAYCES_ADMIN_DATABASE_URL", raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def gone(number):
    from django.http import HttpResponse

    return HttpResponse(Student.get_by_id(number).full_name)


SIGN_IN = {"email": "desk@example.org", "password": "a long password"}


def entered(answer, client):
    """Who has signed in and may see them: the students' names."""
    token = answer.json()["access_token"]
    return client.get("/students", headers={"Authorization": f"Bearer {token}"}).json()


@pytest.fixture(scope="module")
def centre(run, db):
    organization = make_organization(db)
    tokens = run[0]["fastapi"]["rayces"].tokens
    with db.tenant(organization):
        guardian, desk = make_user(), make_user(role=Role.STAFF, email=SIGN_IN["email"])
        sign_in.set_password(desk, SIGN_IN["password"])
        student = make_student(primary_contact=guardian)
        everyday = {day: [{"start": "00:00", "end": "24:00"}] for day in DAYS}
        professional = make_professional(weekly_schedule=everyday)
        signed = [{"Authorization": "Bearer " + tokens.issue(user)} for user in (guardian, desk)]
    return organization, student, professional, *signed


@pytest.mark.slow
def test_the_fastapi_example_books_once_for_a_key(run, centre):
    organization, student, professional, guardian, desk = centre
    start = (clock.now() + timedelta(days=30)).replace(hour=12, minute=0, second=0, microsecond=0)
    body = {"student_id": student.id, "professional_id": professional.user_id, "scheduled_at": start.isoformat()}
    with TestClient(
        run[0]["fastapi"]["app"], client=("127.0.0.1", 50000), base_url=f"http://{organization.subdomain}.example.org"
    ) as client:
        headers = guardian | {"Idempotency-Key": "k"}
        first, again = (client.post("/appointments", json=body, headers=headers).json() for _ in range(2))
        assert (first["repeated"], again["repeated"], first["id"]) == (False, True, again["id"])
        assert entered(client.post("/sign-in", json=SIGN_IN), client) == [student.full_name]
        assert client.get("/students", headers=desk).json() == [student.full_name]
        assert client.get("/students", headers=guardian).status_code == 403
        assert client.get("/centre").json() == {"name": organization.name, "students": 1}


@pytest.mark.slow
def test_the_flask_example(run, centre):
    organization, student, _, guardian, desk = centre
    client, host = run[0]["flask"]["app"].test_client(), {"Host": f"{organization.subdomain}.example.org"}
    get, post = (
        partial(client.get, buffered=True),
        partial(client.post, buffered=True),
    )  # read and closed, as by a server
    assert get("/me", headers=host | guardian).json == {"name": "Ana Paz", "centre": organization.name}
    assert get("/students.csv", headers=host | desk).text == f"{student.full_name}\n"
    assert get("/students.csv", headers=host | guardian).status_code == 403
    assert [each["id"] for each in get("/students", headers=host | guardian).json] == [student.id]
    site = f"https://{organization.subdomain}.example.org"
    refused = post("/sign-in", json=SIGN_IN, base_url=site, headers={"Origin": "https://evil.test"})
    assert (refused.status_code, post("/sign-in", json={}, base_url=site).status_code) == (401, 422)
    assert post("/sign-in", json=SIGN_IN, base_url=site).status_code == 204
    assert get("/students.csv", base_url=site).text == f"{student.full_name}\n"


def test_the_django_example(run, centre):
    organization, student, *_ = centre

    def get(path):
        started = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "x",
            "SERVER_PORT": "80",
            "HTTP_HOST": f"{organization.subdomain}.example.org",
            "wsgi.input": io.BytesIO(),
            "wsgi.url_scheme": "http",
            "HTTP_ACCEPT_LANGUAGE": "es",
        }
        answer = run[0]["wsgi"]["application"](
            environ, lambda status, headers, *_: started.append((status, dict(headers)))
        )
        body = b"".join(answer)
        answer.close()
        return started[0], body.decode()

    assert get(f"/students/{student.id}")[1] == student.full_name
    (status, headers), body = get("/students/2000000000")
    assert (status[:3], headers["Content-Type"]) == ("404", "application/problem+json")
    assert json.loads(body)["title"] == "No se encontró"


def test_a_job_binds_for_itself(run, centre):
    organization, student, *_ = centre
    assert run[0]["celery"]["remind"](organization.id, student.id) == student.full_name


def test_what_is_printed_is_what_the_document_says(run):
    assert run[1] == "409 La sala está ocupada blue False\n"


def test_the_problem_that_is_shown_is_one(run):
    (shown,) = code_blocks(ROOT / "docs" / "web.md", "json")
    told = problems.problem(InsufficientCreditsError(required=2, available=1), "es")[1]
    assert json.loads(shown) == told | {"instance": "/appointments"}


@pytest.mark.exhaustive
def test_the_example_that_needs_no_server_says_what_the_others_are_told(tmp_path, monkeypatch, capsys):
    """The parts of it are tests of tests/demo."""
    (example,) = (block for block in code_blocks(ROOT / "docs" / "web.md", "python") if "demo.started" in block)
    monkeypatch.chdir(tmp_path)
    asked = []

    def at_the_prompt(_):
        said = dict(
            line[7:].split("=", 1) for line in capsys.readouterr().out.splitlines() if line.startswith("export")
        )
        with environment(**{name: value.strip("'") for name, value in said.items()}), Database.from_env() as database:
            with database.tenant("arrayanes"):
                asked.append((len(said["SECRET"]), Student.select().count() > 0))

    monkeypatch.setattr("builtins.input", at_the_prompt)
    exec(compile(example, "web.md", "exec"), {})
    assert asked == [(64, True)]
