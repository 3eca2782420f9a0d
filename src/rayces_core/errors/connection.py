"""What the way to the server raises: no connection could be made, or the one there was is gone."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import peewee

from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN, ConfigurationError, Outcome, RaycesError


class DatabaseUnreachableError(ConfigurationError, peewee.OperationalError):
    """No connection to the server could be made: host, port, network, or a server that is down."""

    code = "database_unreachable"
    retryable = True
    outcome = NOT_COMMITTED


class LoginRefusedError(DatabaseUnreachableError):
    """The server does not let this login in: its name, its password, or what pg_hba.conf says of it."""

    code = "login_refused"
    retryable = False


class DatabaseMissingError(DatabaseUnreachableError, peewee.ProgrammingError):
    """The server has no database of that name."""

    code = "database_missing"
    retryable = False


class TooManyConnectionsError(DatabaseUnreachableError):
    """The server has no connection to spare: its max_connections, or those of the login or the database, are in use."""

    code = "too_many_connections"


class ServerNotReadyError(DatabaseUnreachableError):
    """The server is starting, recovering or shutting down, and takes nobody yet or no more."""

    code = "server_not_ready"


class ConnectionLostError(RaycesError, peewee.OperationalError, peewee.InterfaceError):
    """The connection broke; the next statement outside a transaction gets a new one.

    A unit of work that was open is undone, `outcome` is "not committed". It is "unknown" where a COMMIT, or a statement
    that commits by itself, was under way, and the server could not be asked; then `retryable` is false.
    """

    code = "connection_lost"
    retryable = True
    outcome = UNKNOWN


class ServerShutdownError(ConnectionLostError):
    """The server ended the connection: it shuts down, it crashed, or a DBA terminated it."""

    code = "server_shutdown"


class TimeLimitError(RaycesError):
    """Something took longer than the server allows. Attribute: `setting`, the server's name for that limit."""

    code = "time_limit"
    setting: ClassVar[str] = ""


class LockTimeoutError(TimeLimitError, peewee.OperationalError):
    """Somebody else kept a lock for too long, or had it at all where NOWAIT was said.

    Attribute: `table`, whose row or table was locked, where the server tells.
    """

    code = "lock_timeout"
    retryable = True
    setting = "lock_timeout"

    def __init__(self, message: str, *, table: str = "") -> None:
        self.table = table
        super().__init__(message)


class StatementCancelledError(RaycesError, peewee.OperationalError):
    """Somebody cancelled the statement: Ctrl-C, connection.cancel(), or a DBA."""

    code = "statement_cancelled"


class StatementTimeoutError(TimeLimitError, StatementCancelledError):
    """The statement ran longer than statement_timeout allows."""

    code = "statement_timeout"
    setting = "statement_timeout"


class TransactionTimeoutError(TimeLimitError, ConnectionLostError, peewee.InternalError):
    """The unit of work lasted longer than transaction_timeout allows; the server ended the connection."""

    code = "transaction_timeout"
    retryable = False
    setting = "transaction_timeout"


class IdleTransactionTimeoutError(TimeLimitError, ConnectionLostError, peewee.InternalError):
    """The unit of work waited for something else than the database for too long; the server ended the connection."""

    code = "idle_transaction_timeout"
    retryable = False
    setting = "idle_in_transaction_session_timeout"


class IdleSessionTimeoutError(TimeLimitError, ConnectionLostError):
    """The connection was not used for too long; the server ended it."""

    code = "idle_session_timeout"
    retryable = True
    setting = "idle_session_timeout"


# The driver gives no SQLSTATE while it connects, only the server's words.
_REFUSALS: Final[dict[type[DatabaseUnreachableError], str]] = {
    ServerNotReadyError: r"the database system is |not (?:yet |currently )?accepting connections",
    TooManyConnectionsError: r"too many clients|too many connections|connection slots are reserved|"
    r"connection limit exceeded|no more connections allowed",
    DatabaseMissingError: r'database ".*" does not exist',
    LoginRefusedError: r'authentication failed|pg_hba\.conf|no password supplied|role ".*" does not exist|'
    r"not permitted to log in|permission denied for database|password .*expired",
}
_ADVICE: Final[dict[type[DatabaseUnreachableError], str]] = {
    DatabaseUnreachableError: "check the URL, the server and the login",
    ServerNotReadyError: "try again in a moment",
    TooManyConnectionsError: "lower max_connections= of the applications together, or raise the server's",
    DatabaseMissingError: "check its name in the URL, or make it with `rayces migrate up --create-database`",
    LoginRefusedError: "check user and password in the URL, and what the server's pg_hba.conf lets in",
}


def unreachable(error: Exception, what: str = "no connection to the database") -> DatabaseUnreachableError:
    """The error for what the driver raised while it connected, told by the server's own words.

    Args:
        what: the beginning of the sentence, where it is another database than the application's.
    """
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    kind = next((kind for kind, words in _REFUSALS.items() if re.search(words, reason)), DatabaseUnreachableError)
    made = kind(f"{what}: {reason}; {_ADVICE[kind]}")
    caused_by(made, error)
    return made


def caused_by(made: Any, error: Exception) -> Any:
    """`made`, with the driver's error as its `orig`, its `sqlstate` and its cause."""
    made.orig, made.sqlstate = error, getattr(error, "pgcode", None)
    made.__cause__ = error
    return made


# What to do about it, for what ended the connection.
_NEXT: Final[dict[Outcome, str]] = {
    NOT_COMMITTED: "nothing of it was committed; run the unit of work again",
    UNKNOWN: "whether it was committed is unknown: look for what it was to write before it is done again, or repeat it "
    "with the same idempotency key",
}


def with_outcome(error: RaycesError, outcome: Outcome) -> RaycesError:
    """`error`, which says what became of the work that it ended and what to do now; to be called once."""
    may_be_repeated = type(error).retryable
    error.outcome, error.retryable = outcome, may_be_repeated and outcome == NOT_COMMITTED
    if outcome == UNKNOWN or may_be_repeated:
        error.args = (f"{error.args[0]}; {_NEXT[outcome]}", *error.args[1:])
    return error
