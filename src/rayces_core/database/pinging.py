"""Whether the server answers: on a connection of its own, within a limit."""

from __future__ import annotations

import math
import time

import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core.errors import ConfigurationError
from rayces_core.errors.connection import unreachable


def ping(dsn: str, timeout: float) -> float:
    """Connect and have the server answer; returns after how many seconds it did.

    Raises:
        DatabaseUnreachableError: no answer within `timeout` seconds.
    """
    if not timeout > 0:
        raise ConfigurationError(f"timeout must be above zero, not {timeout!r}")
    started = time.monotonic()
    limits = f"-c statement_timeout={math.ceil(timeout * 1000)}"
    # libpq counts whole seconds, two at least; a host that takes the connection and says nothing is waited for as well.
    within = make_dsn(dsn, connect_timeout=max(2, math.ceil(timeout)), tcp_user_timeout=math.ceil(timeout * 1000))
    try:
        connection = psycopg2.connect(make_dsn(within, options=limits))
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
    try:
        connection.cursor().execute("SELECT 1")
    except psycopg2.Error as error:
        raise unreachable(error, "the server does not answer") from error
    finally:
        connection.close()
    return time.monotonic() - started
