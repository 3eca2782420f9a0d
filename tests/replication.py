"""Real streaming replication: an embedded server, and others that begin with a copy of it and follow it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.embedded.folder import account_of, find_binaries, make_temporary_folder
from rayces_core.embedded.server import EmbeddedServer

SECONDS = 20
# What is committed is sent at once, and a test waits for no timer of the server's.
SETTINGS = ("synchronous_commit = on", "autovacuum = off", "jit = off", "wal_receiver_status_interval = '1s'")


@contextmanager
def primary_server() -> Iterator[EmbeddedServer]:
    """A server that others can follow."""
    with EmbeddedServer() as server:
        for setting in SETTINGS:
            run(server.url, f"ALTER SYSTEM SET {setting}")
        run(server.url, "SELECT pg_reload_conf()")
        yield server


@contextmanager
def following(primary: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A streaming replica of the server, for the block."""
    folder = make_temporary_folder()
    mark = folder / ".rayces"
    kept = Path(tempfile.mkdtemp(dir=folder.parent))
    shutil.move(mark, kept / mark.name)  # a copy goes into an empty folder
    try:
        copy_of(primary.url, folder)
        shutil.rmtree(mark, ignore_errors=True)  # the primary's own
        shutil.move(kept / mark.name, mark)
        with EmbeddedServer(folder) as server:
            yield server
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def copy_of(url: str, folder: Path) -> None:
    """Copy the server's data into the folder, with what makes a replica of it."""
    program = str(find_binaries() / "pg_basebackup")
    options = ["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--no-manifest", "--write-recovery-conf"]
    given = parse_dsn(url)
    place = ["-h", given["host"], "-p", str(given["port"]), "-U", "postgres", "-D", str(folder)]
    subprocess.run([program, *place, *options], check=True, capture_output=True, text=True, timeout=120)
    if os.geteuid() == 0:
        account = account_of(folder)
        for each in (folder, *folder.rglob("*")):
            os.lchown(each, *account)


def run(url: str, statement: str, values: Any = None) -> Any:
    """Run one statement as the superuser; gives the first row, if there are any."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchone() if cursor.description else None


def beside(url: str, server: EmbeddedServer) -> str:
    """The same database on another server."""
    return make_dsn(server.url, dbname=parse_dsn(url)["dbname"])


def caught_up(primary: str, replica: str) -> None:
    """Wait until the replica has all that the primary has written."""
    (position,) = run(primary, "SELECT pg_current_wal_flush_lsn()")
    wait_for(replica, "SELECT pg_last_wal_replay_lsn() >= %s", (position,))


def wait_for(url: str, question: str, values: Any = None) -> None:
    """Wait until the server says yes."""
    deadline = time.monotonic() + SECONDS
    while run(url, question, values) != (True,):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {SECONDS} s: {question}")
        time.sleep(0.01)


def pause(replica: str) -> None:
    """The replica receives, and replays no more."""
    run(replica, "SELECT pg_wal_replay_pause()")
    wait_for(replica, "SELECT pg_get_wal_replay_pause_state() = 'paused'")


def resume(replica: str) -> None:
    """It replays again."""
    run(replica, "SELECT pg_wal_replay_resume()")
