"""What a worker of the old application did, so that the rows that have to be there at the end are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Diary:
    """Rows by id: written whole, columns changed, deleted; only what was committed.

    No two diaries of a run speak of the same row, but by naming it as author, post or giver of a like.
    """

    written: dict[str, dict[int, Row]] = field(default_factory=lambda: {"users": {}, "posts": {}, "likes": {}})
    changed: dict[str, dict[int, Row]] = field(default_factory=lambda: {"users": {}, "posts": {}})
    deleted: dict[str, list[int]] = field(default_factory=lambda: {"likes": [], "posts": []})

    def write(self, table: str, key: int, row: Row) -> None:
        """A row was inserted."""
        self.written[table][key] = row

    def change(self, table: str, key: int, row: Row) -> None:
        """Columns of a row were set."""
        self.changed[table].setdefault(key, {}).update(row)

    def delete(self, table: str, *keys: int) -> None:
        """Rows were deleted."""
        self.deleted[table].extend(keys)

    def extend(self, other: Diary) -> None:
        """Add what another worker did."""
        for table, rows in other.written.items():
            self.written[table].update(rows)
        for table, rows in other.changed.items():
            self.changed[table].update(rows)
        for table, keys in other.deleted.items():
            self.deleted[table].extend(keys)
