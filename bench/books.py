"""The ledger seen from outside: what was posted since it was filled, whether it adds up, and how to take it back."""

from __future__ import annotations

from typing import Any

import psycopg2

from bench.facts import Facts
from bench.filling_ledger import FIGURES, STAND
from rayces_core import credits
from rayces_core.database.database import Database

# What two contenders cannot have in common.
OWN = ("id", "created_at", "updated_at", "processed_at")
OWN_KEY = "rayces:"  # by which the library finds out whether an entry was kept whose answer is lost


class UnequalResultsError(Exception):
    """A contender did not do the same as the baseline."""


class Books:
    """The ledger of the organization whose credits are moved."""

    def __init__(self, url: str, facts: Facts) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self._db = Database.connect(url, max_connections=1)
        self._ledger = facts.ledger

    def written(self) -> list[dict[str, Any]]:
        """Every entry posted since, in their order, and then every balance that it moved."""
        own = (self._ledger.organization_id, self._ledger.last_entry_id)
        new = "SELECT {} FROM credit_transactions WHERE organization_id = %s AND id > %s"
        entries = self._rows(f"{new.format('*')} ORDER BY id", own)
        moved = f"id IN ({new.format('credit_balance_id')})"
        return entries + self._rows(f"SELECT * FROM credit_balances WHERE {moved} ORDER BY id", own)

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [{name: _comparable(value) for name, value in row.items() if name not in OWN} for row in rows]

    def audit(self, entries: int, what: str) -> None:
        """Raise UnequalResultsError unless so many entries were posted since, and balances are their sums."""
        own = (self._ledger.organization_id, self._ledger.last_entry_id)
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM credit_transactions WHERE organization_id = %s AND id > %s", own)
            ((posted,),) = cursor.fetchall()
        if posted != entries:
            raise UnequalResultsError(f"{what}: {entries} entries were told to the callers, {posted} are in the ledger")
        with self._db.tenant(self._ledger.subdomain):
            found = credits.verify().discrepancies
        if found:
            raise UnequalResultsError(f"{what}: {found[0]}")

    def tidy(self) -> None:
        """Set the balances back to what they were filled with, and delete what was posted since."""
        with self._connection.cursor() as cursor:
            # The foreign keys would look at each deleted entry one by one; the state that is left is known to be right.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(STAND, {**FIGURES, "organization": self._ledger.organization_id})
            cursor.execute("DELETE FROM credit_transactions WHERE id > %s", (self._ledger.last_entry_id,))
            cursor.execute("RESET session_replication_role")
            cursor.execute("VACUUM credit_transactions")
            cursor.execute("VACUUM credit_balances")

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()
        self._connection.close()


def _comparable(value: Any) -> Any:
    return None if isinstance(value, str) and value.startswith(OWN_KEY) else value
