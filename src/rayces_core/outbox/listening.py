"""Hears that messages were put, where a session of the server's own is to be had; behind a pooling proxy it cannot.

A connection and a thread of its own: LISTEN belongs to a session, and a pooled connection is everybody's.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

import psycopg2

from rayces_core.database.urls import with_defaults

logger = logging.getLogger("rayces_core")

CHANNEL: Final = "rayces_outbox"
AGAIN_SECONDS: Final = 5.0


class Listener:
    """Calls `heard` at each notification until it is closed; a lost connection is made anew."""

    def __init__(self, url: str, heard: Callable[[], object]) -> None:
        self._dsn, self._heard = with_defaults(url), heard
        self._closing, self._close = os.pipe()
        self.is_listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rayces-outbox-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        os.write(self._close, b".")
        self._thread.join()
        os.close(self._close)
        os.close(self._closing)

    def _run(self) -> None:
        while True:
            try:
                with closing(psycopg2.connect(self._dsn)) as connection:
                    connection.autocommit = True
                    if not _is_direct(connection):
                        logger.info("a proxy stands before the server, so the outbox is polled")
                        return
                    if self._listen(connection):
                        return
            except psycopg2.Error as error:
                logger.debug("the outbox's listener has lost its connection: %s", error)
            self.is_listening.clear()
            if self._is_closed_within(AGAIN_SECONDS):
                return

    def _listen(self, connection: Any) -> bool:
        """Listen until closed, which is True, or until the connection is lost."""
        connection.cursor().execute(f"LISTEN {CHANNEL}")
        self.is_listening.set()
        self._heard()  # what was put before
        while True:
            ready, _, _ = select.select([connection, self._closing], [], [])
            if self._closing in ready:
                return True
            connection.poll()
            if connection.notifies:
                connection.notifies.clear()
                self._heard()

    def _is_closed_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        with suppress(OSError):
            return bool(select.select([self._closing], [], [], max(0.0, until - time.monotonic()))[0])
        return True


def _is_direct(connection: Any) -> bool:
    cursor = connection.cursor()
    cursor.execute("SELECT pg_catalog.pg_backend_pid()")
    return bool(cursor.fetchone()[0] == connection.get_backend_pid())
