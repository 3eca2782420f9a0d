"""Balances and entries of the old application, as a ledger whose every entry goes on from the one before.

Rule it guards: a balance stays what its user was shown, and is the sum of its completed entries; where the old ones do
not give it, an opening entry does and says so. An entry that cannot be what it says stays in the sum as an adjustment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.migrating.adopting.rails.centre import listed
from rayces_core.migrating.adopting.rails.faults import NOTED, noted, noted_gone
from rayces_core.migrating.adopting.rails.old import Old, small
from rayces_core.migrating.adopting.rails.people import as_object, stamps

TYPES = ("purchase", "appointment_debit", "cancellation_refund", "admin_adjustment")
STATUSES = ("pending", "completed", "failed")
OPENING = "opening balance: what the old application showed and its entries did not give"
CLOSING = "closing balance: what the entries of the old application gave beyond what it showed"


def balances(old: Old, _choices: Mapping[str, str]) -> Iterator[str]:
    """One balance for each user who has one; a second one of the same user is added to it."""
    table = "credit_balances"
    own = old.take(table, "organization_id", "bigint")
    figures = {
        name: f"coalesce({old.take(table, name, 'bigint')}, 0)" for name in ("lifetime_purchased", "lifetime_used")
    }
    yield f"""
        CREATE TEMP TABLE plan_credit_balances ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, u.organization_id, u.id AS user_id,
                   coalesce({old.take(table, "balance", "bigint")}, 0) AS shown,
                   {figures["lifetime_purchased"]} AS told_purchased, {figures["lifetime_used"]} AS told_used,
                   {stamps(old, table)},
                   CASE WHEN u.id IS NULL THEN 'orphans' WHEN u.gone IS NOT NULL THEN u.gone
                        WHEN {own} <> u.organization_id THEN 'other-organizations' END AS gone
              FROM {old.source(table)} LEFT JOIN plan_users AS u ON u.id = {old.take(table, "user_id", "bigint")}
        )
        SELECT told.*, first_value(id) OVER same AS keeper, greatest(sum(shown) OVER same, 0) AS balance,
               'its user is missing, set aside or of another organization' AS why
          FROM told WINDOW same AS (PARTITION BY gone, user_id ORDER BY id
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    """
    yield "ALTER TABLE plan_credit_balances ADD PRIMARY KEY (id)"
    yield noted_gone(table)
    yield noted(table, "repeated-balances", "p.gone IS NULL AND id <> keeper", "'added to balance ' || keeper")
    yield noted(table, "negative-balances", "p.gone IS NULL AND shown < 0", "'it was ' || shown")


def entries(old: Old, _choices: Mapping[str, str]) -> Iterator[str]:
    """Every entry with its place in the chain of its balance, and what opens and closes the chain."""
    yield _told(old)
    yield "ALTER TABLE plan_credit_transactions ADD PRIMARY KEY (id)"
    yield noted_gone("credit_transactions")
    yield _STANDING
    yield "ANALYZE plan_entries (id, organization_id, credit_balance_id, appointment_id, transaction_type, status)"
    yield _FIRST_DEBITS
    yield _REFUNDS
    yield _AS_ADJUSTMENTS
    yield _PAYMENTS
    yield from _noted()
    yield _CHAIN
    yield _ENDS
    yield noted("credit_balances", "ledger", "opening <> 0 OR closing <> 0",
                "'opening entry ' || opening || CASE WHEN closing <> 0 THEN ', closing entry ' || closing ELSE '' END",
                source="(SELECT credit_balance_id AS id, opening, closing FROM plan_ends)")  # fmt: skip
    yield _COSTS


def _told(old: Old) -> str:
    table = "credit_transactions"
    kind, status = (small(old.take(table, name)) for name in ("transaction_type", "status"))
    metadata = old.take(table, "metadata", "jsonb")
    named = old.take(table, "appointment_id", "bigint")
    # The old application wrote the appointment of a debit or a refund into the metadata alone.
    also = f"{metadata} ->> 'appointment_id'"
    also = f"CASE WHEN {also} ~ '^[0-9]{{1,18}}$' THEN ({also})::bigint END"
    return f"""
        CREATE TEMP TABLE plan_credit_transactions ON COMMIT DROP AS
        SELECT o.id, b.organization_id, b.keeper AS credit_balance_id, b.user_id, a.id AS appointment_id,
               coalesce({old.take(table, "amount", "bigint")}, 0)::integer AS amount, {kind} AS told_type,
               {named} AS told_appointment, CASE WHEN {kind} IN ({listed(TYPES)}) THEN {kind} END AS kind,
               {status} AS told_status,
               CASE WHEN {status} IN ({listed(STATUSES)}) THEN {status} WHEN {status} IS NULL THEN 'pending'
                    ELSE 'failed' END AS status,
               {as_object(metadata)} AS metadata,
               nullif(btrim({old.take(table, "payment_method")}), '') AS payment_method,
               nullif(btrim({old.take(table, "payment_reference")}), '') AS payment_reference,
               {old.take(table, "processed_at", "moment")} AS told_processed, {stamps(old, table)},
               {old.take(table, "user_id", "bigint")} AS told_user,
               CASE WHEN b.id IS NULL THEN 'orphans' WHEN b.gone IS NOT NULL THEN b.gone
                    WHEN {old.take(table, "organization_id", "bigint")} <> b.organization_id THEN 'other-organizations'
                    WHEN coalesce({old.take(table, "amount", "bigint")}, 0) = 0 THEN 'entries' END AS gone,
               'its balance is missing, set aside or of another organization, or it is of zero credits' AS why
          FROM {old.source(table)}
          LEFT JOIN plan_credit_balances AS b ON b.id = {old.take(table, "credit_balance_id", "bigint")}
          LEFT JOIN plan_appointments AS a ON a.id = coalesce({named}, {also}) AND a.gone IS NULL
           AND a.organization_id = b.organization_id
    """


# What an entry can be by itself; the rest depends on the others.
_STANDING = """
CREATE TEMP TABLE plan_entries ON COMMIT DROP AS
SELECT p.*, CASE WHEN kind = 'purchase' AND amount > 0 OR kind = 'appointment_debit' AND amount < 0
                   OR kind = 'cancellation_refund' AND amount > 0 AND appointment_id IS NOT NULL
                 THEN kind ELSE 'admin_adjustment' END AS transaction_type,
       coalesce(told_processed, created_at) AS happened, NULL::integer AS refundable_before,
       NULL::integer AS refundable_after, 1 AS payment_attempt, NULL::text AS reason
  FROM plan_credit_transactions AS p WHERE gone IS NULL
"""
_FIRST_DEBITS = """
WITH placed AS (
    SELECT id, row_number() OVER (PARTITION BY organization_id, appointment_id
                                  ORDER BY status = 'completed' DESC, happened, id) AS place
      FROM plan_entries
     WHERE transaction_type = 'appointment_debit' AND status <> 'failed' AND appointment_id IS NOT NULL
)
UPDATE plan_entries AS e
   SET transaction_type = CASE status WHEN 'completed' THEN 'admin_adjustment' ELSE transaction_type END,
       status = CASE status WHEN 'pending' THEN 'failed' ELSE status END
  FROM placed WHERE placed.id = e.id AND place > 1
"""
# Refunds give back, one after the other, no more than the debit of the same balance took.
_REFUNDS = """
WITH given AS (
    SELECT r.id, -d.amount AS taken,
           sum(r.amount) OVER (PARTITION BY r.organization_id, r.appointment_id ORDER BY r.happened, r.id) AS back,
           r.amount
      FROM plan_entries AS r
      LEFT JOIN plan_entries AS d ON d.organization_id = r.organization_id AND d.appointment_id = r.appointment_id
       AND d.credit_balance_id = r.credit_balance_id AND d.transaction_type = 'appointment_debit'
       AND d.status = 'completed'
     WHERE r.transaction_type = 'cancellation_refund' AND r.status = 'completed'
)
UPDATE plan_entries AS e
   SET transaction_type = CASE WHEN back <= taken THEN transaction_type ELSE 'admin_adjustment' END,
       refundable_before = CASE WHEN back <= taken THEN taken - back + given.amount END,
       refundable_after = CASE WHEN back <= taken THEN taken - back END
  FROM given WHERE given.id = e.id
"""
_AS_ADJUSTMENTS = """
UPDATE plan_entries
   SET metadata = metadata || jsonb_strip_nulls(jsonb_build_object('transaction_type', told_type, 'appointment_id',
           CASE WHEN NOT metadata ? 'appointment_id' THEN coalesce(appointment_id, told_appointment) END)),
       reason = coalesce(nullif(btrim(metadata ->> 'reason'), ''),
                         'in the old application: ' || coalesce(told_type, '?')),
       appointment_id = NULL
 WHERE transaction_type = 'admin_adjustment';
UPDATE plan_entries
   SET metadata = metadata || jsonb_build_object('appointment_id', coalesce(appointment_id, told_appointment)),
       appointment_id = NULL
 WHERE transaction_type = 'purchase' AND coalesce(appointment_id, told_appointment) IS NOT NULL;
UPDATE plan_entries SET refundable_after = -amount
 WHERE transaction_type = 'appointment_debit' AND status = 'completed' AND appointment_id IS NOT NULL;
"""
# Of one payment those that failed come first, then the one that waits or counts; a second such one keeps no reference.
_PAYMENTS = """
WITH placed AS (
    SELECT id, row_number() OVER (PARTITION BY organization_id, payment_method, payment_reference, status = 'failed'
                                  ORDER BY status = 'completed' DESC, happened, id) AS place
      FROM plan_entries
     WHERE payment_method IS NOT NULL AND payment_reference IS NOT NULL AND status <> 'failed'
)
UPDATE plan_entries AS e
   SET metadata = metadata || jsonb_build_object('payment_reference', payment_reference), payment_reference = NULL
  FROM placed WHERE placed.id = e.id AND place > 1;
WITH placed AS (
    SELECT id, row_number() OVER (PARTITION BY organization_id, payment_method, payment_reference
                                  ORDER BY status = 'failed' DESC, happened, id) AS place
      FROM plan_entries WHERE payment_method IS NOT NULL AND payment_reference IS NOT NULL
)
UPDATE plan_entries AS e SET payment_attempt = place FROM placed WHERE placed.id = e.id AND place > 1
"""
# The moments run forwards and none lies ahead.
_CHAIN = """
CREATE TEMP TABLE plan_chain ON COMMIT DROP AS
SELECT id, credit_balance_id, row_number() OVER chain AS place, sum(amount) OVER chain AS sum_after,
       max(least(happened, now())) OVER chain AS processed_at, amount
  FROM plan_entries WHERE status = 'completed'
WINDOW chain AS (PARTITION BY credit_balance_id ORDER BY happened, id)
"""
# What is added at the beginning keeps every sum from going below zero, and what is taken at the end gives the balance.
_ENDS = """
CREATE TEMP TABLE plan_ends ON COMMIT DROP AS
SELECT b.id AS credit_balance_id, b.organization_id, b.user_id, greatest(difference, lowest) AS opening,
       least(difference - lowest, 0) AS closing, coalesce(length, 0) AS length, begins, ends,
       coalesce(admin.id, b.user_id) AS actor_id
  FROM (SELECT p.*, s.length, s.begins, s.ends, p.balance - coalesce(s.total, 0) AS difference,
               -least(coalesce(s.lowest, 0), 0) AS lowest
          FROM plan_credit_balances AS p
          LEFT JOIN (SELECT credit_balance_id, sum(amount) AS total, min(sum_after) AS lowest, max(place) AS length,
                            min(processed_at) AS begins, max(processed_at) AS ends
                       FROM plan_chain GROUP BY credit_balance_id) AS s ON s.credit_balance_id = p.id
         WHERE p.gone IS NULL AND p.id = p.keeper) AS b
  LEFT JOIN (SELECT organization_id, min(id) AS id FROM plan_users WHERE gone IS NULL AND role = 3 GROUP BY 1) AS admin
    ON admin.organization_id = b.organization_id
"""
_COSTS = """
UPDATE plan_appointments SET credits_used = told_credits
 WHERE gone IS NULL AND uses_credit AND state IN ('draft', 'pre_confirmed');
UPDATE plan_appointments AS a SET credits_used = -d.amount
  FROM plan_entries AS d
 WHERE d.appointment_id = a.id AND d.organization_id = a.organization_id
   AND d.transaction_type = 'appointment_debit' AND d.status = 'completed'
"""


def _noted() -> Iterator[str]:
    table, source = "credit_transactions", "plan_entries"
    yield noted(table, "states", f"told_status NOT IN ({listed(STATUSES)})", "'it counts as failed'", source=source)
    yield noted(table, "entries", "transaction_type IS DISTINCT FROM kind OR status <> told_status AND "
                "told_status IN ('pending', 'completed')",
                "CASE WHEN transaction_type IS DISTINCT FROM kind THEN 'it stays in the sum as an adjustment' "
                "ELSE 'it counts as failed' END", source=source)  # fmt: skip
    yield noted(table, "payments", "metadata ? 'payment_reference' AND payment_reference IS NULL",
                "'its reference is in the metadata'", source=source)  # fmt: skip
    yield noted(table, "owners", "told_user IS DISTINCT FROM user_id", "'it went to user ' || user_id", source=source)
    yield (
        f"INSERT INTO {NOTED} SELECT '{table}', p.id, coalesce(a.gone, CASE WHEN a.id IS NULL THEN 'orphans' "
        "WHEN a.organization_id <> p.organization_id THEN 'other-organizations' END), 'changed', "
        f"'appointment_id was emptied' FROM {source} AS p LEFT JOIN plan_appointments AS a ON a.id = told_appointment "
        "WHERE told_appointment IS NOT NULL AND (a.id IS NULL OR a.gone IS NOT NULL "
        "OR a.organization_id <> p.organization_id)"
    )
