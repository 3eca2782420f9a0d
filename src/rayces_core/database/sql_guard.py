"""Refuses raw SQL that would step out of the tenant: end the transaction, change the role, leave rows behind.

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
_CHANGES_CONNECTION = re.compile(r"\s*(discard|reset|listen|unlisten|load|prepare|deallocate)\b", re.IGNORECASE)
# A temporary table or a held cursor keeps one tenant's rows on a connection that another gets next.
_OUTLIVES = re.compile(
    r"\s*create\s+((global|local)\s+)?temp(orary)?\b(?!.*\bon\s+commit\s+drop\b)"
    r"|.*\binto\s+((global|local)\s+)?temp(orary)?\b|.*\bpg_temp\b|\s*declare\b.*\bwith\s+hold\b",
    re.IGNORECASE | re.DOTALL,
)
_RUNS_MORE_SQL = re.compile(r"\s*(do|call)\b", re.IGNORECASE)
_SETS = re.compile(r"\s*set\s+(?P<local>local\s+|session\s+)?(?P<name>[\w.]+(\s+authorization)?)", re.IGNORECASE)
_HARMLESS_SETS = {"constraints", "transaction"}
_HELD_SETTINGS = {"role", "session authorization", "authorization", "row_security", "search_path"}
_ONE_OF_OURS = re.compile(r"\s*\(*\s*(select|insert|update|delete|with)\b", re.IGNORECASE)
_MAY_OUTLIVE = re.compile(r"\btemp|\bpg_temp", re.IGNORECASE)
_SESSION_LOCK = re.compile(r"\bpg_(try_)?advisory_lock(_shared)?\s*\(", re.IGNORECASE)
_CHANGES_TENANT = re.compile(r"\bset_config\s*\(", re.IGNORECASE)


def check(sql: str) -> None:
    """Return when `sql` stays within the bound tenant; raise UnsafeSQLError otherwise."""
    if len(sql) <= CACHED_LENGTH:
        _check_cached(sql)
    else:
        _check(sql)


def runs_more_sql(sql: str) -> bool:
    """Whether `sql` has PostgreSQL run SQL that cannot be looked at here: its connection is not used again."""
    return _RUNS_MORE_SQL.match(sql) is not None


def _check(sql: str) -> None:
    if _CHANGES_TENANT.search(sql):
        raise UnsafeSQLError("the tenant is bound by `with db.tenant(...)` only; take set_config out of the SQL")
    if _SESSION_LOCK.search(sql):
        raise UnsafeSQLError("a session's advisory lock would stay on the connection; use pg_advisory_xact_lock")
    if ";" not in sql and _ONE_OF_OURS.match(sql) and not _MAY_OUTLIVE.search(sql):
        return
    for statement in _OPAQUE.sub(_blank, sql).split(";"):
        _check_statement(statement)


def _blank(opaque: re.Match[str]) -> str:
    return " " if opaque[0].startswith(("--", "/*")) else " '' "


def _check_statement(statement: str) -> None:
    if word := _ENDS_TRANSACTION.match(statement):
        raise UnsafeSQLError(f"{word[1].upper()} is not raw SQL's to run; use `with db.atomic():`")
    if _OUTLIVES.match(statement):
        raise UnsafeSQLError("this would leave rows on the connection for whoever gets it next; add ON COMMIT DROP")
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
    if name in _HELD_SETTINGS or name.startswith("rayces."):
        raise UnsafeSQLError(f"SET {name} would step out of the tenant; it is refused")
    if not (found["local"] or "").lower().startswith("local"):
        raise UnsafeSQLError(
            f"SET {name} would stay on the pooled connection; use SET LOCAL inside `with db.atomic():`"
        )


_check_cached = lru_cache(maxsize=2048)(_check)
