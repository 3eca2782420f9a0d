"""A real PostgreSQL that lives exactly as long as somebody uses it.

`EmbeddedServer(path)` starts the server of a data folder, or joins it where it runs already, also from another
process. The last user stops it. Being a user is a shared lock that the kernel takes back when a process ends, by
whatever means, and a supervisor process waits for the last of them: see `rayces_core.embedded.supervisor`.

The server listens on a Unix socket in a folder that only its own account (and root) can enter, never on TCP.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from rayces_core.embedded.folder import account_of, find_binaries, lay_out, make_temporary_folder, prepare_folder
from rayces_core.embedded.supervisor import (
    ACCEPTING,
    CLUSTER_NAME,
    POLL_SECONDS,
    READY,
    START_SECONDS,
    TEMPORARY_MARK,
    is_postmaster,
    open_lock,
    postmaster_lines,
)
from rayces_core.errors import EmbeddedServerError

if os.name == "posix":
    import fcntl

_PATIENCE_SECONDS = START_SECONDS + 30


class EmbeddedServer:
    """Starts or joins a PostgreSQL server whose data live in `path`; a private temporary one without a path.

    Any number of objects, in any number of processes, share the server of a path; the last to stop stops it. A process
    that ends without `stop()`, even killed, counts as stopped, and its server is stopped shortly after. A forked child
    counts as a user of its own until it ends or calls `stop()`.

    Args:
        path: the data folder; it and its parents are created where missing. Without one, the server keeps nothing: its
            folder is removed with it, and it trades durability for speed.

    Attributes:
        url: libpq URL of the superuser `postgres` and the maintenance database, over the Unix socket.
        path: the data folder, absolute.

    Raises:
        MissingExtraError: the wheel with PostgreSQL is not installed.
        EmbeddedServerError: the server cannot run there; the message says why.
    """

    url: str
    path: Path
    _hold: int | None = None

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        if os.name != "posix":
            raise EmbeddedServerError("The embedded PostgreSQL needs Linux or macOS; use Database.connect(url).")
        binaries = find_binaries()
        with _explained(path):
            self.path = make_temporary_folder() if path is None else prepare_folder(path)
            try:
                self._hold, self.url = _enter(self.path, binaries)
            except BaseException:
                if path is None:
                    _leave(self.path, self._let_go)
                raise
        _open_servers.add(self)

    def held_login(self, role: str, *others: str) -> str:
        """The URL of a login that can become `role`, or one of the others, and has no other right.

        It is made when first asked for.
        """
        # A server alone needs no driver.
        from rayces_core.embedded.login import held_login

        return self.url.replace("//postgres@", f"//{held_login(self.url, role, *others)}@", 1)

    def stop(self) -> None:
        """Stop using the server; the last user waits until it is stopped and, without a path, removed. Idempotent.

        Raises:
            EmbeddedServerError: the server does not stop.
        """
        _open_servers.discard(self)
        if self._hold is not None:
            with _explained(self.path):
                _leave(self.path, self._let_go)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __del__(self) -> None:
        self._let_go()  # no more: waiting here for the end could wait for ourselves

    def _let_go(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            os.close(hold)


_open_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for server in list(_open_servers):
        server.stop()


@contextmanager
def _explained(path: str | os.PathLike[str] | None) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # also an unknown home, a loop of links, a null character
        place = "A temporary folder" if path is None else path
        raise EmbeddedServerError(f"{place} cannot hold an embedded PostgreSQL: {error}") from error


def _enter(path: Path, binaries: Path) -> tuple[int, str]:
    """Become a user of the server; return the descriptor that holds the shared lock, and the URL."""
    with _alone(path):
        hold = open_lock(path, "users")
        try:
            _lock(hold, fcntl.LOCK_SH, path)
            _refuse_removed(path, hold)
            return hold, _url_of_running(path) or _start(path, binaries)
        except BaseException:
            os.close(hold)
            raise


def _refuse_removed(path: Path, lock_file: int) -> None:
    if os.fstat(lock_file).st_nlink == 0:
        raise EmbeddedServerError(f"{path} was temporary and has just been removed by its last user.")


def _leave(path: Path, let_go: Callable[[], object]) -> None:
    """Stop being a user of the server; the last one waits for the end."""
    try:
        with _alone(path), _opened(path, "users") as users, _opened(path, "supervisor") as supervisor:
            is_temporary = (path / TEMPORARY_MARK).exists()
            _adopt_orphan(path)
            let_go()
            if _await_end(path, users, supervisor) and is_temporary:
                shutil.rmtree(path, ignore_errors=True)  # still there if its server crashed or never came up
    except FileNotFoundError:
        pass  # the folder was removed under the server, and its supervisor will see the last user go
    finally:
        let_go()


def _await_end(path: Path, users: int, supervisor: int) -> bool:
    """Wait until the supervisor has stopped the server, and return True; return False while others use it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if _try_lock(users, fcntl.LOCK_EX):
            if _try_lock(supervisor, fcntl.LOCK_SH):
                return True
            fcntl.flock(users, fcntl.LOCK_UN)  # to the supervisor, which has only to wake up
        elif _try_lock(users, fcntl.LOCK_SH):
            return False
        time.sleep(POLL_SECONDS)
    raise EmbeddedServerError(f"The server of {path} does not stop.")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with _opened(path, "start") as lock:
        _lock(lock, fcntl.LOCK_EX, path)
        yield


@contextmanager
def _opened(path: Path, name: str) -> Iterator[int]:
    lock = open_lock(path, name)
    try:
        yield lock
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # closing would leave it with a child forked meanwhile
        os.close(lock)


def _lock(descriptor: int, operation: int, path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _try_lock(descriptor, operation):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"Another process has been starting or stopping {path} for too long.")
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _url_of_running(path: Path) -> str | None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        is_coming = _is_supervised(path) or _is_in_transition(path)  # asked first: it may come between the questions
        url = _answering_url(path)
        if url or not is_coming:
            _adopt_orphan(path)
            return url
        time.sleep(POLL_SECONDS)
    raise EmbeddedServerError(f"The server of {path} runs but does not answer.")


def _answering_url(path: Path) -> str | None:
    lines = postmaster_lines(path)
    if len(lines) < 8 or lines[7] not in ACCEPTING or not lines[4]:
        return None
    folder, port = path / lines[4], lines[3]
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(folder / f".s.PGSQL.{port}"))
        return f"postgresql://postgres@/postgres?host={quote(os.fsencode(folder))}&port={port}"
    return None


def _is_in_transition(path: Path) -> bool:
    """Whether a server without a supervisor is just starting or stopping."""
    lines = postmaster_lines(path)
    if not lines or not lines[0].isdigit() or not is_postmaster(path, int(lines[0])):
        return False
    return len(lines) < 8 or lines[7] not in ACCEPTING


def _adopt_orphan(path: Path) -> None:
    """Give a server whose supervisor was killed a new one; a server that somebody else started is left alone."""
    if _is_supervised(path) or not _answering_url(path):
        return
    if f"cluster_name={CLUSTER_NAME}" in (path / "postmaster.opts").read_text("utf-8", "replace"):
        _run_supervisor("adopt", path, find_binaries(), None)


def _start(path: Path, binaries: Path) -> str:
    run_folder, binaries = lay_out(path, binaries)
    _run_supervisor("start", path, binaries, run_folder)
    url = _answering_url(path)
    if url is None:
        raise EmbeddedServerError(f"The server of {path} started but does not answer.")
    return url


def _run_supervisor(action: str, path: Path, binaries: Path, run_folder: Path | None) -> None:
    script = Path(__file__).with_name("supervisor.py")
    arguments = [action, path, binaries, run_folder or "", *account_of(path)]
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", str(script), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
    ) as process:
        answer = process.communicate()[0].decode("utf-8", "replace").strip()  # bounded by START_SECONDS there
    if answer != READY:
        reason = answer.splitlines()[-1] if answer else "its supervisor ended"
        raise EmbeddedServerError(f"PostgreSQL cannot start in {path}: {reason}")


def _is_supervised(path: Path) -> bool:
    with _opened(path, "supervisor") as lock:
        return not _try_lock(lock, fcntl.LOCK_SH)
