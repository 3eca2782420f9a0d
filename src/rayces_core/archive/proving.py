"""The proof that ends a restore: what came in is the archive's, its ledger adds up, its journal leads to its states.

Rule it guards: an archive is not believed because its checksums are right; whoever changes a row can make those anew.
"""

from __future__ import annotations

from typing import Final

from rayces_core.archive.layout import JOURNAL, STATES
from rayces_core.archive.placing import place_of
from rayces_core.archive.reading import Archive
from rayces_core.archive.snapshot import bound_organization, content_checksum
from rayces_core.credits import verify
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError

# The first row whose state is not the last one of its journal. A row without a journal was made in its state.
_ASTRAY: Final = f"""
SELECT t.id, t.{{state}}, last.to_state
  FROM {{table}} AS t
  JOIN (
    SELECT DISTINCT ON (subject_id) subject_id, to_state FROM {JOURNAL}
     WHERE organization_id = %(tenant)s AND subject_type = %(kind)s ORDER BY subject_id, id DESC
  ) AS last ON last.subject_id = t.id
 WHERE t.organization_id = %(tenant)s AND t.{{state}} <> last.to_state
 ORDER BY t.id LIMIT 1
"""
_LEDGER: Final = "see `rayces credits verify` where it comes from, and export again once that finds nothing"


def refuse_ledger(archive: Archive) -> None:
    """Refuse an archive whose own manifest says that the ledger was not right; raises ArchiveError."""
    if found := archive.manifest.ledger_discrepancies:
        raise ArchiveError(f"{archive.name}: its ledger does not add up in {found} places; {_LEDGER}")


def prove(archive: Archive) -> None:
    """Look at what was written, in the unit of work that wrote it.

    Raises:
        ArchiveError: it is not the archive's, its ledger does not add up, or a state is not where the journal leads.
    """
    if content_checksum() != archive.manifest.content_sha256:
        raise ArchiveError(
            f"{archive.name}: what came in is not what the archive says of itself; it was changed, take another copy"
        )
    if found := verify().discrepancies:
        raise ArchiveError(f"{archive.name}: the ledger does not add up: {found[0]}; {_LEDGER}")
    for kind in STATES:
        _follow(archive, kind)


def _follow(archive: Archive, kind: str) -> None:
    table, column = STATES[kind]
    values = {"tenant": bound_organization(), "kind": kind}
    astray = current().engine.execute_sql(_ASTRAY.format(table=table, state=column), values).fetchone()
    if astray is not None:
        row_id, state, last = astray
        raise ArchiveError(
            f"{archive.name}: {table}, row {place_of(table, row_id)}: it is {state}, but the journal leads to {last}; "
            "it was changed, take another copy"
        )
