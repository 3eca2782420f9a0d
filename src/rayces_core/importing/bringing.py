"""Where the tenant's tables are on other nodes, a statement brings their rows to the temporary tables that it joins.

Citus refuses some joins of a temporary table with one that is elsewhere, and crashes on others. So each tenant's table
that a statement reads stands before it as a part of its own, under the same name, which is worked out by itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from rayces_core.tenancy.model import TenantModel

_TEMPORARY: Final = re.compile(r"\b(?:staged|resolved|faults)\b")
_LOCKS: Final = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY)\b", re.IGNORECASE)
_HEADS: Final = re.compile(r"\s*(?:SET\s+LOCAL\s+[^;]*;\s*)*", re.IGNORECASE)
_PART: Final = re.compile(r"\b(\w+)\s*(?:\([^()]*\)\s*)?\bAS\s+(?:(?:NOT\s+)?MATERIALIZED\s+)?\(", re.IGNORECASE)
_WITH: Final = re.compile(r"WITH\s+(RECURSIVE\s+)?", re.IGNORECASE)


@cache
def _read(tables: frozenset[str]) -> re.Pattern[str]:
    """Finds the tables that a statement reads; what it writes, or locks, is named there as it is."""
    return re.compile(rf"\b(?:FROM|JOIN)\s+({'|'.join(map(re.escape, sorted(tables)))})\b(?!\s*\()", re.IGNORECASE)


def tenant_tables(root: Any = TenantModel) -> frozenset[str]:
    """The table of every tenant model, those of the host included."""
    below = (tenant_tables(child) | {child._meta.table_name} for child in root.__subclasses__())
    return frozenset().union(*below)


def brought(sql: str) -> str:
    """The statement with the rows of each tenant's table that it reads beside a temporary one as a part of its own."""
    parts = {name.lower() for name in _PART.findall(sql)}  # a part of the statement's own may be named like a table
    read = [name for name in dict.fromkeys(map(str.lower, _read(tenant_tables()).findall(sql))) if name not in parts]
    if not read or not _TEMPORARY.search(sql) or _LOCKS.search(sql):
        return sql
    head = _HEADS.match(sql)
    start = 0 if head is None else head.end()
    before = ", ".join(
        f'{name} AS MATERIALIZED (SELECT * FROM "{name}" WHERE organization_id = %(tenant)s)' for name in read
    )
    rest = sql[start:]
    found = _WITH.match(rest)
    if found is None:
        return f"{sql[:start]}WITH {before} {rest}"
    return f"{sql[:start]}WITH {found[1] or ''}{before}, {rest[found.end() :]}"
