"""Lets Ctrl-C end a statement that the server is still working on; psycopg2 by itself waits until it is done."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    STATUS_BEGIN,
    STATUS_READY,
    parse_dsn,
)
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.waiting import waited_for_by

CONNECT_SECONDS = 10


class Interruption:
    """Whether Ctrl-C has been pressed while the server was working.

    The statement then ends with an error, on which what called it can still clean up; a statement that was done a
    moment before ends well. So who runs many of them asks between two.
    """

    pressed = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if it has been pressed."""
        if self.pressed:
            raise KeyboardInterrupt

    def wait(self, connection: Connection) -> None:
        """Wait for the server; psycopg2 calls this."""
        connecting_until = _deadline(connection)
        while True:
            try:
                state = connection.poll()
                if state == POLL_OK:
                    return
                _wait_for_socket(connection.fileno(), state, connecting_until)
            except KeyboardInterrupt:
                if connecting_until is not None:
                    raise
                self.pressed = True
                connection.cancel()


@contextmanager
def interruptible_statements() -> Iterator[Interruption]:
    """For the block, Ctrl-C cancels the statement under way on the server; the block ends with KeyboardInterrupt."""
    interruption = Interruption()
    try:
        with waited_for_by(interruption.wait):
            yield interruption
    finally:
        interruption.check()


def _deadline(connection: Connection) -> float | None:
    """Until when a connection that is being made may take; None for one that is made. libpq leaves it to who waits."""
    if connection.status in (STATUS_READY, STATUS_BEGIN):
        return None
    return time.monotonic() + float(parse_dsn(connection.dsn).get("connect_timeout", CONNECT_SECONDS))


def _wait_for_socket(socket: int, state: int, until: float | None) -> None:
    reading, writing = ([socket], []) if state == POLL_READ else ([], [socket])
    seconds = None if until is None else max(until - time.monotonic(), 0)
    if not any(select.select(reading, writing, [], seconds)):
        raise psycopg2.OperationalError("the server has not answered in time")
