"""The proof that ends a restore: what came in is the archive's, its ledger adds up, its journal leads to its states.

Rule it guards: an archive is not believed because its checksums are right; whoever changes a row can make those anew.
"""

from __future__ import annotations

from typing import Final

from rayces_core.archive.layout import JOURNAL, STATES
from rayces_core.archive.placing import RESTORING, place_of
from rayces_core.archive.reading import Archive
from rayces_core.archive.snapshot import bound_organization, combined, digest_of, organization
from rayces_core.archive.tables import Table
from rayces_core.credits import verify
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError

# Triggers of a host may write rows of their own when a row comes in, which is in the archive already.
_TRIGGERS: Final = """
SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger
 WHERE tgrelid IN (SELECT to_regclass(name) FROM unnest(%(tables)s) AS name) AND NOT tgisinternal AND tgenabled <> 'D'
 ORDER BY 1, 2
"""

# The first row whose state is not the last one of its journal, by ids or by moments: the ids of a tenant that was moved
# between servers tell nothing of time, and a moment may have been told. A row without a journal was made in its state.
# Who was erased stands in the state of before.
_ASTRAY: Final = f"""
SELECT t.id, t.{{state}}, last.to_state
  FROM {{table}} AS t
  JOIN (
    SELECT DISTINCT ON (subject_id) subject_id, to_state,
           first_value(to_state) OVER (PARTITION BY subject_id ORDER BY occurred_at DESC, id DESC) AS latest
      FROM {JOURNAL} WHERE organization_id = %(tenant)s AND subject_type = %(kind)s AND event <> 'erased'
     ORDER BY subject_id, id DESC
  ) AS last ON last.subject_id = t.id
 WHERE t.organization_id = %(tenant)s AND t.{{state}} <> last.to_state AND t.{{state}} <> last.latest
 ORDER BY t.id LIMIT 1
"""
_LEDGER: Final = "see `rayces credits verify` where it comes from, and export again once that finds nothing"


def refuse_ledger(archive: Archive) -> None:
    """Refuse an archive whose own manifest says that the ledger was not right; raises ArchiveError."""
    if found := archive.manifest.ledger_discrepancies:
        raise ArchiveError(f"{archive.name}: its ledger does not add up in {found} places; {_LEDGER}")


def prove(archive: Archive, tables: tuple[Table, ...]) -> None:
    """Look at what was written, in the unit of work that wrote it.

    Raises:
        ArchiveError: it is not the archive's, its ledger does not add up, or a state is not where the journal leads.
    """
    digests = {table.name: digest_of(table) for table in tables}
    differing = [name for name, digest in digests.items() if digest != archive.manifest.tables[name].sha256]
    if differing or combined(organization(), digests) != archive.manifest.content_sha256:
        raise ArchiveError(f"{archive.name}: {_unlike(tables, differing)}")
    if found := verify().discrepancies:
        raise ArchiveError(f"{archive.name}: the ledger does not add up: {found[0]}; {_LEDGER}")
    for kind in STATES:
        _follow(archive, kind)


def _unlike(tables: tuple[Table, ...], differing: list[str]) -> str:
    """What is said of tables whose rows are not the archive's."""
    named = f" ({', '.join(differing)[:200]})" if differing else ""
    what = f"what came in is not what the archive says of itself{named}"
    values = {"tables": [table.sql.replace("%%", "%") for table in tables]}
    triggers = [f"{name} on {table}" for table, name in current().engine.execute_sql(_TRIGGERS, values).fetchall()]
    if not triggers:
        return f"{what}; it was changed, take another copy"
    return (
        f"{what}; it was changed, or triggers change what is written ({', '.join(triggers)[:200]}): have them do "
        f"nothing while current_setting('{RESTORING}', true) = 'on'"
    )


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
