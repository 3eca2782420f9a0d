"""What a database that is one of several cells has beside what its migrations make, and why that is no drift.

Its sequences give ids of a range of its own, and for the time of a tenant's move triggers and policies hold that
tenant's rows.
"""

from __future__ import annotations

import re
from typing import Final

from rayces_core.migrating.catalogue import Entry

RANGE: Final = 1 << 40  # ids of a cell
HOLDING: Final = ("rayces_cells.refuse_moving(", "rayces_cells.bound_here(")
_COUNTS: Final = re.compile(r"(sequence \S+ \S+) start (\d+) (increment 1) min (\d+) max (\d+) (.*)")


def strike_out_ranges(missing: list[Entry], unexpected: list[Entry]) -> None:
    """Remove from both lists the sequences that differ by a cell's range of ids alone."""
    wanted = {_apart(entry): entry for entry in missing if _COUNTS.fullmatch(entry.line)}
    for entry in list(unexpected):
        found = _COUNTS.fullmatch(entry.line)
        if found and _is_range(*map(int, found.group(2, 4, 5))) and (other := wanted.get(_apart(entry))) is not None:
            missing.remove(other)
            unexpected.remove(entry)


def is_holding(line: str) -> bool:
    """Whether a line of the catalogue is a trigger or a policy that holds a tenant on its way to another cell."""
    return line.startswith(("trigger ", "policy ")) and any(each in line for each in HOLDING)


def _apart(entry: Entry) -> str:
    found = _COUNTS.fullmatch(entry.line)
    return " ".join(found.group(1, 3, 6)) if found else ""


def _is_range(start: int, lowest: int, highest: int) -> bool:
    return start == lowest and (lowest - 1) % RANGE == 0 and highest == lowest - 1 + RANGE
