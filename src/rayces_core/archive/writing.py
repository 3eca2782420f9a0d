"""Writes the bound tenant into an archive: one snapshot, a file a table, and a manifest that vouches for them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg2

from rayces_core import clock
from rayces_core._version import __version__
from rayces_core.archive.files import whole_file
from rayces_core.archive.layout import layout
from rayces_core.archive.manifest import NAME, Manifest, OrganizationEntry, TableEntry, file_of
from rayces_core.archive.settling import settled
from rayces_core.archive.snapshot import batches, bound_organization, combined, joined, organization
from rayces_core.archive.tables import Table
from rayces_core.credits import verify
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError

Progress = Callable[[str, int, int], object]
# What one line may have; a reader that trusts no archive must be able to say when it is too much.
LINE_LIMIT_BYTES: Final = 64 * 1024 * 1024

_MIGRATION = """
SELECT name FROM rayces_migrations WHERE state = 'applied' ORDER BY substring(name FROM '^[0-9]+')::int DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """What was written: where, how many rows of each table, and the checksum of the content."""

    path: Path
    content_sha256: str
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all tables together."""
        return sum(self.rows.values())


def write(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Archived:
    """Write all that the bound tenant has to a zip file at `path`, as of one moment; the application may go on writing.

    The file takes its place when it is complete. It holds personal data: only its owner may read it.

    Args:
        progress: called as progress(table, rows done, rows in all) after each batch.

    Raises:
        TenantNotSetError: no tenant is bound. TransactionFailedError: a unit of work is open, which may see the rows of
            several moments. ArchiveError: a row is too large, or a table of the host's cannot be archived.
        OSError: the file cannot be written.
    """
    bound_organization()
    migration = last_migration()
    with (
        current().engine.atomic("REPEATABLE READ"),
        settled(),
        whole_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        entries = {table.name: _write_table(archive, table, progress) for table in layout()}
        manifest = _manifest(entries, migration)
        archive.writestr(_entry(NAME), manifest.model_dump_json(indent=2))
    return Archived(Path(path), manifest.content_sha256, manifest.rows)


def last_migration() -> str | None:
    """The name of the newest migration of the bound database; None where the login may not know."""
    try:
        found = current().engine.connection().plain(_MIGRATION).fetchone()
    except psycopg2.Error:
        return None
    return found[0] if found else None


def _manifest(entries: Mapping[str, TableEntry], migration: str | None) -> Manifest:
    content = organization()
    return Manifest(
        library=__version__,
        migration=migration,
        created_at=clock.now().isoformat(),
        organization=OrganizationEntry(subdomain=_subdomain(), content=content),
        ledger_discrepancies=len(verify().discrepancies),
        content_sha256=combined(content, {name: entry.sha256 for name, entry in entries.items()}),
        tables=dict(entries),
    )


def _write_table(archive: zipfile.ZipFile, table: Table, progress: Progress | None) -> TableEntry:
    digest, rows, size = hashlib.sha256(), 0, 0
    total = _count(table) if progress else 0
    with archive.open(_entry(file_of(table.name)), "w", force_zip64=True) as file:
        for lines in batches(table):
            _check_size(table, lines)
            text = joined(lines)
            file.write(text)
            digest.update(text)
            rows, size = rows + len(lines), size + len(text)
            if progress:
                progress(table.name, rows, total)
    return TableEntry(rows=rows, bytes=size, sha256=digest.hexdigest(), columns=table.columns)


def _entry(name: str) -> zipfile.ZipInfo:
    # Without a time of its own: the same content is the same bytes.
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    return entry


def _check_size(table: Table, lines: list[str]) -> None:
    # A character has at most four bytes.
    if any(len(line) > LINE_LIMIT_BYTES // 4 and len(line.encode()) >= LINE_LIMIT_BYTES for line in lines):
        raise ArchiveError(
            f"a row of {table.name} has more than {LINE_LIMIT_BYTES >> 20} MiB, more than an archive takes; "
            "shorten its texts"
        )


def _count(table: Table) -> int:
    counted: Any = current().engine.execute_sql(
        f"SELECT count(*) FROM {table.sql} WHERE organization_id = %s", (bound_organization(),)
    )
    return int(counted.fetchone()[0])


def _subdomain() -> str:
    row = current().engine.execute_sql("SELECT subdomain FROM organizations WHERE id = %s", (bound_organization(),))
    return str(row.fetchone()[0])
