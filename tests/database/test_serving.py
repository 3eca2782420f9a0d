"""What a server of many requests asks of a Database: tenants without a query, pools beside it, loops, an end."""

import asyncio

import pytest

from rayces_core import Database, EventLoopError, InactiveTenantError, Student, TenantNotCachedError, UnknownTenantError
from tests.factory import make_organization
from tests.wire import wire


def bound(database, tenant, **options):
    with database.tenant(tenant, **options) as organization:
        assert database.organization_id == organization.id
        return organization


def test_a_tenant_is_bound_without_asking_the_database_or_not_at_all(own_pool):
    north = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        for key in (north.subdomain, north.id, "no-such-centre", f" {north.subdomain.upper()} "):
            with pytest.raises(TenantNotCachedError):
                bound(database, key, cached_only=True)
        assert proxy.sent == []
        found = database.find_tenant(north.subdomain)
        database.find_tenant("no-such-centre")
        proxy.sent.clear()
        assert bound(database, f" {north.subdomain.upper()} ", cached_only=True) == north
        assert bound(database, found, cached_only=True) == north
        assert bound(database, north.id, cached_only=True) == north  # though it was looked up by its subdomain
        with database.tenant(found):
            assert database.current_tenant == north
        with pytest.raises(UnknownTenantError):
            bound(database, "no-such-centre", cached_only=True)
        assert proxy.sent == []


def test_what_was_read_is_taken_as_it_was_read(own_pool):
    north, off = make_organization(own_pool), make_organization(own_pool, active=False)
    with Database.connect(own_pool.url, tenant_cache_seconds=0) as database:
        assert bound(database, database.find_tenant(north.subdomain), cached_only=True) == north
        with pytest.raises(InactiveTenantError):
            bound(database, database.find_tenant(off.subdomain), cached_only=True)
        with pytest.raises(UnknownTenantError):
            bound(database, type(north)(name="Not saved", subdomain="not-saved"), cached_only=True)


def test_a_pool_beside_shares_what_is_known_of_tenants_and_no_place(own_pool):
    north = make_organization(own_pool)
    with Database.connect(own_pool.url, max_connections=1, pool_timeout=0.05) as database:
        with database.beside(1) as other, database.tenant(north), database.atomic():
            assert (other.pool_status().max_connections, database.pool_status().in_use) == (1, 1)
            made = make_organization(own_pool)
            assert other.find_tenant(made.subdomain).id == made.id
            assert database.find_tenant(made.subdomain, cached_only=True).id == made.id
        other.engine.forget_organizations()
        with pytest.raises(TenantNotCachedError):
            database.find_tenant(made.subdomain, cached_only=True)


def test_event_loops_are_refused_from_then_on_in_sessions_that_there_are_as_well(own_pool):
    north = make_organization(own_pool)

    async def count():
        with own_pool.tenant(north, cached_only=True):
            return Student.select().count()

    assert asyncio.run(count()) == 0
    own_pool.refuse_event_loops()
    with pytest.raises(EventLoopError):
        asyncio.run(count())
    with own_pool.tenant(north):
        assert Student.select().count() == 0


def test_disconnected_it_connects_anew(own_pool):
    north = make_organization(own_pool)
    for _ in range(2):
        with own_pool.tenant(north):
            assert Student.select().count() == 0
        assert own_pool.pool_status().free == 1
        own_pool.disconnect()
        assert (own_pool.pool_status().free, own_pool.pool_status().in_use) == (0, 0)
