"""Which purchase an entry takes back, whose payment went back: by its place in the chain of the balance that it is of.

So it is one that counts; and a copy of the ledger can be written in one go, as nothing names a row by its id.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

RULES = {
    "credit_transactions_organization_id_takes_back_balance_id_fkey": "FOREIGN KEY (organization_id, "
    "takes_back_balance_id) REFERENCES credit_balances (organization_id, id)",
    "credit_transactions_takes_back_fkey": "FOREIGN KEY (organization_id, takes_back_balance_id, takes_back_sequence) "
    "REFERENCES credit_transactions (organization_id, credit_balance_id, sequence)",
    "credit_transactions_takes_back_sequence_check": "CHECK ((takes_back_balance_id IS NULL) "
    "= (takes_back_sequence IS NULL) AND (takes_back_sequence IS NULL OR amount < 0 AND appointment_id IS NULL "
    "AND transaction_type IN ('appointment_debit', 'admin_adjustment')))",
}


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE credit_transactions
            ADD COLUMN takes_back_balance_id bigint,
            ADD COLUMN takes_back_sequence integer
    """)
    for name, rule in RULES.items():
        migrator.sql(f"ALTER TABLE credit_transactions ADD CONSTRAINT {name} {rule} NOT VALID")
        migrator.sql(f"ALTER TABLE credit_transactions VALIDATE CONSTRAINT {name}")
    migrator.sql(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS index_credit_transactions_on_takes_back_balance_id "
        "ON credit_transactions (organization_id, takes_back_balance_id, takes_back_sequence) "
        "WHERE takes_back_balance_id IS NOT NULL"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("DROP INDEX CONCURRENTLY IF EXISTS index_credit_transactions_on_takes_back_balance_id")
    migrator.sql("""
        ALTER TABLE credit_transactions
            DROP COLUMN IF EXISTS takes_back_sequence,
            DROP COLUMN IF EXISTS takes_back_balance_id
    """)
