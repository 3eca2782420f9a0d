"""The tree of errors: one root, stable codes, names that say what they are, facts that survive the way elsewhere."""

import pickle
import re
from collections import Counter

import rayces_core
from rayces_core import errors
from tests.errors.tree import drawn, every_error, parents
from tests.walking import walked

CLASSES = every_error()

# Programs and translations go by these. A new class gets a line here; a line never changes.
CODES = {
    "AddressRefusedError": "address_refused",
    "AlreadyDebitedError": "already_debited",
    "AlreadyRefundedError": "already_refunded",
    "AmbiguousColumnsError": "ambiguous_columns",
    "ArchiveError": "archive",
    "BalanceTooLargeError": "balance_too_large",
    "BodyTooLargeError": "too_large",
    "BookingError": "booking",
    "BookingWindowError": "booking_window",
    "CellError": "cell",
    "CellSwitchError": "cell_switch",
    "CheckFailedError": "check_failed",
    "ClientBusyError": "client_busy",
    "ClientLimitError": "client_limit",
    "ColumnMappingError": "column_mapping",
    "ConcurrentUnitError": "concurrent_unit",
    "ConfigurationError": "configuration",
    "ConnectionLostError": "connection_lost",
    "ConstraintError": "constraint",
    "CreditError": "credit",
    "CrossTenantError": "cross_tenant",
    "CursorError": "cursor",
    "DataCorruptedError": "data_corrupted",
    "DatabaseMissingError": "database_missing",
    "DatabaseUnreachableError": "database_unreachable",
    "DeadlockError": "deadlock",
    "DeliveryError": "delivery",
    "DiskFullError": "disk_full",
    "DuplicateError": "duplicate",
    "EmbeddedServerError": "embedded_server",
    "EncodingError": "encoding",
    "ErasureRefusedError": "erasure_refused",
    "EventLoopError": "event_loop",
    "FeatureNotSupportedError": "feature_not_supported",
    "FeedNotFoundError": "feed_not_found",
    "GroupFullError": "group_full",
    "IdempotencyConflictError": "idempotency_conflict",
    "IdleSessionTimeoutError": "idle_session_timeout",
    "IdleTransactionTimeoutError": "idle_transaction_timeout",
    "ImportRefusedError": "import_refused",
    "ImportingError": "importing",
    "InactiveTenantError": "inactive_tenant",
    "InsufficientCreditsError": "insufficient_credits",
    "InvalidDataError": "invalid_data",
    "InvalidTransitionError": "invalid_transition",
    "IrreversibleMigrationError": "irreversible_migration",
    "IsolationInertError": "isolation_inert",
    "LifecycleError": "lifecycle",
    "LockTimeoutError": "lock_timeout",
    "LoginRefusedError": "login_refused",
    "MergeRefusedError": "merge_refused",
    "MigrationError": "migration",
    "MigrationFileError": "migration_file",
    "MissingExtraError": "missing_extra",
    "MissingFontError": "missing_font",
    "MissingRoleError": "missing_role",
    "MoveError": "move",
    "NaiveDatetimeError": "naive_datetime",
    "NewClientsRefusedError": "new_clients_refused",
    "NotPermittedError": "not_permitted",
    "OutsideCalendarError": "outside_calendar",
    "UnauthenticatedError": "unauthenticated",
    "WrongCredentialsError": "wrong_credentials",
    "EmailUnconfirmedError": "email_unconfirmed",
    "TooManyAttemptsError": "too_many_attempts",
    "InvalidLinkError": "invalid_link",
    "NothingToRefundError": "nothing_to_refund",
    "NotificationRefusedError": "notification_refused",
    "OperationFailedError": "operation_failed",
    "OrganizationMissingError": "organization_missing",
    "OutOfMemoryError": "out_of_memory",
    "OutsideScheduleError": "outside_schedule",
    "OverlapError": "overlap",
    "PackageExpiredError": "package_expired",
    "ParametersError": "parameters",
    "PaymentUnknownError": "payment_unknown",
    "PermissionDeniedError": "permission_denied",
    "PoolTimeoutError": "pool_timeout",
    "ProfessionalInactiveError": "professional_inactive",
    "ProgramLimitError": "program_limit",
    "RaycesError": "error",
    "ReadOnlyError": "read_only",
    "ReferenceNotFoundError": "reference_not_found",
    "ResourcesError": "resources",
    "RoleNotHeldError": "role_not_held",
    "RoutineError": "routine",
    "SQLSyntaxError": "sql_syntax",
    "SchemaMissingError": "schema_missing",
    "SerializationError": "serialization_failure",
    "ServerError": "server",
    "ServerFaultError": "server_fault",
    "ServerNotReadyError": "server_not_ready",
    "ServerShutdownError": "server_shutdown",
    "ServerTooOldError": "server_too_old",
    "DeviceTakenError": "device_taken",
    "ResourceUnfitError": "resource_unfit",
    "RoomTakenError": "room_taken",
    "SecondProfessionalTakenError": "second_professional_taken",
    "ServiceInactiveError": "service_inactive",
    "ServiceNotGivenError": "service_not_given",
    "SettledFieldError": "settled_field",
    "SlotTakenError": "slot_taken",
    "SnapshotTooOldError": "snapshot_too_old",
    "SourceError": "source",
    "SeriesConflictError": "series_conflict",
    "StartOffGridError": "start_off_grid",
    "StateAssignmentError": "state_assignment",
    "StatementCancelledError": "statement_cancelled",
    "StatementError": "statement",
    "StatementTimeoutError": "statement_timeout",
    "StillReferencedError": "still_referenced",
    "StorageError": "storage",
    "StudentBusyError": "student_busy",
    "StudentNotAdmittedError": "student_not_admitted",
    "TenancyError": "tenancy",
    "TenantImmutableError": "tenant_immutable",
    "TenantMovedError": "tenant_moved",
    "TenantMovingError": "tenant_moving",
    "TenantNotCachedError": "tenant_not_cached",
    "TenantNotSetError": "tenant_not_set",
    "TenantSwitchError": "tenant_switch",
    "TimeLimitError": "time_limit",
    "TooManyConnectionsError": "too_many_connections",
    "TooSoonError": "too_soon",
    "TransactionAbortedError": "transaction_aborted",
    "TransactionFailedError": "transaction_failed",
    "TransactionStateError": "transaction_state",
    "TransactionTimeoutError": "transaction_timeout",
    "TransitionRefusedError": "transition_refused",
    "UndeliverableError": "undeliverable",
    "UnknownColumnError": "unknown_column",
    "UnknownFunctionError": "unknown_function",
    "UnknownTableError": "unknown_table",
    "UnknownTenantError": "unknown_tenant",
    "UnreadableValueError": "unreadable_value",
    "UnsafeSQLError": "unsafe_sql",
    "UnsupportedValueError": "unsupported_value",
    "ValueRefusedError": "value_refused",
}

MADE = [
    errors.PoolTimeoutError(5, 1.5),
    errors.UnknownTenantError("north"),
    errors.InactiveTenantError("north"),
    errors.CrossTenantError("no", bound=1, found=2),
    errors.InvalidDataError("User.email", "x", "no @"),
    errors.NaiveDatetimeError("Appointment.scheduled_at", None),
    errors.DuplicateError("taken", constraint="c", table="users", fields=("email",)),
    errors.SlotTakenError(conflicting_id=5),
    errors.LockTimeoutError("late", table="users"),
    errors.SQLSyntaxError("wrong", line=1, column=2, excerpt="SELEC"),
    errors.EncodingError("value", "a\0", "NUL"),
    errors.UnsupportedValueError("value", None, "an object"),
    errors.ParametersError("too few"),
    errors.UnknownTableError("nowhere"),
    errors.TransitionRefusedError("confirm", "expired", "the hold has expired"),
    errors.TenantNotSetError(),
    errors.RaycesError("plain"),
    errors.DeliveryError("busy", retry_after=3.5),
    errors.AddressRefusedError("hooks.example.org", "10.0.0.1"),
    errors.PaymentUnknownError("stripe", "cs_1"),
    errors.FeedNotFoundError(),
    errors.OutsideCalendarError("status", "its server answered 500"),
    errors.MissingFontError("字"),
]


def test_codes_are_what_they_have_always_been():
    assert {kind.__name__: kind.code for kind in CLASSES} == CODES


@walked("kind", CLASSES)
def test_every_class_has_a_code_of_its_own(kind):
    assert "code" in vars(kind)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


def test_no_two_classes_share_a_code():
    assert [code for code, times in Counter(kind.code for kind in CLASSES).items() if times > 1] == []


@walked("kind", CLASSES)
def test_every_error_is_public_named_and_documented(kind):
    assert kind.__name__.endswith("Error")
    assert kind.__doc__
    assert getattr(rayces_core, kind.__name__) is kind
    assert kind.__name__ in rayces_core.__all__
    assert kind.__name__ in errors.__all__
    assert isinstance(kind.retryable, bool)


def test_the_drawing_of_the_tree_is_the_tree():
    tree = drawn()
    assert {*tree, "RaycesError"} == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES[1:]:
        above, code, others = tree[kind.__name__]
        named = {base.__name__ if base.__module__ != "peewee" else f"peewee.{base.__name__}" for base in kind.__bases__}
        assert (code, above in [each.__name__ for each in parents(kind)]) == (kind.code, True)
        assert {above, *others} == named, kind


@walked("error", MADE)
def test_an_error_keeps_its_facts_through_pickle(error):
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert (again.code, again.retryable) == (error.code, error.retryable)


@walked("kind", CLASSES)
def test_an_error_that_is_none_of_the_drivers_has_no_original(kind):
    error = kind.__new__(kind)
    assert (error.orig, error.sqlstate) == (None, None)


def test_a_refused_transition_has_its_own_code_and_the_reason_beside_it():
    error = errors.TransitionRefusedError("confirm", "expired", "the hold has expired; book again")
    assert (error.code, error.reason, error.sentence) == (
        "transition_refused",
        "expired",
        "the hold has expired; book again",
    )


def test_a_host_may_add_errors_without_a_code():
    class QuotaError(errors.RaycesError):
        """A host's own."""

    assert QuotaError("too many").code == "error"
