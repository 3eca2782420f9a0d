"""Where in the caller's own SQL an error lies: the message that was sent has the library's SQL in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import psycopg2
from psycopg2.extensions import encodings

# What carries the tenant begins each message; no text of a caller's is in it.
_AHEAD: Final = re.compile(
    r"(?:(?:SET LOCAL (?:rayces\.|transaction_read_only )[^;]*|SELECT"
    r"|SELECT (?:pg_catalog\.)?set_config\('(?:search_path|role|rayces\.)[^;]*"
    r"|BEGIN|COMMIT|EXECUTE rayces_[^;]*|CLOSE ALL|UNLISTEN \*|DISCARD TEMP|SELECT pg_advisory_unlock_all\(\)); )+"
)
# What stands before a query of the caller's that is asked for its columns; he has written no comment like this.
AROUND: Final = "SELECT * FROM (/* columns of */"
_LITERAL: Final = re.compile(r"\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """`line` and `column` count from 1; `excerpt` is the line around it, without what stands in quotes."""

    line: int
    column: int
    excerpt: str


def own_sql(error: psycopg2.Error, ahead: int | None = None) -> str:
    """The caller's part of the message that failed, its values put in; "" where the driver has it no more."""
    sent = _sent(error)
    return sent[_ahead(sent, ahead) :]


def place_of(error: psycopg2.Error, ahead: int | None = None) -> Place | None:
    """The place that the server names, in the caller's own SQL; None where it names none there."""
    position = error.diag.statement_position
    sent = _sent(error)
    at = int(position) - 1 - _ahead(sent, ahead) if position else -1
    own = sent[_ahead(sent, ahead) :]
    if not 0 <= at <= len(own):
        return None
    begin = own.rfind("\n", 0, at) + 1
    before = without_literals(own[begin:at])
    after = without_literals(own[at:]).partition("\n")[0]
    return Place(own.count("\n", 0, at) + 1, at - begin + 1, _cut(before, after))


def without_literals(sql: str) -> str:
    """The SQL with what stands in single quotes left out."""
    return _LITERAL.sub("'…'", sql)


def _cut(before: str, after: str) -> str:
    front = f"…{before[-_WIDTH // 2 :]}" if len(before) > _WIDTH // 2 else before
    room = _WIDTH - len(front)
    return (front + (f"{after[:room]}…" if len(after) > room else after)).strip()


def _sent(error: psycopg2.Error) -> str:
    if error.cursor is None or not error.cursor.query:
        return ""
    return error.cursor.query.decode(encodings.get(error.cursor.connection.encoding, "utf-8"), "replace")


def _ahead(sent: str, ahead: int | None) -> int:
    if ahead is None:
        found = _AHEAD.match(sent)
        ahead = found.end() if found else 0
    return ahead + (len(AROUND) if sent.startswith(AROUND, ahead) else 0)
