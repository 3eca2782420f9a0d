"""The SQL by which many entries are made at once."""

from __future__ import annotations

from typing import Final

# They are found first, as Citus refuses such a join among the parts of an INSERT.
OPEN_ALL: Final = """
WITH found AS (
    SELECT users.id AS user_id, kind.id AS kind_id
      FROM unnest(%(owners)s::bigint[], %(owned)s::bigint[]) AS wanted (user_id, kind)
      JOIN users ON users.organization_id = %(tenant)s AND users.id = wanted.user_id
      LEFT JOIN credit_kinds AS kind ON kind.organization_id = %(tenant)s AND kind.id = wanted.kind
     WHERE wanted.kind = 0 OR kind.id IS NOT NULL
)
INSERT INTO credit_balances (organization_id, user_id, credit_kind_id, created_at, updated_at)
SELECT %(tenant)s, user_id, kind_id, coalesce(%(set)s, now()), coalesce(%(set)s, now())
  FROM found ORDER BY user_id, coalesce(kind_id, 0)
ON CONFLICT (organization_id, user_id, credit_kind_key) DO NOTHING"""
# What stands in the ledger already of the keys, payments and appointments that are to be written.
EARLIER: Final = """
SELECT id, status, user_id, credit_kind_key, amount, transaction_type, appointment_id, payment_method,
       payment_reference, idempotency_key, reason, amount_cents, currency
  FROM credit_transactions
 WHERE organization_id = %(tenant)s AND (
    idempotency_key = ANY(%(keys)s::varchar[])
    OR (payment_reference = ANY(%(payments)s::varchar[]) AND status <> 'failed')
    OR (appointment_id = ANY(%(appointments)s::bigint[]) AND transaction_type = %(type)s AND status <> 'failed')
)"""
BOOKED: Final = (
    "SELECT id FROM appointments WHERE organization_id = %(tenant)s AND id = ANY(%(appointments)s::bigint[])"
)
BALANCES: Final = """
SELECT user_id, credit_kind_key, balance, lifetime_purchased, lifetime_used, reserved, in_lots FROM credit_balances
 WHERE organization_id = %(tenant)s AND user_id = ANY(%(users)s)"""
ENTRIES: Final = """
WITH present AS MATERIALIZED (
    SELECT coalesce(%(set)s, clock_timestamp()) AS moment
), wanted AS (
    SELECT * FROM json_to_recordset(%(rows)s) AS wanted (
        n int, u bigint, q bigint, a int, p bigint, m varchar, r varchar, k varchar, w varchar, d jsonb, c bigint,
        y varchar
    )
), placed AS (
    SELECT wanted.*, held.id AS held_id, held.credit_kind_id AS kind_id,
           coalesce(held.last_sequence, 0) + row_number() OVER chain AS place,
           held.balance + sum(a) OVER chain AS after, greatest(held.updated_at, present.moment) AS at,
           CASE WHEN r IS NULL THEN 1 ELSE 1 + coalesce((
               SELECT max(payment_attempt) FROM credit_transactions AS failed
                WHERE failed.organization_id = %(tenant)s AND failed.payment_method = m AND failed.payment_reference = r
           ), 0) END AS attempt
      FROM present, wanted JOIN credit_balances AS held
           ON held.organization_id = %(tenant)s AND held.user_id = u AND held.credit_kind_key = q
    WINDOW chain AS (PARTITION BY u, q ORDER BY n)
), entries AS (
    INSERT INTO credit_transactions (
        organization_id, user_id, credit_balance_id, credit_kind_id, appointment_id, amount, transaction_type, status,
        balance_before, balance_after, sequence, previous_sequence, refundable_after, metadata, payment_method,
        payment_reference, payment_attempt, idempotency_key, created_by_id, reason, processed_at, created_at,
        updated_at, amount_cents, currency
    ) SELECT %(tenant)s, u, held_id, kind_id, p, a, %(type)s, 'completed', after - a, after, place,
        nullif(place - 1, 0), CASE WHEN p IS NOT NULL THEN -a END, d, m, r, attempt, k, %(by)s::bigint, w, at, at, at,
        c, y
    FROM placed ORDER BY n
    RETURNING *
), moved AS (
    UPDATE credit_balances AS held SET
        balance = last.balance_after, last_sequence = last.sequence, updated_at = last.processed_at,
        lifetime_purchased = lifetime_purchased + CASE WHEN %(type)s = 'purchase' THEN last.total ELSE 0 END,
        lifetime_used = lifetime_used - CASE WHEN %(type)s = 'purchase' THEN 0 ELSE last.total END
    FROM (
        SELECT DISTINCT ON (credit_balance_id) credit_balance_id, sequence, balance_after, processed_at,
               sum(amount) OVER (PARTITION BY credit_balance_id) AS total
          FROM entries ORDER BY credit_balance_id, sequence DESC
    ) AS last
    WHERE held.organization_id = %(tenant)s AND held.id = last.credit_balance_id
)/* told */
SELECT entries.id, entries.balance_after
  FROM entries JOIN placed ON placed.held_id = entries.credit_balance_id AND placed.place = entries.sequence
 ORDER BY placed.n"""
