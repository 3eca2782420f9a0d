"""A second connection that sees which locks a statement takes that no transaction can hold still.

It locks every table as a writing application would, so a CONCURRENTLY statement has to wait for it with its own locks
in hand; once the wait is seen the probe lets go, and looks on until the statement is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from rayces_core.errors import MigrationError
from rayces_core.migrations.session import MigrationDatabase, deaf_to_signals

PAUSE_SECONDS = 0.002
# VACUUM waits for nobody.
LONGEST_HOLD_SECONDS = 5.0

_NAMES = "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE oid = ANY(%s) AND relkind IN ('r', 'p')"
_WAITS = "SELECT true FROM pg_locks WHERE pid = %s AND NOT granted"


class Probe:
    """Looks at the locks of `database`'s connection.

    Args:
        query: what to ask, with the process id as its parameter. tables: oids of those to hold.

    `rows` is every answer that was given.
    """

    def __init__(self, database: MigrationDatabase, query: str, tables: Iterable[int]) -> None:
        self._database, self._query, self._tables = database, query, list(tables)
        self._pid = database.server.get_backend_pid()
        self._holds, self._done = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self.rows: list[tuple[Any, ...]] = []

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Look for the length of the block; raises MigrationError when the second connection fails."""
        thread = threading.Thread(target=self._look, name="rayces_core probe")
        thread.start()
        try:
            self._holds.wait()
            yield
        finally:
            self._done.set()
            thread.join()
        if self._failure is not None:
            raise MigrationError(f"the locks could not be watched: {str(self._failure).strip()}") from self._failure

    def _look(self) -> None:
        deaf_to_signals()
        try:
            with self._connection() as holder, self._connection() as watcher:
                watcher.autocommit = True
                self._hold(holder)
                self._holds.set()
                self._sample(holder, watcher.cursor())
        except psycopg2.Error as error:
            self._failure = error
        finally:
            self._holds.set()

    def _connection(self) -> Any:
        facts = {**self._database.connect_params, "application_name": "rayces_core probe"}
        return closing(psycopg2.connect(dbname=self._database.database, **facts))

    def _hold(self, holder: Any) -> None:
        cursor = holder.cursor()
        cursor.execute(_NAMES, (self._tables,))
        (names,) = cursor.fetchone()
        if names:
            cursor.execute(f"LOCK TABLE {names} IN ROW EXCLUSIVE MODE")

    def _sample(self, holder: Any, cursor: Any) -> None:
        release_at = time.monotonic() + LONGEST_HOLD_SECONDS
        while True:
            cursor.execute(self._query, (self._pid,))
            self.rows += cursor.fetchall()
            cursor.execute(_WAITS, (self._pid,))
            if cursor.fetchone() or time.monotonic() > release_at:
                # Once more: it may have taken its lock between the two questions.
                cursor.execute(self._query, (self._pid,))
                self.rows += cursor.fetchall()
                holder.rollback()
            if self._done.wait(PAUSE_SECONDS):
                return
