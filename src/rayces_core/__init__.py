"""rayces-core: the domain of a multi-tenant booking platform on PostgreSQL, in one package.

from rayces_core import Database, Student

db = Database.embedded()
db.migrate()
db.create_organization("North Clinic", subdomain="north")
with db.tenant("north"):
Student.create(first_name="Luz", last_name="Sosa")
"""

from typing import TYPE_CHECKING, Any

from rayces_core._version import __version__

if TYPE_CHECKING:
    from rayces_core.database import Database
    from rayces_core.errors import (
        CheckFailedError,
        ConfigurationError,
        ConnectionLostError,
        ConstraintError,
        CrossTenantError,
        DatabaseUnreachableError,
        DuplicateError,
        EmbeddedServerError,
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
        TenantNotSetError,
        TenantSwitchError,
        TransactionFailedError,
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
    from rayces_core.tenancy import TenantForeignKey, TenantModel, TimestampedTenantModel

__all__ = [
    "AdmissionState",
    "Appointment",
    "AppointmentState",
    "CheckFailedError",
    "ConfigurationError",
    "ConnectionLostError",
    "ConstraintError",
    "CreditBalance",
    "CreditTransaction",
    "CrossTenantError",
    "Database",
    "DatabaseUnreachableError",
    "DuplicateError",
    "EmbeddedServerError",
    "InactiveTenantError",
    "InvalidDataError",
    "IrreversibleMigrationError",
    "IsolationInertError",
    "Like",
    "MigrationError",
    "MigrationFileError",
    "MissingExtraError",
    "MissingRoleError",
    "NaiveDatetimeError",
    "Organization",
    "OverlapError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "Post",
    "Professional",
    "RaycesError",
    "ReferenceNotFoundError",
    "Role",
    "RoleNotHeldError",
    "SchemaMissingError",
    "ServerTooOldError",
    "StateTransition",
    "StillReferencedError",
    "Student",
    "TenancyError",
    "TenantForeignKey",
    "TenantImmutableError",
    "TenantModel",
    "TenantNotSetError",
    "TenantSwitchError",
    "TimestampedTenantModel",
    "TransactionFailedError",
    "TransactionStatus",
    "TransactionType",
    "UnknownTableError",
    "UnknownTenantError",
    "UnsafeSQLError",
    "User",
    "ValueRefusedError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load the library when one of its names is first used, so that `rayces --help` need not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rayces_core import database, errors, models, tenancy

    for module in (models, tenancy, database, errors):
        for public in vars(module).keys() & set(__all__):
            globals().setdefault(public, getattr(module, public))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
