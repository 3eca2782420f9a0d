"""What can still be given back of an appointment's debit, which attempt of a payment an entry is, and moments in order.

A balance's entries bore the moment of the caller's clock, so one could lie before its predecessor, or ahead. Such
moments are put right; the one that was there is kept in the entry's metadata.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False  # or the rows would be written under the lock that adding columns takes

# Settled entries stand for every role; for the owner this opens them until they are written.
OPEN = """
DROP POLICY IF EXISTS rayces_backfill ON credit_transactions;
CREATE POLICY rayces_backfill ON credit_transactions TO CURRENT_USER USING (true) WITH CHECK (true)
"""
CLOSE = "DROP POLICY IF EXISTS rayces_backfill ON credit_transactions"
MOMENTS = """
WITH told AS (
    SELECT organization_id, id, max(least(processed_at, now())) OVER (
               PARTITION BY organization_id, credit_balance_id ORDER BY sequence
           ) AS moment
      FROM credit_transactions WHERE sequence IS NOT NULL
)
UPDATE credit_transactions AS entry
   SET processed_at = moment, metadata = metadata || jsonb_build_object('processed_at', entry.processed_at)
  FROM told
 WHERE entry.organization_id = told.organization_id AND entry.id = told.id AND entry.processed_at <> moment
"""
DEBITS = """
UPDATE credit_transactions SET refundable_after = -amount
 WHERE status = 'completed' AND transaction_type = 'appointment_debit' AND appointment_id IS NOT NULL
   AND refundable_after IS NULL
"""
# There was one for each appointment.
REFUNDS = """
UPDATE credit_transactions AS entry
   SET refundable_before = debit.refundable_after, refundable_after = debit.refundable_after - entry.amount
  FROM credit_transactions AS debit
 WHERE entry.status = 'completed' AND entry.transaction_type = 'cancellation_refund' AND entry.refundable_after IS NULL
   AND debit.organization_id = entry.organization_id AND debit.appointment_id = entry.appointment_id
   AND debit.transaction_type = 'appointment_debit' AND debit.status = 'completed'
"""
BALANCES = """
SET LOCAL ROLE {admin};
UPDATE credit_balances AS held SET updated_at = last.processed_at
  FROM credit_transactions AS last
 WHERE last.organization_id = held.organization_id AND last.credit_balance_id = held.id
   AND last.sequence = held.last_sequence AND held.updated_at < last.processed_at;
RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE credit_transactions
            ADD COLUMN refundable_before integer,
            ADD COLUMN refundable_after integer,
            ADD COLUMN payment_attempt integer DEFAULT 1 NOT NULL
    """)
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    migrator.sql(f"GRANT UPDATE (refundable_before, refundable_after) ON credit_transactions TO {app}, {admin}")
    migrator.sql(OPEN)
    for fill in (MOMENTS, DEBITS, REFUNDS):
        migrator.sql(fill)
    migrator.sql(CLOSE)
    migrator.sql(BALANCES.format(admin=admin))


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(CLOSE)
    migrator.sql("""
        ALTER TABLE credit_transactions
            DROP COLUMN IF EXISTS refundable_before,
            DROP COLUMN IF EXISTS refundable_after,
            DROP COLUMN IF EXISTS payment_attempt
    """)
