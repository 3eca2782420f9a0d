"""A server of a chosen version for the length of a block: on a socket of its own, with nothing written for good."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayces_core.embedded.server import EmbeddedServer
from tests.servers.binaries import WHEEL, NoBinariesError, found

# PostgreSQL does not run as root.
ACCOUNTS = ("postgres", "embedded_postgres", "nobody")
SETTINGS = (
    "listen_addresses=",
    "unix_socket_directories=.",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "jit=off",
    "autovacuum=off",
    "checkpoint_timeout=1h",
    "max_wal_size=1GB",
    "max_connections=200",
    "timezone=UTC",
)
SECONDS = 60


@contextmanager
def running(version: str) -> Iterator[str]:
    """The URL of a superuser on a new server of this version; it is stopped and removed at the end of the block.

    Raises NoBinariesError where the version is not on this machine.
    """
    if version == WHEEL:
        with EmbeddedServer() as server:
            yield server.url
        return
    binaries = found(version)
    if binaries is None:
        raise NoBinariesError(f"PostgreSQL {version} is not here: python -m tests.servers.binaries fetches it")
    with tempfile.TemporaryDirectory(prefix="rayces-server-") as name:
        folder = Path(name)
        with _Server(binaries, folder):
            yield f"postgresql://postgres@/postgres?host={folder}/data"


class _Server:
    """One server in a folder of its own."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._user = _account() if os.geteuid() == 0 else None
        self._folder = folder
        if self._user:
            shutil.chown(folder, self._user)
            binaries = reachable(binaries, folder)
        self._binaries = binaries

    def __enter__(self) -> None:
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        options = " ".join(f'-c "{setting}"' for setting in SETTINGS)
        self._run("pg_ctl", "-D", data, "-w", "-t", str(SECONDS), "-o", options, "-l", f"{self._folder}/log", "start")

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        # Pipes would stay open as long as the server runs.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command, check=False, user=self._user, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            if done.returncode:
                said.seek(0)
                log = self._folder / "log"
                words = said.read().decode("utf-8", "replace") + (log.read_text() if log.exists() else "")
                raise RuntimeError(f"{program} failed: {words.strip()}")


def _account() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ACCOUNTS if name in names)


def reachable(binaries: Path, folder: Path) -> Path:
    """The binaries where any account reaches them: root's home is closed, so they are copied out of it."""
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in binaries.resolve().parents):
        return binaries
    shutil.copytree(binaries.parent, folder / "native", symlinks=True)
    return folder / "native" / binaries.name
