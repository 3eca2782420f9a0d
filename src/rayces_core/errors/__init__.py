"""Every error the library raises, as one tree: class, stable `code`, and what else it is.

What server and driver raise is of Peewee's class too, as it would be without this library. docs/errors.md says of each
when it comes and what to do.

RaycesError                          error
├── ConfigurationError               configuration
│   ├── MissingExtraError            missing_extra
│   ├── EmbeddedServerError          embedded_server
│   ├── ServerTooOldError            server_too_old
│   ├── SchemaMissingError           schema_missing
│   │   └── UnknownTableError        unknown_table            (StatementError)
│   ├── MissingRoleError             missing_role
│   ├── RoleNotHeldError             role_not_held
│   ├── IsolationInertError          isolation_inert
│   └── DatabaseUnreachableError     database_unreachable     (peewee.OperationalError)
│       ├── LoginRefusedError        login_refused
│       ├── DatabaseMissingError     database_missing         (peewee.ProgrammingError)
│       ├── TooManyConnectionsError  too_many_connections
│       └── ServerNotReadyError      server_not_ready
├── ConnectionLostError              connection_lost          (peewee.OperationalError, peewee.InterfaceError)
│   └── ServerShutdownError          server_shutdown
├── PoolTimeoutError                 pool_timeout             (TimeoutError)
├── EventLoopError                   event_loop               (RuntimeError)
├── ConcurrentUnitError              concurrent_unit          (RuntimeError)
├── TimeLimitError                   time_limit
│   ├── LockTimeoutError             lock_timeout             (peewee.OperationalError)
│   ├── StatementTimeoutError        statement_timeout        (StatementCancelledError)
│   ├── TransactionTimeoutError      transaction_timeout      (ConnectionLostError, peewee.InternalError)
│   ├── IdleTransactionTimeoutError  idle_transaction_timeout (ConnectionLostError, peewee.InternalError)
│   └── IdleSessionTimeoutError      idle_session_timeout     (ConnectionLostError)
├── StatementCancelledError          statement_cancelled      (peewee.OperationalError)
├── TransactionFailedError           transaction_failed       (peewee.OperationalError)
│   └── TransactionAbortedError      transaction_aborted      (peewee.InternalError)
├── TransactionStateError            transaction_state        (peewee.InternalError)
├── DeadlockError                    deadlock                 (peewee.OperationalError)
├── SerializationError               serialization_failure    (peewee.OperationalError)
├── SnapshotTooOldError              snapshot_too_old         (peewee.DatabaseError)
├── ReadOnlyError                    read_only                (peewee.InternalError)
├── TenancyError                     tenancy
│   ├── TenantNotSetError            tenant_not_set           (LookupError)
│   ├── UnknownTenantError           unknown_tenant           (LookupError)
│   ├── TenantNotCachedError         tenant_not_cached        (LookupError)
│   ├── InactiveTenantError          inactive_tenant
│   ├── CrossTenantError             cross_tenant
│   │   └── OrganizationMissingError organization_missing
│   ├── TenantImmutableError         tenant_immutable
│   ├── TenantMovingError            tenant_moving
│   ├── TenantMovedError             tenant_moved
│   ├── TenantSwitchError            tenant_switch
│   │   └── CellSwitchError          cell_switch
│   └── UnsafeSQLError               unsafe_sql
├── InvalidDataError                 invalid_data             (ValueError)
│   ├── NaiveDatetimeError           naive_datetime
│   ├── ValueRefusedError            value_refused            (peewee.DataError)
│   │   └── EncodingError            encoding                 (UnicodeError)
│   └── UnsupportedValueError        unsupported_value        (peewee.ProgrammingError, TypeError)
├── UnreadableValueError             unreadable_value         (peewee.DataError, ValueError)
├── ConstraintError                  constraint               (peewee.IntegrityError)
│   ├── DuplicateError               duplicate
│   ├── ReferenceNotFoundError       reference_not_found
│   ├── StillReferencedError         still_referenced
│   ├── CheckFailedError             check_failed
│   └── OverlapError                 overlap
├── StatementError                   statement                (peewee.ProgrammingError)
│   ├── SQLSyntaxError               sql_syntax
│   ├── UnknownColumnError           unknown_column
│   └── UnknownFunctionError         unknown_function
├── ParametersError                  parameters               (peewee.ProgrammingError, TypeError, ValueError)
├── CursorError                      cursor                   (peewee.ProgrammingError, peewee.InterfaceError)
├── PermissionDeniedError            permission_denied        (peewee.ProgrammingError)
├── FeatureNotSupportedError         feature_not_supported    (peewee.NotSupportedError)
├── ServerError                      server                   (peewee.DatabaseError)
│   ├── OperationFailedError         operation_failed         (peewee.OperationalError)
│   │   ├── ResourcesError           resources
│   │   │   ├── DiskFullError        disk_full
│   │   │   └── OutOfMemoryError     out_of_memory
│   │   ├── ProgramLimitError        program_limit
│   │   └── StorageError             storage
│   ├── RoutineError                 routine                  (peewee.InternalError)
│   └── ServerFaultError             server_fault             (peewee.InternalError)
│       └── DataCorruptedError       data_corrupted
├── LifecycleError                   lifecycle
│   ├── InvalidTransitionError       invalid_transition
│   ├── TransitionRefusedError       transition_refused
│   ├── StateAssignmentError         state_assignment         (AttributeError)
│   └── SettledFieldError            settled_field            (AttributeError)
├── NotPermittedError                not_permitted
├── UnauthenticatedError             unauthenticated
│   ├── WrongCredentialsError        wrong_credentials
│   └── EmailUnconfirmedError        email_unconfirmed
├── TooManyAttemptsError             too_many_attempts
├── InvalidLinkError                 invalid_link
├── BodyTooLargeError                too_large
├── BookingError                     booking
│   ├── SlotTakenError               slot_taken               (OverlapError)
│   ├── OutsideScheduleError         outside_schedule
│   ├── StartOffGridError            start_off_grid
│   ├── ClientLimitError             client_limit
│   ├── TooSoonError                 too_soon
│   ├── BookingWindowError           booking_window
│   ├── ProfessionalInactiveError    professional_inactive
│   │   └── NewClientsRefusedError   new_clients_refused
│   ├── StudentNotAdmittedError      student_not_admitted
│   └── StudentBusyError             student_busy
│       └── ClientBusyError          client_busy
├── CreditError                      credit
│   ├── InsufficientCreditsError     insufficient_credits
│   ├── BalanceTooLargeError         balance_too_large
│   ├── AlreadyDebitedError          already_debited
│   ├── AlreadyRefundedError         already_refunded
│   └── NothingToRefundError         nothing_to_refund
├── ImportingError                   importing
│   ├── SourceError                  source                   (ValueError)
│   ├── ColumnMappingError           column_mapping           (ValueError)
│   │   └── AmbiguousColumnsError    ambiguous_columns
│   ├── ImportRefusedError           import_refused
│   └── ArchiveError                 archive                  (ValueError)
├── DeliveryError                    delivery
│   ├── AddressRefusedError          address_refused
│   └── UndeliverableError           undeliverable
├── NotificationRefusedError         notification_refused
├── PaymentUnknownError              payment_unknown          (LookupError)
├── IdempotencyConflictError         idempotency_conflict
├── CellError                        cell
│   └── MoveError                    move
└── MigrationError                   migration
    ├── MigrationFileError           migration_file
    └── IrreversibleMigrationError   irreversible_migration
"""

from rayces_core.errors.base import (
    ConcurrentUnitError,
    ConfigurationError,
    CrossTenantError,
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
    OrganizationMissingError,
    PoolTimeoutError,
    RaycesError,
    RoleNotHeldError,
    SchemaMissingError,
    ServerTooOldError,
    TenancyError,
    TenantImmutableError,
    TenantNotCachedError,
    TenantNotSetError,
    TenantSwitchError,
    TransactionFailedError,
    UnknownTenantError,
    UnsafeSQLError,
)
from rayces_core.errors.cells import CellError, CellSwitchError, MoveError, TenantMovedError, TenantMovingError
from rayces_core.errors.connection import (
    ConnectionLostError,
    DatabaseMissingError,
    DatabaseUnreachableError,
    IdleSessionTimeoutError,
    IdleTransactionTimeoutError,
    LockTimeoutError,
    LoginRefusedError,
    ServerNotReadyError,
    ServerShutdownError,
    StatementCancelledError,
    StatementTimeoutError,
    TimeLimitError,
    TooManyConnectionsError,
    TransactionTimeoutError,
)
from rayces_core.errors.delivery import (
    AddressRefusedError,
    DeliveryError,
    NotificationRefusedError,
    PaymentUnknownError,
    UndeliverableError,
)
from rayces_core.errors.domain import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    BalanceTooLargeError,
    BookingError,
    BookingWindowError,
    ClientBusyError,
    ClientLimitError,
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
    SettledFieldError,
    SlotTakenError,
    StartOffGridError,
    StateAssignmentError,
    StudentBusyError,
    StudentNotAdmittedError,
    TooSoonError,
    TransitionRefusedError,
)
from rayces_core.errors.records import (
    AmbiguousColumnsError,
    ArchiveError,
    ColumnMappingError,
    ImportingError,
    ImportRefusedError,
    SourceError,
)
from rayces_core.errors.server import (
    CheckFailedError,
    ConstraintError,
    CursorError,
    DataCorruptedError,
    DeadlockError,
    DiskFullError,
    DuplicateError,
    EncodingError,
    FeatureNotSupportedError,
    OperationFailedError,
    OutOfMemoryError,
    OverlapError,
    ParametersError,
    PermissionDeniedError,
    ProgramLimitError,
    ReadOnlyError,
    ReferenceNotFoundError,
    ResourcesError,
    RoutineError,
    SerializationError,
    ServerError,
    ServerFaultError,
    SnapshotTooOldError,
    SQLSyntaxError,
    StatementError,
    StillReferencedError,
    StorageError,
    TransactionAbortedError,
    TransactionStateError,
    UnknownColumnError,
    UnknownFunctionError,
    UnknownTableError,
    UnreadableValueError,
    UnsupportedValueError,
    ValueRefusedError,
)
from rayces_core.errors.signing_in import (
    BodyTooLargeError,
    EmailUnconfirmedError,
    InvalidLinkError,
    TooManyAttemptsError,
    UnauthenticatedError,
    WrongCredentialsError,
)

__all__ = [
    "AddressRefusedError",
    "AlreadyDebitedError",
    "AlreadyRefundedError",
    "AmbiguousColumnsError",
    "ArchiveError",
    "BalanceTooLargeError",
    "BodyTooLargeError",
    "BookingError",
    "BookingWindowError",
    "CellError",
    "CellSwitchError",
    "CheckFailedError",
    "ClientBusyError",
    "ClientLimitError",
    "ColumnMappingError",
    "ConcurrentUnitError",
    "ConfigurationError",
    "ConnectionLostError",
    "ConstraintError",
    "CreditError",
    "CrossTenantError",
    "CursorError",
    "DataCorruptedError",
    "DatabaseMissingError",
    "DatabaseUnreachableError",
    "DeadlockError",
    "DeliveryError",
    "DiskFullError",
    "DuplicateError",
    "EmailUnconfirmedError",
    "EmbeddedServerError",
    "EncodingError",
    "EventLoopError",
    "FeatureNotSupportedError",
    "IdempotencyConflictError",
    "IdleSessionTimeoutError",
    "IdleTransactionTimeoutError",
    "ImportRefusedError",
    "ImportingError",
    "InactiveTenantError",
    "InsufficientCreditsError",
    "InvalidDataError",
    "InvalidLinkError",
    "InvalidTransitionError",
    "IrreversibleMigrationError",
    "IsolationInertError",
    "LifecycleError",
    "LockTimeoutError",
    "LoginRefusedError",
    "MigrationError",
    "MigrationFileError",
    "MissingExtraError",
    "MissingRoleError",
    "MoveError",
    "NaiveDatetimeError",
    "NewClientsRefusedError",
    "NotPermittedError",
    "NothingToRefundError",
    "NotificationRefusedError",
    "OperationFailedError",
    "OrganizationMissingError",
    "OutOfMemoryError",
    "OutsideScheduleError",
    "OverlapError",
    "ParametersError",
    "PaymentUnknownError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "ProfessionalInactiveError",
    "ProgramLimitError",
    "RaycesError",
    "ReadOnlyError",
    "ReferenceNotFoundError",
    "ResourcesError",
    "RoleNotHeldError",
    "RoutineError",
    "SQLSyntaxError",
    "SchemaMissingError",
    "SerializationError",
    "ServerError",
    "ServerFaultError",
    "ServerNotReadyError",
    "ServerShutdownError",
    "ServerTooOldError",
    "SettledFieldError",
    "SlotTakenError",
    "SnapshotTooOldError",
    "SourceError",
    "StartOffGridError",
    "StateAssignmentError",
    "StatementCancelledError",
    "StatementError",
    "StatementTimeoutError",
    "StillReferencedError",
    "StorageError",
    "StudentBusyError",
    "StudentNotAdmittedError",
    "TenancyError",
    "TenantImmutableError",
    "TenantMovedError",
    "TenantMovingError",
    "TenantNotCachedError",
    "TenantNotSetError",
    "TenantSwitchError",
    "TimeLimitError",
    "TooManyAttemptsError",
    "TooManyConnectionsError",
    "TooSoonError",
    "TransactionAbortedError",
    "TransactionFailedError",
    "TransactionStateError",
    "TransactionTimeoutError",
    "TransitionRefusedError",
    "UnauthenticatedError",
    "UndeliverableError",
    "UnknownColumnError",
    "UnknownFunctionError",
    "UnknownTableError",
    "UnknownTenantError",
    "UnreadableValueError",
    "UnsafeSQLError",
    "UnsupportedValueError",
    "ValueRefusedError",
    "WrongCredentialsError",
]
