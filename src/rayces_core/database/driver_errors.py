"""What the driver raises by itself, without a word of the server's: lost connections, values that fit no place.

Not all of it is psycopg2's: it lets Python's own TypeError, ValueError, LookupError and OverflowError through.
"""

from __future__ import annotations

from typing import Final

import psycopg2
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.errors import (
    ConnectionLostError,
    CursorError,
    EncodingError,
    FeatureNotSupportedError,
    ParametersError,
    RaycesError,
    ServerError,
    UnreadableValueError,
    UnsupportedValueError,
)

# What `execute` and `fetch` of a cursor raise: to be caught, and given to `translate`.
DRIVER_ERRORS: Final = (psycopg2.Error, TypeError, ValueError, LookupError, OverflowError)

_MISFIT: Final = "the values do not fit the places of the SQL"
_NO_DATE: Final = "is out of range"  # of years 1 to 9999
_UNREADABLE: Final = "a value of the result has no equal in Python"


def without_state(error: psycopg2.Error, cursor: PlainCursor | None = None) -> RaycesError:
    """The error for a driver's error that the server has given no SQLSTATE."""
    text = _first_line(error)
    if _is_lost(error, error.cursor or cursor):
        return ConnectionLostError(
            f"the connection to the database was lost ({text}): the server went away, a DBA ended it, or it was idle "
            "for too long"
        )
    if text.startswith("can't adapt type"):
        named = text.removeprefix("can't adapt type ")
        return UnsupportedValueError(
            "value", None, f"the driver cannot send a {named}; give a number, text, date, list or Json(...)"
        )
    if isinstance(error, psycopg2.DataError):
        return UnreadableValueError(f"{_UNREADABLE}: {text}; cast it to text in the SQL")
    if isinstance(error, psycopg2.NotSupportedError):
        return FeatureNotSupportedError(text)
    if "placeholder" in text:
        return ParametersError(f"{_MISFIT}: {text}; double a percent sign that stands for itself")
    if isinstance(error, psycopg2.ProgrammingError | psycopg2.InterfaceError):
        return CursorError(f"the cursor cannot do that: {text}")
    return ServerError(text)


def of_pythons_own(error: Exception) -> Exception:
    """The error for one of Python's that came out of the driver; what is none of DRIVER_ERRORS stays what it is."""
    text = _first_line(error)
    if isinstance(error, UnicodeEncodeError) or "NUL (0x00)" in text:
        return EncodingError("value", None, f"a text cannot be stored: {_said_without_text(error)}")
    if isinstance(error, OverflowError | UnicodeDecodeError) or (isinstance(error, ValueError) and _NO_DATE in text):
        return UnreadableValueError(f"{_UNREADABLE}: {text}; cast it to text in the SQL")
    if isinstance(error, KeyError):
        return ParametersError(f"{_MISFIT}: there is no value named {text}")
    if isinstance(error, DRIVER_ERRORS):
        return ParametersError(f"{_MISFIT}: {text}; a percent sign that stands for itself is written %%")
    return error


def _is_lost(error: psycopg2.Error, cursor: PlainCursor | None) -> bool:
    if cursor is not None and cursor.connection.closed:
        return True
    if isinstance(error, psycopg2.InterfaceError):
        # "cursor already closed" is said of a cursor that was closed, and of any whose connection is.
        return cursor is None or "connection" in str(error)
    return isinstance(error, psycopg2.OperationalError) or "no message from the libpq" in str(error)


def _said_without_text(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):  # its own words repeat the character, which is no text
        return f"the character at {error.start + 1} is {error.object[error.start]!a}, {error.reason}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
