"""Credits as a careful person writes them by hand: lock the balance's row, write the entry, move the balance, commit.

Many purchases are a COPY of entries that are finished before, text and all, and one UPDATE of the balances. It checks
nothing and locks nothing first; that is the floor, not something to use while others post.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg2

HELD = """
SELECT id, balance, lifetime_used, last_sequence FROM credit_balances
 WHERE organization_id = %s AND user_id = %s FOR UPDATE
"""
# Before the balance: that refers to its last entry, and is refused without one.
ENTRY = """
INSERT INTO credit_transactions
       (organization_id, user_id, credit_balance_id, amount, transaction_type, status, balance_before, balance_after,
        sequence, previous_sequence, processed_at)
VALUES (%s, %s, %s, %s, 'appointment_debit', 'completed', %s, %s, %s, %s, clock_timestamp())
RETURNING id
"""
MOVE = """
UPDATE credit_balances SET balance = %s, lifetime_used = %s, last_sequence = %s, updated_at = now()
 WHERE organization_id = %s AND id = %s
"""

BALANCES = """
SELECT user_id, id, balance, lifetime_purchased, last_sequence FROM credit_balances
 WHERE organization_id = %s AND user_id = ANY(%s)
"""
COPY = """
COPY credit_transactions (
    organization_id, user_id, credit_balance_id, amount, transaction_type, status, balance_before, balance_after,
    sequence, previous_sequence, metadata, processed_at, created_at, updated_at
) FROM STDIN
"""
MOVE_ALL = """
UPDATE credit_balances AS held
   SET balance = moved.balance, lifetime_purchased = moved.bought, last_sequence = moved.last, updated_at = now()
  FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::integer[]) AS moved (id, balance, bought, last)
 WHERE held.organization_id = %s AND held.id = moved.id
"""
MOMENT = "now"  # of the transaction, as PostgreSQL reads it

Cursor = psycopg2.extensions.cursor


class NotEnoughError(Exception):
    """The balance is less."""


@dataclass(frozen=True)
class Finished:
    """Purchases as COPY takes them, and the ids, balances, sums bought and last places to move the balances to."""

    text: str
    moved: tuple[str, ...]


def debit(cursor: Cursor, own: int, user_id: int, amount: int) -> int:
    """Take credits from a balance of the organization `own`; the entry's id."""
    cursor.execute(HELD, (own, user_id))
    ((balance_id, balance, used, last),) = cursor.fetchall()
    after, place = balance - amount, (last or 0) + 1
    if after < 0:
        raise NotEnoughError
    cursor.execute(ENTRY, (own, user_id, balance_id, -amount, balance, after, place, last))
    ((entry_id,),) = cursor.fetchall()
    cursor.execute(MOVE, (after, used + amount, place, own, balance_id))
    return int(entry_id)


def finish(cursor: Cursor, own: int, rows: Iterable[dict[str, Any]]) -> Finished:
    """Work out the entries of these purchases, each going on from the one before."""
    rows = list(rows)
    cursor.execute(BALANCES, (own, [row["user"] for row in rows]))
    held = {user: place for user, *place in cursor.fetchall()}
    lines = []
    for row in rows:
        place, amount = held[row["user"]], row["credits"]
        balance_id, balance, bought, last = place
        after, sequence = balance + amount, (last or 0) + 1
        figures = (own, row["user"], balance_id, amount, "purchase", "completed", balance, after, sequence)
        lines.append("\t".join([*map(str, figures), str(last or r"\N"), "{}", MOMENT, MOMENT, MOMENT]))
        place[1:] = after, bought + amount, sequence
    moved = tuple("{" + ",".join(map(str, column)) + "}" for column in zip(*held.values(), strict=True))
    return Finished("\n".join(lines) + "\n", moved)


def copy(cursor: Cursor, own: int, finished: Finished) -> None:
    """Write finished purchases and move the balances."""
    cursor.copy_expert(COPY, io.StringIO(finished.text))
    cursor.execute(MOVE_ALL, (*finished.moved, own))
