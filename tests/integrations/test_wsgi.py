"""The WSGI middleware by itself: bound until the response is closed."""

import io
import json

import pytest

from rayces_core import Student, TenantNotSetError
from rayces_core.integrations.tenants import Resolver
from rayces_core.integrations.wsgi import TenantMiddleware
from tests.factory import make_student


def environ_of(path="/", method="GET", **headers):
    return {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "wsgi.input": io.BytesIO()} | headers


class Started:
    """A server's start_response, which notes what it was told."""

    def __call__(self, status, headers, exc_info=None):
        self.status, self.headers = status, dict(headers)


@pytest.fixture
def resolver(db):
    return Resolver(db, domain="example.org", header="X-Tenant", path_prefix="/t/")


def unbound(db):
    with pytest.raises(TenantNotSetError):
        _ = db.organization_id
    return True


def test_a_streamed_body_is_bound_until_it_is_closed(db, a, b, resolver):
    for tenant in (a, b):
        with db.tenant(tenant):
            made = make_student()
        closed = []

        def streams(environ, start_response, closed=closed):
            start_response("200 OK", [])
            try:
                for student in Student.select():
                    yield f"{student.id} {student.organization_id}".encode()
            finally:
                closed.append(db.organization_id)

        app = TenantMiddleware(streams, resolver=resolver)
        answer = app(environ_of(HTTP_HOST=f"{tenant.subdomain}.example.org:80"), Started())
        assert list(answer) == [f"{made.id} {tenant.id}".encode()]
        assert db.organization_id == tenant.id
        answer.close()
        assert (closed, unbound(db)) == ([tenant.id], True)
        answer.close()  # a server may do so twice


def test_a_client_that_leaves_early_and_a_body_that_fails_leave_nothing_bound(db, a, resolver):
    def streams(environ, start_response):
        yield b"first"
        raise LookupError("the host's own")

    app = TenantMiddleware(streams, resolver=resolver)
    left = app(environ_of(HTTP_X_TENANT=a.subdomain), Started())
    next(left)
    left.close()
    assert unbound(db)
    failing = app(environ_of(HTTP_X_TENANT=a.subdomain), Started())
    with pytest.raises(LookupError, match="own"):
        list(failing)
    failing.close()
    assert unbound(db)


def test_an_application_that_fails_leaves_nothing_bound(db, a, resolver):
    def fails(environ, start_response):
        raise LookupError(db.organization_id)

    with pytest.raises(LookupError, match=str(a.id)):
        TenantMiddleware(fails, resolver=resolver)(environ_of(HTTP_X_TENANT=a.subdomain), Started())
    assert unbound(db)


@pytest.mark.parametrize("answer", [None, 7])
def test_an_answer_that_is_no_body_leaves_nothing_bound(db, a, resolver, answer):
    app = TenantMiddleware(lambda environ, start: answer, resolver=resolver)
    with pytest.raises(TypeError) as caught:
        app(environ_of(HTTP_HOST=f"{a.subdomain}.example.org"), Started())
    assert unbound(db), caught  # while the error is at hand, as where a server logs it


def test_a_request_for_no_tenant_is_answered_with_a_problem(db, resolver):
    app = TenantMiddleware(lambda *_: pytest.fail("it was served"), resolver=resolver)
    for named in ({}, {"HTTP_X_TENANT": "no-such-centre"}, {"HTTP_HOST": "a.b.example.org", "HTTP_X_TENANT": "x"}):
        started = Started()
        (body,) = app(environ_of("/x", HTTP_ACCEPT_LANGUAGE="es", **named), started)
        assert (started.status, started.headers["Content-Type"]) == ("404 Not Found", "application/problem+json")
        assert json.loads(body)["title"] == "No hay ningún centro en esta dirección"
        assert app(environ_of("/x", "HEAD", **named), Started()) == []


def test_a_problem_names_the_path_as_it_was_asked_for(resolver):
    app = TenantMiddleware(lambda environ, start: [], resolver=resolver)
    for asked, told in (("/niños/日".encode(), "/niños/日"), (b"/\xff", "/\ufffd")):
        environ = environ_of(asked.decode("latin-1"))  # as PEP 3333 has it
        assert json.loads(app(environ, Started())[0])["instance"] == told


def test_exempt_paths_and_prefixes(db, a, resolver):
    seen = []

    def notes(environ, start_response):
        current = db.current_tenant
        seen.append((environ["SCRIPT_NAME"], environ["PATH_INFO"], current and current.id))
        return [b"ok"]

    app = TenantMiddleware(notes, resolver=resolver, exempt=("/healthz", "/static/*"))
    for path in ("/healthz", "/static/a.css", f"/t/{a.subdomain}/students", f"/t/{a.subdomain}"):
        answer = app(environ_of(path), Started())
        assert list(answer) == [b"ok"]
        if hasattr(answer, "close"):
            answer.close()
    prefix = f"/t/{a.subdomain}"
    expected = [("", "/healthz", None), ("", "/static/a.css", None), (prefix, "/students", a.id), (prefix, "", a.id)]
    assert seen == expected


def test_an_application_within_another_is_within_its_tenant_already(db, a, resolver):
    def notes(environ, start_response):
        return [str(db.organization_id).encode()]

    inner = TenantMiddleware(notes, resolver=Resolver(db, domain="other.test"))
    answer = TenantMiddleware(inner, resolver=resolver)(environ_of(HTTP_X_TENANT=a.subdomain), Started())
    assert list(answer) == [str(a.id).encode()]
    answer.close()
