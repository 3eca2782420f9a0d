"""Real streaming replication: an embedded server, and others that begin with a copy of it and follow it.

They are of the version that RAYCES_TEST_POSTGRESQL says, 18 by default.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.embedded.folder import account_of, find_binaries, make_temporary_folder
from rayces_core.embedded.server import EmbeddedServer
from tests.patience import wait_until
from tests.servers.binaries import WHEEL, fetched
from tests.servers.running import reachable

# What is committed is sent at once, and a test waits for no timer of the server's.
# A copy for another replica begins with a checkpoint, which removes what a slow sender has not sent to the first one.
KEPT = "wal_keep_size = '1GB'"
SETTINGS = ("synchronous_commit = on", "autovacuum = off", "jit = off", "wal_receiver_status_interval = '1s'", KEPT)


@contextmanager
def server_of_version(path: Path | None = None) -> Iterator[EmbeddedServer]:
    """An embedded server whose binaries are those of the run's version."""
    version = os.environ.get("RAYCES_TEST_POSTGRESQL", WHEEL)
    with patch("rayces_core.embedded.server.find_binaries", lambda: binaries_of(version)):
        server = EmbeddedServer(path)
    with server:
        assert run(server.url, "SHOW server_version")[0].startswith(version)
        yield server


# What the embedded server asks of initdb, without what versions before 18 do not know.
INITDB = """#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
  given=$1; shift; left=$((left - 1))
  case $given in
    -D) data=$1; set -- "$@" -D "$1"; shift; left=$((left - 1)) ;;
    --set=*) settings="$settings
${{given#--set=}}" ;;
    --locale-provider=*|--builtin-locale=*|--no-data-checksums) ;;
    *) set -- "$@" "$given" ;;
  esac
done
{initdb} "$@" || exit 1
[ -z "$data" ] || echo "$settings" >> "$data/postgresql.conf"
"""


@cache
def binaries_of(version: str) -> Path:
    """The folder of a version's `initdb` and `postgres`, as the embedded server calls them."""
    found = fetched(version)
    if version == WHEEL:
        return found
    folder = Path(tempfile.mkdtemp(prefix="rayces-binaries-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    reached = reachable(found, folder)
    made = folder / "bin"
    made.mkdir()
    (made / "postgres").symlink_to(reached / "postgres")
    (made / "initdb").write_text(INITDB.format(initdb=reached / "initdb"))
    (made / "initdb").chmod(0o755)
    return made


@contextmanager
def primary_server() -> Iterator[EmbeddedServer]:
    """A server that others can follow."""
    with server_of_version() as server:
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
        with server_of_version(folder) as server:
            yield server
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def copy_of(url: str, folder: Path) -> None:
    """Copy the server's data into the folder, with what makes a replica of it."""
    program = str(find_binaries() / "pg_basebackup")  # the wheel's, which copies older servers as well
    options = ["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--no-manifest"]
    given = parse_dsn(url)
    place = ["-h", given["host"], "-p", str(given["port"]), "-U", "postgres", "-D", str(folder)]
    subprocess.run([program, *place, *options], check=True, capture_output=True, text=True, timeout=120)
    # What pg_basebackup would write of this version's libpq, older servers do not know.
    (folder / "standby.signal").touch()
    with (folder / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = 'host={given['host']} port={given['port']} user=postgres'\n")
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
    """Wait until the replica has all that the primary has written, to its disk or only in memory so far."""
    run(primary, "SELECT pg_logical_emit_message(true, 'rayces', '')")  # a commit takes along what was not on the disk
    (position,) = run(primary, "SELECT pg_current_wal_flush_lsn()")
    wait_for(replica, "SELECT pg_last_wal_replay_lsn() >= %s", (position,))


def wait_for(url: str, question: str, values: Any = None) -> None:
    """Wait until the server says yes."""
    wait_until(lambda: run(url, question, values) == (True,))


def pause(replica: str) -> None:
    """The replica receives, and replays no more."""
    run(replica, "SELECT pg_wal_replay_pause()")
    wait_for(replica, "SELECT pg_get_wal_replay_pause_state() = 'paused'")


def resume(replica: str) -> None:
    """It replays again."""
    run(replica, "SELECT pg_wal_replay_resume()")
