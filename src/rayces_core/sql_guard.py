"""Refuses raw SQL that would step out of the tenant: end the transaction, change the role or the setting.

It catches accidents and pasted scripts, not an attacker: SQL built at run time inside a function or DO block
is held by the role and by row-level security alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rayces_core.errors import UnsafeSQLError

CACHED_LENGTH = 4000  # longer texts are bulk inserts: each is new, so remembering them only costs memory

_OPAQUE = re.compile(
    r"""--[^\n]*                                       # comment
      | /\*.*?\*/                                      # comment
      | \b[eE]'(?:[^'\\]|\\.|'')*'                     # string with escapes
      | '(?:[^']|'')*'                                 # string
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$                # dollar-quoted string
      | "(?:[^"]|"")*"                                 # identifier
    """,
    re.VERBOSE | re.DOTALL,
)
_ENDS_TRANSACTION = re.compile(
    r"\s*(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b",
    re.IGNORECASE,
)
_CHANGES_CONNECTION = re.compile(r"\s*(discard|reset|listen|unlisten|load)\b", re.IGNORECASE)
_SETS = re.compile(r"\s*set\s+(?P<local>local\s+|session\s+)?(?P<name>[\w.]+(\s+authorization)?)", re.IGNORECASE)
_HARMLESS_SETS = {"constraints", "transaction"}
_HELD_SETTINGS = {"role", "session authorization", "authorization", "row_security", "search_path"}
_ONE_OF_OURS = re.compile(r"\s*\(*\s*(select|insert|update|delete|with)\b", re.IGNORECASE)
_CHANGES_TENANT = re.compile(r"\bset_config\s*\(|\brayces\.\w+", re.IGNORECASE)


def check(sql: str) -> None:
    """Return when `sql` stays within the bound tenant; raise UnsafeSQLError otherwise."""
    if len(sql) <= CACHED_LENGTH:
        _check_cached(sql)
    else:
        _check(sql)


def _check(sql: str) -> None:
    if _CHANGES_TENANT.search(sql):
        raise UnsafeSQLError(
            "the tenant is bound by `with db.tenant(...)` only; take set_config and rayces.* out of the SQL"
        )
    if ";" not in sql and _ONE_OF_OURS.match(sql):
        return
    for statement in _OPAQUE.sub(_blank, sql).split(";"):
        _check_statement(statement)


def _blank(opaque: re.Match[str]) -> str:
    return " " if opaque[0].startswith(("--", "/*")) else " '' "


def _check_statement(statement: str) -> None:
    if word := _ENDS_TRANSACTION.match(statement):
        raise UnsafeSQLError(f"{word[1].upper()} is not raw SQL's to run; use `with db.atomic():`")
    if word := _CHANGES_CONNECTION.match(statement):
        raise UnsafeSQLError(
            f"{word[1].upper()} would change the connection, which others use after this; it is refused"
        )
    found = _SETS.match(statement)
    if found is None:
        return
    name = " ".join(found["name"].lower().split())
    if name in _HARMLESS_SETS:
        return
    if name in _HELD_SETTINGS:
        raise UnsafeSQLError(f"SET {name} would step out of the tenant; it is refused")
    if not (found["local"] or "").lower().startswith("local"):
        raise UnsafeSQLError(
            f"SET {name} would stay on the pooled connection; use SET LOCAL inside `with db.atomic():`"
        )


_check_cached = lru_cache(maxsize=2048)(_check)
