"""Who is in the way, and how far an index build has come: a second connection asks while a step runs.

It has to look while a wait for a lock lasts: once the lock timeout has struck, the server no longer knows whom we
waited for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg2

from rayces_core.migrations.session import MigrationDatabase, Progress, deaf_to_signals

logger = logging.getLogger("rayces_core.migrations")

# A step that is done sooner costs no second connection.
FIRST_LOOK_SECONDS = 0.2
PAUSE_SECONDS = 0.2
LONGEST_GOODBYE_SECONDS = 1.0
QUERY_CHARACTERS = 80

# A prepared transaction is reported as process 0, which has no activity.
_BLOCKERS = """
SELECT b.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.state, a.query
  FROM (SELECT DISTINCT unnest(pg_blocking_pids(%s)) AS pid) AS b
  LEFT JOIN pg_stat_activity a ON a.pid = b.pid
 ORDER BY a.xact_start, b.pid
"""

# Blocks are counted while the table is read, tuples while the index is filled, lockers while others are waited for.
_PROGRESS = """
SELECT format('building %%s: %%s', coalesce(index_relid::regclass::text, relid::regclass::text), phase),
       CASE WHEN blocks_total > 0 THEN blocks_done WHEN tuples_total > 0 THEN tuples_done ELSE lockers_done END,
       CASE WHEN blocks_total > 0 THEN blocks_total WHEN tuples_total > 0 THEN tuples_total ELSE lockers_total END
  FROM pg_stat_progress_create_index
 WHERE pid = %s AND datname = current_database()
"""


class Lookout:
    """Watches what one migrating connection waits for.

    `seen` says who was in the way last, a sentence for each session; empty when nobody was.
    """

    def __init__(self, database: MigrationDatabase) -> None:
        self.database = database
        self.seen: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._watched: _Watch | None = None
        self._relieved: threading.Event | None = None

    @contextmanager
    def on_duty(self) -> Iterator[None]:
        """For the block one thread looks on; outside of it every watch has to start its own, which takes longer."""
        if self._relieved is not None:
            yield
            return
        relieved = self._relieved = threading.Event()
        thread = threading.Thread(target=self._stand, args=(relieved,), name="rayces_core lookout", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._relieved = None
            relieved.set()
            thread.join(LONGEST_GOODBYE_SECONDS)

    @contextmanager
    def watching(self, label: str) -> Iterator[None]:
        """For the block, log who blocks the connection; `seen` begins empty."""
        self.seen = ()
        watch = _Watch(self.database.server.get_backend_pid(), label, self._note, self.database.on_progress)
        with self.on_duty():
            with self._lock:
                self._watched = watch
            try:
                yield
            finally:
                with self._lock:
                    was_taken, self._watched = self._watched is not watch, None
                if was_taken:
                    watch.end()

    def _stand(self, relieved: threading.Event) -> None:
        # Nobody wakes it: whatever is watched next is due no sooner than it looks again by itself.
        deaf_to_signals()
        while not relieved.wait(self._pause_seconds()):
            watch = self._due()
            if watch is not None:
                watch.run(self._connect)

    def _pause_seconds(self) -> float:
        watch = self._watched
        return FIRST_LOOK_SECONDS if watch is None else max(0.0, watch.due - time.monotonic())

    def _due(self) -> _Watch | None:
        with self._lock:
            watch = self._watched
            if watch is None or time.monotonic() < watch.due:
                return None
            self._watched = None
            return watch

    def _connect(self) -> Any:
        facts = {**self.database.connect_params, "application_name": "rayces_core lookout"}
        return psycopg2.connect(dbname=self.database.database, **facts)

    def _note(self, seen: tuple[str, ...]) -> None:
        self.seen = seen


class _Watch:
    """One look after another from a connection of its own, until it is told to end."""

    def __init__(
        self, pid: int, label: str, note: Callable[[tuple[str, ...]], None], on_progress: Progress | None
    ) -> None:
        self.pid, self.label, self.note = pid, label, note
        self.on_progress = on_progress
        self.due = time.monotonic() + FIRST_LOOK_SECONDS
        self.told: frozenset[int] = frozenset()
        self._done, self._gone = threading.Event(), threading.Event()

    def run(self, connect: Callable[[], Any]) -> None:
        """Look until the end; a lookout that cannot connect or is sent away says nothing."""
        try:
            with suppress(psycopg2.Error), closing(connect()) as connection:
                connection.autocommit = True
                self._look(connection.cursor())
        finally:
            self._gone.set()

    def end(self) -> None:
        """End the looking and wait until it has ended."""
        self._done.set()
        self._gone.wait(LONGEST_GOODBYE_SECONDS)

    def _look(self, cursor: Any) -> None:
        while not self._done.is_set():
            cursor.execute(_BLOCKERS, (self.pid,))
            self._tell(cursor.fetchall())
            self._report(cursor)
            self._done.wait(PAUSE_SECONDS)

    def _report(self, cursor: Any) -> None:
        if self.on_progress is None:
            return
        cursor.execute(_PROGRESS, (self.pid,))
        for what, amount, total in cursor.fetchall():
            self.on_progress(what, amount or 0, total or 0)

    def _tell(self, blockers: list[tuple[Any, ...]]) -> None:
        if not blockers:
            return
        sentences = tuple(_describe(*blocker) for blocker in blockers)
        self.note(sentences)
        found = frozenset(blocker[0] for blocker in blockers)
        if found != self.told:
            self.told = found
            logger.warning("%s waits for a lock: %s", self.label, "; ".join(sentences))


def _describe(pid: int, age_seconds: float | None, state: str | None, query: str | None) -> str:
    if not pid:
        return "a prepared transaction (pg_prepared_xacts lists them)"
    age = "" if age_seconds is None else f", its transaction began {age_seconds:.1f} s ago"
    words = " ".join((query or "").split())
    shown = words if len(words) <= QUERY_CHARACTERS else f"{words[:QUERY_CHARACTERS]}..."
    return f"server process {pid} ({state or 'state unknown'}{age}): {shown or 'no query shown'}"
