"""What SQL can have done, judged by its text: asked only once its answer is lost."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_QUOTED: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_LOCKING: Final = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b", re.IGNORECASE)
_WRITING: Final = re.compile(
    r"\b(?:insert|update|delete|merge|into|execute|call|do|create|alter|drop|truncate)\b", re.IGNORECASE
)
_OWN_TRANSACTIONS: Final = re.compile(r"\s*(?:/\*.*?\*/|--[^\n]*\n|\s)*(?:call|do)\b", re.IGNORECASE | re.DOTALL)


def may_write(sql: str) -> bool:
    """Whether the library's own SQL writes anything; of a host's functions and raw SQL nobody can say."""
    return _cached(str(sql)) if len(sql) < 4000 else _writes(sql)


def _writes(sql: str) -> bool:
    return _WRITING.search(_LOCKING.sub("", _QUOTED.sub("", sql))) is not None


_cached = lru_cache(maxsize=1024)(_writes)


def commits_within(sql: str) -> bool:
    """Whether raw SQL that is a message by itself may have committed a part before it failed."""
    return _OWN_TRANSACTIONS.match(sql) is not None
