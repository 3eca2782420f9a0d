"""Which tables are distributed, how, and in which order.

What has an organization_id is distributed by it, all together, so that a tenant's rows are on one node. organizations
is on each node, as is every table without tenant that one of them refers to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from rayces_core.errors import ConfigurationError

Way = Literal["reference", "distributed"]

_TABLES: Final = """
WITH root AS (SELECT oid, relnamespace FROM pg_class WHERE oid = to_regclass('organizations')),
tenant AS (
    SELECT c.oid FROM root, pg_class c
     WHERE c.relnamespace = root.relnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                      AND a.attname = 'organization_id' AND NOT a.attisdropped)
),
shared AS (
    SELECT oid FROM root
    UNION
    SELECT k.confrelid FROM pg_constraint k JOIN tenant t ON t.oid = k.conrelid
     WHERE k.contype = 'f' AND k.confrelid NOT IN (SELECT oid FROM tenant)
)
SELECT c.oid, c.oid::regclass::text AS name, c.oid IN (SELECT oid FROM shared) AS is_shared,
       p.partmethod::text AS method, p.repmodel::text AS model, p.colocationid AS colocation,
       CASE WHEN p.partmethod = 'h' THEN column_to_column_name(p.logicalrelid, p.partkey) END AS by_column,
       array(SELECT k.confrelid FROM pg_constraint k
              WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid) AS refers_to
  FROM pg_class c LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
 WHERE c.oid IN (SELECT oid FROM shared UNION SELECT oid FROM tenant)
 ORDER BY c.oid IN (SELECT oid FROM shared) DESC, c.oid
"""


@dataclass(frozen=True)
class Table:
    """A table of the schema, and where Citus has its rows now (None: on the coordinator, as PostgreSQL has them)."""

    oid: int
    name: str
    way: Way
    is_now: Way | None
    colocation: int | None
    refers_to: frozenset[int]


def tables_of(cursor: Any) -> list[Table]:
    """The tables of the schema that organizations is in, with what they are now.

    Raises:
        ConfigurationError: one is distributed in another way than by its organization.
    """
    cursor.execute(_TABLES)
    found = [_table(*row) for row in cursor.fetchall()]
    groups = {table.colocation for table in found if table.is_now == "distributed"}
    if len(groups) > 1:
        raise ConfigurationError(
            "the tables are distributed in several groups, so that a tenant's rows are on several nodes; undo it with "
            "undistribute_table() of Citus, and run `rayces citus distribute`"
        )
    return found


def _table(
    oid: int,
    name: str,
    is_shared: bool,
    method: str | None,
    model: str | None,
    colocation: int | None,
    by_column: str | None,
    refers_to: list[int],
) -> Table:
    way: Way = "reference" if is_shared else "distributed"
    is_now: Way | None = None
    if method == "n" and model == "t":
        is_now = "reference"
    elif method == "h" and by_column == "organization_id":
        is_now = "distributed"
    elif method is not None and not (
        method == "n" and model == "s"
    ):  # 's' stays on the coordinator, for the time being
        is_now = "reference" if way == "distributed" else "distributed"
    if is_now not in (None, way):
        raise ConfigurationError(
            f"Citus has {name} in another way than {_words(way)}; undo it with undistribute_table('{name}') of Citus, "
            "and run `rayces citus distribute`"
        )
    return Table(oid, name, way, is_now, colocation, frozenset(refers_to))


def _words(way: Way) -> str:
    return "on every node" if way == "reference" else "by organization_id"


def in_order(tables: list[Table]) -> list[list[Table]]:
    """The tables by units that are distributed at once: what a table refers to comes before, circles are one unit."""
    left, done, units = list(tables), set[int](), []
    while left:
        names = {table.oid for table in left}
        unit = min((_needed(table, left, names - done) for table in left), key=len)
        units.append([table for table in left if table.oid in unit])
        done |= unit
        left = [table for table in left if table.oid not in unit]
    return units


def _needed(table: Table, left: list[Table], names: set[int]) -> set[int]:
    """The table, and all that must be distributed before or with it."""
    by_oid, found, ahead = {each.oid: each for each in left}, {table.oid}, [table.oid]
    while ahead:
        for oid in by_oid[ahead.pop()].refers_to & names:
            if oid not in found:
                found.add(oid)
                ahead.append(oid)
    return found
