"""Where a moment lies in the chain of a balance: after how many of its entries.

Rule it guards: moments never run backwards within a chain, so its places can be halved until one is left: some twenty
rows are looked at, however many there are.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from rayces_core.credits.statements import OWN
from rayces_core.database.binding import current
from rayces_core.errors import ReadOnlyError, SerializationError

# The entries before `low` + 1 lie before the moment, those after `high` do not. The one in the middle is looked up by a
# sub-select: a join the planner may make by reading the whole chain, at each step. OFFSET 0 has it reckoned before, as
# PostgreSQL 15 looks up no key that an operator reckons which may tell of what it sees.
PLACE: Final = """
WITH RECURSIVE held AS (
    SELECT id, coalesce(last_sequence, 0) AS last FROM credit_balances
     WHERE organization_id = %(tenant)s AND user_id = %(user)s AND credit_kind_key = %(credit_kind)s
), search(low, high) AS (
    SELECT 0, last FROM held
    UNION ALL
    SELECT CASE WHEN is_before THEN middle ELSE low END, CASE WHEN is_before THEN high ELSE middle - 1 END
      FROM (
          SELECT low, high, middle, (
                     SELECT processed_at {operator} %(moment)s FROM credit_transactions
                      WHERE organization_id = %(tenant)s AND credit_balance_id = (SELECT id FROM held)
                        AND sequence = middle
                 ) AS is_before
            FROM (
                SELECT low, high, high - (high - low) / 2 AS middle FROM search WHERE low < high OFFSET 0
            ) AS half
          OFFSET 0
      ) AS probe
)
SELECT held.id, low, coalesce((
           SELECT balance_after FROM credit_transactions
            WHERE organization_id = %(tenant)s AND credit_balance_id = held.id AND sequence = low
       ), 0)
  FROM held, search WHERE low = high"""
BEFORE: Final = PLACE.format(operator="<")
UNTIL: Final = PLACE.format(operator="<=")

# Who posts holds the balance's row until it commits, and its entry bears a moment before that.
POSTED: Final = f"""
SELECT 1 FROM credit_balances WHERE {OWN} FOR SHARE"""


def place(sql: str, user_id: int, moment: datetime, credit_kind: int) -> tuple[int, int, int] | None:
    """The id of the balance, after how many of its entries the moment lies, and what it was then; None without one."""
    values = {"tenant": current().organization_id, "user": user_id, "moment": moment, "credit_kind": credit_kind}
    found: tuple[int, int, int] | None = current().engine.run_prepared(sql, values).fetchone()
    return found


def wait_for_postings(user_id: int, credit_kind: int) -> None:
    """Wait until what is being posted to the balance is committed or undone, so that what was is told for good.

    Nothing stays locked. On a server that only reads, and in a unit of work that sees one moment, there is no waiting.
    """
    engine = current().engine
    values = {"tenant": current().organization_id, "user": user_id, "credit_kind": credit_kind}
    with suppress(ReadOnlyError, SerializationError):
        if engine.holder_of_transaction() is None:
            engine.run_prepared(POSTED, values)
            return
        with engine.atomic() as unit:
            engine.run_prepared(POSTED, values)
            unit.rollback(begin=False)
