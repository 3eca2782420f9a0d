"""Real processes that use an embedded server, and a look at what they leave behind."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import psutil
import psycopg2

from rayces_core.embedded import folder, server, supervisor
from rayces_core.embedded.server import EmbeddedServer

# Creating a cluster's thousand files takes ext4 three times as long where as many have just been deleted.
MEMORY = Path("/dev/shm")
HAS_MEMORY = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2 * 1024**3
TEMPORARY = {"TMPDIR": str(MEMORY)} if HAS_MEMORY else {}

SOURCE = Path(server.__file__).parents[2]
PRELUDE = """
import multiprocessing, os, signal, sys
import psycopg2
from rayces_core.embedded.server import EmbeddedServer
if os.environ.get("RAYCES_TEST_BINARIES"):
    from pathlib import Path
    from rayces_core.embedded import server
    server.find_binaries = lambda: Path(os.environ["RAYCES_TEST_BINARIES"])

signal.alarm(60)  # a process that hangs ends its test
server = EmbeddedServer(*sys.argv[1:])

def query(sql):
    connection = psycopg2.connect(server.url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchone()[0] if cursor.description else None

print(server.path, flush=True)
"""


# Initializing a cluster takes 0.8 s, copying one 0.1 s. What was asked for in the same words is copied.
INITDB = """#!/bin/sh
real={real}/initdb cache={cache}
[ "$1" = -D ] || exec "$real" "$@"
folder=$2; shift 2
made=$cache/$(id -u)-$(echo "$*" | cksum | tr ' ' -)
if [ -d "$made" ]; then exec cp -a "$made/." "$folder"; fi
"$real" -D "$folder" "$@" || exit
cp -a "$folder/." "$made.$$" && mv -T "$made.$$" "$made" || rm -rf "$made.$$"
"""


@contextmanager
def binaries_that_copy() -> Iterator[Path]:
    """A folder of binaries for the block, whose `initdb` initializes once for each kind of cluster and user."""
    real = folder.find_binaries()
    with tempfile.TemporaryDirectory() as name:
        made, cache = Path(name, "bin"), Path(name, "clusters")
        for each, mode in ((Path(name), 0o755), (made, 0o755), (cache, 0o1777)):
            each.mkdir(exist_ok=True)
            each.chmod(mode)
        (made / "initdb").write_text(INITDB.format(real=shlex.quote(str(real)), cache=shlex.quote(str(cache))))
        (made / "initdb").chmod(0o755)
        for program in real.iterdir():
            if program.name != "initdb":
                (made / program.name).symlink_to(program)
        yield made


class UserProcess:
    """A Python process that opens a server and then runs `code`; killed, if it still runs, at the end of the block."""

    def __init__(self, code: str, *arguments: str | Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path]), **TEMPORARY, **environment},
        )

    @cached_property
    def path(self) -> Path:
        """The data folder of its server; waits until the server has started."""
        return Path(self.line())

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended early: {self.process.wait()}"
        return line.rstrip("\n")

    def go_on(self) -> None:
        """Let one `input()` of its code return."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.communicate()


def setting(server: EmbeddedServer, name: str) -> str:
    connection = psycopg2.connect(server.url)
    try:
        cursor = connection.cursor()
        cursor.execute(f"show {name}")
        return cursor.fetchone()[0]
    finally:
        connection.close()


def processes_of(path: Path) -> list[psutil.Process]:
    """The living processes that work in the data folder `path`: the supervisor, the postmaster and its children."""
    return [process for process in psutil.process_iter() if _works_in(process, str(path))]


def accounts_of(path: Path) -> set[str]:
    """The users whose processes work in the data folder `path`, but for processes that end while they are asked."""
    found = set()
    for process in processes_of(path):
        with suppress(psutil.NoSuchProcess):
            found.add(process.username())
    return found


def postmaster_of(path: Path) -> psutil.Process:
    found = psutil.Process(int((path / "postmaster.pid").read_text().split()[0]))
    assert _works_in(found, str(path)), "a stale pid file names a stranger"
    return found


def supervisor_of(path: Path) -> psutil.Process:
    """The supervisor, told by its command line: the parent of an orphaned postmaster is init, which nobody may kill."""
    found = postmaster_of(path).parent()
    assert found is not None
    assert supervisor.__file__ in found.cmdline()
    assert str(path) in found.cmdline()
    return found


def is_gone(path: Path) -> bool:
    return not path.exists() and not processes_of(path)


def _works_in(process: psutil.Process, path: str) -> bool:
    try:
        return process.cwd().removesuffix(" (deleted)") == path and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return False
