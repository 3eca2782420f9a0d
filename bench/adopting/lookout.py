"""What the adoption is doing, looked at from outside: its place in the history, and the statements it runs."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic

import psycopg2

POLL_SECONDS = 0.02

# Also with the old application in the way, this takes no lock that anybody waits for.
_STATEMENTS = """
SELECT pid, coalesce(wait_event_type, '') = 'Lock', left(regexp_replace(query, '\\s+', ' ', 'g'), 160)
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'rayces_core migrations' AND state <> 'idle'
"""
_PLACE = "SELECT left(name, 3)::int, CASE WHEN state <> 'applied' THEN steps_done END FROM rayces_migrations"
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'rayces_core migrations'
"""


@dataclass(frozen=True, order=True)
class Place:
    """How far the history says that adoption has come: its newest migration, and the steps done of it (inf: all)."""

    migration: int = 0
    step: float = math.inf

    def __str__(self) -> str:
        if not self.migration:
            return "before the first migration"
        return f"{self.migration:03}, {'applied' if self.step == math.inf else f'{self.step:.0f} steps done'}"


class Lookout:
    """A session of the superuser that looks on."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._seen: list[tuple[float, str]] = []

    def place(self) -> Place:
        """Where the history is now."""
        try:
            self._cursor.execute(f"{_PLACE} ORDER BY 1 DESC LIMIT 1")
        except psycopg2.errors.UndefinedTable:
            return Place()
        found = self._cursor.fetchone()
        if found is None:
            return Place()
        number, steps = found
        return Place(number, math.inf if steps is None else steps)

    def sessions(self) -> int:
        """How many sessions the adoption has, those of killed runs included until the server notices."""
        self._cursor.execute(_SESSIONS)
        ((found,),) = self._cursor.fetchall()
        return int(found)

    def look(self) -> None:
        """Note the statements that run now."""
        self._cursor.execute(_STATEMENTS)
        now = monotonic()
        for _pid, waits, query in self._cursor.fetchall():
            entry = f"{'waits: ' if waits else ''}{query}"
            if not self._seen or self._seen[-1][1] != entry:
                self._seen.append((now, entry))

    def at(self, began: float, ended: float) -> list[str]:
        """The statements that were seen to run in that time on the monotonic clock."""
        found = []
        for place, (seen, query) in enumerate(self._seen):
            until = self._seen[place + 1][0] if place + 1 < len(self._seen) else seen + 1
            if seen <= ended and until >= began:
                found.append(query)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Look no longer."""
        self._connection.close()


@contextmanager
def looking_on(url: str) -> Iterator[Lookout]:
    """A lookout that notes, for the block, which statements run."""
    with closing(Lookout(url)) as lookout:
        ended = threading.Event()
        thread = threading.Thread(target=_look, args=(lookout, ended), daemon=True)
        thread.start()
        try:
            yield lookout
        finally:
            ended.set()
            thread.join()


def _look(lookout: Lookout, ended: threading.Event) -> None:
    while not ended.wait(POLL_SECONDS):
        lookout.look()
