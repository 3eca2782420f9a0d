"""Holds and credits come by imports of their own, in either order: after each, holds reserve what balances cover."""

from __future__ import annotations

from rayces_core import credits
from rayces_core.showing import counted


def reserve() -> str | None:
    """Reserve what is covered; a note of the holds that are not, which keep their time."""
    uncovered = credits.reserve_holds().uncovered
    if not uncovered:
        return None
    holds = counted(len(uncovered), "appointments")
    return (
        f"{holds} to be confirmed reserve no credits, as their clients have too few: they keep their time, and "
        "confirming asks the balance; `rayces credits reserve` names them, and reserves once the credits are there"
    )
