"""Rows of MyHub that are given what they lack: each is kept as it was in `rayces_set_aside`, in the same statement."""

from __future__ import annotations

from rayces_core.migrating.myhub import SET_ASIDE
from rayces_core.migrations.retry import retrying
from rayces_core.migrations.session import MigrationDatabase
from rayces_core.migrations.steps import LOWEST

BATCH_ROWS = 500
# From an id on; gives the last one of the batch.
_BATCH = f"""
WITH was AS (
    SELECT * FROM {{table}} WHERE id > %s AND ({{condition}}) ORDER BY id LIMIT {BATCH_ROWS:d} FOR UPDATE
), noted AS (
    INSERT INTO {SET_ASIDE} (table_name, "row", reason) SELECT '{{table}}', to_jsonb(was), '{{reason}}' FROM was
), filled AS (
    UPDATE {{table}} AS t SET {{assignments}} FROM was WHERE was.id = t.id
)
SELECT max(id) FROM was
"""


def fill(database: MigrationDatabase, table: str, assignments: str, condition: str, reason: str) -> None:
    """Update the rows that meet the condition, batch by batch, and note each; killed, it goes on with those left.

    Args:
        assignments: what follows SET, as SQL; the row as it was is `was`.
        condition: must no longer hold for an updated row. reason: as SQL between quotes.
    """
    query = _BATCH.format(table=table, assignments=assignments, condition=condition, reason=reason)
    reached: int | None = LOWEST

    def batch(_attempt: int) -> int | None:
        last: int | None = database.one(query, reached)
        return last

    while reached is not None:
        reached = retrying(batch, f"filling in {table}", database.retry_seconds)
