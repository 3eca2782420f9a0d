"""Each completed entry of the ledger gets its place in the chain of its balance, and what the balance was before it."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False  # or the rows would be written under the lock that adding columns takes

# Entries that were completed before: in the order in which they counted. The admin role does it, since row-level security
# hides every row from an owner that is no superuser.
BACKFILL = """
SET LOCAL ROLE {admin};
WITH chain AS (
    SELECT organization_id, id,
           row_number() OVER (PARTITION BY organization_id, credit_balance_id ORDER BY processed_at, id) AS place
      FROM credit_transactions WHERE status = 'completed'
)
UPDATE credit_transactions AS entry
   SET sequence = chain.place, previous_sequence = nullif(chain.place - 1, 0),
       balance_before = entry.balance_after - entry.amount
  FROM chain
 WHERE entry.organization_id = chain.organization_id AND entry.id = chain.id AND entry.sequence IS NULL;
UPDATE credit_balances AS held SET last_sequence = chain.length
  FROM (SELECT organization_id, credit_balance_id, max(sequence) AS length
          FROM credit_transactions WHERE sequence IS NOT NULL GROUP BY 1, 2) AS chain
 WHERE held.organization_id = chain.organization_id AND held.id = chain.credit_balance_id;
RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE credit_transactions
            ADD COLUMN sequence integer,
            ADD COLUMN previous_sequence integer,
            ADD COLUMN balance_before integer
    """)
    migrator.sql("ALTER TABLE credit_balances ADD COLUMN last_sequence integer")
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    migrator.sql(f"GRANT UPDATE (sequence, previous_sequence, balance_before) ON credit_transactions TO {app}, {admin}")
    migrator.sql(f"GRANT UPDATE (last_sequence) ON credit_balances TO {app}")
    migrator.sql(BACKFILL.format(admin=admin))


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE credit_balances DROP COLUMN IF EXISTS last_sequence")
    migrator.sql("""
        ALTER TABLE credit_transactions
            DROP COLUMN IF EXISTS sequence,
            DROP COLUMN IF EXISTS previous_sequence,
            DROP COLUMN IF EXISTS balance_before
    """)
