"""Dumping a database and restoring it beside or on a newer server, with PostgreSQL's own programs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core.embedded.folder import find_binaries
from tests.servers.binaries import POSTGRESQL_15

# What the programs of 17 and later begin with and 16, which has none of its own here, does not know.
UNKNOWN_TO_16 = b"SET transaction_timeout = 0;"
# What some minor versions of 15 write into every column's options, and nothing else knows: docs/operations.md.
ONLY_OF_SOME = re.compile(rb"^ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\);$", re.MULTILINE)


def binaries(url: str) -> Path:
    """Where the programs of this server's version are; 16 and 17 are served by those of the newest."""
    return POSTGRESQL_15 if _version(url) == 15 else find_binaries()


def restore(source: str, target: str, *options: str) -> None:
    """Dump `source` as a superuser and restore it into the empty `target`; what fails is an error."""
    dump = _run(binaries(source) / "pg_dump", "-Fc", "-d", source)
    if _version(target) == 16:
        _psql(target, _run(find_binaries() / "pg_restore", *options, "-f", "-", given=dump))
    else:
        _run(binaries(target) / "pg_restore", "--exit-on-error", *options, "-d", target, given=dump)


def upgraded(source: str, target: str) -> None:
    """The same as the newer server's pg_dump writes it, as pg_upgrade does with the schema."""
    _psql(target, ONLY_OF_SOME.sub(b"", _run(binaries(target) / "pg_dump", "-d", source)))


def _version(url: str) -> int:
    connection = psycopg2.connect(url)
    version = int(connection.server_version // 10_000)
    connection.close()
    return version


def _psql(target: str, script: bytes) -> None:
    if _version(target) == 16:
        script = script.replace(UNKNOWN_TO_16, b"")
    _run(binaries(target) / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", target, given=script)


def _run(program: Path, *arguments: str, given: bytes | None = None) -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run([program, *arguments], input=given, capture_output=True, env=environment, check=False)
    if done.returncode:
        raise AssertionError(f"{program.name} {make_dsn(arguments[-1])}: {done.stderr.decode()}")
    return done.stdout
