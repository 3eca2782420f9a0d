"""rayces-core: the domain of a multi-tenant booking platform on PostgreSQL, in one package.

    from rayces_core import Database, Student

    db = Database.embedded()
    db.migrate()
    db.create_organization("North Clinic", subdomain="north")
    with db.tenant("north"):
        Student.create(first_name="Luz", last_name="Sosa")

The modules `credits` and `scheduling` hold the ledger and the bookings, `importing` and `exporting` bring records in
and out.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rayces_core._version import __version__

if TYPE_CHECKING:
    from rayces_core import credits, exporting, importing, scheduling
    from rayces_core.database.database import Database as GenericDatabase
    from rayces_core.errors import (
        AlreadyDebitedError,
        AlreadyRefundedError,
        ArchiveError,
        BalanceTooLargeError,
        BookingError,
        BookingWindowError,
        CheckFailedError,
        ClientBusyError,
        ColumnMappingError,
        ConcurrentUnitError,
        ConfigurationError,
        ConnectionLostError,
        ConstraintError,
        CreditError,
        CrossTenantError,
        DatabaseUnreachableError,
        DeadlockError,
        DuplicateError,
        EmbeddedServerError,
        EventLoopError,
        IdempotencyConflictError,
        ImportingError,
        ImportRefusedError,
        InactiveTenantError,
        InsufficientCreditsError,
        InvalidDataError,
        InvalidTransitionError,
        IrreversibleMigrationError,
        IsolationInertError,
        LifecycleError,
        MigrationError,
        MigrationFileError,
        MissingExtraError,
        MissingRoleError,
        NaiveDatetimeError,
        NewClientsRefusedError,
        NothingToRefundError,
        NotPermittedError,
        OutsideScheduleError,
        OverlapError,
        PermissionDeniedError,
        PoolTimeoutError,
        ProfessionalInactiveError,
        RaycesError,
        ReferenceNotFoundError,
        RoleNotHeldError,
        SchemaMissingError,
        ServerTooOldError,
        SlotTakenError,
        SourceError,
        StateAssignmentError,
        StillReferencedError,
        StudentBusyError,
        StudentNotAdmittedError,
        TenancyError,
        TenantImmutableError,
        TenantNotCachedError,
        TenantNotSetError,
        TenantSwitchError,
        TooSoonError,
        TransactionFailedError,
        TransitionRefusedError,
        UnknownTableError,
        UnknownTenantError,
        UnsafeSQLError,
        ValueRefusedError,
    )
    from rayces_core.models import (
        AdmissionState,
        Appointment,
        AppointmentState,
        CreditBalance,
        CreditTransaction,
        ImportRun,
        Like,
        Organization,
        Post,
        Professional,
        Role,
        StateTransition,
        Student,
        TransactionStatus,
        TransactionType,
        User,
    )
    from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel

    Database = GenericDatabase[Organization]

__all__ = [
    "AdmissionState",
    "AlreadyDebitedError",
    "AlreadyRefundedError",
    "Appointment",
    "AppointmentState",
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
    "CreditBalance",
    "CreditError",
    "CreditTransaction",
    "CrossTenantError",
    "Database",
    "DatabaseUnreachableError",
    "DeadlockError",
    "DuplicateError",
    "EmbeddedServerError",
    "EventLoopError",
    "IdempotencyConflictError",
    "ImportRefusedError",
    "ImportRun",
    "ImportingError",
    "InactiveTenantError",
    "InsufficientCreditsError",
    "InvalidDataError",
    "InvalidTransitionError",
    "IrreversibleMigrationError",
    "IsolationInertError",
    "LifecycleError",
    "Like",
    "MigrationError",
    "MigrationFileError",
    "MissingExtraError",
    "MissingRoleError",
    "NaiveDatetimeError",
    "NewClientsRefusedError",
    "NotPermittedError",
    "NothingToRefundError",
    "Organization",
    "OutsideScheduleError",
    "OverlapError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "Post",
    "Professional",
    "ProfessionalInactiveError",
    "RaycesError",
    "ReferenceNotFoundError",
    "Role",
    "RoleNotHeldError",
    "SchemaMissingError",
    "ServerTooOldError",
    "SlotTakenError",
    "SourceError",
    "StateAssignmentError",
    "StateTransition",
    "StillReferencedError",
    "Student",
    "StudentBusyError",
    "StudentNotAdmittedError",
    "TenancyError",
    "TenantForeignKey",
    "TenantImmutableError",
    "TenantModel",
    "TenantNotCachedError",
    "TenantNotSetError",
    "TenantSwitchError",
    "TimestampedTenantModel",
    "TooSoonError",
    "TransactionFailedError",
    "TransactionStatus",
    "TransactionType",
    "TransitionRefusedError",
    "UnknownTableError",
    "UnknownTenantError",
    "UnsafeSQLError",
    "User",
    "ValueRefusedError",
    "__version__",
    "credits",
    "exporting",
    "importing",
    "scheduling",
]

MODULES = ("credits", "exporting", "importing", "scheduling")


def __getattr__(name: str) -> Any:
    """Load the library when one of its names is first used, so that `rayces --help` need not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in MODULES:
        return import_module(f"rayces_core.{name}")
    from rayces_core import errors, models
    from rayces_core.database import database
    from rayces_core.tenancy import model

    for module in (models, model, database, errors):
        for public in vars(module).keys() & set(__all__):
            globals().setdefault(public, getattr(module, public))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
