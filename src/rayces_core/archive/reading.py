"""Opens an archive that nobody vouches for: every byte is looked at before the first row is brought in.

Rule it guards: what cannot be an archive of this library is an ArchiveError, whatever it is, and memory stays flat.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rayces_core.archive.manifest import LIMIT_BYTES, NAME, Manifest, TableEntry, file_of, parsed
from rayces_core.archive.snapshot import combined
from rayces_core.archive.writing import LINE_LIMIT_BYTES
from rayces_core.errors import ArchiveError

BATCH_BYTES: Final = 1024 * 1024
BATCH_ROWS: Final = 1_000
# Rows of text come to a tenth or a thirtieth; what is large and comes to less than this was made to fill a disk.
MOST_COMPRESSED: Final = 400
LARGE_BYTES: Final = 1024 * 1024 * 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, ValueError)


class Archive:
    """An open archive whose files are what its manifest says."""

    def __init__(self, name: str, file: zipfile.ZipFile, manifest: Manifest) -> None:
        self.name, self.manifest, self._file = name, manifest, file

    def batches(self, table: str) -> Iterator[list[str]]:
        """The table's lines, some at a time."""
        batch: list[str] = []
        size = 0
        for line in self._lines(table):
            batch.append(line.decode())
            size += len(line)
            if size >= BATCH_BYTES or len(batch) >= BATCH_ROWS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def verify(self) -> None:
        """Read every file and compare it with the manifest."""
        for table, entry in self.manifest.tables.items():
            self._check_file(table, entry)
        digests = {table: entry.sha256 for table, entry in self.manifest.tables.items()}
        if combined(self.manifest.organization.content, digests) != self.manifest.content_sha256:
            raise self._damaged("its manifest does not agree with its files")

    def _check_file(self, table: str, entry: TableEntry) -> None:
        digest, rows = hashlib.sha256(), 0
        for line in self._lines(table):
            digest.update(line)
            rows += 1
        if digest.hexdigest() != entry.sha256 or rows != entry.rows:
            raise self._damaged(f"{file_of(table)} is not what the manifest says")

    def _lines(self, table: str) -> Iterator[bytes]:
        left = self.manifest.tables[table].bytes
        try:
            with self._file.open(file_of(table)) as file:
                while line := file.readline(min(LINE_LIMIT_BYTES, left) + 1):
                    left -= len(line)
                    if left < 0 or not line.endswith(b"\n"):
                        raise self._damaged(f"{file_of(table)} has a line or a length that the manifest does not allow")
                    yield line
        except ArchiveError:
            raise
        except _DAMAGE as error:
            raise self._damaged(f"{file_of(table)} cannot be read ({error})") from error

    def _damaged(self, what: str) -> ArchiveError:
        return ArchiveError(f"{self.name}: {what}; it is damaged or was changed, take another copy")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Archive]:
    """The archive at `path`, looked through to its last byte.

    Raises:
        ArchiveError: it is none, damaged, changed, or of a newer library. OSError: it cannot be opened.
    """
    name = Path(path).name
    if not Path(path).is_file():
        raise ArchiveError(f"{name}: there is no such file; give the zip file that `rayces export tenant` wrote")
    with Path(path).open("rb") as bytes_of, _unzipped(name, bytes_of) as file:
        archive = Archive(name, file, _manifest(name, file))
        archive.verify()
        yield archive


@contextmanager
def _unzipped(name: str, file: object) -> Iterator[zipfile.ZipFile]:
    try:
        unzipped = zipfile.ZipFile(file)  # type: ignore[call-overload]
    except _DAMAGE as error:
        raise ArchiveError(f"{name}: this is no zip file, or not all of one ({error}); take another copy") from error
    with unzipped:
        yield unzipped


def _manifest(name: str, file: zipfile.ZipFile) -> Manifest:
    entries = {entry.filename: entry for entry in file.infolist()}
    if NAME not in entries or entries[NAME].file_size > LIMIT_BYTES:
        raise ArchiveError(f"{name}: it has no {NAME}; give the zip file that `rayces export tenant` wrote")
    try:
        with file.open(NAME) as manifest_file:
            text = manifest_file.read(LIMIT_BYTES + 1)
    except _DAMAGE as error:
        raise ArchiveError(f"{name}: {NAME} cannot be read ({error}); take another copy") from error
    manifest = parsed(name, text)
    expected = {NAME, *map(file_of, manifest.tables)}
    if set(entries) != expected or len(file.infolist()) != len(expected):
        strange = sorted(set(entries) ^ expected) or ["a name that is there twice"]
        raise ArchiveError(f"{name}: its files are not those of its manifest ({strange[0][:100]!r}); take another copy")
    for table, entry in manifest.tables.items():
        found = entries[file_of(table)]
        if found.file_size != entry.bytes or entry.bytes > max(LARGE_BYTES, MOST_COMPRESSED * found.compress_size):
            raise ArchiveError(f"{name}: {file_of(table)} would become larger than it may; take another copy")
    return manifest
