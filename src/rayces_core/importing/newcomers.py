"""Which rows of a table came since the check, by their ids: what each batch has to be compared with once more.

Rule it guards: what others write while an import runs is seen by every batch after it, and the import's own rows, which
are many, are not looked at again and again. Ids grow, unless the tenant has rows of another server with higher ones: as
soon as a batch of its own shows that, all is compared. One that was given out before the check and is committed after
the batch that would meet it is left to the constraints of the table.
"""

from __future__ import annotations

from typing import Final

from rayces_core.importing.staging import NEWEST_ID, Staging

NEWEST: Final = "SELECT coalesce(max(id), 0) FROM {table} WHERE {owner} = %(tenant)s"
ADDED: Final = "SELECT coalesce(max(id), %(newest)s) FROM {table} WHERE {owner} = %(tenant)s AND id > %(newest)s"
MOST_RANGES: Final = 16
ALL: Final = (0, NEWEST_ID)

Range = tuple[int, int]


class Newcomers:
    """Ranges of ids, each (above, up to), that rows of others may have since the check."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._seen = self._newest()
        self._ranges: list[Range] = []

    def before_batch(self) -> list[Range]:
        """The ranges to compare a batch with; asked while the import has its turn."""
        if ALL in self._ranges:
            return [ALL]
        newest = self._newest()
        return [*self._ranges, *([(self._seen, newest)] if newest > self._seen else [])]

    def after_batch(self, compared: list[Range], created: int) -> tuple[list[Range], int]:
        """The ranges after a batch of so many new rows, to be kept by `keep` once it is committed."""
        newest = max([self._seen, *(until for _, until in compared)])
        query = self._filled(ADDED)
        (last,) = self._staging.run(query, newest=newest).fetchone()
        if (created and last == newest) or ALL in compared:
            return [ALL], last
        # A gap may be a row of somebody else whose unit of work is not committed yet.
        ranges = compared if last - newest == created else [*compared, (newest, last)]
        if len(ranges) > MOST_RANGES:
            ranges = [(ranges[0][0], ranges[-1][1])]
        return ranges, last

    def keep(self, ranges: list[Range], seen: int) -> None:
        """Go on from there."""
        self._ranges, self._seen = ranges, seen

    def _newest(self) -> int:
        (newest,) = self._staging.run(self._filled(NEWEST)).fetchone()
        return int(newest)

    def _filled(self, query: str) -> str:
        record = self._staging.record
        return query.format(table=record.table, owner=record.owner)
