"""Brings an archive into an organization that has no rows yet, whole or not at all.

The rows are written by the application's role under row-level security, in one unit of work that ends with the proof:
the content checksum of what is there now is the archive's, its ledger adds up and its journal leads to its states.
Only making the organization is privileged; should the rows be refused, it goes again, and should the process die in
between, what is left is an organization without rows, into which the archive still goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import peewee

from rayces_core.archive.layout import layout
from rayces_core.archive.manifest import Manifest
from rayces_core.archive.placing import place
from rayces_core.archive.proving import prove, refuse_ledger
from rayces_core.archive.reading import Archive, opened
from rayces_core.archive.settling import settled
from rayces_core.archive.snapshot import bound_organization
from rayces_core.archive.tables import Table
from rayces_core.archive.writing import Progress, last_migration
from rayces_core.database.binding import current
from rayces_core.database.database import Database
from rayces_core.database.snapshots import check_present
from rayces_core.errors import ArchiveError, ConnectionLostError, ConstraintError, InvalidDataError, UnknownTenantError
from rayces_core.models import Organization

# Who adds a row to an organization locks it; nobody adds one until this unit of work has ended. Citus has it on every
# node, and locks it where a statement's tenant is.
_LOCK: Final = """
SELECT o.id FROM organizations AS o LEFT JOIN users AS u ON u.organization_id = %(organization)s AND u.id = 0
 WHERE o.id = %(organization)s FOR UPDATE OF o"""
_REFUSED = (ConstraintError, InvalidDataError, peewee.DataError, peewee.ProgrammingError, peewee.InternalError)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came in: into which organization, how many rows of each table, and the checksum of the content."""

    organization: Organization
    content_sha256: str
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all tables together."""
        return sum(self.rows.values())


def restore(
    db: Database,
    path: str | os.PathLike[str],
    *,
    subdomain: str | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Bring the archive at `path` into `db`; ids and tokens are made anew, all else is as it was, to the microsecond.

    Args:
        subdomain: of the organization that gets the rows: a new one, or one without rows. Default: the archive's own.
        progress: called as progress(table, rows done, rows in all) after each batch.

    Raises:
        ArchiveError: the archive is damaged, changed, newer or of another schema, the organization has rows, its ledger
            does not add up, a row's state is not where its journal leads, or the database refuses a row. Nothing
            is written. OSError: the file cannot be read.
    """
    with opened(path) as archive:
        refuse_ledger(archive)
        wanted = subdomain or archive.manifest.organization.subdomain
        with _place_for(db, archive, wanted) as organization, db.tenant(organization):
            tables = _tables_of(archive)
            _bring_in(archive, tables, progress)
        db.engine.forget_organizations()
        with db.tenant(organization.id) as organization:
            return Restored(organization, archive.manifest.content_sha256, archive.manifest.rows)


@contextmanager
def _place_for(db: Database, archive: Archive, subdomain: str) -> Iterator[Organization]:
    """The organization of that subdomain; one that is made for it goes again if the block fails."""
    try:
        with db.tenant(subdomain) as found:
            pass
    except UnknownTenantError:
        with _made(db, archive, subdomain) as made:
            yield made
    else:
        yield found


@contextmanager
def _made(db: Database, archive: Archive, subdomain: str) -> Iterator[Organization]:
    try:
        made = db.create_organization(str(archive.manifest.organization.content.get("name")), subdomain=subdomain)
    except (ConstraintError, InvalidDataError) as error:
        raise ArchiveError(f"{archive.name}: no organization can be made for it: {error}") from error
    try:
        yield made
    except BaseException:
        # Somebody else may have put rows into it meanwhile: then it stays.
        with suppress(ConstraintError, ConnectionLostError), db.privileged(reason="an archive did not come in"):
            made.delete_instance()
        db.engine.forget_organizations()
        raise


def _tables_of(archive: Archive) -> tuple[Table, ...]:
    """The tables, which must be those of the archive, column by column."""
    manifest, here = archive.manifest, last_migration()
    if manifest.migration and here and manifest.migration != here:
        raise ArchiveError(
            f"{archive.name}: the archive's schema is at {manifest.migration} and this database's at {here}; bring "
            "the older one up with `rayces migrate up`, and export again if it is the archive's"
        )
    tables = layout()
    theirs = {name: entry.columns for name, entry in manifest.tables.items()}
    ours = {table.name: table.columns for table in tables}
    if theirs != ours:
        raise ArchiveError(
            f"{archive.name}: {_unlike(theirs, ours)}; archives go between databases with the same tables"
        )
    return tables


def _unlike(theirs: Mapping[str, tuple[str, ...]], ours: Mapping[str, tuple[str, ...]]) -> str:
    """What of an archive's tables is not as in this database, and what to do."""
    missing, more = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    if missing:
        return (
            f"it has tables that this database lacks ({', '.join(missing)[:200]}): run your own migrations here first"
        )
    if more:
        named = f"it lacks tables that this database has ({', '.join(more)[:200]})"
        return f"{named}: run your own migrations there, and export again"
    differing = sorted(name for name in theirs if theirs[name] != ours[name])
    return f"its tables have other columns than this database's ({', '.join(differing)[:200]})"


def _bring_in(archive: Archive, tables: tuple[Table, ...], progress: Progress | None) -> None:
    try:
        with current().engine.atomic(), settled():
            _take_over_organization(archive.manifest)
            _refuse_rows(archive, tables)
            place(archive, tables, progress)
            prove(archive, tables)
    except (*_REFUSED, peewee.OperationalError) as error:
        code = getattr(error.__cause__, "pgcode", None) or ""
        if isinstance(error, ArchiveError) or not (isinstance(error, _REFUSED) or code.startswith("54")):
            raise
        raise ArchiveError(f"{archive.name}: the database refuses its rows: {error}; nothing was brought in") from error


def _take_over_organization(manifest: Manifest) -> None:
    check_present()
    current().engine.execute_sql(_LOCK, {"organization": bound_organization()})
    Organization.update(**manifest.organization.content).execute()


def _refuse_rows(archive: Archive, tables: tuple[Table, ...]) -> None:
    for table in tables:
        sql = f"SELECT EXISTS (SELECT FROM {table.sql} WHERE organization_id = %s)"
        if current().engine.execute_sql(sql, (bound_organization(),)).fetchone()[0]:
            raise ArchiveError(
                f"{archive.name}: the organization has rows already (in {table.name}); an archive goes into a new one "
                "or one without rows"
            )
