"""What an application may know of each statement that was run: what it did, how long it took; never its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rayces_core.sql_lexer import Token, readable, tokens

_OPERATIONS: Final = frozenset(("select", "insert", "update", "delete", "merge", "copy"))
_BEFORE_TABLES: Final = frozenset(("from", "join", "into", "update", "copy"))
_READ: Final = frozenset(("word", "name", "punctuation"))


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, or message of several, that was run.

    Attributes:
        operation: "select", "insert", "update", "delete", "copy" …, or "other".
        table: the first table that it names, without its schema.
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
    words = [_readable(sql, token) for token in tokens(sql) if token.kind in _READ or sql[token.start] in ".*"]
    operation = table = None
    inner, verbs = None, [False]  # of the parentheses that are open: whether each is a statement
    for place, word in enumerate(words):
        if word == "(":
            verbs.append(False)
        elif word == ")" and len(verbs) > 1:
            verbs.pop()
        elif word in _OPERATIONS:
            verbs[-1], inner = True, inner or word
            operation = operation or (word if len(verbs) == 1 else None)
        if word in _BEFORE_TABLES and verbs[-1] and words[place - 1] != "distinct":
            table = table or _named(words, place + 1, is_read=word in ("from", "join"))
    return operation or inner or "other", table


def _readable(sql: str, token: Token) -> str:
    return readable(token.kind, sql[token.start : token.end])


def _named(words: list[str], place: int, *, is_read: bool) -> str | None:
    """The table that is named there, also within wall 1's sub-select; None for a function or another sub-select."""
    place += words[place : place + 1] == ["only"]
    place += 4 * (words[place : place + 4] == ["(", "select", "*", "from"])
    while words[place + 1 : place + 2] == ["."]:
        place += 2
    name = "".join(words[place : place + 1])
    is_called = is_read and words[place + 1 : place + 2] == ["("]
    return name.removeprefix('"') if name not in ("", "(", "*") and not is_called else None


_cached = lru_cache(maxsize=2048)(_look)
