"""FastAPI: every kind of endpoint under its tenant, who has signed in, problems, and how it runs."""

import asyncio
import json
import logging
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio.to_thread
import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rayces_core import Database, EventLoopError, Role, Student, TenantSwitchError, User, clock
from rayces_core.errors import ConfigurationError, UnauthenticatedError
from rayces_core.integrations.fastapi import Rayces
from rayces_core.integrations.host import is_own_page
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.integrations import application
from tests.patience import soon


class Site:
    """The application over two tenants, with a client for each."""

    def __init__(self, db):
        self.db, self.app = db, application.make(db)
        self.rayces = self.app.state.rayces
        self.north, self.south = make_organization(db), make_organization(db)
        for number, tenant in enumerate((self.north, self.south), start=1):
            with db.tenant(tenant):
                for _ in range(number):
                    make_student()

    def client(self, tenant, **headers):
        base = f"http://{tenant.subdomain}.example.test"
        return TestClient(self.app, base_url=base, headers=headers, raise_server_exceptions=False)

    def signed_in(self, user):
        with self.db.tenant(user.organization_id):
            return {"Authorization": "Bearer " + self.rayces.tokens.issue(user)}


@pytest.fixture(scope="module")
def site(db):
    with Database.connect(db.url, max_connections=4, pool_timeout=5) as database:
        site = Site(database)
        with site.client(site.north):
            yield site


@pytest.fixture
def north(site):
    return site.client(site.north)


def user_of(site, tenant, **columns):
    with site.db.tenant(tenant):
        return make_user(**columns)


# -- the tenant -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_kind_of_endpoint_sees_its_own_tenant(site):
    for tenant, least in ((site.north, 1), (site.south, 2)):
        with site.db.tenant(tenant):
            students = Student.select().count()
        assert students >= least
        client, seen = site.client(tenant), {"tenant": tenant.id, "students": students}
        named = seen | {"named": tenant.subdomain}
        assert client.get("/sync").json() == named
        assert client.get("/async").json() == named
        assert client.get("/atomic").json() == seen
        assert client.get("/many").json() == [seen] * 3
        assert client.get("/stream").text == client.get("/astream").text == f"{tenant.id}\n" * students
        site.app.state.noted.clear()
        assert client.get("/background").json() == seen
        assert site.app.state.noted == [seen, seen]
        with client.websocket_connect("/ws", headers={"x-tenant": tenant.subdomain}) as socket:
            assert socket.receive_json() == named


def test_subdomains_go_before_headers_and_what_proxies_add_is_not_read(site, north):
    spoofed = {"x-tenant": site.south.subdomain, "x-forwarded-host": f"{site.south.subdomain}.example.test"}
    assert north.get("/sync", headers=spoofed).json()["tenant"] == site.north.id
    assert north.get("/sync", headers={"host": "localhost"} | spoofed).json()["tenant"] == site.south.id
    assert north.get("/sync", headers={"host": "no-such.example.test"} | spoofed).status_code == 404


def test_the_health_and_the_description_need_no_tenant(site):
    client = TestClient(site.app, base_url="http://10.0.0.7")
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    assert client.get("/openapi.json").status_code == client.get("/docs").status_code == 200
    assert client.get("/sync").status_code == 404


def test_a_plain_def_dependency_with_yield_fails_and_says_what_to_do(db, a):
    def bind():
        with db.tenant(a):
            yield

    async def binds():
        with db.tenant(a):
            yield

    app = FastAPI()
    app.add_api_route("/sync", lambda: db.organization_id, dependencies=[Depends(bind)])
    app.add_api_route("/async", lambda: db.organization_id, dependencies=[Depends(binds)])
    with TestClient(app) as client:
        with db.tenant(a):  # looked up outside of the loop, as a middleware does it
            pass
        assert client.get("/async").json() == a.id
        with pytest.raises(TenantSwitchError, match="async def"):
            client.get("/sync")


def test_a_generator_that_binds_for_itself_breaks_off_and_leaves_nothing_bound(site):
    client = TestClient(site.app, base_url=f"http://{site.south.subdomain}.example.test")
    with pytest.raises(RuntimeError, match="already started") as broken:
        client.get("/stream-own")
    assert isinstance(broken.value.__cause__, TenantSwitchError)
    assert client.get("/sync").json()["tenant"] == site.south.id
    assert site.db.pool_status().in_use == 0


def test_an_exempt_path_has_no_tenant_and_says_so(site, caplog):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, exempt=["/about", "/open/*"])
    rayces.install(app)

    @app.get("/about")
    async def about(tenant: rayces.Tenant):
        return {}

    @app.get("/open/{page}")
    def page(page: str):
        return {"bound": site.db.current_tenant is not None}

    client = TestClient(app, base_url=f"http://{site.north.subdomain}.example.test", raise_server_exceptions=False)
    assert client.get("/about").json()["code"] == "internal_error"
    assert "is exempt from tenants" in caplog.text
    assert client.get("/open/a").json() == {"bound": False}


def test_mounted_applications_are_within_the_tenant_and_answer_with_problems_as_well(site):
    inner, flask = FastAPI(), pytest.importorskip("flask").Flask("mounted")
    site.rayces.install(inner, health=False)
    inner.add_api_route("/who", lambda: {"tenant": site.db.organization_id})
    inner.add_api_route("/gone", lambda: Student.get_by_id(1))
    flask.add_url_rule("/who", "who", lambda: {"tenant": site.db.organization_id})
    outer = FastAPI()
    site.rayces.install(outer)
    outer.mount("/inner", inner)
    outer.mount("/flask", pytest.importorskip("a2wsgi").WSGIMiddleware(flask))
    client = TestClient(outer, base_url=f"http://{site.south.subdomain}.example.test")
    assert client.get("/inner/who").json() == client.get("/flask/who").json() == {"tenant": site.south.id}
    answer = client.get("/inner/gone")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.slow
def test_a_path_or_a_token_may_name_the_tenant(site):
    user = user_of(site, site.south)
    app = FastAPI()
    rayces = Rayces(site.db, path_prefix="/t/", tenant_from_token=True, secret=application.SECRET)
    rayces.install(app)
    app.add_api_route("/who", lambda me: {"id": me.id, "tenant": site.db.organization_id}, dependencies=[])
    app.router.routes.pop()

    @app.get("/who")
    def who(me: rayces.CurrentUser):
        return {"id": me.id, "tenant": site.db.organization_id}

    client, token = TestClient(app), site.signed_in(user)
    expected = {"id": user.id, "tenant": site.south.id}
    assert client.get("/who", headers=token).json() == expected
    assert client.get(f"/t/{site.south.subdomain}/who", headers=token).json() == expected
    assert client.get(f"/t/{site.north.subdomain}/who", headers=token).status_code == 401
    assert client.get("/who").status_code == 404
    forged = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJhdWQiOiIxIn0."}
    assert client.get("/who", headers=forged).status_code in (401, 404)


# -- who has signed in ------------------------------------------------------------------------------------------------


def test_the_current_user_costs_one_query_and_claims_none(site, north):
    user = user_of(site, site.north)
    headers, ran = site.signed_in(user), []
    north.get("/me", headers=headers)
    site.db.on_query(lambda query: ran.append((query.operation, query.table)))
    try:
        for path, queries in (("/me", 1), ("/ame", 1), ("/claims", 0), ("/plain", 0)):
            ran.clear()
            answer = north.get(path, headers=headers)
            assert (answer.status_code, answer.json() or {"id": user.id}) == (200, {"id": user.id})
            assert ran == [("select", "users")] * queries, path
    finally:
        site.db.engine.observers.clear()


@pytest.mark.slow
def test_nobody_another_tenants_user_and_a_revoked_token_are_not_signed_in(site, north):
    user, other = user_of(site, site.north), user_of(site, site.south)
    token = site.signed_in(user)
    for headers in (
        {},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiI2In0."},
        site.signed_in(other),
    ):
        for path in ("/me", "/ame", "/claims", "/desk"):
            answer = north.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
    with site.db.tenant(site.north):
        User.update(jti="another").where(User.id == user.id).execute()
    assert north.get("/me", headers=token).status_code == 401
    assert north.get("/claims", headers=token).status_code == 200


def test_an_endpoint_for_staff_is_for_admins_too_and_for_nobody_else(site, north):
    statuses = {
        role: [
            north.get(path, headers=site.signed_in(user_of(site, site.north, role=role))).status_code
            for path in ("/desk", "/team")
        ]
        for role in Role
    }
    assert statuses == {
        Role.GUARDIAN: [403, 403],
        Role.PROFESSIONAL: [403, 200],
        Role.STAFF: [200, 200],
        Role.ADMIN: [200, 200],
    }
    with pytest.raises(ConfigurationError):
        site.rayces.requires("staff")
    with pytest.raises(ConfigurationError):
        site.rayces.requires()


def test_web_sockets_know_who_has_signed_in(site, north):
    user = user_of(site, site.north)
    headers = site.signed_in(user) | {"x-tenant": site.north.subdomain}
    with north.websocket_connect("/ws/me", headers=headers) as socket:
        assert socket.receive_json() == {"id": user.id}
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        north.websocket_connect("/ws/me", headers={"x-tenant": site.north.subdomain}),
    ):
        pass
    assert closed.value.code == 1008


def test_a_cookie_brings_the_token_where_the_host_says_so_and_the_header_goes_before_it(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)

    @app.get("/me")
    def me(me: rayces.CurrentUser):
        return {"id": me.id}

    user, other = user_of(site, site.north), user_of(site, site.north)
    base = f"http://{site.north.subdomain}.example.test"
    client = TestClient(app, base_url=base, cookies={"session": site.signed_in(user)["Authorization"][7:]})
    assert client.get("/me").json() == {"id": user.id}
    assert client.get("/me", headers=site.signed_in(other)).json() == {"id": other.id}


@pytest.mark.slow
def test_a_cookie_that_another_sites_page_sends_along_changes_nothing(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)
    app.add_api_route("/me", lambda: None, methods=["GET", "POST"], dependencies=[rayces.current_user])

    user = user_of(site, site.north)
    base, token = f"http://{site.north.subdomain}.example.test", site.signed_in(user)["Authorization"][7:]
    client = TestClient(app, base_url=base, cookies={"session": token})
    for other in (
        "https://evil.test",
        f"http://{site.south.subdomain}.example.test",
        base + ":81",
        "null",
        "",
        "http://[",
        "http://[::g]",
    ):
        assert client.post("/me", headers={"Origin": other}).status_code == 401
        assert client.get("/me", headers={"Origin": other}).status_code == 200
        assert client.post("/me", headers={"Origin": other} | site.signed_in(user)).status_code == 200
    assert client.post("/me", headers={"Origin": base}).status_code == 200
    assert client.post("/me").status_code == 200


def test_a_browser_keeps_the_token_out_of_reach_of_scripts(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)

    @app.post("/enter")
    def enter(request: Request, response: Response) -> None:
        rayces.set_cookie(request, response, "token")

    for scheme in ("http", "https"):
        client = TestClient(app, base_url=f"{scheme}://{site.north.subdomain}.example.test")
        said = client.post("/enter").headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax"} <= set(said.split("; "))
        assert "domain=" not in said
        assert ("secure" in said) == (scheme == "https")


def test_a_form_of_another_sites_page_signs_nobody_in(site):
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET)
    asked = partial(request_by, "https")
    for headers in ({}, {"host": "n.test"}, {"host": "n.test", "origin": "https://n.test"}):
        rayces.check_own_page(asked(**headers))
    for origin in ("https://evil.test", "https://south.example.test", "null", "", "http://["):
        with pytest.raises(UnauthenticatedError):
            rayces.check_own_page(asked(host="north.example.test", origin=origin))


def request_by(scheme, **headers):
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "scheme": scheme, "path": "/", "headers": fields})


@pytest.mark.parametrize(
    "scheme, host, origin, is_own",
    [
        ("https", "n.test", "https://n.test", True),
        ("https", "N.test:443", "https://n.test", True),
        ("https", "n.test:8443", "https://n.test:8443", True),
        ("https", "n.test", "http://n.test", False),
        ("https", "n.test", "http://n.test:443", False),
        ("https", "n.test", "https://n.test:8443", False),
        ("http", "n.test:80", "http://n.test", True),
        ("http", "n.test:8000", "http://n.test:8000", True),
        ("http", "n.test:8000", "http://n.test", False),
        ("http", "n.test", "https://n.test", True),  # a proxy may have spoken https
        ("http", "n.test", "https://n.test:444", False),
        ("http", "", "null", False),
        ("https", "n.test:x", "https://n.test", False),
        ("wss", "n.test", "https://n.test", True),
        ("wss", "n.test", "http://n.test", False),
        ("ws", "n.test:8000", "http://n.test:8000", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(scheme, host, origin, is_own):
    assert is_own_page({"host": host, "origin": origin}, scheme) is is_own


def test_what_a_trusted_proxy_says_of_the_scheme_is_believed(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)

    @app.post("/enter")
    def enter(request: Request, response: Response) -> dict:
        rayces.check_own_page(request)
        rayces.set_cookie(request, response, "token")
        return {"client": request.client.host}

    host = f"{site.north.subdomain}.example.test"
    said = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7", "origin": f"https://{host}"}
    for trusted, secure, client_host in (("10.0.0.1", True, "203.0.113.7"), ("10.0.0.2", False, "10.0.0.1")):
        served = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # uvicorn's --forwarded-allow-ips
        client = TestClient(served, base_url=f"http://{host}", client=("10.0.0.1", 50000))
        answer = client.post("/enter", headers=said)
        assert ("secure" in answer.headers["set-cookie"].lower(), answer.json()["client"]) == (secure, client_host)
        unsafe = client.post("/enter", headers=said | {"origin": f"http://{host}"})
        assert unsafe.status_code == (401 if secure else 200)


def test_a_cookie_lasts_as_long_as_its_token(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)
    with site.db.tenant(site.north):
        user = make_user()
        tokens = {"short": rayces.tokens.issue(user), "device": rayces.tokens.issue(user, "a phone"), "none": "token"}

    @app.post("/enter")
    def enter(request: Request, response: Response, which: str) -> None:
        rayces.set_cookie(request, response, tokens[which])

    client = TestClient(app, base_url=f"http://{site.north.subdomain}.example.test")
    ages = {}
    for which in tokens:
        said = dict(
            part.partition("=")[::2] for part in client.post(f"/enter?which={which}").headers["set-cookie"].split("; ")
        )
        ages[which] = said.get("Max-Age")
    assert 3590 <= int(ages["short"]) <= 3600
    assert 30 * 86_400 - 10 <= int(ages["device"]) <= 30 * 86_400
    assert ages["none"] is None
    with clock.frozen(clock.now() + timedelta(hours=2)):
        assert rayces.seconds_left(tokens["short"]) == 0


def test_a_browser_forgets_the_token(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, cookie="session")
    rayces.install(app)

    @app.post("/enter")
    def enter(request: Request, response: Response) -> None:
        rayces.set_cookie(request, response, "token")

    @app.post("/leave")
    def leave(request: Request, response: Response) -> None:
        rayces.clear_cookie(request, response)

    client = TestClient(app, base_url=f"https://{site.north.subdomain}.example.test")
    client.post("/enter")
    assert client.cookies.get("session") == "token"
    client.post("/leave")
    assert "session" not in client.cookies


def test_where_a_body_does_not_fit_is_a_json_pointer_whatever_its_fields_are_called(site):
    app = FastAPI()
    Rayces(site.db, header="X-Tenant").install(app)

    @app.post("/counts")
    def counts(data: dict[str, int]) -> None: ...

    client = TestClient(app, headers={"x-tenant": site.north.subdomain, "content-type": "application/json"})
    for name, pointed in (("a/b~c", "/a~1b~0c"), ("ñ", "/ñ")):
        answer = client.post("/counts", content=f'{{"{name}": "x"}}'.encode())
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointed)


def test_without_a_secret_nobody_signs_in_and_the_fault_is_the_servers(site, caplog):
    app = FastAPI()
    rayces = Rayces(site.db, header="X-Tenant")
    rayces.install(app)
    app.add_api_route("/me", lambda: None, dependencies=[rayces.requires(Role.STAFF)])
    client = TestClient(app, headers={"x-tenant": site.north.subdomain} | site.signed_in(user_of(site, site.north)))
    assert client.get("/me").status_code == 500
    assert "secret=os.environ" in caplog.text
    with pytest.raises(ConfigurationError):
        Rayces(site.db)
    with pytest.raises(ConfigurationError):
        Rayces(site.db, header="X-Tenant", language="fr")


# -- booking ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wish(site):
    """Two guardians of the north, a student of each, and a professional."""
    with site.db.tenant(site.north):
        guardians = [make_user(), make_user()]
        students = [make_student(primary_contact=guardian) for guardian in guardians]
        everyday = {day: [{"start": "00:00", "end": "24:00"}] for day in DAYS}
        professional = make_professional(weekly_schedule=everyday)
    return guardians, students, professional


# What every problem has; the rest are facts.
PLAIN = {"type", "title", "status", "code", "instance"}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def body_of(student, professional, days, hours=12):
    start = (clock.now() + timedelta(days=days)).replace(hour=hours, minute=0, second=0, microsecond=0)
    return {"student_id": student.id, "professional_id": professional.user_id, "scheduled_at": start.isoformat()}


@pytest.mark.slow
def test_a_key_is_the_users_own_and_a_request_that_comes_again_books_nothing_new(site, north, wish):
    guardians, students, professional = wish
    booked = []
    for day, (guardian, student) in enumerate(zip(guardians, students, strict=True), start=20):
        headers = site.signed_in(guardian) | {"Idempotency-Key": "1"}
        body = body_of(student, professional, day)
        first, again = (north.post("/appointments", json=body, headers=headers) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201), first.text
        assert first.json() == again.json()
        assert first.json()["idempotency_key"] == f"{guardian.id}:1"
        booked.append(first.json()["id"])
        other = north.post("/appointments", json=body_of(student, professional, day, 15), headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
        assert set(other.json()) == PLAIN
    assert len(set(booked)) == 2
    for key in (" ", "x" * 201, "ñ".encode()):
        headers = site.signed_in(guardians[0]) | {"Idempotency-Key": key}
        refused = north.post("/appointments", json=body_of(students[0], professional, 30), headers=headers)
        assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")


def test_a_refused_booking_tells_what_the_client_may_know_and_no_id_of_others(site, north, wish):
    guardians, students, professional = wish
    body = body_of(students[0], professional, 40)
    assert north.post("/appointments", json=body, headers=site.signed_in(guardians[0])).status_code == 201
    taken = north.post(
        "/appointments", json=body | {"student_id": students[1].id}, headers=site.signed_in(guardians[1])
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "slot_taken")
    assert set(taken.json()) == PLAIN | {"fields"}
    assert taken.json()["fields"] == ["professional_id", "scheduled_at"]
    foreign = north.post("/appointments", json=body, headers=site.signed_in(guardians[1]) | {"Accept-Language": "es"})
    assert (foreign.status_code, foreign.json()["title"]) == (403, "No tenés permiso para hacer eso")
    assert set(foreign.json()) == PLAIN
    past = north.post(
        "/appointments", json=body_of(students[0], professional, -3), headers=site.signed_in(guardians[0])
    )
    assert (past.status_code, past.json()["code"], "earliest" in past.json()) == (422, "too_soon", True)


# -- problems ---------------------------------------------------------------------------------------------------------


def test_what_is_not_there_looks_the_same_whyever_it_is_not(north):
    bodies = [north.get(path).json() for path in ("/students/2000000000", "/foreign", "/no-such-route")]
    for body in bodies:
        body.pop("instance")
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "not_found"


def test_a_method_that_is_not_allowed_is_told_all_that_are(own_pool):
    app, router = FastAPI(), APIRouter(prefix="/in")
    rayces = Rayces(own_pool, header="X-Tenant", exempt=("/things/*", "/in/*", "/files/*"))
    for routes, path in ((app, "/things/{number}"), (router, "/{number}")):
        routes.get(path)(lambda number: number)
        routes.put(path)(lambda number: number)
        routes.delete(f"{path}/part")(lambda number: number)
    app.include_router(router)
    app.mount("/files", StaticFiles(directory=Path(__file__).parent))
    rayces.install(app)
    client = TestClient(app)
    told = [client.post(path) for path in ("/things/1", "/in/1", "/in/1/part")]
    assert [(answer.status_code, answer.headers["allow"]) for answer in told] == [
        (405, "GET, PUT"),
        (405, "GET, PUT"),
        (405, "DELETE"),
    ]
    assert client.post("/files/x").json()["code"] == "method_not_allowed"


def test_methods_and_requests_that_do_not_fit_are_problems(north):
    wrong = north.delete("/sync")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "GET")
    assert north.head("/sync").status_code == 405
    invalid = north.get("/students/x", headers={"Accept-Language": "es"})
    assert invalid.headers["content-type"] == "application/problem+json"
    told = invalid.json()
    assert (invalid.status_code, told["code"], told["title"]) == (
        422,
        "invalid_request",
        "La solicitud no es como tiene que ser",
    )
    (fault,) = told["errors"]
    assert (fault["in"], fault["pointer"], fault["code"]) == ("path", "/number", "int_parsing")
    own = north.get("/closed")
    assert (own.status_code, own.json()["detail"], own.headers["x-own"]) == (409, "closed on Sundays", "1")


def test_a_body_that_is_no_json_is_a_problem(site, north):
    headers = site.signed_in(user_of(site, site.north)) | {"Content-Type": "application/json"}
    for content in (b"{", b'"x"', b"", b"[]"):
        answer = north.post("/appointments", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    answer = north.post("/appointments", content=b"\xff", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_fault_of_the_server_tells_nothing_and_is_logged(north, caplog):
    answer = north.get("/fault")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert set(answer.json()) == PLAIN
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text


def test_the_language_is_the_users_where_the_host_knows_it(site):
    app = FastAPI()
    rayces = Rayces(
        site.db,
        domain="example.test",
        secret=application.SECRET,
        language="es",
        language_of=lambda user: "en" if user.phone == "en" else None,
    )
    rayces.install(app)

    @app.get("/gone")
    def gone(me: rayces.CurrentUser):
        Student.get_by_id(2_000_000_000)

    client = TestClient(app, base_url=f"http://{site.north.subdomain}.example.test")
    english, other = user_of(site, site.north, phone="en"), user_of(site, site.north)
    assert (
        client.get("/gone", headers=site.signed_in(english) | {"Accept-Language": "es"}).json()["title"] == "Not found"
    )
    assert client.get("/gone", headers=site.signed_in(other)).json()["title"] == "No se encontró"
    assert client.get("/gone").headers["content-language"] == "es"


def test_the_language_is_the_users_own(site):
    app = FastAPI()
    rayces = Rayces(site.db, domain="example.test", secret=application.SECRET, language="es")
    rayces.install(app)

    @app.get("/gone")
    def gone(me: rayces.CurrentUser):
        Student.get_by_id(2_000_000_000)

    client = TestClient(app, base_url=f"http://{site.north.subdomain}.example.test")
    asked = site.signed_in(user_of(site, site.north, language="en")) | {"Accept-Language": "es"}
    answer = client.get("/gone", headers=asked)
    assert (answer.json()["title"], answer.headers["content-language"]) == ("Not found", "en")


def test_the_description_has_problems_for_every_operation_and_nothing_of_fastapis_own(site):
    schema = TestClient(site.app).get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert list(operation["responses"]["4XX"]["content"]) == ["application/problem+json"], path
            assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in json.dumps(schema)
    assert "/healthz" not in schema["paths"]
    booking = schema["paths"]["/appointments"]["post"]
    assert [parameter["name"] for parameter in booking["parameters"]] == ["Idempotency-Key"]
    assert booking["security"]
    assert site.app.openapi() is site.app.openapi()


# -- running ----------------------------------------------------------------------------------------------------------


def test_a_blocking_call_on_the_event_loop_is_refused_with_the_remedy(site, north, caplog):
    assert north.get("/blocking").status_code == 500
    assert "anyio.to_thread.run_sync" in caplog.text
    assert caplog.records[-1].exc_info[0] is EventLoopError or "EventLoopError" in caplog.text


def test_as_many_threads_work_at_once_as_there_are_connections(site):
    async def limit():
        async with site.app.router.lifespan_context(site.app):
            return anyio.to_thread.current_default_thread_limiter().total_tokens

    assert asyncio.run(limit()) == 4


def asgi(site, tenant):
    transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{tenant.subdomain}.example.test")


async def served(site, client, *paths):
    async with site.app.router.lifespan_context(site.app):
        return await asyncio.gather(*(client.get(path) for path in paths))


@pytest.mark.slow
def test_more_requests_than_connections_wait_for_a_thread_and_are_all_answered(site):
    answers = asyncio.run(served(site, asgi(site, site.north), *["/slow?seconds=0.05"] * 16))
    assert [answer.status_code for answer in answers] == [200] * 16


@pytest.mark.slow
def test_a_tenant_that_is_not_known_yet_does_not_wait_behind_slow_endpoints(site):
    new = make_organization(site.db)
    site.db.engine.forget_organizations()

    async def meanwhile():
        async with site.app.router.lifespan_context(site.app):
            slow = [asyncio.create_task(asgi(site, site.north).get("/slow?seconds=1")) for _ in range(8)]
            await asyncio.sleep(0.3)
            began = time.monotonic()
            answer = await asgi(site, new).get("/plain")
            took = time.monotonic() - began
            await asyncio.gather(*slow)
            return answer.status_code, took

    def took():
        status, seconds = asyncio.run(meanwhile())
        assert status == 200
        site.db.engine.forget_organizations()
        return seconds

    assert soon(took, 0.6)


@pytest.mark.slow
def test_a_pool_that_is_used_up_on_the_loop_stops_nobody(db):
    """`in_event_loop="allow"`: whoever holds connections across an await; the others are told so at once."""
    with Database.connect(db.url, max_connections=2, pool_timeout=120) as database:
        tenant = make_organization(database)
        app = FastAPI()
        rayces = Rayces(database, header="X-Tenant", in_event_loop="allow")
        rayces.install(app)

        @app.get("/across")
        async def across():
            with database.atomic():
                count = Student.select().count()
                await others_told.wait()
                return count

        async def many():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://x", headers={"x-tenant": tenant.subdomain}
            ) as client:
                asked = [asyncio.ensure_future(client.get("/across")) for _ in range(6)]
                async with asyncio.timeout(60):  # less than the pool's own patience
                    while sum(each.done() for each in asked) < 4:
                        await asyncio.wait([each for each in asked if not each.done()], return_when="FIRST_COMPLETED")
                others_told.set()
                return await asyncio.gather(*asked)

        others_told = asyncio.Event()
        answers = asyncio.run(many())
        assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503, 503]
        assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}


@pytest.mark.slow
def test_a_request_that_is_cancelled_gives_its_connection_back(site):
    async def cancelled():
        async with site.app.router.lifespan_context(site.app):
            client = asgi(site, site.north)
            asked = asyncio.create_task(client.get("/slow?seconds=1"))
            while not site.db.pool_status().in_use and not asked.done():
                await asyncio.sleep(0.01)
            assert asked.cancel()
            while site.db.pool_status().in_use:
                await asyncio.sleep(0.01)
            assert asked.cancelled()
            return (await client.get("/sync")).status_code

    assert asyncio.run(cancelled()) == 200


def test_at_its_end_no_connection_is_left_and_it_may_begin_again(site):
    for _ in range(2):
        with site.client(site.north) as client:
            assert client.get("/sync").status_code == 200
            assert site.db.pool_status().free > 0
        assert (site.db.pool_status().free, site.db.pool_status().in_use) == (0, 0)


def test_the_hosts_own_lifespan_is_kept(db):
    lived = []

    async def lifespan(app):
        lived.append("begun")
        yield {"own": 1}
        lived.append(db.engine.pool.status().in_use >= 0 and "ended")

    from contextlib import asynccontextmanager

    app = FastAPI(lifespan=asynccontextmanager(lifespan))
    with Database.connect(db.url) as database:
        Rayces(database, header="X-Tenant").install(app)
        with TestClient(app) as client:
            assert client.get("/healthz").status_code == 200
    assert lived == ["begun", "ended"]


def test_it_is_not_ready_while_the_database_does_not_answer(caplog):
    caplog.set_level(logging.CRITICAL)
    app = FastAPI()
    database = Database.connect("postgresql://nobody@127.0.0.1:1/nowhere")
    Rayces(database, header="X-Tenant").install(app)
    with TestClient(app) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (
            503,
            {"status": "unavailable"},
            "1",
        )
        assert client.get("/healthz").status_code == 200
        away = client.get("/x", headers={"x-tenant": "north"})
        assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "unavailable", "1")
