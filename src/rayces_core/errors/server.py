"""What the server refuses, and what its driver does: rows, values, SQL, units of work, resources."""

from __future__ import annotations

import peewee

from rayces_core.errors.base import InvalidDataError, RaycesError, SchemaMissingError, TransactionFailedError

# -- values ---------------------------------------------------------------------------------------------------------


class ValueRefusedError(InvalidDataError, peewee.DataError):
    """The server could not take a value: out of range, malformed or not convertible."""

    code = "value_refused"


class EncodingError(ValueRefusedError, UnicodeError):
    """A text has a character that the database cannot store: NUL, half a surrogate, or none of its encoding."""

    code = "encoding"


class UnsupportedValueError(InvalidDataError, peewee.ProgrammingError, TypeError):
    """A value is of a type that the driver cannot send. `value` is None: the driver tells its type alone."""

    code = "unsupported_value"


class UnreadableValueError(RaycesError, peewee.DataError, ValueError):
    """The driver cannot turn what the server sent into a Python value, such as a date before the year 1."""

    code = "unreadable_value"


# -- rows -----------------------------------------------------------------------------------------------------------


class ConstraintError(RaycesError, peewee.IntegrityError):
    """The database refused a row.

    Attributes: `constraint`, its name; `table`; `fields`, the columns concerned without organization_id.
    """

    code = "constraint"

    def __init__(self, message: str, *, constraint: str = "", table: str = "", fields: tuple[str, ...] = ()) -> None:
        self.constraint, self.table, self.fields = constraint, table, fields
        super().__init__(message)


class DuplicateError(ConstraintError):
    """Another row of the same organization already has these values."""

    code = "duplicate"


class ReferenceNotFoundError(ConstraintError):
    """The row names another that is not there; another organization's row is not there either."""

    code = "reference_not_found"


class StillReferencedError(ConstraintError):
    """The row cannot be deleted, because others name it."""

    code = "still_referenced"


class CheckFailedError(ConstraintError):
    """A value breaks a rule that the database holds."""

    code = "check_failed"


class OverlapError(ConstraintError):
    """The professional's time is already taken."""

    code = "overlap"


# -- SQL ------------------------------------------------------------------------------------------------------------


class StatementError(RaycesError, peewee.ProgrammingError):
    """SQL that the server does not run as it is written.

    Attributes: `line` and `column`, from 1, in the caller's own SQL with its values put in; `excerpt`, that line with
    its literals left out. None and "" where the server names no place.
    """

    code = "statement"

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None, excerpt: str = "") -> None:
        self.line, self.column, self.excerpt = line, column, excerpt
        super().__init__(message)


class SQLSyntaxError(StatementError):
    """SQL that PostgreSQL cannot read."""

    code = "sql_syntax"


class UnknownColumnError(StatementError):
    """A statement names a column that is not there."""

    code = "unknown_column"


class UnknownFunctionError(StatementError):
    """A statement calls a function or an operator that is not there for these types."""

    code = "unknown_function"


class UnknownTableError(StatementError, SchemaMissingError):
    """A statement names a table that is not there."""

    code = "unknown_table"


class ParametersError(RaycesError, peewee.ProgrammingError, TypeError, ValueError):
    """The values do not fit the places of the SQL: too few, too many, other names, or a lone percent sign."""

    code = "parameters"


class PermissionDeniedError(RaycesError, peewee.ProgrammingError):
    """The tenant's role may not do that, by its grants."""

    code = "permission_denied"


class FeatureNotSupportedError(RaycesError, peewee.NotSupportedError):
    """PostgreSQL, or this version of it, cannot do that."""

    code = "feature_not_supported"


class CursorError(RaycesError, peewee.ProgrammingError, peewee.InterfaceError):
    """A cursor was asked for what it cannot give: it is closed, it has no result, or it needs a transaction."""

    code = "cursor"


# -- units of work --------------------------------------------------------------------------------------------------


class DeadlockError(RaycesError, peewee.OperationalError):
    """Two units of work waited for each other and the server undid this one; run it again.

    Attribute: `table`, whose row was waited for, where the server tells.
    """

    code = "deadlock"
    retryable = True

    def __init__(self, message: str, *, table: str = "") -> None:
        self.table = table
        super().__init__(message)


class SerializationError(RaycesError, peewee.OperationalError):
    """Another unit of work changed what this one had read, and the server undid this one."""

    code = "serialization_failure"
    retryable = True


class SnapshotTooOldError(RaycesError, peewee.DatabaseError):
    """The unit of work read for so long that the server has dropped what it would see."""

    code = "snapshot_too_old"
    retryable = True


class ReadOnlyError(RaycesError, peewee.InternalError):
    """The server takes no writes: it is a standby, or the transaction or the database is read-only."""

    code = "read_only"


class TransactionAbortedError(TransactionFailedError, peewee.InternalError):
    """A statement of this unit of work has failed, and the server takes no other until it is undone."""

    code = "transaction_aborted"


class TransactionStateError(RaycesError, peewee.InternalError):
    """The statement does not fit where the transaction, a savepoint, a cursor, or what depends on it stands."""

    code = "transaction_state"


# -- the server itself ----------------------------------------------------------------------------------------------


class ServerError(RaycesError, peewee.DatabaseError):
    """The server refused a statement for a reason that has no class of its own; `sqlstate` tells which."""

    code = "server"


class OperationFailedError(ServerError, peewee.OperationalError):
    """A statement could not be carried out as things stand, such as an object in use."""

    code = "operation_failed"


class ResourcesError(OperationFailedError):
    """The server lacks something it needs, or a limit set by its DBA is reached."""

    code = "resources"


class DiskFullError(ResourcesError):
    """The server's disk is full."""

    code = "disk_full"


class OutOfMemoryError(ResourcesError):
    """The server has no memory for that, or no room in its table of locks."""

    code = "out_of_memory"


class ProgramLimitError(OperationFailedError):
    """PostgreSQL has a limit that the statement exceeds: columns, arguments, nesting, the size of an index entry."""

    code = "program_limit"


class StorageError(OperationFailedError):
    """The server could not read or write one of its files."""

    code = "storage"


class RoutineError(ServerError, peewee.InternalError):
    """A function, procedure or trigger of the database raised an error."""

    code = "routine"


class ServerFaultError(ServerError, peewee.InternalError):
    """The server found a fault in itself or in its configuration."""

    code = "server_fault"


class DataCorruptedError(ServerFaultError):
    """The server found a table or an index damaged."""

    code = "data_corrupted"
