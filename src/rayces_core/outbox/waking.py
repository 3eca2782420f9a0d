"""Waker: tells relays, soon after a commit of this process, that there is something to deliver.

NOTIFY within a transaction takes a lock of the whole server until that has committed, so it is sent afterwards, by a
thread and on a connection of its own, once for all commits of a few milliseconds. It only makes delivery sooner: what
nobody is told of is found by the next poll.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from rayces_core.credits.announcing import lifecycle as entries
from rayces_core.database.binding import bound_here
from rayces_core.database.urls import with_defaults
from rayces_core.models.appointment import Appointment
from rayces_core.models.student import Student
from rayces_core.outbox.listening import CHANNEL
from rayces_core.state_machine import telling

if TYPE_CHECKING:
    from rayces_core.database.database import Database

logger = logging.getLogger("rayces_core")

LEAST_SECONDS: Final = 0.005
_LIFECYCLES: Final = (Appointment.lifecycle, Student.lifecycle, entries)


class Waker:
    """Wakes the relays of a database after each transition, booking, posting or message that this process commits.

    One for each Database, made where the application starts; `close` ends it. `wake` may be called as well, such as
    by `db.on_commit(waker.wake)`, for messages that are written by SQL.
    """

    def __init__(self, db: Database) -> None:
        self._db, self._dsn = db, with_defaults(db.url)
        self._rung = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._process = 0
        self._lock = threading.Lock()
        for lifecycle in _LIFECYCLES:
            lifecycle.on()(self._heard)
        telling.heard.append(self._heard)

    def close(self) -> None:
        """Wake nobody any more."""
        for lifecycle in _LIFECYCLES:
            lifecycle.off(self._heard)
        telling.heard.remove(self._heard)
        self._is_closed = True
        self._rung.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join()

    def wake(self) -> None:
        """Wake the relays; costs nothing, as another thread does it."""
        if self._is_closed:
            return
        if self._process != os.getpid():  # at first, and in a process that was forked
            self._start()
        self._rung.set()

    def _heard(self, _: Any = None) -> None:
        binding = bound_here()
        if binding is not None and binding.engine in (self._db._tenants, self._db._admins):
            self.wake()

    def _start(self) -> None:
        with self._lock:
            if self._process != os.getpid():
                self._rung, self._process = threading.Event(), os.getpid()
                self._thread = threading.Thread(target=self._run, name="rayces-outbox-waker", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        connection: Any = None
        while True:
            self._rung.wait()
            self._rung.clear()
            if self._is_closed:
                break
            try:
                if connection is None or connection.closed:
                    connection = psycopg2.connect(self._dsn)
                    connection.autocommit = True
                connection.cursor().execute("SELECT pg_catalog.pg_notify(%s, '')", (CHANNEL,))
            except psycopg2.Error as error:
                logger.debug("relays could not be woken, and find it by themselves: %s", error)
            time.sleep(LEAST_SECONDS)
        if connection is not None:
            connection.close()
