"""Who is told of entries: each that begins to count is announced as "posted", once, and a repetition never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rayces_core.models.credit import COMPLETED, PENDING, CreditTransaction
from rayces_core.models.user import User
from rayces_core.state_machine import StateChange

lifecycle: Final = CreditTransaction.lifecycle
POSTED: Final = "posted"


def announce(entry: CreditTransaction, by: User | None) -> None:
    """Announce an entry that was made and counts."""
    if lifecycle.is_heard(POSTED):
        at = entry.processed_at or entry.created_at
        lifecycle.announce(StateChange(entry, POSTED, PENDING, COMPLETED, by, entry.reason, at, {}))


def announce_all(entry_ids: Sequence[int], by: User | None) -> None:
    """Announce entries that were made by one statement, in their order."""
    if entry_ids and lifecycle.is_heard(POSTED):
        for entry in (
            CreditTransaction.select().where(CreditTransaction.id << list(entry_ids)).order_by(CreditTransaction.id)
        ):
            announce(entry, by)
