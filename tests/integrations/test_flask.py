"""Flask: the tenant until the response is closed, who has signed in, and problems."""

import pytest
from flask import Flask, Response, request
from pydantic import BaseModel
from werkzeug.middleware.proxy_fix import ProxyFix

from rayces_core import Database, Role, Student, TenantNotSetError, User
from rayces_core.errors import ConfigurationError
from rayces_core.integrations.flask import Rayces
from rayces_core.integrations.pages import Page, keyset
from rayces_core.integrations.schemas import schema_of
from tests.factory import make_organization, make_student, make_user
from tests.integrations import flask_application


class Site:
    def __init__(self, db):
        self.db, self.app = db, flask_application.make(db)
        self.rayces = self.app.extensions["rayces"]
        self.north, self.south = make_organization(db), make_organization(db)
        for number, tenant in enumerate((self.north, self.south), start=1):
            with db.tenant(tenant):
                for _ in range(number):
                    make_student()

    def get(self, tenant, path, method="GET", **headers):
        named = {"Host": f"{tenant.subdomain}.example.test"} | {key.replace("_", "-"): v for key, v in headers.items()}
        return self.app.test_client().open(path, method=method, headers=named, buffered=True)

    def user(self, tenant, **columns):
        with self.db.tenant(tenant):
            user = make_user(**columns)
            return user, "Bearer " + self.rayces.tokens.issue(user)


@pytest.fixture(scope="module")
def site(db):
    with Database.connect(db.url, max_connections=4, pool_timeout=5) as database:
        yield Site(database)


def test_views_and_streamed_bodies_see_their_own_tenant(site):
    for tenant, students in ((site.north, 1), (site.south, 2)):
        seen = site.get(tenant, "/sync").json
        assert (seen["tenant"], seen["students"], seen["named"]) == (tenant.id, students, tenant.subdomain)
        assert site.get(tenant, "/stream").text == f"{tenant.id}\n" * students
        assert site.get(tenant, "/stream-with-context").text == f"{tenant.id} /stream-with-context\n" * students
        assert site.get(tenant, "/stream", "HEAD").text == ""
    with pytest.raises(TenantNotSetError):
        _ = site.db.organization_id


def test_the_host_goes_before_the_header_and_what_proxies_add_is_not_read(site):
    spoofed = {"X_Tenant": site.south.subdomain, "X_Forwarded_Host": f"{site.south.subdomain}.example.test"}
    assert site.get(site.north, "/sync", **spoofed).json["tenant"] == site.north.id
    assert site.get(site.north, "/sync", **spoofed | {"Host": "localhost"}).json["tenant"] == site.south.id
    assert site.get(site.north, "/sync", **spoofed | {"Host": "no-such.example.test"}).status_code == 404


def test_health_needs_no_tenant(site):
    client = site.app.test_client()
    assert client.get("/healthz").json == client.get("/readyz").json == {"status": "ok"}
    away = flask_application.make(Database.connect("postgresql://nobody@127.0.0.1:1/nowhere")).test_client()
    assert (away.get("/readyz").status_code, away.get("/readyz").headers["Retry-After"]) == (503, "1")
    assert away.get("/sync", headers={"X-Tenant": "north"}).json["code"] == "unavailable"


def test_the_current_user_costs_one_query_and_claims_none(site):
    user, token = site.user(site.north)
    site.get(site.north, "/me", Authorization=token)
    ran = []
    site.db.on_query(lambda query: ran.append((query.operation, query.table)))
    try:
        answer = site.get(site.north, "/me", Authorization=token, Idempotency_Key="7")
        assert answer.json == {"id": user.id, "again": user.id, "key": f"{user.id}:7"}
        assert ran == [("select", "users")]
        assert site.get(site.north, "/claims", Authorization=token).json == {"id": user.id}
        assert ran == [("select", "users")]
    finally:
        site.db.engine.observers.clear()


def test_requests_within_one_application_context_are_each_their_own_users(site):
    users = [site.user(site.north), site.user(site.north)]
    with site.app.app_context():
        for user, token in users:
            assert site.get(site.north, "/me", Authorization=token).json["id"] == user.id
        assert site.get(site.north, "/me").status_code == 401


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_browser_keeps_the_token_out_of_reach_of_scripts_and_forgets_it(site, scheme):
    app = Flask("pages")
    rayces = Rayces(site.db, domain="example.test", secret=flask_application.SECRET, cookie="session")
    rayces.install(app)

    @app.post("/enter")
    def enter():
        rayces.set_cookie(response := Response(), "token")
        return response

    @app.post("/leave")
    def leave():
        rayces.clear_cookie(response := Response())
        return response

    client, host = app.test_client(), f"{site.north.subdomain}.example.test"
    said = client.post("/enter", base_url=f"{scheme}://{host}").headers["Set-Cookie"].lower()
    assert "max-age" not in said  # of what is no token
    assert {"httponly", "samesite=lax"} <= set(said.split("; "))
    assert "domain=" not in said
    assert ("secure" in said) == (scheme == "https")
    assert client.get_cookie("session", host).value == "token"
    client.post("/leave", base_url=f"{scheme}://{host}")
    assert client.get_cookie("session", host) is None


def test_a_cookie_lasts_as_long_as_its_token_and_a_trusted_proxy_says_what_was_spoken(site):
    app = Flask("pages")
    rayces = Rayces(site.db, domain="example.test", secret=flask_application.SECRET, cookie="session")
    rayces.install(app)
    with site.db.tenant(site.north):
        token = rayces.tokens.issue(make_user(), "a phone")

    @app.post("/enter")
    def enter():
        rayces.check_own_page()
        rayces.set_cookie(response := Response(request.remote_addr), token)
        return response

    host = f"{site.north.subdomain}.example.test"
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "Origin": f"https://{host}"}

    def enter_by(origin):
        return app.test_client().post("/enter", base_url=f"http://{host}", headers=said | {"Origin": origin})

    plain = enter_by(f"http://{host}")
    assert (plain.status_code, plain.text, "Secure" in plain.headers["Set-Cookie"]) == (200, "127.0.0.1", False)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
    behind = enter_by(f"https://{host}")
    cookie = behind.headers["Set-Cookie"].split("; ")
    assert (behind.text, "Secure" in cookie) == ("203.0.113.7", True)
    (age,) = (int(part[8:]) for part in cookie if part.startswith("Max-Age="))
    assert 30 * 86_400 - 10 <= age <= 30 * 86_400
    assert enter_by(f"http://{host}").status_code == 401


def test_a_body_and_a_query_are_read_by_a_schema_and_rows_answered_by_one(site):
    class Wanted(BaseModel):
        number: int
        names: list[str] = []

    app = Flask("schemas")
    rayces = Rayces(site.db, domain="example.test")
    rayces.install(app)
    people = schema_of(Student, include={"id", "first_name"})
    app.add_url_rule("/body", "body", lambda: rayces.answer(Wanted, rayces.body(Wanted)), methods=["POST"])
    app.add_url_rule("/query", "query", lambda: rayces.answer(Wanted, rayces.query(Wanted)))
    app.add_url_rule("/rows", "rows", lambda: rayces.answer(list[people], list(Student.select())))
    app.add_url_rule("/pages", "pages", lambda: rayces.answer(Page[people], keyset(Student.select(), limit=1)))

    def ask(path, method="GET", **options):
        host = f"http://{site.south.subdomain}.example.test"
        return app.test_client().open(path, method=method, base_url=host, buffered=True, **options)

    assert ask("/body", "POST", json={"number": 7}).json == {"number": 7, "names": []}
    assert ask("/query?number=7").json == {"number": 7, "names": []}
    for path, options, where, pointer in (
        ("/body", {"method": "POST", "json": {"number": "x"}}, "body", "/number"),
        ("/body", {"method": "POST", "json": {"number": 1, "names": [1]}}, "body", "/names/0"),
        ("/body", {"method": "POST", "data": b"null", "content_type": "application/json"}, "body", ""),
        ("/query", {}, "query", "/number"),
    ):
        answer = ask(path, headers={"Accept-Language": "es"}, **options)
        assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
        assert (answer.json["code"], answer.json["instance"]) == ("invalid_request", path)
        assert answer.json["title"] == "La solicitud no es como tiene que ser"
        assert [(fault["in"], fault["pointer"]) for fault in answer.json["errors"]] == [(where, pointer)]
    assert ask("/body", "POST", data=b"{").json["code"] == "media_type"
    assert ask("/body", "POST", data=b"{", content_type="application/json").json["code"] == "bad_request"
    assert len(ask("/rows").json) == 2
    assert set(ask("/rows").json[0]) == {"id", "first_name"}
    page = ask("/pages").json
    assert (len(page["items"]), page["next"] is None) == (1, False)


def test_a_cookie_needs_a_name(site):
    with pytest.raises(ConfigurationError), site.app.test_request_context():
        site.rayces.set_cookie(Response(), "token")


def test_nobody_another_tenants_user_and_a_revoked_token_are_not_signed_in(site):
    user, token = site.user(site.north)
    _, foreign = site.user(site.south)
    for sent in ({}, {"Authorization": foreign}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
        for path in ("/me", "/claims", "/desk"):
            answer = site.get(site.north, path, **sent)
            assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    with site.db.tenant(site.north):
        User.update(jti="another").where(User.id == user.id).execute()
    assert site.get(site.north, "/me", Authorization=token).status_code == 401


def test_a_view_for_staff_is_for_admins_too(site):
    statuses = [
        site.get(site.north, "/desk", Authorization=site.user(site.north, role=role)[1]).status_code for role in Role
    ]
    assert statuses == [403, 403, 200, 200]
    with pytest.raises(ConfigurationError):
        site.rayces.requires()


def test_whatever_is_wrong_is_a_problem(site, caplog):
    gone, nowhere = (site.get(site.north, path) for path in ("/students/2000000000", "/no-such-route"))
    for answer in (gone, nowhere):
        assert answer.content_type == "application/problem+json"
    assert {**gone.json, "instance": ""} == {**nowhere.json, "instance": ""}
    method = site.get(site.north, "/json", Accept_Language="es")
    assert (method.status_code, method.json["code"]) == (405, "method_not_allowed")
    assert method.json["title"] == "Ese método no está permitido acá"
    assert "POST" in method.headers["Allow"]
    assert site.get(site.north, "/no-such-route", "HEAD").text == ""
    closed = site.get(site.north, "/closed")
    assert (closed.status_code, closed.json["detail"]) == (409, "closed on Sundays")
    assert site.get(site.north, "/json", "POST").json["code"] == "media_type"
    assert "hunter2" not in caplog.text
    fault = site.get(site.north, "/fault")
    assert (fault.status_code, fault.json["code"]) == (500, "internal_error")
    assert "hunter2" not in fault.text
    assert "hunter2" in caplog.text
    key = site.get(site.north, "/me", Authorization=site.user(site.north)[1], Idempotency_Key="x" * 201)
    assert (key.status_code, key.json["field"]) == (422, "Idempotency-Key")
