"""SQLSTATE → error: the classes of PostgreSQL's error codes, and the single codes that mean something else.

https://www.postgresql.org/docs/current/errcodes-appendix.html. What no line here names becomes the error of the kind
that the driver takes it for.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg2
from psycopg2 import errorcodes as code

from rayces_core import errors

# What to do about it, behind the server's own words; of a lost connection that depends on what was under way.
_RETRY: Final = "run the unit of work again"

STATES: Final[dict[str, tuple[type[errors.RaycesError], str]]] = {
    code.READ_ONLY_SQL_TRANSACTION: (
        errors.ReadOnlyError,
        "the server is a standby, or the transaction or the database is read-only; write on the primary",
    ),
    code.IN_FAILED_SQL_TRANSACTION: (
        errors.TransactionAbortedError,
        "an earlier statement of this unit failed; let its error leave the block, or run it in an inner db.atomic()",
    ),
    code.IDLE_IN_TRANSACTION_SESSION_TIMEOUT: (
        errors.IdleTransactionTimeoutError,
        "wait for other services outside the unit of work",
    ),
    "25P04": (errors.TransactionTimeoutError, "do less in one unit of work"),
    code.IDLE_SESSION_TIMEOUT: (errors.IdleSessionTimeoutError, ""),
    code.INVALID_CATALOG_NAME: (errors.DatabaseMissingError, "check its name in the URL"),
    code.STATEMENT_COMPLETION_UNKNOWN: (errors.OperationFailedError, "whether it was kept is unknown; look first"),
    code.SYNTAX_ERROR: (errors.SQLSyntaxError, ""),
    code.UNDEFINED_COLUMN: (errors.UnknownColumnError, ""),
    code.UNDEFINED_FUNCTION: (errors.UnknownFunctionError, ""),
    code.UNDEFINED_TABLE: (
        errors.UnknownTableError,
        "check the name, or run `rayces migrate up` if the schema is older",
    ),
    code.CHARACTER_NOT_IN_REPERTOIRE: (errors.EncodingError, ""),
    code.UNTRANSLATABLE_CHARACTER: (errors.EncodingError, ""),
    code.DISK_FULL: (errors.DiskFullError, "make room on the server's disk"),
    code.OUT_OF_MEMORY: (errors.OutOfMemoryError, "do less at once, or give the server more"),
    code.TOO_MANY_CONNECTIONS: (
        errors.TooManyConnectionsError,
        "lower max_connections= of the applications together, or raise the server's",
    ),
    code.ADMIN_SHUTDOWN: (errors.ServerShutdownError, ""),
    code.CRASH_SHUTDOWN: (errors.ServerShutdownError, ""),
    code.CANNOT_CONNECT_NOW: (errors.ServerNotReadyError, "try again in a moment"),
    code.DATABASE_DROPPED: (errors.ConnectionLostError, "the database is gone"),
    code.DATA_CORRUPTED: (errors.DataCorruptedError, "stop writing and tell your DBA"),
    code.INDEX_CORRUPTED: (errors.DataCorruptedError, "have your DBA rebuild the index (REINDEX)"),
}

CLASSES: Final[dict[str, tuple[type[errors.RaycesError], str]]] = {
    "08": (errors.ConnectionLostError, ""),
    "0A": (errors.FeatureNotSupportedError, ""),
    "20": (errors.StatementError, ""),
    "21": (errors.StatementError, ""),
    "22": (errors.ValueRefusedError, ""),
    "24": (errors.TransactionStateError, ""),
    "25": (errors.TransactionStateError, ""),
    "28": (errors.LoginRefusedError, "check user and password in the URL, and what the server's pg_hba.conf lets in"),
    "2B": (errors.TransactionStateError, ""),
    "2D": (errors.TransactionStateError, ""),
    "2F": (errors.RoutineError, ""),
    "38": (errors.RoutineError, ""),
    "39": (errors.RoutineError, ""),
    "3B": (errors.TransactionStateError, ""),
    "3F": (errors.StatementError, ""),
    "40": (errors.SerializationError, _RETRY),
    "42": (errors.StatementError, ""),
    "44": (errors.StatementError, ""),
    "53": (errors.ResourcesError, ""),
    "54": (errors.ProgramLimitError, ""),
    "58": (errors.StorageError, "look into the server's log"),
    "72": (errors.SnapshotTooOldError, _RETRY),
    "F0": (errors.ServerFaultError, "look into the server's log"),
    "P0": (errors.RoutineError, ""),
    "XX": (errors.ServerFaultError, "look into the server's log"),
}

# The driver's own kinds, for codes that a later PostgreSQL has.
_KINDS: Final[tuple[tuple[type[psycopg2.Error], type[errors.RaycesError]], ...]] = (
    (psycopg2.ProgrammingError, errors.StatementError),
    (psycopg2.InternalError, errors.ServerFaultError),
    (psycopg2.NotSupportedError, errors.FeatureNotSupportedError),
    (psycopg2.OperationalError, errors.OperationFailedError),
)


def kind_of(error: psycopg2.Error) -> tuple[type[errors.RaycesError], str]:
    """The class for a server's error, and what to do about it in words; "" where its class says enough."""
    state = error.pgcode or ""
    if state in _OF_LOST_NODES and (error.diag.message_primary or "").startswith(_NODE_LOST):
        return errors.ConnectionLostError, ""
    found = STATES.get(state) or CLASSES.get(state[:2])
    if found is not None:
        return found
    return next((mine for theirs, mine in _KINDS if isinstance(error, theirs)), errors.ServerError), ""


def said(error: psycopg2.Error) -> str:
    """The server's own sentence, without the details: they repeat what the row holds."""
    sentence = error.diag.message_primary or str(error).strip()
    return _NUMBER.sub("", sentence) if is_of_a_node(error) else sentence


# Citus' words where a node is lost that has the rows, at COMMIT and before; then libpq's, which it hands on.
NODE_LOST_AT_COMMIT: Final = "could not commit transaction for shard"
_NODE_LOST: Final = (
    NODE_LOST_AT_COMMIT,
    "failure on connection marked as essential",
    "failed to COPY to shard",
    "server closed the connection unexpectedly",
    "no connection to the server",
    "could not receive data from server",
    "could not send data to server",
)
_OF_LOST_NODES: Final = (code.INTERNAL_ERROR, code.IO_ERROR)

# Citus hands on what another node has said, which calls its tables by numbers; in no other language.
_OF_A_NODE: Final = "while executing command on "
_NUMBER: Final = re.compile(r'_\d{6,}(?=["»“”:;,]|\s|$)')


def is_of_a_node(error: psycopg2.Error) -> bool:
    """Whether another node of Citus has said it."""
    return _OF_A_NODE in (error.diag.context or "")


def quoted(sentence: str) -> list[str]:
    """The names that a sentence of the server's has in quotes, in the quotes of its language."""
    return re.findall(r'["«„“]([^"»“”]+)["»“”]', sentence)
