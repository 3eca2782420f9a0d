"""The root of all errors, and what installation, tenancy, values and migrations raise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, Literal

import peewee

from rayces_core.errors.showing import as_html, rendered

Outcome = Literal["committed", "not committed", "unknown"]
COMMITTED: Final = "committed"
NOT_COMMITTED: Final = "not committed"
UNKNOWN: Final = "unknown"
MOST_LETTERS: Final = 10


class RaycesError(Exception):
    """Base of every error of this library.

    Attributes:
        code: stable name of the kind of error, for programs and translations; the sentence may change, this does not.
        retryable: whether running the whole unit of work again may help, and is safe.
        outcome: what became of the unit of work or lone statement that it ended: "not committed", or "unknown" where
            neither the server nor what it holds could tell. None where nothing of the kind was under way.
        orig: the driver's error that it was made of. sqlstate: that one's five characters. None where there is none.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False
    outcome: Outcome | None = None
    orig: Exception | None = None
    sqlstate: str | None = None

    def _repr_html_(self) -> str:
        return as_html(self)

    def _render_traceback_(self) -> list[str]:
        # IPython asks for it.
        return rendered(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (workers, test runners); their constructors want facts, not args.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[RaycesError], args: tuple[Any, ...]) -> RaycesError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class ConfigurationError(RaycesError):
    """The installation, the URL, a role or the schema is not as it must be; the message says what to do."""

    code = "configuration"


class MissingExtraError(ConfigurationError):
    """An optional part is not installed; the message names the extra to install."""

    code = "missing_extra"


class MissingFontError(ConfigurationError):
    """No font at hand can set a text; `letters` are those that it lacks, in the order of their code points."""

    code = "missing_font"

    def __init__(self, letters: Iterable[str]) -> None:
        self.letters = tuple(sorted(letters))
        named = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in self.letters[:MOST_LETTERS])
        super().__init__(f"no font has {named}; install fonts-dejavu-core, or give a TrueType file with them as font=")


class EmbeddedServerError(ConfigurationError):
    """The embedded PostgreSQL could not be started, joined or stopped."""

    code = "embedded_server"


class ServerTooOldError(ConfigurationError):
    """The server is older than PostgreSQL 15."""

    code = "server_too_old"


class SchemaMissingError(ConfigurationError):
    """The database holds no schema of this library yet; run `rayces migrate up`."""

    code = "schema_missing"


class MissingRoleError(ConfigurationError):
    """A role is missing and the login may not create it; the message has the statements for a DBA."""

    code = "missing_role"


class RoleNotHeldError(ConfigurationError):
    """The login may not become the application's role; the message has the statement that allows it."""

    code = "role_not_held"


class IsolationInertError(ConfigurationError):
    """Row-level security would not hold the application's role, so nothing is run with it."""

    code = "isolation_inert"


class PoolTimeoutError(RaycesError, TimeoutError):
    """Every connection stayed in use for the whole waiting time.

    Attributes: `max_connections`, `waited_seconds`; `in_event_loop`, whether it did not wait, since those who could
    give a connection back are tasks of the loop that would have stood still.
    """

    code = "pool_timeout"
    retryable = True
    outcome = NOT_COMMITTED

    def __init__(self, max_connections: int, waited_seconds: float, *, in_event_loop: bool = False) -> None:
        self.max_connections, self.waited_seconds = max_connections, waited_seconds
        self.in_event_loop = in_event_loop
        super().__init__(
            f"all {max_connections} connections are in use, and an event loop runs in this thread, which must not wait "
            "for them; call the database in threads (asyncio.to_thread), at most as many as max_connections="
            if in_event_loop
            else f"all {max_connections} connections stayed in use for {waited_seconds:g} s; leave tenant blocks "
            "sooner, or raise max_connections= or pool_timeout="
        )


class EventLoopError(RaycesError, RuntimeError):
    """A statement would have stopped an event loop until its answer came, and the Database was made to refuse that."""

    code = "event_loop"

    def __init__(self) -> None:
        super().__init__(
            "an event loop runs in this thread and would stand still until the database answers; "
            "call it in a thread (asyncio.to_thread, anyio.to_thread.run_sync, a plain `def` endpoint)"
        )


class ConcurrentUnitError(RaycesError, RuntimeError):
    """A task or thread that was begun within an open unit of work asked for a connection of its own."""

    code = "concurrent_unit"

    def __init__(self) -> None:
        super().__init__(
            "this task or thread was begun within a unit of work of another one, whose connection it cannot share: "
            "what it writes would not be part of the unit, and it would wait for the unit's own locks. Call it "
            "directly (a plain await), or begin it outside `with db.atomic():`"
        )


class TransactionFailedError(RaycesError, peewee.OperationalError):
    """A unit of work was not kept: a statement in it had failed, or its blocks were left out of order.

    `retryable` where another unit of work was in the way.
    """

    code = "transaction_failed"
    outcome = NOT_COMMITTED

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(message)


class TenancyError(RaycesError):
    """A rule of tenant isolation was about to be broken."""

    code = "tenancy"


class TenantNotSetError(TenancyError, LookupError):
    """No tenant is bound; nothing works without one."""

    code = "tenant_not_set"

    def __init__(self, message: str = "no tenant is bound here; wrap the code in `with db.tenant(...):`") -> None:
        super().__init__(message)


class UnknownTenantError(TenancyError, LookupError):
    """There is no organization of that subdomain or id. Attribute: `tenant`, what was asked for."""

    code = "unknown_tenant"

    def __init__(self, tenant: object, message: str | None = None) -> None:
        self.tenant = tenant
        super().__init__(
            message or f"there is no organization {tenant!r}; give a subdomain, an id or a saved Organization"
        )


class TenantNotCachedError(TenancyError, LookupError):
    """An organization was to be named without asking the database, and has not been looked up here lately.

    Attribute: `key`, the subdomain or id.
    """

    code = "tenant_not_cached"

    def __init__(self, key: object) -> None:
        self.key = key
        super().__init__(f"{key!r} has not been looked up here lately; call find_tenant() in a thread")


class InactiveTenantError(TenancyError):
    """The organization is switched off. Attribute: `tenant`."""

    code = "inactive_tenant"

    def __init__(self, tenant: object) -> None:
        self.tenant = tenant
        super().__init__(f"organization {tenant!r} is not active; set active=True in a privileged block to use it")


class CrossTenantError(TenancyError):
    """A row of one tenant met the scope of another.

    Attributes: `bound`, id of the bound organization (None in privileged work); `found`, the other one, if known;
    `table`, where the database refused it.
    """

    code = "cross_tenant"

    def __init__(self, message: str, *, bound: int | None = None, found: object = None, table: str = "") -> None:
        self.bound, self.found, self.table = bound, found, table
        super().__init__(message)


class OrganizationMissingError(CrossTenantError):
    """A row names no organization, so it would be nobody's."""

    code = "organization_missing"


class TenantImmutableError(TenancyError):
    """A row never changes its organization."""

    code = "tenant_immutable"

    def __init__(self, message: str = "a row never changes its organization; create it anew in the other one") -> None:
        super().__init__(message)


class TenantSwitchError(TenancyError):
    """The tenant cannot change while a transaction is open."""

    code = "tenant_switch"


class UnsafeSQLError(TenancyError):
    """Raw SQL that would end the transaction, change the role or the tenant; refused before it is sent."""

    code = "unsafe_sql"


class InvalidDataError(RaycesError, ValueError):
    """A value is refused before any SQL. Attributes: `field`, `value`, `reason`."""

    code = "invalid_data"

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field, self.value, self.reason = field, value, reason
        super().__init__(f"{field}: {reason}")


class NaiveDatetimeError(InvalidDataError):
    """A datetime without a time zone."""

    code = "naive_datetime"

    def __init__(self, field: str, value: object) -> None:
        super().__init__(
            field, value, "a datetime needs a time zone; use datetime.now(timezone.utc) or .replace(tzinfo=...)"
        )


class MigrationError(RaycesError):
    """A migration could not be run; nothing of the failing step was kept."""

    code = "migration"


class MigrationFileError(MigrationError):
    """A file of the migrations' directory is edited, missing, misnamed or numbered twice; nothing was run."""

    code = "migration_file"


class IrreversibleMigrationError(MigrationError):
    """A migration to be rolled back has no way back; nothing was run."""

    code = "irreversible_migration"
