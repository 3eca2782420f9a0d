"""What an operation costs in quantities that a busy machine leaves as they are: pages, bytes of the log, CPU time.

The server counts them; the processor's share is of this process, and of the one server process that serves it where
that runs on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from rayces_core import Database

Counts = dict[str, float]

# Pages asked for; those that were not in shared_buffers; microseconds of fetching these, where the server measures it.
PAGES, MISSED, FETCHING = "pages", "not in shared_buffers", "µs fetching them"
LOGGED = "bytes of WAL"
SERVER, CLIENT = "µs of the server's CPU", "µs of the client's CPU"
COUNTED = (PAGES, MISSED, FETCHING, LOGGED, SERVER, CLIENT)

_READ = """
SELECT blks_hit + blks_read, blks_read, blk_read_time * 1000, pg_current_wal_insert_lsn() - '0/0'
  FROM pg_stat_database WHERE datname = %s
"""
_TOLD_SECONDS = 0.02  # a server process that has just ended tells what it counted


class Meter:
    """Reads the counters of one database; its own connection is to another, so that it counts nothing of itself."""

    def __init__(self, server: str, url: str) -> None:
        self._name = parse_dsn(url)["dbname"]
        self._connection = psycopg2.connect(server)
        self._connection.autocommit = True

    def read(self, db: Database, tenant: str) -> Counts:
        """The counters as they stand, with what `db` has done until now in the blocks of a tenant, and privileged."""
        pid = _told(db, tenant)
        time.sleep(_TOLD_SECONDS)
        cursor = self._connection.cursor()
        cursor.execute(_READ, (self._name,))
        ((pages, missed, fetching, logged),) = cursor.fetchall()
        counted = (pages, missed, fetching, logged, _cpu_of(pid), time.process_time() * 1e6)
        return {name: float(figure) for name, figure in zip(COUNTED, counted, strict=True)}

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()


def spent(before: Counts, after: Counts, operations: int) -> Counts:
    """What each of so many operations took."""
    return {name: (after[name] - before[name]) / operations for name in COUNTED}


def average(samples: Iterable[Counts]) -> Counts:
    """The mean of each counter."""
    taken: Sequence[Counts] = list(samples)
    return {name: sum(sample[name] for sample in taken) / len(taken) for name in COUNTED}


def _told(db: Database, tenant: str) -> int:
    """Have the server's processes add what they counted to what can be read; gives the one of tenants' work."""
    told = "SELECT pg_backend_pid(), pg_stat_force_next_flush()"
    with db.privileged(reason="bench.counting"):
        db.engine.execute_sql(told)
    with db.tenant(tenant):
        ((pid, _),) = db.engine.execute_sql(told).fetchall()
    return int(pid)


def _cpu_of(pid: int) -> float:
    """Microseconds that this process of the machine has run; 0 where there is none of that number."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000
    return 0.0
