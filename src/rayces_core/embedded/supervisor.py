"""The process that looks after one embedded PostgreSQL: starts it, waits until nobody uses it, stops it.

`rayces_core.embedded.server` runs this file as a script in a session of its own, so that it outlives whoever asked for
the server. It uses the standard library alone, to start in 20 ms.

Three files in the folder `.rayces` of the data folder carry the protocol. Each is locked with flock, which the kernel
takes back when the holder ends, however it ends:

    start        exclusive and brief: one process at a time starts, joins or leaves the server
    users        shared, by each process that uses the server; forked children keep it held as well
    supervisor   exclusive, by this process for as long as its server runs

This process asks for `users` exclusively once the server runs. It gets it when the last user is gone. Whoever starts
takes `start` before `users`; this process never takes `start`, so the two cannot wait for each other.
"""
# Importing pathlib would double the time this process takes to start.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH110, PTH112, PTH116, PTH118, PTH119, PTH121, PTH123, PTH208

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

if os.name == "posix":
    import fcntl

OWN_FOLDER = ".rayces"
LOCK_NAMES = ("start", "users", "supervisor")
TEMPORARY_MARK = f"{OWN_FOLDER}/temporary"
LOG = f"{OWN_FOLDER}/server.log"
READY = "ready"
ACCEPTING = ("ready", "standby")  # the statuses in postmaster.pid that take connections
CLUSTER_NAME = "rayces"
PORT = 5432
START_SECONDS = 600  # crash recovery of a big folder takes minutes, and would begin anew
ORPHANS_SECONDS = 10
POLL_SECONDS = 0.002

_INITIALIZING = f"{OWN_FOLDER}/initializing"
_INITIALIZED = f"{OWN_FOLDER}/initialized"
_RUN_FOLDER = f"{OWN_FOLDER}/run"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_NO_SUCH_PID = 2**31 - 1
_SETTINGS = ("max_connections=200", "timezone=UTC", "log_timezone=UTC")
_DISPOSABLE_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "dynamic_shared_memory_type=mmap",  # in the data folder: a crash leaves nothing in /dev/shm
)


def main(action: str, path: str, binaries: str, run_folder: str, uid: str, gid: str) -> None:
    """Look after the server of the data folder `path` until nobody uses it.

    Args:
        action: "start" a server, or "adopt" the one that runs since its supervisor was killed.
        path: the data folder, absolute.
        binaries: the folder of `initdb` and `postgres`.
        run_folder: a short private folder for the socket, removed at the end; "" puts the socket into the data folder.
        uid, gid: the account the server runs as.
    """
    if os.fork():
        os._exit(0)  # an orphan is reaped by init, so the process that asked never sees a zombie of ours
    os.chdir(path)
    users, supervisor = open_lock(".", "users"), open_lock(".", "supervisor")
    fcntl.flock(supervisor, fcntl.LOCK_EX)
    _drop_privileges(int(uid), int(gid))
    server = _Server(path, binaries, run_folder, supervisor)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _report(server.bring_up(action))
        fcntl.flock(users, fcntl.LOCK_EX)
    except SystemExit:
        pass  # asked to end, as at a shutdown of the machine: stop now, whoever still uses it
    server.clear_away()
    os._exit(0)  # gives the locks up at the very end: who waits for them shall find no process


def open_lock(path: str | os.PathLike[str], name: str) -> int:
    """Return a new descriptor of a lock file of the data folder `path`; closing it gives its lock up."""
    return os.open(os.path.join(path, OWN_FOLDER, name), os.O_RDWR | os.O_NOFOLLOW)


def postmaster_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of postmaster.pid: pid, folder, start, port, socket folder, host, shared memory, status."""
    try:
        with open(os.path.join(path, "postmaster.pid"), encoding="utf-8", errors="surrogateescape") as file:
            return [line.strip() for line in file]
    except FileNotFoundError:
        return []


class _Server:
    """One PostgreSQL in the working directory, which is its data folder."""

    def __init__(self, path: str, binaries: str, run_folder: str, supervisor: int) -> None:
        self._path = path
        self._binaries = binaries
        self._run_folder = run_folder
        self._supervisor = supervisor
        self._temporary = os.path.exists(TEMPORARY_MARK)
        self._pid = 0
        self._is_child = True
        self._is_reachable = os.access(path, os.X_OK)

    def bring_up(self, action: str) -> str:
        """Start or adopt the server; return READY or what went wrong."""
        try:
            self._adopt() if action == "adopt" else self._start()
        except (OSError, RuntimeError) as error:
            self._let_supervisor_go()
            return str(error)
        for folder in filter(None, (".", self._run_folder)):
            _keep_from_cleaners(folder)
        return READY

    def clear_away(self) -> None:
        """Stop the server; remove the run folder, and the data folder of a temporary server."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stop()
        if not self._may_clear():
            return  # the server crashed, and a newer supervisor has started it again
        if self._run_folder:
            shutil.rmtree(self._run_folder, ignore_errors=True)
        if self._temporary and _is_working_directory(self._path):
            shutil.rmtree(self._path, ignore_errors=True)

    def _adopt(self) -> None:
        self._pid = int(postmaster_lines(".")[0])
        self._is_child = False
        self._run_folder = _recorded_run_folder()

    def _start(self) -> None:
        _renew_run_folder(self._run_folder)
        if os.stat(".").st_mode & 0o027:
            os.chmod(".", 0o700)  # PostgreSQL refuses a folder that others can read
        if not os.path.exists("PG_VERSION"):
            self._initialize()
        _disown_stale_locks()
        deadline = time.monotonic() + ORPHANS_SECONDS
        while not self._launch():
            if time.monotonic() > deadline or "pre-existing shared memory block" not in _read(LOG):
                raise RuntimeError(_reason(LOG))
            time.sleep(0.05)  # backends of a killed server are still ending
        signal.signal(signal.SIGCHLD, self._on_child_end)
        self._on_child_end()

    def _initialize(self) -> None:
        if not os.path.isdir(_INITIALIZED):
            shutil.rmtree(_INITIALIZING, ignore_errors=True)
            os.mkdir(_INITIALIZING, 0o700)
            if os.waitpid(_spawn(self._initdb_command(), _INITIALIZING), 0)[1]:
                raise RuntimeError(_reason(LOG))
            os.rename(_INITIALIZING, _INITIALIZED)
        # PG_VERSION comes last: where it is, the folder is complete, whatever interrupted an earlier attempt.
        for name in sorted(os.listdir(_INITIALIZED), key="PG_VERSION".__eq__):
            os.rename(os.path.join(_INITIALIZED, name), name)
        os.rmdir(_INITIALIZED)
        _sync_working_directory()

    def _initdb_command(self) -> list[str]:
        command = [os.path.join(self._binaries, "initdb"), "-D", self._name(_INITIALIZING)]
        command += ["--username=postgres", "--encoding=UTF8", "--auth-local=trust", "--auth-host=reject"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        command += ["--no-sync", "--no-data-checksums"] if self._temporary else []
        settings = _SETTINGS + (_DISPOSABLE_SETTINGS if self._temporary else ())
        return command + [f"--set={setting}" for setting in settings]

    def _launch(self) -> bool:
        self._pid = _spawn(self._postgres_command())
        deadline = time.monotonic() + START_SECONDS
        while self._is_alive():
            lines = postmaster_lines(".")
            if len(lines) > 7 and lines[0] == str(self._pid) and lines[7] in ACCEPTING:
                return True
            if time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"it was not ready after {START_SECONDS} s; {_reason(LOG)}")
            time.sleep(POLL_SECONDS)
        return False

    def _postgres_command(self) -> list[str]:
        quoted = self._run_folder.replace('"', '""')
        settings = [
            "listen_addresses=",
            f"port={PORT}",
            f'unix_socket_directories="{quoted}"' if quoted else "unix_socket_directories=.",
            "unix_socket_permissions=0700",
            "logging_collector=off",
            f"cluster_name={CLUSTER_NAME}",
        ]
        command = [os.path.join(self._binaries, "postgres"), "-D", self._name(".")]
        return command + [part for setting in settings for part in ("-c", setting)]

    def _name(self, working_directory: str) -> str:
        # Below a folder closed to the server's account (root's home) only the working directory is within reach.
        full = os.path.normpath(os.path.join(self._path, working_directory))
        return full if self._is_reachable else "/proc/self/cwd"

    def _stop(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        first = signal.SIGQUIT if self._temporary else signal.SIGINT
        for number, seconds in ((first, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            deadline = time.monotonic() + seconds
            if self._is_alive():
                os.kill(self._pid, number)
            while self._is_alive() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

    def _is_alive(self) -> bool:
        if self._pid and (_has_ended(self._pid) if self._is_child else not is_postmaster(".", self._pid)):
            self._pid = 0
        return self._pid != 0

    def _on_child_end(self, *_: object) -> None:
        if not self._is_alive():
            self._let_supervisor_go()  # the next process that comes along starts the server again

    def _let_supervisor_go(self) -> None:
        fcntl.flock(self._supervisor, fcntl.LOCK_UN)

    def _may_clear(self) -> bool:
        for _ in range(50):  # somebody may just be looking whether the lock is free
            with suppress(BlockingIOError):
                fcntl.flock(self._supervisor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(POLL_SECONDS)
        return False


def is_postmaster(path: str | os.PathLike[str], pid: int) -> bool:
    """Whether process `pid` is a server that works in the data folder `path`; without /proc, any living process is."""
    try:
        os.kill(pid, 0)
        if not os.path.isdir("/proc/self"):
            return os.path.exists(os.path.join(path, "postmaster.pid"))
        return _read(f"/proc/{pid}/comm").startswith("postgres") and os.path.samefile(f"/proc/{pid}/cwd", path)
    except PermissionError:
        return True
    except (ProcessLookupError, FileNotFoundError):
        return False  # a zombie has no working directory


def _disown_stale_locks() -> None:
    # After a crash the pid in PostgreSQL's lock files may be that of a zombie or of another process by now, and it
    # would refuse to start. Removing postmaster.pid would also remove its check for surviving backends, so there only
    # the pid is replaced.
    lines = postmaster_lines(".")
    if lines and lines[0].isdigit() and is_postmaster(".", int(lines[0])):
        return
    with suppress(FileNotFoundError):
        os.unlink(f".s.PGSQL.{PORT}.lock")
    if lines:
        with open("postmaster.pid", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join([str(_NO_SUCH_PID), *lines[1:]]) + "\n")


def _renew_run_folder(run_folder: str) -> None:
    stale = _recorded_run_folder()
    if os.path.basename(stale).startswith("rayces-"):
        shutil.rmtree(stale, ignore_errors=True)
    with open(_RUN_FOLDER, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(run_folder)


def _recorded_run_folder() -> str:
    return _read(_RUN_FOLDER)


def _spawn(command: list[str], folder: str = ".") -> int:
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    pid = os.posix_spawn(command[0], command, _ENVIRONMENT, file_actions=actions)
    os.fchdir(here)
    os.close(here)
    os.close(log)
    return pid


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _sync_working_directory() -> None:
    descriptor = os.open(".", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _keep_from_cleaners(folder: str) -> None:
    # systemd-tmpfiles removes what lay unused in /tmp for days, but skips a folder that somebody has locked.
    with suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)


def _drop_privileges(uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _report(message: str) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    with suppress(BrokenPipeError):  # whoever asked may be gone; the lock on `users` will tell
        os.write(1, message.encode("utf-8", "surrogateescape"))
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _is_working_directory(path: str) -> bool:
    try:
        return os.path.samefile(path, ".")
    except FileNotFoundError:
        return False


def _reason(log: str) -> str:
    lines = [line.rpartition(" UTC [")[2].partition("] ")[2] or line for line in _read(log).splitlines()]
    return " ".join(line.strip() for line in lines[-4:]) or "it wrote no log"


def _read(name: str) -> str:
    try:
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
