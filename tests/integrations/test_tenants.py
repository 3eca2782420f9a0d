"""Which tenant a request names: hosts, headers and paths as they come, and what is remembered."""

import threading

import pytest

from rayces_core import Database, InactiveTenantError, TenantNotCachedError, UnknownTenantError
from rayces_core.errors import ConfigurationError
from rayces_core.integrations.tenants import LOOK_UPS_AT_ONCE, Resolver
from tests.factory import make_organization
from tests.walking import walked
from tests.wire import wire


@pytest.fixture(scope="module")
def resolver(db):
    return Resolver(db, domain=["Example.org", "ñandú.example"], header="X-Tenant", path_prefix="/t/")


@walked(
    ("host", "name"),
    [
        ("north.example.org", "north"),
        ("NORTH.Example.ORG", "north"),
        ("north.example.org:8000", "north"),
        ("north.example.org:", "north"),
        ("north.example.org.", "north"),
        ("north.example.org.:8000", "north"),
        ("xn--and-6ma2c.example.org", "xn--and-6ma2c"),
        ("north.xn--and-6ma2c.example", "north"),
        ("2.example.org", "2"),
        ("a" * 63 + ".example.org", "a" * 63),
        ("a" * 64 + ".example.org", None),
        ("a.north.example.org", None),
        ("north..example.org", None),
        (".example.org", None),
        ("-north.example.org", None),
        ("north-.example.org", None),
        ("ñandú.example.org", None),
        ("north\x00.example.org", None),
        ("nor th.example.org", None),
        ("north.example.org,south.example.org", None),
        ("user@north.example.org", None),
        ("north.example.org/../south", None),
        ("example.org", None),
        ("northexample.org", None),
        ("north.example.org.evil.test", None),
        ("[::1]:8000", None),
        ("127.0.0.1", None),
        ("", None),
        (None, None),
    ],
)
def test_hosts_below_a_domain_name_their_tenant(resolver, host, name):
    assert resolver.name_of(host) == name


def test_a_header_is_believed_only_where_the_host_is_not_below_a_domain(resolver):
    assert resolver.name_of("north.example.org", "south") == "north"
    for below in ("a.north.example.org", "-.example.org", "ñ.example.org", "north.example.org.:1"):
        assert resolver.name_of(below, "south") in (None, "north")
    for elsewhere in ("localhost:8000", "10.0.0.1", "example.org", "north.example.org.evil.test", None):
        assert resolver.name_of(elsewhere, " South ") == "south"
    for odd in ("", "no such", "a.b", "south\x00", "x" * 64, "\u0441outh", "../south"):
        assert resolver.name_of("localhost", odd) is None


def test_a_path_names_its_tenant_and_the_host_goes_before_it(resolver):
    assert resolver.named("localhost", None, "/t/north/appointments") == ("north", "/t/north")
    assert resolver.named("localhost", None, "/t/North") == ("north", "/t/North")
    assert resolver.named("localhost", "south", "/t/north/x") == ("north", "/t/north")
    assert resolver.named("south.example.org", None, "/t/north/x") == ("south", "")
    assert resolver.named("localhost", "south", "/tea") == ("south", "")
    assert resolver.name_of("localhost", "south", "/t//x") is None
    assert resolver.name_of("localhost", "south", "/t/..%2f/x") is None


def test_without_a_domain_hosts_say_nothing(db):
    assert Resolver(db, header="X-Tenant").name_of("north.example.org", "south") == "south"
    assert Resolver(db, path_prefix="/").named("north.example.org", None, "/south/x") == ("south", "/south")


@pytest.mark.parametrize("wrong", [{"path_prefix": "t"}, {"path_prefix": "/t"}, {"domain": "a..b"}])
def test_what_cannot_be_is_refused_when_it_is_made(db, wrong):
    with pytest.raises(ConfigurationError):
        Resolver(db, **wrong)


@pytest.mark.slow
def test_unknown_and_inactive_tenants_are_remembered_as_well(own_pool):
    off = make_organization(own_pool, active=False)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        resolver = Resolver(database)
        for name, error in (("no-such-centre", UnknownTenantError), (off.subdomain, InactiveTenantError)):
            with pytest.raises(TenantNotCachedError):
                resolver.cached(name)
            with pytest.raises(error):
                resolver.resolve(name)
            proxy.sent.clear()
            for look in (resolver.cached, resolver.resolve) * 3:
                with pytest.raises(error):
                    look(name)
            assert proxy.sent == []


def test_a_tenant_is_looked_up_though_every_connection_is_taken_and_binding_it_asks_nothing(own_pool):
    north = make_organization(own_pool)
    with Database.connect(own_pool.url, max_connections=1, pool_timeout=0.2) as database:
        resolver = Resolver(database)
        taken, go_on = threading.Event(), threading.Event()

        def hold():
            with database.privileged(reason="test"), database.tenant(north), database.atomic():
                database.execute_sql("SELECT 1")
                taken.set()
                go_on.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        taken.wait(60)
        try:
            found = resolver.resolve(north.subdomain)
            with database.tenant(found, cached_only=True) as bound:
                assert bound.subdomain == north.subdomain
        finally:
            go_on.set()
            thread.join()
        (beside,) = database._others
        assert beside.max_connections == LOOK_UPS_AT_ONCE
        database.disconnect()
        assert beside.pool_status().free == 0
