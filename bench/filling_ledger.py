"""Fills the organization whose credits are moved: guardians with a balance each, and the entries that explain it."""

from __future__ import annotations

import psycopg2

from bench.facts import Ledger

SUBDOMAIN = "ledger"
FEWEST_GUARDIANS = 40
SHARE = 20  # guardians: a twentieth of the rows, 5,000 beside 100,000
ENTRIES = 5  # of each balance: a purchase, then debits of one credit
BALANCE = 1_000_000  # so much that no run spends it
USED = ENTRIES - 1
BOUGHT = BALANCE + USED

GUARDIANS = """
INSERT INTO users (organization_id, email, role, first_name, last_name, jti)
SELECT %(organization)s, 'guardian' || n || '@example.org', 0, 'Ana', 'Paz ' || n, gen_random_uuid()::text
  FROM generate_series(1, %(guardians)s) AS n;
INSERT INTO credit_balances (organization_id, user_id)
SELECT organization_id, id FROM users WHERE organization_id = %(organization)s ORDER BY id
"""

# The entries first: a balance refers to its last one. They are of the last days, as none may follow one still to come.
HISTORY = """
INSERT INTO credit_transactions (
    organization_id, user_id, credit_balance_id, amount, transaction_type, status, balance_before, balance_after,
    sequence, previous_sequence, processed_at, created_at, updated_at
)
SELECT organization_id, user_id, id, CASE place WHEN 1 THEN %(bought)s ELSE -1 END,
       CASE place WHEN 1 THEN 'purchase' ELSE 'appointment_debit' END, 'completed',
       CASE place WHEN 1 THEN 0 ELSE %(bought)s + 2 - place END, %(bought)s + 1 - place, place, nullif(place - 1, 0),
       now() - make_interval(days => %(days)s - place), now() - make_interval(days => %(days)s - place),
       now() - make_interval(days => %(days)s - place)
  FROM credit_balances, generate_series(1, %(entries)s) AS place
 WHERE organization_id = %(organization)s
 ORDER BY place, id;
"""
STAND = """
UPDATE credit_balances
   SET balance = %(balance)s, lifetime_purchased = %(bought)s, lifetime_used = %(used)s, last_sequence = %(entries)s
 WHERE organization_id = %(organization)s AND last_sequence IS DISTINCT FROM %(entries)s
"""
FIGURES = {"balance": BALANCE, "bought": BOUGHT, "used": USED, "entries": ENTRIES, "days": ENTRIES + 1}


def guardians_for(rows: int) -> int:
    """How many guardians there are beside so many appointments."""
    return max(FEWEST_GUARDIANS, rows // SHARE)


def fill_ledger(cursor: psycopg2.extensions.cursor, organization_id: int, guardians: int) -> None:
    """Insert the guardians, their balances and the entries of these."""
    values = {**FIGURES, "organization": organization_id, "guardians": guardians}
    cursor.execute(GUARDIANS, values)
    cursor.execute(HISTORY, values)
    cursor.execute(STAND, values)


def ledger_facts(cursor: psycopg2.extensions.cursor, organization_id: int) -> Ledger:
    """What the contenders are told of it."""
    cursor.execute("SELECT user_id FROM credit_balances WHERE organization_id = %s ORDER BY id", (organization_id,))
    users = tuple(user_id for (user_id,) in cursor)
    cursor.execute("SELECT max(id) FROM credit_transactions")
    ((last_entry_id,),) = cursor.fetchall()
    return Ledger(organization_id, SUBDOMAIN, users, last_entry_id)
