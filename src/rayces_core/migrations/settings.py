"""Settings that a database, a role or a URL may give a session, and that would change what is read, printed or done.

What PostgreSQL prints of an expression depends on them, and what it makes of a text as well. So whoever compares what
the catalogue says, or runs a migration, does it under the same ones everywhere: those that PostgreSQL comes with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from rayces_core.errors import ConfigurationError

PINNED: Final = {
    # how SQL is read
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "xmloption": "content",
    # how what is stored is printed
    "quote_all_identifiers": "off",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    # what a session sees, and how long it may take: a step of a migration sets limits of its own
    "row_security": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
# Settings that only a newer server knows: name → its first version.
PINNED_SINCE: Final = {"transaction_timeout": (170_000, "0")}
# These cannot be set for a transaction alone, or mean nothing within one.
_OF_SESSIONS: Final = ("default_transaction_isolation", "default_transaction_deferrable", "idle_session_timeout")


# What else would change the values that are read and what a condition means, where an application's session has it.
READ_ALIKE: Final = ("transform_null_equals", "array_nulls", "IntervalStyle", "extra_float_digits", "bytea_output")

_NOT_STANDARD: Final = (
    "standard_conforming_strings is off for this login or database; a DBA can mend it: ALTER ROLE … RESET "
    "standard_conforming_strings; ALTER DATABASE … RESET standard_conforming_strings"
)


def connect(dsn: str | None = None, **given: Any) -> Any:
    """psycopg2.connect(), with a session that has read strings by the standard from its beginning.

    The driver asks on connecting whether a backslash in a string is a plain one. Of a server that is told otherwise
    later it writes strings that end elsewhere, so what a value holds would run as SQL.

    Raises:
        ConfigurationError: a proxy stands before the server, which lets nobody choose.
    """
    made = psycopg2.connect(dsn, **given)
    if _is_standard(made):
        return made
    options = made.info.dsn_parameters.get("options", "")
    made.close()
    try:
        made = psycopg2.connect(dsn, **given | {"options": f"{options} -c standard_conforming_strings=on".strip()})
    except psycopg2.OperationalError as error:  # as PgBouncer, which takes no options
        raise ConfigurationError(_NOT_STANDARD) from error
    if not _is_standard(made):  # as one that is told to ignore them
        made.close()
        raise ConfigurationError(_NOT_STANDARD)
    return made


def _is_standard(connection: Any) -> bool:
    return bool(connection.get_parameter_status("standard_conforming_strings") != "off")


def pin_session(cursor: Any) -> None:
    """Set them for the length of the session; `cursor` is a psycopg2 cursor."""
    cursor.execute("; ".join(pinning(cursor.connection.server_version)))


def pinning(server_version: int, *, scope: str = "SESSION") -> list[str]:
    """The statements that set them on a server of this version, such as 150004; `scope` is SESSION or LOCAL."""
    newer = {name: value for name, (since, value) in PINNED_SINCE.items() if server_version >= since}
    known = {name: value for name, value in PINNED.items() if scope == "SESSION" or name not in _OF_SESSIONS}
    return [f"SET {scope} {name} TO {_value(value)}" for name, value in {**known, **newer}.items()]


@contextmanager
def pinned(cursor: Any) -> Iterator[None]:
    """Set them for the block alone, also behind a pooling proxy; what is written in the block is undone.

    The block is a transaction, or within the one that is open. `cursor` is a psycopg2 cursor.
    """
    connection = cursor.connection
    alone = connection.autocommit and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if alone else "SAVEPOINT rayces_pinned")
    try:
        cursor.execute("; ".join(pinning(connection.server_version, scope="LOCAL")))
        yield
    except BaseException:
        with suppress(psycopg2.Error):  # the connection may be gone, and what went wrong is told
            _leave(cursor, alone)
        raise
    _leave(cursor, alone)


def _leave(cursor: Any, alone: bool) -> None:
    cursor.execute("ROLLBACK" if alone else "ROLLBACK TO SAVEPOINT rayces_pinned; RELEASE SAVEPOINT rayces_pinned")


def _value(value: str) -> str:
    # A list's elements are separate; each is quoted, as some look like keywords.
    return ", ".join(f"'{part.strip()}'" for part in value.split(","))
