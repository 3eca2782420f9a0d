"""A move as the catalogue notes it, and the steps it takes.

begun → frozen → copied → checked → opening → switched → opened → finished; before `switched` it may be cancelled, by
way of `cancelling`. Whatever is done for a step can be done again, so a move that was stopped anywhere goes on from
the last step that was noted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

BEFORE_SWITCH: Final = ("begun", "frozen", "copied", "checked", "opening")
ENDED: Final = ("finished", "cancelled")


@dataclass(frozen=True, slots=True)
class Move:
    """A tenant's move from one cell to another.

    Attributes:
        number: of the move. subdomain, tenant_id: of its organization.
        source, target: names of the cells.
        step: the last one that is done. started_at, switched_at, ended_at: when it began, when the tenant was in the
            other cell, and when the old copy was gone; None where it is not so far.
        rows_copied: how many rows its tables had. checksums: table → SHA-256 of its rows, the same in both cells.
    """

    number: int
    subdomain: str
    tenant_id: int
    source: str
    target: str
    step: str
    started_at: datetime
    switched_at: datetime | None
    ended_at: datetime | None
    rows_copied: int | None
    checksums: dict[str, Any] | None

    @property
    def may_be_cancelled(self) -> bool:
        """Whether the tenant is still at home where it was."""
        return self.step in (*BEFORE_SWITCH, "cancelling")
