"""Database: the one object a host application holds. Connects, binds tenants, opens transactions, migrates.

Rule it guards: nothing runs without a tenant, and the tenant cannot change while a transaction is open.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self

from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.database import apart, first_use
from rayces_core.database.binding import WITHIN, Binding, bound_here, current
from rayces_core.database.blocks import TenantBlock
from rayces_core.database.engine import Engine
from rayces_core.database.interactive import Interactive, Org
from rayces_core.database.migrated import Migrated
from rayces_core.database.options import FIND_OUT_SECONDS, Options, environment, options_of
from rayces_core.database.reaching import check_citus
from rayces_core.database.reading import Reading
from rayces_core.database.replicated import Replicated
from rayces_core.database.serving import Serving
from rayces_core.database.tenants import (
    Remembered,
    Values,
    check_at_home,
    check_saved,
    checked_key,
    instance_of,
    may_exist,
    organization_model,
    read_bound,
    read_by_subdomain,
)
from rayces_core.database.units import Units
from rayces_core.database.urls import role_name, with_defaults, with_options
from rayces_core.database.watched import Watched
from rayces_core.errors import (
    ConfigurationError,
    InactiveTenantError,
    TenantNotCachedError,
    TenantSwitchError,
    UnknownTenantError,
)

if TYPE_CHECKING:
    from rayces_core.embedded.server import EmbeddedServer


class Database(Units, Replicated, Migrated, Serving, Watched, Reading, Interactive[Org], Generic[Org]):
    """A tenant-safe PostgreSQL database.

    Made by `connect`, `from_env` or `embedded`; connects when first used. One object serves all threads and
    asyncio or trio tasks of a process, each with a connection of its own. Tenants' work and privileged work have a pool
    each, whose connections are of their role.

    Attributes:
        url: the libpq URL of tenants' work, password and connect options included.
        admin_url: that of privileged work and of migrations; the same one unless given.
        app_role: role that tenants' work runs as. admin_role: role of privileged work.
    """

    def __init__(self, url: str, *, server: EmbeddedServer | None = None, options: Options | None = None) -> None:
        self._options = given = options or Options()
        self.app_role, self.admin_role = role_name(given.app_role), role_name(given.admin_role)
        if self.app_role == self.admin_role:
            raise ConfigurationError(
                "app_role and admin_role must be two roles; the second one sees every organization"
            )
        self.url = with_options(url, given.connect_options)
        self._server, self._others = server, []
        self.admin_url = with_options(given.admin_url, given.connect_options) if given.admin_url else self.url
        self._organizations = Remembered(float(given.tenant_cache_seconds))
        self._tenants = self._engine(with_defaults(self.url), self.app_role, given)
        self._admins = self._engine(with_defaults(self.admin_url), self.admin_role, given)
        self._connect_replicas(given)
        self._admin = Binding(self._admins, self.admin_role, None)
        self._nobody = Binding(self._tenants, self.app_role, None)
        self._bindings: dict[int, Binding] = {}
        # Where this is one of several databases of an application: raises where a unit of work is open in another.
        self.refuse_beside: Callable[[], None] | None = None

    def _engine(
        self, dsn: str, role: str, given: Options, kind: Callable[..., Engine] = Engine, **options: Any
    ) -> Engine:
        idle = given.idle_in_transaction_seconds
        return kind(
            dsn,
            role,
            max_connections=int(given.max_connections),
            pool_timeout=float(given.pool_timeout),
            idle_limit_ms=None if idle is None else int(float(idle) * 1000),
            refuses_loops=given.in_event_loop == "refuse",
            organizations=self._organizations,
            find_out_seconds=float(given.find_out_seconds),
            writes_messages=given.outbox,
            settings=given.session_settings,
            first_look=lambda connection: first_use.check(connection, role, given, privileged=role == self.admin_role),
            look_again=lambda connection: check_citus(connection, role, given, privileged=role == self.admin_role),
            **({"kind": apart.KINDS[given.engine]} | options),
        )

    @property
    def engine(self) -> Engine:
        """The Peewee database of what is bound here; that of tenants' work where nothing of this Database is."""
        bound = bound_here()
        mine: Engine = bound.engine if bound is not None and bound.engine in self._engines else self._tenants
        return mine

    # -- making one -------------------------------------------------------------------------------------------

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        admin_url: str | None = None,
        max_connections: int = 20,
        pool_timeout: float = 30.0,
        app_role: str = "rayces_app",
        admin_role: str = "rayces_admin",
        tenant_cache_seconds: float = 30.0,
        in_event_loop: Literal["allow", "refuse"] = "allow",
        idle_in_transaction_seconds: float | None = 300.0,
        find_out_seconds: float = FIND_OUT_SECONDS,
        outbox: bool = True,
        engine: Literal["postgresql", "citus"] = "postgresql",
        replicas: Iterable[str] = (),
        replica_wait_seconds: float = 0.0,
        replica_rest_seconds: float = 10.0,
        replica_lag_seconds: float | None = 60.0,
        **connect_options: Any,
    ) -> Self:
        """A Database on the server that `url` names (postgresql://user:password@host:port/name); nothing is sent yet.

        Args:
            url: libpq URL or key=value string.
            admin_url: that of a login which may become the admin role, for privileged work and migrations; then the
                login of `url` need only become the app role.
            max_connections: most connections open at once in this process, for tenants' and for privileged work each.
            pool_timeout: seconds to wait for a free connection before PoolTimeoutError.
            app_role, admin_role: roles of tenants' work and of privileged work; made by `migrate()`.
            tenant_cache_seconds: how long a subdomain or id, once looked up, is trusted. 0 looks up each time.
            in_event_loop: "refuse" raises EventLoopError for every statement in the thread of a running event loop,
                which would stand still meanwhile. An exhausted pool never makes a loop wait.
            idle_in_transaction_seconds: a transaction that idles longer is ended by the server, so that whoever
                forgot it holds no locks; None for no limit. Where the server or login has a limit, that one holds.
            find_out_seconds: how long to ask the server, and to wait for it, whether work whose answer was lost was
                committed. In an event loop's thread it is asked once.
            outbox: False leaves out the messages that every event, booking and posting else writes for a relay; say
                the same in each program that writes.
            engine: "citus" where Citus distributes the tables (docs/citus.md); without it such a database is refused.
            replicas: URLs of streaming replicas, which `tenant(…, read_only=True)` reads from.
            replica_wait_seconds: how long to wait for one that has not all that was written here, before the primary
                is read instead; in an event loop's thread not at all.
            replica_rest_seconds: for how long one that failed is left alone.
            replica_lag_seconds: how old what a replica has may be; None for no limit.
            connect_options: passed to psycopg2.connect (connect_timeout, sslmode, application_name, …).

        Raises:
            ConfigurationError: the URL or a role name is malformed. Everything else is found at first use:
                DatabaseUnreachableError, ServerTooOldError, SchemaMissingError, RoleNotHeldError, IsolationInertError.
        """
        options = Options(
            admin_url=admin_url,
            max_connections=max_connections,
            pool_timeout=pool_timeout,
            app_role=app_role,
            admin_role=admin_role,
            tenant_cache_seconds=tenant_cache_seconds,
            in_event_loop=in_event_loop,
            idle_in_transaction_seconds=idle_in_transaction_seconds,
            find_out_seconds=find_out_seconds,
            outbox=outbox,
            engine=engine,
            replicas=replicas,
            replica_wait_seconds=replica_wait_seconds,
            replica_rest_seconds=replica_rest_seconds,
            replica_lag_seconds=replica_lag_seconds,
            connect_options=connect_options,
        )
        return cls(url, options=options)

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A Database on the URL in RAYCES_DATABASE_URL; options as for `connect`.

        RAYCES_ADMIN_DATABASE_URL, where it is set, is `admin_url`, RAYCES_DATABASE_ENGINE `engine`;
        RAYCES_REPLICA_DATABASE_URLS, with blanks between them, are `replicas`.
        """
        url, given = environment()
        return cls.connect(url, **given | options)

    @classmethod
    def embedded(cls, path: str | os.PathLike[str] | None = None, **options: Any) -> Self:
        """A Database on a real PostgreSQL that this call starts (extra `embedded`).

        `url` is that of a login which can become the app role and nothing else, `admin_url` the superuser's.

        Args:
            path: folder of the data; processes that name the same one share its server, and the last to close stops it.
                None makes a private server that leaves nothing behind.

        Raises:
            MissingExtraError: the wheel is not installed. EmbeddedServerError: it could not be started there.
        """
        # A deployment against its own server never needs this part.
        from rayces_core.embedded.server import EmbeddedServer

        given = options_of(options)
        server = EmbeddedServer(path)
        try:
            held = server.held_login(role_name(given.app_role))
            return cls(held, server=server, options=options_of({"admin_url": server.url} | options))
        except BaseException:
            server.stop()
            raise

    def close(self) -> None:
        """Close every connection; an embedded server is stopped when this was its last user."""
        self._stop_using()
        self.disconnect()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        shown = {key: value for key, value in parse_dsn(self.url).items() if key != "password"}
        return f"<Database {make_dsn(**shown)}>"

    # -- tenants ----------------------------------------------------------------------------------------------

    def tenant(
        self,
        tenant: str | int | Org,
        *,
        cached_only: bool = False,
        read_only: bool | None = None,
        after: str | None = None,
    ) -> TenantBlock[Org]:
        """Bind an organization for the `with` block; `as` names it. Nests, and restores what was bound before.

        Args:
            tenant: subdomain, id, or a saved Organization.
            cached_only: never ask the database, for an event loop's thread; an Organization is taken as it was read.
            read_only: the server refuses what writes (ReadOnlyError), and a replica is read that has all that was
                written here, where there is one. None: as the block around it, which is not read-only if there is none.
            after: of a block that reads from a replica, the token of what it must have besides; see `causal_token`.

        Raises:
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
            TenantNotCachedError: `cached_only`, and it has not been looked up here lately.
            TenantSwitchError: a transaction of another tenant is open here.
        """
        way = partial(self._way, read_only, after)
        return TenantBlock(lambda: self._tenant(tenant, cached_only), self._holder, way=way)

    def known_tenant(
        self, tenant: str | int, *, read_only: bool | None = None, after: str | None = None
    ) -> TenantBlock[Callable[[], Org]]:
        """As `tenant(…, cached_only=True)`, in less time: `as` names a function that gives the Organization."""
        way = partial(self._way, read_only, after)
        return TenantBlock(lambda: self._known_tenant(tenant), self._holder, way=way)

    def _known_tenant(self, tenant: str | int) -> tuple[Binding, Callable[[], Org]]:
        values = self._looked_up(checked_key(tenant), cached_only=True)
        check_at_home(values)
        if not values["active"]:
            raise InactiveTenantError(values["subdomain"])
        return self._binding_of(values["id"]), partial(instance_of, self._tenants.home, values)

    def privileged(self, *, reason: str) -> TenantBlock[None]:
        """Work over all organizations for the block, as another role; the reason is logged.

        Rows must then name their organization themselves. A tenant() inside is scoped again.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError('privileged() needs a reason, for example reason="nightly reconcile"')
        return TenantBlock(lambda: (self._admin, None), self._holder, reason)

    def _within(self, binding: Binding) -> TenantBlock[None]:
        return TenantBlock(lambda: (binding, None), self._holder, way=lambda _: (binding, None, WITHIN))

    def _holder(self) -> Binding | None:
        """Whose transaction is open in this thread or task, if any."""
        if self.refuse_beside is not None:
            self.refuse_beside()
        found = self._tenants.holder_of_transaction() or self._admins.holder_of_transaction()
        return found if found is not None or self._routing is None else self._routing.holder()

    def _tenant(self, tenant: str | int | Org, cached_only: bool) -> tuple[Binding, Org]:
        organization = self._organization(tenant, cached_only)
        return self._binding_of(organization.id), organization

    def _binding_of(self, organization_id: int) -> Binding:
        binding = self._bindings.get(organization_id)
        if binding is None:
            # setdefault: two threads must end with one binding, since a transaction is known by it.
            binding = self._bindings.setdefault(organization_id, Binding(self._tenants, self.app_role, organization_id))
        return binding

    def _organization(self, tenant: object, cached_only: bool) -> Org:
        if isinstance(tenant, organization_model()):
            organization: Any = tenant
            check_saved(organization, self._tenants.home)
            values = {"active": True} if cached_only else self._looked_up(organization.id)
        else:
            values = self._looked_up(checked_key(tenant), cached_only)
            organization = instance_of(self._tenants.home, values)
        check_at_home(values)
        if not values["active"] or not organization.active:
            raise InactiveTenantError(organization.subdomain)
        found: Org = organization
        return found

    def _looked_up(self, key: str | int, cached_only: bool = False) -> Values:
        values = self._known(key, cached_only)
        if values is None:
            raise UnknownTenantError(key)
        return values

    def _known(self, key: str | int, cached_only: bool) -> Values | None:
        values = self._organizations.find(key)
        if values is False:
            if cached_only:
                raise TenantNotCachedError(key)
            values = self._organizations.look_up(key, lambda: self._look(key))
        return values

    def _look(self, key: str | int) -> Values | None:
        if not may_exist(key):
            return None
        # Inside a transaction only its own tenant can be asked for, and sees its own row.
        if (holder := self._holder()) is not None:
            with self._within(holder):
                values = read_bound(key)
            if values is None:
                raise TenantSwitchError("a transaction of another tenant is open; leave its `with db.atomic():` first")
            return values
        with self._within(self._nobody if isinstance(key, str) else self._binding_of(key)):
            return read_by_subdomain(key) if isinstance(key, str) else read_bound(key)

    def find_tenant(self, name: str | int, *, cached_only: bool = False) -> Org | None:
        """The organization of this subdomain or id, switched off or not; None where there is none.

        Args:
            cached_only: never ask the database, for an event loop's thread.

        Raises:
            TenantNotCachedError: `cached_only`, and it has not been looked up here lately.
        """
        values = self._known(checked_key(name), cached_only)
        found: Org | None = None if values is None else instance_of(self._tenants.home, values)
        return found

    @property
    def organization_id(self) -> int | None:
        """Id of the bound organization; None in privileged work; TenantNotSetError without a binding."""
        return current().organization_id

    @property
    def current_tenant(self) -> Org | None:
        """The organization that is bound here, for log lines and the like; None in privileged work and outside."""
        binding = bound_here()
        if binding is None or binding.engine not in self._engines or binding.organization_id is None:
            return None
        found: Org = instance_of(self._tenants.home, self._looked_up(binding.organization_id))
        return found

    def create_organization(self, name: str, *, subdomain: str, **columns: Any) -> Org:
        """Insert an organization and return it; `tenant()` accepts it at once.

        Args:
            columns: further ones, such as time_zone="America/Santiago", currency="CLP", settings={"country": "CL"}.

        Raises:
            DuplicateError: the subdomain is taken. CheckFailedError, InvalidDataError: a value is malformed.
        """
        kind = organization_model()
        with self._within(self._admin):
            made: Org = kind.create(name=name, subdomain=subdomain, **columns)
            return made
