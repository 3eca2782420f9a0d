"""The examples of docs/web.md are run as they stand."""

import contextlib
import io
import json
import sys
from datetime import timedelta
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from rayces_core import Database, Role, Student, clock
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.test_docs import ROOT, code_blocks

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@pytest.fixture(scope="module")
def run(db):
    """What the examples define, and what they printed; Django is set up before, as its `settings` would be."""
    django = pytest.importorskip("django")
    from django.conf import settings

    urls = ModuleType("rayces_docs_urls")
    names, said = {"__name__": "rayces_docs"}, io.StringIO()
    settings.configure(
        ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=["rayces_docs.Problems"], DATABASES={}
    )
    sys.modules["rayces_docs"] = module = ModuleType("rayces_docs")
    with Database.connect(db.url, max_connections=4) as database, contextlib.redirect_stdout(said):
        from django.urls import path

        urls.urlpatterns = [path("students/<int:number>", lambda request, number: gone(number))]
        names |= {"db": database}
        for number, block in enumerate(code_blocks(ROOT / "docs" / "web.md", "python")):
            if "get_wsgi_application" in block:  # Django looks its middleware up by name when it is made
                head, made = block.split("application = ")
                exec(compile(head, "web.md", "exec"), names)
                vars(module).update(names)
                block = f"application = {made}"
            own = dict(names) if "flask_app" in block else names  # another application, with a `rayces` of its own
            exec(compile(block, f"web.md, example {number + 1}", "exec"), own)
            names |= {"flask_app": own["flask_app"]} if own is not names else {}
        yield names, said.getvalue()
    assert django


def gone(number):
    from django.http import HttpResponse

    return HttpResponse(Student.get_by_id(number).full_name)


@pytest.fixture(autouse=True, scope="module")
def secret():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET", "s" * 32)
        yield


@pytest.fixture(scope="module")
def centre(run, db):
    organization = make_organization(db)
    tokens = run[0]["rayces"].tokens
    with db.tenant(organization):
        guardian, desk = make_user(), make_user(role=Role.STAFF)
        student = make_student(primary_contact=guardian)
        everyday = {day: [{"start": "00:00", "end": "24:00"}] for day in DAYS}
        professional = make_professional(weekly_schedule=everyday)
        signed = [{"Authorization": "Bearer " + tokens.issue(user)} for user in (guardian, desk)]
    return organization, student, professional, *signed


def test_the_fastapi_example_books_once_for_a_key(run, centre):
    organization, student, professional, guardian, desk = centre
    start = (clock.now() + timedelta(days=30)).replace(hour=12, minute=0, second=0, microsecond=0)
    body = {"student_id": student.id, "professional_id": professional.user_id, "scheduled_at": start.isoformat()}
    with TestClient(run[0]["app"], base_url=f"http://{organization.subdomain}.example.org") as client:
        headers = guardian | {"Idempotency-Key": "k"}
        first, again = (client.post("/appointments", json=body, headers=headers).json() for _ in range(2))
        assert (first["repeated"], again["repeated"], first["id"]) == (False, True, again["id"])
        assert client.get("/students", headers=desk).json() == [student.full_name]
        assert client.get("/students", headers=guardian).status_code == 403
        assert client.get("/centre").json() == {"name": organization.name, "students": 1}


def test_the_flask_example(run, centre):
    organization, student, _, guardian, desk = centre
    client, host = run[0]["flask_app"].test_client(), {"Host": f"{organization.subdomain}.example.org"}
    assert client.get("/me", headers=host | guardian).json == {"name": "Ana Paz", "centre": organization.name}
    assert client.get("/students.csv", headers=host | desk).text == f"{student.full_name}\n"
    assert client.get("/students.csv", headers=host | guardian).status_code == 403


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
        answer = run[0]["application"](environ, lambda status, headers, *_: started.append((status, dict(headers))))
        body = b"".join(answer)
        answer.close()
        return started[0], body.decode()

    assert get(f"/students/{student.id}")[1] == student.full_name
    (status, headers), body = get("/students/2000000000")
    assert (status[:3], headers["Content-Type"]) == ("404", "application/problem+json")
    assert json.loads(body)["title"] == "No se encontró"


def test_a_job_binds_for_itself(run, centre):
    organization, student, *_ = centre
    assert run[0]["remind"](organization.id, student.id) == student.full_name


def test_what_is_printed_is_what_the_document_says(run):
    assert run[1] == "409 La sala está ocupada blue False\n"


def test_the_problem_that_is_shown_is_one(run):
    (shown,) = code_blocks(ROOT / "docs" / "web.md", "json")
    from rayces_core import InsufficientCreditsError

    told = run[0]["problems"].problem(InsufficientCreditsError(required=2, available=1), "es")[1]
    assert json.loads(shown) == told | {"instance": "/appointments"}
