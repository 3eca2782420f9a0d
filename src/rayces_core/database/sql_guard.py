"""Refuses raw SQL that would step out of the tenant: end the transaction, change the role, leave something behind.

It reads what PostgreSQL's lexer would read, so no spelling hides a word from it and no literal or comment is taken
for one. It catches accidents and pasted scripts, not a hostile author: SQL that is put together at run time, in a
function, a DO block or by `query_to_xml`, is held by the roles and by row-level security alone. It is strict in two
places: any name `pg_temp` is refused, be it an alias, and a function that is named like one of PostgreSQL's that are
refused is taken for that one, unless a schema stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from rayces_core import sql_lexer
from rayces_core.database.sql_rules import check_statement
from rayces_core.errors import UnsafeSQLError

CACHED_LENGTH = 4000  # longer texts are bulk inserts: each is new, so remembering them only costs memory

_ONE_OF_OURS = re.compile(r"[\s(]*(select|insert|update|delete|with)\b", re.IGNORECASE)
# A lone statement of ours that has none of these has nothing in it that is refused, however it is written.
_SUSPICIOUS: Final = ("set_config", "setseed", "advisory", "temp", "lo_", "loread", "lowrite", "pg_settings")
_HIDES: Final = ("u&", "\0", "ts_stat", "ts_rewrite", "query_to_xml")
# No comment, no dollar quote, no string with escapes, and each placeholder by itself: values cannot change its shape.
_PLAIN = re.compile(
    r"""(?: [^'"$%/-]++ | "[^"%]*+" | (?<![\w&])'(?:[^'%]++|%(?![-+\ \#0-9.(s]))*+'
          | (?<!\w)%(?:s|\([\w\ ]*\)s)(?![\w'$]) | -(?!-) | /(?!\*) )*+""",
    re.VERBOSE,
)


def check(sql: str, filled: Callable[[], str] | None = None) -> None:
    """Return when `sql` stays within the bound tenant; raise UnsafeSQLError otherwise.

    `filled` gives the text with its values in place. It is asked for where a placeholder stands in a string, a quoted
    name or a comment, as in `interval '%s days'`: there a value can end what it stands in and go on as SQL.
    """
    short = len(sql) <= CACHED_LENGTH
    (_check_cached if short else _check)(sql)
    if filled is not None and (_quotes_placeholder_cached if short else _quotes_placeholder)(sql):
        _check(filled())


def _check(sql: str) -> None:
    if _needs_no_look(sql):
        return
    if "\0" in sql:
        raise UnsafeSQLError("the SQL has a NUL character, where PostgreSQL would stop reading; take it out")
    for statement in sql_lexer.statements(sql):
        check_statement(statement)


def _needs_no_look(sql: str) -> bool:
    if not _ONE_OF_OURS.match(sql) or ";" in sql.rstrip("; \n"):
        return False
    lower = sql.lower()
    if any(word in lower for word in _HIDES) or any(word in lower for word in _SUSPICIOUS):
        return False
    return "%" not in sql or _PLAIN.fullmatch(sql) is not None


def _quotes_placeholder(sql: str) -> bool:
    return "%" in sql and _PLAIN.fullmatch(sql) is None and sql_lexer.quotes_placeholder(sql)


_check_cached = lru_cache(maxsize=2048)(_check)
_quotes_placeholder_cached = lru_cache(maxsize=2048)(_quotes_placeholder)
