"""Database: the one object a host application holds. Connects, binds tenants, opens transactions, migrates.

Rule it guards: nothing runs without a tenant, and the tenant cannot change while a transaction is open.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from typing import TYPE_CHECKING, Any, Generic, Self

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn
from typing_extensions import TypeVar

from rayces_core.database import first_use
from rayces_core.database.binding import Binding, block, bound, current
from rayces_core.database.connection import TenantConnection
from rayces_core.database.engine import Engine
from rayces_core.database.tenants import Tenant, checked_key, instance_of, organization_model, read_organization
from rayces_core.database.transaction import Atomic
from rayces_core.errors import (
    ConfigurationError,
    InactiveTenantError,
    TenantSwitchError,
    TransactionFailedError,
    UnknownTenantError,
)

if TYPE_CHECKING:
    from rayces_core.embedded.server import EmbeddedServer
    from rayces_core.migrating.runner import MigrationStatus, Runner

URL_VARIABLE = "RAYCES_DATABASE_URL"
ADMIN_URL_VARIABLE = "RAYCES_ADMIN_DATABASE_URL"
Callback = TypeVar("Callback", bound=Callable[[], object])
# The model of organizations; it lives above this room, and `rayces_core.Database` names it.
Org = TypeVar("Org", bound=Tenant, default=Any)


class Database(Generic[Org]):
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
        given = options or Options()
        self.app_role, self.admin_role = role_name(given.app_role), role_name(given.admin_role)
        if self.app_role == self.admin_role:
            raise ConfigurationError(
                "app_role and admin_role must be two roles; the second one sees every organization"
            )
        self._server = server
        self.url = with_options(url, given.connect_options)
        self.admin_url = with_options(given.admin_url, given.connect_options) if given.admin_url else self.url
        self._organizations = Remembered(float(given.tenant_cache_seconds))
        self._tenants = self._engine(self.url, self.app_role, given)
        self._admins = self._engine(self.admin_url, self.admin_role, given)
        self._admin = Binding(self._admins, self.admin_role, None)
        self._nobody = Binding(self._tenants, self.app_role, None)
        self._bindings: dict[int, Binding] = {}

    def _engine(self, url: str, role: str, given: Options) -> Engine:
        idle = given.idle_in_transaction_seconds
        return Engine(
            with_defaults(url),
            role,
            home=self,
            max_connections=int(given.max_connections),
            pool_timeout=float(given.pool_timeout),
            idle_limit_ms=None if idle is None else int(float(idle) * 1000),
            refuses_loops=given.in_event_loop == "refuse",
            organizations=self._organizations,
            first_look=lambda connection: first_use.check(connection, role, privileged=role == self.admin_role),
        )

    @property
    def engine(self) -> Engine:
        """The Peewee database of what is bound here; that of tenants' work where nothing of this Database is."""
        binding = bound_here()
        return self._admins if binding is not None and binding.engine is self._admins else self._tenants

    # -- making one -------------------------------------------------------------------------------------------

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        max_connections: int = 20,
        pool_timeout: float = 30.0,
        app_role: str = "rayces_app",
        admin_role: str = "rayces_admin",
        tenant_cache_seconds: float = 30.0,
        **connect_options: Any,
    ) -> Self:
        """A Database on the server that `url` names (postgresql://user:password@host:port/name); nothing is sent yet.

        Args:
            url: libpq URL or key=value string.
            max_connections: most connections open at once in this process.
            pool_timeout: seconds to wait for a free connection before PoolTimeoutError.
            app_role, admin_role: roles of tenant work and of privileged work; made by `migrate()`.
            tenant_cache_seconds: how long a subdomain or id, once looked up, is trusted. 0 looks up each time.
            connect_options: passed to psycopg2.connect (connect_timeout, sslmode, application_name, …).

        Raises:
            ConfigurationError: the URL or a role name is malformed. Everything else is found at first use:
                DatabaseUnreachableError, ServerTooOldError, SchemaMissingError, RoleNotHeldError, IsolationInertError.
        """
        return cls(
            url,
            max_connections=max_connections,
            pool_timeout=pool_timeout,
            app_role=app_role,
            admin_role=admin_role,
            tenant_cache_seconds=tenant_cache_seconds,
            **connect_options,
        )

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A Database on the URL in RAYCES_DATABASE_URL; options as for `connect`."""
        url = os.environ.get(URL_VARIABLE, "").strip()
        if not url:
            raise ConfigurationError(
                f"set {URL_VARIABLE}, for example {URL_VARIABLE}=postgresql://user:password@host/name"
            )
        return cls.connect(url, **options)

    @classmethod
    def embedded(cls, path: str | os.PathLike[str] | None = None, **options: Any) -> Self:
        """A Database on a real PostgreSQL that this call starts (extra `embedded`).

        Args:
            path: folder of the data; processes that name the same one share its server, and the last to close stops it.
                None makes a private server that leaves nothing behind.

        Raises:
            MissingExtraError: the wheel is not installed. EmbeddedServerError: it could not be started there.
        """
        # A deployment against its own server never needs this part.
        from rayces_core.embedded.server import EmbeddedServer

        server = EmbeddedServer(path)
        try:
            return cls(server.url, server=server, **options)
        except BaseException:
            server.stop()
            raise

    def close(self) -> None:
        """Close every connection; an embedded server is stopped when this was its last user."""
        self.engine.pool.close()
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

    @contextmanager
    def tenant(self, tenant: str | int | Org) -> Iterator[Org]:
        """Bind an organization for the block; yields it. Nests, and restores what was bound before.

        Args:
            tenant: subdomain, id, or a saved Organization.

        Raises:
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
            TenantSwitchError: a transaction of another tenant is open here.
        """
        organization = self._organization(tenant)
        with self._bound(self._binding_of(organization.id)):
            yield organization

    @contextmanager
    def privileged(self, *, reason: str) -> Iterator[None]:
        """Work over all organizations for the block, as another role; the reason is logged.

        Rows must then name their organization themselves. A tenant() inside is scoped again.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError('privileged() needs a reason, for example reason="nightly reconcile"')
        logger.info("privileged work begins: %s", reason)
        started = time.monotonic()
        try:
            with self._bound(self._admin):
                yield
        finally:
            logger.info("privileged work ended after %.3f s: %s", time.monotonic() - started, reason)

    @contextmanager
    def _bound(self, binding: Binding) -> Iterator[None]:
        holder = self.engine.holder_of_transaction()
        if holder is not None and holder is not binding:
            raise TenantSwitchError("a transaction of another tenant is open; leave its `with db.atomic():` first")
        session = self.engine.enter_block()
        units, mine = len(session.transactions), object()
        tokens = bound.set(binding), block.set(mine)
        clean = False
        try:
            yield
            clean = True
        finally:
            try:
                _unbind(mine, tokens)
            finally:
                left_open = self.engine.leave_block(session, units)
            if left_open and clean:
                raise TransactionFailedError(
                    "a transaction was still open at the end of the tenant's block; it was undone"
                )

    def _binding_of(self, organization_id: int) -> Binding:
        binding = self._bindings.get(organization_id)
        if binding is None:
            # setdefault: two threads must end with one binding, since a transaction is known by it.
            binding = self._bindings.setdefault(organization_id, Binding(self.engine, self.app_role, organization_id))
        return binding

    def _organization(self, tenant: object) -> Org:
        if isinstance(tenant, organization_model()):
            organization: Any = tenant
            if type(organization.id) is not int or "id" in organization.dirty_field_names:
                raise UnknownTenantError(tenant, "the Organization is not saved yet; use db.create_organization(...)")
        else:
            organization = instance_of(self._looked_up(checked_key(tenant)))
        if not organization.active:
            raise InactiveTenantError(organization.subdomain)
        found: Org = organization
        return found

    def _looked_up(self, key: str | int) -> dict[str, Any]:
        remembered = self.engine.organizations
        values = remembered.find(key)
        if values is None:
            values = self._look_up(key)
            remembered.keep(key, values)
        return values

    def _look_up(self, key: str | int) -> dict[str, Any]:
        # Inside a transaction only its own tenant can be asked for, and sees its own row.
        holder = self.engine.holder_of_transaction()
        with self._bound(holder or self._admin):
            values = read_organization(key)
        if values is not None:
            return values
        if holder is not None:
            raise TenantSwitchError("a transaction of another tenant is open; leave its `with db.atomic():` first")
        raise UnknownTenantError(key)

    @property
    def organization_id(self) -> int | None:
        """Id of the bound organization; None in privileged work; TenantNotSetError without a binding."""
        return current().organization_id

    def create_organization(self, name: str, *, subdomain: str, **columns: Any) -> Org:
        """Insert an organization and return it; `tenant()` accepts it at once.

        Raises:
            DuplicateError: the subdomain is taken. CheckFailedError, InvalidDataError: a value is malformed.
        """
        kind = organization_model()
        with self._bound(self._admin):
            made: Org = kind.create(name=name, subdomain=subdomain, **columns)
            return made

    # -- transactions and raw SQL -----------------------------------------------------------------------------

    def atomic(self, isolation_level: str | None = None) -> Atomic:
        """A unit of work, as `with` block or decorator; outside one each statement commits by itself."""
        return self.engine.atomic(isolation_level)

    def on_commit(self, callback: Callback) -> Callback:
        """Run `callback()` after the outermost commit, never after a rollback; at once outside a transaction.

        A callback that fails is logged, since what was committed stands. Usable as a decorator.
        """
        self.engine.after_commit(callback)
        return callback

    def execute_sql(self, sql: str, params: Sequence[Any] | dict[str, Any] | None = None) -> Any:
        """Run raw SQL as the bound tenant and return the psycopg2 cursor; row-level security holds it.

        Raises:
            UnsafeSQLError: the SQL would end the transaction or change the role or tenant.
        """
        return self.engine.execute_sql(sql, params)

    # -- migrations -------------------------------------------------------------------------------------------

    def migrate(self, to: int | str | None = None) -> list[str]:
        """Bring the schema up to the newest migration, or to `to`; returns the names of those applied."""
        self.engine.checked = False
        return self._runner().up(to)

    def rollback(self, to: int | str | None = None, *, count: int | None = None) -> list[str]:
        """Undo migrations newer than `to` (0 undoes all), or the last `count` (default 1); returns their names."""
        self.engine.checked = False
        self.engine.forget_organizations()
        return self._runner().down(to, count=count)

    def migration_status(self) -> list[MigrationStatus]:
        """Every migration with its state: applied, pending, dirty, changed or missing."""
        return self._runner().status()

    def _runner(self) -> Runner:
        # peewee-migrate is slow to import and needed by deploys only.
        from rayces_core.migrating.runner import Runner

        return Runner(self.url, app_role=self.app_role, admin_role=self.admin_role)

    def _check_first_use(self, connection: TenantConnection) -> None:
        first_use.check(connection, self.app_role, self.admin_role)


def _unbind(mine: object, tokens: tuple[Token[Any], Token[Any]]) -> None:
    """Restore what was bound before; where blocks are left in another order than entered, bind nothing."""
    in_order = block.get() is mine
    try:
        bound.reset(tokens[0])
        block.reset(tokens[1])
    except ValueError as error:  # another context: what is bound there is somebody else's
        raise TenantSwitchError("a tenant's block was left in another task or thread than it was entered") from error
    if not in_order:
        bound.set(None)
        block.set(None)
        raise TenantSwitchError("tenant blocks were left in another order than entered; nothing is bound now")


