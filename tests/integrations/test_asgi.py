"""The ASGI middleware by itself: what is bound for what, and what the event loop's thread never does."""

import asyncio
import json

import pytest

from rayces_core import Database, Student, TenantNotSetError
from rayces_core.database.binding import bound_here
from rayces_core.integrations.asgi import TenantMiddleware
from rayces_core.integrations.tenants import TENANT, Resolver, organization_of
from tests.factory import make_organization
from tests.wire import wire


def scope_of(path="/", *headers, kind="http", **more):
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": kind, "method": "GET", "path": path, "root_path": "", "headers": raw} | more


def serve(app, *scopes):
    """What the application sent for each request, all in one loop."""

    async def one(scope):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request"}

        await app(scope, receive, send)
        return sent

    async def each():
        return [await one(scope) for scope in scopes]

    return asyncio.run(each())


class Seen:
    """An application that notes what is bound."""

    def __init__(self, db):
        self.db, self.organizations, self.scopes = db, [], []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        current = organization_of(scope) if TENANT in scope else None
        assert (current is None) == (bound_here() is None)
        assert current is None or current.id == self.db.organization_id
        self.organizations.append(current and current.subdomain)


@pytest.fixture
def seen(db):
    return Seen(db)


@pytest.fixture
def app(db, seen):
    resolver = Resolver(db, domain="example.org", header="X-Tenant", path_prefix="/t/")
    return TenantMiddleware(seen, resolver=resolver, exempt=("/healthz", "/static/*"))


def test_http_and_web_sockets_are_bound_and_what_else_a_server_sends_is_not(app, seen, a, b):
    for kind in ("http", "websocket"):
        for tenant in (a, b):
            serve(app, scope_of("/", ("host", f"{tenant.subdomain}.example.org"), kind=kind))
    serve(app, {"type": "lifespan"})
    assert seen.organizations == [a.subdomain, b.subdomain] * 2 + [None]
    assert [organization_of(scope).id for scope in seen.scopes[:4]] == [a.id, b.id] * 2


def test_exempt_paths_are_served_unbound(app, seen):
    serve(app, *(scope_of(path) for path in ("/healthz", "/static/site.css")))
    serve(app, scope_of("/centre/healthz", root_path="/centre"))
    assert seen.organizations == [None, None, None]
    assert serve(app, scope_of("/healthz/more"))[0][0]["status"] == 404


def test_a_request_for_no_tenant_is_answered_with_a_problem_in_its_language(app, seen):
    host = ("host", "no-such-centre.example.org")
    ((start, body),) = serve(app, scope_of("/x", host, ("accept-language", "es-AR")))
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (404, b"application/problem+json")
    told = json.loads(body["body"])
    assert (told["code"], told["instance"]) == ("unknown_tenant", "/x")
    assert told["title"] == "No hay ningún centro en esta dirección"
    for said in ([], [("host", "localhost")], [host, ("host", "localhost")], [("x-tenant", "a"), ("x-tenant", "b")]):
        ((start, body),) = serve(app, scope_of("/x", *said))
        assert (start["status"], json.loads(body["body"])["code"]) == (404, "unknown_tenant")
    ((start, body),) = serve(app, scope_of("/x", host, method="HEAD"))
    assert (start["status"], body["body"]) == (404, b"")
    assert seen.organizations == []


def test_what_a_proxy_adds_names_no_tenant(app, seen, a, b):
    spoofed = [("x-forwarded-host", f"{b.subdomain}.example.org"), ("forwarded", f"host={b.subdomain}.example.org")]
    serve(app, scope_of("/", ("host", f"{a.subdomain}.example.org"), ("x-tenant", b.subdomain), *spoofed))
    assert seen.organizations == [a.subdomain]
    assert serve(app, scope_of("/", ("host", "localhost"), *spoofed))[0][0]["status"] == 404


def test_a_web_socket_for_no_tenant_is_told_where_the_server_can_else_closed(app):
    ((closed,),) = serve(app, scope_of("/ws", kind="websocket"))
    assert closed == {"type": "websocket.close", "code": 1008}
    ((start, body),) = serve(app, scope_of("/ws", kind="websocket", extensions={"websocket.http.response": {}}))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert json.loads(body["body"])["code"] == "unknown_tenant"


def test_a_path_prefix_becomes_where_the_application_is_mounted(app, seen, a):
    serve(app, scope_of(f"/up/t/{a.subdomain}/students", root_path="/up"))
    assert (seen.scopes[0]["root_path"], seen.organizations) == (f"/up/t/{a.subdomain}", [a.subdomain])


def test_an_application_within_another_is_within_its_tenant_already(db, seen, a):
    resolver = Resolver(db, header="X-Tenant")
    inner = TenantMiddleware(seen, resolver=Resolver(db, domain="other.test"))
    serve(TenantMiddleware(inner, resolver=resolver), scope_of("/", ("x-tenant", a.subdomain)))
    assert seen.organizations == [a.subdomain]


@pytest.mark.parametrize("cache_seconds", [0, 30])
def test_the_event_loops_thread_asks_the_database_nothing(own_pool, cache_seconds):
    north, off = make_organization(own_pool), make_organization(own_pool, active=False)
    with Database.connect(own_pool.url, in_event_loop="refuse", tenant_cache_seconds=cache_seconds) as database:
        seen, resolver = Seen(database), Resolver(database, header="X-Tenant")
        app = TenantMiddleware(seen, resolver=resolver)
        names = (north.subdomain, "no-such-centre", off.subdomain) * 2
        answers = serve(app, *(scope_of("/", ("x-tenant", name)) for name in names))
        assert [answer[0]["status"] if answer else 200 for answer in answers] == [200, 404, 404] * 2


def test_a_scan_of_made_up_names_reaches_the_database_once_for_each_and_never_for_what_is_no_name(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        resolver = Resolver(database, header="X-Tenant")
        app = TenantMiddleware(Seen(database), resolver=resolver)
        serve(app, scope_of("/", ("x-tenant", "warm")))
        proxy.sent.clear()
        names = ["scan-1", "scan-2", "scan-1", "no such name", "", "a.b"] * 3
        serve(app, *(scope_of("/", ("x-tenant", name)) for name in names))
        assert len(proxy.sent) == 2


def test_a_database_that_is_away_is_told_as_such_and_asked_again():
    database = Database.connect("postgresql://nobody@127.0.0.1:1/nowhere")
    app = TenantMiddleware(Seen(database), resolver=Resolver(database, header="X-Tenant"))
    for _ in range(2):
        ((start, body),) = serve(app, scope_of("/", ("x-tenant", "north")))
        assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"1")
        assert json.loads(body["body"])["code"] == "unavailable"


def test_nothing_is_bound_after_a_request_however_it_ends(db, a):
    async def fails(scope, receive, send):
        assert Student.select().count() == 0
        raise LookupError("the host's own")

    resolver = Resolver(db, header="X-Tenant")
    app = TenantMiddleware(fails, resolver=resolver)

    async def twice():
        for _ in range(2):
            with pytest.raises(LookupError, match="own"):
                await app(scope_of("/", ("x-tenant", a.subdomain)), None, None)
            with pytest.raises(TenantNotSetError):
                _ = db.organization_id

    asyncio.run(twice())


@pytest.mark.slow
def test_many_requests_of_two_tenants_in_one_loop_see_their_own(db, a, b):
    wrong = []

    async def waits(scope, receive, send):
        for _ in range(5):
            await asyncio.sleep(0)
            if (db.organization_id, db.current_tenant.id) != (scope["wanted"],) * 2:
                wrong.append(scope["wanted"])

    resolver = Resolver(db, header="X-Tenant")
    app = TenantMiddleware(waits, resolver=resolver)

    async def many():
        scopes = [scope_of("/", ("x-tenant", each.subdomain), wanted=each.id) for each in (a, b) * 30]
        await asyncio.gather(*(app(scope, None, None) for scope in scopes))

    asyncio.run(many())
    assert wrong == []
