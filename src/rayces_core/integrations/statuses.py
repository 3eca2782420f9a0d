"""Which HTTP status each error is, and which of its facts a client may know.

Rule it guards: what an answer says of an error is on this list. Sentences of errors name rows and people, so none is
ever sent. A test fails for a class that is not here.
"""

from __future__ import annotations

from typing import Final

import peewee

from rayces_core import errors as e

_BY_STATUS: Final[dict[int, tuple[type[Exception], ...]]] = {
    400: (e.NotificationRefusedError,),
    401: (e.UnauthenticatedError, e.WrongCredentialsError, e.EmailUnconfirmedError),
    403: (e.NotPermittedError,),
    404: (
        *(e.CrossTenantError, e.InactiveTenantError, e.UnknownTenantError, e.PaymentUnknownError),
        *(e.FeedNotFoundError, peewee.DoesNotExist),
    ),
    410: (e.InvalidLinkError,),
    409: (
        *(e.AlreadyDebitedError, e.AlreadyRefundedError, e.BalanceTooLargeError, e.CreditError),
        *(e.InsufficientCreditsError, e.NothingToRefundError, e.PackageExpiredError),
        *(e.BookingError, e.ClientBusyError, e.ClientLimitError, e.NewClientsRefusedError, e.ProfessionalInactiveError),
        *(e.GroupFullError, e.ServiceInactiveError, e.ServiceNotGivenError),
        *(e.SecondProfessionalTakenError, e.RoomTakenError, e.DeviceTakenError, e.ResourceUnfitError),
        *(e.SeriesConflictError, e.SlotTakenError, e.StudentBusyError, e.StudentNotAdmittedError),
        *(e.ConstraintError, e.DuplicateError, e.OverlapError, e.StillReferencedError),
        *(e.InvalidTransitionError, e.LifecycleError, e.TransitionRefusedError),
        *(e.MergeRefusedError, e.ErasureRefusedError),
    ),
    413: (e.BodyTooLargeError,),
    422: (
        *(e.BookingWindowError, e.OutsideScheduleError, e.StartOffGridError, e.TooSoonError),
        *(e.CheckFailedError, e.ReferenceNotFoundError, e.IdempotencyConflictError),
        *(e.InvalidDataError, e.NaiveDatetimeError, e.ValueRefusedError, e.EncodingError, e.UnsupportedValueError),
        *(e.AmbiguousColumnsError, e.ArchiveError, e.ColumnMappingError, e.ImportingError, e.ImportRefusedError),
        e.SourceError,
    ),
    429: (e.TooManyAttemptsError,),
    500: (
        *(e.AddressRefusedError, e.DeliveryError, e.UndeliverableError, e.OutsideCalendarError),
        *(e.RaycesError, e.ConcurrentUnitError, e.ConfigurationError, e.EmbeddedServerError, e.EventLoopError),
        *(e.IsolationInertError, e.MissingExtraError, e.MissingFontError, e.MissingRoleError),
        *(e.RoleNotHeldError, e.SchemaMissingError),
        *(e.ServerTooOldError, e.LoginRefusedError, e.DatabaseMissingError, e.UnknownTableError),
        *(e.IrreversibleMigrationError, e.MigrationError, e.MigrationFileError),
        *(e.OrganizationMissingError, e.TenancyError, e.TenantImmutableError, e.TenantNotCachedError),
        *(e.CellError, e.CellSwitchError, e.MoveError),
        *(e.TenantNotSetError, e.TenantSwitchError, e.UnsafeSQLError, e.SettledFieldError, e.StateAssignmentError),
        *(e.TransactionAbortedError, e.TransactionFailedError, e.TransactionStateError),
        *(e.CursorError, e.FeatureNotSupportedError, e.ParametersError, e.PermissionDeniedError, e.SQLSyntaxError),
        *(e.StatementError, e.UnknownColumnError, e.UnknownFunctionError, e.UnreadableValueError),
        *(e.DataCorruptedError, e.OperationFailedError, e.ProgramLimitError, e.RoutineError, e.ServerError),
        *(e.ServerFaultError, e.StorageError),
    ),
    503: (
        *(e.DatabaseUnreachableError, e.ServerNotReadyError, e.TooManyConnectionsError, e.PoolTimeoutError),
        *(e.ConnectionLostError, e.ServerShutdownError, e.IdleSessionTimeoutError, e.IdleTransactionTimeoutError),
        *(e.LockTimeoutError, e.StatementCancelledError, e.StatementTimeoutError, e.TimeLimitError),
        *(e.TransactionTimeoutError, e.DeadlockError, e.SerializationError, e.SnapshotTooOldError),
        *(e.ReadOnlyError, e.DiskFullError, e.OutOfMemoryError, e.ResourcesError),
        *(e.TenantMovingError, e.TenantMovedError),
    ),
}

# The status of each class; one below it that is not here has the status of the nearest above.
STATUS: Final[dict[type[BaseException], int]] = {kind: status for status, kinds in _BY_STATUS.items() for kind in kinds}

# Attributes that an answer may name, those of the classes above included; what is in none is never sent. No id of a
# row is here: a conflicting appointment, an entry, an actor are other people's. `reason` of a value that the server
# refused is the server's sentence, which quotes whatever value the statement met.
FACTS: Final[dict[type[BaseException], tuple[str, ...]]] = {
    e.InvalidTransitionError: ("event", "from_state", "allowed"),
    e.TransitionRefusedError: ("event", "reason"),
    e.InvalidDataError: ("field", "reason"),
    e.ConstraintError: ("fields",),
    e.OutsideScheduleError: ("reason", "nearest"),
    e.StartOffGridError: ("every_minutes", "nearest"),
    e.TooSoonError: ("earliest",),
    e.BookingWindowError: ("latest",),
    e.ClientLimitError: ("setting", "limit"),
    e.BodyTooLargeError: ("limit",),
    e.StudentNotAdmittedError: ("admission_state",),
    e.TooManyAttemptsError: ("retry_after",),
    e.InsufficientCreditsError: ("required", "available"),
    e.MergeRefusedError: ("reason",),
    e.ErasureRefusedError: ("sessions", "credits_left", "payments"),
    e.ColumnMappingError: ("missing", "unknown"),
    e.AmbiguousColumnsError: ("choices",),
}
WITHHELD: Final[dict[type[BaseException], tuple[str, ...]]] = {e.ValueRefusedError: ("field", "reason")}

# Classes that an answer does not tell apart, lest it says whether a row of another tenant, or the tenant, is there.
SAME_AS: Final[dict[type[BaseException], str]] = {
    e.CrossTenantError: "not_found",
    peewee.DoesNotExist: "not_found",
    e.InactiveTenantError: e.UnknownTenantError.code,
}
