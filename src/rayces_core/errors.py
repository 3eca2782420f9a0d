"""Every error the library raises, as one tree.

RaycesError
├── ConfigurationError             the installation, the URL, a role or the schema is not as it must be
│   ├── MissingExtraError
│   ├── EmbeddedServerError
│   ├── DatabaseUnreachableError
│   ├── ServerTooOldError
│   ├── SchemaMissingError
│   │   └── UnknownTableError      (peewee.ProgrammingError)
│   ├── MissingRoleError
│   ├── RoleNotHeldError
│   └── IsolationInertError
├── ConnectionLostError            the server closed the connection (peewee.OperationalError)
├── PoolTimeoutError               no connection became free in time (TimeoutError)
├── TransactionFailedError         a unit of work could not be kept (peewee.OperationalError)
├── TenancyError
│   ├── TenantNotSetError          (LookupError)
│   ├── UnknownTenantError         (LookupError)
│   ├── InactiveTenantError
│   ├── CrossTenantError
│   ├── TenantImmutableError
│   ├── TenantSwitchError
│   └── UnsafeSQLError
├── InvalidDataError               a value is refused before any SQL (ValueError)
│   ├── NaiveDatetimeError
│   └── ValueRefusedError          refused by the server (peewee.DataError)
├── ConstraintError                the database refused a row (peewee.IntegrityError)
│   ├── DuplicateError
│   ├── ReferenceNotFoundError
│   ├── StillReferencedError
│   ├── CheckFailedError
│   └── OverlapError
├── PermissionDeniedError          the tenant's role may not do that (peewee.ProgrammingError)
├── DeadlockError                  the server undid the unit of work to let another go on (peewee.OperationalError)
├── LifecycleError                 a row's state was not changed
│   ├── InvalidTransitionError     the event does not start from the state that the row has
│   ├── TransitionRefusedError     a condition of the event does not hold
│   └── StateAssignmentError       a state was assigned instead of reached by an event (AttributeError)
├── NotPermittedError              the acting user may not do that
├── BookingError                   an appointment was not booked or moved
│   ├── SlotTakenError             (OverlapError)
│   ├── OutsideScheduleError
│   ├── TooSoonError
│   ├── BookingWindowError
│   ├── ProfessionalInactiveError
│   │   └── NewClientsRefusedError
│   ├── StudentNotAdmittedError
│   └── StudentBusyError
│       └── ClientBusyError
├── IdempotencyConflictError       an idempotency key came again with another request
└── MigrationError
    ├── MigrationFileError
    └── IrreversibleMigrationError
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import peewee


class RaycesError(Exception):
    """Base of every error of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (workers, test runners); their constructors want facts, not args.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[RaycesError], args: tuple[Any, ...]) -> RaycesError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class ConfigurationError(RaycesError):
    """The installation, the URL, a role or the schema is not as it must be; the message says what to do."""


class MissingExtraError(ConfigurationError):
    """An optional part is not installed; the message names the extra to install."""


class EmbeddedServerError(ConfigurationError):
    """The embedded PostgreSQL could not be started, joined or stopped."""


class DatabaseUnreachableError(ConfigurationError):
    """No connection to the server could be made: host, port, database, login or password."""


class ServerTooOldError(ConfigurationError):
    """The server is older than PostgreSQL 15."""


class SchemaMissingError(ConfigurationError):
    """The database holds no schema of this library yet; run `rayces migrate up`."""


class UnknownTableError(SchemaMissingError, peewee.ProgrammingError):
    """A statement names a table that is not there."""


class MissingRoleError(ConfigurationError):
    """A role is missing and the login may not create it; the message has the statements for a DBA."""


class RoleNotHeldError(ConfigurationError):
    """The login may not become the application's role; the message has the statement that allows it."""


class IsolationInertError(ConfigurationError):
    """Row-level security would not hold the application's role, so nothing is run with it."""


class ConnectionLostError(RaycesError, peewee.OperationalError):
    """The server closed the connection; the next statement outside a transaction gets a new one."""


class PoolTimeoutError(RaycesError, TimeoutError):
    """Every connection stayed in use for the whole waiting time.

    Attributes: `max_connections`, `waited_seconds`.
    """

    def __init__(self, max_connections: int, waited_seconds: float) -> None:
        self.max_connections, self.waited_seconds = max_connections, waited_seconds
        super().__init__(
            f"all {max_connections} connections stayed in use for {waited_seconds:g} s; leave tenant blocks sooner, "
            "or raise max_connections= or pool_timeout="
        )


class TransactionFailedError(RaycesError, peewee.OperationalError):
    """A unit of work was not kept: a statement in it had failed, or its blocks were left out of order."""


class TenancyError(RaycesError):
    """A rule of tenant isolation was about to be broken."""


class TenantNotSetError(TenancyError, LookupError):
    """No tenant is bound; nothing works without one."""

    def __init__(self, message: str = "no tenant is bound here; wrap the code in `with db.tenant(...):`") -> None:
        super().__init__(message)


class UnknownTenantError(TenancyError, LookupError):
    """There is no organization of that subdomain or id. Attribute: `tenant`, what was asked for."""

    def __init__(self, tenant: object, message: str | None = None) -> None:
        self.tenant = tenant
        super().__init__(
            message or f"there is no organization {tenant!r}; give a subdomain, an id or a saved Organization"
        )


class InactiveTenantError(TenancyError):
    """The organization is switched off. Attribute: `tenant`."""

    def __init__(self, tenant: object) -> None:
        self.tenant = tenant
        super().__init__(f"organization {tenant!r} is not active; set active=True in a privileged block to use it")


class CrossTenantError(TenancyError):
    """A row of one tenant met the scope of another.

    Attributes: `bound`, id of the bound organization (None in privileged work); `found`, the other one, if known.
    """

    def __init__(self, message: str, *, bound: int | None = None, found: object = None) -> None:
        self.bound, self.found = bound, found
        super().__init__(message)


class TenantImmutableError(TenancyError):
    """A row never changes its organization."""

    def __init__(self, message: str = "a row never changes its organization; create it anew in the other one") -> None:
        super().__init__(message)


class TenantSwitchError(TenancyError):
    """The tenant cannot change while a transaction is open."""


class UnsafeSQLError(TenancyError):
    """Raw SQL that would end the transaction, change the role or the tenant; refused before it is sent."""


class InvalidDataError(RaycesError, ValueError):
    """A value is refused before any SQL. Attributes: `field`, `value`, `reason`."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field, self.value, self.reason = field, value, reason
        super().__init__(f"{field}: {reason}")


class NaiveDatetimeError(InvalidDataError):
    """A datetime without a time zone."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(
            field, value, "a datetime needs a time zone; use datetime.now(timezone.utc) or .replace(tzinfo=...)"
        )


class ValueRefusedError(InvalidDataError, peewee.DataError):
    """The server could not take a value: out of range, malformed or not convertible."""


class ConstraintError(RaycesError, peewee.IntegrityError):
    """The database refused a row.

    Attributes: `constraint`, its name; `table`; `fields`, the columns concerned without organization_id.
    """

    def __init__(self, message: str, *, constraint: str = "", table: str = "", fields: tuple[str, ...] = ()) -> None:
        self.constraint, self.table, self.fields = constraint, table, fields
        super().__init__(message)


class DuplicateError(ConstraintError):
    """Another row of the same organization already has these values."""


class ReferenceNotFoundError(ConstraintError):
    """The row names another that is not there; another organization's row is not there either."""


class StillReferencedError(ConstraintError):
    """The row cannot be deleted, because others name it."""


class CheckFailedError(ConstraintError):
    """A value breaks a rule that the database holds."""


class OverlapError(ConstraintError):
    """The professional's time is already taken."""


class PermissionDeniedError(RaycesError, peewee.ProgrammingError):
    """The tenant's role may not do that, by its grants."""


class DeadlockError(RaycesError, peewee.OperationalError):
    """Two units of work waited for each other and the server undid this one; run it again."""


class LifecycleError(RaycesError):
    """A row's state was not changed; nothing was written."""


class InvalidTransitionError(LifecycleError):
    """The event does not start from the state that the row has in the database.

    Attributes: `event`; `from_state`, the state that the database has; `allowed`, the events that start from it.
    """

    def __init__(self, subject: str, event: str, from_state: str, allowed: tuple[str, ...]) -> None:
        self.event, self.from_state, self.allowed = event, from_state, allowed
        events = f"it allows {', '.join(allowed)}" if allowed else "nothing can follow it"
        super().__init__(f"{event} is not possible: the {subject} is {from_state}; {events}")


class TransitionRefusedError(LifecycleError):
    """A condition of the event does not hold. Attributes: `event`; `code`, stable; `reason`, a sentence."""

    def __init__(self, event: str, code: str, reason: str) -> None:
        self.event, self.code, self.reason = event, code, reason
        super().__init__(f"{event} is refused: {reason}")


class StateAssignmentError(LifecycleError, AttributeError):
    """A state was assigned; call the event that leads to it, such as `appointment.confirm()`."""


class NotPermittedError(RaycesError):
    """The acting user may not do that. Attributes: `action`; `actor_id`; `allowed`, who may."""

    def __init__(self, action: str, actor_id: object, allowed: tuple[str, ...]) -> None:
        self.action, self.actor_id, self.allowed = action, actor_id, allowed
        super().__init__(f"user {actor_id} may not {action}; allowed: {', '.join(allowed)}")


class BookingError(RaycesError):
    """An appointment was not booked or moved; nothing was written. Attribute: `scheduled_at`, the start asked for."""

    scheduled_at: datetime | None = None


class SlotTakenError(BookingError, OverlapError):
    """The professional's time is already taken.

    Attribute: `conflicting_id`, id of the appointment that holds it, where that is known.
    """

    def __init__(
        self,
        message: str = "the professional already has an appointment at that time",
        *,
        conflicting_id: int | None = None,
        constraint: str = "appointments_no_overlap",
        table: str = "appointments",
        fields: tuple[str, ...] = ("professional_id", "scheduled_at"),
    ) -> None:
        self.conflicting_id = conflicting_id
        super().__init__(message, constraint=constraint, table=table, fields=fields)


class OutsideScheduleError(BookingError):
    """The session does not lie in working time, or meets a blocked date.

    Attributes: `reason`, "outside_schedule" or "blocked_date"; `nearest`, the nearest free Slot, or None.
    """

    def __init__(self, message: str, *, reason: str, nearest: Any = None) -> None:
        self.reason, self.nearest = reason, nearest
        super().__init__(message)


class TooSoonError(BookingError):
    """The start has passed or is nearer than the minimum notice. Attribute: `earliest`, the first start allowed."""

    def __init__(self, message: str, *, earliest: datetime) -> None:
        self.earliest = earliest
        super().__init__(message)


class BookingWindowError(BookingError):
    """The start is further ahead than bookings are taken. Attribute: `latest`, the last start allowed."""

    def __init__(self, message: str, *, latest: datetime) -> None:
        self.latest = latest
        super().__init__(message)


class ProfessionalInactiveError(BookingError):
    """The professional takes no bookings."""


class NewClientsRefusedError(ProfessionalInactiveError):
    """The professional takes no new clients, and the student has had no appointment there."""


class StudentNotAdmittedError(BookingError):
    """The student's admission does not allow a booking. Attribute: `admission_state`."""

    def __init__(self, message: str, *, admission_state: str) -> None:
        self.admission_state = admission_state
        super().__init__(message)


class StudentBusyError(BookingError):
    """The student has another appointment at that time. Attribute: `conflicting_id`, that appointment's id."""

    def __init__(self, message: str, *, conflicting_id: int) -> None:
        self.conflicting_id = conflicting_id
        super().__init__(message)


class ClientBusyError(StudentBusyError):
    """The client has another appointment at that time, with another student."""


class IdempotencyConflictError(RaycesError):
    """An idempotency key came again with another request. Attribute: `key`."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the idempotency key {key!r} was used for another request; use a new key for a new request")


class MigrationError(RaycesError):
    """A migration could not be run; nothing of the failing step was kept."""


class MigrationFileError(MigrationError):
    """A file of the migrations' directory is edited, missing, misnamed or numbered twice; nothing was run."""


class IrreversibleMigrationError(MigrationError):
    """A migration to be rolled back has no way back; nothing was run."""
