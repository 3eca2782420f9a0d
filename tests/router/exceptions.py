"""What is sent although a router could not send it to one place, or it would be refused there; and why that is right."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.router import reading


@dataclass(frozen=True)
class Intended:
    """Statements that `pattern` finds may have `fault`; one that none has any more is to be taken out of the list."""

    fault: str
    pattern: str
    reason: str

    def covers(self, fault: str, sql: str) -> bool:
        """Whether it is about this one."""
        return re.fullmatch(self.fault, fault) is not None and re.search(self.pattern, sql, re.DOTALL) is not None


INTENDED: tuple[Intended, ...] = (
    Intended(
        reading.LOCAL_CHANGED,
        r"UPDATE resolved AS r SET existing_id",
        "an import compares in a temporary table; where that is refused, the rows are read into one of its own first",
    ),
)
