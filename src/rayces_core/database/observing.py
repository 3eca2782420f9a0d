"""What an application may know of each statement that was run: what it did, how long it took; never its values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_OPERATION: Final = re.compile(r"\b(select|insert|update|delete|merge|copy)\b", re.IGNORECASE)
_TABLE: Final = re.compile(
    r"\b(?:from|into|update|copy|join)\s+(?:only\s+)?(?:\(\s*select\s+\*\s+from\s+)?\"?([a-z_][\w$]*)\"?(?!\s*\()",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, or message of several, that was run.

    Attributes:
        operation: "select", "insert", "update", "delete", "copy" …, or "other". table: the first table that it names.
        seconds: until its answer was there. organization_id: of the bound tenant; None in privileged work.
        rows: written or returned; None where it failed or tells none. error: what it raised.
        replica: host, port and name of the replica that it was sent to; None for the primary.
    """

    operation: str
    table: str | None
    seconds: float
    organization_id: int | None
    rows: int | None
    error: Exception | None
    replica: str | None = None


Observer = Callable[[Query], object]


def described(sql: str) -> tuple[str, str | None]:
    """The operation of a statement and the first table that it names."""
    return _cached(sql) if len(sql) < 4000 else _look(sql[:4000])


def _look(sql: str) -> tuple[str, str | None]:
    operation, table = _OPERATION.search(sql), _TABLE.search(sql)
    return operation[1].lower() if operation else "other", table[1] if table else None


_cached = lru_cache(maxsize=2048)(_look)
