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
├── EventLoopError                 a statement would have stopped an event loop (RuntimeError)
├── ConcurrentUnitError            begun within another's unit of work, whose connection it cannot share (RuntimeError)
├── TransactionFailedError         a unit of work could not be kept (peewee.OperationalError)
├── TenancyError
│   ├── TenantNotSetError          (LookupError)
│   ├── UnknownTenantError         (LookupError)
│   ├── InactiveTenantError
│   ├── TenantNotCachedError       (LookupError)
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
├── CreditError                    credits were not moved
│   ├── InsufficientCreditsError
│   ├── BalanceTooLargeError
│   ├── AlreadyDebitedError
│   ├── AlreadyRefundedError
│   └── NothingToRefundError
├── ImportingError                 records could not be brought in
│   ├── SourceError                (ValueError)
│   ├── ColumnMappingError         (ValueError)
│   ├── ImportRefusedError
│   └── ArchiveError               (ValueError)
├── IdempotencyConflictError       an idempotency key came again with another request
└── MigrationError
    ├── MigrationFileError
    └── IrreversibleMigrationError
"""

from rayces_core.errors.base import (
    CheckFailedError,
    ConcurrentUnitError,
    ConfigurationError,
    ConnectionLostError,
    ConstraintError,
    CrossTenantError,
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    EmbeddedServerError,
    EventLoopError,
    InactiveTenantError,
    InvalidDataError,
    IrreversibleMigrationError,
    IsolationInertError,
    MigrationError,
    MigrationFileError,
    MissingExtraError,
    MissingRoleError,
    NaiveDatetimeError,
    OverlapError,
    PermissionDeniedError,
    PoolTimeoutError,
    RaycesError,
    ReferenceNotFoundError,
    RoleNotHeldError,
    SchemaMissingError,
    ServerTooOldError,
    StillReferencedError,
    TenancyError,
    TenantImmutableError,
    TenantNotCachedError,
    TenantNotSetError,
    TenantSwitchError,
    TransactionFailedError,
    UnknownTableError,
    UnknownTenantError,
    UnsafeSQLError,
    ValueRefusedError,
)
from rayces_core.errors.domain import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    BalanceTooLargeError,
    BookingError,
    BookingWindowError,
    ClientBusyError,
    CreditError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidTransitionError,
    LifecycleError,
    NewClientsRefusedError,
    NothingToRefundError,
    NotPermittedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    SlotTakenError,
    StateAssignmentError,
    StudentBusyError,
    StudentNotAdmittedError,
    TooSoonError,
    TransitionRefusedError,
)
from rayces_core.errors.records import (
    ArchiveError,
    ColumnMappingError,
    ImportingError,
    ImportRefusedError,
    SourceError,
)

__all__ = [
    "AlreadyDebitedError",
    "AlreadyRefundedError",
    "ArchiveError",
    "BalanceTooLargeError",
    "BookingError",
    "BookingWindowError",
    "CheckFailedError",
    "ClientBusyError",
    "ColumnMappingError",
    "ConcurrentUnitError",
    "ConfigurationError",
    "ConnectionLostError",
    "ConstraintError",
    "CreditError",
    "CrossTenantError",
    "DatabaseUnreachableError",
    "DeadlockError",
    "DuplicateError",
    "EmbeddedServerError",
    "EventLoopError",
    "IdempotencyConflictError",
    "ImportRefusedError",
    "ImportingError",
    "InactiveTenantError",
    "InsufficientCreditsError",
    "InvalidDataError",
    "InvalidTransitionError",
    "IrreversibleMigrationError",
    "IsolationInertError",
    "LifecycleError",
    "MigrationError",
    "MigrationFileError",
    "MissingExtraError",
    "MissingRoleError",
    "NaiveDatetimeError",
    "NewClientsRefusedError",
    "NotPermittedError",
    "NothingToRefundError",
    "OutsideScheduleError",
    "OverlapError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "ProfessionalInactiveError",
    "RaycesError",
    "ReferenceNotFoundError",
    "RoleNotHeldError",
    "SchemaMissingError",
    "ServerTooOldError",
    "SlotTakenError",
    "SourceError",
    "StateAssignmentError",
    "StillReferencedError",
    "StudentBusyError",
    "StudentNotAdmittedError",
    "TenancyError",
    "TenantImmutableError",
    "TenantNotCachedError",
    "TenantNotSetError",
    "TenantSwitchError",
    "TooSoonError",
    "TransactionFailedError",
    "TransitionRefusedError",
    "UnknownTableError",
    "UnknownTenantError",
    "UnsafeSQLError",
    "ValueRefusedError",
]
