"""Where tenants live, as the catalogue tells it, and what a process remembers of that for a short while.

Rule it guards: what is remembered is older than the catalogue by `trusted_seconds` at most, counted from before it was
asked. A move waits for that long once the catalogue says the other cell, and only then writing goes on there; so
nobody reads an old copy while somebody writes the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["reserved", "placed", "moving", "moved"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tenant lives.

    Attributes:
        subdomain, id: of its organization; the id is None while it is being made.
        cell: the name of the cell.
        state: "reserved" while it is being made or renamed, "placed", "moving" while it is on its way elsewhere, and
            "moved" while an old copy is left in the cell that it came from.
    """

    subdomain: str
    id: int | None
    cell: str
    state: State


class Remembered:
    """Placements that were looked up, by subdomain and by id; those that are not there as well."""

    MOST: Final = 100_000
    UNKNOWN_SECONDS: Final = 5.0

    def __init__(self) -> None:
        self._known: dict[str | int, tuple[float, Placement | None]] = {}

    def find(self, key: str | int) -> Placement | Literal[False] | None:
        """What is still trusted: None for a tenant that is not there; False if it is not known."""
        known = self._known.get(key)
        return False if known is None or known[0] <= time.monotonic() else known[1]

    def last(self, key: str | int) -> Placement | None:
        """What was found last, still trusted or not."""
        known = self._known.get(key)
        return None if known is None else known[1]

    def look_up(self, key: str | int, look: Callable[[], tuple[Placement | None, float]]) -> Placement | None:
        """What is known, or what `look()` finds, and for how many seconds that is trusted."""
        known = self.find(key)
        if known is not False:
            return known
        into = self._known  # forget() leaves a look-up under way a dict that nobody reads
        asked_at = time.monotonic()
        found, seconds = look()
        until = asked_at + (min(seconds, self.UNKNOWN_SECONDS) if found is None else seconds)
        for each in (key,) if found is None else (found.subdomain, found.id):
            while len(into) >= self.MOST and each not in into:
                into.pop(next(iter(into)), None)
            if each is not None:
                into[each] = (until, found)
        return found

    def forget(self) -> None:
        """Look again."""
        self._known = {}
