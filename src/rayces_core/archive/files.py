"""A file that is there whole or not at all: written beside its place and renamed when all of it is on the disk.

Rule it guards: what is written is about people, so only its owner may read it, also while it is made; and what a killed
run has left is taken away by the next one into that folder. A run holds a lock on what it makes, which ends with it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

try:
    import fcntl
except ImportError:  # there are no such locks, so nothing is known to be left behind
    fcntl = None  # type: ignore[assignment]

OWNER_ONLY = 0o600  # what is exported is about people
LEFT: Final = re.compile(r"\..+\.rayces-[a-z0-9_]{8}\.part")
SCRATCH: Final = "rayces-export-"
LOCK: Final = "lock"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write; it takes its place when the block ends well, and what was there before stays otherwise.

    Only its owner may read it.

    Raises:
        OSError: the folder is missing or may not be written to, or `path` is one itself.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file in it", str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder; make it first", str(target.parent))
    take_away_what_was_left(target.parent)
    number, name = _begun(target)
    try:
        with os.fdopen(number, "w+b") as file:
            os.fchmod(file.fileno(), OWNER_ONLY)
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _begun(target: Path) -> tuple[int, str]:
    """A new file beside its place, locked; another run may take it away before the lock is on it, then another one."""
    while True:
        number, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.rayces-", suffix=".part", dir=target.parent)
        _lock(number)
        with suppress(FileNotFoundError):
            if Path(name).stat().st_ino == os.fstat(number).st_ino:
                return number, name
        os.close(number)


def take_away_what_was_left(folder: Path) -> None:
    """Delete the begun files of runs that are no more: those of this user that nobody has locked."""
    for path in folder.glob(".*.part"):
        if LEFT.fullmatch(path.name) and not path.is_symlink() and path.is_file():
            _take_away(path, path)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder for the time of the block that only its owner may enter; those of killed runs go first."""
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        if left.is_dir() and not left.is_symlink():
            _take_away(left / LOCK, left)
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder, (Path(folder) / LOCK).open("wb") as lock:
        _lock(lock.fileno())
        yield folder


def _take_away(locked: Path, whole: Path) -> None:
    with suppress(OSError):
        if fcntl is None or locked.stat().st_uid != os.getuid():
            return
        with locked.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(whole) if whole.is_dir() else whole.unlink()


def _lock(number: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
